"""From DICOM planes in any order to one grid, by their positions and nothing else.

File names, instance numbers and slice locations are never asked: they lie too often. What cannot
be stacked exactly is refused with its own code. Geometry after DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import (
    DicomHeader,
    DuplicateSlices,
    GantryTilt,
    MissingSlices,
    MixedSlices,
    Spacing,
    TooFewSlices,
    TooLarge,
)
from brainmets.domain.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray

    from brainmets.io.dicom_scan import Frame
    from brainmets.io.limits import Limits

__all__ = ["Stack", "positions_along_normal", "stack_frames"]

COSINES_WITHIN = 2e-3
"""Direction cosines are written with few digits; 2e-3 is a tenth of a degree."""

SPACING_WITHIN = 1e-3
"""Relative difference of pixel spacings within one series."""

DUPLICATE_WITHIN = 0.05
"""Of the slice step; nearer slices are in the same place."""

GAP_BEYOND = 1.5
"""Of the slice step; a wider gap lacks a slice."""

UNEVEN_BEYOND = 0.1
"""Of the slice step; how far a slice may lie from its even place."""

TILT_BEYOND_DEGREES = 0.5
"""Between the stack's direction and the slice normal."""

SHOWN_SLICES = 8
"""How many slices a message names."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stack:
    """Frames in order along the slice normal, and the grid (column, row, slice) they span."""

    frames: tuple[Frame, ...]
    geometry: Geometry


def positions_along_normal(frames: Ordered[Frame]) -> NDArray[np.float64] | None:
    """Return each frame's place along the first one's normal, or None where one has no place."""
    if any(frame.orientation is None or frame.position is None for frame in frames):
        return None
    axes = np.array(frames[0].orientation).reshape(2, 3)
    normal = np.cross(axes[0], axes[1])
    return np.array([frame.position for frame in frames]) @ normal


def stack_frames(frames: Ordered[Frame], limits: Limits) -> Stack:
    """Order the frames of one series and place them in RAS+ millimetres.

    Raises:
        DicomHeader: a frame does not say where it lies or how large it is.
        TooFewSlices, TooLarge: fewer or more slices than a head has.
        MixedSlices: sizes, orientations or spacings differ, or slices are unevenly spaced.
        DuplicateSlices, MissingSlices: several slices in one place, none in another.
        GantryTilt: the stack leans against its slices.
        Spacing: the voxels are not those of a head.
    """
    _check_headers(frames)
    _check_alike(frames)
    _check_count(frames, limits)
    first = frames[0]
    axes = np.array(first.orientation).reshape(2, 3)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    normal = np.cross(axes[0], axes[1])
    positions = np.array([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(frames[index] for index in order)
    step = _step(positions[order], normal)

    row_mm, column_mm = first.spacing_mm
    lps = np.column_stack([axes[0] * column_mm, axes[1] * row_mm, step])
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ lps
    affine[:3, 3] = LPS_TO_RAS @ positions[order[0]]
    geometry = Geometry(shape=(first.columns, first.rows, len(frames)), affine=affine)
    if min(geometry.spacing_mm) < limits.min_spacing_mm or (
        max(geometry.spacing_mm) > limits.max_spacing_mm
    ):
        raise Spacing(
            f"a series with voxels of {' × '.join(f'{mm:.4g}' for mm in geometry.spacing_mm)} mm",
            expected=f"{limits.min_spacing_mm:g} to {limits.max_spacing_mm:g} mm",
            remedy="choose another series",
        )
    return Stack(frames=ordered, geometry=geometry)


def _check_headers(frames: Ordered[Frame]) -> None:
    for frame in frames:
        lacking = [
            name
            for name, present in (
                ("image orientation", _is_orientation(frame.orientation)),
                ("image position", frame.position is not None),
                ("pixel spacing", min(frame.spacing_mm) > 0),
                ("number of rows and columns", min(frame.rows, frame.columns) > 0),
                ("finite rescale slope", np.isfinite([frame.slope, frame.intercept]).all()),
            )
            if not present
        ]
        if lacking:
            raise DicomHeader(
                f"{frame.entry.name} has no valid {' and no '.join(lacking)}",
                expected="MR images with position and orientation",
                remedy="export the original series, not screenshots of it",
            )


def _is_orientation(cosines: tuple[float, ...] | None) -> bool:
    if cosines is None:
        return False
    axes = np.array(cosines).reshape(2, 3)
    return bool(np.abs(axes @ axes.T - np.eye(2)).max() < 10 * COSINES_WITHIN)


def _check_alike(frames: Ordered[Frame]) -> None:
    first = frames[0]
    sizes = {(frame.rows, frame.columns) for frame in frames}
    if len(sizes) > 1:
        shown = ", ".join(f"{columns} × {rows}" for rows, columns in sorted(sizes))
        raise _mixed(f"slices of different sizes ({shown})")
    if len({frame.pixels.photometric == "MONOCHROME1" for frame in frames}) > 1:
        raise _mixed("slices some of which show high values dark")
    cosines = np.array([frame.orientation for frame in frames])
    if np.abs(cosines - cosines[0]).max() > COSINES_WITHIN:
        raise _mixed("slices of different orientations")
    spacings = np.array([frame.spacing_mm for frame in frames])
    if np.abs(spacings / first.spacing_mm - 1).max() > SPACING_WITHIN:
        raise _mixed("slices of different pixel spacings")


def _check_count(frames: Ordered[Frame], limits: Limits) -> None:
    count, first = len(frames), frames[0]
    if count < limits.min_slices or min(first.rows, first.columns) < limits.min_slices:
        raise TooFewSlices(
            f"a series of {count} slice{'s' * (count != 1)} of {first.columns} × {first.rows}",
            expected=f"at least {limits.min_slices} along each axis",
            remedy="give the folder or zip that holds the whole series",
        )
    voxels = count * first.rows * first.columns
    if count > limits.max_slices or voxels > limits.max_voxels:
        raise TooLarge(
            f"a series of {count:,} slices of {first.columns} × {first.rows}",
            expected=f"at most {limits.max_slices:,} slices and {limits.max_voxels:,} voxels",
            remedy="choose a single head scan",
        )


def _step(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vector from one slice to the next, in LPS mm; refuse what is not even."""
    along = positions @ normal
    gaps = np.diff(along)
    typical = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    same = np.flatnonzero(gaps <= DUPLICATE_WITHIN * typical)
    if same.size:
        raise DuplicateSlices(
            f"{same.size} slice{'s' * (same.size != 1)} in the place of another "
            f"(number {_listed(same + 2)} of {len(along)}, in order of position)",
            expected="one slice in each place",
            remedy="remove the copies, or give one phase or echo of the series",
        )
    wide = np.flatnonzero(gaps > GAP_BEYOND * typical)
    if wide.size:
        lacking = int(np.rint(gaps[wide] / typical - 1).sum())
        raise MissingSlices(
            f"{lacking} missing slice{'s' * (lacking != 1)} "
            f"(after number {_listed(wide + 1)} of {len(along)}, in order of position)",
            expected=f"a slice every {typical:.4g} mm",
            remedy="export or upload the complete series",
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    even = np.abs(along - along[0] - np.arange(len(along)) * (step @ normal)).max()
    if even > UNEVEN_BEYOND * typical:
        raise _mixed(f"slices unevenly spaced by up to {even:.3g} mm")
    tilt = np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1.0, 1.0)))
    if tilt > TILT_BEYOND_DEGREES:
        raise GantryTilt(
            f"slices stacked {tilt:.1f} degrees off their normal",
            expected="slices stacked at right angles",
            remedy="reformat the series to an upright stack on the workstation",
        )
    placed = positions[0] + np.arange(len(positions))[:, None] * step
    astray = float(np.linalg.norm(positions - placed, axis=1).max())
    if astray > UNEVEN_BEYOND * typical + 1e-2:
        raise _mixed(f"slices shifted sideways by up to {astray:.3g} mm")
    return step


def _listed(numbers: NDArray[np.integer]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN_SLICES].tolist()))
    return f"{shown} and more" if len(numbers) > SHOWN_SLICES else shown


def _mixed(found: str) -> MixedSlices:
    return MixedSlices(
        found,
        expected="one series of parallel slices, alike in size and spacing",
        remedy="export the series again, or choose another one",
    )
