"""From a file to its results: everything, in the right place, or nothing."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from brainmets.domain import RESEARCH_USE_ONLY, STAGES, Geometry, HeadPhantom
from brainmets.domain.errors import (
    DiskFull,
    OptionError,
    OutputExists,
    UnknownModel,
    WrongModelKind,
)
from brainmets.inference import Bundle, OperatingPoint
from brainmets.inference.revision import revise_bundle
from brainmets.io import write_volume
from brainmets.reporting import results
from brainmets.workflows import segment as workflow
from brainmets.workflows.plausibility import Finding
from brainmets.workflows.sample import write_sample
from brainmets.workflows.segment import Segmenter, SegmentOptions, segment
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.inference import PointName

POINT = OperatingPoint(threshold=0.55, peak=0.6, min_volume_mm3=40.0)
SLICE_POINT = OperatingPoint(threshold=0.1, peak=0.1, min_volume_mm3=4.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for dims, point in ((2, SLICE_POINT), (3, POINT)):
        random_bundle(
            folder / f"attention-unet-{dims}d", dims=dims, widths=(4, 8), point=point, seed=dims
        )
    return folder


@pytest.fixture(autouse=True)
def _only_these_models(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINMETS_MODELS", str(models))


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An oblique, anisotropic head, left-handed and stored foot to head last."""
    grid = Geometry.isotropic((52, 60, 30), spacing_mm=3.4).permuted((1, 0, 2), (True, False, True))
    affine = np.array(grid.affine)
    affine[:3, 2] *= 1.7
    affine[:3, 3] += (4.0, -3.0, 40.0)
    image, _ = HeadPhantom().render(Geometry(shape=grid.shape, affine=affine))
    return write_volume(image, tmp_path_factory.mktemp("scan") / "head.nii.gz")


@pytest.fixture(scope="module")
def slice_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image, _ = HeadPhantom().render(Geometry.isotropic((90, 110, 100), spacing_mm=2.0))
    grey = (255 * image.data[::-1, ::-1, 58].T / image.data.max()).astype(np.uint8)
    path = tmp_path_factory.mktemp("slice") / "axial.png"
    Image.fromarray(grey).save(path)
    return path


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.array(picture)


