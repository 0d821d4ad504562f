"""One examination as read from disk: its images on one grid, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brainmets.domain.geometry import Geometry
    from brainmets.domain.volume import Volume

__all__ = ["Case", "CaseKind", "InputFormat", "Sequence", "Source"]

Sequence = Literal["t1c", "t1n", "t2w", "t2f"]
"""MR sequences by the BraTS names: T1 with contrast, T1 native, T2-weighted, T2 FLAIR."""

CaseKind = Literal["volume", "slices"]
"""A head as one volume, or independent slice images stacked along k."""

InputFormat = Literal["nifti", "dicom", "image", "nrrd", "metaimage", "mgh", "array"]
"""Of the file that was read; `array` is a scan that a Python program gave in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a case came from, without anything that names the patient.

    `sha256` covers the bytes of the image content as they lay on disk. `slice_names` are
    the file stems of slice images, in stack order. `notes` are sentences for the user on how the
    input was understood, where it leaves room for doubt; they belong into a report's warnings.
    """

    format: InputFormat
    sha256: str
    slice_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """An examination: images by sequence, all on `geometry`, the input's own grid.

    Slice images (`kind="slices"`) are at `data[column, row, slice]` with an LPI-like affine
    (columns run to the patient's left, rows to the back), the radiological display.

    Raises:
        GridMismatch: there is no image, or one is on another grid.
    """

    images: Mapping[Sequence, Volume]
    geometry: Geometry
    source: Source
    case_id: str
    kind: CaseKind = "volume"

    def __post_init__(self) -> None:
        """Check that every image is on the case's grid."""
        misplaced = [
            name
            for name, image in self.images.items()
            if not image.geometry.same_grid(self.geometry)
        ]
        if misplaced or not self.images:
            raise GridMismatch(
                f"{', '.join(misplaced) or 'no image'} on the case's grid",
                expected="at least one image, all on the same grid",
                remedy="co-register and resample the sequences to one grid first",
            )
