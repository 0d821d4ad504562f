"""The NIfTI-1 and NIfTI-2 header, read by nibabel and judged before a single voxel is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from brainmets.domain.geometry import Frames, Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.io.limits import Limits

__all__ = [
    "HEADER_BYTES",
    "NiftiHeader",
    "check_size",
    "check_spacing",
    "header_bytes",
    "padded_shape",
    "parse_header",
]

HEADER_BYTES = {1: 348, 2: 540}
"""Header size by NIfTI version."""

EXTENSION_FLAG_BYTES = 4

VOXEL_TYPES = frozenset({2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280})
"""NIfTI datatype codes of the real scalar types."""

REFUSED_TYPES = {
    1: "single bits", 32: "complex numbers", 128: "RGB colours", 1536: "128-bit floats",
    1792: "complex numbers", 2048: "complex numbers", 2304: "RGBA colours",
}  # fmt: skip

MILLIMETRES = {1: 1000.0, 3: 0.001}
"""What a metre and a micrometre are, by the code of `xyzt_units`."""

SAME_SIZE = 0.05
"""Voxel sizes of sform and pixdim may differ by this share: what is measured follows from them."""

APART_MM = 0.1
"""Corners of sform and qform farther apart than this are reported: readers use either."""

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
    notes: tuple[str, ...] = ()

    @property
    def voxel_bytes(self) -> int:
        """Bytes the voxels take as stored."""
        return math.prod(self.geometry.shape) * self.dtype.itemsize


def header_bytes(start: bytes, name: str) -> int:
    """Return how many bytes the header that opens with `start` (≥ 8 bytes) has.

    Raises:
        NotNifti: the first four bytes are no NIfTI header size.
    """
    if len(start) >= 8:
        for order in ("little", "big"):
            size = int.from_bytes(start[:4], order)
            if size in HEADER_BYTES.values():
                return size
    raise NotNifti(f"{name} does not begin with a NIfTI header", **BAD_HEADER)


def parse_header(raw: bytes, name: str, limits: Limits, *, min_slices: int) -> NiftiHeader:
    """Judge a complete header of 348 or 540 bytes.

    Raises:
        NotNifti: the magic is missing, or fields contradict the format; also a .hdr/.img pair.
        Dimensions, TooFewSlices: not one 3-D image.
        VoxelType: complex, RGB or otherwise unusable voxels.
        TooLarge: more voxels than `limits` allow.
        NoOrientation: neither sform nor qform is set, they mirror each other, or a qform has
            negative voxel sizes.
        SingularAffine, Spacing: the matrix is not that of a head, or sform and pixdim disagree
            on the size of a voxel.
    """
    fields = _opened(raw, name)
    shape = _shape(tuple(int(n) for n in fields["dim"]), name, min_slices)
    dtype = _dtype(fields, name)
    check_size(shape, dtype, name, limits)
    affine, notes = _placed(fields, shape, name, limits)
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        slope, intercept = 1.0, 0.0
    return NiftiHeader(
        geometry=Geometry(shape=shape, affine=affine, frames=_frames(fields)),
        dtype=dtype,
        offset=_offset(fields, len(fields.binaryblock), name, limits),
        slope=slope,
        intercept=intercept if math.isfinite(intercept) else 0.0,
        notes=notes,
    )


def _opened(raw: bytes, name: str) -> Any:
    """Return nibabel's header; not repaired, since what is wrong is refused."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    size = header_bytes(raw[:8], name)
    if len(raw) < size:
        raise NotNifti(f"{name} is shorter than its header", **BAD_HEADER)
    magic = raw[344:348] if size == HEADER_BYTES[1] else raw[4:8]
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
    kind = Nifti1Header if size == HEADER_BYTES[1] else Nifti2Header
    order = "<" if int.from_bytes(raw[:4], "little") == size else ">"
    return kind(raw[:size], endianness=order, check=False)


