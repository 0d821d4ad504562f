"""A head with lesions of known size, and the same head weeks later: moved, regridded, changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from brainmets.domain import (
    Case,
    Geometry,
    Prediction,
    Provenance,
    Report,
    RigidMotion,
    Source,
    Volume,
)
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.io import write_volume
from brainmets.preprocessing.intensity import find_foreground
from brainmets.reporting import write_results

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MOTION", "Ball", "brighter", "later_grid", "moved", "write_result"]

MOTION = RigidMotion.of(rotation_deg=(4.0, -6.0, 9.0), shift_mm=(7.0, -5.0, 6.0))
"""Where the first scan's anatomy is in the second: more than a patient usually moves."""


class Ball(NamedTuple):
    """A lesion: centre in the first scan's RAS+ mm, diameter."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float


def moved(image: Volume, motion: RigidMotion, grid: Geometry) -> Volume:
    """The anatomy of `image` moved by `motion`, on `grid`."""
    matrix = np.linalg.inv(image.geometry.affine) @ motion.inverse.matrix @ grid.affine
    data = ndimage.affine_transform(
        image.data, matrix[:3, :3], matrix[:3, 3], output_shape=grid.shape, order=1,
        cval=float(image.data.min()),
    )  # fmt: skip
    return Volume(data=data, geometry=grid)


def later_grid(image: Volume, spacing_mm: tuple[float, float, float]) -> Geometry:
    """A grid of another spacing and orientation (LPS) around the same head, larger by a tenth."""
    own = image.geometry
    extent = np.array(own.shape) * own.spacing_mm * 1.1
    shape = np.ceil(extent[[abs(axis) for axis, _ in own.closest_axes]] / spacing_mm).astype(int)
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    middle = MOTION.apply(own.to_ras_mm((np.array(own.shape) - 1) / 2))
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    i, j, k = (int(n) for n in shape)
    return Geometry(shape=(i, j, k), affine=affine)


def brighter(
    image: Volume, balls: tuple[Ball, ...], motion: RigidMotion | None = None, *, gain: float = 1.6
) -> tuple[Volume, NDArray[np.bool_]]:
    """Put bright balls into a scan, their edges as soft as a voxel; return where they are."""
    motion = motion or RigidMotion.identity()
    spacing = np.array(image.geometry.spacing_mm)
    width = float(spacing.mean())
    signed = np.full(image.data.shape, 10 * width, dtype=np.float32)
    for ball in balls:
        middle = motion.apply(ball.centre_mm)
        reach = np.ceil((ball.diameter_mm / 2 + 2 * width) / spacing).astype(int) + 1
        at = np.rint(image.geometry.to_voxel(middle)).astype(int)
        low = np.maximum(at - reach, 0)
        box = tuple(slice(a, b) for a, b in zip(low, at + reach + 1, strict=True))
        near = signed[box]
        places = image.geometry.to_ras_mm(np.indices(near.shape).reshape(3, -1).T + low)
        away = np.linalg.norm(places - middle, axis=1) - ball.diameter_mm / 2
        signed[box] = np.minimum(near, away.reshape(near.shape))
    share = np.clip(0.5 - signed / width, 0.0, 1.0)
    head = image.data[find_foreground(image.data)]
    bright = gain * float(np.percentile(head, 99.9))
    data = image.data * (1 - share) + bright * share
    return Volume(data=data.astype(np.float32), geometry=image.geometry), signed < 0.0


def write_result(
    folder: Path, name: str, image: Volume, inside: NDArray[np.bool_], **provenance: str
) -> tuple[Path, Path]:
    """Write a scan and the result that segments exactly `inside`; return both."""
    scan = write_volume(image, folder / f"{name}.nii.gz")
    from brainmets.io import read_case

    case = read_case(scan)
    probability = Volume(data=inside.astype(np.float32), geometry=case.geometry)
    mask, lesions = find_lesions(probability, OperatingPoint(threshold=0.5, peak=0.5))
    made = {"model": "by hand", "model_sha256": "0" * 64, "code_version": "0", "engine": "none"}
    report = Report(
        case=Case(
            images=case.images,
            geometry=case.geometry,
            source=Source(format="nifti", sha256=case.source.sha256),
            case_id=name,
        ),
        prediction=Prediction(
            probability=probability,
            mask=mask,
            lesions=lesions,
            provenance=Provenance(**(made | provenance), input_sha256=case.source.sha256),
        ),
    )
    write_results(report, folder / f"{name}-result")
    return scan, folder / f"{name}-result"
