"""How the OpenAPI schema documents answers: each with an example, each refusal with its code.

And files as answers: ranges that cannot be had, and files deleted meanwhile, are explained.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from brainmets.api.problems import MEDIA_TYPE, RETRIED, problem_of
from brainmets.api.schemas import Problem
from brainmets.domain import errors

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.types import Message, Receive, Scope, Send

    from brainmets.domain.errors import BrainmetsError

__all__ = ["OF_BODIES", "File", "bytes_answer", "events_answer", "json_answer", "refusals"]

Answers = dict[int | str, dict[str, Any]]

OF_BODIES = (
    errors.BadRequest,
    errors.UploadTooLarge,
    errors.UploadStalled,
    errors.ServiceStopping,
)
"""How a request with a body may be refused, whatever is in it."""

_OCCASIONS: tuple[BrainmetsError, ...] = (
    errors.Unauthorised(
        "no valid API key with the request",
        expected="the header `Authorization: Bearer <key>`",
        remedy="ask the administrator of this service for a key",
    ),
    errors.UnknownJob(
        "no job of yours with this id",
        expected="the id that a submission returned",
        remedy="submit the images again; deleted jobs do not come back",
    ),
    errors.NoDicom(
        "no MR series of that study",
        expected="a study that the service has",
        remedy="check the Study Instance UID",
    ),
    errors.ServiceUnreachable(
        "no readable answer from the DICOMweb service",
        expected="QIDO-RS and WADO-RS at that address",
        remedy="try again, or ask the administrator of the PACS",
    ),
    errors.JobNotFinished(
        "a job that is running",
        expected="a job that is done",
        remedy="wait for it, or look at its problem",
    ),
    errors.ReviewChanged(
        "review 4, saved by Dr Example, where review 3 was to be replaced",
        expected="the number of the last saved review in `replaces`",
        remedy="load that review, or save yours over it without `replaces`",
    ),
    errors.BadRequest(
        "unusable values in threshold",
        expected="the form that /openapi.json documents",
        remedy="correct the request",
    ),
    errors.UnknownModel(
        "a model that is not installed here",
        expected="a name from /v1/models",
        remedy="choose one of them, or leave the model out",
    ),
    errors.OptionError(
        "values that make no operating point",
        expected="0 < threshold ≤ peak ≤ 1",
        remedy="lower the threshold or raise the peak",
    ),
    errors.FileMissing(
        "an upload without a file",
        expected="one to four NIfTI files, DICOM files or a zip of them, or slice images",
        remedy="choose the images and send them in the form field `files`",
    ),
    errors.MissingSequence(
        "t1c among 2 images",
        expected="one NIfTI file for each of t1c, flair",
        remedy="say which image is which, or choose a model that needs fewer",
    ),
    errors.QueueFull("32 jobs waiting", expected="fewer than 32", remedy="try again in 20 seconds"),
    errors.UploadTooLarge(
        "a request larger than 2147483648 bytes",
        expected="at most 2147483648 bytes",
        remedy="send fewer images at once, or raise BRAINMETS_MAX_UPLOAD_BYTES",
    ),
    errors.UploadStalled(
        "an upload that sent nothing for 60 s",
        expected="its next part",
        remedy="send it again over a faster connection",
    ),
    errors.DiskFull(
        "too little free disk space on the server",
        expected="free disk space for the upload and its result",
        remedy="delete old jobs, or try again later",
    ),
    errors.OutOfMemory(
        "a result that could not be written as report.pdf in the memory and time there is",
        expected="one that is written within 180 s",
        remedy="try again when fewer jobs run",
    ),
    errors.NothingToExport(
        "no lesion in the result",
        expected="at least one for an RT Structure Set, which has no valid form without regions",
        remedy="take the DICOM Segmentation, which can say that there is none, or another format",
    ),
    errors.BundleTampered(
        "weights of attention-unet-3d that differ from their SHA-256",
        expected="the files that the bundle was published with",
        remedy="install the bundle again",
    ),
    errors.ServiceStopping(
        "a service that is stopping",
        expected="a service that stays",
        remedy="send it again in a moment",
    ),
    errors.StorageUnavailable(
        "a data folder that cannot be written, or is not there",
        expected="the folder BRAINMETS_STATE_DIR, writable",
        remedy="try again later; jobs go on by themselves when it is back",
    ),
    errors.StoreUnavailable(
        "a job list that does not answer",
        expected="the database of the service",
        remedy="try again in 20 seconds; jobs already taken in are safe",
    ),
    errors.Unforeseen(
        "a fault that brainmets did not foresee",
        expected="an answer or an explained refusal",
        remedy="please report it with the lines of the service's log",
    ),
)

_EXAMPLES: dict[type[BrainmetsError], BrainmetsError] = {type(error): error for error in _OCCASIONS}


_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer"}}


def refusals(*kinds: type[BrainmetsError]) -> Answers:
    """Document refusals by status, each code with an example.

    Those that every route may give are added: no key, not from here, the job list or
    the data folder out of reach, a fault of ours.
    """
    answers: Answers = {}
    everywhere = (
        errors.Unauthorised,
        errors.StoreUnavailable,
        errors.StorageUnavailable,
        errors.Unforeseen,
    )
    for kind in (*kinds, *everywhere):
        _add(answers, problem_of(_occasion(kind)))
    abroad = errors.Unauthorised(
        "a request from beyond this computer",
        expected="requests from this computer only, as no API key is configured",
        remedy="set BRAINMETS_API_KEYS_SHA256 before serving others",
    )
    _add(answers, problem_of(abroad, status=HTTPStatus.FORBIDDEN))
    for status, answer in answers.items():
        if status in RETRIED:
            answer["headers"] = {"Retry-After": _RETRY_AFTER}
    return dict(sorted(answers.items(), key=lambda item: str(item[0])))


def _occasion(kind: type[BrainmetsError]) -> BrainmetsError:
    """Return the example of a kind of error: one is to be written above for each in use."""
    return _EXAMPLES[kind]


def _add(answers: Answers, problem: Problem) -> None:
    answer = answers.setdefault(
        problem.status,
        {
            "description": "",
            "content": {MEDIA_TYPE: {"schema": _reference(Problem.__name__), "examples": {}}},
        },
    )
    titles = [answer["description"], f"`{problem.code}` {problem.title}"]
    answer["description"] = " ".join(filter(None, titles))
    examples = answer["content"][MEDIA_TYPE]["examples"]
    examples[problem.code] = {"value": problem.model_dump(mode="json")}


def json_answer(example: BaseModel | list[Any], status: int = 200, text: str = "") -> Answers:
    """Document a JSON answer by an example of its model, or of a list of its models."""
    if isinstance(example, list):
        value: Any = [item.model_dump(mode="json") for item in example]
        schema = {"type": "array", "items": _reference(type(example[0]).__name__)}
    else:
        value = example.model_dump(mode="json")
        schema = _reference(type(example).__name__)
    content = {"application/json": {"schema": schema, "example": value}}
    return {status: {"description": text or HTTPStatus(status).phrase, "content": content}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def bytes_answer(media_type: str, text: str, example: str = "") -> Answers:
    """Document an answer that is not JSON."""
    schema = {"type": "string"} if example else {"type": "string", "format": "binary"}
    content = {"schema": schema} | ({"example": example} if example else {})
    return {200: {"description": text, "content": {media_type: content}}}


def events_answer(example: BaseModel) -> Answers:
    """Document a stream of server-sent events by one of them, its data as JSON text."""
    schema = {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string", "enum": ["progress", "deleted"]},
            "data": {"type": "string", "description": f"`{type(example).__name__}` as JSON"},
        },
    }
    event = {"event": "progress", "data": example.model_dump_json()}
    content = {"text/event-stream": {"itemSchema": schema, "example": event}}
    return {200: {"description": "One event per change, to the end", "content": content}}


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
