"""Limits and doors in front of every route, below any framework that might buffer a body."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from brainmets.api.problems import MEDIA_TYPE, problem_of
from brainmets.api.sessions import session_of, sound_origin
from brainmets.domain.errors import BrainmetsError, Unauthorised, UploadTooLarge

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from brainmets.api.sessions import Sessions

__all__ = ["LOCAL_OWNER", "ByteCap", "Doorkeeper"]

LOCAL_OWNER = "local"
"""The owner of every job where no API key is configured."""

_OPEN_PATHS = frozenset({"/healthz", "/readyz"})


async def _answer(send: Send, error: BrainmetsError, status: int) -> None:
    body = problem_of(error, status=status).model_dump_json().encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _OverLimitError(Exception):
    pass


class ByteCap:
    """Answer 413 as soon as a body, declared or chunked, grows beyond the limit."""

    def __init__(self, app: ASGIApp, *, limit_bytes: int) -> None:
        """Guard `app`."""
        self._app = app
        self._limit = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refuse(send)
            return
        received = 0
        started = False

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise _OverLimitError
            return message

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, counting_receive, noting_send)
        except _OverLimitError:
            if not started:
                await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        error = UploadTooLarge(
            f"a request larger than {self._limit} bytes",
            expected=f"at most {self._limit} bytes",
            remedy="send fewer images at once, or raise BRAINMETS_MAX_UPLOAD_BYTES",
        )
        await _answer(send, error, 413)


class Doorkeeper:
    """Name the caller of each request, or refuse it.

    Without keys only this computer is served, and only when asked by a local name, so that a
    web page elsewhere cannot reach the service through the user's browser. With keys, callers
    show one as `Authorization: Bearer …`, or the token that signing in gave them, there or as a
    cookie, and see their own jobs only.
    """

    def __init__(
        self, app: ASGIApp, *, keys: dict[str, str], sessions: Sessions | None = None
    ) -> None:
        """Guard `app`; `keys` maps the SHA-256 of each key to its caller's name."""
        self._app = app
        self._keys = keys
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["brainmets.owner"]`."""
        if scope["type"] == "http" and self._path(scope) not in _OPEN_PATHS:
            owner = self._owner_by_key(scope) if self._keys else self._owner_nearby(scope)
            if isinstance(owner, Unauthorised):
                await _answer(send, owner, 401 if self._keys else 403)
                return
            scope["brainmets.owner"] = owner
        await self._app(scope, receive, send)

    @staticmethod
    def _path(scope: Scope) -> str:
        path: str = scope["path"]
        return path.removeprefix(scope.get("root_path", ""))

    def _owner_by_key(self, scope: Scope) -> str | Unauthorised:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        shown = hashlib.sha256(key.strip()).hexdigest()
        token = ""
        if scheme.lower() == b"bearer":
            for digest, name in self._keys.items():
                if hmac.compare_digest(digest, shown):
                    scope["brainmets.key"] = digest
                    return name
            token = key.strip().decode("latin-1")
        elif sound_origin(scope["method"], headers):
            token = session_of(headers)
        owner = self._sessions.owner(token) if self._sessions and token else None
        if owner is not None:
            return owner
        return Unauthorised(
            "no valid API key with the request",
            expected="the header `Authorization: Bearer <key>`",
            remedy="ask whoever runs this service for a key",
        )

    def _owner_nearby(self, scope: Scope) -> str | Unauthorised:
        client: tuple[str, int] | None = scope.get("client")
        headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        origin = headers.get("origin", "")
        names: list[Any] = [urlsplit(f"//{headers.get('host', '')}").hostname]
        if origin:
            names.append(urlsplit(origin).hostname)
        if client is not None and _is_local(client[0]) and all(map(_is_local, names)):
            return LOCAL_OWNER
        return Unauthorised(
            "a request from beyond this computer",
            expected="requests from this computer only, as no API key is configured",
            remedy="set BRAINMETS_API_KEYS_SHA256 before serving others",
        )


def _is_local(name: str | None) -> bool:
    if name in {"localhost", "testserver", "testclient"}:  # the last two: Starlette's test client
        return True
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False
