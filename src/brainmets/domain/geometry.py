"""Position of a voxel grid in the patient: shape, and a voxel-to-RAS+ matrix in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain.errors import Dimensions, SingularAffine

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AXIS_CODES", "Frames", "Geometry", "Units"]

Units = Literal["mm", "px"]

AXIS_CODES = (("L", "R"), ("P", "A"), ("I", "S"))
"""Negative and positive letter of each RAS+ axis."""

SINGULAR_BELOW_MM3 = 1e-6
"""A voxel of less volume than a 10 µm cube comes from a broken header, not from a scanner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What a NIfTI header says of where its grid lies, field by field, to be written unchanged.

    Readers differ in which of the two matrices they believe. A result that carries both, with
    their codes, lies where its image is in every one of them.
    """

    qform_code: int
    sform_code: int
    pixdim: tuple[float, ...]
    """Handedness and the three voxel sizes."""
    quaternion: tuple[float, ...]
    """b, c, d and the offset."""
    srows: tuple[float, ...]
    """The sform's three rows."""
    units: int
    """xyzt_units."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """A voxel grid placed in the patient; valid by construction.

    Index order is (i, j, k) as in NIfTI and nibabel; `affine @ (i, j, k, 1)` is the voxel
    *centre* in RAS+ (x to the right, y to the front, z to the top). `units` is "px" for slice
    images without a known spacing, whose "millimetres" are pixels.

    Raises:
        Dimensions: the shape is not three positive integers.
        SingularAffine: the matrix is not a finite, invertible 4 × 4.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    units: Units = "mm"
    frames: Frames | None = None
    """The header the grid was read from; grids made from this one have none."""

    def __post_init__(self) -> None:
        """Check, copy and freeze."""
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise Dimensions(
                f"a grid of shape {shape}",
                expected="three positive dimensions",
                remedy="give a single 3-D image",
            )
        affine = np.array(self.affine, dtype=np.float64)
        valid = affine.shape == (4, 4) and bool(np.isfinite(affine).all())
        if not valid or abs(np.linalg.det(affine[:3, :3])) < SINGULAR_BELOW_MM3:
            raise SingularAffine(
                "a voxel-to-millimetre matrix that cannot be inverted",
                expected="a finite, invertible 4 x 4 affine",
                remedy="export the image again from its source",
            )
        affine[3] = (0.0, 0.0, 0.0, 1.0)
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def isotropic(cls, shape: tuple[int, int, int], *, spacing_mm: float = 1.0) -> Geometry:
        """Return an axis-aligned RAS+ grid centred on the origin.

        Args:
            shape: number of voxels along i, j, k.
            spacing_mm: voxel size in mm, the same along each axis.

        Returns:
            The grid.

        Raises:
            Dimensions, SingularAffine: as the class.
        """
        affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        affine[:3, 3] = -spacing_mm * (np.array(shape) - 1) / 2
        return cls(shape=shape, affine=affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along i, j, k, in mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³, of sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def closest_axes(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """For each voxel axis the RAS axis it runs along and its sign, each RAS axis used once."""
        directions = self.affine[:3, :3] / np.array(self.spacing_mm)
        remaining = np.abs(directions)
        found: dict[int, tuple[int, int]] = {}
        for _ in range(3):  # strongest alignment first, so oblique grids stay a permutation
            ras, voxel = np.unravel_index(int(np.argmax(remaining)), (3, 3))
            found[int(voxel)] = (int(ras), 1 if directions[ras, voxel] > 0 else -1)
            remaining[ras, :] = -1.0
            remaining[:, voxel] = -1.0
        return found[0], found[1], found[2]

    @property
    def axis_codes(self) -> str:
        """Orientation in three letters, such as "RAS" or "LPS": where each voxel axis points."""
        return "".join(AXIS_CODES[axis][sign > 0] for axis, sign in self.closest_axes)

    @property
    def slice_axis(self) -> int:
        """The voxel axis across slices: the coarsest, or the one nearest head to foot."""
        spacing = np.array(self.spacing_mm)
        coarsest = int(np.argmax(spacing))
        others = np.delete(spacing, coarsest)
        if spacing[coarsest] > 1.2 * others.max():  # clearly thicker than the pixels
            return coarsest
        return next(axis for axis, (ras, _) in enumerate(self.closest_axes) if ras == 2)

    def to_ras_mm(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """Map voxel indices to millimetres.

        Args:
            ijk: voxel indices (…, 3); fractions are allowed.

        Returns:
            Positions (…, 3) in RAS+ mm.
        """
        return np.asarray(ijk, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, ras_mm: ArrayLike) -> NDArray[np.float64]:
        """Map millimetres to voxel indices.

        Args:
            ras_mm: positions (…, 3) in RAS+ mm.

        Returns:
            Fractional voxel indices (…, 3).
        """
        inverse = np.linalg.inv(self.affine)
        return np.asarray(ras_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def same_grid(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """Compare two grids.

        Args:
            other: the grid to compare with.
            tolerance_mm: largest distance in mm that counts as equal.

        Returns:
            Whether both have the same shape and every corner in the same place.
        """
        return self.shape == other.shape and self.farthest_corner_mm(other) <= tolerance_mm

    def farthest_corner_mm(self, other: Geometry) -> float:
        """Measure how far apart the corners of two grids are.

        Args:
            other: the grid to compare with.

        Returns:
            The largest difference in x, y or z of a corner, in mm.
        """
        mine, theirs = (
            grid.to_ras_mm(
                np.array(np.meshgrid(*((0, n - 1) for n in grid.shape))).reshape(3, -1).T
            )
            for grid in (self, other)
        )
        return float(np.abs(mine - theirs).max())

    def permuted(self, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Geometry:
        """Return this grid with its axes reordered, then the flagged new axes reversed.

        Args:
            axes: for each new axis, the present axis that it takes.
            flips: whether each new axis is reversed.

        Returns:
            The grid that puts `np.flip(data.transpose(axes), flipped)` where `data` was.
        """
        shape = (self.shape[axes[0]], self.shape[axes[1]], self.shape[axes[2]])
        affine = np.array(self.affine)
        affine[:3, :3] = self.affine[:3, list(axes)]
        for axis, flip in enumerate(flips):
            if flip:
                affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
                affine[:3, axis] *= -1
        return Geometry(shape=shape, affine=affine, units=self.units)

    def cropped(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> Geometry:
        """Return a part of this grid; it may extend beyond the grid, as padding.

        Args:
            start: index (i, j, k) of the first voxel; may be negative.
            shape: number of voxels along i, j, k.

        Returns:
            The part as a grid.
        """
        affine = np.array(self.affine)
        affine[:3, 3] = self.to_ras_mm(start)
        return Geometry(shape=shape, affine=affine, units=self.units)
