"""Whether an image is what it is taken for, told from its content: sentences for the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from brainmets.domain.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Sequence, Volume
    from brainmets.inference.anatomy import Anatomy

__all__ = ["Contrast", "contrast_of", "holds_ct_numbers", "implausible"]

Contrast = Literal["T1", "T2", "FLAIR", "unclear"]

EXPECTED: dict[Sequence, Contrast] = {"t1c": "T1", "t1n": "T1", "t2w": "T2", "t2f": "FLAIR"}

CT_AIR = (-1100.0, -900.0)
"""Air in Hounsfield units."""

CT_TISSUE = (0.0, 90.0)
"""Brain and fluid in Hounsfield units."""

CLEAR = 0.04
"""Share of the image's range by which two tissues must differ to be told apart."""

CERTAIN = 0.6
"""A voxel counts where the network is at least this sure of its structure."""

FEWEST = 40
"""Voxels of a structure that are enough for its brightness."""

CUT_SHARE = 0.5
"""Share of the brain's largest section on the image's border from which it is cut off."""

SMALL_ML, LARGE_ML = 700.0, 2100.0
"""Brain volumes outside these are not of an adult's whole brain."""


class _Tissues(NamedTuple):
    white: float
    grey: float
    fluid: float


def holds_ct_numbers(volume: Volume) -> bool:
    """Say whether an image is in Hounsfield units: much air at -1000 and tissue just above 0."""
    sample = volume.data.ravel()[:: max(1, volume.data.size // 200_000)]
    air = np.mean((sample >= CT_AIR[0]) & (sample <= CT_AIR[1]))
    tissue = np.mean((sample >= CT_TISSUE[0]) & (sample <= CT_TISSUE[1]))
    return bool(air > 0.1 and tissue > 0.02 and sample.min() >= 4 * CT_AIR[0])


def contrast_of(anatomy: Anatomy) -> Contrast:
    """Tell the contrast from the order of white matter, cortex and fluid; "unclear" in doubt."""
    tissues = _tissues(anatomy)
    if tissues is None:
        return "unclear"
    white, grey, fluid = tissues
    if white > grey + CLEAR and fluid < grey - CLEAR:
        return "T1"
    if fluid > max(white, grey) + CLEAR:
        return "T2"
    if grey > white + CLEAR and fluid < white - CLEAR:
        return "FLAIR"
    return "unclear"


def implausible(volume: Volume, anatomy: Anatomy, sequence: Sequence) -> tuple[str, ...]:
    """Return a sentence for each thing about an image that speaks against what it is taken for."""
    if holds_ct_numbers(volume):
        return ("The values look like CT numbers: brainmets reads MR images only.",)
    if not anatomy.has_brain:
        found = f"Hardly any brain was found in the image ({anatomy.brain_ml:.0f} mL)."
        return (f"{found} Is it a head, and are its axes right?",)
    found: list[str] = []
    if not SMALL_ML <= anatomy.brain_ml <= LARGE_ML:
        found.append(
            f"The brain measures {anatomy.brain_ml:.0f} mL: is it whole, human, and its voxel size"
            " right?"
        )
    contrast = contrast_of(anatomy)
    if contrast not in {"unclear", EXPECTED[sequence]}:
        found.append(
            f"The brightness of white matter, cortex and fluid is that of {contrast}, not of"
            f" {EXPECTED[sequence]}: is this the {sequence} image?"
        )
    cut = _cut_side(anatomy)
    if cut:
        found.append(f"The brain is cut off {cut}: lesions beyond are not seen.")
    return tuple(found)


def _tissues(anatomy: Anatomy) -> _Tissues | None:
    """Return the middle brightness of white matter, cortex and ventricles."""
    groups = (
        (Structure.LEFT_WHITE_MATTER, Structure.RIGHT_WHITE_MATTER),
        (Structure.LEFT_CORTEX, Structure.RIGHT_CORTEX),
        (Structure.LEFT_VENTRICLE, Structure.RIGHT_VENTRICLE),
    )
    found: list[float] = []
    for group in groups:
        values = _values(anatomy, group)
        if values.size < FEWEST:
            return None
        found.append(float(np.median(values)))
    return _Tissues(*found)


def _values(anatomy: Anatomy, group: tuple[Structure, ...]) -> NDArray[np.float32]:
    there = np.isin(anatomy.structures, [int(s) for s in group])
    return anatomy.image[there & (anatomy.certainty >= CERTAIN)]


def _cut_side(anatomy: Anatomy) -> str:
    """Name the border of the field of view that cuts the brain; the neck's end does not count."""
    names = (("on the left", "on the right"), ("at the back", "in front"), ("", "at the top"))
    imaged = _imaged_box(anatomy)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        area = np.count_nonzero(anatomy.brain, axis=others)
        for name, plane in zip(names[axis], imaged[axis], strict=True):
            if name and area[plane] >= CUT_SHARE * area.max():
                return name
    return ""


def _imaged_box(anatomy: Anatomy) -> list[tuple[int, int]]:
    """First and last plane along each axis that hold any of the head."""
    box: list[tuple[int, int]] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        planes = np.flatnonzero(anatomy.foreground.any(axis=others))
        box.append((int(planes[0]), int(planes[-1])) if planes.size else (0, 0))
    return box
