"""Limits and doors in front of every route, below any framework that might buffer a body.

Guessing keys takes long: after ten wrong ones, an address has one tried a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brainmets.api.problems import MEDIA_TYPE, problem_of
from brainmets.api.sessions import host_of, session_of, sound_origin
from brainmets.domain.errors import (
    BadRequest,
    BrainmetsError,
    TooManyTries,
    Unauthorised,
    UploadTooLarge,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from brainmets.api.sessions import Sessions

__all__ = ["LOCAL_OWNER", "Authentication", "ByteCap", "KeyGuard"]

LOCAL_OWNER = "local"
"""The owner of every job where no API key is configured."""

MOST_DIGITS = 18
"""Of a body's declared length."""

_OPEN_PATHS = frozenset({"/healthz", "/readyz"})


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _answer(send: Send, error: BrainmetsError, status: int) -> None:
    body = problem_of(error, status=status).model_dump_json().encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _OverLimitError(Exception):
    pass


UPLOADS = frozenset({"/v1/jobs", "/v1/uploads"})
"""Where images come in; every other body is JSON, and small."""

JSON_BYTES = 1024**2
REVIEW_BYTES = 20 * 1024**2
"""Of 10,000 lesions, each with a comment, and a drawing of 16 million letters."""

DRAWN = frozenset({("PUT", "review"), ("POST", "drawing")})
"""Requests that hold a drawing, by method and the last part of their path."""

MOST_JSON_VALUES = 100_000
"""Values that a JSON body may hold: reading more would hold up every other request."""


class ByteCap:
    """Answer 413 as soon as a body, declared or chunked, grows beyond the limit.

    Uploads may have `limit_bytes`, reviews and drawings `REVIEW_BYTES`, everything else
    `JSON_BYTES`.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int) -> None:
        """Guard `app`."""
        self._app = app
        self._uploads = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bound = self._bound(scope)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0").lstrip(b"0")
        if declared.isdigit() and (len(declared) > MOST_DIGITS or int(declared) > bound.bytes):
            await _answer(send, bound.refusal(), 413)
            return
        received = values = 0
        over = started = False

        async def counting_receive() -> Message:
            nonlocal received, values, over
            message = await receive()
            body: bytes = message.get("body", b"")
            received += len(body)
            if bound.values:
                values += sum(body.count(mark) for mark in (b"[", b"{", b","))
            over = received > bound.bytes or values > bound.values > 0
            if over:
                raise _OverLimitError
            return message

        async def noting_send(message: Message) -> None:
            nonlocal started
            if over and not started:
                raise _OverLimitError  # the application took it for a body that cannot be read
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, counting_receive, noting_send)
        except _OverLimitError:
            if not started:
                await _answer(send, bound.refusal(), 413)

    def _bound(self, scope: Scope) -> _Bound:
        path = _path(scope)
        if scope["method"] == "POST" and path in UPLOADS:
            return _Bound(self._uploads, 0)
        drawn = (scope["method"], path.rpartition("/")[2]) in DRAWN
        return _Bound(min(self._uploads, REVIEW_BYTES if drawn else JSON_BYTES), MOST_JSON_VALUES)


@dataclass(frozen=True, slots=True)
class _Bound:
    """How large a request's body may be; `values` are those of JSON, 0 for images."""

    bytes: int
    values: int

    def refusal(self) -> UploadTooLarge:
        if not self.values:
            return UploadTooLarge(
                f"a request larger than {self.bytes} bytes",
                expected=f"at most {self.bytes} bytes",
                remedy="send fewer images at once, or raise BRAINMETS_MAX_UPLOAD_BYTES",
            )
        return UploadTooLarge(
            f"a request larger than {self.bytes} bytes or {self.values} values",
            expected="the form that /openapi.json documents",
            remedy="correct the request; images go to /v1/jobs or /v1/uploads",
        )


