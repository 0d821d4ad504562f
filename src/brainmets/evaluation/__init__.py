"""Scores of a prediction against a reference: overlap, surfaces, lesions, statistics."""

from brainmets.evaluation.matching import Matching, MatchingRule, label_components, match_lesions
from brainmets.evaluation.overlap import dice

__all__ = ["Matching", "MatchingRule", "dice", "label_components", "match_lesions"]
