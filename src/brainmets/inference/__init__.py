"""Running a trained model: bundles, engines, windows, and lesions out of probabilities."""

from brainmets.inference.bundle import MODELS_VARIABLE, Bundle, list_bundles, write_bundle
from brainmets.inference.engines import ENGINES, Engine, EngineName, Precision, make_engine
from brainmets.inference.footprint import Footprint, measure_footprint
from brainmets.inference.lesions import find_lesions
from brainmets.inference.operating_point import OperatingPoint
from brainmets.inference.predictor import Estimate, Predictor

__all__ = [
    "ENGINES",
    "MODELS_VARIABLE",
    "Bundle",
    "Engine",
    "EngineName",
    "Estimate",
    "Footprint",
    "OperatingPoint",
    "Precision",
    "Predictor",
    "find_lesions",
    "list_bundles",
    "make_engine",
    "measure_footprint",
    "write_bundle",
]
