"""Scores of a prediction against a reference: overlap, surfaces, lesions, statistics."""

from brainmets.evaluation.brats_2026 import OFFICIAL_SPLIT, PACKAGE_SPLIT, SizeSplit
from brainmets.evaluation.cohort import RegionSummary, patient_means, summarise
from brainmets.evaluation.froc import FROC_RATES, Froc, froc_curve
from brainmets.evaluation.label_schemes import REGION_SCHEMES, RegionScheme
from brainmets.evaluation.matching import Matching, MatchingRule, label_components, match_lesions
from brainmets.evaluation.measure import Extent, measure_extent, sphericity
from brainmets.evaluation.overlap import dice
from brainmets.evaluation.scorers import SCORERS, score_case
from brainmets.evaluation.scores import (
    CaseScore,
    EmptyPolicy,
    LesionScore,
    RegionScore,
    ScorerName,
)
from brainmets.evaluation.statistics import (
    Interval,
    PairedTest,
    holm,
    mean_interval,
    paired_test,
    ratio_interval,
)
from brainmets.evaluation.strata import DIAMETER_BINS, VOLUME_BINS, SizeBin, StratumScore
from brainmets.evaluation.surfaces import SurfaceDistances, surface_distances

__all__ = [
    "DIAMETER_BINS",
    "FROC_RATES",
    "OFFICIAL_SPLIT",
    "PACKAGE_SPLIT",
    "REGION_SCHEMES",
    "SCORERS",
    "VOLUME_BINS",
    "CaseScore",
    "EmptyPolicy",
    "Extent",
    "Froc",
    "Interval",
    "LesionScore",
    "Matching",
    "MatchingRule",
    "PairedTest",
    "RegionScheme",
    "RegionScore",
    "RegionSummary",
    "ScorerName",
    "SizeBin",
    "SizeSplit",
    "StratumScore",
    "SurfaceDistances",
    "dice",
    "froc_curve",
    "holm",
    "label_components",
    "match_lesions",
    "mean_interval",
    "measure_extent",
    "paired_test",
    "patient_means",
    "ratio_interval",
    "score_case",
    "sphericity",
    "summarise",
    "surface_distances",
]
