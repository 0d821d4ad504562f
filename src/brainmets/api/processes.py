"""Processes of our own that answer within bounds or are ended."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from brainmets.api.child import worker_environment
from brainmets.domain.errors import ServiceStopping

if TYPE_CHECKING:
    from asyncio.subprocess import Process

__all__ = ["run_module"]


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
    )
    talk = asyncio.ensure_future(process.communicate(task.encode()))
    stop = asyncio.ensure_future(stopping.wait())
    waited: set[asyncio.Future[Any]] = {talk, stop}
    try:
        await asyncio.wait(waited, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        printed = talk.result()[0] if talk.done() else None
    finally:
        await _end(process)
        for future in waited:
            future.cancel()
    if printed is None and stopping.is_set():
        raise ServiceStopping(
            "a service that is stopping",
            expected="a service that stays",
            remedy="ask again in a moment",
        )
    return printed if process.returncode == 0 else None


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
