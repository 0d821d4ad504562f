"""Where the reviews of a job lie: each save a folder of its own, the newest one counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.api.schemas import ReviewView
from brainmets.api.staging import remove, sync

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["REVIEW", "is_review_damaged", "keep_review", "latest_review"]

REVIEW = "review.json"
"""The review itself, among the files it made."""

_NUMBERED = re.compile(r"review-(\d{6})")
KEPT = 2
"""The newest, and the one before it for those who are just reading that."""


def latest_review(job_dir: Path) -> Path | None:
    """Return the folder of the review that counts, or nothing where none was saved.

    A damaged one does not count, nor does the one that it replaced: see `is_review_damaged`.
    """
    folders = _saved(job_dir)
    return folders[-1] if folders and _is_readable(folders[-1]) else None


def is_review_damaged(job_dir: Path) -> bool:
    """Whether the last review that was saved cannot be read."""
    return bool(_saved(job_dir)) and latest_review(job_dir) is None


def keep_review(draft: Path, job_dir: Path) -> Path:
    """Let a complete folder count from now on; return where it lies.

    One rename decides: whatever ends the process before or after it, the earlier review or this
    one stands, whole.
    """
    for path in (*draft.iterdir(), draft):
        sync(path)
    while True:
        folders = _saved(job_dir)
        number = _number(folders[-1]) + 1 if folders else 1
        place = job_dir / f"review-{number:06d}"
        try:
            draft.rename(place)
        except OSError:
            if not place.exists():
                raise
            continue  # someone else has just saved under this number
        sync(job_dir)
        for old in _saved(job_dir)[:-KEPT]:
            remove(old)
        return place


def _saved(job_dir: Path) -> list[Path]:
    return sorted(path for path in job_dir.glob("review-*") if _NUMBERED.fullmatch(path.name))


def _is_readable(folder: Path) -> bool:
    try:
        ReviewView.model_validate_json((folder / REVIEW).read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _number(folder: Path) -> int:
    found = _NUMBERED.fullmatch(folder.name)
    return int(found[1]) if found else 0
