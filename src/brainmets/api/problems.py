"""Errors as problem+json: every refusal has a stable code, a sentence and a remedy."""

from __future__ import annotations

from http import HTTPStatus

from brainmets.api.schemas import Problem
from brainmets.domain import errors
from brainmets.domain.errors import BrainmetsError

__all__ = ["MEDIA_TYPE", "RETRIED", "Refused", "error_of", "problem_of", "status_of"]

MEDIA_TYPE = "application/problem+json"

RETRIED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Refusals that say when to try again."""

_STATUS: dict[type[BrainmetsError], int] = {
    errors.UnknownJob: HTTPStatus.NOT_FOUND,
    errors.JobNotFinished: HTTPStatus.CONFLICT,
    errors.JobCancelled: HTTPStatus.CONFLICT,
    errors.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unauthorised: HTTPStatus.UNAUTHORIZED,
    errors.BadRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ServiceUnreachable: HTTPStatus.BAD_GATEWAY,
    errors.ServiceStopping: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooManyTries: HTTPStatus.TOO_MANY_REQUESTS,
    errors.WorkersStalled: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StorageUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UploadStalled: HTTPStatus.REQUEST_TIMEOUT,
    errors.JobError: HTTPStatus.CONFLICT,
    errors.DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.OutOfMemory: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.UnknownModel: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.WrongModelKind: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ModelError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.OptionError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BrainmetsError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status_of(error: BrainmetsError) -> int:
    """Return the HTTP status of the nearest ancestor that has one."""
    return next(int(_STATUS[kind]) for kind in type(error).__mro__ if kind in _STATUS)


def problem_of(error: BrainmetsError, *, status: int | None = None) -> Problem:
    """Describe an error for the caller; `status` overrides its usual HTTP status."""
    title = (type(error).__doc__ or "").strip().splitlines()[0]
    sentence = " ".join(f"{error.found}; expected {error.expected}; {error.remedy}.".split())
    if sentence.split(" ", 1)[0].isalpha():  # a file's name keeps its letters
        sentence = sentence[:1].upper() + sentence[1:]
    return Problem(
        type=f"urn:brainmets:{error.code}",
        title=title,
        status=status or status_of(error),
        detail=sentence,
        **error.parts(),
    )


class Refused(BrainmetsError):
    """A refusal with a code that this version does not know by class."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem as it came."""
        super().__init__(
            problem.found or problem.detail, expected=problem.expected, remedy=problem.remedy
        )
        self.code = problem.code  # type: ignore[misc] - the service's code, not this class's


def error_of(problem: Problem) -> BrainmetsError:
    """Return the error that was explained, as the class with its code."""
    kind = errors.all_errors().get(problem.code)
    if kind is None or not problem.found:
        return Refused(problem)
    return kind(problem.found, expected=problem.expected, remedy=problem.remedy)
