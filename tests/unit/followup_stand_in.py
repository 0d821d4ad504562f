"""A runner that finds exactly the balls of `tests.followed_heads.brighter`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from brainmets.api.segmenting import input_path
from brainmets.domain import Prediction, Provenance, Report, Volume
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.io import read_case
from brainmets.reporting import write_results

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.schemas import JobOptions
    from brainmets.domain import Progress

POINT = OperatingPoint(threshold=0.5, peak=0.5)
OF_BRIGHTEST = 0.8


@dataclass
class Segmented:
    report: Report
    timings: dict[str, float] = field(default_factory=dict)


def segment(folder: Path, out: Path, options: JobOptions, progress: Progress) -> Segmented:
    case = read_case(input_path(folder), series=options.series)
    progress("segment", 0.5)
    image = case.images["t1c"].data
    inside = (image > OF_BRIGHTEST * image.max()).astype(np.float32)
    probability = Volume(data=inside, geometry=case.geometry)
    mask, lesions = find_lesions(probability, POINT)
    made = Provenance(
        model="brightest",
        model_sha256="0" * 64,
        code_version="0",
        engine="none",
        input_sha256=case.source.sha256,
        settings=POINT.model_dump(),
    )
    prediction = Prediction(probability=probability, mask=mask, lesions=lesions, provenance=made)
    report = Report(case=case, prediction=prediction)
    write_results(report, out)
    return Segmented(report)
