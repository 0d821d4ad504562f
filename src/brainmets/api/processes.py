"""Processes of our own that answer within bounds or are ended."""

from __future__ import annotations

import asyncio
import sys

from brainmets.api.child import worker_environment

__all__ = ["run_module"]


async def run_module(module: str, *arguments: str, within_s: float, task: str = "") -> bytes | None:
    """Run `python -m <module> <arguments>` with `task` as its input; return what it prints.

    None where it failed or was not done in time: it is then gone, with all it held.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=worker_environment(),
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(task.encode()), within_s)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed if process.returncode == 0 else None
