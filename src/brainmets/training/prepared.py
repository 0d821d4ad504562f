"""Prepared samples kept on disk: read once, shared by folds and restarts, never all in memory."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

import numpy as np

from brainmets.inference.machine import count_processors
from brainmets.training.ranks import process_count, rank, wait_for_all
from brainmets.training.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from brainmets.domain.progress import Progress
    from brainmets.training.datasets import CaseReader

__all__ = ["PreparedStore"]

ARRAYS = ("data", "target", "centres")
WORTH_PROCESSES = 8
"""Cases to prepare from which starting processes next to pays."""


class PreparedStore:
    """A folder with one folder a case; its name changes when the case or the plan does."""

    def __init__(self, root: Path) -> None:
        """Keep samples below `root`, which is made where needed."""
        self._root = root

    def samples(self, readers: Iterable[CaseReader], progress: Progress) -> list[Sample]:
        """Return the samples, mapped from disk, preparing those that are not there yet."""
        readers = list(readers)
        self._root.mkdir(parents=True, exist_ok=True)
        missing = [reader for reader in readers if not self._place(reader).is_dir()]
        if rank() == 0:
            self._prepare(missing, progress)
        wait_for_all()
        return [_mapped(self._place(reader), reader.case.case_id) for reader in readers]

    def _prepare(self, missing: list[CaseReader], progress: Progress) -> None:
        processes = min(count_processors(), len(missing))
        if len(missing) < WORTH_PROCESSES or processes < 2 or process_count() > 1:
            for done, reader in enumerate(missing, 1):
                self._make(reader)
                progress("prepare", done / len(missing))
            return
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context) as beside:
            waiting = [beside.submit(self._make, reader) for reader in missing]
            try:
                for done, one in enumerate(as_completed(waiting), 1):
                    one.result()
                    progress("prepare", done / len(missing))
            except BaseException:
                beside.shutdown(cancel_futures=True)
                raise

    def _make(self, reader: CaseReader) -> None:
        self._store(reader, reader())

    def _place(self, reader: CaseReader) -> Path:
        case = reader.case
        files = [*case.images.values(), *case.masks]
        facts = {
            "case": case.case_id,
            "plan": reader.plan.model_dump(mode="json"),
            "labels": reader.labels,
            "files": [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files],
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]", "_", case.case_id)
        return self._root / f"{name}-{digest[:12]}"

    def _store(self, reader: CaseReader, sample: Sample) -> None:
        place = self._place(reader)
        staged = place.with_name(f".{place.name}.part")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for name in ARRAYS:
            np.save(staged / f"{name}.npy", getattr(sample, name))
        staged.replace(place)


def _mapped(place: Path, name: str) -> Sample:
    data, target, centres = (np.load(place / f"{array}.npy", mmap_mode="r") for array in ARRAYS)
    return Sample(name=name, data=data, target=target, centres=centres)
