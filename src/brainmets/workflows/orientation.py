"""Whether a head's axes contradict its anatomy: upside down, front to back, axes exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brainmets.domain.geometry import Geometry
from brainmets.domain.structures import Structure
from brainmets.preprocessing.anatomy_input import AnatomyInput

if TYPE_CHECKING:
    from brainmets.inference.anatomy import Anatomy, AnatomyNetwork
    from brainmets.workflows.head_facts import HeadFacts

__all__ = ["better_turn", "certainty_of"]

USUAL_ML = (950.0, 1700.0)
USUAL_STEM = (0.0145, 0.032)
USUAL_CEREBELLUM = (0.085, 0.16)
LEAST_CERTAIN = 0.83
"""Of the cerebellum. A head in which all is usual is not labelled again in turned copies."""

WIDEST, HIGHEST = 0.92, 0.92
"""Of the brain's length."""

MARGIN = 0.006
"""By how much the mean certainty in the brain must be higher in a turned copy."""


CLEAR = 4
"""So many margins better, no further copy is tried."""


class _Turn(NamedTuple):
    name: str
    order: tuple[int, int, int]
    flipped: tuple[int, ...]


TURNS = (
    _Turn("upside down", (0, 1, 2), (2,)),
    _Turn("with front and back exchanged", (0, 1, 2), (1,)),
    _Turn("turned over, upside down and front to back", (0, 1, 2), (1, 2)),
    _Turn("with its length and its height exchanged", (0, 2, 1), ()),
    _Turn("with its length and its height exchanged", (0, 2, 1), (2,)),
    _Turn("with its length and its height exchanged", (0, 2, 1), (1,)),
    _Turn("with its width and its length exchanged", (1, 0, 2), ()),
    _Turn("with its width and its length exchanged", (1, 0, 2), (1,)),
)  # fmt: skip


def better_turn(anatomy: Anatomy, facts: HeadFacts, network: AnatomyNetwork) -> str | None:
    """Return how a head would have to be turned to fit the anatomy better, None if it need not.

    Turned copies are labelled only where something is unusual; the network is surest of a head
    that is the right way up. Left and right exchanged cannot be told.
    """
    if _is_usual(anatomy, facts):
        return None
    own = certainty_of(anatomy)
    best, name = own + MARGIN, None
    for turn in TURNS:
        certainty = certainty_of(network.label(_turned(anatomy, turn)))
        if certainty > best:
            best, name = certainty, turn.name
        if best > own + CLEAR * MARGIN:
            break
    return name


def certainty_of(anatomy: Anatomy) -> float:
    """Return the mean certainty in the brain, 0 where hardly any brain was found."""
    return float(anatomy.certainty[anatomy.brain].mean()) if anatomy.has_brain else 0.0


def _is_usual(anatomy: Anatomy, facts: HeadFacts) -> bool:
    width, length, height = facts.extent_mm
    cerebellum = np.isin(
        anatomy.structures, (Structure.LEFT_CEREBELLUM, Structure.RIGHT_CEREBELLUM)
    )
    sure = float(anatomy.certainty[cerebellum].mean()) if cerebellum.any() else 0.0
    return (
        USUAL_ML[0] <= facts.brain_ml <= USUAL_ML[1]
        and USUAL_STEM[0] <= facts.shares["stem"] <= USUAL_STEM[1]
        and USUAL_CEREBELLUM[0] <= facts.shares["cerebellum"] <= USUAL_CEREBELLUM[1]
        and width <= WIDEST * length
        and height <= HIGHEST * length
        and sure >= LEAST_CERTAIN
    )


def _turned(anatomy: Anatomy, turn: _Turn) -> AnatomyInput:
    """Return the network's own input with its content turned and its axes as they were."""
    image = np.flip(anatomy.image.transpose(turn.order), turn.flipped)
    foreground = np.flip(anatomy.foreground.transpose(turn.order), turn.flipped)
    x, y, z = image.shape
    spacing = np.array(anatomy.geometry.spacing_mm)[list(turn.order)]
    return AnatomyInput(
        image=np.ascontiguousarray(image),
        foreground=np.ascontiguousarray(foreground),
        geometry=Geometry(shape=(x, y, z), affine=np.diag((*spacing, 1.0))),
    )
