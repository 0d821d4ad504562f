"""What a new result in an old one's folder removes, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Mask, Prediction, Provenance, Report
from brainmets.domain.errors import OutputExists
from brainmets.reporting import write_results
from brainmets.reporting.names import EXPORT_NAMES
from brainmets.workflows.export import IMAGES, NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Case


@pytest.fixture(scope="module")
def report(phantom_case: Case) -> Report:
    image = phantom_case.images["t1c"]
    probability = replace(image, data=np.zeros_like(image.data, dtype=np.float32))
    prediction = Prediction(
        probability=probability,
        mask=Mask(data=np.zeros(image.data.shape, np.uint8), geometry=image.geometry),
        lesions=(),
        provenance=Provenance(
            model="m", model_sha256="0" * 64, code_version="0", engine="e", input_sha256="0" * 64
        ),
    )
    return Report(case=phantom_case, prediction=prediction)


def test_every_export_has_a_known_name() -> None:
    assert {*NAMES.values(), IMAGES} == EXPORT_NAMES


def test_exports_of_an_earlier_result_go_with_it(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "result"
    write_results(report, out)
    (out / "report.pdf").write_text("of the earlier result")
    (out / "export").mkdir()
    (out / "export" / "segmentation.dcm").write_text("of the earlier result")
    (out / "notes.txt").write_text("mine")
    write_results(report, out)
    assert not (out / "report.pdf").exists()
    assert not (out / "export").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_an_export_folder_with_something_of_the_users_stays(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "result"
    write_results(report, out)
    (out / "export").mkdir()
    (out / "export" / "thesis.txt").write_text("years of work")
    write_results(report, out)
    assert (out / "export" / "thesis.txt").read_text() == "years of work"


def test_a_readers_corrections_are_not_thrown_away_unasked(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "result"
    write_results(report, out)
    (out / "lesions-reviewed.csv").write_text("an hour of work")
    with pytest.raises(OutputExists, match="--overwrite"):
        write_results(report, out)
    assert (out / "lesions-reviewed.csv").read_text() == "an hour of work"
    write_results(report, out, overwrite=True)
    assert not (out / "lesions-reviewed.csv").exists()
