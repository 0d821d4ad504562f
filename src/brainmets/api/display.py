"""Display copies of a result: canonical, light, and ready for a browser to draw.

A job's `view` folder holds
- `meta.json`       `ViewMeta`
- `image.u16`       the image on 0…4095, little-endian, x fastest
- `probability.u8`  how many of `meta.probability_levels` the probability reaches
- `labels.u8`       the lesion ids
- `probability.npy` the probability on the input's own grid, to threshold again

Display axes are the input's own axes, reordered and flipped to run right, front, up (RAS+);
grids too large for a browser are thinned by whole steps. Nothing measured is measured here.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar
from zipfile import BadZipFile

import numpy as np

from brainmets.api.schemas import ViewMeta
from brainmets.domain import Geometry, Volume
from brainmets.domain.errors import RecordDamaged
from brainmets.domain.geometry import Frames
from brainmets.domain.structure_map import StructureMap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Mask, Report

__all__ = [
    "DisplayGrid",
    "count_levels",
    "load_probability",
    "pack_image",
    "pack_labels",
    "save_view",
]

Number = TypeVar("Number", bound=np.number)
Scalar = TypeVar("Scalar", bound=np.generic)

STRUCTURES = "structures.npz"
"""The structures of the head, on the anatomy network's grid."""

MOST_VOXELS = 24_000_000
"""About 290³: 72 MB for image and probability together in the browser."""

TOP_LEVEL = 4095
RANGE_PERCENTILES = (0.05, 99.95)
WINDOW_PERCENTILES = (1.0, 99.6)
"""Of the voxels above the background: a first look that neither burns out nor hides."""

SLIDER_LEVELS = tuple(n / 200 for n in range(4, 201))
"""Probabilities that the page can choose as a threshold: 2 % to 100 % by half percents."""

GZIP_LEVEL = 1
"""Loopback is fast: the least effort that removes air."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayGrid:
    """How native voxels map to display voxels: reorder, flip, thin."""

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    step: int
    geometry: Geometry

    @classmethod
    def of(cls, native: Geometry) -> DisplayGrid:
        """Return the display grid of an input grid."""
        closest = native.closest_axes
        order = sorted(range(3), key=lambda axis: closest[axis][0])
        axes = (order[0], order[1], order[2])
        flips = (closest[axes[0]][1] < 0, closest[axes[1]][1] < 0, closest[axes[2]][1] < 0)
        canonical = native.permuted(axes, flips)
        step = 1
        while np.prod([-(-n // step) for n in canonical.shape]) > MOST_VOXELS:
            step += 1
        affine = np.array(canonical.affine)
        affine[:3, :3] *= step
        i, j, k = (-(-n // step) for n in canonical.shape)
        return cls(
            axes=axes, flips=flips, step=step, geometry=Geometry(shape=(i, j, k), affine=affine)
        )

    def apply(self, native: NDArray[Number]) -> NDArray[Number]:
        """Bring an array from the native grid to the display grid."""
        turned = native.transpose(self.axes)
        flipped = np.flip(turned, tuple(axis for axis, flip in enumerate(self.flips) if flip))
        return flipped[:: self.step, :: self.step, :: self.step]

    def restore(
        self, shown: NDArray[Scalar], native_shape: tuple[int, int, int]
    ) -> NDArray[Scalar]:
        """Bring an array from the display grid to the native grid, each voxel to its block."""
        for axis in range(3) if self.step > 1 else ():
            size = native_shape[self.axes[axis]]
            shown = np.repeat(shown, self.step, axis=axis).take(range(size), axis=axis)
        flipped = np.flip(shown, tuple(axis for axis, flip in enumerate(self.flips) if flip))
        return np.ascontiguousarray(flipped.transpose(np.argsort(self.axes)))


def save_view(report: Report, folder: Path) -> ViewMeta:
    """Write a report's display copies into `folder`, which must exist."""
    case, prediction = report.case, report.prediction
    grid = DisplayGrid.of(case.geometry)
    packed, shown, window = pack_image(grid.apply(next(iter(case.images.values())).data))
    (folder / "image.u16.gz").write_bytes(packed)
    levels = _levels(prediction.provenance.settings)
    probability = grid.apply(prediction.probability.data)
    _write_gzip(folder / "probability.u8.gz", count_levels(probability, levels))
    (folder / "labels.u8.gz").write_bytes(pack_labels(prediction.mask, grid))
    np.save(folder / "probability.npy", prediction.probability.data)

    slices = case.source.slice_names if case.kind == "slices" else ()
    meta = ViewMeta(
        shape=grid.geometry.shape,
        spacing_mm=grid.geometry.spacing_mm,
        affine=tuple(tuple(float(v) for v in row) for row in grid.geometry.affine),
        levels=shown,
        probability_levels=levels,
        window=window,
        native_axes=grid.axes,
        native_flips=grid.flips,
        native_shape=case.geometry.shape,
        step=grid.step,
        slice_axis=2 if case.kind == "slices" else case.geometry.slice_axis,
        units=case.geometry.units,
        kind=case.kind,
        slice_names=slices,
    )
    native = {
        "shape": case.geometry.shape,
        "affine": case.geometry.affine.tolist(),
        "units": case.geometry.units,
        "frames": asdict(case.geometry.frames) if case.geometry.frames else None,
    }
    (folder / "native.json").write_text(json.dumps(native))
    if report.structures is not None:
        found = report.structures
        np.savez_compressed(
            folder / STRUCTURES,
            structures=found.structures,
            brain=found.brain,
            affine=found.geometry.affine,
        )
    (folder / "meta.json").write_text(meta.model_dump_json())
    return meta


