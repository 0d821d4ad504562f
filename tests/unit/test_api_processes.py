"""Processes that the service starts are ended in time, or with it."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from brainmets.api.processes import run_module
from brainmets.domain.errors import ServiceStopping

if TYPE_CHECKING:
    from collections.abc import Coroutine

LONG_S = 60.0
"""Far longer than an ending takes even on a loaded machine, far shorter than waiting it out."""


def finished(work: Coroutine[Any, Any, bytes | None]) -> bytes | None:
    """Run to the end in a thread: a browser test may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def test_what_is_printed_comes_back_and_a_failure_is_none() -> None:
    async def ask(module: str, *arguments: str) -> bytes | None:
        return await run_module(module, *arguments, within_s=60, stopping=asyncio.Event())

    assert finished(ask("base64", "-t")) is not None
    assert finished(ask("no_such_module")) is None


def test_one_that_takes_too_long_is_ended() -> None:
    async def wait() -> bytes | None:
        return await run_module("http.server", "0", within_s=0.5, stopping=asyncio.Event())

    started = time.monotonic()
    assert finished(wait()) is None
    assert time.monotonic() - started < LONG_S


def test_a_stop_ends_one_that_is_at_work() -> None:
    async def stop_while_waiting() -> bytes | None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stopping.set)
        return await run_module("http.server", "0", within_s=10 * LONG_S, stopping=stopping)

    started = time.monotonic()
    with pytest.raises(ServiceStopping):
        finished(stop_while_waiting())
    assert time.monotonic() - started < LONG_S
