"""One scan of a follow-up: its image, its lesions, its day, be it segmented already or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainmets.domain.errors import (
    Dimensions,
    GridMismatch,
    InputError,
    OptionError,
    SourceDiffers,
)
from brainmets.domain.regrid import volume_turned_onto
from brainmets.io import read_volume
from brainmets.io.dicom_acquisition import Acquisition, read_acquisition
from brainmets.reporting.stored import REPORT, read_result
from brainmets.workflows.segmented_image import read_segmented

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Lesion, Mask, Provenance, Volume
    from brainmets.reporting.stored import StoredResult

__all__ = ["FollowedScan", "is_result", "scan_of_result"]

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FollowedScan:
    """What a follow-up needs of a scan.

    `acquired` and `patient` (a hash) order and compare scans and go no further. `reviewed` says
    that the lesions are as a reader left them. `probability` is on the mask's grid, None where it
    was not stored; from `threshold` on a voxel belongs to a lesion.
    """

    image: Volume
    mask: Mask
    lesions: tuple[Lesion, ...]
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    reviewed: bool = False
    acquired: date | None = None
    patient: str | None = None
    probability: NDArray[np.float32] | None = None
    threshold: float = DEFAULT_THRESHOLD


def is_result(path: Path) -> bool:
    """Say whether a path is a folder that `brainmets segment` has written."""
    return (path / REPORT).is_file()


def scan_of_result(
    folder: Path, images: Sequence[Path], *, review: Path | None = None
) -> FollowedScan:
    """Take the lesions of a result, and its image from among `images` by its content.

    Args:
        folder: what `segment` wrote; a reader's corrections in it are respected.
        images: files, folders or zips, one of them what was segmented; the likeliest first.
        review: where the corrections lie, by default in the folder.

    Raises:
        NotAResult: the folder holds no result.
        OptionError: no image is given.
        Dimensions: slices were segmented, not a volume.
        SourceDiffers: none of the images is the one that was segmented.
    """
    result = read_result(folder, review=review)
    if result.kind == "slices":
        raise Dimensions(
            f"slice images in {folder.name}",
            expected="volumes: single pictures cannot be registered to each other in space",
            remedy="give NIfTI files or DICOM series of the whole head",
        )
    if not images:
        raise OptionError(
            f"the result {folder.name} without the image it was made from",
            expected="the image too: scans are registered to each other by their images",
            remedy="add --image FILE for each result, or give the scans themselves",
        )
    image, acquisition = _image_of(result, folder, images)
    return FollowedScan(
        image=image,
        mask=result.mask,
        lesions=result.lesions,
        provenance=result.provenance,
        warnings=result.warnings,
        reviewed=result.reviewed,
        acquired=acquisition.day,
        patient=acquisition.patient,
        probability=_probability(folder, result.mask.geometry),
        threshold=_threshold(result),
    )


def _probability(folder: Path, grid: Geometry) -> NDArray[np.float32] | None:
    """Read the probability map of a result where it was stored and is on the mask's grid."""
    path = folder / "probability.nii.gz"
    if not path.is_file():
        return None
    try:
        return volume_turned_onto(read_volume(path), grid).data
    except InputError:
        return None  # it is only asked for a doubt about what is new


def _threshold(result: StoredResult) -> float:
    value = result.provenance.settings.get("threshold")
    return float(value) if isinstance(value, (int, float)) else DEFAULT_THRESHOLD


def _image_of(
    result: StoredResult, folder: Path, images: Sequence[Path]
) -> tuple[Volume, Acquisition]:
    for path in images:
        try:
            image = read_segmented(result, path)
        except (SourceDiffers, GridMismatch):
            continue
        return image, _acquisition(path)
    raise SourceDiffers(
        f"no image among the {len(images)} given that {folder.name} was made from",
        expected="for each result the file, folder or zip that was segmented",
        remedy="add it with --image",
    )


def _acquisition(path: Path) -> Acquisition:
    """Read the day of an image; of several series in it all are of one examination."""
    from brainmets.io import list_series

    several = len(list_series(path)) > 1
    return read_acquisition(path, series="line:1" if several else None)
