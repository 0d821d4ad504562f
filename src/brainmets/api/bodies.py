"""Request bodies that come slowly, that nobody reads to the end, or that a stop cuts short.

Connections that bring no whole request, or take no answer, are closed after a while.

The web server waits for ever for the rest of a request's first lines, and for a caller that does
not read; it has no setting for either.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import ServiceStopping, UploadStalled

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyKeeper", "close_half_open", "noting_stop"]

SILENCE_S = 60.0
"""A body that sends nothing for so long is given up."""

SMALL_BYTES = 64 * 1024
"""A body of at most this is read to its end, and its connection serves on."""

DRAIN_BYTES = 64 * 1024**2
DRAIN_S = 5.0
"""How much of a refused body is read and thrown away, so that the refusal reaches its sender:
closing a connection with unread bytes would reset it and take the answer with it."""


class BodyKeeper:
    """Give up bodies that stop coming, and let every answer arrive.

    Raises, from `receive`:
        UploadStalled: nothing came for `SILENCE_S`.
        ServiceStopping: the service stops, and the body is not there yet.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Guard `app`; the event `stopping` in its application's state signals a stop."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes and goes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)

        async def closing_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.complete:
                if body.small:
                    await body.drain()
                else:
                    message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            if (
                message["type"] == "http.response.body"
                and not message.get("more_body", False)
                and not body.complete
            ):
                await send({**message, "more_body": True})
                await body.drain()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, body.receive, closing_send)


class _Body:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._stopping: asyncio.Event | None = getattr(scope["app"].state, "stopping", None)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        declared = int(length) if length.isdigit() else 0
        chunked = b"transfer-encoding" in headers
        self.complete = not chunked and not declared
        self.small = not chunked and declared <= SMALL_BYTES

    async def receive(self) -> Message:
        if self.complete:
            return await self._receive()  # the end of the connection, however late
        message = await self._in_time(SILENCE_S)
        self.complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def _in_time(self, seconds: float) -> Message:
        coming: asyncio.Task[Message] = asyncio.ensure_future(self._receive())
        waited: set[asyncio.Task[Any]] = {coming}
        if self._stopping is not None:
            waited.add(asyncio.ensure_future(self._stopping.wait()))
        try:
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            for task in waited:
                task.cancel()
        if self._stopping is not None and self._stopping.is_set():
            raise ServiceStopping(
                "an upload while the service stops",
                expected="a service that stays",
                remedy="send it again in a moment",
            )
        raise UploadStalled(
            f"an upload that sent nothing for {seconds:.0f} s",
            expected="its next part",
            remedy="send it again over a faster connection",
        )

    async def drain(self) -> None:
        """Read the rest and throw it away, within bounds."""
        deadline, left = time.monotonic() + DRAIN_S, DRAIN_BYTES
        with suppress(ServiceStopping, UploadStalled):
            while not self.complete and left > 0 and time.monotonic() < deadline:
                message = await self._in_time(max(0.01, deadline - time.monotonic()))
                left -= len(message.get("body", b""))
                self.complete = not message.get("more_body", False)


@contextmanager
def noting_stop(stopping: asyncio.Event) -> Generator[None]:
    """Set the event on SIGTERM or SIGINT, before the web server waits for open streams to end.

    Only a program's main thread may listen to signals; elsewhere nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        handler = earlier[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in earlier:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            if signal.getsignal(number) is note:
                signal.signal(number, handler)


REQUEST_WITHIN_S = 20.0
"""How long a connection may take for a request's first lines, up to the empty one."""

READ_WITHIN_S = 300.0
"""How long a caller may take for what is buffered of an answer: some megabytes at most."""

_PROTOCOLS = (("h11_impl", "H11Protocol"), ("httptools_impl", "HttpToolsProtocol"))


def close_half_open() -> None:
    """Bound both HTTP protocols of uvicorn in this process, once."""
    for module, name in _PROTOCOLS:
        with suppress(ImportError):
            protocol = getattr(importlib.import_module(f"uvicorn.protocols.http.{module}"), name)
            if not hasattr(protocol, "half_open"):
                _bound(protocol)


def _bound(protocol: Any) -> None:
    made, received = protocol.connection_made, protocol.data_received
    paused, resumed = protocol.pause_writing, protocol.resume_writing

    def connection_made(self: Any, transport: Any) -> None:
        made(self, transport)
        _watch(self)

    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        _watch(self)

    def pause_writing(self: Any) -> None:
        paused(self)
        self.unread = self.loop.call_later(READ_WITHIN_S, self.transport.abort)

    def resume_writing(self: Any) -> None:
        resumed(self)
        if self.unread is not None:
            self.unread.cancel()

    protocol.half_open = protocol.unread = None
    protocol.connection_made, protocol.data_received = connection_made, data_received
    protocol.pause_writing, protocol.resume_writing = pause_writing, resume_writing


def _watch(connection: Any) -> None:
    if connection.half_open is None and _waits(connection):
        connection.half_open = connection.loop.call_later(
            REQUEST_WITHIN_S, _close, connection, connection.cycle
        )


def _waits(connection: Any) -> bool:
    """Whether no request is being answered and none is complete; an idle one has its own bound."""
    transport, cycle = connection.transport, connection.cycle
    return (
        not transport.is_closing()
        and transport.get_protocol() is connection  # a web socket has one of its own
        and (cycle is None or cycle.response_complete)
        and connection.timeout_keep_alive_task is None
    )


def _close(connection: Any, cycle: object) -> None:
    connection.half_open = None
    if connection.cycle is cycle and _waits(connection):
        connection.transport.close()
