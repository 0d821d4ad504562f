"""Follow-up from files to files: a phantom with lesions of known size, moved and changed."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from brainmets.cli.app import app
from brainmets.domain import RESEARCH_USE_ONLY, Geometry, HeadPhantom, RigidMotion, Volume
from brainmets.domain.errors import (
    DifferentPatient,
    Dimensions,
    NotAligned,
    OptionError,
    OutputExists,
    SourceDiffers,
)
from brainmets.inference import OperatingPoint
from brainmets.registration import Alignment
from brainmets.reporting.followup_results import RESPONSE_COLUMNS, TRACKED_COLUMNS
from brainmets.workflows.followup_days import order_of
from brainmets.workflows.track import TrackOptions, track
from tests.bundles import random_bundle
from tests.e2e.dicom import dicom_zip
from tests.followed_heads import MOTION, Ball, brighter, later_grid, moved, write_result

if TYPE_CHECKING:
    from pathlib import Path

FIRST = (
    Ball((-30.0, 20.0, 20.0), 12.0),
    Ball((30.0, 20.0, 20.0), 20.0),
    Ball((-30.0, -30.0, 10.0), 11.0),
    Ball((30.0, -30.0, 25.0), 14.0),
)
LATER = (
    Ball((-30.0, 20.0, 20.0), 19.0),  # grows by 7 mm
    Ball((30.0, 20.0, 20.0), 11.0),  # shrinks by 9 mm
    Ball((30.0, -30.0, 25.0), 14.0),  # the third is gone, the fourth stays
    Ball((0.0, 45.0, 20.0), 9.0),  # new
)
SPACING = (2.0, 2.0, 2.0)
WITHIN_MM = 1.6
"""A voxel of these coarse grids; diameters include one voxel's width."""