class Authentication:
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
        self._guard = KeyGuard()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["brainmets.owner"]`."""
        if scope["type"] == "http" and not _sound_host(scope):
            await _answer(send, _odd_host(), 400)
            return
        if scope["type"] == "http" and _path(scope) not in _OPEN_PATHS:
            try:
                owner = await self._owner_by_key(scope) if self._keys else self._owner_nearby(scope)
            except TooManyTries as error:
                await _answer(send, error, 429)
                return
            if isinstance(owner, Unauthorised):
                await _answer(send, owner, 401 if self._keys else 403)
                return
            scope["brainmets.owner"] = owner
        await self._app(scope, receive, send)

    async def _owner_by_key(self, scope: Scope) -> str | Unauthorised:
        """Name the holder of a key or a token; whoever guesses keys waits longer and longer."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        shown = headers.get(b"authorization", b"")
        owner = self._owner_by_token(scope, headers)
        if owner is not None or not shown:
            return owner or _no_key()
        address, digest = _address(scope), hashlib.sha256(shown).hexdigest()
        await self._guard.admit(address, digest)
        owner = self._holder(scope, shown)
        self._guard.note(address, digest, right=owner is not None)
        return owner or _no_key()

    def _holder(self, scope: Scope, shown: bytes) -> str | None:
        scheme, _, key = shown.partition(b" ")
        given = hashlib.sha256(key.strip()).hexdigest()
        for digest, name in self._keys.items():
            if scheme.lower() == b"bearer" and hmac.compare_digest(digest, given):
                scope["brainmets.key"] = digest
                return name
        return None

    def _owner_by_token(self, scope: Scope, headers: dict[bytes, bytes]) -> str | None:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        token = ""
        if scheme.lower() == b"bearer":
            token = key.strip().decode("latin-1")
        elif sound_origin(scope["method"], headers):
            token = session_of(headers)
        owner = self._sessions.owner(token) if self._sessions and token else None
        if owner is not None:
            scope["brainmets.token"] = token
        return owner

    def _owner_nearby(self, scope: Scope) -> str | Unauthorised:
        client: tuple[str, int] | None = scope.get("client")
        headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        origin = headers.get("origin", "")
        names = [host_of(f"//{headers.get('host', '')}")]
        if origin:
            names.append(host_of(origin))
        if client is not None and _is_local(client[0]) and all(map(_is_local, names)):
            return LOCAL_OWNER
        return Unauthorised(
            "a request from beyond this computer",
            expected="requests from this computer only, as no API key is configured",
            remedy="set BRAINMETS_API_KEYS_SHA256 before serving others",
        )


def _no_key() -> Unauthorised:
    return Unauthorised(
        "no valid API key with the request",
        expected="the header `Authorization: Bearer <key>`",
        remedy="ask the administrator of this service for a key",
    )


def _address(scope: Scope) -> str:
    """The caller's address; of IPv6 the network, as one computer has many addresses in it."""
    client: tuple[str, int] | None = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return "?"
    if address.version == 6:
        return str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)


def _sound_host(scope: Scope) -> bool:
    """Whether addresses can be made of the host that the request names."""
    host = dict[bytes, bytes](scope["headers"]).get(b"host", b"").decode("latin-1")
    return not host or host_of(f"//{host}") is not None


def _odd_host() -> BadRequest:
    return BadRequest(
        "a Host header that names no host",
        expected="the name or address of this service",
        remedy="correct the header",
    )


def _is_local(name: str | None) -> bool:
    if name in {"localhost", "testserver", "testclient"}:  # the last two: Starlette's test client
        return True
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False


FREE_TRIES = 10
EVERY_S = 1.0
FORGOTTEN_AFTER_S = 300.0
"""Since the last wrong key of an address."""

MOST_WAITING = 5
"""Requests of one address that wait for their turn; more are refused at once."""

MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Address:
    wrong: int = 0
    last: float = 0.0
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    good: set[str] = field(default_factory=set[str])
    """Digests of keys that were right from here: their holders wait for nobody's guesses."""


class KeyGuard:
    """What is remembered of the addresses that sent wrong keys."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    async def admit(self, address: str, digest: str) -> None:
        """Wait until this address may try the key with this digest.

        Raises:
            TooManyTries: too many of its requests wait already.
        """
        known = self._addresses.get(address)
        if known is None or known.wrong < FREE_TRIES or digest in known.good:
            return
        if time.monotonic() - known.last > FORGOTTEN_AFTER_S:
            known.wrong = 0
            return
        if known.waiting >= MOST_WAITING:
            raise TooManyTries(
                "too many requests with wrong keys from one address",
                expected=f"one every {EVERY_S:.0f} s after the first {FREE_TRIES}",
                remedy="wait, then send the right key",
            )
        known.waiting += 1
        try:
            async with known.turn:
                await asyncio.sleep(EVERY_S)
        finally:
            known.waiting -= 1

    def note(self, address: str, digest: str, *, right: bool) -> None:
        """Note how a try ended."""
        known = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        if right:
            known.good.add(digest)
        else:
            known.wrong += 1
            known.last = time.monotonic()
        while len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
