"""Training cases from a data set in its publishers' layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import DatasetLayout, RecipeError
from brainmets.io.datasets import load_case, open_dataset
from brainmets.training.samples import prepare_sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain.case import Case, Sequence
    from brainmets.io.datasets import Dataset, DatasetCase
    from brainmets.preprocessing import Plan
    from brainmets.training.samples import Part, Sample
    from brainmets.training.sources import DatasetSource

__all__ = ["CaseReader", "DatasetPart", "held_out_of_dataset", "open_part", "usable_cases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPart:
    """The cases of one part of a data set, and how their target is read."""

    dataset: Dataset
    cases: tuple[DatasetCase, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReader:
    """Reads and prepares one training case; picklable, to be done in processes next to."""

    dataset: Dataset
    case: DatasetCase
    labels: tuple[int, ...]
    plan: Plan

    def __call__(self) -> Sample:
        """Read, prepare and return the sample."""
        case, lesion = _read(self.dataset, self.case, self.labels, self.plan.sequences)
        return prepare_sample(case, lesion, self.plan, name=self.case.case_id)


def usable_cases(
    dataset: Dataset, sequences: tuple[Sequence, ...]
) -> tuple[tuple[DatasetCase, ...], tuple[str, ...]]:
    """Return the cases with a mask and all sequences, and the ids of the others.

    Raises:
        DatasetLayout: no case has both.
    """
    usable = tuple(
        case for case in dataset.cases if case.masks and set(sequences) <= set(case.images)
    )
    if not usable:
        raise DatasetLayout(
            f"no case with a mask and {', '.join(sequences)} in {dataset.root.name}",
            expected="scans with masks",
            remedy="see what is there with brainmets doctor, or change plan.sequences",
        )
    left_out = {case.case_id for case in dataset.cases} - {case.case_id for case in usable}
    return usable, tuple(sorted(left_out))


def open_part(source: DatasetSource, plan: Plan, data_root: Path, part: Part) -> DatasetPart:
    """List the cases of one part.

    Raises:
        RecipeError: nobody has divided the data set yet.
        DatasetLayout: a case that the recipe names is not there.
    """
    dataset = open_dataset(data_root / source.root, layout=source.layout)
    cases, _ = usable_cases(dataset, plan.sequences)
    named = {
        "train": source.train_cases,
        "validation": source.validation_cases,
        "test": source.test_cases,
    }[part]
    if source.train_cases is None or named is None:
        raise RecipeError(
            f"a data set {dataset.root.name} that is not divided yet",
            expected="train_cases, validation_cases and test_cases",
            remedy="train with `brainmets train`, which divides it by patient",
        )
    by_id = {case.case_id: case for case in cases}
    absent = [name for name in named if name not in by_id]
    if absent:
        raise DatasetLayout(
            f"{len(absent)} of {len(named)} cases missing from {dataset.root.name}, such as "
            f"{absent[0]}",
            expected="every case that the run began with",
            remedy="bring them back, or begin a new run in another folder",
        )
    labels = source.lesion_labels or dataset.core
    return DatasetPart(dataset=dataset, cases=tuple(by_id[name] for name in named), labels=labels)


def held_out_of_dataset(
    part: DatasetPart, plan: Plan, limit: int
) -> Iterator[tuple[Case, NDArray[np.uint8], str]]:
    """Yield up to `limit` cases with target and patient, spread evenly over the part."""
    stride = max(1, -(-len(part.cases) // limit))
    for one in part.cases[::stride]:
        case, lesion = _read(part.dataset, one, part.labels, plan.sequences)
        yield replace(case, case_id=one.case_id), lesion, one.patient


def _read(
    dataset: Dataset, one: DatasetCase, labels: tuple[int, ...], sequences: tuple[Sequence, ...]
) -> tuple[Case, NDArray[np.uint8]]:
    loaded = load_case(dataset, one, sequences=sequences)
    if loaded.mask is None:
        raise TypeError("a case without a mask")  # usable_cases leaves those out
    drawn = loaded.mask.data
    lesion = np.isin(drawn, labels) if labels else drawn > 0
    return loaded.case, lesion.astype(np.uint8)
