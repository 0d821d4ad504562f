"""Several networks answering as one: each at its own spacing, the mean of their logits.

Networks that were trained on other grids and crops make different mistakes, so that their mean
ranks candidates better than either, and where they disagree the answer is less certain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from brainmets.domain.errors import OptionError
from brainmets.domain.geometry import Geometry
from brainmets.inference.footprint import Footprint  # noqa: TC001 - pydantic field
from brainmets.models.architecture import Architecture  # noqa: TC001 - pydantic field
from brainmets.preprocessing.resampling import resample_axis, resample_centres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.inference.bundle import Bundle
    from brainmets.preprocessing import Prepared

__all__ = ["Member", "at_spacing", "check_members", "fused", "on_grid_of"]

SUREST = 1e-6
"""Probabilities are cut here before their logits are averaged."""


class Member(BaseModel):
    """A further network of a fused model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^member-[2-9]\.onnx$", description="its weights in the bundle")
    name: str = Field(description="bundle that it came from")
    sha256: str = Field(description="of that bundle")
    architecture: Architecture
    spacing_mm: float = Field(gt=0, description="its grid; all else is the fused model's plan")
    weight: float = Field(gt=0, lt=1, description="share of the mean logit; the first has the rest")
    footprint: Footprint


def check_members(first: Bundle, others: Sequence[Bundle]) -> None:
    """Check that networks can answer as one.

    Raises:
        OptionError: they read other inputs, or one is itself fused.
    """
    for bundle in (first, *others):
        alike = bundle.plan.model_copy(update={"spacing_mm": first.plan.spacing_mm})
        if alike != first.plan or bundle.members:
            raise OptionError(
                f"{bundle.name} beside {first.name}",
                expected="two to nine single networks that differ in spacing, network or weights "
                "alone: the same dimensions, sequences, clipping and CLAHE",
                remedy="see the plans with `brainmets models show NAME --json`",
            )


def at_spacing(prepared: Prepared, spacing_mm: float) -> Prepared:
    """Return a prepared volume on a grid of another spacing over the same field of view."""
    data, affine = prepared.data, np.array(prepared.geometry.affine)
    first = np.zeros(3)
    for axis, spacing in enumerate(prepared.geometry.spacing_mm):
        centres = resample_centres(data.shape[axis + 1], spacing, spacing_mm)
        data = resample_axis(data, axis + 1, centres)
        first[axis] = centres[0]
        if len(centres) > 1:
            affine[:3, axis] *= centres[1] - centres[0]
    affine[:3, 3] = prepared.geometry.to_ras_mm(first)
    i, j, k = data.shape[1:]
    geometry = Geometry(shape=(i, j, k), affine=affine, units=prepared.geometry.units)
    return replace(prepared, data=data, geometry=geometry)


def on_grid_of(
    prepared: Prepared, probability: NDArray[np.float32], spacing_mm: float
) -> NDArray[np.float32]:
    """Bring a probability from the grid of `at_spacing` back to that of `prepared`."""
    back = probability
    for axis, spacing in enumerate(prepared.geometry.spacing_mm):
        size = prepared.data.shape[axis + 1]
        centres = resample_centres(size, spacing, spacing_mm)
        step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
        back = resample_axis(back, axis, (np.arange(size) - centres[0]) / step)
    return back


def fused(
    probabilities: Sequence[NDArray[np.float32]], weights: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the probability of the mean logit, and the members' disagreement.

    Args:
        probabilities: of each member on one grid, 0…1.
        weights: of each member; their sum is 1.

    Returns:
        The probability, and the weighted standard deviation of the members' probabilities, 0…0.5.
    """
    logit = np.zeros(probabilities[0].shape, dtype=np.float32)
    mean = np.zeros_like(logit)
    for probability, weight in zip(probabilities, weights, strict=True):
        sure = np.clip(probability, SUREST, 1 - SUREST)
        logit += np.float32(weight) * np.log(sure / (1 - sure))
        mean += np.float32(weight) * probability
    spread = np.zeros_like(logit)
    for probability, weight in zip(probabilities, weights, strict=True):
        spread += np.float32(weight) * np.square(probability - mean)
    return np.reciprocal(1 + np.exp(-logit)), np.sqrt(spread)
