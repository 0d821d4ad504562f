"""The same lesions in scans of several days: which is which, what became of each, RANO-BM."""

from brainmets.tracking.follow import Followup, follow, refuse_too_few
from brainmets.tracking.lesions import STATES, Sighting, State, TrackedLesion
from brainmets.tracking.response import CATEGORIES, Category, Response
from brainmets.tracking.rules import DEFAULT_RULES, Rules
from brainmets.tracking.timepoint import TimePoint

__all__ = [
    "CATEGORIES",
    "DEFAULT_RULES",
    "STATES",
    "Category",
    "Followup",
    "Response",
    "Rules",
    "Sighting",
    "State",
    "TimePoint",
    "TrackedLesion",
    "follow",
    "refuse_too_few",
]
