"""Anatomies worked out once per label map, then remembered in memory and on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.synthesis.anatomy import Anatomy

if TYPE_CHECKING:
    from brainmets.domain.volume import Mask

__all__ = ["CACHE_VARIABLE", "anatomy_of", "cache_folder"]

CACHE_VARIABLE = "BRAINMETS_CACHE"
"""Environment variable naming the folder for what can be worked out again; empty for none."""
FORMAT = 5
"""Raised whenever an anatomy is worked out otherwise than before."""
HELD = 4
"""Anatomies kept in memory, about 60 MB each."""

_held: OrderedDict[str, Anatomy] = OrderedDict()


def cache_folder() -> Path | None:
    """Return the folder for anatomies, or None where the user wants none."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen == "":
        return None
    if chosen is not None:
        return Path(chosen) / "anatomy"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "brainmets" / "anatomy"


def anatomy_of(labels: Mask, *, quick: bool = False) -> Anatomy:
    """Return the anatomy of a label map: from memory, from disk (0.1 s), or worked out (5 s).

    Kept by the content of the label map, so nothing goes stale; a folder that cannot be
    written is done without.
    """
    key = _key(labels, quick=quick)
    if key in _held:
        _held.move_to_end(key)
        return _held[key]
    folder = cache_folder()
    anatomy = None if folder is None else _read(folder / f"{key}.npz")
    if anatomy is None:
        anatomy = Anatomy.of(labels, quick=quick)
        if folder is not None:
            with contextlib.suppress(OSError):
                _write(anatomy, folder / f"{key}.npz")
    _held[key] = anatomy
    while len(_held) > HELD:
        _held.popitem(last=False)
    return anatomy


def _key(labels: Mask, *, quick: bool) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{FORMAT} {quick} {labels.data.shape} {labels.data.dtype}".encode())
    digest.update(labels.geometry.affine.tobytes())
    digest.update(labels.data.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> Anatomy | None:
    if not path.is_file():
        return None
    try:
        return Anatomy.load(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # half-written or foreign: work it out again


def _write(anatomy: Anatomy, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        anatomy.save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
