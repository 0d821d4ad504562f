"""A folder of results that written completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.domain.errors import DiskFull, OutputExists

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["check_output", "staged"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def check_output(out: Path, *, may_replace: Callable[[Path], bool]) -> None:
    """Refuse an output folder that holds something else, before any work is done.

    Args:
        out: the folder; it need not be there.
        may_replace: whether a folder with content may be written into.

    Raises:
        OutputExists: `out` is a file, or holds what may not be replaced.
    """
    try:
        occupied = out.exists() and (not out.is_dir() or any(out.iterdir()))
        writable = _is_writable(out)
    except OSError as error:
        raise _refusal(out, os.strerror(error.errno or 0)) from None
    if not writable:
        raise _refusal(out, "no permission to write there")
    if occupied and not (out.is_dir() and may_replace(out)):
        raise OutputExists(
            f"{out.name} holds something already",
            expected="a new or empty folder, or an earlier result of the same input",
            remedy="choose another --out, or add --overwrite to replace a result",
        )


@contextmanager
def staged(out: Path, *, owned: frozenset[str]) -> Generator[Path, None, None]:
    """Give a folder to write into; on success its content becomes that of `out`.

    A new or empty `out` appears in one rename. In one with content each file is replaced in
    one rename, what is `owned` and was not written again is removed, and all else stays.
    On any exception, a keyboard interrupt included, `out` is as it was.

    Raises:
        DiskFull, OutputExists: the disk does not take the files.
    """
    made: list[Path] = []
    staging: Path | None = None
    try:
        made = _make_parents(out.parent)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        staging.chmod(0o777 & ~_umask())
        yield staging
        _sync(staging)
        if out.exists() and any(out.iterdir()):
            _merge(staging, out, owned)
        else:
            staging.replace(out)
        _sync_folder(out.parent)
        made = []
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(
                "no room for the results",
                expected="free space on the disk of --out",
                remedy="free some space or choose another folder; nothing was left behind",
            ) from None
        raise _refusal(out, os.strerror(error.errno or 0)) from None
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _refusal(out: Path, why: str) -> OutputExists:
    return OutputExists(
        f"{out.name} cannot be written ({why})",
        expected="a folder that takes new files",
        remedy="choose another --out",
    )


def _is_writable(out: Path) -> bool:
    nearest = next((p for p in (out, *out.absolute().parents) if p.exists()), None)
    return nearest is None or not nearest.is_dir() or os.access(nearest, os.W_OK | os.X_OK)


def _make_parents(folder: Path) -> list[Path]:
    """Make what is missing; return it, outermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _merge(staging: Path, out: Path, owned: frozenset[str]) -> None:
    fresh = {entry.name for entry in staging.iterdir()}
    for name in sorted(owned | fresh):
        target = out / name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        if name in fresh:
            (staging / name).replace(target)
        else:
            target.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the disk hold every file before the folder gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
