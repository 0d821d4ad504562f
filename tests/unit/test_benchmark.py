"""The fixed synthetic benchmark: its heads, its figures, its command."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Mask
from brainmets.domain.errors import FileMissing
from brainmets.evaluation import CaseScore, LesionScore, RegionScore
from brainmets.evaluation.froc import at_confidence, by_size, confidence_at_rate
from brainmets.io import write_mask
from brainmets.synthesis import (
    BENCHMARK_HEADS,
    BENCHMARK_MAPS,
    FIRST_SEED,
    VALIDATION_SEED,
    benchmark_config,
)
from brainmets.workflows.benchmark import BARS, BenchmarkOptions, benchmark, find_label_maps
from brainmets.workflows.benchmark_heads import benchmark_heads, heads_sha256
from brainmets.workflows.bundle_scores import counted_labels, score_bundle
from brainmets.workflows.reference_cases import case_of_head
from tests.bundles import random_bundle
from tests.unit.synthesis_mini import mini_labels

if TYPE_CHECKING:
    from brainmets.workflows.benchmark_heads import SyntheticHead
    from brainmets.workflows.reference_cases import ReferenceCase

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.fixture(scope="module")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mask(mini_labels(), tmp_path_factory.mktemp("maps") / "mini.nii.gz")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINMETS_CACHE", str(cache))


@pytest.fixture(scope="module")
def heads(label_map: Path, cache: Path) -> list[SyntheticHead]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINMETS_CACHE", str(cache))
        return list(benchmark_heads([label_map], heads=2))


def test_no_training_can_draw_a_head_of_the_benchmark() -> None:
    assert FIRST_SEED >= 2**31  # what brainmets.training.making draws from
    assert FIRST_SEED + BENCHMARK_HEADS <= VALIDATION_SEED
    for path in RECIPES.glob("*.toml"):
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
        for source in recipe["sources"]:
            assert not set(source.get("maps", ())) & set(BENCHMARK_MAPS), path.name


def test_heads_cover_what_scans_are_like() -> None:
    configs = [benchmark_config(FIRST_SEED + n) for n in range(BENCHMARK_HEADS)]
    assert sum(config.stripped_share for config in configs) == BENCHMARK_HEADS / 2
    assert {next(iter(config.contrast_weights)) for config in configs} == {
        "mprage", "spin-echo", "randomised",
    }  # fmt: skip
    assert sum(config.thick_share for config in configs) == 3
    assert sum(sum(d >= 9.5 for d in config.diameters_mm or ()) for config in configs) == 48


def test_heads_are_kept_and_made_again_when_the_file_is_damaged(
    heads: list[SyntheticHead], label_map: Path, cache: Path
) -> None:
    kept = sorted((cache / "benchmark").glob("*.npz"))
    assert len(kept) == 2
    written = kept[0].stat().st_mtime_ns
    again = list(benchmark_heads([label_map], heads=2))
    assert heads_sha256(again) == heads_sha256(heads)
    assert kept[0].stat().st_mtime_ns == written
    assert np.array_equal(again[1].case.images["t1c"].data, heads[1].case.images["t1c"].data)
    content = bytearray(kept[0].read_bytes())
    content[len(content) // 2] ^= 0xFF
    kept[0].write_bytes(content)
    assert heads_sha256(list(benchmark_heads([label_map], heads=2))) == heads_sha256(heads)
    assert kept[0].stat().st_mtime_ns != written


def test_lesions_are_numbered_and_apart(heads: list[SyntheticHead]) -> None:
    from brainmets.evaluation import label_components

    for head in heads:
        numbers = set(np.unique(head.lesions.data)) - {0}
        assert len(numbers) >= 12  # the mini head has no room for every large one
        assert label_components(head.lesions.foreground)[1] >= 0.8 * len(numbers)


def test_benchmark_writes_tables_curves_and_bars(
    heads: list[SyntheticHead], label_map: Path, tmp_path: Path
) -> None:
    del heads
    bundles = [random_bundle(tmp_path / name, seed=n) for n, name in enumerate(("one", "two"))]
    options = BenchmarkOptions(label_maps=(label_map,), heads=2)
    document = benchmark(bundles, tmp_path / "out", options)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "benchmark.json", "benchmark.md", "froc.svg", "froc.png", "froc.csv", "lesions.csv",
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text("utf-8")) == document
    one = document["bundles"][0]
    strata = {stratum["name"]: stratum for stratum in one["at_operating_point"]}
    for bar in one["bars"]:
        found = strata[bar["stratum"]]["sensitivity"]["value"]
        rate = one["at_operating_point"][0]["false_alarms_per_scan"]["value"]
        assert bar["met"] == (found >= BARS[bar["stratum"]] and rate <= 2.0)
    at_rate = one["at_allowed_false_alarms"]["strata"][0]
    assert at_rate["false_alarms_per_scan"]["value"] <= 2.0
    assert sum(s["tp"] + s["fn"] for s in one["at_operating_point"][1:]) == (
        strata["all"]["tp"] + strata["all"]["fn"]
    )
    text = (tmp_path / "out" / "benchmark.md").read_text("utf-8")
    assert "false positives a scan" in text
    assert "≥10 mm" in text
    assert (tmp_path / "out" / "froc.png").read_bytes().startswith(b"\x89PNG")


def test_label_maps_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="training_seg_17"):
        find_label_maps(tmp_path)


def row(outcome: str, confidence: float, diameter: float = 4.0) -> LesionScore:
    return LesionScore(
        outcome=outcome,  # type: ignore[arg-type]
        reference_id=int(outcome != "false positive"),
        prediction_ids=() if outcome == "missed" else (1,),
        voxels=30, volume_mm3=30.0, predicted_volume_mm3=30.0, dice=0.8, nsd=0.8, hd95_mm=1.0,
        diameter_mm=diameter, confidence=confidence,
    )  # fmt: skip


def scan(name: str, *rows: LesionScore) -> CaseScore:
    region = RegionScore(region="lesion", values={}, lesions=rows)
    return CaseScore(case_id=name, patient=name, scorer="brainmets", regions=(region,))


def test_a_stricter_confidence_turns_finds_into_misses_and_alarms_into_nothing() -> None:
    rows = [
        row("found", 0.9), row("found", 0.6), row("missed", float("nan")),
        row("false positive", 0.7), row("false positive", 0.5),
    ]  # fmt: skip
    left = at_confidence(rows, 0.65)
    assert [one.outcome for one in left] == ["found", "missed", "missed", "false positive"]
    assert left[1].dice == 0.0
    assert at_confidence(rows, 0.0) == rows


def test_confidence_at_a_rate_allows_no_more_than_the_rate() -> None:
    cases = [
        scan("a", row("found", 0.9), row("false positive", 0.8), row("false positive", 0.4)),
        scan("b", row("found", 0.6), row("false positive", 0.7)),
    ]
    assert confidence_at_rate(cases, 1.0) == 0.6
    assert confidence_at_rate(cases, 0.5) == 0.8
    assert confidence_at_rate(cases, 0.0) == 0.9
    every = by_size(cases, least=0.6)[0]
    assert (every.tp, every.fn, every.fp) == (2, 0, 2)
    assert confidence_at_rate([scan("c", row("false positive", 0.9))], 0.5) > 1.0


def ignoring(case: ReferenceCase, where: tuple[slice, ...]) -> ReferenceCase:
    ignored = np.zeros(case.truth.data.shape, dtype=bool)
    ignored[where] = True
    truth = case.truth.data.copy()
    truth[where] = 0
    return replace(case, ignored=ignored, truth=Mask(data=truth, geometry=case.truth.geometry))


def test_what_counts_neither_way_is_cut_before_scoring(heads: list[SyntheticHead]) -> None:
    case = ignoring(case_of_head(heads[0]), np.s_[:20])
    truth = np.zeros_like(case.truth.data)
    truth[30:34, 30:34, 30:34] = 1
    case = replace(case, truth=Mask(data=truth, geometry=case.truth.geometry))
    labels = np.zeros(truth.shape, dtype=np.uint8)
    labels[15:25, 5:8, 5:8] = 1  # spills over the edge of what is ignored
    labels[40:44, 40:44, 40:44] = 2  # a false positive
    labels[10:34, 31:33, 31:33] = 3  # reaches from the lesion into what is ignored
    left = counted_labels(case, labels)
    assert set(np.unique(left)) == {0, 2, 3}
    assert not left[:20].any()
    assert (left == 3).sum() == 14 * 4


def test_a_case_whose_tumour_does_not_count_has_no_dice(
    heads: list[SyntheticHead], tmp_path: Path
) -> None:
    case = ignoring(case_of_head(heads[0]), np.s_[:])
    scored = score_bundle(random_bundle(tmp_path / "net"), [case], surfaces=False)
    values = scored.run.cases[0].regions[0].values
    assert np.isnan(values["dice"])
    assert values["fp"] == 0
