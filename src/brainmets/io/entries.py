"""The files of an input, be it one file, a folder or a zip: read alike, written nowhere.

Names of archive members and files are used to sort and to report, never as paths to write to.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from os import walk
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol

from brainmets.domain.errors import ArchiveEmpty, FileMissing, TooLarge
from brainmets.io.archive import Archive
from brainmets.io.sniff import SNIFF_BYTES, Kind, sniff

if TYPE_CHECKING:
    from collections.abc import Generator
    from zipfile import ZipInfo

    from brainmets.io.limits import Limits

__all__ = ["Entry", "FileEntry", "ZipEntry", "entries_of", "natural_order", "safe_stem"]

IGNORED_FOLDERS = ("__MACOSX",)
COMPOUND_SUFFIX = ".gz"
STEM_CHARACTERS = 80


class Entry(Protocol):
    """One file of an input, wherever it lies."""

    @property
    def name(self) -> str:
        """Base name, for messages and for order."""
        ...

    @property
    def sort_key(self) -> str:
        """Relative name with folders, for a stable order."""
        ...

    @property
    def size(self) -> int:
        """Uncompressed bytes."""
        ...

    @property
    def kind(self) -> Kind:
        """Format by content."""
        ...

    def open(self) -> BinaryIO:
        """Open for reading from the start."""
        ...

    def read(self) -> bytes:
        """Return every byte; the size was checked when the entry was listed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file on disk."""

    path: Path
    sort_key: str
    size: int
    kind: Kind

    @property
    def name(self) -> str:
        """Base name."""
        return self.path.name

    def open(self) -> BinaryIO:
        """Open for reading."""
        return self.path.open("rb")

    def read(self) -> bytes:
        """Return every byte."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """A member of a checked archive, inflated in memory."""

    archive: Archive
    info: ZipInfo
    kind: Kind

    @property
    def name(self) -> str:
        """Base name inside the archive."""
        return PurePosixPath(self.info.filename.replace("\\", "/")).name

    @property
    def sort_key(self) -> str:
        """Full member name."""
        return self.info.filename

    @property
    def size(self) -> int:
        """Declared uncompressed bytes."""
        return self.info.file_size

    def open(self) -> BinaryIO:
        """Open for reading."""
        return BytesIO(self.read())

    def read(self) -> bytes:
        """Inflate and check the CRC."""
        return self.archive.read(self.info)


@contextmanager
def entries_of(path: Path, limits: Limits) -> Generator[tuple[Entry, ...], None, None]:
    """List the files that `path` stands for, in natural order, while the context is open.

    Raises:
        FileMissing: nothing is at the path.
        TooLarge: there are too many files, or one is too large.
        ArchiveBroken, ArchiveUnsafe, ArchiveEmpty, Bomb: see `Archive`.
    """
    if path.is_dir():
        yield _folder(path, limits)
        return
    entry = file_entry(path, path.name, limits)
    if entry.kind != "zip":
        yield (entry,)
        return
    with Archive(path, limits) as archive:
        members = [
            ZipEntry(archive=archive, info=info, kind=sniff(archive.head(info, SNIFF_BYTES)))
            for info in archive.members
            if not _hidden(PurePosixPath(info.filename.replace("\\", "/")))
        ]
        if not members:
            raise ArchiveEmpty(
                f"{path.name} holds no file",
                expected="a zip with one DICOM series, one NIfTI or slice images",
                remedy="pack the images themselves into the zip",
            )
        yield tuple(sorted(members, key=lambda member: natural_order(member.sort_key)))


def file_entry(path: Path, sort_key: str, limits: Limits) -> FileEntry:
    """Look at one file on disk."""
    missing = FileMissing(
        f"{path.name or 'the path'} cannot be opened",
        expected="a readable file or folder",
        remedy="check the path and your permission to read it",
    )
    if not path.is_file():  # nothing, or a pipe that would be waited for
        raise missing
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(SNIFF_BYTES)
    except (OSError, ValueError):
        raise missing from None
    if size > limits.max_file_bytes:
        raise TooLarge(
            f"{path.name} has {size:,} bytes",
            expected=f"at most {limits.max_file_bytes:,}",
            remedy="give a single head scan",
        )
    return FileEntry(path=path, sort_key=sort_key, size=size, kind=sniff(head))


def _folder(folder: Path, limits: Limits) -> tuple[Entry, ...]:
    paths: list[Path] = []
    for parent, folders, names in walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not _hidden(PurePosixPath(name))]
        paths += [Path(parent) / name for name in names if not _hidden(PurePosixPath(name))]
        if len(paths) > limits.max_files:
            raise TooLarge(
                f"a folder of more than {limits.max_files:,} files",
                expected="the files of one examination",
                remedy="give the folder of a single examination",
            )
    entries = [
        file_entry(path, path.relative_to(folder).as_posix(), limits)
        for path in paths
        if path.is_file()
    ]
    if not entries:
        raise ArchiveEmpty(
            f"the folder {folder.name} holds no file",
            expected="one DICOM series, one NIfTI or slice images",
            remedy="give the folder that holds the images",
        )
    return tuple(sorted(entries, key=lambda entry: natural_order(entry.sort_key)))


def _hidden(name: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in IGNORED_FOLDERS for part in name.parts)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts slice 2 before slice 10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def safe_stem(name: str, fallback: str) -> str:
    """Return a file name without its suffixes, reduced to letters, digits, dot, dash, underscore.

    `fallback` stands in where nothing is left.
    """
    base = PurePosixPath(name.replace("\\", "/")).name
    if base.casefold().endswith(COMPOUND_SUFFIX):
        base = base[: -len(COMPOUND_SUFFIX)]
    stem = base.rsplit(".", maxsplit=1)[0] if "." in base[1:] else base
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-_")[:STEM_CHARACTERS] or fallback
