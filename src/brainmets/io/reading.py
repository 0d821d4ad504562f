"""The one way in: whatever the user gives, told apart by content, becomes a Case."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.case import Case, Source
from brainmets.domain.errors import (
    ConstantImage,
    InputError,
    NoDicom,
    NonFinite,
    NotNifti,
    OptionError,
    UnknownFormat,
    VoxelType,
)
from brainmets.domain.volume import Mask, Volume
from brainmets.io.dicom_groups import left_aside
from brainmets.io.dicom_pixels import decode_stack
from brainmets.io.dicom_scan import scan
from brainmets.io.dicom_stack import stack_frames
from brainmets.io.entries import entries_of, safe_stem
from brainmets.io.limits import DEFAULT_LIMITS, Limits
from brainmets.io.nifti import NiftiImage, kind_within, read_header, read_nifti
from brainmets.io.other_volumes import OTHER_VOLUMES, read_other, read_other_geometry
from brainmets.io.sequences import guess_from_name
from brainmets.io.series import SeriesInfo, choose, choose_series, group_series
from brainmets.io.slice_images import read_slices, stack_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from brainmets.domain.case import CaseKind, InputFormat, Sequence
    from brainmets.io.entries import Entry
    from brainmets.io.sniff import Kind

__all__ = ["list_series", "read_case", "read_mask", "read_volume", "whole_labels"]

VOLUMES: frozenset[Kind] = frozenset({"nifti", "analyze", *OTHER_VOLUMES})
"""Files that hold a volume each, unzipped."""

KINDS: Mapping[InputFormat, frozenset[Kind]] = {
    "dicom": frozenset({"dicom"}),
    "nifti": frozenset({"gzip", *VOLUMES}),
    "image": frozenset({"png", "jpeg", "tiff"}),
}
"""What a file may be by its content; in a mixed folder the first format that occurs is read."""

FORMATS: Mapping[Kind, InputFormat] = {"nrrd": "nrrd", "metaimage": "metaimage", "mgh": "mgh"}
FORMAT_NAMES: Mapping[Kind, str] = {"nrrd": "NRRD", "metaimage": "MetaImage", "mgh": "MGH"}
NIFTI_SUFFIXES = (".nii", ".nii.gz")
MASK_ENDINGS = ("mask", "seg", "label", "labels", "groundtruth")
LABELS_BELOW = 2**32
SCALED_WITHIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """One image and what its Case needs to know of it."""

    volume: Volume
    format: InputFormat
    kind: CaseKind
    sha256: str
    case_id: str
    slice_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_case(
    path: Path,
    *,
    series: str | None = None,
    sequence: Sequence = "t1c",
    images: Mapping[Sequence, Path] | None = None,
    channel: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Case:
    """Read one examination: a NIfTI file, a DICOM series or slice images; a file, folder or zip.

    Args:
        path: a file, a folder or a zip; the content decides the format.
        series: a DICOM series by index (from 1, as `list_series` counts), number or UID.
        sequence: what the image at `path` is: t1c, t1n, t2w or t2f.
        images: files of further sequences on the same grid.
        channel: channel of colour slices, from 0; by default they are T1, FLAIR and T1c.
        limits: largest sizes that are read.

    Returns:
        The images (i, j, k) float32 on one voxel grid.

    Raises:
        InputError: the input cannot be used; docs/reference/errors.md lists classes and codes.
        OptionError: `images` names `sequence` again.
        OutOfMemory: the image does not fit.
    """
    if images and sequence in images:
        raise OptionError(
            f"two images for {sequence}", expected="one image a sequence", remedy="leave one out"
        )
    read: dict[Sequence, _Read] = {sequence: _read(Path(path), series, sequence, channel, limits)}
    for name, other in (images or {}).items():
        read[name] = _read(Path(other), None, name, channel, limits)
    for one in read.values():
        _check_not_constant(one)
    main = read[sequence]
    return Case(
        images={name: one.volume for name, one in read.items()},
        geometry=main.volume.geometry,
        source=Source(
            format=main.format,
            sha256=_joint_hash(read),
            slice_names=main.slice_names,
            notes=tuple(note for one in read.values() for note in one.notes),
        ),
        case_id=main.case_id,
        kind=main.kind,
    )


def list_series(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> tuple[SeriesInfo, ...]:
    """List what `read_case` could read from `path`, from headers alone.

    Raises:
        InputError: there is nothing to read, or a header is broken.
    """
    with entries_of(Path(path), limits) as entries:
        kind, chosen = _sorted_out(entries, Path(path).name, limits)
        if kind == "dicom":
            return tuple(one.info for one in group_series(scan(chosen, limits), limits))
        if kind == "nifti":
            return tuple(_nifti_info(i, one, limits) for i, one in enumerate(chosen, start=1))
        return (_image_info(chosen, limits),)


def read_volume(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Volume:
    """Read one grey-valued image or probability map; a constant one is accepted.

    Raises:
        InputError: as `read_case`.
    """
    return _read(Path(path), None, "t1c", None, limits, min_slices=1).volume


def read_mask(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Mask:
    """Read labels: a NIfTI of whole numbers, or slice images (two-valued ones become 0 and 1).

    Raises:
        VoxelType: some values are negative or fractions.
        InputError: as `read_case`.
    """
    path = Path(path)
    with entries_of(path, limits) as entries:
        kind, chosen = _sorted_out(entries, path.name, limits, masks=True)
        if kind == "nifti" and len(chosen) == 1:
            image = _read_file(chosen[0], limits, min_slices=1)
            return Mask(data=whole_labels(image.data, path.name), geometry=image.geometry)
        if kind == "image":
            stack = read_slices(chosen, "t1c", limits)
            drawn = stack.volume.data
            highest = drawn.max(initial=0.0)
            if np.isin(drawn, (0.0, highest)).all():
                drawn = (drawn > 0).astype(np.uint8)
            elif any(entry.kind == "jpeg" for entry in chosen):  # lossy: black and white blurred
                drawn = (drawn > highest / 2).astype(np.uint8)
            return Mask(data=whole_labels(drawn, path.name), geometry=stack.volume.geometry)
    raise UnknownFormat(
        f"{path.name} is not a mask brainmets reads",
        expected="one NIfTI of labels, or slice images",
        remedy="convert the mask to NIfTI",
    )


def _read(
    path: Path,
    series: str | None,
    sequence: Sequence,
    channel: int | None,
    limits: Limits,
    *,
    min_slices: int | None = None,
) -> _Read:
    with entries_of(path, limits) as entries:
        kind, chosen = _sorted_out(entries, path.name, limits)
        if kind == "dicom":
            others = [(one.name, one.kind) for one in entries if one.kind != "dicom"]
            return _read_dicom(
                chosen, series, sequence, path.name, limits, others=left_aside(others)
            )
        if kind == "nifti":
            entry = _choose_nifti(chosen, series, sequence, path.name, limits)
            return _read_nifti(
                entry, sequence, limits, limits.min_slices if min_slices is None else min_slices
            )
        return _read_images(path, chosen, sequence, channel, limits)


def _sorted_out(
    entries: tuple[Entry, ...], name: str, limits: Limits, *, masks: bool = False
) -> tuple[InputFormat, tuple[Entry, ...]]:
    """Say which format an input is and which of its files count."""
    for kind, kinds in KINDS.items():
        fitting = tuple(entry for entry in entries if entry.kind in kinds)
        if kind == "nifti":
            fitting = tuple(entry for entry in fitting if kind_within(entry) in VOLUMES)
        elif kind == "dicom" and 0 < len(fitting) < len(entries):
            others = [entry for entry in entries if entry.kind in KINDS["nifti"] | KINDS["image"]]
            if others and not _holds_series(fitting, limits):
                continue  # a segmentation next to the image it was drawn in
        if fitting and len(entries) > 1 and not masks:
            fitting = tuple(entry for entry in fitting if not _is_mask(entry)) or fitting
        if fitting:
            return kind, fitting
    if len(entries) > 1:
        found, remedy = _what(entries[0])
        raise UnknownFormat(
            f"{name} holds {len(entries):,} files, none of them an image that is read"
            f" ({entries[0].name} holds {found})",
            expected="DICOM, NIfTI, NRRD, MetaImage, MGH, PNG, JPEG or TIFF",
            remedy=remedy,
        )
    only = next(iter(entries))
    found, remedy = _what(only)
    if only.name.casefold().endswith(NIFTI_SUFFIXES):
        raise NotNifti(
            f"{only.name} holds {found}",
            expected="a NIfTI-1 or NIfTI-2 file",
            remedy="export the image again, for instance with dcm2niix",
        )
    raise UnknownFormat(
        f"{only.name} holds {found}",
        expected="NIfTI, NRRD, MetaImage, MGH, DICOM, PNG, JPEG, TIFF, or a zip or folder of them",
        remedy=remedy,
    )


def _holds_series(entries: tuple[Entry, ...], limits: Limits) -> bool:
    """Whether DICOM files are images; a broken series counts as one, so that it is reported."""
    try:
        group_series(scan(entries, limits), limits)
    except InputError as error:
        return not isinstance(error, NoDicom)
    return True


def _what(entry: Entry) -> tuple[str, str]:
    """Name what a file holds that is not read, and what turns it into something that is."""
    if entry.size == 0:
        return "nothing", "export the image again from its source"
    within = kind_within(entry)
    if entry.kind == "gzip" and within not in {"text", "unknown"}:
        found, remedy = NOT_READ.get(within, (f"a gzipped {within} file", ""))
        return f"gzipped: {found}", remedy or "unpack it with gunzip and give the file within"
    return NOT_READ.get(within, ("no known image format", "convert the image to one of these"))


NOT_READ: Mapping[Kind, tuple[str, str]] = {
    "text": ("text", "give the image itself"),
    "zip": ("a zip inside another input", "unpack it and give the images themselves"),
    "tar": ("a tar archive", "unpack it with tar -xf and give the folder, or a zip of it"),
    "dicom": ("a DICOM file", "unpack it with gunzip and give the folder of the series"),
    "gif": ("a GIF picture", "save each picture of it as PNG"),
    "webp": ("a WebP picture", "save it as PNG"),
    "jpeg2000": ("a JPEG 2000 picture", "save it as a 16-bit PNG or TIFF"),
    "pdf": ("a PDF document", "give the images themselves"),
    "minc": ("MINC or HDF5", "convert it to NIfTI, for instance with mnc2nii"),
}


def _is_mask(entry: Entry) -> bool:
    stem = safe_stem(entry.name, "").casefold()
    return any(stem.endswith((f"_{word}", f"-{word}")) for word in MASK_ENDINGS)


def _read_dicom(
    entries: tuple[Entry, ...],
    series: str | None,
    sequence: Sequence,
    name: str,
    limits: Limits,
    *,
    others: tuple[str, ...],
) -> _Read:
    chosen = choose_series(group_series(scan(entries, limits), limits), series, name)
    stack = stack_frames(chosen.frames, limits)
    voxels, sha256 = decode_stack(stack)
    return _Read(
        volume=Volume(data=voxels, geometry=stack.geometry),
        format="dicom",
        kind="volume",
        sha256=sha256,
        case_id=f"dicom-{sha256[:12]}",
        notes=(*_doubt(chosen.info.guess, sequence, "DICOM header"), *chosen.notes, *others),
    )


def _choose_nifti(
    entries: tuple[Entry, ...], series: str | None, sequence: Sequence, name: str, limits: Limits
) -> Entry:
    """Take the only NIfTI, the chosen one, or the only one whose name says `sequence`."""
    if series is None and len(entries) > 1:
        named = [entry for entry in entries if guess_from_name(entry.name) == sequence]
        if len(named) == 1:
            return named[0]
    if series is None and len(entries) == 1:
        return entries[0]
    offered = [_nifti_info(index, one, limits) for index, one in enumerate(entries, start=1)]
    return entries[choose(offered, series, name)]


def _read_nifti(entry: Entry, sequence: Sequence, limits: Limits, min_slices: int) -> _Read:
    image = _read_file(entry, limits, min_slices=min_slices)
    return _Read(
        volume=Volume(data=_float32(image.data, entry.name), geometry=image.geometry),
        format=FORMATS.get(kind_within(entry), "nifti"),
        kind="volume",
        sha256=image.sha256,
        case_id=safe_stem(entry.name, f"case-{image.sha256[:12]}"),
        notes=(*image.notes, *_doubt(guess_from_name(entry.name), sequence, "file name")),
    )


def _read_file(entry: Entry, limits: Limits, *, min_slices: int) -> NiftiImage:
    """Read the volume that one file holds."""
    within = kind_within(entry)
    if within in OTHER_VOLUMES:
        return read_other(entry, within, limits, min_slices=min_slices)
    return read_nifti(entry, limits, min_slices=min_slices)


def _read_images(
    path: Path,
    entries: tuple[Entry, ...],
    sequence: Sequence,
    channel: int | None,
    limits: Limits,
) -> _Read:
    stack = read_slices(entries, sequence, limits, channel=channel)
    return _Read(
        volume=stack.volume,
        format="image",
        kind="slices",
        sha256=stack.sha256,
        case_id=safe_stem(path.resolve().name, f"case-{stack.sha256[:12]}"),
        slice_names=stack.names,
        notes=stack.notes,
    )


def _doubt(guess: Sequence | None, sequence: Sequence, witness: str) -> tuple[str, ...]:
    """Report a name or header that gives another sequence than the one asked for."""
    if guess is None or guess == sequence:
        return ()
    return (f"The {witness} suggests {guess}; the image was read as {sequence}.",)


def _float32(data: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        voxels = data.astype(np.float32, copy=False)
    if data.dtype != np.float32 and data.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise NonFinite(
            f"{name} has voxels beyond {np.finfo(np.float32).max:.2g}",
            expected="values that 32-bit floats hold",
            remedy="rescale the image",
        )
    return voxels


def whole_labels(data: NDArray[np.generic], name: str) -> NDArray[np.unsignedinteger]:
    """Return labels as the smallest unsigned integers that hold them.

    Raises:
        VoxelType: some values are negative or fractions.
    """
    values = data.astype(np.float64) if data.dtype.kind == "f" else data
    if data.dtype.kind == "f" and np.allclose(values, np.rint(values), rtol=SCALED_WITHIN, atol=0):
        values = np.rint(values)  # a header's scaling leaves the last digit of 32 bits
    lowest, highest = values.min(initial=0), values.max(initial=0)
    whole = data.dtype.kind != "f" or bool((values == np.rint(values)).all())
    if lowest < 0 or highest >= LABELS_BELOW or not whole:
        raise VoxelType(
            f"{name} has values from {lowest:g} to {highest:g}{', fractions too' * (not whole)}",
            expected="labels: 0, 1, 2 and so on",
            remedy="give the mask, not the image or a probability map",
        )
    smallest = np.uint8 if highest < 2**8 else np.uint16 if highest < 2**16 else np.uint32
    return values.astype(smallest)


def _check_not_constant(one: _Read) -> None:
    voxels = one.volume.data
    lowest, highest = float(voxels.min()), float(voxels.max())
    if lowest == highest:
        raise ConstantImage(
            f"an image in which every voxel is {lowest:g}",
            expected="a picture of a head",
            remedy="check that the right file was exported",
        )


def _joint_hash(read: Mapping[Sequence, _Read]) -> str:
    """Return the only image's hash, or one of all by name of sequence."""
    if len(read) == 1:
        return next(iter(read.values())).sha256
    lines = (f"{name} {read[name].sha256}\n" for name in sorted(read))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _nifti_info(index: int, entry: Entry, limits: Limits) -> SeriesInfo:
    within = kind_within(entry)
    if within in OTHER_VOLUMES:
        geometry = read_other_geometry(entry, within, limits)
    else:
        geometry = read_header(entry, limits, min_slices=1).geometry
    size = " × ".join(map(str, geometry.shape))
    spacing = " × ".join(f"{mm:.3g}" for mm in geometry.spacing_mm)
    return SeriesInfo(
        index=index,
        uid=entry.name,
        number=None,
        modality="MR",
        description=f"{FORMAT_NAMES.get(within, 'NIfTI')} {size} at {spacing} mm",
        slices=geometry.shape[geometry.slice_axis],
        shape=geometry.shape,
        spacing_mm=geometry.spacing_mm,
        guess=guess_from_name(entry.name),
    )


def _image_info(entries: tuple[Entry, ...], limits: Limits) -> SeriesInfo:
    columns, rows, slices = stack_size(entries, limits)
    return SeriesInfo(
        index=1,
        uid=entries[0].name,
        number=None,
        modality="image",
        description=f"slice images {columns} × {rows} × {slices}",
        slices=slices,
        shape=(columns, rows, slices),
        spacing_mm=None,
        guess=None,
    )
