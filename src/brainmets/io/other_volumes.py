"""Volumes in NRRD, MetaImage and FreeSurfer's MGH, behind the same gates as NIfTI.

A library or a few lines of text give the header; voxels are read, inflated and checked here. Only
files that hold their own voxels are read, so that no header can name another file.

Sources: teem.sourceforge.net/nrrd/format.html; itk.org/Wiki/MetaIO/Documentation; FreeSurfer wiki,
FsTutorial/MghFormat.
"""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import (
    ChecksumMismatch,
    NoOrientation,
    Truncated,
    UnknownFormat,
    VoxelType,
)
from brainmets.domain.geometry import Geometry
from brainmets.io.byte_source import ByteSource, content_of
from brainmets.io.guard import guarded
from brainmets.io.gunzip import INFLATE_BYTES, chunks_of, gunzipped
from brainmets.io.nifti import NiftiImage, check_expansion, check_finite
from brainmets.io.nifti_header import check_size, check_spacing, padded_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits
    from brainmets.io.sniff import Kind

__all__ = ["OTHER_VOLUMES", "read_other", "read_other_geometry"]

LONGEST_HEADER = 2**20
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
NAMES: Mapping[Kind, str] = {"nrrd": "NRRD", "metaimage": "MetaImage", "mgh": "MGH"}

