"""Write the reference pages that follow from the code: `python -m tests.docs.reference_pages`.

`docs/reference/cli.md` from the Typer commands, `recipes.md` and `settings.md` from pydantic
models, `api.md` from the OpenAPI schema, and `faults.md` from the tests of faults. A test holds
the written pages to what this makes.
"""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from tests.docs.faults import faults_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

__all__ = ["PAGES", "command_line", "commands", "http_api", "recipe", "settings", "write"]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"

MADE = "<!-- Made by `make docs` from the code: change it there. -->\n"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command of the command line with its full name, groups included."""
    import typer.main

    from brainmets.cli.app import app

    waiting = [("brainmets", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop(0)
        yield name, command
        children: dict[str, click.Command] = getattr(command, "commands", {})
        waiting[:0] = [
            (f"{name} {child}", child_command)
            for child, child_command in children.items()
            if not child_command.hidden
        ]


def command_line() -> str:
    """The page on every command, argument and option."""
    parts = ["# The command line\n", MADE]
    for name, command in commands():
        parts.append(f"## {name}\n")
        parts.append(_plain(command.help) + "\n")
        rows = [
            f"| {_spelling(parameter)} | {_default(parameter)} | {_cell(_help(parameter))} |"
            for parameter in command.params
            if not getattr(parameter, "hidden", False)
        ]
        if rows:
            parts.append("| | default | |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def recipe() -> str:
    """The page on every field of a training recipe."""
    from brainmets.training.config import Recipe

    schema = Recipe.model_json_schema()
    parts = ["# Recipes\n", MADE, _fields("Recipe", schema)]
    parts += [_fields(name, part) for name, part in schema.get("$defs", {}).items()]
    return "\n".join(parts)


KEYS = (
    "The commands ask `brainmets serve` on this computer; `uvicorn app.main:app` answers at port"
    ' 8000. Where the service asks for a key, add `-H "Authorization: Bearer $KEY"`.\n'
)


def http_api() -> str:
    """The page on every route of the service."""
    from brainmets.api.app import create_app
    from brainmets.api.routes.documentation import body_fields, curl_example

    schema = create_app().openapi()
    parts = ["# The API\n", MADE, KEYS]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(f"## {method.upper()} {path}\n")
            text = operation.get("description") or operation.get("summary", "")
            parts.append(_plain(text) + "\n")
            command = curl_example(method, path, operation, schema)
            parts.append(f"```text\n{command}\n```\n")
            fields = [
                f"| `{name}` | {_cell(kind)} | {_cell(meaning)} |"
                for name, kind, meaning in body_fields(operation, schema)
            ]
            fields += [
                f"| `{one['name']}` | in the {one['in']} | {_cell(one.get('description', ''))} |"
                for one in operation.get("parameters", ())
            ]
            if fields:
                parts.append("| field | | |\n|---|---|---|\n" + "\n".join(fields) + "\n")
            rows = [
                f"| {code} | {_cell(answer.get('description', ''))} |"
                for code, answer in operation["responses"].items()
            ]
            parts.append("| answer | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def settings() -> str:
    """The page on every setting of the service."""
    from brainmets.api.settings import Settings

    fields = Settings.model_json_schema()["properties"]
    rows = [
        f"| `BRAINMETS_{field.upper()}` | {_json_default(about, missing='')} "
        f"| {_cell(about.get('description', ''))} |"
        for field, about in fields.items()
    ]
    table = "| variable | default | |\n|---|---|---|\n" + "\n".join(rows)
    text = "Environment variables that the service and the page read when they start."
    return f"# Settings of the service\n\n{MADE}\n{text}\n\n{table}\n"


PAGES = {
    "cli.md": command_line,
    "recipes.md": recipe,
    "api.md": http_api,
    "settings.md": settings,
    "faults.md": faults_page,
}


def write() -> None:
    """Write all pages into docs/reference."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


def _fields(name: str, schema: dict[str, Any]) -> str:
    rows = [
        f"| `{field}` | {_type(about)} | {_json_default(about)} "
        f"| {_cell(about.get('description', ''))} |"
        for field, about in schema.get("properties", {}).items()
    ]
    if not rows:
        return ""
    text = _plain(schema.get("description", ""))
    table = "| field | type | default | |\n|---|---|---|---|\n" + "\n".join(rows)
    return f"## {name}\n\n{text}\n\n{table}\n"


def _type(about: dict[str, Any]) -> str:
    for word in ("anyOf", "oneOf"):
        if word in about:
            return " or ".join(_type(choice) for choice in about[word])
    if "$ref" in about:
        name = about["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in about:
        return " or ".join(f"`{value}`" for value in about["enum"])
    if "const" in about:
        return f"`{about['const']}`"
    if about.get("type") == "array":
        return f"list of {_type(about['items'])}" if "items" in about else "list"
    return about.get("type", "any")


def _json_default(about: dict[str, Any], missing: str = "required") -> str:
    if "default" not in about:
        return "" if "const" in about else missing
    value = about["default"]
    return "its own defaults" if isinstance(value, dict) else f"`{value}`"


def _spelling(parameter: click.Parameter) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name or '').upper()}`"
    names = [*parameter.opts, *parameter.secondary_opts]
    return ", ".join(f"`{name}`" for name in names)


def _default(parameter: click.Parameter) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or callable(value) or value is False:
        return ""
    return f"`{value}`"


def _help(parameter: click.Parameter) -> str:
    return getattr(parameter, "help", None) or ""


def _plain(text: str | None) -> str:
    """Help text as Markdown; a paragraph marked `\\b`, to be kept as it is, becomes a block."""
    paragraphs: list[str] = []
    for paragraph in cleandoc((text or "").replace("\f", "").replace("\b", "\\b")).split("\n\n"):
        if paragraph.startswith("\\b\n"):
            title, _, kept = dedent(paragraph.removeprefix("\\b\n")).partition("\n")
            paragraphs.append(f"{title}\n\n```text\n{dedent(kept)}\n```")
        else:
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write()
