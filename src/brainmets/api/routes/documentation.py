"""The API's documentation as a page: no script, nothing from outside."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "localhost:8501"
"""Of `brainmets serve`, in the examples."""

VALUES = {"index": "0", "number": "1", "part": "image.u16"}
NAMES = {"/files/": "all.zip", "/exports/": "report.pdf"}

__all__ = ["body_fields", "curl_example", "router"]

router = APIRouter(include_in_schema=False)

STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;"
    "margin:2rem auto;padding:0 1rem}summary{cursor:pointer;padding:.3rem 0}"
    "p{white-space:pre-line}b{font-family:monospace}pre{overflow:auto;padding:.5rem;"
    "background:rgb(128 128 128/.15)}"
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
    yield (
        "<p>Where the service asks for a key, add"
        ' <code>-H "Authorization: Bearer $KEY"</code> to each command.</p>'
    )
    yield '<p>For programs, with schemas and examples: <a href="openapi.json">openapi.json</a></p>'
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation, schema)


def body_fields(operation: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the name, kind and meaning of each field of a request's body."""
    content = operation.get("requestBody", {}).get("content", {})
    body = _resolved(next(iter(content.values()))["schema"], schema) if content else {}
    required = body.get("required", ())
    return [
        (name, _kind(about, schema) + (", required" if name in required else ""), _meaning(about))
        for name, about in body.get("properties", {}).items()
    ]


def curl_example(method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return a command that sends such a request to `brainmets serve` on this computer."""
    name = next((value for part, value in NAMES.items() if part in path), "mask.nii.gz")
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            wanted = str(parameter["name"])
            value = name if wanted == "name" else VALUES.get(wanted, f"${wanted.upper()}")
            path = path.replace(f"{{{parameter['name']}}}", value)
    options = "" if method == "get" else f" -X {method.upper()}"
    content = operation.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        options = " -F files=@head_t1c.nii.gz"
    elif "application/json" in content:
        body = _resolved(content["application/json"]["schema"], schema)
        options += f" --json '{json.dumps(_example(body, schema), ensure_ascii=False)}'"
    answers = operation["responses"].get("200", {}).get("content", {}).values()
    kept = " -O" if any(one.get("schema", {}).get("format") == "binary" for one in answers) else ""
    return f'curl{options}{kept} "{ADDRESS}{path}"'


def _resolved(about: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in about:
        return about
    return schema["components"]["schemas"][about["$ref"].rpartition("/")[2]]


def _kind(about: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return what a field holds, in words: a reference by what it refers to."""
    about = _resolved(about, schema)
    choices = about.get("anyOf")
    if choices:
        return " or ".join(_kind(one, schema) for one in choices if one.get("type") != "null")
    if "enum" in about:
        return "one of " + ", ".join(map(str, about["enum"]))
    if "const" in about:
        return str(about["const"])
    if about.get("type") == "array" and "items" in about:
        return f"list of {_kind(about['items'], schema)}"
    if about.get("format") == "binary":
        return "file"
    return str(about.get("type", "value"))


def _example(body: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Return a value for the fields that must be given, or the documented example."""
    if "example" in body:
        return body["example"]
    if body.get("examples"):
        return body["examples"][0]
    shown: dict[str, Any] = {}
    for name, about in body.get("properties", {}).items():
        if name in body.get("required", ()):
            about = _resolved(about, schema)  # noqa: PLW2901 - the same field, its schema found
            example = next(iter(about.get("examples", [])), about.get("example"))
            shown[name] = {"integer": 1, "number": 0.5}.get(about.get("type", ""), "…")
            shown[name] = shown[name] if example is None else example
    return shown


def _meaning(about: dict[str, Any]) -> str:
    return str(about.get("description", "")).replace("**", "").replace("`", "")


def _operation(
    method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]
) -> Iterator[str]:
    name = f"{method.upper()} {path}"
    summary = escape(operation.get("summary", ""))
    yield f"<details><summary><b>{escape(name)}</b> {summary}</summary>"
    yield f"<p>{_words(operation)}</p>"
    yield f"<pre>{escape(curl_example(method, path, operation, schema))}</pre><ul>"
    for field, kind, meaning in body_fields(operation, schema):
        yield f"<li><b>{escape(field)}</b> (body; {escape(kind)}) {escape(meaning)}</li>"
    for parameter in operation.get("parameters", ()):
        yield f"<li><b>{escape(parameter['name'])}</b> ({parameter['in']}) {_words(parameter)}</li>"
    for status, response in operation["responses"].items():
        yield f"<li><b>{status}</b> {_words(response)}</li>"
    yield "</ul></details>"


def _words(described: dict[str, Any]) -> str:
    """Return a description without its Markdown."""
    return escape(described.get("description", "").replace("**", "").replace("`", ""))
