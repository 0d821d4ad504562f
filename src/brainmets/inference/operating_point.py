"""Where on the sensitivity ↔ false-alarm curve a model is used."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brainmets.domain.errors import OptionError

__all__ = ["OperatingPoint", "PointName"]

PointName = Literal["sensitive", "balanced", "specific"]
"""Named points on the curve: miss little, the default, and hardly ever a false positive."""


class OperatingPoint(BaseModel):
    """How a probability map becomes lesions: grow at `threshold`, keep by `peak` and volume.

    A component of the voxels at or above `threshold` is a lesion when its highest probability
    reaches `peak` (hysteresis) and its volume `min_volume_mm3`. With `peak` equal to
    `threshold` and no volume limit this is plain thresholding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = Field(
        default=0.5, gt=0, le=1, description="a lesion's voxels have at least this probability"
    )
    peak: float = Field(
        default=0.5, gt=0, le=1, description="a lesion's best voxel has at least this probability"
    )
    min_volume_mm3: float = Field(
        default=0.0, ge=0, description="smaller components are left out (px³ without spacing)"
    )

    @model_validator(mode="after")
    def _peak_reachable(self) -> Self:
        if self.peak < self.threshold:
            raise ValueError(f"peak {self.peak} is below threshold {self.threshold}")
        return self

    def overridden(self, *, threshold: float | None, peak: float | None) -> OperatingPoint:
        """Return this point with the user's own values.

        A threshold alone means plain thresholding: every component of voxels at or above it
        is kept, subject to the volume limit.

        Args:
            threshold: lowest probability of a marked voxel, 0…1; None for that of this point.
            peak: lowest lesion probability that is reported, 0…1; None for the threshold.

        Returns:
            The changed operating point.

        Raises:
            OptionError: a value is outside 0…1, or the peak is below the threshold.
        """
        if threshold is None and peak is None:
            return self
        grow = self.threshold if threshold is None else threshold
        if peak is None:
            peak = grow
        if not 0.0 < grow <= peak <= 1.0:
            raise OptionError(
                f"threshold {grow:g} with peak {peak:g}",
                expected="0 < threshold <= peak <= 1",
                remedy="choose a threshold such as 0.5, and no peak or one at least as high",
            )
        return OperatingPoint(threshold=grow, peak=peak, min_volume_mm3=self.min_volume_mm3)