def textured(spacing_mm: float) -> Volume:
    """A phantom head that is not the same all over, as registration needs."""
    shape = tuple(round(n / spacing_mm) for n in (180, 220, 180))
    geometry = Geometry.isotropic((shape[0], shape[1], shape[2]), spacing_mm=spacing_mm)
    image, _ = HeadPhantom(lesions=()).render(geometry)
    x, y, z = geometry.to_ras_mm(np.indices(geometry.shape).reshape(3, -1).T).T / 9.0
    waves = (np.sin(x) * np.cos(0.7 * y + 1) * np.sin(0.9 * z + 2)).reshape(geometry.shape)
    inside = image.data > np.percentile(image.data, 60)
    data = image.data * (1 + 0.25 * waves * inside)
    return Volume(data=data.astype(np.float32), geometry=geometry)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a.nii.gz and b.nii.gz and their results a-result and b-result."""
    folder = tmp_path_factory.mktemp("patient")
    head = textured(2.0)
    write_result(folder, "a", *brighter(head, FIRST))
    later = moved(head, MOTION, later_grid(head, (1.8, 1.8, 2.2)))
    write_result(folder, "b", *brighter(later, LATER, MOTION))
    return folder


@pytest.fixture(scope="module")
def followed(patient: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "followup"
    options = TrackOptions(images=images(patient), dates=("0", "61"))
    track([patient / "a-result", patient / "b-result"], out, options)
    return out


def images(patient: Path) -> tuple[Path, ...]:
    return patient / "a.nii.gz", patient / "b.nii.gz"


def told(out: Path) -> dict[str, dict[str, object]]:
    """What became of each lesion, by the state in the last scan."""
    document = json.loads((out / "tracked.json").read_text())
    return {lesion["sightings"][-1]["state"]: lesion for lesion in document["lesions"]}


def test_every_lesion_is_recognised_and_its_size_known(followed: Path) -> None:
    lesions = told(followed)
    assert set(lesions) == {"growing", "shrinking", "gone", "stable", "new"}
    known = {
        "growing": (12.0, 19.0),
        "shrinking": (20.0, 11.0),
        "gone": (11.0, 0.0),
        "stable": (14.0, 14.0),
        "new": (0.0, 9.0),
    }
    for state, sizes in known.items():
        found = [one["diameter_mm"] for one in lesions[state]["sightings"]]
        assert found == pytest.approx(sizes, abs=WITHIN_MM + 1.0 * (state != "gone")), state
    ball = LATER[3]
    assert lesions["new"]["place_ras_mm"] == pytest.approx(ball.centre_mm, abs=1.5)


def test_rano_bm_sums_the_targets_and_names_the_reason(followed: Path) -> None:
    first, second = json.loads((followed / "tracked.json").read_text())["responses"]

    assert first["category"] is None
    assert first["sum_mm"] == pytest.approx(12 + 20 + 11 + 14, abs=8)
    assert second["category"] == "PD"
    assert second["reasons"][0].startswith("lesion 5 is new (")
    sums = sum(
        lesion["sightings"][1]["diameter_mm"]
        for lesion in json.loads((followed / "tracked.json").read_text())["lesions"]
        if lesion["target"]
    )
    assert second["sum_mm"] == pytest.approx(sums, abs=1e-3)


def test_tables_have_a_line_for_each_lesion_and_scan(followed: Path) -> None:
    rows = list(csv.DictReader((followed / "tracked.csv").read_text().splitlines()))
    assert tuple(rows[0]) == TRACKED_COLUMNS
    assert len(rows) == 5 * 2
    assert {row["days"] for row in rows} == {"0", "61"}
    assert all(row["notice"] == RESEARCH_USE_ONLY for row in rows)
    grown = [row for row in rows if row["state"] == "growing"]
    assert float(grown[0]["change_from_first"]) == pytest.approx(7 / 12, abs=0.15)
    sums = list(csv.DictReader((followed / "response.csv").read_text().splitlines()))
    assert tuple(sums[0]) == RESPONSE_COLUMNS
    assert [row["category"] for row in sums] == ["first", "PD"]


def test_aligned_scans_lie_in_the_first_ones_space(patient: Path, followed: Path) -> None:
    first = nib.load(patient / "a.nii.gz")
    second = nib.load(followed / "aligned" / "scan-2.nii.gz")
    assert second.shape == first.shape
    assert np.allclose(second.affine, first.affine)
    inside = np.asarray(first.dataobj) > np.percentile(np.asarray(first.dataobj), 60)
    pair = (np.asarray(scan.dataobj)[inside] for scan in (first, second))
    assert np.corrcoef(*pair)[0, 1] > 0.85
    labels = [
        np.asarray(nib.load(followed / "aligned" / f"scan-{n}-lesions.nii.gz").dataobj)
        for n in (1, 2)
    ]
    stable = told(followed)["stable"]["id"]
    both = [np.argwhere(drawn == stable).mean(axis=0) for drawn in labels]
    assert np.linalg.norm(both[0] - both[1]) * 2.0 < 1.0
    assert told(followed)["gone"]["id"] not in np.unique(labels[1])
    assert told(followed)["new"]["id"] not in np.unique(labels[0])


def test_the_chart_is_a_picture_that_names_everything(followed: Path) -> None:
    text = (followed / "chart.svg").read_text()
    root = ET.fromstring(text)  # noqa: S314 - written above
    words = " ".join(node.text or "" for node in root.iter() if node.text)
    for expected in ("PD", "5 new", "days since the first scan", "61", "Sum of the targets"):
        assert expected in words
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_nothing_tells_when_the_patient_was_scanned(patient: Path, tmp_path: Path) -> None:
    options = TrackOptions(images=images(patient), dates=("2024-04-02", "2024-01-31"), pdf=True)
    result = track([patient / "b-result", patient / "a-result"], tmp_path / "out", options)

    assert result.timeline.followup.days == (0, 62)  # put in order
    assert {one.state for one in result.timeline.followup.lesions[0].sightings} == {
        "first",
        "shrinking",
    }
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert "report.pdf" in {path.name for path in written}
    for path in written:
        assert b"2024" not in path.read_bytes()[:200_000].replace(b"/ModDate", b""), path.name


@pytest.mark.usefixtures("laid")
def test_scans_are_segmented_on_the_way_and_their_results_kept(
    patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_lesions(tmp_path / "models")
    monkeypatch.setenv("BRAINMETS_MODELS", str(tmp_path / "models"))
    seen: list[float] = []
    track(
        [patient / "a.nii.gz", patient / "b.nii.gz"],
        tmp_path / "out",
        progress=lambda _stage, done: seen.append(done),
    )

    for number in (1, 2):
        assert (tmp_path / "out" / "results" / f"scan-{number}" / "mask.nii.gz").is_file()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    document = json.loads((tmp_path / "out" / "tracked.json").read_text())
    assert [scan["days"] for scan in document["scans"]] == [None, None]
    assert any("No dates are known" in warning for warning in document["warnings"])


@pytest.mark.usefixtures("laid")
def test_results_need_their_images_and_no_others(patient: Path, tmp_path: Path) -> None:
    results = [patient / "a-result", patient / "b-result"]
    with pytest.raises(OptionError, match="without the image"):
        track(results, tmp_path / "out")
    with pytest.raises(SourceDiffers, match="b-result was made from"):
        track(results, tmp_path / "out", TrackOptions(images=(patient / "a.nii.gz",)))
    swapped = TrackOptions(images=images(patient)[::-1])
    assert track(results, tmp_path / "out", swapped).timeline.followup.lesions
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.fixture
def laid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans lie as they do: for tests whose subject is not registration."""
    still = Alignment(motion=RigidMotion.identity(), similarity=0.9, shared=1.0, error_mm=0.1)
    monkeypatch.setattr("brainmets.registration.align", lambda *_: still)


