"""Windows whose answers are those of one whole pass, chosen to fit a number of voxels.

A convolution at a window's edge reads zeros where a whole pass reads the neighbouring voxels.
So each window is a *core* plus `halo` voxels of context on every side, and only the core's
answer is kept. At the border of the volume both modes read the same zeros: there a window ends
where the volume ends. Offsets are multiples of the network's stride, so that pooling falls on
the same voxels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tiling", "Window", "plan_tiling", "round_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One pass of the network: what it reads, which part of its answer is kept, and where."""

    read: tuple[slice, ...]
    keep: tuple[slice, ...]
    write: tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """A volume cut into cores, each read with its context; all windows have one `window` size."""

    shape: tuple[int, ...]
    core: tuple[int, ...]
    window: tuple[int, ...]
    halo: int

    @property
    def count(self) -> int:
        """Number of windows."""
        return math.prod(-(-n // c) for n, c in zip(self.shape, self.core, strict=True))

    @property
    def voxels(self) -> int:
        """Voxels computed in all windows together."""
        return self.count * math.prod(self.window)

    def windows(self) -> Iterator[Window]:
        """Yield every window; the kept parts cover the volume exactly once."""
        axes = [
            _axis_windows(n, c, w, self.halo)
            for n, c, w in zip(self.shape, self.core, self.window, strict=True)
        ]
        for parts in itertools.product(*axes):
            yield Window(
                read=tuple(p[0] for p in parts),
                keep=tuple(p[1] for p in parts),
                write=tuple(p[2] for p in parts),
            )


def round_up(size: int, multiple: int) -> int:
    """Return the least multiple that is not below `size`."""
    return -(-size // multiple) * multiple


def plan_tiling(
    shape: tuple[int, ...], *, halo: int, stride: int, max_voxels: float
) -> Tiling | None:
    """Return the tiling with the least work whose windows hold at most `max_voxels`.

    The whole volume at once when that fits. None when even the smallest window does not.

    Args:
        shape: of the volume, multiples of `stride`.
        halo: context, a multiple of `stride`.
        stride: of the network.
        max_voxels: limit on one window.
    """
    assert not any(n % stride for n in (*shape, halo)), "pad to the stride"  # noqa: S101
    if math.prod(shape) <= max_voxels:
        return Tiling(shape=shape, core=shape, window=shape, halo=halo)
    best: tuple[int, int] | None = None  # voxels of all windows, their count
    chosen: tuple[_AxisCut, ...] = ()
    for cuts in itertools.product(*(_axis_cuts(n, halo, stride) for n in shape)):
        voxels = math.prod([cut.window for cut in cuts])
        if voxels > max_voxels:
            continue
        count = math.prod([cut.parts for cut in cuts])
        if best is None or (count * voxels, count) < best:
            best, chosen = (count * voxels, count), cuts
    if best is None:
        return None
    return Tiling(
        shape=shape,
        core=tuple(cut.core for cut in chosen),
        window=tuple(cut.window for cut in chosen),
        halo=halo,
    )


class _AxisCut(NamedTuple):
    """One way to cut an axis: length of the cores, of the windows, and how many."""

    core: int
    window: int
    parts: int


def _axis_cuts(size: int, halo: int, stride: int) -> list[_AxisCut]:
    """Ways to cut an axis into 1, 2, … even parts, longest windows first."""
    found: dict[int, int] = {}
    for parts in range(1, size // stride + 1):
        core = round_up(-(-size // parts), stride)
        found.setdefault(min(size, core + 2 * halo) if core < size else size, core)
    return [_AxisCut(core, window, -(-size // core)) for window, core in found.items()]


def _axis_windows(size: int, core: int, window: int, halo: int) -> list[tuple[slice, slice, slice]]:
    parts: list[tuple[slice, slice, slice]] = []
    for start in range(0, size, core):
        stop = min(start + core, size)
        first = min(max(start - halo, 0), size - window)
        parts.append(
            (
                slice(first, first + window),
                slice(start - first, stop - first),
                slice(start, stop),
            )
        )
    return parts