def test_a_scan_becomes_its_results(scan: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    out = tmp_path / "deep" / "results"
    result = segment(scan, out, SegmentOptions(probability=True), lambda s, d: seen.append((s, d)))
    assert {p.name for p in out.iterdir()} == {
        "mask.nii.gz",
        "probability.nii.gz",
        "lesions.csv",
        "report.json",
        "overlay.png",
    }
    assert result.files == {
        "mask": out / "mask.nii.gz",
        "probability": out / "probability.nii.gz",
        "lesions": out / "lesions.csv",
        "report": out / "report.json",
        "overlay": out / "overlay.png",
    }
    given, mask, probability = (
        nib.load(p) for p in (scan, result.files["mask"], result.files["probability"])
    )
    assert mask.shape == given.shape == probability.shape
    np.testing.assert_allclose(mask.affine, given.affine, atol=1e-5)
    ids, p = np.asarray(mask.dataobj), np.asarray(probability.dataobj)
    lesions = result.report.prediction.lesions
    assert lesions
    assert set(np.unique(ids)) == {0, *(v.id for v in lesions)}
    assert (p[ids > 0] >= POINT.threshold).all()

    assert tuple(dict.fromkeys(s for s, _ in seen)) == STAGES
    assert {*STAGES, "anatomy", "total"} == set(result.timings)
    assert result.timings["total"] >= sum(result.timings[s] for s in STAGES) * 0.99
    assert result.peak_bytes > 0


def test_the_report_says_how_to_compute_it_again(scan: Path, tmp_path: Path) -> None:
    result = segment(scan, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    bundle = Bundle.load("attention-unet-3d")
    assert document["schema"] == "brainmets-report/1"
    assert document["notice"] == RESEARCH_USE_ONLY
    provenance = document["provenance"]
    assert provenance["model"] == bundle.name
    assert provenance["model_sha256"] == bundle.sha256
    assert provenance["engine"].startswith("openvino 20")
    assert provenance["input_sha256"] == result.report.case.source.sha256
    assert provenance["settings"] | POINT.model_dump() == provenance["settings"]
    assert len(document["lesions"]) == document["summary"]["lesions"] > 0
    assert set(document["files"]) == {p.name for p in (tmp_path / "out").iterdir()}
    assert any("mm apart" in warning for warning in document["warnings"])

    with (tmp_path / "out" / "lesions.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [int(row["id"]) for row in rows] == [v["id"] for v in document["lesions"]]
    for row, lesion in zip(rows, document["lesions"], strict=True):
        assert float(row["volume_mm3"]) == lesion["volume_mm3"]
        assert float(row["centroid_x_ras_mm"]) == lesion["centroid_ras_mm"][0]
        assert row["unit"] == "mm"
        assert row["notice"] == RESEARCH_USE_ONLY


def test_a_slice_becomes_a_mask_picture(slice_image: Path, tmp_path: Path) -> None:
    result = segment(slice_image, tmp_path / "out", SegmentOptions(probability=True))
    assert result.report.prediction.provenance.model == "attention-unet-2d"
    mask = pixels(result.files["mask"])
    assert mask.shape == pixels(slice_image).shape
    assert set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask > 0, result.report.prediction.mask.data[:, :, 0].T > 0)
    assert pixels(result.files["probability"]).shape == mask.shape
    assert {v.side for v in result.report.prediction.lesions} == {"unknown"}
    assert any("pixels" in warning for warning in result.report.warnings)


def test_a_stack_of_slices_becomes_one_mask_each(slice_image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(slice_image, folder / name)
    result = segment(folder, tmp_path / "out")
    assert result.files["mask"] == tmp_path / "out" / "masks"
    masks = sorted((tmp_path / "out" / "masks").iterdir())
    assert [p.name for p in masks] == ["a.png", "b.png", "c.png"]
    first, *others = (pixels(p) for p in masks)
    assert first.any()
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_same_input_same_mask_with_any_threads_and_memory(scan: Path, tmp_path: Path) -> None:
    digests: set[bytes] = set()
    for name, options in {
        "plain": SegmentOptions(),
        "again": SegmentOptions(),
        "one thread": SegmentOptions(threads=1),
    }.items():
        segment(scan, tmp_path / name, options)
        digests.add((tmp_path / name / "mask.nii.gz").read_bytes())
    assert len(digests) == 1


def test_a_threshold_replaces_the_operating_point(scan: Path, tmp_path: Path) -> None:
    few = segment(scan, tmp_path / "few", SegmentOptions(threshold=0.9))
    many = segment(scan, tmp_path / "many", SegmentOptions(threshold=0.52))
    settings = few.report.prediction.provenance.settings
    assert (settings["threshold"], settings["peak"]) == (0.9, 0.9)
    few_mask, many_mask = (r.report.prediction.mask.foreground for r in (few, many))
    assert few_mask.sum() < many_mask.sum()
    assert not (few_mask & ~many_mask).any()


def test_a_pruned_network_is_written_down(scan: Path, tmp_path: Path) -> None:
    random_bundle(tmp_path / "nested", name="unet-plus-plus")
    options = SegmentOptions(model=str(tmp_path / "nested"), depth=1)
    report = segment(scan, tmp_path / "out", options).report
    assert report.prediction.provenance.settings["depth"] == 1


def test_no_lesion_is_a_result_too(scan: Path, tmp_path: Path) -> None:
    result = segment(scan, tmp_path / "out", SegmentOptions(threshold=1.0))
    assert result.report.prediction.lesions == ()
    assert not np.asarray(nib.load(result.files["mask"]).dataobj).any()
    assert len((tmp_path / "out" / "lesions.csv").read_text().splitlines()) == 1
    assert pixels(result.files["overlay"]).shape[1] == 1440


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_at_any_stage_leaves_nothing(scan: Path, tmp_path: Path, stage: str) -> None:
    class Cancelled(Exception):
        pass

    def cancel(name: str, _done: float) -> None:
        if name == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        segment(scan, tmp_path / "a" / "out", SegmentOptions(), cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("culprit", ["draw_overlay", "lesions_csv", "report_json", "write_mask"])
def test_failing_while_writing_leaves_nothing(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results, culprit, interrupt)
    with pytest.raises(KeyboardInterrupt):
        segment(scan, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "lesions_csv", full)
    with pytest.raises(DiskFull, match="E_DISK"):
        segment(scan, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_left_alone(
    scan: Path, slice_image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    segment(scan, out, SegmentOptions(probability=True))  # an empty folder is fine
    segment(scan, out)  # and so is an earlier result of the same input
    assert not (out / "probability.nii.gz").exists(), "it belongs to the earlier result"
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(OutputExists, match="add --overwrite"):
        segment(slice_image, out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before

    (out / "notes.txt").write_text("mine")
    segment(slice_image, out, SegmentOptions(overwrite=True))
    assert {p.name for p in out.iterdir()} == {
        "notes.txt",
        "mask.png",
        "lesions.csv",
        "report.json",
        "overlay.png",
    }
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_is_refused(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputExists):
        segment(scan, tmp_path / "out", SegmentOptions(overwrite=True))
    with pytest.raises(OutputExists):
        segment(scan, tmp_path / "out" / "below", SegmentOptions(overwrite=True))


def test_wrong_choices_are_refused_before_reading(scan: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        Segmenter(SegmentOptions(model="no-such-net"))
    with pytest.raises(OptionError):
        Segmenter(SegmentOptions(model="attention-unet-3d", threshold=1.5))
    assert scan.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_volume_model_refuses_a_slice(slice_image: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongModelKind):
        segment(slice_image, tmp_path / "out", SegmentOptions(model="attention-unet-3d"))
    assert list(tmp_path.iterdir()) == []


def test_a_slice_model_reads_a_volume_slice_by_slice(scan: Path, tmp_path: Path) -> None:
    result = segment(scan, tmp_path / "out", SegmentOptions(model="attention-unet-2d"))
    assert result.files["mask"].name == "mask.nii.gz"
    assert any("each slice by itself" in w for w in result.report.warnings)


def test_further_sequences_are_read_on_the_same_grid(scan: Path, tmp_path: Path) -> None:
    options = SegmentOptions(images={"t1c": scan, "t2f": scan})
    result = segment(tmp_path, tmp_path / "out", options)  # the path is not needed then
    assert set(result.report.case.images) == {"t1c", "t2f"}


def test_models_stay_warm_between_cases(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter()
    first = segmenter.run(scan, tmp_path / "a")

    def never(*_: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(Bundle, "load", never)
    second = segmenter.run(scan, tmp_path / "b")
    np.testing.assert_array_equal(
        first.report.prediction.mask.data, second.report.prediction.mask.data
    )


def test_nothing_that_names_a_folder_is_written(scan: Path, tmp_path: Path) -> None:
    secret = tmp_path / "DOE^JANE"
    secret.mkdir()
    shutil.copy(scan, secret / "t1c.nii.gz")
    segment(secret / "t1c.nii.gz", tmp_path / "out")
    for name in ("report.json", "lesions.csv"):
        assert "DOE" not in (tmp_path / "out" / name).read_text()


def test_the_sample_is_a_head_with_the_mask_of_its_lesions(tmp_path: Path) -> None:
    mask = tmp_path / "masks" / "head.nii.gz"
    sample = nib.load(write_sample(tmp_path / "new" / "head.nii.gz", mask=mask))
    labels = nib.load(mask)
    assert labels.shape == sample.shape
    assert np.array_equal(labels.affine, sample.affine)
    assert list(np.unique(labels.dataobj)) == [0, 1, 2, 3, 4, 5, 6]
    assert min(sample.shape) > 140
    assert 100 < sample.get_fdata().max() < 2000
    assert nib.aff2axcodes(sample.affine) == ("R", "A", "S")


def test_image_and_mask_of_the_sample_are_two_files(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="same file"):
        write_sample(tmp_path / "head.nii.gz", mask=tmp_path / "." / "head.nii.gz")
    assert not list(tmp_path.iterdir())


def test_options_are_values() -> None:
    assert replace(SegmentOptions(), threads=2).threads == 2


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, "specific"),
        ({"point": "balanced"}, "balanced"),
        ({"point": "sensitive"}, "sensitive"),
        ({"threshold": 0.4}, None),
        ({"peak": 0.9}, None),
    ],
)
def test_without_contrast_medium_only_the_surest_is_marked(
    scan: Path,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    taken: PointName | None,
) -> None:
    points: dict[PointName, OperatingPoint] = {
        "sensitive": OperatingPoint(threshold=0.2, peak=0.3),
        "balanced": POINT,
        "specific": OperatingPoint(threshold=0.55, peak=0.8),
    }
    tuned = revise_bundle(Bundle.load("attention-unet-3d"), tmp_path / "tuned", points=points)
    seen = Finding(kind="native", text="No vessel is bright.")
    monkeypatch.setattr(workflow, "check_plausibility", lambda *_a, **_k: (seen,))
    report = segment(
        scan, tmp_path / "out", SegmentOptions(model=str(tuned.root), **options)
    ).report
    settings = report.prediction.provenance.settings
    if taken is not None:
        assert settings | points[taken].model_dump() == settings
    assert (workflow.CAREFUL_WARNING in report.warnings) == (options == {})
    assert seen.text in report.warnings
    monkeypatch.setattr(workflow, "check_plausibility", lambda *_a, **_k: ())
    usual = segment(scan, tmp_path / "usual", SegmentOptions(model=str(tuned.root))).report
    settings = usual.prediction.provenance.settings
    assert settings | POINT.model_dump() == settings
    assert workflow.CAREFUL_WARNING not in usual.warnings
