"""The API's documentation as a page: no script, nothing from outside."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;"
    "margin:2rem auto;padding:0 1rem}summary{cursor:pointer;padding:.3rem 0}"
    "p{white-space:pre-line}b{font-family:monospace}"
)


@router.get("/docs")
def show_documentation(request: Request) -> HTMLResponse:
    """Show what /openapi.json documents, to people."""
    return HTMLResponse("\n".join(_page(request.app.openapi())))


def _page(schema: dict[str, Any]) -> Iterator[str]:
    title = f"{schema['info']['title']} {schema['info']['version']}: the API"
    yield '<!doctype html><html lang="en"><meta charset="utf-8">'
    yield f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>"
    yield f"<p>{_words(schema['info'])}</p>"
    yield '<p>For programs, with schemas and examples: <a href="openapi.json">openapi.json</a></p>'
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    summary = escape(operation.get("summary", ""))
    yield f"<details><summary><b>{escape(name)}</b> {summary}</summary>"
    yield f"<p>{_words(operation)}</p><ul>"
    for parameter in operation.get("parameters", ()):
        yield f"<li><b>{escape(parameter['name'])}</b> ({parameter['in']}) {_words(parameter)}</li>"
    for status, response in operation["responses"].items():
        yield f"<li><b>{status}</b> {_words(response)}</li>"
    yield "</ul></details>"


def _words(described: dict[str, Any]) -> str:
    """Return a description without its Markdown."""
    return escape(described.get("description", "").replace("**", "").replace("`", ""))
