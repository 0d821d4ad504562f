"""A follow-up as its writers and pages need it: registered scans, followed lesions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.registration import is_doubtful

if TYPE_CHECKING:
    from brainmets.domain import Mask, Provenance, RigidMotion, Volume
    from brainmets.tracking import Followup

__all__ = ["AlignedScan", "Timeline"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedScan:
    """One scan on the first one's grid.

    `labels` holds the lasting numbers of the lesions. `motion` maps RAS+ mm of the first scan to
    this one's; `similarity`, `shared` and `error_mm` say how sure it is, None for the first.
    `spacing_mm` is its own grid's; `reviewed` says that a reader has corrected its lesions.
    """

    image: Volume
    labels: Mask
    provenance: Provenance
    motion: RigidMotion
    similarity: float | None
    shared: float | None
    error_mm: float | None
    spacing_mm: tuple[float, float, float]
    reviewed: bool
    warnings: tuple[str, ...]

    @property
    def doubtful(self) -> bool:
        """Whether someone should look before believing the registration."""
        if self.similarity is None or self.error_mm is None:
            return False
        return is_doubtful(self.similarity, self.error_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """The scans of a patient over time, with every lesion; `warnings` say how far to trust it."""

    scans: tuple[AlignedScan, ...]
    followup: Followup
    warnings: tuple[str, ...]
    notice: str = RESEARCH_USE_ONLY
