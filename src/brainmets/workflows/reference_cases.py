"""Cases with their truth, to measure networks on: held-out parts, data sets, synthetic heads."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Mask
from brainmets.domain.errors import DatasetLayout, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Case
    from brainmets.inference import Bundle
    from brainmets.preprocessing import Plan
    from brainmets.training.samples import Part
    from brainmets.training.sources import Source
    from brainmets.workflows.benchmark_heads import SyntheticHead

__all__ = [
    "NOT_ENHANCING",
    "ReferenceCase",
    "case_of_head",
    "dataset_cases",
    "held_out",
    "shared_sources",
    "sources_for",
    "sources_of",
]


NOT_ENHANCING = "not enhancing"
"""Group of volumes whose lesions a recipe counts neither way."""

EVERY_CASE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceCase:
    """One case and the lesions an expert, or its maker, says are there.

    Attributes:
        truth: 1 where the lesions are, on the case's own grid.
        ignored: Voxels that count neither way; None where all count.
        patient: What intervals resample: a patient, or a block of neighbouring slices.
        group: What the case is one of, such as its tumour; may be empty.
    """

    case: Case
    truth: Mask
    ignored: NDArray[np.bool_] | None
    patient: str
    group: str


def sources_of(bundle: Bundle, recipe: Path | None = None) -> tuple[Source, ...]:
    """Return what a bundle was trained from: as it says itself, or as a recipe says.

    Raises:
        OptionError: the bundle does not say, and no recipe was given.
        RecipeError: the recipe cannot be used.
    """
    from pydantic import TypeAdapter

    from brainmets.training.config import Recipe
    from brainmets.training.sources import Source

    if recipe is not None:
        return Recipe.read(recipe).sources
    kept = bundle.extra.get("recipe")
    if isinstance(kept, dict) and "sources" in kept:
        return TypeAdapter(tuple[Source, ...]).validate_python(kept["sources"], strict=False)
    beside = Path("recipes") / f"{bundle.name}.toml"
    if beside.is_file():
        return Recipe.read(beside).sources
    raise OptionError(
        f"{bundle.name} does not say what it was trained on",
        expected="a bundle that holds its recipe",
        remedy="name the recipe with --recipe, so that no training case is measured on",
    )


def shared_sources(bundles: Sequence[Bundle], recipe: Path | None = None) -> tuple[Source, ...]:
    """Return the sources of several bundles that hold out the same cases.

    Raises:
        OptionError: one bundle's held-out cases are others, so that another may have trained on
            them.
    """
    first, *others = [sources_of(bundle, recipe) for bundle in bundles]
    for bundle, sources in zip(bundles[1:], others, strict=True):
        if _held_out_names(sources) != _held_out_names(first):
            raise OptionError(
                f"{bundle.name} holds out other cases than {bundles[0].name}",
                expected="bundles that were not trained on the same cases",
                remedy="compare networks trained from recipes with the same split",
            )
    return first


def sources_for(bundle: Bundle, sources: Sequence[Source]) -> list[Source]:
    """Return the sources whose held-out cases a bundle is measured on: slices for 2-D networks.

    Volumes where a 2-D network was trained on nothing else; never synthetic heads.
    """
    real = [source for source in sources if source.kind != "synthetic"]
    slices = [source for source in real if source.kind == "slices"]
    if bundle.plan.dims == 2 and slices:
        return list(slices)
    return [source for source in real if source.kind != "slices"]


def held_out(
    sources: Sequence[Source], data_root: Path, part: Part, plan: Plan
) -> Iterator[ReferenceCase]:
    """Yield the cases of one part that training never cropped from.

    Raises:
        DatasetLayout: the data are not where the sources say.
    """
    from brainmets.training.datasets import held_out_of_dataset, open_part
    from brainmets.training.losses import IGNORE
    from brainmets.training.samples import held_out_cases
    from brainmets.training.sources import DatasetSource, SyntheticSource

    for source in sources:
        if isinstance(source, SyntheticSource):
            continue
        root = data_root / source.root
        if isinstance(source, DatasetSource):
            cases = held_out_of_dataset(open_part(source, plan, data_root, part), plan, EVERY_CASE)
        else:
            cases = held_out_cases(root, source, part, EVERY_CASE)
        groups = _groups(root)
        weak = getattr(source, "ignore_lesions_of", ())
        for case, lesion, patient in cases:
            ignored = lesion == IGNORE
            yield ReferenceCase(
                case=case,
                truth=Mask(data=(lesion == 1).astype(np.uint8), geometry=case.geometry),
                ignored=ignored if ignored.any() else None,
                patient=patient,
                group=groups.get(case.case_id, NOT_ENHANCING if case.case_id in weak else ""),
            )


def dataset_cases(
    folder: Path, plan: Plan, *, layout: str = "auto", only: Sequence[str] = ()
) -> Iterator[ReferenceCase]:
    """Yield the cases of any data set brainmets can read that have a mask; the core is the truth.

    Args:
        folder: The data set.
        plan: Whose sequences are read.
        layout: Its layout; see docs/reference/datasets.md.
        only: Patients to take; all if empty.

    Raises:
        DatasetLayout: no case has a mask.
    """
    from brainmets.io.datasets import load_case, open_dataset

    dataset = open_dataset(folder, layout=layout)
    wanted = [c for c in dataset.cases if c.masks and (not only or c.patient in only)]
    if not wanted:
        raise DatasetLayout(
            f"no case with a mask in {folder.name}",
            expected="scans with expert masks",
            remedy="check --layout and --only against `brainmets doctor`",
        )
    for one in wanted:
        loaded = load_case(dataset, one, sequences=plan.sequences)
        if loaded.mask is None:
            continue
        data = loaded.mask.data
        core = np.isin(data, dataset.core) if dataset.core else data > 0
        yield ReferenceCase(
            case=replace(loaded.case, case_id=one.case_id),
            truth=Mask(data=core.astype(np.uint8), geometry=loaded.case.geometry),
            ignored=None,
            patient=one.patient,
            group=one.group,
        )


def case_of_head(head: SyntheticHead) -> ReferenceCase:
    """Return a synthetic head as a case of its own patient."""
    return ReferenceCase(
        case=head.case,
        truth=Mask(data=(head.lesions.data > 0).astype(np.uint8), geometry=head.case.geometry),
        ignored=None,
        patient=head.name,
        group="",
    )


def _held_out_names(sources: Sequence[Source]) -> list[tuple[object, ...]]:
    """Return what decides which cases are to test."""
    from brainmets.training.sources import DatasetSource, SliceSource, VolumeSource

    names: list[tuple[object, ...]] = []
    for source in sources:
        if isinstance(source, SliceSource):
            names.append((source.root, frozenset(source.test_blocks)))
        elif isinstance(source, VolumeSource | DatasetSource):
            names.append((source.root, frozenset(source.test_cases or ())))
    return names


def _groups(root: Path) -> dict[str, str]:
    """Return the tumour of each slice where `slices.csv` names it."""
    table = root / "slices.csv"
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {row["slice"]: row.get("tumour", "") for row in csv.DictReader(file)}
