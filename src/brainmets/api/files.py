"""Files as answers: ranges that cannot be had, and files deleted meanwhile, are explained."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["File"]

_BAD_RANGE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})


class File(FileResponse):
    """A file, or the range of it that was asked for.

    Raises, before anything is sent:
        HTTPException: 416, the range is malformed or beyond the file.
        FileNotFoundError: the file has been deleted since it was found.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, from the moment that its first bytes are read: it may be deleted until then."""
        begun: list[Message] = []

        async def checked_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _BAD_RANGE:
                headers = {
                    name.decode(): value.decode()
                    for name, value in message["headers"]
                    if name == b"content-range"
                }
                raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            while begun:
                await send(begun.pop())
            await send(message)

        try:
            await super().__call__(scope, receive, checked_send)
        except ValueError as error:  # more digits than a number may have
            raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE) from error
        except RuntimeError as error:  # how the framework says that there is no file
            raise FileNotFoundError(str(self.path)) from error
