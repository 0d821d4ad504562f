"""Training samples made while training runs: synthetic heads, and real ones with metastases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from brainmets.domain.volume import Mask
from brainmets.io import read_mask
from brainmets.synthesis import (
    OEDEMA,
    ShapeLibrary,
    insert_lesions,
    sample_head,
    synthesize_head,
)
from brainmets.training.losses import IGNORE
from brainmets.training.samples import (
    prepare_sample,
    read_volume_case,
    synthetic_case,
    volume_folders,
    with_surroundings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain.case import Case
    from brainmets.synthesis import SyntheticCase
    from brainmets.training.config import Recipe, SyntheticSource, VolumeSource
    from brainmets.training.samples import Part, Sample

__all__ = ["InsertionMaker", "SyntheticMaker", "held_out_heads"]

HELD_OUT_NUMBERS = {"validation": 1_000_000_000, "test": 2_000_000_000}
"""Numbers of the heads that are not trained on: beyond those of any run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticMaker:
    """Makes the synthetic training head of a given number; picklable."""

    recipe: Recipe
    source: SyntheticSource
    data_root: Path

    def __call__(self, number: int) -> Sample:
        """Synthesise, prepare and return head `number`."""
        torch.set_num_threads(1)
        source = self.source
        made = _made(self.recipe, source, self.data_root, number)
        case, lesion = synthetic_case(made.image, made.lesions, name=f"synthetic-{number}")
        if self.recipe.loss.surroundings_weight and made.surroundings is not None:
            lesion = with_surroundings(lesion, made.surroundings)
        if source.ignore_oedema:
            lesion[made.classes.data == OEDEMA] = IGNORE
        return prepare_sample(case, lesion, self.recipe.plan, name=f"synthetic-{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertionMaker:
    """Makes the real training volume of a given number, metastases inserted; picklable."""

    recipe: Recipe
    source: VolumeSource
    data_root: Path

    def __call__(self, number: int) -> Sample:
        """Read the volume whose turn it is, insert, prepare and return it."""
        torch.set_num_threads(1)
        settings = self.source.insertion
        if settings is None:
            raise TypeError("a source without insertion")
        folders = volume_folders(self.data_root / self.source.root, self.source, "train")
        folder = folders[number % len(folders)]
        case, lesion = read_volume_case(folder, self.source)
        name = f"{folder.name}-{number}"
        seed = _seed(self.recipe, number)
        if np.random.default_rng((seed, 1)).random() >= settings.share:
            return prepare_sample(case, lesion, self.recipe.plan, name=name)
        (image,) = case.images.values()
        own = Mask(data=(lesion > 0).astype(np.uint8), geometry=case.geometry)
        shapes = _shapes(self.data_root, settings.shapes)
        made = insert_lesions(image, own, settings.synthesis, seed, shapes=shapes)
        case, target = synthetic_case(made.image, made.lesions, name=name)
        target[lesion == IGNORE] = IGNORE
        return prepare_sample(case, target, self.recipe.plan, name=name)


def held_out_heads(
    recipe: Recipe, source: SyntheticSource, data_root: Path, part: Part, limit: int
) -> Iterator[tuple[Case, NDArray[np.uint8], str]]:
    """Make the heads of a part that is not trained on; each with its target and its name."""
    counts = {"validation": source.validation_heads, "test": source.test_heads}
    for index in range(min(counts.get(part, 0), limit)):
        name = f"{part}-{index}"
        made = _made(recipe, source, data_root, HELD_OUT_NUMBERS[part] + index)
        case, lesion = synthetic_case(made.image, made.lesions, name=name)
        yield case, lesion, name


def _made(recipe: Recipe, source: SyntheticSource, data_root: Path, number: int) -> SyntheticCase:
    """Synthesise the head of a number."""
    seed = _seed(recipe, number)
    if not source.maps:
        return sample_head(seed, source.synthesis)
    labels = read_mask(data_root / source.root / source.maps[number % len(source.maps)])
    return synthesize_head(labels, source.synthesis, seed, shapes=_shapes(data_root, source.shapes))


def _seed(recipe: Recipe, number: int) -> int:
    return int(np.random.default_rng((recipe.seed, number)).integers(2**31))


def _shapes(data_root: Path, folder: str | None) -> ShapeLibrary | None:
    return None if folder is None else _shape_library(data_root / folder)


@cache
def _shape_library(folder: Path) -> ShapeLibrary:
    return ShapeLibrary.of(read_mask(path) for path in sorted(folder.glob("*.nii.gz")))
