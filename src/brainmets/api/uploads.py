"""Uploads that wait for their owner's word: looked into, not yet segmented.

Each is a folder in the staging area, which the supervisor sweeps after an hour:
- `input/`            the files
- `upload.json`       whose it is, and what the files are called and hash to
- `inspection.json`   what they hold, once someone has asked
- `thumbnail-<n>.png` the middle slice of image n
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from brainmets.api.problems import problem_of
from brainmets.api.processes import run_module
from brainmets.api.schemas import Problem  # noqa: TC001 - pydantic reads it at run time
from brainmets.api.speed import Speed
from brainmets.api.staging import Staging, remove
from brainmets.domain import RESEARCH_USE_ONLY, Sequence
from brainmets.domain.errors import OutOfMemory, UnknownJob

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.settings import Settings

__all__ = [
    "INSPECTION",
    "EstimateView",
    "ImageView",
    "InspectionView",
    "StartRequest",
    "UploadView",
    "Uploads",
]

INSPECTION = "inspection.json"
RECORD = "upload.json"
INSPECT_WITHIN_S = 240.0
AT_ONCE = 2
"""Uploads looked into at one time: each holds a volume in memory."""

_ID = re.compile(r"[0-9a-f]{16}")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class EstimateView(_View):
    """What one model would take for one image on this machine."""

    model: str
    seconds: float = Field(description="Expected time from start to result.")
    bytes: int = Field(description="Expected memory of the worker at its peak.")
    jobs: int = Field(description="Earlier jobs on this machine that the time rests on.")
    problem: Problem | None = Field(default=None, description="Why this model cannot take it.")


class ImageView(_View):
    """One image that an upload holds, to choose and to confirm."""

    index: int = Field(description="Counts from 1; what `image` of the start names.")
    name: str = Field(default="", description="The file it comes from, where it is one file.")
    number: int | None = Field(default=None, description="DICOM series number.")
    description: str = Field(description="Modality, size and spacing; no header text.")
    modality: str = ""
    slices: int = 0
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] | None = None
    guess: Sequence | None = Field(default=None, description="The likely MR sequence.")
    kind: Literal["volume", "slices"] = "volume"
    likely: bool = Field(default=False, description="The one to take unless the user knows better.")
    thumbnail: bool = Field(default=False, description="Whether a thumbnail can be asked for.")
    notes: tuple[str, ...] = ()
    problem: Problem | None = Field(default=None, description="Why it cannot be segmented.")
    estimates: tuple[EstimateView, ...] = ()


class InspectionView(_View):
    """What was found in an upload."""

    images: tuple[ImageView, ...] = ()
    default_model: str | None = None
    problem: Problem | None = Field(default=None, description="Why nothing in it can be read.")


class UploadView(_View):
    """An upload that waits for its owner's word."""

    id: str
    label: str = Field(description="The uploaded files, by name.")
    files: int
    size: int = Field(description="Bytes of all files.")
    inspection: InspectionView | None = Field(
        default=None, description="None right after the upload: ask for it with GET."
    )
    notice: str = RESEARCH_USE_ONLY


class StartRequest(_View):
    """The owner's word: what to segment, and with which model."""

    image: int = Field(ge=1, le=100_000, description="The `index` of the image to segment.")
    sequences: dict[int, Sequence] = Field(
        default={}, max_length=64, description="Which image is which sequence, as confirmed."
    )
    model: str | None = Field(default=None, description="Bundle name; none takes the default.")


class _Record(_View):
    owner: str
    label: str
    names: list[str]
    shown: list[str]
    digests: list[str]
    created: float


