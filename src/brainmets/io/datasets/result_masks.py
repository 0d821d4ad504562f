"""Which file of a result folder is its mask: the one that was found, or a reader's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.domain.errors import NotAResult

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["reviewed_masks", "unreviewed_masks"]

ENDINGS = (
    ".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".hdr", ".png"
)  # fmt: skip
"""What a mask that another program has saved may be called after its stem."""

FOUND, REVIEWED = "mask", "mask-reviewed"

OTHER_MASK = re.compile(r"^mask|reviewed|edited|corrected|\.seg$", re.IGNORECASE)
"""Stems that say that a file is a mask, or an edited one."""


def reviewed_masks(folder: Path) -> list[Path]:
    """Return a reader's mask, `mask-reviewed` in any format, or one of each slice; none is fine.

    Raises:
        NotAResult: there are two, or a mask whose name does not say which it is.
    """
    masks = _only_one(folder, REVIEWED)
    others = [
        path
        for path in _volumes(folder)
        if (stem := _stem(path)) not in {FOUND, REVIEWED}
        and OTHER_MASK.search(stem)
        and path.suffix.lower() != ".png"
    ]
    if others:
        raise NotAResult(
            f"{others[0].name} in the result folder, a mask of another name",
            expected=f"an edited mask called {REVIEWED}.nii.gz (or .nrrd, .mha, .png)",
            remedy="rename it to that, or move it out of the folder",
        )
    return masks or sorted(folder.glob(f"{REVIEWED}-*.png"))


def unreviewed_masks(folder: Path) -> list[Path]:
    """Return the mask that was found, in whatever format it was saved again, or each slice's.

    Raises:
        NotAResult: there are two.
    """
    return _only_one(folder, FOUND) or sorted((folder / "masks").glob("*.png"))


def _only_one(folder: Path, stem: str) -> list[Path]:
    masks = [path for path in _volumes(folder) if _stem(path) == stem]
    if len(masks) > 1:
        raise NotAResult(
            f"two masks in the result folder: {masks[0].name} and {masks[1].name}",
            expected="one of them",
            remedy="leave the one that is to count in the folder",
        )
    return masks


def _volumes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = sorted(folder.iterdir())
    return [one for one in files if one.name.lower().endswith(ENDINGS) and one.is_file()]


def _stem(path: Path) -> str:
    """Return the name without its ending, `.seg` of a name of its own left on."""
    ending = next(one for one in ENDINGS if path.name.lower().endswith(one))
    stem = path.name[: -len(ending)].lower()
    own = stem in {FOUND, REVIEWED}
    return f"{stem}.seg" if ending == ".seg.nrrd" and not own else stem
