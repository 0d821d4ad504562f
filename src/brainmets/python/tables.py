"""Rows of results: a list, a table in a notebook, a pandas DataFrame when asked for one."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from brainmets.domain.extras import needing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from _typeshed import DataclassInstance

__all__ = ["Rows", "html_table"]

Row = TypeVar("Row")

AXES = {"ras": "xyz", "voxel": "ijk"}
"""Names of the three parts of a place, by the last word of its field that is one of these."""

MOST_SHOWN = 20
"""Rows of the table in a notebook."""


class Rows(tuple[Row, ...], Generic[Row]):
    """Results in order, each a dataclass with named fields."""

    __slots__ = ()

    def to_dataframe(self) -> pd.DataFrame:
        """Return a table; a position becomes three columns.

        Returns:
            A pandas DataFrame, a row for each entry.

        Raises:
            EngineMissing: pandas is not installed (it comes with the extra `notebook`).
        """
        with needing("notebook"):
            import pandas as pd
        return pd.DataFrame(self.to_dicts())

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as plain values.

        Returns:
            One dictionary for each entry.
        """
        return [_flat(row) for row in self]

    def _repr_html_(self) -> str:
        return html_table(self.to_dicts())


def html_table(rows: Iterable[dict[str, Any]]) -> str:
    """Return rows as an HTML table, numbers to three digits."""
    listed = list(rows)
    if not listed:
        return "<p>No rows.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in listed[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(_shown(value))}</td>' for value in row.values())}</tr>"
        for row in listed[:MOST_SHOWN]
    )
    left = len(listed) - MOST_SHOWN
    more = f"<p>… and {left} more</p>" if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _flat(row: object) -> dict[str, Any]:
    values = asdict(cast("DataclassInstance", row))
    flat: dict[str, Any] = {}
    for name, value in values.items():
        axes = next((AXES[word] for word in name.split("_") if word in AXES), None)
        if isinstance(value, tuple) and axes is not None:
            first, _, rest = name.partition("_")
            parts = zip(axes, cast("tuple[float, ...]", value), strict=True)
            flat |= {f"{first}_{axis}_{rest}": part for axis, part in parts}
        elif isinstance(value, tuple):
            flat[name] = " ".join(map(str, cast("tuple[object, ...]", value)))
        else:
            flat[name] = value
    return flat
