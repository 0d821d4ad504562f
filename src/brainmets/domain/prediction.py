"""What a model said about a case, and everything needed to say it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brainmets.domain.case import Case
    from brainmets.domain.lesion import Lesion
    from brainmets.domain.structure_map import StructureMap
    from brainmets.domain.volume import Mask, Volume

__all__ = ["RESEARCH_USE_ONLY", "Prediction", "Provenance", "Report"]

RESEARCH_USE_ONLY = "Research use only. Not a medical device; not for clinical use."


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who computed a result, from what, with which settings."""

    model: str
    model_sha256: str
    code_version: str
    engine: str
    input_sha256: str
    settings: Mapping[str, float | int | str | bool] = field(
        default_factory=dict[str, "float | int | str | bool"]
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """A probability map, the mask drawn from it and its lesions, on the input's own grid.

    `mask` holds the lesion ids (1…n), so `mask.data == lesion.id` is one lesion. `uncertainty` is
    the disagreement of a fused model's members, 0…0.5.

    Raises:
        GridMismatch: probability and mask are on different grids.
    """

    probability: Volume
    mask: Mask
    lesions: tuple[Lesion, ...]
    provenance: Provenance
    uncertainty: Volume | None = None

    def __post_init__(self) -> None:
        """Check that both maps share a grid."""
        if not self.probability.geometry.same_grid(self.mask.geometry):
            raise GridMismatch(
                "probability and mask on different grids",
                expected="one grid",
                remedy="map both back with the same plan",
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """A prediction together with the case it is about: all that a writer needs.

    `warnings` are sentences for the user about how far to trust the result; `structures`
    are those of the head, where they are known; `brain` is the brain mask on the input's own
    grid, where it was asked for.
    """

    case: Case
    prediction: Prediction
    warnings: tuple[str, ...] = ()
    notice: str = RESEARCH_USE_ONLY
    structures: StructureMap | None = None
    brain: Mask | None = None
