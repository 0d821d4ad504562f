"""What the data doctor learns from one case by opening its files once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain import Mask
from brainmets.domain.errors import BrainmetsError
from brainmets.io import read_mask, read_volume

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Sequence, Volume
    from brainmets.io.datasets import Dataset, DatasetCase

__all__ = ["CaseFacts", "Finding", "Severity", "check_case"]

Severity = Literal["error", "warning", "note"]

VOXEL_MM = (0.1, 12.0)
HEAD_MM = (60.0, 500.0)
"""Extremes of voxel size and of a field of view that can hold a brain or a slab of one."""

TOO_LARGE = 0.5
"""Share of the image that no tumour fills."""

OUTSIDE = 0.5
"""Share of a mask that may be in empty background, drawn carelessly."""

MIRROR_MARGIN = 1.0
"""Standard deviations by which a mirrored mask must fit better than the mask itself."""

MIRROR_AT_MOST = 0.3
"""Overlap with its own mirror image above which a mask says nothing about sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the doctor found; `case_id` is empty for the set as a whole."""

    code: str
    severity: Severity
    case_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """One case in numbers, small enough to keep for a whole data set.

    Attributes:
        case_id: Of the case.
        findings: What was wrong with it by itself.
        image_hashes: By sequence, of the voxel values.
        mask_hash: Of the labels; empty without a mask or for an empty one.
        spacing_mm: Of the first image, or None.
        lesions: Number of connected components in the mask.
        lesion_mm3: Volume of everything labelled.
    """

    case_id: str
    findings: tuple[Finding, ...]
    image_hashes: Mapping[Sequence, str]
    mask_hash: str
    spacing_mm: tuple[float, float, float] | None
    lesions: int
    lesion_mm3: float


def check_case(dataset: Dataset, case: DatasetCase) -> CaseFacts:
    """Open every file of a case once and note what is wrong; never raises for a bad file."""
    doctor = _Examination(dataset, case)
    doctor.look()
    return doctor.facts()


class _Examination:
    """Collects findings while the files of one case are open."""

    def __init__(self, dataset: Dataset, case: DatasetCase) -> None:
        self._dataset = dataset
        self._case = case
        self._findings: list[Finding] = []
        self._hashes: dict[Sequence, str] = {}
        self._mask_hash = ""
        self._spacing: tuple[float, float, float] | None = None
        self._lesions = 0
        self._lesion_mm3 = 0.0

    def facts(self) -> CaseFacts:
        return CaseFacts(
            case_id=self._case.case_id,
            findings=tuple(self._findings),
            image_hashes=self._hashes,
            mask_hash=self._mask_hash,
            spacing_mm=self._spacing,
            lesions=self._lesions,
            lesion_mm3=self._lesion_mm3,
        )

    def look(self) -> None:
        case = self._case
        if not case.images and self._dataset.expected:
            self._say("no-image", "error", "a mask without any image")
        for sequence in self._dataset.expected:
            if case.images and sequence not in case.images:
                self._say("missing-sequence", "warning", f"no {sequence}")
        first: Volume | None = None
        for sequence, path in case.images.items():
            image = self._image(sequence, path)
            if image is None:
                continue
            if first is None:
                first = image
                self._check_size(image.geometry)
            elif not self._dataset.may_differ:
                self._check_grid(first.geometry, image.geometry, sequence)
        self._check_copies()
        mask = self._mask(None if first is None else first.geometry)
        if mask is not None:
            self._check_labels(mask)
            if first is not None and mask.geometry.same_grid(first.geometry):
                self._check_place(mask, first)

    def _say(self, code: str, severity: Severity, message: str) -> None:
        self._findings.append(
            Finding(code=code, severity=severity, case_id=self._case.case_id, message=message)
        )

    def _image(self, sequence: Sequence, path: Path) -> Volume | None:
        if path.suffix == ".mat":
            return None
        try:
            image = read_volume(path)
        except BrainmetsError as fault:
            self._say("unreadable", "error", str(fault))
            return None
        self._hashes[sequence] = _hash(image.data)
        if image.data.min() == image.data.max():
            self._say("constant-image", "error", f"{sequence} has one value everywhere")
        return image

    def _mask(self, grid: Geometry | None) -> Mask | None:
        case = self._case
        if not case.masks:
            self._say("no-mask", "warning", "no mask")
            return None
        if any(path.suffix == ".mat" for path in case.masks):
            return None
        try:
            parts = [read_mask(path) for path in case.masks]
        except BrainmetsError as fault:
            self._say("unreadable", "error", str(fault))
            return None
        mask = parts[0] if len(parts) == 1 else _stacked(parts, grid)
        if mask is None:
            self._say("grid-differs", "error", f"{len(parts)} masks do not fit the slices")
            return None
        if grid is not None and not self._dataset.may_differ:
            self._check_grid(grid, mask.geometry, "mask")
        return mask

    def _check_size(self, geometry: Geometry) -> None:
        if geometry.units == "px":
            return
        spacing = geometry.spacing_mm
        self._spacing = spacing
        field = [n * s for n, s in zip(geometry.shape, spacing, strict=True)]
        in_plane = sorted(field)[1:]  # a slab may be thin along one axis
        if not all(VOXEL_MM[0] <= s <= VOXEL_MM[1] for s in spacing) or not all(
            HEAD_MM[0] <= size <= HEAD_MM[1] for size in in_plane
        ):
            voxel = " × ".join(f"{s:.3g}" for s in spacing)
            view = " × ".join(f"{size:.0f}" for size in field)
            self._say("spacing", "error", f"voxels of {voxel} mm, a field of {view} mm")

    def _check_grid(self, one: Geometry, other: Geometry, name: str) -> None:
        if one.same_grid(other):
            return
        if one.shape == other.shape and one.axis_codes != other.axis_codes:
            self._say(
                "mirrored",
                "error",
                f"{name} runs {other.axis_codes}, the image {one.axis_codes}, on equal shapes",
            )
            return
        self._say(
            "grid-differs",
            "error",
            f"{name} on {other.shape} voxels of {_mm(other)} mm, the image on {one.shape} of "
            f"{_mm(one)} mm, or elsewhere in space",
        )

    def _check_copies(self) -> None:
        seen: dict[str, Sequence] = {}
        for sequence, digest in self._hashes.items():
            if digest in seen:
                text = f"{sequence} is a copy of {seen[digest]}"
                self._say("same-sequence-twice", "error", text)
            seen[digest] = sequence

    def _check_labels(self, mask: Mask) -> None:
        import cc3d

        voxels = int(np.count_nonzero(mask.data))
        if not voxels:
            self._say("empty-mask", "warning", "nothing is labelled")
            return
        self._mask_hash = _hash(mask.data)
        self._lesion_mm3 = voxels * mask.geometry.voxel_volume_mm3
        _, self._lesions = cc3d.connected_components(
            np.ascontiguousarray(mask.foreground), connectivity=26, return_N=True
        )
        values = [int(value) for value in np.unique(mask.data) if value]
        if voxels > TOO_LARGE * mask.data.size:
            self._say("mask-too-large", "error", f"{voxels / mask.data.size:.0%} is labelled")
        unknown = [value for value in values if value not in self._dataset.labels]
        classes = len(self._dataset.labels) or 4
        if len(values) > classes and values == list(range(1, len(values) + 1)):
            parts = cc3d.connected_components(np.ascontiguousarray(mask.data), connectivity=26)
            if int(parts.max()) == len(values):
                self._say(
                    "instance-labels",
                    "error",
                    f"labels 1…{len(values)}, each one lesion: numbers of lesions, not classes",
                )
                return
        if unknown and self._dataset.labels:
            self._say(
                "label-outside-scheme",
                "error",
                f"labels {', '.join(map(str, unknown))}; the layout has "
                f"{', '.join(map(str, self._dataset.labels))}",
            )

    def _check_place(self, mask: Mask, image: Volume) -> None:
        """Ask the image whether the mask is in the head, and on the right side of it."""
        drawn = mask.foreground
        if not drawn.any() or drawn.mean() > TOO_LARGE:
            return
        background = float(np.median(image.data[_rim(image.data.shape)]))
        empty = image.data == background
        if empty.mean() > 0.05:  # stripped or masked: its background is one value
            outside = float(np.count_nonzero(empty & drawn)) / float(np.count_nonzero(drawn))
            there = _mirrored(drawn, image.geometry)
            inside = float(np.count_nonzero(empty & there)) / float(np.count_nonzero(drawn))
            if outside > OUTSIDE:
                code = "mirrored" if inside < outside / 4 else "mask-outside-head"
                self._say(code, "error", f"{outside:.0%} of the mask is in empty background")
                return
        if self._case.kind == "slices":
            return  # cut in any direction: the columns of a slice need not run left to right
        here, there = _fit(image.data, drawn), _fit(image.data, _mirrored(drawn, image.geometry))
        overlap = np.count_nonzero(drawn & _mirrored(drawn, image.geometry)) / drawn.sum()
        if overlap < MIRROR_AT_MOST and abs(there) > 2 * abs(here) and there - here > MIRROR_MARGIN:
            self._say(
                "mirrored",
                "warning",
                "the mask fits the image's contrast far better when flipped left to right",
            )


def _hash(data: NDArray[np.generic]) -> str:
    """Return a digest of shape and values, blind to how the file stores them."""
    digest = hashlib.blake2b(str(data.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(data, dtype=np.float32).tobytes())
    return digest.hexdigest()


def _stacked(parts: list[Mask], grid: Geometry | None) -> Mask | None:
    shapes = {part.data.shape[:2] for part in parts}
    if grid is None or len(shapes) != 1:
        return None
    data = np.concatenate([part.data for part in parts], axis=2)
    return Mask(data=data, geometry=grid) if data.shape == grid.shape else None


def _mm(geometry: Geometry) -> str:
    return " × ".join(f"{s:.3g}" for s in geometry.spacing_mm)


def _rim(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the corner of the image that is background in every head scan."""
    return tuple(slice(0, max(1, n // 20)) for n in shape)


def _mirrored(drawn: NDArray[np.bool_], geometry: Geometry) -> NDArray[np.bool_]:
    """Flip a mask left to right within its array."""
    across = next(axis for axis, (ras, _) in enumerate(geometry.closest_axes) if ras == 0)
    return np.flip(drawn, across)


def _fit(image: NDArray[np.float32], drawn: NDArray[np.bool_]) -> float:
    """Return how far the mask stands out from a shell around it, in the shell's deviations."""
    from scipy.ndimage import binary_dilation

    found = np.nonzero(drawn)
    box = tuple(slice(max(int(i.min()) - 4, 0), int(i.max()) + 5) for i in found)
    inside = drawn[box]
    near = image[box]
    close = np.asarray(binary_dilation(inside, iterations=1), dtype=np.bool_)
    shell = np.asarray(binary_dilation(inside, iterations=3), dtype=np.bool_) & ~close
    if not shell.any():
        return 0.0
    spread = float(near[shell].std()) + 0.01 * float(near.max() - near.min())
    difference = abs(float(near[inside].mean()) - float(near[shell].mean()))
    return difference / spread if spread > 0 else 0.0