def test_a_scan_that_does_not_fit_is_named(
    patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Alignment:
        raise NotAligned("two scans that do not fit", expected="one head", remedy="check")

    monkeypatch.setattr("brainmets.registration.align", refuse)
    results = [patient / "a-result", patient / "b-result"]
    with pytest.raises(NotAligned, match="scan 2 next to the first: two scans that do not fit"):
        track(results, tmp_path / "out", TrackOptions(images=images(patient)))
    assert not (tmp_path / "out").exists()


def few_lesions(models: Path) -> None:
    """A network that finds next to nothing: quick to follow."""
    point = OperatingPoint(threshold=0.9, peak=0.95, min_volume_mm3=200.0)
    random_bundle(models / "attention-unet-3d", dims=3, widths=(4, 8), seed=3, point=point)


def dicom(path: Path, day: str, patient: str) -> Path:
    """A DICOM series of a small head, of a day and a patient."""
    import io
    import zipfile

    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 40), spacing_mm=4.0))
    plain = zipfile.ZipFile(io.BytesIO(dicom_zip(np.rint(image.data), image.geometry)))
    with zipfile.ZipFile(path, "w") as archive:
        for name in plain.namelist():
            one = pydicom.dcmread(io.BytesIO(plain.read(name)))
            one.AcquisitionDate, one.PatientID = day, patient
            buffer = io.BytesIO()
            one.save_as(buffer, enforce_file_format=True)
            archive.writestr(name, buffer.getvalue())
    return path


@pytest.mark.usefixtures("laid")
def test_dicom_scans_are_ordered_by_their_day_and_their_patient_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_lesions(tmp_path / "models")
    monkeypatch.setenv("BRAINMETS_MODELS", str(tmp_path / "models"))
    late = dicom(tmp_path / "late.zip", "20240402", "Q-17")
    early = dicom(tmp_path / "early.zip", "20240131", "q-17 ")
    timeline = track([late, early], tmp_path / "out").timeline
    assert timeline.followup.days == (0, 62)
    assert not list((tmp_path / "out").rglob("input-*"))

    other = dicom(tmp_path / "other.zip", "20240131", "R-18")
    with pytest.raises(DifferentPatient, match="name 2 patients"):
        track([late, other], tmp_path / "out2")
    timeline = track([late, other], tmp_path / "out2", TrackOptions(same_patient=True)).timeline
    assert all(lesion.latest.state == "stable" for lesion in timeline.followup.lesions)
    same_day = dicom(tmp_path / "same.zip", "20240402", "Q-17")
    with pytest.raises(OptionError, match="two scans of the same day"):
        track([late, same_day], tmp_path / "out3")


