"""The NIfTI-1 and NIfTI-2 header, parsed and judged before a single voxel is read.

Field offsets and the quaternion convention follow nifti1.h and nifti2.h (NIfTI Data Format
Working Group, nifti.nimh.nih.gov).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import (
    Dimensions,
    NoOrientation,
    NotNifti,
    Spacing,
    TooFewSlices,
    TooLarge,
    VoxelType,
)
from brainmets.domain.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.io.limits import Limits

__all__ = ["HEADER_BYTES", "NiftiHeader", "header_bytes", "parse_header"]

HEADER_BYTES = {1: 348, 2: 540}
"""Header size by NIfTI version."""

EXTENSION_FLAG_BYTES = 4

VOXEL_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
"""NIfTI datatype code to NumPy type, the real scalar types only."""

REFUSED_TYPES = {
    1: "single bits", 32: "complex numbers", 128: "RGB colours", 1536: "128-bit floats",
    1792: "complex numbers", 2048: "complex numbers", 2304: "RGBA colours",
}  # fmt: skip

BAD_HEADER = {
    "expected": "a NIfTI-1 or NIfTI-2 file",
    "remedy": "export the image again, for instance with dcm2niix",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiHeader:
    """What reading the voxels needs, every field already checked."""

    geometry: Geometry
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float

    @property
    def voxel_bytes(self) -> int:
        """Bytes the voxels take as stored."""
        return math.prod(self.geometry.shape) * self.dtype.itemsize


def header_bytes(start: bytes, name: str) -> int:
    """Return how many bytes the header that opens with `start` (≥ 8 bytes) has.

    Raises:
        NotNifti: the first four bytes are no NIfTI header size.
    """
    for order in "<>":
        size = struct.unpack_from(f"{order}i", start)[0] if len(start) >= 8 else 0
        if size in HEADER_BYTES.values():
            return int(size)
    raise NotNifti(f"{name} does not begin with a NIfTI header", **BAD_HEADER)


def parse_header(raw: bytes, name: str, limits: Limits, *, min_slices: int) -> NiftiHeader:
    """Judge a complete header of 348 or 540 bytes.

    Raises:
        NotNifti: the magic is missing, or fields contradict the format; also a .hdr/.img pair.
        Dimensions, TooFewSlices: not one 3-D image.
        VoxelType: complex, RGB or otherwise unusable voxels.
        TooLarge: more voxels than `limits` allow.
        NoOrientation: neither sform nor qform is set, or they mirror each other.
        SingularAffine, Spacing: the matrix is not that of a head.
    """
    fields = _Fields(raw, name)
    shape = _shape(fields.dims, name, min_slices)
    dtype = _dtype(fields, name)
    _check_size(shape, dtype, name, limits)
    affine = _affine(fields, name)
    geometry = Geometry(shape=shape, affine=affine)
    _check_spacing(geometry, name, limits)
    slope, intercept = fields.scaling
    if slope == 0 or not math.isfinite(slope):
        slope, intercept = 1.0, 0.0
    return NiftiHeader(
        geometry=geometry,
        dtype=dtype,
        offset=_offset(fields, name, limits),
        slope=slope,
        intercept=intercept if math.isfinite(intercept) else 0.0,
    )


class _Fields:
    """The header's fields by name, byte order and version resolved."""

    def __init__(self, raw: bytes, name: str) -> None:
        size = header_bytes(raw[:8], name)
        self.version = 1 if size == HEADER_BYTES[1] else 2
        self.order = "<" if struct.unpack_from("<i", raw)[0] == size else ">"
        self._raw = raw
        if len(raw) < size:
            raise NotNifti(f"{name} is shorter than its header", **BAD_HEADER)
        magic = raw[344:348] if self.version == 1 else raw[4:8]
        if magic[:3] in {b"ni1", b"ni2"}:
            raise NotNifti(
                f"{name} is the header of a .hdr/.img pair",
                expected="a single NIfTI file",
                remedy="convert the pair to .nii.gz, for instance with nibabel or fslmaths",
            )
        if magic[:3] not in {b"n+1", b"n+2"}:
            raise NotNifti(
                f"{name} has an Analyze 7.5 header, which says nothing of orientation",
                **BAD_HEADER,
            )

    def _get(self, code: str, at_1: int, at_2: int) -> tuple[float, ...]:
        at = at_1 if self.version == 1 else at_2
        return struct.unpack_from(self.order + code, self._raw, at)

    def _reals(self, count: int, at_1: int, at_2: int) -> tuple[float, ...]:
        return self._get(f"{count}{'f' if self.version == 1 else 'd'}", at_1, at_2)

    @property
    def dims(self) -> tuple[int, ...]:
        code = "8h" if self.version == 1 else "8q"
        return tuple(int(n) for n in self._get(code, 40, 16))

    @property
    def datatype(self) -> int:
        return int(self._get("h", 70, 12)[0])

    @property
    def pixdim(self) -> tuple[float, ...]:
        return self._reals(8, 76, 104)

    @property
    def offset(self) -> float:
        return self._get("f" if self.version == 1 else "q", 108, 168)[0]

    @property
    def scaling(self) -> tuple[float, float]:
        slope, intercept = self._reals(2, 112, 176)
        return slope, intercept

    @property
    def codes(self) -> tuple[int, int]:
        """qform_code, sform_code."""
        qform, sform = self._get("2h" if self.version == 1 else "2i", 252, 344)
        return int(qform), int(sform)

    @property
    def quaternion(self) -> tuple[float, ...]:
        """b, c, d and the offset x, y, z."""
        return self._reals(6, 256, 352)

    @property
    def srows(self) -> NDArray[np.float64]:
        return np.array(self._reals(12, 280, 400), dtype=np.float64).reshape(3, 4)


