"""Running a trained model: bundles, engines, windows, and lesions out of probabilities."""

from brainmets.inference.bundle import (
    MODELS_VARIABLE,
    Bundle,
    bundle_file_states,
    list_bundles,
    write_bundle,
)
from brainmets.inference.engines import ENGINES, Engine, EngineName, Precision, make_engine
from brainmets.inference.footprint import Footprint, measure_footprint
from brainmets.inference.lesions import find_lesions
from brainmets.inference.operating_point import OperatingPoint, PointName
from brainmets.inference.predictor import Estimate, Predictor
from brainmets.inference.rejector import Rejector
from brainmets.inference.revision import fuse_bundles, revise_bundle

__all__ = [
    "ENGINES",
    "MODELS_VARIABLE",
    "Bundle",
    "Engine",
    "EngineName",
    "Estimate",
    "Footprint",
    "OperatingPoint",
    "PointName",
    "Precision",
    "Predictor",
    "Rejector",
    "bundle_file_states",
    "find_lesions",
    "fuse_bundles",
    "list_bundles",
    "make_engine",
    "measure_footprint",
    "revise_bundle",
    "write_bundle",
]
