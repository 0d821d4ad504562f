"""A finished job's result in the formats that other systems read, each made once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from brainmets.api.exporting import EXPORTS, version_of
from brainmets.api.problems import error_of
from brainmets.api.processes import run_module
from brainmets.api.schemas import Problem
from brainmets.domain.errors import OutOfMemory, UnknownJob

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.schemas import ExportName, JobOptions

__all__ = ["Exports"]

EXPORT_WITHIN_S = 180.0
AT_ONCE = 2
"""Exports made at one time: each holds a volume in memory."""


class Exports:
    """Makes exports in processes of their own and keeps them beside the result.

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
        async with self._locks.setdefault(key, asyncio.Lock()):
            while not (made := _place(job_dir, name)).is_file():
                async with self._making:
                    await self._make(job_dir, name, options)
        self._locks.pop(key, None)
        return made

    async def _make(self, job_dir: Path, name: ExportName, options: JobOptions) -> None:
        printed = await run_module(
            "brainmets.api.exporting",
            *(str(job_dir), name, str(self._memory_bytes)),
            within_s=EXPORT_WITHIN_S,
            stopping=self._stopping,
            task=options.model_dump_json(),
        )
        if not job_dir.is_dir():
            raise UnknownJob(
                "a job that was deleted meanwhile",
                expected="a job that is there",
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


def _place(job_dir: Path, name: ExportName) -> Path:
    return job_dir / EXPORTS / version_of(job_dir) / name