def _frames(fields: Any) -> Frames:
    names = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
    rows = [value for name in ("srow_x", "srow_y", "srow_z") for value in fields[name]]
    return Frames(
        qform_code=int(fields["qform_code"]),
        sform_code=int(fields["sform_code"]),
        pixdim=tuple(float(value) for value in fields["pixdim"][:4]),
        quaternion=tuple(float(fields[name]) for name in names),
        srows=tuple(float(value) for value in rows),
        units=int(fields["xyzt_units"]),
    )


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
    return padded_shape(sizes, name, min_slices)


def padded_shape(sizes: tuple[int, ...], name: str, min_slices: int) -> tuple[int, int, int]:
    """Return three sizes of one volume that is thick enough along every axis."""
    shown = " × ".join(map(str, sizes))
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


def _dtype(fields: Any, name: str) -> np.dtype[np.generic]:
    code = int(fields["datatype"])
    if code not in VOXEL_TYPES:
        raise VoxelType(
            f"{name} holds {REFUSED_TYPES.get(code, f'voxels of unknown type {code}')}",
            expected="real, grey-valued voxels",
            remedy="export the magnitude image",
        )
    return np.dtype(fields.get_data_dtype())


def check_size(
    shape: tuple[int, int, int], dtype: np.dtype[np.generic], name: str, limits: Limits
) -> None:
    """Refuse more voxels or bytes than `limits` allow."""
    voxels = math.prod(shape)
    stored = voxels * dtype.itemsize
    if voxels > limits.max_voxels or stored > limits.max_volume_bytes:
        raise TooLarge(
            f"{name} declares {' × '.join(map(str, shape))} voxels, {stored:,} bytes",
            expected=f"at most {limits.max_voxels:,} voxels and {limits.max_volume_bytes:,} bytes",
            remedy="give a single head scan, cropped or resampled if need be",
        )


def _offset(fields: Any, size: int, name: str, limits: Limits) -> int:
    least = size + EXTENSION_FLAG_BYTES
    offset = float(fields["vox_offset"])
    if offset == 0:  # some writers leave it out; the standard's least value is meant
        return least
    if not (math.isfinite(offset) and least <= offset <= limits.max_header_bytes):
        raise NotNifti(f"{name} places its voxels at byte {offset:g}", **BAD_HEADER)
    return int(offset)


