"""A zip looked over before any of it is inflated.

Python 3.11's `zipfile` reads overlapping members (70 kB that declare 20 GB), so the layout of
the members in the file is checked here first.
"""

from __future__ import annotations

import re
import stat
import zlib
from typing import TYPE_CHECKING, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from brainmets.domain.errors import (
    ArchiveBroken,
    ArchiveEmpty,
    ArchiveUnsafe,
    Bomb,
    ChecksumMismatch,
    TooLarge,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from zipfile import ZipInfo

    from brainmets.io.limits import Limits

__all__ = ["Archive"]

LOCAL_HEADER_BYTES = 30
LOCAL_HEADER_MAGIC = b"PK\x03\x04"
ENCRYPTED_FLAG = 0x1
CACHE_BYTES = 2**28
"""Members inflated once are kept up to this many bytes, so looking and reading cost one pass."""

REMEDY = "pack the images into a plain zip again"


class Archive:
    """A zip whose members are known to be plain files that do not overlap.

    Raises:
        ArchiveBroken: it cannot be read as a zip, or uses an unusual compression.
        ArchiveEmpty: it has no member.
        ArchiveUnsafe: a member is encrypted, a link, absolute, outside the archive or overlaps.
        TooLarge, Bomb: it declares too many files or bytes, or expands too far.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open and check."""
        self.name = path.name
        self._limits = limits
        self._kept: dict[int, bytes] = {}
        self._kept_bytes = 0
        try:
            self._zip = ZipFile(path)
        except (BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError):
            raise ArchiveBroken(
                f"{self.name} has no readable table of contents",
                expected="a complete zip file",
                remedy="copy it again, or pack it again",
            ) from None
        try:
            self.members = self._checked()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        """Stay open for the context."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the file and forget what was inflated."""
        self._zip.close()
        self._kept.clear()

    def head(self, info: ZipInfo, count: int) -> bytes:
        """Return the first `count` bytes of a member."""
        kept = self._kept.get(info.header_offset)
        return kept[:count] if kept is not None else self._inflate(info, count)

    def read(self, info: ZipInfo) -> bytes:
        """Return a whole member, its CRC checked.

        Raises:
            ChecksumMismatch: the content is damaged.
        """
        kept = self._kept.get(info.header_offset)
        if kept is not None:
            return kept
        content = self._inflate(info, info.file_size + 1)
        if self._kept_bytes + len(content) <= CACHE_BYTES:
            self._kept[info.header_offset] = content
            self._kept_bytes += len(content)
        return content

    def _inflate(self, info: ZipInfo, count: int) -> bytes:
        try:
            with self._zip.open(info) as stream:
                return stream.read(count)
        except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
            raise ChecksumMismatch(
                f"a member of {self.name} is damaged",
                expected="content that matches its own CRC-32",
                remedy="copy the zip again, or pack it again",
            ) from None

    def _checked(self) -> tuple[ZipInfo, ...]:
        infos = self._zip.infolist()
        if len(infos) > self._limits.max_files:
            raise TooLarge(
                f"{self.name} lists {len(infos):,} members",
                expected=f"at most {self._limits.max_files:,}",
                remedy="pack a single examination",
            )
        for info in infos:
            self._check_member(info)
        self._check_sizes(infos)
        self._check_layout(infos)
        members = tuple(info for info in infos if not info.is_dir())
        if not members:
            raise ArchiveEmpty(
                f"{self.name} holds no file",
                expected="a zip with one DICOM series, one NIfTI or slice images",
                remedy="pack the images themselves into the zip",
            )
        return members

    def _check_member(self, info: ZipInfo) -> None:
        if fault := _fault(info):
            raise ArchiveUnsafe(
                f"{self.name} has a member that {fault}",
                expected="plain files with relative names",
                remedy=REMEDY,
            )
        if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            raise ArchiveBroken(
                f"{self.name} uses compression method {info.compress_type}",
                expected="stored or deflated members",
                remedy=REMEDY,
            )

    def _check_sizes(self, infos: list[ZipInfo]) -> None:
        total = sum(info.file_size for info in infos)
        largest = max((info.file_size for info in infos), default=0)
        packed = sum(info.compress_size for info in infos)
        if total > max(self._limits.ratio_floor_bytes, self._limits.max_ratio * packed):
            raise Bomb(
                f"{self.name} declares {total:,} bytes out of {packed:,}",
                expected=f"at most {self._limits.max_ratio} for each byte",
                remedy="pack the original images",
            )
        if total > self._limits.max_archive_bytes or largest > self._limits.max_file_bytes:
            raise TooLarge(
                f"{self.name} declares {total:,} bytes, the largest member {largest:,}",
                expected=f"at most {self._limits.max_archive_bytes:,} in all and "
                f"{self._limits.max_file_bytes:,} for one",
                remedy="pack a single examination",
            )

    def _check_layout(self, infos: list[ZipInfo]) -> None:
        """Walk the members by offset: each must end before the next begins."""
        end_of_last = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end_of_last:
                raise ArchiveUnsafe(
                    f"{self.name} has members that overlap",
                    expected="members one after another",
                    remedy=REMEDY,
                )
            end_of_last = info.header_offset + self._local_bytes(info) + info.compress_size
        if end_of_last > self._zip.start_dir:
            raise ArchiveUnsafe(
                f"{self.name} has a member that reaches into its table of contents",
                expected="members one after another",
                remedy=REMEDY,
            )

    def _local_bytes(self, info: ZipInfo) -> int:
        stream = self._zip.fp
        if stream is None:
            return LOCAL_HEADER_BYTES
        stream.seek(info.header_offset)
        header = stream.read(LOCAL_HEADER_BYTES)
        if len(header) < LOCAL_HEADER_BYTES or not header.startswith(LOCAL_HEADER_MAGIC):
            raise ArchiveBroken(
                f"{self.name} lists a member that is not where it should be",
                expected="a complete zip file",
                remedy="copy it again, or pack it again",
            )
        name_bytes = int.from_bytes(header[26:28], "little")
        extra_bytes = int.from_bytes(header[28:30], "little")
        return LOCAL_HEADER_BYTES + name_bytes + extra_bytes


def _fault(info: ZipInfo) -> str | None:
    if info.flag_bits & ENCRYPTED_FLAG:
        return "is encrypted"
    mode = info.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a link or a device"
    name = info.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute name"
    if ".." in name.split("/"):
        return "points outside the archive"
    return "has a name with control characters" if re.search(r"[\x00-\x1f]", name) else None
