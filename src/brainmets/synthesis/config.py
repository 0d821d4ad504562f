"""What synthesis may make: ranges and weights, from which parameters are drawn."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Contrast", "SynthesisConfig"]

Contrast = Literal["mprage", "spin-echo", "randomised", "free"]
"""Gradient-echo T1c; spin-echo T1c; random around T1c-like order; every tissue at random."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Range = tuple[float, float]
"""Uniformly between both ends."""


class SynthesisConfig(BaseModel):
    """Ranges of everything that varies from one synthetic head to the next.

    Shares are probabilities 0…1, ranges are drawn from uniformly, weights need not sum to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    contrast_weights: dict[Contrast, float] = {
        "mprage": 0.4,
        "spin-echo": 0.25,
        "randomised": 0.27,
        "free": 0.08,
    }
    """How often each contrast family is drawn."""
    native_share: Share = 0.06
    """Heads without contrast medium and without lesion."""
    clear_share: Share = 0.06
    """Heads with contrast medium and normal enhancement only."""
    stripped_share: Share = 0.5
    """Heads whose skull has been removed."""
    fat_islands: tuple[int, int] = (0, 0)
    """Islands of fat in the bone and deep soft parts of a whole head: (from, to)."""

    count_weights: tuple[tuple[int, int, float], ...] = (
        (1, 1, 0.26), (2, 2, 0.15), (3, 4, 0.17), (5, 8, 0.20), (9, 15, 0.14), (16, 28, 0.08),
    )  # fmt: skip
    """Lesions a head: (from, to, weight)."""
    diameter_weights: tuple[tuple[float, float, float], ...] = (
        (2.0, 3.0, 0.16), (3.0, 5.0, 0.27), (5.0, 10.0, 0.31), (10.0, 20.0, 0.18),
        (20.0, 40.0, 0.08),
    )  # fmt: skip
    """Diameter of the sphere of equal volume in mm: (from, to, weight)."""
    diameters_mm: tuple[float, ...] | None = None
    """Exactly these lesions, one per diameter, in place of random numbers and sizes."""
    library_share: Share = 0.35
    """Lesions of 5 mm and more whose shape is a real one, where a ShapeLibrary is given."""
    patchy_share: Share = 0.0
    """Lesions of 15 mm and more that are knots of enhancement with several necroses between."""
    oedema_share: Share = 0.55
    """Lesions of 5 mm and more with oedema around them."""

    flip_share: Share = 0.5
    """Heads mirrored left to right."""
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 10.0
    """Largest rotation about each axis."""
    scale: Range = (0.9, 1.1)
    """Size of the head along each axis against its label map."""
    elastic_mm: Range = (0.0, 3.5)
    """Standard deviation of the elastic deformation; waves shorter than 40 mm are shallower."""

    bias: Range = (0.0, 0.22)
    """Standard deviation of the logarithm of the coil's bias field."""
    noise: Range = (0.006, 0.06)
    """Standard deviation of the Rician noise, in units of white matter."""
    blur_mm: Range = (0.35, 0.9)
    """Standard deviation of the in-plane point spread."""
    thick_share: Share = 0.35
    """Heads acquired in slices thicker than 1 mm."""
    slice_mm: Range = (1.5, 6.0)
    """Thickness of those slices."""
    ghost_share: Share = 0.12
    """Heads with motion or flow ghosts along the phase-encoding axis."""
    ringing_share: Share = 0.2
    """Heads with truncation (Gibbs) ringing."""
    grid: Literal["isotropic", "acquired"] = "isotropic"
    """Return thick slices interpolated to 1 mm, or on the grid they were acquired on."""

    @model_validator(mode="after")
    def _ordered(self) -> SynthesisConfig:
        for name in ("scale", "elastic_mm", "bias", "noise", "blur_mm", "slice_mm"):
            low, high = getattr(self, name)
            if not 0.0 <= low <= high:
                raise ValueError(f"{name} must run from a lower to a higher value, not negative")
        if not 0 <= self.fat_islands[0] <= self.fat_islands[1]:
            raise ValueError("fat_islands must run from a lower to a higher number, not negative")
        for low, high, weight in (*self.count_weights, *self.diameter_weights):
            if low > high or weight < 0 or low <= 0:
                raise ValueError("count_weights and diameter_weights hold (from, to, weight)")
        if not any(self.contrast_weights.values()):
            raise ValueError("contrast_weights must not all be zero")
        return self
