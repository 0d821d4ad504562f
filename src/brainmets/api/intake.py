"""From staged files and options to a queued job: the one way in, whatever the route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import brainmets
from brainmets.api.models import digests_of
from brainmets.api.schemas import JobOptions
from brainmets.api.staging import remove
from brainmets.api.storage import room_for
from brainmets.domain.errors import BadRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainmets.api.forms import Fields
    from brainmets.api.settings import Settings
    from brainmets.api.staging import Staging
    from brainmets.api.store import JobStore, StoredJob
    from brainmets.api.supervisor import Supervisor

__all__ = ["Intake", "check_model", "options_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Takes one caller's jobs in."""

    owner: str
    store: JobStore
    settings: Settings
    workers: Supervisor

    def refuse_early(self) -> None:
        """Refuse an upload before it is read, where it could not be queued.

        Raises:
            QueueFull: as many jobs wait as may.
            DiskFull: too little room is left.
        """
        self.store.refuse_when_full(self.settings.max_waiting, self.owner)
        room_for(self.settings.state_dir, min_free_bytes=self.settings.min_free_bytes)

    def queue(self, staging: Staging, options: JobOptions, *, label: str = "") -> StoredJob:
        """Make a job of what is staged; equal content and settings are the job that is there.

        Another version of brainmets or of a model that it uses makes a new job.

        Raises:
            QueueFull: as many jobs wait as may.
        """
        models = () if options.followup is not None else digests_of(options.model)
        fingerprint = staging.fingerprint(options.model_dump_json(), brainmets.__version__, *models)
        new_id = staging.commit(self.settings.jobs_dir)
        job_id = ""
        try:
            job_id = self.store.submit(
                new_id,
                owner=self.owner,
                fingerprint=fingerprint,
                label=label or staging.label,
                options=options,
                max_waiting=self.settings.max_waiting,
                intact=self._intact,
            )
        finally:
            if job_id != new_id:
                remove(self.settings.jobs_dir / new_id)
        self.workers.wake()
        return self.store.get(job_id, owner=self.owner)

    def _intact(self, job_id: str, ticket: int | None) -> bool:
        """Whether a job's images are there, and with its ticket its result."""
        needed = [self.settings.jobs_dir / job_id / "input"]
        if ticket is not None:
            needed += [self.settings.result_dir(job_id, ticket) / part for part in ("out", "view")]
        return all(folder.is_dir() for folder in needed)


def options_of(fields: Fields, files: Sequence[str]) -> JobOptions:
    """Return what the fields of a form choose for `files`, named as they are kept.

    Sequences come in the order of the files and leave in the order of the files' names, in
    which the worker finds them.

    Raises:
        BadRequest: a value is unusable.
        UnknownModel: the model is not installed.
    """
    known = {"model", "threshold", "series"}
    chosen: dict[str, Any] = {
        name: values[0].strip() or None for name, values in fields.items() if name in known
    }
    named = ",".join(fields.get("sequences", [])).split(",")
    chosen["sequences"] = [name.strip() for name in named if name.strip()]
    try:
        options = JobOptions.model_validate(chosen)
    except ValidationError as error:
        names = sorted({str(item["loc"][0]) for item in error.errors()})
        raise BadRequest(
            f"unusable values in {', '.join(names)}",
            expected="a model's name, a threshold from 0 to 1, a series UID, sequence names",
            remedy="correct the form fields",
        ) from error
    check_model(options.model)
    if not options.sequences:
        return options
    if len(options.sequences) != len(files) or len(set(options.sequences)) < len(files):
        raise BadRequest(
            f"the sequences {', '.join(options.sequences)} for {len(files)} files",
            expected="as many different sequences as files, in their order",
            remedy="name one for each NIfTI file, or leave `sequences` out",
        )
    by_name = sorted(zip(files, options.sequences, strict=True))
    return options.model_copy(update={"sequences": tuple(one for _, one in by_name)})


def check_model(name: str | None) -> None:
    """Take installed models only: a bundle may also be named by a path, but not from outside.

    Raises:
        UnknownModel: no such model is installed.
    """
    from brainmets.inference import list_bundles

    if name is not None and name not in list_bundles():
        raise UnknownModel(
            "a model that is not installed here",
            expected="a name from /v1/models",
            remedy="choose one of them, or leave the model out",
        )
