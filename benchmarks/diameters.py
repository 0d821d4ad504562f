"""By how much diameters of digitised balls differ from the truth: `python benchmarks/diameters.py`.

Balls of 3 to 16 mm at random places on grids of several voxels; prints mean and range in mm.
"""

from __future__ import annotations

import numpy as np

from brainmets.domain import Geometry
from brainmets.domain.diameters import Ruler

SPACINGS = (
    (1, 1, 1),
    (0.9, 0.9, 0.9),
    (1, 1, 2),
    (0.9, 0.9, 3.0),
    (0.5, 0.5, 5.0),
    (0.45, 0.9, 1.5),
)
SIZES = (3, 5, 8, 12, 16)


def errors(
    spacing: tuple[float, float, float], diameter: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return measured minus true: in plane, across it, in space, of one ball at a random place."""
    reach = [int(np.ceil(diameter / 2 / mm)) + 2 for mm in spacing]
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1)
    away = grid * np.array(spacing) - rng.uniform(-0.5, 0.5, 3) * spacing
    voxels = np.argwhere(np.linalg.norm(away, axis=-1) <= diameter / 2)
    shape = (2 * reach[0] + 1, 2 * reach[1] + 1, 2 * reach[2] + 1)
    ruler = Ruler(Geometry(shape=shape, affine=np.diag([*spacing, 1.0])), slice_axis=2)
    found = ruler.measure(voxels)
    return found.in_plane - diameter, found.perpendicular - diameter, found.in_space - diameter


def main(balls: int = 4) -> None:
    """Print a line a grid."""
    rng = np.random.default_rng(0)
    for spacing in SPACINGS:
        found = np.array([errors(spacing, d, rng) for d in SIZES for _ in range(balls)])
        told = [
            f"{name} {column.mean():+.2f} ({column.min():+.2f} to {column.max():+.2f})"
            for name, column in zip(("in plane", "across", "in space"), found.T, strict=True)
        ]
        print(f"{' x '.join(map(str, spacing))} mm: {', '.join(told)}")


if __name__ == "__main__":
    main()
