"""Prepared inputs made directly, for tests of what comes after preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain import Geometry
from brainmets.preprocessing import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["prepared"]


def prepared(data: NDArray[np.float32]) -> Prepared:
    """Wrap (C, X, Y, Z) as if it came from a head on the same 1 mm grid."""
    _, x, y, z = data.shape
    grid = Geometry.isotropic((x, y, z))
    return Prepared(
        data=data,
        geometry=grid,
        native=grid,
        axes=(0, 1, 2),
        flips=(False, False, False),
        bounds=((0, x), (0, y), (0, z)),
    )
