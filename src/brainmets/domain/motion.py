"""A rigid motion in the patient: where the same anatomy is in another scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from brainmets.domain.errors import SingularAffine

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["RigidMotion"]

RIGID_WITHIN = 1e-6
"""How far a matrix may be from a rotation before it is something else."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RigidMotion:
    """A rotation and a shift: `matrix @ (x, y, z, 1)` maps RAS+ mm of one scan to another's.

    Raises:
        SingularAffine: the 4 × 4 matrix is not rigid.
    """

    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check, copy and freeze."""
        matrix = np.array(self.matrix, dtype=np.float64)
        rotation = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
        rigid = np.allclose(rotation @ rotation.T, np.eye(3), rtol=0.0, atol=RIGID_WITHIN)
        if not rigid or np.linalg.det(rotation) < 0 or not np.isfinite(matrix).all():
            raise SingularAffine(
                "a matrix that is not a rigid motion",
                expected="a rotation and a shift",
                remedy="give a 4 x 4 rigid matrix",
            )
        matrix[3] = (0.0, 0.0, 0.0, 1.0)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls) -> Self:
        """Return the motion that leaves everything where it is."""
        return cls(matrix=np.eye(4))

    @classmethod
    def of(
        cls,
        *,
        rotation_deg: ArrayLike = (0.0, 0.0, 0.0),
        shift_mm: ArrayLike = (0.0, 0.0, 0.0),
        centre_mm: ArrayLike = (0.0, 0.0, 0.0),
    ) -> Self:
        """Return the turn by a rotation vector about `centre_mm`, then the shift."""
        from scipy.spatial.transform import Rotation

        centre = np.asarray(centre_mm, dtype=np.float64)
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_rotvec(np.asarray(rotation_deg), degrees=True).as_matrix()
        matrix[:3, 3] = centre - matrix[:3, :3] @ centre + np.asarray(shift_mm, dtype=np.float64)
        return cls(matrix=matrix)

    def apply(self, ras_mm: ArrayLike) -> NDArray[np.float64]:
        """Map RAS+ millimetres (…, 3)."""
        return np.asarray(ras_mm, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def after(self, first: RigidMotion) -> RigidMotion:
        """Return the motion that does `first`, then this one."""
        return RigidMotion(matrix=self.matrix @ first.matrix)

    @property
    def inverse(self) -> RigidMotion:
        """The way back."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.matrix[:3, :3].T
        matrix[:3, 3] = -matrix[:3, :3] @ self.matrix[:3, 3]
        return RigidMotion(matrix=matrix)

    @property
    def angle_deg(self) -> float:
        """How far it turns, about whatever axis."""
        cosine = (float(np.trace(self.matrix[:3, :3])) - 1.0) / 2.0
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

    def distance_mm(self, other: RigidMotion, points_ras_mm: ArrayLike) -> NDArray[np.float64]:
        """Return how far apart both motions put each point (…,)."""
        return np.linalg.norm(self.apply(points_ras_mm) - other.apply(points_ras_mm), axis=-1)
