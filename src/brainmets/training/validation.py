"""Validation as the user would meet it: the shipped predictor, on the input's own grid."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation import dice, label_components
from brainmets.inference import Bundle, OperatingPoint, Predictor, find_lesions
from brainmets.training.datasets import held_out_of_dataset, open_part
from brainmets.training.export import export_bundle
from brainmets.training.losses import IGNORE
from brainmets.training.making import held_out_heads
from brainmets.training.samples import Part, held_out_cases
from brainmets.training.sources import DatasetSource, SyntheticSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from brainmets.preprocessing import Prepared
    from brainmets.training.config import Recipe

__all__ = ["CaseScore", "HeldOut", "mean_dice", "read_held_out", "score", "sensitivity", "validate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """A case that training never crops from, prepared once."""

    name: str
    group: str
    """Patient or block: what an interval resamples."""
    kind: str
    prepared: Prepared
    lesion: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScore:
    """How one held-out case went."""

    name: str
    group: str
    dice: float
    components: int
    false_components: int
    lesion_voxels: int
    lesions: int
    found: int
    """Lesions that the answer touches."""


def read_held_out(recipe: Recipe, data_root: Path, part: Part, limit: int) -> Iterator[HeldOut]:
    """Read and prepare up to `limit` cases of a part of each source, one after the other."""
    for source in recipe.sources:
        if isinstance(source, SyntheticSource):
            cases = held_out_heads(recipe, source, data_root, part, limit)
        elif isinstance(source, DatasetSource):
            opened = open_part(source, recipe.plan, data_root, part)
            cases = held_out_of_dataset(opened, recipe.plan, limit)
        else:
            cases = held_out_cases(data_root / source.root, source, part, limit)
        for case, lesion, group in cases:
            yield HeldOut(
                name=case.case_id,
                group=group,
                kind=case.kind,
                prepared=recipe.plan.apply(case),
                lesion=lesion,
            )


def validate(recipe: Recipe, state: Mapping[str, Tensor], cases: list[HeldOut]) -> dict[str, float]:
    """Export the weights, predict every case as shipped, and return the mean figures.

    Without cases every look is as good as the one before, so that the last weights are kept.
    """
    if not cases:
        return {"dice": 0.0, "sensitivity": 0.0, "false_components": 0.0}
    with tempfile.TemporaryDirectory(prefix="brainmets-validation-") as folder:
        bundle = export_bundle(
            Path(folder) / "bundle",
            recipe=recipe,
            state=state,
            operating_point=OperatingPoint(),
            card="",
            extra={},
        )
        scores = score(bundle, cases)
    return {
        "dice": mean_dice(scores),
        "sensitivity": sensitivity(scores),
        "false_components": float(np.mean([s.false_components for s in scores])),
    }


def score(bundle: Bundle, cases: Iterable[HeldOut], engine: str = "openvino") -> list[CaseScore]:
    """Predict every case with the shipped predictor and compare on its own grid."""
    predictor = Predictor(bundle, engine)
    scores: list[CaseScore] = []
    for case in cases:
        native = case.prepared.to_native(predictor.predict(case.prepared))
        mask, lesions = find_lesions(
            native, bundle.operating_point, kind="slices" if case.kind == "slices" else "volume"
        )
        counted = case.lesion != IGNORE
        wanted = case.lesion == 1
        labels, number = label_components(wanted)
        touching = np.unique(mask.data[~counted | wanted])
        scores.append(
            CaseScore(
                name=case.name,
                group=case.group,
                dice=dice(wanted, mask.foreground & counted),
                components=len(lesions),
                false_components=sum(1 for lesion in lesions if lesion.id not in touching),
                lesion_voxels=int(np.count_nonzero(wanted)),
                lesions=number,
                found=len(np.setdiff1d(labels[mask.foreground], 0)),
            )
        )
    return scores


def mean_dice(scores: list[CaseScore]) -> float:
    """Mean Dice over the cases that have a lesion, or over all where none has."""
    with_lesion = [s.dice for s in scores if s.lesion_voxels]
    return float(np.mean(with_lesion or [s.dice for s in scores]))


def sensitivity(scores: list[CaseScore]) -> float:
    """Share of all lesions that the answers touch; 0 where there is none."""
    return sum(s.found for s in scores) / max(1, sum(s.lesions for s in scores))