def _shape(dims: tuple[int, ...], name: str, min_slices: int) -> tuple[int, int, int]:
    count = dims[0]
    if not 1 <= count <= 7:
        raise NotNifti(f"{name} declares {count} dimensions", **BAD_HEADER)
    sizes = dims[1 : count + 1]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    shown = " × ".join(map(str, sizes))
    if min(sizes) < 1:
        raise Dimensions(
            f"{name} declares a size of {shown}",
            expected="positive dimensions",
            remedy="export the image again from its source",
        )
    if len(sizes) > 3:
        raise Dimensions(
            f"{name} has {len(sizes)} dimensions ({shown})",
            expected="one 3-D image",
            remedy="save a single volume of the series to its own file",
        )
    padded = (*sizes, 1, 1)[:3]
    if min(padded) < min_slices:
        raise TooFewSlices(
            f"{name} has a size of {' × '.join(map(str, padded))}",
            expected=f"at least {min_slices} slices along each axis",
            remedy="give the whole volume, or a PNG, JPEG or TIFF for a single slice",
        )
    return padded[0], padded[1], padded[2]


def _dtype(fields: _Fields, name: str) -> np.dtype[np.generic]:
    code = fields.datatype
    if code not in VOXEL_TYPES:
        raise VoxelType(
            f"{name} holds {REFUSED_TYPES.get(code, f'voxels of unknown type {code}')}",
            expected="real, grey-valued voxels",
            remedy="export the magnitude image",
        )
    return np.dtype(fields.order + VOXEL_TYPES[code])


def _check_size(
    shape: tuple[int, int, int], dtype: np.dtype[np.generic], name: str, limits: Limits
) -> None:
    voxels = math.prod(shape)
    stored = voxels * dtype.itemsize
    if voxels > limits.max_voxels or stored > limits.max_volume_bytes:
        raise TooLarge(
            f"{name} declares {' × '.join(map(str, shape))} voxels, {stored:,} bytes",
            expected=f"at most {limits.max_voxels:,} voxels and {limits.max_volume_bytes:,} bytes",
            remedy="give a single head scan, cropped or resampled if need be",
        )


def _offset(fields: _Fields, name: str, limits: Limits) -> int:
    least = HEADER_BYTES[fields.version] + EXTENSION_FLAG_BYTES
    offset = fields.offset
    if offset == 0:  # some writers leave it out; the standard's least value is meant
        return least
    if not (math.isfinite(offset) and least <= offset <= limits.max_header_bytes):
        raise NotNifti(f"{name} places its voxels at byte {offset:g}", **BAD_HEADER)
    return int(offset)


def _affine(fields: _Fields, name: str) -> NDArray[np.float64]:
    qform_code, sform_code = fields.codes
    affine = np.eye(4)
    if sform_code > 0:
        affine[:3] = fields.srows
        if qform_code > 0 and fields.pixdim[0] != 0 and np.isfinite(affine).all():
            _check_same_hand(affine, _qform(fields), name)
        return affine
    if qform_code > 0:
        return _qform(fields)
    raise NoOrientation(
        f"{name} has neither sform nor qform",
        expected="a header that says where left and right are",
        remedy="convert the image again from DICOM; orientation cannot be guessed safely",
    )


def _check_same_hand(sform: NDArray[np.float64], qform: NDArray[np.float64], name: str) -> None:
    """Refuse a header whose two orientations are mirror images: readers would pick either."""
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise NoOrientation(
            f"{name} has an sform and a qform that mirror each other",
            expected="one orientation",
            remedy="convert the image again from DICOM; left and right cannot be told apart",
        )


def _qform(fields: _Fields) -> NDArray[np.float64]:
    b, c, d, x, y, z = fields.quaternion
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:  # nifti1_io: rounding left no room for a, so renormalise
        norm = math.sqrt(b * b + c * c + d * d) or 1.0
        a, b, c, d = 0.0, b / norm, c / norm, d / norm
    else:
        a = math.sqrt(rest)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    hand = -1.0 if fields.pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array(
        [fields.pixdim[1], fields.pixdim[2], fields.pixdim[3] * hand]
    )
    affine[:3, 3] = x, y, z
    return affine


def _check_spacing(geometry: Geometry, name: str, limits: Limits) -> None:
    spacing = geometry.spacing_mm
    if min(spacing) < limits.min_spacing_mm or max(spacing) > limits.max_spacing_mm:
        raise Spacing(
            f"{name} has voxels of {' × '.join(f'{mm:.4g}' for mm in spacing)} mm",
            expected=f"{limits.min_spacing_mm:g} to {limits.max_spacing_mm:g} mm",
            remedy="correct the header; the spacing must be in millimetres",
        )
