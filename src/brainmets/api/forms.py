"""Multipart uploads, written to disk as they come: memory stays small, however large they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from brainmets.api.storage import room_for
from brainmets.domain import Sequence
from brainmets.domain.errors import BadRequest, UploadStalled

if TYPE_CHECKING:
    from brainmets.api.settings import Settings
    from brainmets.api.staging import Incoming, Staging

__all__ = ["FILES_FORM", "JOB_FORM", "Fields", "receive_form"]

FLUSH_BYTES = 1024 * 1024
MOST_FIELDS = 32
LONGEST_FIELD_BYTES = 16 * 1024
LONGEST_NAME_BYTES = 4096

Fields = dict[str, list[str]]

_FILES: dict[str, Any] = {
    "files": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "format": "binary"},
        "description": "1–4 NIfTI files on one grid; or DICOM files, or a zip of them; or PNG,"
        " JPEG or TIFF slices.",
    }
}

_CHOICES: dict[str, Any] = {
    "model": {
        "type": "string",
        "description": "A name from /v1/models.",
        "example": "attention-unet-3d",
    },
    "threshold": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "Lowest probability of a marked voxel; default: the model's threshold.",
        "example": 0.4,
    },
    "series": {
        "type": "string",
        "maxLength": 128,
        "pattern": r"^[0-9A-Za-z.\-_:]+$",
        "description": "A DICOM series: number, UID or `line:N`, its line in the list.",
    },
    "sequences": {
        "type": "array",
        "items": {"type": "string", "enum": list(get_args(Sequence))},
        "description": "The sequence of each NIfTI file, in the order of the files.",
    },
}


def _documented(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["files"], "properties": properties}
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


FILES_FORM, JOB_FORM = _documented(_FILES), _documented(_FILES | _CHOICES)
"""How the OpenAPI schema documents the forms: files alone, and with what to do with them."""


async def receive_form(request: Request, staging: Staging, settings: Settings) -> Fields:
    """Stage the files of a form's field `files`; return its other fields.

    Raises:
        BadRequest: the body is no such form.
        DiskFull: it does not fit, or would leave less room than must stay.
        UploadStalled: its sender went away.
    """
    form = _Form(staging, settings)
    boundary = _boundary(request, settings)
    pending = 0
    room_for(
        settings.state_dir,
        min_free_bytes=settings.min_free_bytes,
        coming_bytes=_declared(request),
    )
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            pending += len(chunk)
            if pending >= FLUSH_BYTES:
                await run_in_threadpool(form.flush)
                pending = 0
        await run_in_threadpool(form.flush)
        if not form.ended:
            raise _no_form(settings)
    except (FormParserError, UnicodeDecodeError) as error:
        raise _no_form(settings) from error
    except ClientDisconnect as error:
        raise UploadStalled(
            "an upload whose sender went away",
            expected="the whole of it",
            remedy="send it again",
        ) from error
    finally:
        form.close()
    return form.fields


def _boundary(request: Request, settings: Settings) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise _no_form(settings)
    return boundary


def _declared(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    name: str = ""
    holds_file: bool = False
    """A browser sends one without name or content for a field that was left empty."""
    file: Incoming | None = None
    text: bytearray = field(default_factory=bytearray)


class _Form:
    """What the parser has told so far; writing waits for `flush`, off the event loop."""

    def __init__(self, staging: Staging, settings: Settings) -> None:
        self._staging = staging
        self._settings = settings
        self._part = _Part()
        self._header = [b"", b""]
        self._files = 0
        self._writes: list[tuple[Incoming, bytes | None]] = []
        self.fields: Fields = {}
        self.ended = False

    def callbacks(self) -> Any:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": partial(self._on_header, 0),
            "on_header_value": partial(self._on_header, 1),
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def flush(self) -> None:
        """Write what has come."""
        room_for(self._settings.state_dir, min_free_bytes=self._settings.min_free_bytes)
        for file, data in self._writes:
            if data is None:
                file.finish()
            else:
                file.write(data)
        self._writes.clear()

    def close(self) -> None:
        """Close the file that a broken upload left open."""
        for file, _ in self._writes:
            file.close()
        if self._part.file is not None:
            self._part.file.close()

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header(self, which: int, data: bytes, start: int, end: int) -> None:
        self._header[which] += data[start:end]
        if len(self._header[which]) > LONGEST_NAME_BYTES:
            raise _no_form(self._settings)

    def _on_header_end(self) -> None:
        name, value = self._header
        self._part.headers[name.lower()] = value
        self._header = [b"", b""]

    def _on_headers_finished(self) -> None:
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"name" not in options:
            raise _no_form(self._settings)
        self._part.name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            self._files += 1
            if self._part.name != "files" or self._files > self._settings.max_files:
                raise _no_form(self._settings)
            self._part.holds_file = True
            name = options[b"filename"].decode("utf-8", "replace")
            if name:
                self._part.file = self._staging.open(name)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.holds_file:
            self._part.file = self._part.file or self._staging.open("file")
            self._writes.append((self._part.file, data[start:end]))
            return
        self._part.text += data[start:end]
        if len(self._part.text) > LONGEST_FIELD_BYTES:
            raise _no_form(self._settings)

    def _on_part_end(self) -> None:
        part = self._part
        if part.holds_file:
            if part.file is not None:
                self._writes.append((part.file, None))
            return
        if part.name == "files" or sum(map(len, self.fields.values())) >= MOST_FIELDS:
            raise _no_form(self._settings)
        self.fields.setdefault(part.name, []).append(part.text.decode())

    def _on_end(self) -> None:
        self.ended = True


def _no_form(settings: Settings) -> BadRequest:
    return BadRequest(
        "a body that is not a form with files",
        expected=f"multipart/form-data with at most {settings.max_files} images in the field"
        " `files`",
        remedy="send it as /openapi.json documents",
    )