def _placed(
    fields: Any, shape: tuple[int, int, int], name: str, limits: Limits
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the matrix in millimetres, and what a user should know of how it was chosen."""
    qform, sform = _qform(fields, name), _sform(fields)
    if sform is None and qform is None:
        raise NoOrientation(
            f"{name} has neither sform nor qform",
            expected="a header with an orientation",
            remedy="convert the image again from DICOM; orientation cannot be guessed safely",
        )
    notes: list[str] = []
    if sform is not None:
        _check_size_of_voxels(sform, fields, name)
        if qform is not None:
            notes += _compared(sform, qform, shape, name)
        elif int(fields["qform_code"]) > 0 and min(fields["pixdim"][1:4]) < 0:
            notes.append(
                "The image's qform has a negative voxel size, which readers take differently; "
                "places follow its sform."
            )
    affine = np.array(sform if sform is not None else qform)
    scale, note = _unit(affine, fields, limits)
    affine[:3] *= scale
    check_spacing(affine, name, limits)
    return affine, (*notes, *note)


def _sform(fields: Any) -> NDArray[np.float64] | None:
    if int(fields["sform_code"]) <= 0:
        return None
    return np.asarray(fields.get_sform(), dtype=np.float64)


def _qform(fields: Any, name: str) -> NDArray[np.float64] | None:
    """Return nibabel's qform; None where none is set, or where an sform makes up for a bad one."""
    if int(fields["qform_code"]) <= 0:
        return None
    beside_sform = int(fields["sform_code"]) > 0
    repaired = fields.copy()
    hand, *sizes = (float(value) for value in fields["pixdim"][:4])
    repaired["pixdim"][0] = -1.0 if hand < 0 else 1.0
    if min(sizes) < 0 and not beside_sform:
        raise NoOrientation(
            f"{name} has a qform with a negative voxel size",
            expected="positive voxel sizes, or an sform",
            remedy="convert the image again from DICOM; readers disagree on its left and right",
        )
    if not np.isfinite([*sizes, *_frames(fields).quaternion]).all() or min(sizes) <= 0:
        return None if beside_sform else np.full((4, 4), np.nan)
    parts = np.array([float(fields[f"quatern_{axis}"]) for axis in "bcd"])
    length = float(np.linalg.norm(parts))
    if length > 1:  # rounding left no room for the fourth part
        for axis, part in zip("bcd", parts / length, strict=True):
            repaired[f"quatern_{axis}"] = part * (1 - 1e-7)
    qform = np.asarray(repaired.get_qform(), dtype=np.float64)
    if beside_sform and hand == 0:
        return None  # without a handedness it cannot contradict the sform
    return qform


def _check_size_of_voxels(sform: NDArray[np.float64], fields: Any, name: str) -> None:
    """Refuse an sform that makes voxels larger or smaller than pixdim says they are."""
    sizes = np.abs(np.asarray(fields["pixdim"][1:4], dtype=np.float64))
    found = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.isfinite([*sizes, *found]).all() or sizes.min() == 0 or found.min() == 0:
        return  # one of them says nothing; the matrix is judged by itself
    if np.abs(found / sizes - 1).max() > SAME_SIZE:
        shown = " and ".join(
            " × ".join(f"{value:.4g}" for value in values) for values in (found, sizes)
        )
        raise Spacing(
            f"{name} has voxels of {shown} in its sform and its pixdim",
            expected="one voxel size, since volumes and diameters follow from it",
            remedy="give the image on its own grid, or correct the header",
        )


def _compared(
    sform: NDArray[np.float64], qform: NDArray[np.float64], shape: tuple[int, int, int], name: str
) -> list[str]:
    """Refuse two orientations that mirror each other; report other differences."""
    if not (np.isfinite(sform).all() and np.isfinite(qform).all()):
        return []
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise NoOrientation(
            f"{name} has an sform and a qform that mirror each other",
            expected="one orientation",
            remedy="convert the image again from DICOM; left and right cannot be told apart",
        )
    corners = np.array(np.meshgrid(*((0, n - 1) for n in shape))).reshape(3, -1)
    homogeneous = np.vstack((corners, np.ones((1, corners.shape[1]))))
    apart = float(np.linalg.norm(((sform - qform) @ homogeneous)[:3], axis=0).max())
    if apart <= APART_MM:
        return []
    told = (
        f"sform and qform of the image place its corners up to {apart:.1f} mm apart. Places follow "
        "the sform; readers that follow the qform show image and mask together, but elsewhere."
    )
    return [told]


def _unit(
    affine: NDArray[np.float64], fields: Any, limits: Limits
) -> tuple[float, tuple[str, ...]]:
    """Return what turns the header's unit into millimetres."""
    scale = MILLIMETRES.get(int(fields["xyzt_units"]) & 7, 1.0)
    if scale == 1.0:
        return 1.0, ()
    unit = "metres" if scale > 1 else "micrometres"
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(sizes).all() or _fits(sizes * scale, limits):
        return scale, (f"The header of the image is in {unit}; it was read as such.",)
    if _fits(sizes, limits):
        return 1.0, (f"The header of the image says {unit}; its sizes are read as millimetres.",)
    return scale, ()


def _fits(sizes: NDArray[np.float64], limits: Limits) -> bool:
    return bool(limits.min_spacing_mm <= sizes.min() and sizes.max() <= limits.max_spacing_mm)


def check_spacing(affine: NDArray[np.float64], name: str, limits: Limits) -> None:
    """Refuse voxels that are not of a size, in millimetres, that scans have."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(spacing).all() or spacing.min() == 0:
        return  # no matrix at all, which `Geometry` says better
    if not _fits(spacing, limits):
        raise Spacing(
            f"{name} has voxels of {' × '.join(f'{mm:.4g}' for mm in spacing)} mm",
            expected=f"{limits.min_spacing_mm:g} to {limits.max_spacing_mm:g} mm",
            remedy="correct the header: its voxel sizes, or their unit in xyzt_units",
        )
