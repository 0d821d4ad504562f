"""Plain values that every other part of brainmets speaks in."""

from brainmets.domain.case import Case, CaseKind, InputFormat, Sequence, Source
from brainmets.domain.cells import plain_cell
from brainmets.domain.geometry import Geometry, Units
from brainmets.domain.lesion import Lesion, Side
from brainmets.domain.motion import RigidMotion
from brainmets.domain.phantom import HeadPhantom, PhantomLesion
from brainmets.domain.prediction import RESEARCH_USE_ONLY, Prediction, Provenance, Report
from brainmets.domain.progress import STAGES, Progress, silent
from brainmets.domain.volume import Mask, Volume

__all__ = [
    "RESEARCH_USE_ONLY",
    "STAGES",
    "Case",
    "CaseKind",
    "Geometry",
    "HeadPhantom",
    "InputFormat",
    "Lesion",
    "Mask",
    "PhantomLesion",
    "Prediction",
    "Progress",
    "Provenance",
    "Report",
    "RigidMotion",
    "Sequence",
    "Side",
    "Source",
    "Units",
    "Volume",
    "plain_cell",
    "silent",
]
