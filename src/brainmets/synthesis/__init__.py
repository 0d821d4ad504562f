"""T1c MRI with brain metastases, made from anatomical label maps and from real scans."""

from brainmets.synthesis.anatomy import Anatomy
from brainmets.synthesis.benchmark import (
    BENCHMARK_BINS_MM,
    BENCHMARK_HEADS,
    BENCHMARK_MAPS,
    BENCHMARK_VERSION,
    FIRST_SEED,
    VALIDATION_SEED,
    benchmark_config,
    benchmark_seeds,
    validation_config,
)
from brainmets.synthesis.case import SyntheticCase
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.head import render_head, synthesize_head
from brainmets.synthesis.insertion import InsertionParameters, Scan, insert_lesions
from brainmets.synthesis.lesions import ENHANCING, NECROSIS, OEDEMA, PlacedLesion
from brainmets.synthesis.parameters import (
    LesionParameters,
    SynthesisParameters,
    sample_parameters,
)
from brainmets.synthesis.phantom import analytic_labels, sample_head
from brainmets.synthesis.shapes import ShapeLibrary
from brainmets.synthesis.store import anatomy_of
from brainmets.synthesis.surroundings import Surroundings

__all__ = [
    "BENCHMARK_BINS_MM",
    "BENCHMARK_HEADS",
    "BENCHMARK_MAPS",
    "BENCHMARK_VERSION",
    "ENHANCING",
    "FIRST_SEED",
    "NECROSIS",
    "OEDEMA",
    "VALIDATION_SEED",
    "Anatomy",
    "InsertionParameters",
    "LesionParameters",
    "PlacedLesion",
    "Scan",
    "ShapeLibrary",
    "Surroundings",
    "SynthesisConfig",
    "SynthesisParameters",
    "SyntheticCase",
    "analytic_labels",
    "anatomy_of",
    "benchmark_config",
    "benchmark_seeds",
    "insert_lesions",
    "render_head",
    "sample_head",
    "sample_parameters",
    "synthesize_head",
    "validation_config",
]
