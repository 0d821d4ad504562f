"""Where the reviews of a job lie: each save a folder of its own, the newest one counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.api.schemas import ReviewView
from brainmets.api.staging import remove, sync
from brainmets.domain.errors import ReviewChanged

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["REVIEW", "is_review_damaged", "keep_review", "latest_review", "read_review"]

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


def read_review(job_dir: Path) -> ReviewView | None:
    """Return the review that counts, with its number, or None where none was saved."""
    folder = latest_review(job_dir)
    if folder is None:
        return None
    review = ReviewView.model_validate_json((folder / REVIEW).read_bytes())
    return review.model_copy(update={"revision": _number(folder)})


def keep_review(draft: Path, job_dir: Path, *, replaces: int | None = None) -> Path:
    """Let a complete folder count from now on; return where it lies.

    One rename decides: whatever ends the process before or after it, the earlier review or this
    one stands, whole.

    Raises:
        ReviewChanged: the last review saved is not number `replaces`.
    """
    for path in (*draft.iterdir(), draft):
        sync(path)
    while True:
        folders = _saved(job_dir)
        last = _number(folders[-1]) if folders else 0
        if replaces is not None and last != replaces:
            raise _changed(job_dir, last, replaces)
        place = job_dir / f"review-{last + 1:06d}"
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


def _changed(job_dir: Path, last: int, replaces: int) -> ReviewChanged:
    review = read_review(job_dir)
    by = f", saved by {review.author}," if review and review.author else ""
    begun = f"review {replaces}" if replaces else "none"
    return ReviewChanged(
        f"review {last}{by} where {begun} was to be replaced",
        expected="the number of the last saved review in `replaces`",
        remedy="load that review, or save yours over it without `replaces`",
    )


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
