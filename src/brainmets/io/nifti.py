"""Reading one NIfTI volume from a stream: gate first, voxels second, end of file always."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import Bomb, InputError, NonFinite, Truncated
from brainmets.io.gunzip import chunks_of, gunzipped
from brainmets.io.nifti_header import NiftiHeader, header_bytes, parse_header
from brainmets.io.sniff import SNIFF_BYTES, sniff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits

__all__ = ["NiftiImage", "holds_nifti", "read_header", "read_nifti"]

SCALED_AT_ONCE = 2**20
"""Voxels scaled in float64 at a time, so that precision costs no memory."""

TRAILING_BYTES = 2**20
"""Bytes after the last voxel that are let pass as padding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NiftiImage:
    """One volume as stored: voxels (i, j, k) scaled by slope and intercept, and the file's hash."""

    data: NDArray[np.generic]
    geometry: Geometry
    sha256: str
    notes: tuple[str, ...] = ()


def holds_nifti(entry: Entry) -> bool:
    """Say whether a file among others is NIfTI once unzipped; a damaged one counts as such."""
    with entry.open() as stream:
        source = _Source(_content(entry, chunks_of(stream, hashlib.sha256())), entry.name)
        try:
            return sniff(source.peek(SNIFF_BYTES)) in {"nifti", "analyze"}
        except InputError:
            return True


def read_header(entry: Entry, limits: Limits, *, min_slices: int) -> NiftiHeader:
    """Read and judge the header alone; see `parse_header` for what is refused."""
    with entry.open() as stream:
        source = _Source(_content(entry, chunks_of(stream, hashlib.sha256())), entry.name)
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
        source = _Source(_content(entry, chunks_of(stream, digest)), entry.name)
        header = _header(source, entry, limits, min_slices)
        source.skip_to(header.offset)
        voxels = source.take(header.voxel_bytes)
        source.drain(entry.name)
    stored = np.frombuffer(voxels, dtype=header.dtype)
    return NiftiImage(
        data=_scaled(stored, header, entry.name).reshape(header.geometry.shape, order="F"),
        geometry=header.geometry,
        sha256=digest.hexdigest(),
        notes=header.notes,
    )


def _scaled(stored: NDArray[np.generic], header: NiftiHeader, name: str) -> NDArray[np.generic]:
    """Return voxels in native byte order; float32 where the header scales them."""
    _check_finite(stored, name)
    if (header.slope, header.intercept) == (1.0, 0.0):
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    scaled = np.empty(stored.shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        for at in range(0, stored.size, SCALED_AT_ONCE):
            part = stored[at : at + SCALED_AT_ONCE].astype(np.float64)
            scaled[at : at + SCALED_AT_ONCE] = part * header.slope + header.intercept
    _check_finite(scaled, name)
    return scaled


def _check_finite(voxels: NDArray[np.generic], name: str) -> None:
    if voxels.dtype.kind != "f" or np.isfinite(voxels).all():
        return
    raise NonFinite(
        f"{name} has {np.count_nonzero(~np.isfinite(voxels)):,} voxels that are NaN or infinite",
        expected="finite voxels",
        remedy="replace them, for instance with fslmaths -nan",
    )


def _content(entry: Entry, chunks: Iterator[bytes]) -> Iterator[bytes]:
    return gunzipped(chunks, entry.name) if entry.kind == "gzip" else chunks


def _header(source: _Source, entry: Entry, limits: Limits, min_slices: int) -> NiftiHeader:
    start = source.peek(8)
    raw = source.peek(header_bytes(start, entry.name))
    header = parse_header(bytes(raw), entry.name, limits, min_slices=min_slices)
    needed = header.offset + header.voxel_bytes
    if entry.kind != "gzip" and entry.size < needed:
        raise _ends_early(entry.name, entry.size, needed)
    if entry.kind == "gzip" and needed > max(
        limits.ratio_floor_bytes, limits.max_ratio * entry.size
    ):
        raise Bomb(
            f"{entry.name} declares {needed:,} bytes out of {entry.size:,}",
            expected=f"at most {limits.max_ratio} for each byte",
            remedy="give the original image",
        )
    return header


class _Source:
    """A chunk iterator read piece by piece, each byte once."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._waiting = bytearray()
        self._position = 0

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes without moving on; fewer only at the end."""
        while len(self._waiting) < count and (chunk := next(self._chunks, None)) is not None:
            self._waiting += chunk
        return bytes(self._waiting[:count])

    def skip_to(self, position: int) -> None:
        """Move on to an absolute position."""
        if len(self.peek(position - self._position)) < position - self._position:
            raise _ends_early(self._name, self._position + len(self._waiting), position)
        del self._waiting[: position - self._position]
        self._position = position

    def take(self, count: int) -> bytearray:
        """Return exactly the next `count` bytes in a buffer of their own."""
        taken = bytearray(count)
        filled = min(count, len(self._waiting))
        taken[:filled] = self._waiting[:filled]
        del self._waiting[:filled]
        while filled < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise _ends_early(self._name, self._position + filled, self._position + count)
            used = min(count - filled, len(chunk))
            taken[filled : filled + used] = chunk[:used] if used < len(chunk) else chunk
            self._waiting += chunk[used:]
            filled += used
        self._position += count
        return taken

    def drain(self, name: str) -> None:
        """Read to the end, so that checks at the end happen; refuse much more than padding."""
        extra = len(self._waiting)
        for chunk in self._chunks:
            extra += len(chunk)
            if extra > TRAILING_BYTES:
                break
        if extra > TRAILING_BYTES:
            raise Bomb(
                f"{name} goes on after the voxels its header declares",
                expected="nothing after the last voxel",
                remedy="give the original image",
            )


def _ends_early(name: str, found: int, expected: int) -> Truncated:
    return Truncated(
        f"{name} ends after {found:,} bytes",
        expected=f"{expected:,} bytes, as its header declares",
        remedy="copy or download the file again",
    )
