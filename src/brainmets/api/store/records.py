"""A job as the list stores it, and how a row becomes one, even a damaged row."""

from __future__ import annotations

import json
from typing import Any

from brainmets.api.problems import problem_of
from brainmets.api.schemas import JobOptions, JobResult, JobView, Problem, SeriesView
from brainmets.domain.errors import RecordDamaged

__all__ = ["StoredJob", "read_record"]


class StoredJob(JobView):
    """A job with what only the service knows about it."""

    owner: str = ""
    server_losses: int = 0
    ticket: int = 0
    """Another each time the job is queued; names the folder of the attempt."""
    turn: int = 0
    """Its place in the queue: jobs of one owner are one turn apart."""


_PLAIN = (
    *("id", "owner", "state", "stage", "done", "created", "started", "finished", "attempts"),
    *("server_losses", "ticket", "turn", "label", "model", "lesions"),
)
"""Columns that are stored as they are."""


def read_record(row: Any, *, with_result: bool = True) -> StoredJob:
    """Return the job in a row; one that cannot be read is a failed job with that error."""
    try:
        return _readable(row, with_result=with_result)
    except (ValueError, TypeError):  # pydantic's and json's errors are ValueErrors
        return _damaged(row)


def _readable(row: Any, *, with_result: bool) -> StoredJob:
    result = row["result"] if with_result else None
    return StoredJob(
        **{name: row[name] for name in _PLAIN},
        options=JobOptions.model_validate_json(row["options"]),
        problem=None if row["problem"] is None else Problem.model_validate_json(row["problem"]),
        series=tuple(SeriesView.model_validate(item) for item in json.loads(row["series"])),
        result=None if result is None else JobResult.model_validate_json(result),
    )


def _damaged(row: Any) -> StoredJob:
    error = RecordDamaged(
        "an entry of the job list that cannot be read",
        expected="what brainmets wrote there",
        remedy="delete the job and submit its images again",
    )
    created, ticket = row["created"], row["ticket"]
    return StoredJob(
        id=str(row["id"]),
        owner=str(row["owner"]),
        state="failed",
        created=created if isinstance(created, (int, float)) else 0.0,
        ticket=ticket if isinstance(ticket, int) else -1,
        problem=problem_of(error),
    )
