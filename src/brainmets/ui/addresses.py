"""Which part of `brainmets serve` answers at which address: the page, or the service.

The service answers at its documented addresses and under `/api`. Streamlit answers every address
that it does not know with the page: such an answer becomes 404 here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from brainmets.api.problems import MEDIA_TYPE, problem_of
from brainmets.domain.errors import BadRequest

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["API_PATH", "FOLLOWUP", "PAST", "not_found", "service_routes"]

API_PATH = "/api"
VERSION = "/v1"
SINGLE = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")
"""With `/v1/…` the documented addresses of the service."""

PAST, FOLLOWUP = "past", "followup"
PAGES = frozenset({"/", f"/{PAST}", f"/{FOLLOWUP}"})

_NO_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>brainmets: no such page</title>'
    "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui;margin:4rem auto;"
    "max-width:32rem;padding:0 1rem}</style><h1>There is no page at this address</h1>"
    '<p><a href="/">Segment a scan</a> · <a href="/past">Past results</a>'
    ' · <a href="/followup">Follow-up</a> · <a href="/docs">API documentation</a></p>'
)


def service_routes(service: ASGIApp) -> list[BaseRoute]:
    """Return the routes that lead to the service: under `/api` and at its documented addresses."""
    at_root = _AtRoot(service)
    return [
        Mount(API_PATH, app=service),
        Mount(VERSION, app=at_root),
        *(Route(path, endpoint=at_root) for path in SINGLE),
    ]


def not_found() -> Middleware:
    """Return the middleware that answers 404 at an address that is neither page nor file."""
    return Middleware(_NotFound)


class _AtRoot:
    """Hands a mounted request on with its whole path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": ""}, receive, send)


class _NotFound:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_known(scope["path"]):
            await self._app(scope, receive, send)
            return
        replaced = False

        async def checked(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_page(message):
                replaced = True
                for part in _answer(scope):
                    await send(part)
            elif not replaced:
                await send(message)

        await self._app(scope, receive, checked)


def _is_known(path: str) -> bool:
    return path in PAGES or path in SINGLE or path.startswith((f"{API_PATH}/", f"{VERSION}/"))


def _is_page(start: Message) -> bool:
    headers = {name.lower(): value for name, value in start["headers"]}
    kind = headers.get(b"content-type", b"")
    return start["status"] in {200, 304} and kind.startswith(b"text/html")


def _answer(scope: Scope) -> tuple[Message, Message]:
    """The 404 for people as a page, for programs as a problem."""
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    if b"text/html" in accepted:
        kind, body = "text/html; charset=utf-8", _NO_PAGE.encode()
    else:
        error = BadRequest(
            "an address that brainmets does not know",
            expected="a page, or a path that /openapi.json documents",
            remedy="correct the address",
        )
        kind, body = MEDIA_TYPE, problem_of(error, status=404).model_dump_json().encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    start: Message = {"type": "http.response.start", "status": 404, "headers": headers}
    shown = b"" if scope["method"] == "HEAD" else body
    return start, {"type": "http.response.body", "body": shown}
