"""A case of a data set as images and labels on one grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import Case, Geometry, Mask, Volume
from brainmets.domain.errors import GridMismatch, MissingSequence
from brainmets.io.reading import read_case, read_mask, read_volume

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Sequence
    from brainmets.io.datasets.layout import Dataset, DatasetCase

__all__ = ["LoadedCase", "load_case", "on_grid"]

PREFERRED: tuple[Sequence, ...] = ("t1c", "t2f", "t1n", "t2w")
"""Whose grid the others are brought to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedCase:
    """A case and its labels, on the case's grid; None where nobody has drawn any."""

    case: Case
    mask: Mask | None
    patient: str


def load_case(
    dataset: Dataset, case: DatasetCase, *, sequences: tuple[Sequence, ...] | None = None
) -> LoadedCase:
    """Read one case; all its sequences, or the ones asked for.

    Where the data set says that grids differ, images are resampled linearly and masks to the
    nearest label, onto the first sequence's grid.

    Raises:
        MissingSequence: the case has none of the sequences.
        GridMismatch: grids differ although they should not.
        InputError: a file cannot be read.
    """
    wanted: list[Sequence] = [name for name in PREFERRED if name in case.images]
    if sequences is not None:
        wanted = [name for name in wanted if name in sequences]
    if not wanted or any(name not in wanted for name in sequences or ()):
        raise MissingSequence(
            f"case {case.case_id} with {', '.join(case.images) or 'no image'}",
            expected=", ".join(sequences or ("at least one sequence",)),
            remedy="leave the case out or ask for what it has",
        )
    if any(path.suffix == ".mat" for path in case.images.values()):
        return _load_matlab(case)
    first = wanted[0]
    read = read_case(case.images[first], sequence=first)
    read = replace(read, case_id=case.case_id, kind=case.kind)
    images = dict(read.images)
    for name in wanted[1:]:
        if dataset.may_differ:
            images[name] = _resampled(read_volume(case.images[name]), read.geometry)
        else:
            images[name] = read_case(case.images[name], sequence=name).images[name]
    loaded = replace(read, images=images)
    mask = _read_masks(case.masks, loaded.geometry, may_differ=dataset.may_differ)
    return LoadedCase(case=loaded, mask=mask, patient=case.patient)


def on_grid(mask: Mask, geometry: Geometry) -> Mask:
    """Return the labels on another grid, each voxel that of the nearest; 0 outside."""
    if mask.geometry.same_grid(geometry):
        return mask
    moved = _interpolate(mask.data, mask.geometry, geometry, order=0)
    return Mask(data=moved.astype(mask.data.dtype), geometry=geometry)


def _resampled(volume: Volume, geometry: Geometry) -> Volume:
    if volume.geometry.same_grid(geometry):
        return Volume(data=volume.data, geometry=geometry)
    moved = _interpolate(volume.data, volume.geometry, geometry, order=1)
    return Volume(data=moved, geometry=geometry)


def _interpolate(
    data: NDArray[Any], source: Geometry, target: Geometry, *, order: int
) -> NDArray[Any]:
    from scipy.ndimage import affine_transform

    voxel_to_voxel = np.linalg.inv(source.affine) @ target.affine
    offset: Any = voxel_to_voxel[:3, 3]  # typed as one number, taken as one an axis
    return affine_transform(data, voxel_to_voxel[:3, :3], offset, target.shape, order=order)


def _read_masks(paths: tuple[Path, ...], geometry: Geometry, *, may_differ: bool) -> Mask | None:
    if not paths:
        return None
    parts = [read_mask(path) for path in paths]
    if len(parts) > 1:
        stack = np.concatenate([part.data for part in parts], axis=2)
        if stack.shape == geometry.shape:
            return Mask(data=stack, geometry=geometry)
        raise GridMismatch(
            f"masks that stack to {stack.shape} for slices of {geometry.shape}",
            expected="one mask a slice, of its size",
            remedy="bring the missing masks",
        )
    (mask,) = parts
    if may_differ:
        return on_grid(mask, geometry)
    if not mask.geometry.same_grid(geometry):
        raise GridMismatch(
            f"{paths[0].name} on {mask.geometry.shape} voxels, its image on {geometry.shape}",
            expected="the mask on its image's grid",
            remedy="resample the mask to the image, nearest neighbour",
        )
    return mask


def _load_matlab(case: DatasetCase) -> LoadedCase:
    """Read one of Cheng's MATLAB files; its arrays come transposed out of HDF5."""
    import hashlib

    import h5py

    from brainmets.domain import Source
    from brainmets.io.slice_images import slice_geometry

    (path,) = case.images.values()
    with h5py.File(path, "r") as file:
        record: Any = file["cjdata"]
        image = np.asarray(record["image"][()], dtype=np.float32)[..., None]
        drawn = np.asarray(record["tumorMask"][()], dtype=np.uint8)[..., None]
    geometry = slice_geometry(image.shape[0], image.shape[1], 1)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source(format="image", sha256=digest, slice_names=(path.stem,))
    loaded = Case(
        images={"t1c": Volume(data=image, geometry=geometry)},
        geometry=geometry,
        source=source,
        case_id=case.case_id,
        kind="slices",
    )
    return LoadedCase(case=loaded, mask=Mask(data=drawn, geometry=geometry), patient=case.patient)
