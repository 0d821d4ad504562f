"""A finished job's result in the formats that other systems read, each made once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

from brainmets.api.exporting import EXPORTS, OF_DICOM, TRAINING_CASE, no_dicom, no_place, version_of
from brainmets.api.problems import error_of, problem_of
from brainmets.api.processes import run_module
from brainmets.api.schemas import ExportName, ExportView, Problem
from brainmets.domain.errors import OutOfMemory, UnknownJob

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.schemas import JobOptions, JobResult
    from brainmets.domain.errors import BrainmetsError

__all__ = ["Exports", "offered"]

OF_SCANS: frozenset[ExportName] = frozenset(
    {"mask.nii.gz", "fhir.json", "scene.mrb", "viewer.html"}
)
EXPORT_WITHIN_S = 180.0
PAGE_MODULE = "brainmets.ui.single_file"
"""Writes viewer.html of the page's own viewer; the page is above the service, so it is run."""

AT_ONCE = 2
"""Exports made at one time: each holds a volume in memory."""


class Exports:
    """Makes exports in processes of their own and keeps them next to the result.

    A saved review makes another version; what was made before it is not handed out again.
    """

    def __init__(self, *, memory_bytes: int, stopping: asyncio.Event) -> None:
        """Bound each process's address space, 0 sets no bound; end them when `stopping` is set."""
        self._memory_bytes = memory_bytes
        self._stopping = stopping
        self._making = asyncio.Semaphore(AT_ONCE)
        self._locks: dict[tuple[Path, ExportName], asyncio.Lock] = {}

    async def file(self, job_dir: Path, name: ExportName, options: JobOptions) -> Path:
        """Return the export's path, made now or earlier.

        Raises:
            BrainmetsError: why it cannot be made, such as `OptionError` where the format needs
                DICOM images; `OutOfMemory` where it took too much time or memory.
        """
        key = (job_dir, name)
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                while not (made := _place(job_dir, name)).is_file():
                    async with self._making:
                        await self._make(job_dir, name, options)
        finally:
            self._locks.pop(key, None)
        return made

    async def _make(self, job_dir: Path, name: ExportName, options: JobOptions) -> None:
        printed = await run_module(
            PAGE_MODULE if name == "viewer.html" else "brainmets.api.exporting",
            *(str(job_dir), name, str(self._memory_bytes)),
            within_s=EXPORT_WITHIN_S,
            stopping=self._stopping,
            task=options.model_dump_json(),
        )
        if not job_dir.is_dir():
            raise UnknownJob(
                "a job that was deleted meanwhile",
                expected="an existing job",
                remedy="submit the images again",
            )
        if printed is None:
            raise OutOfMemory(
                f"a result that could not be written as {name} in the memory and time there is",
                expected=f"one that is written within {EXPORT_WITHIN_S:.0f} s",
                remedy="try again when fewer jobs run, or run `brainmets export` on the files",
            )
        if printed:
            raise error_of(Problem.model_validate_json(printed))


def offered(result: JobResult, *, reviewed: bool) -> tuple[ExportView, ...]:
    """List every format, with the reason where it clearly cannot be made."""
    return tuple(_offer(name, _hindrance(name, result, reviewed=reviewed)) for name in _NAMES)


def _offer(name: ExportName, hindrance: BrainmetsError | None) -> ExportView:
    return ExportView(name=name, problem=None if hindrance is None else problem_of(hindrance))


def _hindrance(name: ExportName, result: JobResult, *, reviewed: bool) -> BrainmetsError | None:
    if result.kind == "slices" and name in {*OF_DICOM, *OF_SCANS, TRAINING_CASE}:
        return no_place()
    if name == TRAINING_CASE and not reviewed:
        from brainmets.workflows.training_case import not_reviewed

        return not_reviewed()
    if name in OF_DICOM and result.format not in {"dicom", None}:
        return no_dicom()
    if name == "rtstruct.dcm" and not reviewed and not result.lesions:
        from brainmets.io.rtstruct import no_region

        return no_region()
    return None


_NAMES: tuple[ExportName, ...] = get_args(ExportName)


def _place(job_dir: Path, name: ExportName) -> Path:
    return job_dir / EXPORTS / version_of(job_dir) / name
