"""Uploads on their way from the network to a job's folder, never under a name they brought."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from brainmets.api.storage import disk_full, storage_error
from brainmets.domain.errors import BadRequest, FileMissing, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Generator
    from io import BufferedWriter

__all__ = ["Incoming", "Staging", "begin_attempt", "remove", "stage", "sync"]

CHUNK_BYTES = 1024 * 1024
LONGEST_NAME = 80
LABEL_NAMES = 3
GIVEN = ("input", "scans", "expected.json")
"""What a job's folder holds from its submission on, next to the folders of the attempts."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(slots=True, kw_only=True)
class Staging:
    """A folder that becomes a job's input when complete, and vanishes when not."""

    root: Path
    names: list[str] = field(default_factory=list[str])
    shown: list[str] = field(default_factory=list[str])
    digests: list[str] = field(default_factory=list[str])
    kept: bool = False
    """Whether the folder outlives its `stage`, to be looked into before it becomes a job."""

    @property
    def input(self) -> Path:
        """Where the files lie."""
        return self.root / "input"

    @property
    def label(self) -> str:
        """The first file names, for the job list."""
        more = len(self.shown) - LABEL_NAMES
        return ", ".join(self.shown[:LABEL_NAMES]) + (f" and {more} more" if more > 0 else "")

    def open(self, name: str) -> Incoming:
        """Begin a file: what is written to it goes to its place at once, and only there.

        Raises:
            BadRequest: there is no end of equal names.
        """
        plain = safe_name(name, taken=self.names)
        self.names.append(plain)
        self.shown.append(_shown(name))
        self.digests.append("")
        return Incoming(self, len(self.names) - 1)

    def add(self, name: str, content: BinaryIO) -> None:
        """Copy one file in, hashed and flushed to disk.

        Raises:
            DiskFull: the disk ran out of room.
        """
        with closing(self.open(name)) as file:
            while chunk := content.read(CHUNK_BYTES):
                file.write(chunk)
            file.finish()

    def adopt(self, folder: Path) -> None:
        """Take over the files of an earlier upload without copying their bytes."""
        for path in sorted(folder.iterdir()):
            os.link(path, self.input / path.name)
            with path.open("rb") as content:
                self.digests.append(hashlib.file_digest(content, "sha256").hexdigest())
            self.names.append(path.name)

    def take_over(self, upload: Staging) -> None:
        """Link the files of an upload that was looked into; its names and hashes stand.

        Raises:
            UnknownJob: it was deleted meanwhile.
        """
        try:
            for name in upload.names:
                os.link(upload.input / name, self.input / name)
        except FileNotFoundError as error:
            raise UnknownJob(
                "an upload that is no longer there",
                expected="one that was uploaded within the last hour",
                remedy="upload the images again",
            ) from error
        self.names, self.shown, self.digests = upload.names, upload.shown, upload.digests

    def fingerprint(self, *settings: str) -> str:
        """Hash names, contents and settings: equal ones make equal results."""
        parts = (*settings, *(f"{n}\0{d}" for n, d in zip(self.names, self.digests, strict=True)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def require_files(self) -> None:
        """Raise `FileMissing` where nothing was uploaded."""
        if not self.names:
            raise FileMissing(
                "an upload without a file",
                expected="one to four NIfTI files, DICOM files or a zip of them, or slice images",
                remedy="choose the images and send them in the form field `files`",
            )

    def commit(self, jobs_dir: Path) -> str:
        """Move the folder to its place among the jobs; return the new job's id."""
        self.require_files()
        job_id = secrets.token_hex(8)
        sync(self.input)
        sync(self.root)
        jobs_dir.mkdir(exist_ok=True, mode=0o700)
        self.root.rename(jobs_dir / job_id)
        sync(jobs_dir)  # the rename itself, before the job list names it
        return job_id


class Incoming:
    """One file on its way in: hashed as it is written, open only from then on."""

    def __init__(self, staging: Staging, number: int) -> None:
        """Prepare the file with this number in `staging`."""
        self._staging = staging
        self._number = number
        self._path = staging.input / staging.names[number]
        self._digest = hashlib.sha256()
        self._file: BufferedWriter | None = None

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            DiskFull: the disk ran out of room.
        """
        with _on_full_disk():
            self._opened().write(data)
        self._digest.update(data)

    def finish(self) -> None:
        """Bring the file to the disk and note its hash.

        Raises:
            DiskFull: the disk ran out of room.
        """
        with _on_full_disk(), self._opened() as file:
            file.flush()
            os.fsync(file.fileno())
        self._staging.digests[self._number] = self._digest.hexdigest()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()

    def _opened(self) -> BufferedWriter:
        if self._file is None:
            self._file = self._path.open("xb")
        return self._file


def begin_attempt(folder: Path) -> Path:
    """Make the folder of an attempt in its job's folder; it refers to what the job was given.

    Raises:
        OSError: the job's folder is gone, or the data folder cannot be written.
    """
    remove(folder)  # an attempt of this very ticket, in a job list restored from a backup
    folder.mkdir()
    for name in GIVEN:
        if (folder.parent / name).exists():
            (folder / name).symlink_to(Path("..") / name)
    sync(folder.parent)
    return folder


@contextmanager
def stage(staging_dir: Path) -> Generator[Staging]:
    """Open a fresh staging folder; whatever is neither committed nor kept is removed."""
    staging_dir.mkdir(exist_ok=True, mode=0o700)
    root, held = _make_locked(staging_dir)
    staging = Staging(root=root)
    try:
        staging.input.mkdir()
        yield staging
    finally:
        if not staging.kept:
            remove(staging.root)
        os.close(held)


def _make_locked(staging_dir: Path) -> tuple[Path, int]:
    """Make a folder and lock it; the lock ends with this process, so a sweep can tell."""
    while True:
        root = staging_dir / secrets.token_hex(8)
        root.mkdir()
        with suppress(FileNotFoundError):  # a sweep came between: its folder is gone
            held = os.open(root, os.O_RDONLY)
            with suppress(OSError):  # some network file systems lock no folders
                fcntl.flock(held, fcntl.LOCK_EX)
            if root.exists():
                return root, held
            os.close(held)


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Delete a folder with all it holds, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def safe_name(name: str, *, taken: list[str]) -> str:
    """Return a plain file name that is not taken, keeping what readers need of the original.

    Raises:
        BadRequest: there is no end of equal names.
    """
    base = _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).lstrip(".-_")
    base = base[-LONGEST_NAME:].lstrip(".-_") or "file"
    if base not in taken:
        return base
    stem, dot, suffix = base.partition(".")
    candidate = f"{stem}-{len(taken) + 1:04d}{dot}{suffix}"
    if candidate in taken:
        raise BadRequest(
            "several files of the same name",
            expected="different names",
            remedy="rename the files, or send them as one zip",
        )
    return candidate


def _shown(name: str) -> str:
    """Return a file's own name for its owner to read: one line, no folder."""
    plain = Path(name.replace("\\", "/")).name[:LONGEST_NAME]
    return "".join(letter for letter in plain if letter.isprintable()) or "file"


@contextmanager
def _on_full_disk() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error) or disk_full() from error
