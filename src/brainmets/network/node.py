"""The node: its threads, and what it says of its studies."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from brainmets.api.audit import Audit
from brainmets.api.client import Client
from brainmets.api.dicomweb import fetch
from brainmets.api.journal import speak
from brainmets.domain.errors import OptionError
from brainmets.network.child import Child
from brainmets.network.commitment import Commitment
from brainmets.network.inbox import Inbox, open_state
from brainmets.network.metrics import NodeMetrics
from brainmets.network.options import is_loopback
from brainmets.network.pipeline import Pipeline
from brainmets.network.receiver import Receiver
from brainmets.network.sender import Sender
from brainmets.network.study_list import StudyList

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brainmets.network.options import NodeOptions
    from brainmets.network.study_list import Parcel, Study

__all__ = ["Node", "fetch_into", "fetch_study", "listen_until_stopped", "retry_all", "unanswered"]

DATABASE = "network.sqlite"
STOPS_WITHIN_S = 20.0

_log = logging.getLogger("brainmets.network")


class Node:
    """Receives, asks and sends, in threads of its own."""

    def __init__(self, options: NodeOptions, *, api_key: str | None = None) -> None:
        """Open the node's folder.

        Raises:
            OptionError: another node uses the folder, or anybody could send from outside.
        """
        if not is_loopback(options.host) and not options.callers:
            raise OptionError(
                "an address beyond this computer without a list of senders",
                expected="the AE titles that may send",
                remedy="name each with --from, or listen at 127.0.0.1",
            )
        keys = open_state(options.state)
        self._lock = _only_one(options.state)
        self._stop = threading.Event()
        self._study_list = StudyList(options.state / DATABASE)
        self._client = Client(options.service, api_key=api_key)
        self._child = Child()
        inbox = Inbox(options.state, keys, self._study_list, min_free_bytes=options.min_free_bytes)
        commitment = Commitment(options, self._study_list, inbox)
        audit = Audit(options.audit_file)
        self._receiver = Receiver(options, inbox, commitment, audit)
        pipeline = Pipeline(
            options,
            study_list=self._study_list,
            inbox=inbox,
            keys=keys,
            client=self._client,
            child=self._child,
            audit=audit,
        )
        sender = Sender(options, self._study_list, inbox, audit)
        self._metrics = NodeMetrics(self._study_list, options.metrics_port)
        self._threads = [
            self._thread(lambda: pipeline.run(self._stop), "brainmets-pipeline"),
            self._thread(lambda: sender.run(self._stop), "brainmets-sender"),
            self._thread(lambda: commitment.run(self._stop), "brainmets-commitment"),
        ]

    @property
    def port(self) -> int:
        """The port it listens at."""
        return self._receiver.port

    def start(self) -> None:
        """Listen and work."""
        self._receiver.start()
        self._metrics.start()
        for thread in self._threads:
            thread.start()
        _log.info("listening at port %d", self.port)

    def stop(self) -> None:
        """Stop everything; what is not done is done after the next start."""
        self._stop.set()
        self._receiver.stop()
        self._metrics.stop()
        self._child.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=STOPS_WITHIN_S)
        self._client.close()
        self._study_list.close()
        os.close(self._lock)

    def _thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        return threading.Thread(target=target, name=name, daemon=True)


def listen_until_stopped(options: NodeOptions, *, api_key: str | None = None) -> None:
    """Run a node until SIGTERM or SIGINT.

    Raises:
        OptionError: it cannot listen as it was told.
    """
    speak("info", ())
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    node = Node(options, api_key=api_key)
    try:
        node.start()
        stop.wait()
    finally:
        node.stop()


def unanswered(state: Path) -> tuple[list[Study], list[Parcel]]:
    """Return the studies that are not answered yet, and the objects that are not sent yet."""
    study_list = _opened(state)
    try:
        studies = [one for one in study_list.studies() if one.state != "answered"]
        return studies, [one for one in study_list.parcels() if one.state != "sent"]
    finally:
        study_list.close()


def retry_all(state: Path) -> int:
    """Begin again with every failed study and dead letter; return how many."""
    study_list = _opened(state)
    try:
        return study_list.retry()
    finally:
        study_list.close()


def fetch_study(url: str, study_uid: str, state: Path, *, min_free_bytes: int = 2**30) -> int:
    """Fetch a study by DICOMweb as if it had been received; return how many images it has.

    Raises:
        OptionError, NoDicom, ServiceUnreachable: as `brainmets.api.dicomweb.fetch`.
        DiskFull: the disk has no room.
    """
    keys = open_state(state)
    study_list = StudyList(state / DATABASE)
    inbox = Inbox(state, keys, study_list, min_free_bytes=min_free_bytes)
    try:
        return sum(1 for content in fetch(url, study_uid) if inbox.store(content))
    finally:
        study_list.close()


def fetch_into(folder: Path, url: str, study_uid: str) -> int:
    """Write the MR images of a study into a folder; return how many.

    Raises:
        OptionError: the folder holds something.
        OptionError, NoDicom, ServiceUnreachable: as `brainmets.api.dicomweb.fetch`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise OptionError(
            "a folder that is not empty", expected="a new folder", remedy="choose another --out"
        )
    number = 0
    for number, content in enumerate(fetch(url, study_uid), start=1):
        (folder / f"{number:05}.dcm").write_bytes(content)
    return number


def _opened(state: Path) -> StudyList:
    if not (state / DATABASE).is_file():
        raise OptionError(
            "a folder in which no node has worked",
            expected="the --state of a node",
            remedy="correct --state",
        )
    return StudyList(state / DATABASE)


def _only_one(state: Path) -> int:
    file = os.open(state / "node.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise OptionError(
            "another node at work in the same folder",
            expected="a folder for each node",
            remedy="stop it, or choose another --state",
        ) from None
    return file
