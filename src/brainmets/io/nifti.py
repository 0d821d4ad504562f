"""Reading one NIfTI volume from a stream: gate first, voxels second, end of file always."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import Bomb, InputError, NonFinite
from brainmets.io.byte_source import ByteSource, content_of, ends_early
from brainmets.io.gunzip import chunks_of
from brainmets.io.nifti_header import NiftiHeader, header_bytes, parse_header
from brainmets.io.sniff import SNIFF_BYTES, sniff

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits
    from brainmets.io.sniff import Kind

__all__ = [
    "NiftiImage",
    "check_expansion",
    "check_finite",
    "kind_within",
    "read_header",
    "read_nifti",
]

SCALED_AT_ONCE = 2**20
"""Voxels scaled in float64 at a time, so that precision costs no memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiImage:
    """One volume as stored: voxels (i, j, k) scaled by slope and intercept, and the file's hash."""

    data: NDArray[np.generic]
    geometry: Geometry
    sha256: str
    notes: tuple[str, ...] = ()


def kind_within(entry: Entry) -> Kind:
    """Name the format of a file once unzipped; a damaged gzip counts as NIfTI."""
    if entry.kind != "gzip":
        return entry.kind
    with entry.open() as stream:
        source = ByteSource(content_of(entry, chunks_of(stream, hashlib.sha256())), entry.name)
        try:
            return sniff(source.peek(SNIFF_BYTES))
        except InputError:
            return "nifti"


def read_header(entry: Entry, limits: Limits, *, min_slices: int) -> NiftiHeader:
    """Read and judge the header alone; see `parse_header` for what is refused."""
    with entry.open() as stream:
        source = ByteSource(content_of(entry, chunks_of(stream, hashlib.sha256())), entry.name)
        return _header(source, entry, limits, min_slices)


def read_nifti(entry: Entry, limits: Limits, *, min_slices: int) -> NiftiImage:
    """Read one volume; integer types stay as they are unless the header scales them.

    Raises:
        NotNifti, Dimensions, TooFewSlices, VoxelType, NoOrientation, SingularAffine, Spacing,
        TooLarge: the header gate, see `parse_header`.
        Bomb: the content expands beyond what an image does, or beyond what its header declares.
        Truncated, ChecksumMismatch: the bytes end early or are damaged.
        NonFinite: some voxels are NaN or infinite.
    """
    digest = hashlib.sha256()
    with entry.open() as stream:
        source = ByteSource(content_of(entry, chunks_of(stream, digest)), entry.name)
        header = _header(source, entry, limits, min_slices)
        source.skip_to(header.offset)
        voxels = source.take(header.voxel_bytes)
        source.drain()
    stored = np.frombuffer(voxels, dtype=header.dtype)
    return NiftiImage(
        data=_scaled(stored, header, entry.name).reshape(header.geometry.shape, order="F"),
        geometry=header.geometry,
        sha256=digest.hexdigest(),
        notes=header.notes,
    )


def _scaled(stored: NDArray[np.generic], header: NiftiHeader, name: str) -> NDArray[np.generic]:
    """Return voxels in native byte order; float32 where the header scales them."""
    check_finite(stored, name)
    if (header.slope, header.intercept) == (1.0, 0.0):
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    scaled = np.empty(stored.shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        for at in range(0, stored.size, SCALED_AT_ONCE):
            part = stored[at : at + SCALED_AT_ONCE].astype(np.float64)
            scaled[at : at + SCALED_AT_ONCE] = part * header.slope + header.intercept
    check_finite(scaled, name)
    return scaled


def check_finite(voxels: NDArray[np.generic], name: str) -> None:
    """Refuse voxels that are NaN or infinite."""
    if voxels.dtype.kind != "f" or np.isfinite(voxels).all():
        return
    raise NonFinite(
        f"{name} has {np.count_nonzero(~np.isfinite(voxels)):,} voxels that are NaN or infinite",
        expected="finite voxels",
        remedy="replace them, for instance with fslmaths -nan",
    )


def _header(source: ByteSource, entry: Entry, limits: Limits, min_slices: int) -> NiftiHeader:
    start = source.peek(8)
    raw = source.peek(header_bytes(start, entry.name))
    header = parse_header(bytes(raw), entry.name, limits, min_slices=min_slices)
    needed = header.offset + header.voxel_bytes
    check_expansion(entry, needed, limits, compressed=entry.kind == "gzip")
    return header


def check_expansion(entry: Entry, needed: int, limits: Limits, *, compressed: bool) -> None:
    """Compare the bytes that a header declares with those of the file."""
    if not compressed and entry.size < needed:
        raise ends_early(entry.name, entry.size, needed)
    if compressed and needed > max(limits.ratio_floor_bytes, limits.max_ratio * entry.size):
        raise Bomb(
            f"{entry.name} declares {needed:,} bytes out of {entry.size:,}",
            expected=f"at most {limits.max_ratio} for each byte",
            remedy="give the original image",
        )
