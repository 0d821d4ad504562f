"""Every feature of an input format that the tests make, and what reading it comes to.

`docs/reference/conformance.md` follows from these tables: `python -m tests.unit.io_reference`.
"""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import BrainmetsError
from brainmets.io import read_case
from tests.unit.dicom_variants import VARIANTS
from tests.unit.io_broken import BROKEN
from tests.unit.io_files import (
    BIG_ENDIAN,
    IMPLICIT,
    JPEG_2000,
    JPEG_LS,
    NATIVE,
    RLE,
    head,
    nifti,
    nifti_bytes,
    oblique_affine,
    write_dicom,
    write_enhanced,
    zipped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Maker = Callable[[Path], Path]

__all__ = ["DICOM", "NIFTI", "conformance_page", "outcome"]

OBLIQUE = head(affine=oblique_affine())
SYNTAXES = {
    "explicit little-endian": NATIVE,
    "implicit little-endian": IMPLICIT,
    "explicit big-endian": BIG_ENDIAN,
    "RLE": RLE,
    "JPEG-LS": JPEG_LS,
    "JPEG 2000": JPEG_2000,
}


def _nifti(suffix: str = ".nii.gz", dtype: str = "<i2", **fields: object) -> Maker:
    voxels = np.rint(OBLIQUE.data).astype(dtype)
    return lambda folder: nifti(folder / f"a{suffix}", voxels, oblique_affine(), **fields)


def _swapped(folder: Path) -> Path:
    """Big-endian, header and voxels."""
    import nibabel

    path = folder / "a.nii"
    image = nibabel.Nifti1Image(np.rint(OBLIQUE.data).astype(">i2"), oblique_affine())  # pyright: ignore[reportPrivateImportUsage]
    header = image.header.as_byteswapped(">")
    nibabel.Nifti1Image(image.dataobj, None, header).to_filename(path)  # pyright: ignore[reportPrivateImportUsage]
    return path


def _members(folder: Path) -> Path:
    raw = bytes(nifti_bytes(np.rint(OBLIQUE.data).astype("<i2"), oblique_affine()))
    (folder / "a.nii.gz").write_bytes(gzip.compress(raw[:999]) + gzip.compress(raw[999:]))
    return folder / "a.nii.gz"


def _classic(**options: object) -> Maker:
    def make(folder: Path) -> Path:
        write_dicom(folder / "series", OBLIQUE, **options)
        return folder / "series"

    return make


def _zipped(folder: Path) -> Path:
    return zipped(folder / "a.zip", write_dicom(folder / "series", OBLIQUE))


NIFTI: dict[str, Maker] = {
    **{
        f"voxels {name}": _nifti(dtype=name)
        for name in ("u1", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8")
    },
    "uncompressed": _nifti(".nii"),
    "gzip of several members": _members,
    "NIfTI-2": _nifti(version=2),
    "big-endian": _swapped,
    "slope and intercept": _nifti(scl_slope=0.5, scl_inter=-20.0),
    "slope of 0": _nifti(scl_slope=0.0),
    "voxel offset of 0": _nifti(vox_offset=0),
}

DICOM: dict[str, Maker] = {
    **{f"classic MR, {name}": _classic(syntax=uid) for name, uid in SYNTAXES.items()},
    "classic MR, signed": _classic(dtype="<i2", PixelRepresentation=1),
    "classic MR, rescale slope and intercept": _classic(slope=0.5, intercept=-10.0),
    "classic MR in a zip": _zipped,
    "enhanced multi-frame MR": lambda d: write_enhanced(d / "a.dcm", OBLIQUE),
    "enhanced multi-frame MR, JPEG 2000": lambda d: write_enhanced(
        d / "a.dcm", OBLIQUE, syntax=JPEG_2000
    ),
    "enhanced multi-frame MR, two echoes": lambda d: write_enhanced(d / "a.dcm", OBLIQUE, echoes=2),
}

DICOM_WORDS = ("DICOM", "series", "mixed", "slices", "missing", "duplicate", "gantry", "CT")


def _sections() -> dict[str, dict[str, Maker]]:
    """All features by heading; those that tests of their own make come from there."""
    from tests.unit import test_io_frames, test_io_other_volumes, test_io_pixel_meanings

    def scanned(name: str) -> Maker:
        options = test_io_frames.HEADERS[name]
        return lambda folder: test_io_frames.scan(folder / "a.nii", **options)

    def placed(**options: Any) -> Maker:
        return lambda folder: test_io_frames.scan(folder / "a.nii", **options)

    def pictured(suffix: str, content: Callable[[], bytes]) -> Maker:
        def make(folder: Path) -> Path:
            (folder / f"a.{suffix}").write_bytes(content())
            return folder / f"a.{suffix}"

        return make

    broken = {name: make for name, (_, make) in BROKEN.items()}
    of_dicom = {n for n in broken if any(word in n for word in DICOM_WORDS)}
    return {
        "NIfTI": {
            **NIFTI,
            **{f"matrices: {n}": scanned(n) for n in test_io_frames.HEADERS},
            **{n: placed(**options) for n, options in test_io_frames.ODD.items()},
        },
        "DICOM": {**DICOM, **{n: m for n, m in broken.items() if n in of_dicom}},
        "DICOM folders as they come": {
            one.feature: Chosen(make=one.make, series=one.series) for one in VARIANTS
        },
        "NRRD, MetaImage, MGH": {
            **test_io_other_volumes.WRITERS,
            **{n: make for n, (_, make) in test_io_other_volumes.BROKEN.items()},
        },
        "Slice images": {
            **{n: pictured(s, c) for n, (s, c, _) in test_io_pixel_meanings.VARIANTS.items()},
            **{
                f"TIFF of {n}": pictured("tif", c)
                for n, c in test_io_pixel_meanings.REFUSED.items()
            },
        },
        "Archives and other files": {
            n: make for n, (_, _, make) in test_io_other_volumes.NAMED.items()
        },
        "Broken files": {n: m for n, m in broken.items() if n not in of_dicom},
    }


@dataclass(frozen=True)
class Chosen:
    """An input of several series, and which of them to read."""

    make: Maker
    series: str | None

    def __call__(self, folder: Path) -> Path:
        """Make the input."""
        return self.make(folder)


def outcome(make: Maker) -> str:
    """Read what `make` makes and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            case = read_case(make(Path(folder)), series=getattr(make, "series", None))
        except BrainmetsError as error:
            return f"refused | `{error.code}`"
    notes = " ".join(case.source.notes)
    return f"read with a note | {notes}" if notes else "read | "


def conformance_page(made: str) -> str:
    """The page, by reading every input of the tables."""
    introduction = (
        "Every input below is made by a test and read by `read_case`; the last columns are what "
        "happened. A note is shown with the result and is part of its report. Voxels and places of "
        "what is read are compared with nibabel, SimpleITK and highdicom by "
        "`tests/contract/test_other_readers.py`.\n"
    )
    parts = ["# Conformance\n", made, introduction]
    for title, features in _sections().items():
        rows = [f"| {name} | {outcome(make)} |" for name, make in features.items()]
        parts.append(f"## {title}\n\n| Input | Outcome | Code or note |\n|---|---|---|")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)
