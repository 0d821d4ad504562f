"""A worker without a server: computes jobs that servers on other machines take in."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from brainmets.api.engines import open_supervisor
from brainmets.api.journal import speak
from brainmets.api.metrics import Metrics
from brainmets.api.storage import Storage
from brainmets.api.store import open_store
from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from brainmets.api.settings import Settings

__all__ = ["compute_until_stopped"]


def compute_until_stopped(settings: Settings) -> None:
    """Compute jobs of the shared list until SIGTERM or SIGINT; unfinished ones go back.

    Raises:
        OptionError: the job list is that of one server only, or no workers are configured.
        StorageUnavailable: the servers' data folder is not there.
    """
    if not settings.database_url or not settings.workers:
        raise OptionError(
            "a worker without a job list that it shares with a server",
            expected="BRAINMETS_DATABASE_URL, BRAINMETS_STATE_DIR as the servers have them, and"
            " BRAINMETS_WORKERS of 1 or more",
            remedy="set them, or run `brainmets serve`, which computes jobs itself",
        )
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    speak(settings.log_level, ())
    storage = Storage(settings)
    storage.check()
    store = open_store(settings.job_list)
    supervisor = open_supervisor(settings, store, Metrics(), storage)
    supervisor.start()
    stop.wait()
    supervisor.stop()
    store.close()
