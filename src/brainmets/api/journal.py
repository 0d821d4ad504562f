"""What the service says on standard error: jobs by their ids, requests by their paths.

Nothing that a caller chose is said: no file name, no search text, no header of an image. Of a
request's path only the words of our own routes and the ids that we gave are shown.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TYPE_CHECKING

from brainmets.api.quiet import FORMAT, strip_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestLog", "Watching", "speak"]

_UNLISTED = frozenset({"docs", "openapi.json"})
"""Routes of ours that the schema does not list."""

_ID = re.compile(r"[0-9a-f]{16}|")


def speak(level: str, paths: Iterable[str]) -> None:
    """Let brainmets' own lines appear from `level` on, and make uvicorn's discreet.

    `paths` are those of the routes, whose words may be shown.
    """
    logger = logging.getLogger("brainmets")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
    strip_texts()
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(present, _Discreet) for present in access.filters):
        access.addFilter(_Discreet(_words_of(paths)))


class Watching:
    """Passes every request on, and looks at its status and seconds when it has ended."""

    def __init__(self, app: ASGIApp) -> None:
        """Watch `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        finally:
            self.ended(scope, status, time.monotonic() - started)

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Look at a request that has ended; 500 where nothing was answered."""
        raise NotImplementedError


class RequestLog(Watching):
    """Logs each request as uvicorn would, where the server around it logs none."""

    def __init__(self, app: FastAPI) -> None:
        """Watch `app`, whose routes' words may be shown."""
        super().__init__(app)
        self._paths = lambda: app.openapi()["paths"]
        self._log = logging.getLogger("brainmets.requests")
        self._words: frozenset[str] | None = None

    def ended(self, scope: Scope, status: int, seconds: float) -> None:
        """Log the request."""
        if self._words is None:
            self._words = _words_of(self._paths())
        path = _shown(scope["path"].removeprefix(scope.get("root_path", "")), self._words)
        method = scope["method"] if scope["method"].isalpha() else "…"
        self._log.info("%s %s %d %.3f s", method, path, status, seconds)


def _words_of(paths: Iterable[str]) -> frozenset[str]:
    return _UNLISTED | {word for path in paths for word in path.split("/")}


def _shown(path: str, words: frozenset[str]) -> str:
    """Keep of a path only the words of known routes and ids that the service issued."""
    parts = path.partition("?")[0].split("/")
    return "/".join(part if part in words or _ID.fullmatch(part) else "…" for part in parts)


class _Discreet(logging.Filter):
    """Leaves of uvicorn's access lines what no caller chose."""

    def __init__(self, words: frozenset[str]) -> None:
        super().__init__()
        self._words = words

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _shown(argument, self._words)
                if isinstance(argument, str) and argument.startswith("/")
                else argument
                for argument in record.args
            )
        return True