def count_levels(probability: NDArray[np.float32], levels: tuple[float, ...]) -> NDArray[np.uint8]:
    """Return how many of the rising `levels`, at most 255, each probability reaches.

    A byte of n or more means exactly `probability >= np.float32(levels[n - 1])`, the comparison
    that `find_lesions` makes; so lesions found in the bytes are those found in the floats.
    """
    edges = np.array(levels, dtype=np.float32)
    counts = np.zeros(probability.shape, dtype=np.uint8)
    reached = probability >= edges[0]  # few voxels of a head: the search is spared the rest
    counts[reached] = np.searchsorted(edges, probability[reached], side="right")
    return counts


def _levels(settings: Mapping[str, float | int | str | bool]) -> tuple[float, ...]:
    """The slider's levels including the model's default operating point."""
    own = (settings.get(name) for name in ("threshold", "peak"))
    finite = {float(value) for value in own if isinstance(value, (int, float)) and 0 < value <= 1}
    return tuple(sorted({*SLIDER_LEVELS, *finite}))


def load_probability(folder: Path) -> Volume:
    """Return the stored probability on the input's own grid, its voxels left on the disk.

    Raises:
        RecordDamaged: what is stored cannot be read.
    """
    try:
        return _read_probability(folder)
    except (ValueError, TypeError, LookupError, EOFError, IsADirectoryError) as error:
        raise _damaged("probability") from error


def load_structures(folder: Path) -> StructureMap | None:
    """Return the structures of the head, or None where they were not stored."""
    path = folder / STRUCTURES
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            structures, brain, affine = (stored[n] for n in ("structures", "brain", "affine"))
        geometry = Geometry(shape=structures.shape, affine=affine)
    except (ValueError, TypeError, LookupError, OSError, EOFError, BadZipFile) as error:
        raise _damaged("head structures") from error
    return StructureMap(structures=structures, brain=brain, geometry=geometry)


def _damaged(what: str) -> RecordDamaged:
    return RecordDamaged(
        f"a result whose stored {what} cannot be read",
        expected="the files that brainmets wrote",
        remedy="submit the images again; masks and tables can still be downloaded",
    )


def _read_probability(folder: Path) -> Volume:
    native = json.loads((folder / "native.json").read_text())
    i, j, k = native["shape"]
    frames = native.get("frames")  # views of before December 2026 have none
    geometry = Geometry(
        shape=(i, j, k),
        affine=np.array(native["affine"]),
        units=native["units"],
        frames=None if frames is None else Frames(**frames),
    )
    data = np.load(folder / "probability.npy", mmap_mode="r", allow_pickle=False)
    return Volume(data=data, geometry=geometry)


def pack_image(image: NDArray[Number]) -> tuple[bytes, tuple[float, float], tuple[float, float]]:
    """Return an image of the display grid as gzip on 0…4095, its values there, a first window."""
    data = np.asarray(image, dtype=np.float32)
    low, high = (float(v) for v in np.percentile(data, RANGE_PERCENTILES))
    high = high if high > low else low + 1.0
    scaled = np.clip((data - low) * (TOP_LEVEL / (high - low)), 0, TOP_LEVEL).astype("<u2")
    packed = gzip.compress(scaled.tobytes(order="F"), GZIP_LEVEL, mtime=0)
    return packed, (low, high), _first_window(scaled)


def pack_labels(mask: Mask, grid: DisplayGrid) -> bytes:
    """Return a mask's lesion ids on the display grid as gzip; ids beyond 255 wrap to 1…255."""
    ids = grid.apply(mask.data)
    if mask.data.dtype != np.uint8:
        wide = ids.astype(np.int64)
        ids = np.where(wide > 0, (wide - 1) % 255 + 1, 0).astype(np.uint8)
    return gzip.compress(ids.tobytes(order="F"), GZIP_LEVEL, mtime=0)


def _write_gzip(path: Path, array: NDArray[np.generic]) -> None:
    path.write_bytes(gzip.compress(array.tobytes(order="F"), GZIP_LEVEL, mtime=0))


def _first_window(scaled: NDArray[np.unsignedinteger]) -> tuple[float, float]:
    values = scaled[scaled > TOP_LEVEL // 20]
    if not values.size:
        return 0.0, float(TOP_LEVEL)
    low, high = (float(v) for v in np.percentile(values, WINDOW_PERCENTILES))
    return max(0.0, min(low, high / 4)), max(high, 1.0)