NRRD_TYPES = {
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i1": ("signed char", "int8", "int8_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
NRRD_SPACES = {
    "left-posterior-superior": LPS_TO_RAS,
    "lps": LPS_TO_RAS,
    "right-anterior-superior": np.eye(3),
    "ras": np.eye(3),
    "left-anterior-superior": np.diag([-1.0, 1.0, 1.0]),
    "las": np.diag([-1.0, 1.0, 1.0]),
}
META_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4",
    "MET_INT": "i4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Header:
    """Where voxels begin, what they are, how they lie."""

    sizes: tuple[int, ...]
    affine: NDArray[np.float64]
    dtype: np.dtype[np.generic]
    offset: int
    inflate: Callable[[Iterator[bytes], str], Iterator[bytes]] | None = None


def read_other_geometry(entry: Entry, kind: Kind, limits: Limits) -> Geometry:
    """Read and judge the header alone.

    Raises:
        InputError: as `read_other`.
    """
    with entry.open() as stream:
        source = ByteSource(content_of(entry, chunks_of(stream, hashlib.sha256())), entry.name)
        return _checked_geometry(_header(source, entry, kind), entry, limits, 1)


def read_other(entry: Entry, kind: Kind, limits: Limits, *, min_slices: int) -> NiftiImage:
    """Read one volume of a kind in `OTHER_VOLUMES`, voxels as stored.

    Raises:
        UnknownFormat: the header is damaged, names another file, or its library is missing.
        Dimensions, TooFewSlices, VoxelType, NoOrientation, SingularAffine, Spacing, TooLarge:
            the header is not that of one scan.
        Bomb, Truncated, ChecksumMismatch, NonFinite: as `read_nifti`.
    """
    digest = hashlib.sha256()
    with entry.open() as stream:
        source = ByteSource(content_of(entry, chunks_of(stream, digest)), entry.name)
        header = _header(source, entry, kind)
        geometry = _checked_geometry(header, entry, limits, min_slices)
        source.skip_to(header.offset)
        if header.inflate is not None:
            source = ByteSource(header.inflate(source.rest(), entry.name), entry.name)
        voxels = source.take(math.prod(geometry.shape) * header.dtype.itemsize)
        source.drain()
    stored = np.frombuffer(voxels, dtype=header.dtype)
    check_finite(stored, entry.name)
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    return NiftiImage(
        data=native.reshape(geometry.shape, order="F"),
        geometry=geometry,
        sha256=digest.hexdigest(),
    )


def _checked_geometry(header: _Header, entry: Entry, limits: Limits, min_slices: int) -> Geometry:
    sizes = header.sizes
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes = sizes[:-1]
    shape = padded_shape(sizes, entry.name, min_slices)
    check_size(shape, header.dtype, entry.name, limits)
    needed = header.offset + math.prod(shape) * header.dtype.itemsize
    compressed = entry.kind == "gzip" or header.inflate is not None
    check_expansion(entry, needed, limits, compressed=compressed)
    check_spacing(header.affine, entry.name, limits)
    return Geometry(shape=shape, affine=header.affine)


def _header(source: ByteSource, entry: Entry, kind: Kind) -> _Header:
    fault = UnknownFormat(
        f"{entry.name} has a damaged {NAMES[kind]} header",
        expected=f"a complete {NAMES[kind]} file",
        remedy="export the image again, for instance as .nii.gz",
    )
    with guarded(fault):
        return HEADERS[kind](source, entry.name)
    raise fault


def _text(source: ByteSource, ending: re.Pattern[bytes]) -> str:
    """Return a text header, with what ends it; all there is where nothing does."""
    size = 4096
    while True:
        start = source.peek(size)
        found = ending.search(start)
        if found:
            return start[: found.end()].decode("latin-1")
        if len(start) < size or size > LONGEST_HEADER:
            return start.decode("latin-1")
        size *= 4


def _nrrd(source: ByteSource, name: str) -> _Header:
    try:
        import nrrd
    except ImportError:
        raise UnknownFormat(
            f"{name} is NRRD, for which a package is missing",
            expected="the extra brainmets[formats]",
            remedy="pip install 'brainmets[formats]', or save the image as .nii.gz",
        ) from None
    text = _text(source, re.compile(rb"\r?\n\r?\n"))
    fields: dict[str, Any] = dict(nrrd.read_header(text.splitlines(keepends=True)))
    encoding = str(fields["encoding"]).casefold()
    _check_own_voxels(
        name, detached=any(key in fields for key in ("data file", "datafile", "line skip"))
        or int(fields.get("byte skip", 0)) != 0,
    )  # fmt: skip
    if encoding not in {"raw", "gzip", "gz"}:
        raise _unread(name, f"NRRD voxels encoded as {encoding}", "raw or gzip voxels")
    dtype = next((t for t, names in NRRD_TYPES.items() if fields["type"] in names), None)
    turn = NRRD_SPACES.get(str(fields.get("space", "")).casefold())
    directions = np.asarray(fields.get("space directions", np.nan), dtype=np.float64)
    if dtype is None:
        raise _no_grey(name, str(fields["type"]))
    if len(fields["sizes"]) == 3 and (turn is None or directions.shape != (3, 3)):
        raise _no_orientation(name, "a space and its directions")
    affine = np.eye(4)
    if len(fields["sizes"]) == 3 and turn is not None:
        affine[:3, :3] = turn @ directions.T
        affine[:3, 3] = turn @ np.asarray(fields.get("space origin", np.zeros(3)), dtype=np.float64)
    return _Header(
        sizes=tuple(int(n) for n in fields["sizes"]),
        affine=affine,
        dtype=np.dtype((">" if fields.get("endian") == "big" else "<") + dtype),
        offset=len(text),
        inflate=None if encoding == "raw" else gunzipped,
    )


def _metaimage(source: ByteSource, name: str) -> _Header:
    text = _text(source, re.compile(rb"(?m)^ElementDataFile[^\n]*\n"))
    pairs = (line.partition("=") for line in text.splitlines())
    fields = {key.strip(): value.strip() for key, mark, value in pairs if mark}
    _check_own_voxels(name, detached=fields.get("ElementDataFile") != "LOCAL")
    if fields.get("BinaryData", "True").casefold() == "false":
        raise _unread(name, "MetaImage voxels written as text", "binary voxels")
    kind = fields["ElementType"]
    if kind not in META_TYPES or fields.get("ElementNumberOfChannels", "1") != "1":
        raise _no_grey(name, kind)
    sizes = tuple(int(n) for n in fields["DimSize"].split())
    axes = _first(fields, "TransformMatrix", "Rotation", "Orientation")
    origin = _first(fields, "Offset", "Position", "Origin")
    spacing = fields.get("ElementSpacing", "")
    if len(sizes) == 3 and not (axes and origin and spacing):
        raise _no_orientation(name, "TransformMatrix, Offset and ElementSpacing")
    affine = np.eye(4)
    if len(sizes) == 3:
        rows = np.array([float(n) for n in axes.split()]).reshape(3, 3)
        steps = rows * np.array([float(n) for n in spacing.split()])[:, None]
        affine[:3, :3] = LPS_TO_RAS @ steps.T
        affine[:3, 3] = LPS_TO_RAS @ np.array([float(n) for n in origin.split()])
    big = any(
        fields.get(key, "False").casefold() == "true"
        for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    )
    compressed = fields.get("CompressedData", "False").casefold() == "true"
    return _Header(
        sizes=sizes,
        affine=affine,
        dtype=np.dtype((">" if big else "<") + META_TYPES[kind]),
        offset=len(text),
        inflate=_inflated if compressed else None,
    )


def _first(fields: dict[str, str], *names: str) -> str:
    """Return the value of whichever of a field's names is used."""
    return next((fields[name] for name in names if name in fields), "")


def _mgh(source: ByteSource, name: str) -> _Header:
    from nibabel.freesurfer.mghformat import MGHHeader

    size = int(MGHHeader.template_dtype.itemsize)
    raw = source.peek(284)[:size].ljust(size, b"\0")
    header: Any = MGHHeader(raw, check=False)
    if raw[28:30] != b"\0\1":  # nibabel would put in a usual orientation
        raise _no_orientation(name, "its good-RAS flag")
    return _Header(
        sizes=tuple(int(n) for n in header["dims"]),
        affine=np.asarray(header.get_affine(), dtype=np.float64),
        dtype=np.dtype(header.get_data_dtype()).newbyteorder(">"),
        offset=284,
    )


HEADERS: dict[Kind, Callable[[ByteSource, str], _Header]] = {
    "nrrd": _nrrd,
    "metaimage": _metaimage,
    "mgh": _mgh,
}
OTHER_VOLUMES: frozenset[Kind] = frozenset(HEADERS)
"""Kinds of files that are read here."""


def _inflated(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the content of one zlib stream in bounded pieces, its checksum checked."""
    stream = zlib.decompressobj()
    for chunk in chunks:
        waiting = chunk
        while waiting and not stream.eof:
            try:
                yield stream.decompress(waiting, INFLATE_BYTES)
            except zlib.error:
                raise ChecksumMismatch(
                    f"{name} has damaged compressed voxels",
                    expected="zlib data that matches its own checksum",
                    remedy="copy or download the file again",
                ) from None
            waiting = stream.unconsumed_tail
    if not stream.eof:
        raise Truncated(
            f"{name} stops in the middle of its compressed voxels",
            expected="a complete file",
            remedy="copy or download the file again",
        )


def _check_own_voxels(name: str, *, detached: bool) -> None:
    if detached:
        raise UnknownFormat(
            f"{name} is a header whose voxels are in another file",
            expected="header and voxels in one file",
            remedy="save the image as .nii.gz, .nrrd or .mha, for instance with 3D Slicer",
        )


def _unread(name: str, found: str, expected: str) -> UnknownFormat:
    return UnknownFormat(
        f"{name} has {found}", expected=expected, remedy="save the image as .nii.gz"
    )


def _no_grey(name: str, kind: str) -> VoxelType:
    return VoxelType(
        f"{name} holds voxels of type {kind[:40]} or in several channels",
        expected="real, grey-valued voxels of 8 to 32 bits",
        remedy="export the magnitude image",
    )


def _no_orientation(name: str, expected: str) -> NoOrientation:
    return NoOrientation(
        f"{name} does not say where left and right are",
        expected=expected,
        remedy="convert the image again from DICOM; orientation cannot be guessed safely",
    )
