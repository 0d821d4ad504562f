"""Connections that bring no whole request, or take no answer, are closed after a while.

The web server waits for ever for the rest of a request's first lines, and for a caller that does
not read; it has no setting for either.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

__all__ = ["READ_WITHIN_S", "REQUEST_WITHIN_S", "close_half_open"]

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
