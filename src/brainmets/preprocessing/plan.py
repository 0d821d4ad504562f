"""The recorded, invertible recipe that turns a case into a network's input and its answer back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from brainmets.domain.case import Sequence  # noqa: TC001 - pydantic reads it at run time
from brainmets.domain.errors import GridMismatch, MissingSequence, WrongModelKind
from brainmets.domain.geometry import Geometry
from brainmets.domain.progress import Progress, silent
from brainmets.domain.volume import Volume
from brainmets.preprocessing.clahe import clahe
from brainmets.preprocessing.intensity import (
    measure_intensities,
    normalise,
    separate,
)
from brainmets.preprocessing.resampling import resample_axis, resample_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.case import Case, CaseKind

__all__ = ["ClaheSettings", "Plan", "Prepared", "closest_ras", "turn"]

Bounds = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

SAME_SPACING = 0.03
"""Within 3 % of the wanted spacing an axis is left alone: less change than interpolation blurs."""

HEAD_MARGIN = 0.04
"""Kept around the head of a slice without spacing, as a share of its box."""

RAS_SIGNS = (1, 1, 1)
SLICE_SIGNS = (-1, -1, 1)
"""Slices lie as they are displayed: columns to the patient's left, rows to the back."""


class ClaheSettings(BaseModel):
    """Strength and reach of contrast-limited adaptive histogram equalisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tile_mm: float = Field(default=32.0, gt=0, description="edge of the contextual region")
    clip_limit: float = Field(default=0.01, gt=0, le=1, description="larger is stronger")


class Plan(BaseModel):
    """How a case becomes a network's input: orient, crop to the head, resample, scale, CLAHE.

    A plan travels inside the model's bundle. Every image gives one channel scaled to brain = 1
    and, with `clahe`, a second one of its equalised copy, so the network sees the enhanced
    contrast next to the true one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    dims: Literal[2, 3] = Field(default=3, description="slices or volumes")
    sequences: tuple[Sequence, ...] = Field(
        default=("t1c",), description="the network's inputs, in order"
    )
    spacing_mm: float = Field(
        default=1.0, gt=0, description="grid of the network, in plane for 2-D"
    )
    canvas: int = Field(
        default=256, gt=0, description="2-D: longest edge that slices without spacing are fitted to"
    )
    head: int | None = Field(
        default=None,
        gt=0,
        description="2-D: pixels that the longest edge of the head's box is scaled to where slices "
        "have no spacing, whatever the frame around it; none: the frame is fitted to the canvas",
    )
    margin_mm: float = Field(default=4.0, ge=0, description="kept around the head when cropping")
    highest: float = Field(default=4.0, gt=1, description="clipping, in multiples of brain")
    clahe: ClaheSettings | None = ClaheSettings()
    mirrored: bool = Field(
        default=False,
        description="2-D: a single slice is answered in its four mirrorings, and their average "
        "taken",
    )

    @property
    def channels(self) -> int:
        """Channels of the prepared input."""
        return len(self.sequences) * (2 if self.clahe else 1)

    def apply(self, case: Case, progress: Progress = silent) -> Prepared:
        """Prepare a case; same values for the same head in any of its 48 axis orientations.

        Raises:
            MissingSequence: an image that the network needs is not there.
            WrongModelKind: a 3-D plan was given slice images.
        """
        self._check(case)
        box = self._box(case)
        region = tuple(slice(low, high) for low, high in box.bounds)
        centres = self._centres(box.cropped)
        channels: list[NDArray[np.float32]] = []
        for number, (image, foreground) in enumerate(zip(box.images, box.foregrounds, strict=True)):
            progress("prepare", number / len(box.images))
            channels += self._channels(image[region], foreground[region], centres, case)
        progress("prepare", 1.0)
        return Prepared(
            data=np.stack(channels),
            geometry=_resampled_geometry(box.cropped, centres),
            native=case.geometry,
            axes=box.axes,
            flips=box.flips,
            bounds=box.bounds,
            kind=case.kind,
        )

    def shape_of(self, case: Case) -> tuple[int, int, int]:
        """Return the grid that `apply` brings a case to, without resampling anything.

        Raises:
            MissingSequence, WrongModelKind: as `apply`.
        """
        self._check(case)
        x, y, z = (len(c) for c in self._centres(self._box(case).cropped))
        return x, y, z

    def _box(self, case: Case) -> _Box:
        """Turn a case to the network's axes and find the head in it."""
        signs = RAS_SIGNS if self.dims == 3 else SLICE_SIGNS
        axes, flips = _permutation(case.geometry, signs)
        oriented = case.geometry.permuted(axes, flips)
        images: list[NDArray[np.float32]] = []
        foregrounds: list[NDArray[np.bool_]] = []
        for name in self.sequences:
            image, foreground = _separate(turn(case.images[name].data, axes, flips), case.kind)
            images.append(image)
            foregrounds.append(foreground)
        bounds = self._bounds(foregrounds, oriented, case)
        low = (bounds[0][0], bounds[1][0], bounds[2][0])
        i, j, k = (high - low for low, high in bounds)
        return _Box(
            images=images,
            foregrounds=foregrounds,
            axes=axes,
            flips=flips,
            bounds=bounds,
            cropped=oriented.cropped(low, (i, j, k)),
        )

    def _check(self, case: Case) -> None:
        missing = [name for name in self.sequences if name not in case.images]
        if missing:
            raise MissingSequence(
                f"a case with {', '.join(sorted(case.images))}",
                expected=f"the sequences {', '.join(self.sequences)}",
                remedy="add the missing images or choose a model that does without them",
            )
        if self.dims == 3 and case.kind == "slices":
            raise WrongModelKind(
                "single slice images for a 3-D model",
                expected="a volume (NIfTI or a DICOM series)",
                remedy="choose a 2-D model for slices",
            )

    def _bounds(
        self, foregrounds: list[NDArray[np.bool_]], geometry: Geometry, case: Case
    ) -> Bounds:
        """Box around the head in every image, with a margin; slices keep their frame or slices."""
        i, j, k = geometry.shape
        if case.kind == "slices" and self.head is None:
            return (0, i), (0, j), (0, k)
        bounds: list[tuple[int, int]] = []
        for axis, spacing in enumerate(geometry.spacing_mm):
            if case.kind == "slices" and axis == 2:
                bounds.append((0, k))
                continue
            others = tuple(a for a in range(3) if a != axis)
            # a plane belongs to the head when over 0.2 % of it is foreground: noise does not
            share = np.mean([f.mean(axis=others) for f in foregrounds], axis=0)
            planes = np.flatnonzero(share > 0.002)
            margin = int(np.ceil(self.margin_mm / spacing)) if self.dims == 3 or axis < 2 else 0
            if case.kind == "slices" and planes.size:
                margin = round(HEAD_MARGIN * (planes[-1] + 1 - planes[0]))
            low = max(int(planes[0]) - margin, 0) if planes.size else 0
            high = geometry.shape[axis]
            if planes.size:
                high = min(int(planes[-1]) + 1 + margin, high)
            bounds.append((low, high))
        return bounds[0], bounds[1], bounds[2]

    def _centres(self, cropped: Geometry) -> list[NDArray[np.float64]]:
        """Positions of the network's grid along each axis, in voxels of the cropped grid."""
        centres: list[NDArray[np.float64]] = []
        longest = max(cropped.shape[:2])
        for axis, (size, spacing) in enumerate(zip(cropped.shape, cropped.spacing_mm, strict=True)):
            if self.dims == 2 and axis == 2:
                target = spacing
            elif cropped.units == "px":
                target = spacing * longest / (self.head or self.canvas)
            else:
                target = self.spacing_mm
            if abs(spacing / target - 1) <= SAME_SPACING:
                target = spacing
            centres.append(resample_centres(size, spacing, target))
        return centres

    def _channels(
        self,
        image: NDArray[np.float32],
        foreground: NDArray[np.bool_],
        centres: list[NDArray[np.float64]],
        case: Case,
    ) -> list[NDArray[np.float32]]:
        # slices of an upload may come from different scanners: each is scaled by itself
        if case.kind == "slices":
            parts = [
                self._scaled(image[:, :, k : k + 1], foreground[:, :, k : k + 1], centres)
                for k in range(image.shape[2])
            ]
            return [np.concatenate(slices, axis=2) for slices in zip(*parts, strict=True)]
        return self._scaled(image, foreground, centres)

    def _scaled(
        self,
        image: NDArray[np.float32],
        foreground: NDArray[np.bool_],
        centres: list[NDArray[np.float64]],
    ) -> list[NDArray[np.float32]]:
        intensities = measure_intensities(image, foreground)
        # clipped before resampling, so one hot voxel does not smear
        reach = intensities.tissue - intensities.low
        clipped = np.clip(image, intensities.low, intensities.low + 2 * self.highest * reach)
        tissue = foreground.astype(np.float32)
        whole = image.shape == tuple(len(c) for c in centres)
        for axis, positions in enumerate(centres):
            if whole or (axis == 2 and self.dims == 2):
                continue
            clipped = resample_axis(clipped, axis, positions)
            tissue = resample_axis(tissue, axis, positions)
        scaled = normalise(clipped, tissue >= 0.5, intensities, highest=self.highest)
        if self.clahe is None:
            return [scaled]
        edge = max(4, round(self.clahe.tile_mm / self.spacing_mm))
        equalise = partial(
            clahe,
            low=intensities.low,
            high=intensities.brightest,
            tile=(edge,) * self.dims,
            clip_limit=self.clahe.clip_limit,
        )
        if self.dims == 3:
            return [scaled, equalise(clipped)]
        slices = [equalise(clipped[:, :, k]) for k in range(clipped.shape[2])]
        return [scaled, np.stack(slices, axis=2)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Box:
    """A case's images on the network's axes, and the box around the head in them."""

    images: list[NDArray[np.float32]]
    foregrounds: list[NDArray[np.bool_]]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    bounds: Bounds
    cropped: Geometry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A network's input (channel, x, y, z) in float32, and the way back to the scanner's grid."""

    data: NDArray[np.float32]
    geometry: Geometry
    native: Geometry
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    bounds: Bounds
    kind: CaseKind = "volume"

    def to_native(self, probability: NDArray[np.float32]) -> Volume:
        """Map a probability (x, y, z) back to the input's own grid, 0 outside the crop.

        Linear along each axis: values stay in 0…1.
        """
        back = probability
        for axis, (low, high) in enumerate(self.bounds):
            centres = resample_centres(high - low, *self._spacings(axis))
            step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
            positions = (np.arange(high - low) - centres[0]) / step
            back = resample_axis(back, axis, positions)
        oriented = np.zeros([self.native.shape[a] for a in self.axes], dtype=np.float32)
        oriented[tuple(slice(low, high) for low, high in self.bounds)] = back
        flipped = np.flip(oriented, tuple(a for a in range(3) if self.flips[a]))
        native = flipped.transpose(np.argsort(self.axes))
        return Volume(data=np.ascontiguousarray(native), geometry=self.native)

    def from_native(self, volume: Volume) -> NDArray[np.float32]:
        """Bring a map on the input's own grid onto the network's grid (x, y, z), unscaled.

        For targets in training: an indicator comes back as the share of each voxel it fills.

        Raises:
            GridMismatch: the map is on another grid than the case.
        """
        if not volume.geometry.same_grid(self.native):
            raise GridMismatch(
                "a map on another grid than its case",
                expected="one grid",
                remedy="resample the mask to its image first",
            )
        turned = turn(volume.data, self.axes, self.flips)
        part = turned[tuple(slice(low, high) for low, high in self.bounds)]
        for axis, (low, high) in enumerate(self.bounds):
            part = resample_axis(part, axis, resample_centres(high - low, *self._spacings(axis)))
        return part

    def _spacings(self, axis: int) -> tuple[float, float]:
        return self.native.spacing_mm[self.axes[axis]], self.geometry.spacing_mm[axis]


def _separate(
    image: NDArray[np.float32], kind: CaseKind
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Find the head; slices of an upload may come from different scanners, each by itself."""
    if kind == "volume" or image.shape[2] == 1:
        return separate(image)
    parts = [separate(image[:, :, k : k + 1]) for k in range(image.shape[2])]
    images, foregrounds = zip(*parts, strict=True)
    return np.concatenate(images, axis=2), np.concatenate(foregrounds, axis=2)


def closest_ras(geometry: Geometry) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return the axis order and flips that bring a grid nearest to RAS axes, for `turn`."""
    return _permutation(geometry, RAS_SIGNS)


def _permutation(
    geometry: Geometry, signs: tuple[int, int, int]
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Axis order and flips that bring a grid nearest to R/L, A/P, S/I axes with these signs."""
    closest = geometry.closest_axes
    order = sorted(range(3), key=lambda voxel: closest[voxel][0])
    flips = tuple(closest[voxel][1] != signs[ras] for ras, voxel in enumerate(order))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def turn(
    data: NDArray[np.float32], axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> NDArray[np.float32]:
    """Reorder the axes of an array, then reverse the flagged new ones."""
    turned = np.flip(data.transpose(axes), tuple(a for a in range(3) if flips[a]))
    return np.ascontiguousarray(turned)


def _resampled_geometry(cropped: Geometry, centres: list[NDArray[np.float64]]) -> Geometry:
    """Grid whose voxels sit at `centres` of the cropped grid."""
    affine = np.array(cropped.affine)
    first = np.array([c[0] for c in centres])
    affine[:3, 3] = cropped.to_ras_mm(first)
    for axis, positions in enumerate(centres):
        if len(positions) > 1:
            affine[:3, axis] *= positions[1] - positions[0]
    shape = (len(centres[0]), len(centres[1]), len(centres[2]))
    return Geometry(shape=shape, affine=affine, units=cropped.units)