class Uploads:
    """The uploads of one service."""

    def __init__(self, settings: Settings, stopping: asyncio.Event) -> None:
        """Keep them under `settings.staging_dir`; look into none once `stopping` is set."""
        self._stopping = stopping
        self._settings = settings
        self._looking = asyncio.Semaphore(AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}

    def keep(self, staging: Staging, owner: str) -> UploadView:
        """Note whose upload this is; it stays when its staging ends."""
        staging.require_files()
        record = _Record(
            owner=owner,
            label=staging.label,
            names=staging.names,
            shown=staging.shown,
            digests=staging.digests,
            created=time.time(),
        )
        (staging.root / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
        staging.kept = True
        return self._view(staging.root, record)

    def staging(self, upload_id: str, owner: str) -> Staging:
        """Return an upload's files as a submission takes them.

        Raises:
            UnknownJob: there is none, or it belongs to someone else.
        """
        folder, record = self._find(upload_id, owner)
        return Staging(root=folder, names=record.names, shown=record.shown, digests=record.digests)

    def thumbnail(self, upload_id: str, owner: str, index: int) -> Path:
        """Return the picture of one image.

        Raises:
            UnknownJob: there is none.
        """
        folder, _ = self._find(upload_id, owner)
        path = folder / f"thumbnail-{index}.png"
        if not path.is_file():
            raise _unknown("no thumbnail of this image")
        return path

    def delete(self, upload_id: str, owner: str) -> None:
        """Forget an upload and its files."""
        folder, _ = self._find(upload_id, owner)
        (folder / RECORD).unlink(missing_ok=True)  # from now on nobody finds it
        remove(folder)

    async def inspected(self, upload_id: str, owner: str) -> UploadView:
        """Look into an upload, once, in a process of its own."""
        folder, record = self._find(upload_id, owner)
        try:
            async with self._locks.setdefault(upload_id, asyncio.Lock()):
                if _found(folder) is None:
                    async with self._looking:
                        await self._inspect(folder)
        finally:
            self._locks.pop(upload_id, None)
        os.utime(folder)  # someone is at it: the sweep's hour begins again
        return self._view(folder, record)

    async def _inspect(self, folder: Path) -> None:
        limit = str(self._settings.worker_memory_bytes)
        printed = await run_module(
            *("brainmets.api.inspecting", str(folder), limit),
            within_s=INSPECT_WITHIN_S,
            stopping=self._stopping,
        )
        if printed is None and folder.is_dir():
            (folder / INSPECTION).write_text(InspectionView(problem=_gave_up()).model_dump_json())

    def _view(self, folder: Path, record: _Record) -> UploadView:
        found = _found(folder)
        speed = Speed.of(self._settings.state_dir)
        inspection = None if found is None else _timed(found, speed)
        return UploadView(
            id=folder.name,
            label=record.label,
            files=len(record.names),
            size=sum(path.stat().st_size for path in (folder / "input").iterdir()),
            inspection=inspection,
        )

    def _find(self, upload_id: str, owner: str) -> tuple[Path, _Record]:
        folder = self._settings.staging_dir / upload_id
        if not _ID.fullmatch(upload_id):
            raise _unknown("no upload of yours with this id")
        try:
            record = _Record.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # gone, or cut short by a power cut
            raise _unknown("no upload of yours with this id") from None
        if record.owner != owner:
            raise _unknown("no upload of yours with this id")
        return folder, record


def _found(folder: Path) -> InspectionView | None:
    """Return what was found in an upload; None before that, or where it cannot be read."""
    try:
        text = (folder / INSPECTION).read_text(encoding="utf-8")
        return InspectionView.model_validate_json(text)
    except (FileNotFoundError, ValueError):
        return None


def _timed(inspection: InspectionView, speed: Speed) -> InspectionView:
    """Correct the first guesses by what earlier jobs took on this machine."""
    images = tuple(
        image.model_copy(
            update={
                "estimates": tuple(
                    one.model_copy(
                        update={
                            "seconds": speed.expected_s(one.model, one.seconds),
                            "jobs": speed.jobs(one.model),
                        }
                    )
                    for one in image.estimates
                )
            }
        )
        for image in inspection.images
    )
    return inspection.model_copy(update={"images": images})


def _unknown(what: str) -> UnknownJob:
    return UnknownJob(
        what,
        expected="one that was uploaded within the last hour",
        remedy="upload the images again",
    )


def _gave_up() -> Problem:
    return problem_of(
        OutOfMemory(
            "an upload that could not be looked into in the memory and time there is",
            expected=f"images that are read within {INSPECT_WITHIN_S:.0f} s",
            remedy="send fewer or smaller images",
        )
    )
