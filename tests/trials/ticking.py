"""The service with a ticking task in its event loop, which tells a trial how late it ever was.

`GET /trial/ticks` returns the worst gaps since the last look, in seconds: the whole, without the
time that threads of the server were ready and the machine had no processor for them, and what the
loop itself computed at a stretch.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.main import app as service

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["app"]

TICK_S = 0.03


class _Ticking:
    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._worst = {"worst_s": 0.0, "own_s": 0.0, "computed_s": 0.0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._task is None and scope["type"] == "http":
            self._task = asyncio.create_task(self._tick())
        if scope.get("path") != "/trial/ticks":
            await service(scope, receive, send)
            return
        told = json.dumps(self._worst).encode()
        self._worst = dict.fromkeys(self._worst, 0.0)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})

    async def _tick(self) -> None:
        while True:
            before, waited, computed = time.monotonic(), _waited(), time.thread_time()
            await asyncio.sleep(TICK_S)
            gap = time.monotonic() - before - TICK_S
            found = {
                "worst_s": gap,
                "own_s": gap - _since(waited),
                "computed_s": time.thread_time() - computed,
            }
            self._worst = {name: max(found[name], worst) for name, worst in self._worst.items()}


def _waited() -> dict[str, float]:
    """Seconds that each thread of this process was ready to run and waited for a processor.

    One that holds the interpreter's lock meanwhile keeps the others waiting.
    """
    waited: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            waited[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return waited


def _since(earlier: dict[str, float]) -> float:
    return sum(now - earlier.get(task, 0.0) for task, now in _waited().items())


app = _Ticking()
