"""The data folder: whether it can be used, and what to say where it cannot."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from brainmets.domain.errors import BrainmetsError, DiskFull, StorageUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.settings import Settings

__all__ = ["Storage", "disk_full", "files_gone", "room_for", "storage_error"]

PROBE_BYTES = 4096
PROBE_EVERY_S = 5.0
"""Between two files that are written to see whether that works."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_AWAY = frozenset(
    {
        *(errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO),
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT),
    }
)


class Storage:
    """The data folder as it was at the start: on the same disk, and writable."""

    def __init__(self, settings: Settings) -> None:
        """Create the folders where they are not there yet; `check` tries again if that fails."""
        self._settings = settings
        self._device: int | None = None
        self._written = -PROBE_EVERY_S
        with suppress(BrainmetsError):
            self.check()

    def check(self) -> None:
        """Look at the folder; there must be as much room as uploads need.

        Now and then, and always after a fault, a file is written and removed.

        Raises:
            StorageUnavailable, DiskFull: that fails, or another disk is in the folder's place.
        """
        folder = self._settings.state_dir
        try:
            if self._device is None:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._device = folder.stat().st_dev
            if folder.stat().st_dev != self._device:
                raise _away()
            for needed in (self._settings.jobs_dir, self._settings.staging_dir):
                needed.mkdir(exist_ok=True, mode=0o700)
                if not os.access(needed, os.W_OK):
                    raise _away()
            self._probe(folder)
            room_for(folder, min_free_bytes=self._settings.min_free_bytes)
        except OSError as error:
            self._written = -PROBE_EVERY_S
            raise storage_error(error) or _away() from error
        except BrainmetsError:
            self._written = -PROBE_EVERY_S
            raise

    def _probe(self, folder: Path) -> None:
        if time.monotonic() - self._written < PROBE_EVERY_S:
            return
        probe = folder / f".probe-{secrets.token_hex(4)}"
        try:
            probe.touch(mode=0o600)
            probe.write_bytes(bytes(PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
        self._written = time.monotonic()


def storage_error(error: OSError) -> BrainmetsError | None:
    """Return what an operating system's error says of the data folder; None where nothing."""
    if error.errno in _FULL:
        return disk_full()
    away = error.errno in _AWAY or isinstance(error, (FileNotFoundError, PermissionError))
    return _away() if away else None  # some libraries raise these without a number


def room_for(folder: Path, *, min_free_bytes: int, coming_bytes: int = 0) -> None:
    """Refuse work while the disk is nearly full, or would be after `coming_bytes`.

    Raises:
        DiskFull: less than `min_free_bytes` would be free.
    """
    if shutil.disk_usage(folder).free - coming_bytes < min_free_bytes:
        raise disk_full()


def disk_full() -> DiskFull:
    """Say that the data folder has no room."""
    return DiskFull(
        "too little free disk space on the server",
        expected="free disk space for the upload and its result",
        remedy="delete old jobs, or try again later",
    )


def files_gone() -> StorageUnavailable:
    """Say that a job's own files are no longer there."""
    return StorageUnavailable(
        "a job whose files are no longer in the data folder",
        expected="the images that were uploaded",
        remedy="submit the images again",
    )


def _away() -> StorageUnavailable:
    return StorageUnavailable(
        "a data folder that cannot be written, or is not there",
        expected="the folder BRAINMETS_STATE_DIR, writable",
        remedy="try again later; jobs go on by themselves when it is back",
    )
