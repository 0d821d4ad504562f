"""The 2026 scorer reproduces what the organisers published, number by number."""

from __future__ import annotations

import csv
import json
import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.evaluation import PACKAGE_SPLIT
from brainmets.evaluation.brats_2026 import score_brats_2026
from brainmets.evaluation.label_schemes import BRATS_REGIONS
from brainmets.io import read_mask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from brainmets.evaluation import RegionScore

TOLERANCE = 1e-6
ANISOTROPIC = ("00630", "01325")


@pytest.fixture(scope="module")
def published(data_dir: Path) -> Path:
    return data_dir / "mets-scoring"


@pytest.fixture(scope="module")
def scored(published: Path) -> Mapping[str, tuple[RegionScore, ...]]:
    """Our scores of the four cases, under the settings that the sample table was made with."""
    scores: dict[str, tuple[RegionScore, ...]] = {}
    for path in sorted((published / "sample_data" / "ref").iterdir()):
        number = re.search(r"\d{5}-\d{3}", path.name)
        assert number is not None
        reference = read_mask(path)
        prediction = read_mask(
            next((published / "sample_data" / "pred").glob(f"*{number[0]}.nii.gz"))
        )
        scores[path.name] = score_brats_2026(
            reference.data,
            prediction.data,
            reference.geometry.spacing_mm,
            BRATS_REGIONS,
            split=PACKAGE_SPLIT,
        )
    return scores


def close(expected: float, ours: float) -> bool:
    if math.isnan(expected):
        return math.isnan(ours)
    return abs(expected - ours) <= TOLERANCE


def test_every_number_of_the_sample_json(
    published: Path, scored: Mapping[str, tuple[RegionScore, ...]]
) -> None:
    checked = 0
    for case in json.loads((published / "sample_mets_metrics.json").read_text())["metrics"]:
        for region in scored[case["subject_name"]]:
            expected = case[region.region]
            for name, value in expected.items():
                if name == "reference_instances":
                    continue
                assert close(value, region.values[name]), (
                    case["subject_name"],
                    region.region,
                    name,
                )
                checked += 1
            theirs = sorted(
                (
                    one["volume"],
                    one.get("sq_dsc", 0.0),
                    one.get("sq_nsd", 0.0),
                    one.get("sq_hd95", 373.0),
                )
                for one in expected["reference_instances"]
            )
            ours = sorted(
                (row.volume_mm3, row.dice, row.nsd, row.hd95_mm)
                for row in region.lesions
                if row.outcome != "false positive"
            )
            assert len(theirs) == len(ours)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
            checked += 4 * len(theirs)
    assert checked > 900


def test_every_number_of_the_sample_table(
    published: Path, scored: Mapping[str, tuple[RegionScore, ...]]
) -> None:
    with (published / "sample_mets_summary.csv").open() as file:
        rows = {row["subject_id"]: row for row in csv.DictReader(file)}
    columns = [name for name in next(iter(rows.values())) if name != "subject_id"]
    table = {
        case: {name: our_value(regions, name) for name in columns}
        for case, regions in scored.items()
    }
    for case, ours in table.items():
        for name in columns:
            assert close(float(rows[case][name] or "nan"), ours[name]), (case, name)
    for name in columns:  # the table's last two rows: over the cases that have a value
        known = [ours[name] for ours in table.values() if not math.isnan(ours[name])]
        mean = float(np.mean(known)) if known else math.nan
        spread = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
        assert close(float(rows["mean"][name] or "nan"), mean), name
        assert close(float(rows["std"][name] or "nan"), spread), name


def our_value(regions: tuple[RegionScore, ...], column: str) -> float:
    """Find a column of the sample table among our figures."""
    name, _, code = column.rpartition("_")
    region = next(one for one in regions if one.region == code)
    if name.startswith("all_instance_"):
        name = name.removeprefix("all_instance_").replace("f1", "rq")
    if name.startswith("lesionwise_"):  # made before misses and false positives were charged
        name += "_found"
    return region.values[name]


def test_thick_slices_show_the_swapped_axes(published: Path) -> None:
    """With the spacing where it belongs, the two anisotropic cases differ from the sample."""
    expected = {
        case["subject_name"]: case
        for case in json.loads((published / "sample_mets_metrics.json").read_text())["metrics"]
    }
    for number in ANISOTROPIC:
        path = next((published / "sample_data" / "ref").glob(f"*{number}*"))
        reference = read_mask(path)
        prediction = read_mask(next((published / "sample_data" / "pred").glob(f"*{number}*")))
        (score,) = score_brats_2026(
            reference.data,
            prediction.data,
            reference.geometry.spacing_mm,
            {"et": (3,)},
            spacing_order="header",
        )
        assert not close(expected[path.name]["et"]["sq_nsd"], score.values["sq_nsd"])
        assert close(expected[path.name]["et"]["sq_dsc"], score.values["sq_dsc"])
