"""The order of a follow-up's scans and the days between them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["order_of"]


def order_of(
    given: Sequence[str], acquired: Sequence[date | None]
) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
    """Return the scans' places from the first to the last, and each one's days since the first.

    Args:
        given: dates as 2024-03-31 or days as whole numbers, one a scan in the order of the scans;
            empty to go by the headers.
        acquired: days from the headers. Where not all are known, the order given stays and the
            days are unknown.

    Raises:
        OptionError: a date cannot be read, one is missing, or two are equal.
    """
    if not given and (not acquired or any(day is None for day in acquired)):
        return tuple(range(len(acquired))), (None,) * len(acquired)
    if given and len(given) != len(acquired):
        raise OptionError(
            f"{len(given)} dates for {len(acquired)} scans",
            expected="one a scan, in the order of the scans",
            remedy="write them as --dates 2024-01-31,2024-04-02",
        )
    numbers = _numbers(given) if given else [day.toordinal() for day in acquired if day]
    order = sorted(range(len(numbers)), key=lambda place: numbers[place])
    days = tuple(numbers[place] - numbers[order[0]] for place in order)
    if len(set(days)) < len(days):
        raise OptionError(
            "two scans of the same day",
            expected="a different day for each scan",
            remedy="say with --dates how they follow each other, as --dates 0,1,90",
        )
    return tuple(order), days


def _numbers(texts: Sequence[str]) -> list[int]:
    """Read dates as day numbers, or day numbers as they are."""
    try:
        return [int(text) for text in texts]
    except ValueError:
        pass
    try:
        return [date.fromisoformat(text.strip()).toordinal() for text in texts]
    except ValueError:
        raise OptionError(
            f"dates of which one at least cannot be read: {', '.join(texts)}",
            expected="all as 2024-03-31, or all as days such as 0, 62, 125",
            remedy="correct them",
        ) from None
