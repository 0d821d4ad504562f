"""Child processes with time limits; one that exceeds them is ended with all its children."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from brainmets.api.child import worker_environment
from brainmets.domain.errors import ServiceStopping

if TYPE_CHECKING:
    from asyncio.subprocess import Process

__all__ = ["end_group", "run_module"]

POLL_S = 0.02
END_WITHIN_S = 10.0
"""How long the end of a killed process, and of its output, is waited for."""


async def run_module(
    module: str, *arguments: str, within_s: float, stopping: asyncio.Event, task: str = ""
) -> bytes | None:
    """Run `python -m <module> <arguments>` with `task` as its input; return what it prints.

    None where it failed or was not done in time: it is then gone, with all it held.

    Raises:
        ServiceStopping: the service was told to stop meanwhile.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=worker_environment(),
        start_new_session=True,
    )
    talk = asyncio.ensure_future(process.communicate(task.encode()))
    ended = asyncio.ensure_future(_ended(process))
    stop = asyncio.ensure_future(stopping.wait())
    waited: set[asyncio.Future[Any]] = {talk, ended, stop}
    try:
        await asyncio.wait({ended, stop}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        in_time = ended.done()
    finally:
        end_group(process.pid)  # also what it started: they may hold its output open
        done, _ = await asyncio.wait({talk, ended}, timeout=END_WITHIN_S)
        for future in waited - done:
            future.cancel()
    if not in_time and stopping.is_set():
        raise ServiceStopping(
            "a service that is stopping",
            expected="a service that stays",
            remedy="ask again in a moment",
        )
    return talk.result()[0] if in_time and talk in done and process.returncode == 0 else None


async def _ended(process: Process) -> None:
    """Return once it has ended; its own `wait` would go on until its output is closed too."""
    while process.returncode is None:
        await asyncio.sleep(POLL_S)


def end_group(leader: int) -> None:
    """Kill a process that leads a group of its own, and all that it started."""
    with suppress(ProcessLookupError, PermissionError):  # gone; macOS raises it for zombies
        os.killpg(leader, signal.SIGKILL)
