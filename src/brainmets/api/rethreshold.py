"""The stored probability at another operating point, without running the network again."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from brainmets.api.display import DisplayGrid, load_probability, load_structures, pack_labels
from brainmets.api.schemas import LesionsView
from brainmets.domain.errors import OptionError
from brainmets.inference.lesions import find_lesions
from brainmets.inference.operating_point import OperatingPoint
from brainmets.inference.places import fill_places, name_lesions

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.schemas import JobResult
    from brainmets.domain import Lesion, Mask, Volume

__all__ = ["lesions_at", "named", "one_at_a_time", "operating_point", "rethreshold"]

one_at_a_time = threading.Lock()
"""Whole volumes are held only once, however many sliders move."""

MOST_CANDIDATES = 1_500_000
"""Voxels above a threshold beyond which it marks no lesions but the head; bounds the memory."""


def operating_point(
    result: JobResult,
    *,
    threshold: float | None = None,
    peak: float | None = None,
    min_volume_mm3: float | None = None,
) -> OperatingPoint:
    """Return a result's own operating point with what the caller changed.

    Raises:
        OptionError: the values contradict each other.
    """
    changes = {"threshold": threshold, "peak": peak, "min_volume_mm3": min_volume_mm3}
    changed = {name: value for name, value in changes.items() if value is not None}
    values = {"threshold": 0.5} | result.operating_point | changed
    if "threshold" in changed and "peak" not in changed:
        values["peak"] = values["threshold"]  # a threshold alone is plain thresholding
    values.setdefault("peak", values["threshold"])
    try:
        return OperatingPoint.model_validate(values)
    except ValidationError as error:
        raise OptionError(
            "values that make no operating point",
            expected="0 < threshold ≤ peak ≤ 1",
            remedy="lower the threshold or raise the peak",
        ) from error


def lesions_at(
    view: Path, point: OperatingPoint, result: JobResult
) -> tuple[Volume, Mask, tuple[Lesion, ...]]:
    """Find the lesions of a stored probability map, on the input's own grid.

    Raises:
        OptionError: so much lies above the threshold that it separates nothing.
    """
    probability = load_probability(view)
    above = int(np.count_nonzero(probability.data >= np.float32(point.threshold)))
    if above > MOST_CANDIDATES:
        raise OptionError(
            f"a threshold that {above / probability.data.size:.0%} of the image exceeds",
            expected="one that separates lesions from background",
            remedy="choose a higher threshold",
        )
    # the middle that the result was made with: no lesion may change sides under the slider
    midline_x_mm = float(result.provenance.settings.get("midline_x_mm", 0.0))
    mask, lesions = find_lesions(probability, point, kind=result.kind, midline_x_mm=midline_x_mm)
    return probability, mask, named(lesions, mask, view, result)


def named(
    lesions: tuple[Lesion, ...], mask: Mask, view: Path, result: JobResult
) -> tuple[Lesion, ...]:
    """Name the places of lesions as the segmentation did."""
    structures = load_structures(view)
    if structures is not None and structures.has_brain:
        lesions = name_lesions(lesions, mask, structures)
    return fill_places(lesions, result.provenance.settings)


def rethreshold(view: Path, point: OperatingPoint, result: JobResult) -> LesionsView:
    """Return the lesions at an operating point with their ids on the display grid."""
    with one_at_a_time:
        probability, mask, lesions = lesions_at(view, point, result)
        packed = pack_labels(mask, DisplayGrid.of(probability.geometry))
    return LesionsView(
        lesions=lesions,
        operating_point=point.model_dump(),
        labels=base64.b64encode(packed).decode("ascii"),
    )
