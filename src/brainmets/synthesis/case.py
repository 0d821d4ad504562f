"""A synthetic examination together with everything that is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brainmets.domain.volume import Mask, Volume
    from brainmets.synthesis.insertion import InsertionParameters
    from brainmets.synthesis.lesions import PlacedLesion
    from brainmets.synthesis.parameters import SynthesisParameters

__all__ = ["SyntheticCase"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticCase:
    """An image with lesions, all on one grid.

    `lesions` numbers the tumour cores (enhancing and necrotic) 1…n as in `placed`; `classes`
    says 1 necrosis, 2 oedema, 3 enhancing; `surroundings`, of heads made from label maps, what
    every other voxel is. `parameters` make the same case again.
    """

    image: Volume
    lesions: Mask
    classes: Mask
    surroundings: Mask | None = None
    parameters: SynthesisParameters | InsertionParameters
    placed: tuple[PlacedLesion, ...]
