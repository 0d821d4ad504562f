"""Workers on several machines share one PostgreSQL queue, which Procrastinate runs.

Procrastinate fetches jobs, wakes idle workers and tells them of cancelled jobs (LISTEN/NOTIFY),
and shows by heartbeats which workers live. The job list says what an attempt may change.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException

from brainmets.api.attempts import AGAIN_AFTER_S
from brainmets.api.store.postgres import (
    AWAY,
    CONNECTION,
    END_IDLE_CHANGES,
    QUEUE,
    STALLED_S,
    TASK,
    PostgresStore,
)
from brainmets.api.supervisor import Supervisor
from brainmets.domain.errors import BrainmetsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import psycopg

    from brainmets.api.store import StoredJob

__all__ = ["ClusterSupervisor"]

HEARTBEAT_S = STALLED_S / 5
POLL_S = 1.0

Answer = TypeVar("Answer")

_log = logging.getLogger("brainmets.jobs")


class ClusterSupervisor(Supervisor):
    """Computes jobs of a PostgreSQL list, as other servers and `brainmets worker` do at once.

    Each of them queues again what a dead one was computing.
    """

    def _take_lock(self) -> bool:
        return True  # the list's own tickets keep attempts apart

    def _begin_work(self) -> None:
        self._attempts.prepare()  # a takeover need not wait for a worker to start
        self._begin(self._serve, "brainmets-queue")

    def _serve(self) -> None:
        while not self._stop.is_set():
            if not self._tried(lambda: asyncio.run(self._run_queue())):
                self._stop.wait(AGAIN_AFTER_S)

    async def _run_queue(self) -> None:
        """Run Procrastinate's worker until it ends or this server stops."""
        assert isinstance(self._store, PostgresStore)  # noqa: S101 - opened by the same URL
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # it logs what jobs are given
        asyncio.get_running_loop().set_exception_handler(_log_kind)
        connector = _PatientConnector(
            conninfo=self._store.url,
            kwargs=CONNECTION,
            configure=_configure,
            min_size=1,
            max_size=4,
            timeout=5,
        )
        app = App(connector=connector)

        @app.task(name=TASK, pass_context=True)
        def compute(context: JobContext, job_id: str) -> None:  # pyright: ignore[reportUnusedFunction]
            self._compute(context, job_id)

        async with app.open_async():
            working = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self._settings.workers,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    fetch_job_polling_interval=POLL_S,
                    abort_job_polling_interval=POLL_S,
                    update_heartbeat_interval=HEARTBEAT_S,
                    stalled_worker_timeout=STALLED_S,
                )
            )
            while not (self._stop.is_set() or working.done()):
                self._progress.note()
                await asyncio.wait({working}, timeout=AGAIN_AFTER_S / 4)
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working

    def _compute(self, context: JobContext, job_id: str) -> None:
        """Compute the job that Procrastinate fetched, in one of its threads."""
        ticket = context.job.id
        try:
            job = self._claimed(ticket)
            if job is not None:
                self._attempts.run(job, interrupted=context.should_abort)
        except Exception as error:  # noqa: BLE001 - its message may quote the patient's data
            _log.error("job %s: left to be recovered: %s", job_id, type(error).__name__)
        finally:
            self._progress.leave()

    def _claimed(self, ticket: int | None) -> StoredJob | None:
        while not self._stop.is_set():
            self._progress.note()
            try:
                return self._store.claim(ticket)
            except BrainmetsError:
                self._stop.wait(AGAIN_AFTER_S)
        return None


class _PatientConnector(PsycopgConnector):
    """Waits for a database that is away, so that its jobs need no other worker afterwards."""

    async def listen_notify(self, *args: Any, **kwargs: Any) -> None:
        await _patiently(lambda: super(_PatientConnector, self).listen_notify(*args, **kwargs))

    async def execute_query_async(self, *args: Any, **kwargs: Any) -> None:
        await _patiently(
            lambda: super(_PatientConnector, self).execute_query_async(*args, **kwargs)
        )

    async def execute_query_one_async(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return await _patiently(
            lambda: super(_PatientConnector, self).execute_query_one_async(*args, **kwargs)
        )


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.execute(END_IDLE_CHANGES.encode())
    await connection.commit()


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    while True:
        try:
            return await ask()
        except ConnectorException as error:
            if not isinstance(error.__cause__, AWAY):
                raise
        await asyncio.sleep(AGAIN_AFTER_S)


def _log_kind(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say which error nobody awaited, not what it quotes: a late attempt has lost its ticket."""
    _log.info("the queue noted a %s", type(context.get("exception")).__name__)