def test_slices_cannot_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    random_bundle(tmp_path / "models" / "attention-unet-2d", dims=2, widths=(4, 8), seed=3)
    monkeypatch.setenv("BRAINMETS_MODELS", str(tmp_path / "models"))
    rng = np.random.default_rng(0)
    picture = tmp_path / "slice.png"
    Image.fromarray(rng.integers(0, 255, (96, 96), dtype=np.uint8)).save(picture)
    with pytest.raises(Dimensions, match="slice images"):
        track([picture, picture], tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("2024-01-31",), "1 dates for 2 scans"),
        (("2024-01-31", "2024-01-31"), "two scans of the same day"),
        (("2024-01-31", "sometime"), "cannot be read"),
        (("2024-01-31", "62"), "cannot be read"),
    ],
)
def test_wrong_dates_are_refused_before_any_work(
    given: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    inputs = [tmp_path / "no such scan.nii.gz", tmp_path / "nor this.nii.gz"]
    with pytest.raises(OptionError, match=message):
        track(inputs, tmp_path / "out", TrackOptions(dates=given))


def test_order_and_days() -> None:
    assert order_of(("90", "0", "31"), [None] * 3) == ((1, 2, 0), (0, 31, 90))
    assert order_of(("2024-03-01", "2024-02-28"), [None] * 2) == ((1, 0), (0, 2))  # leap year
    assert order_of((), [None, None]) == ((0, 1), (None, None))


def test_one_scan_is_refused(patient: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="1 scan to follow"):
        track([patient / "a.nii.gz"], tmp_path / "out")


def test_an_earlier_follow_up_is_replaced_only_on_request(
    patient: Path, followed: Path, tmp_path: Path
) -> None:
    results = [patient / "a-result", patient / "b-result"]
    with pytest.raises(OutputExists):
        track(results, followed, TrackOptions(images=images(patient)))
    with pytest.raises(OutputExists):  # no follow-up of ours
        track(results, patient, TrackOptions(images=images(patient), overwrite=True))


@pytest.mark.usefixtures("laid")
def test_the_command_tells_what_it_found(patient: Path, tmp_path: Path) -> None:
    arguments = ["track", str(patient / "a-result"), str(patient / "b-result"), "--dates", "0,61"]
    for path in images(patient):
        arguments += ["--image", str(path)]
    done = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "out")])

    assert done.exit_code == 0, done.output
    assert "Scan 2: PD: " in done.output
    assert "is new" in done.output
    assert RESEARCH_USE_ONLY in done.output
    done = CliRunner().invoke(
        app, [*arguments, "--output", str(tmp_path / "small"), "--measurable", "5", "--json"]
    )
    document = json.loads(done.stdout)
    assert document["rules"]["measurable_mm"] == 5.0
    assert document["schema"] == "brainmets-followup/1"


@pytest.mark.usefixtures("laid")
def test_a_scan_cut_in_another_plane_is_noted(patient: Path, tmp_path: Path) -> None:
    head = textured(2.0)
    sagittal = Geometry.isotropic((50, 112, 92), spacing_mm=2.0)
    affine = np.array(sagittal.affine)
    affine[0, 0] = 4.0
    affine[0, 3] = -4.0 * 49 / 2
    grid = Geometry(shape=sagittal.shape, affine=affine)
    scan, result = write_result(
        tmp_path, "s", *brighter(moved(head, RigidMotion.identity(), grid), FIRST)
    )
    options = TrackOptions(images=(patient / "a.nii.gz", scan))
    timeline = track([patient / "a-result", result], tmp_path / "out", options).timeline
    assert any("another plane" in warning for warning in timeline.warnings)
    assert any("4.0 mm apart" in warning for warning in timeline.warnings)
