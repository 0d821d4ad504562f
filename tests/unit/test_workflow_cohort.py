"""Cohorts: resumed, in parts, on Dask, killed: equal results, and every failure listed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from brainmets.domain import Geometry, HeadPhantom, Volume
from brainmets.domain.errors import (
    DatasetLayout,
    DiskFull,
    OptionError,
    OutOfMemory,
    PoisonJob,
    Truncated,
)
from brainmets.inference import OperatingPoint
from brainmets.io import write_volume
from brainmets.io.datasets import open_dataset
from brainmets.io.refused_picture import draw_refused
from brainmets.reporting.bids import bids_stem, write_bids
from brainmets.workflows.cohort import CaseStatus, CohortCase, CohortOptions, CohortRun, run_cohort
from brainmets.workflows.pool import map_on_cluster
from brainmets.workflows.segment import Segmenter, SegmentOptions
from brainmets.workflows.segment_cohort import find_scans, segment_cohort
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COUNT = 6
BROKEN = {"scan-1": "E_TRUNCATED", "scan-4": "E_FORMAT"}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    image, _ = HeadPhantom().render(Geometry.isotropic((20, 24, 20), spacing_mm=8.0))
    grid = Geometry.isotropic((20, 24, 20), spacing_mm=3.0)
    for number in range(COUNT):
        data = image.data * (1 + 0.01 * number)
        write_volume(Volume(data=data, geometry=grid), folder / f"scan-{number}.nii.gz")
    broken = folder / "scan-1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-100])
    (folder / "scan-4.nii.gz").unlink()
    (folder / "scan-4.txt").write_text("a letter")
    (folder / "scan-4.txt").rename(folder / "scan-4.nii")
    return folder


@pytest.fixture(autouse=True, scope="module")
def _models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    random_bundle(
        folder / "attention-unet-3d",
        widths=(4, 8),
        point=OperatingPoint(threshold=0.5, peak=0.6, min_volume_mm3=30.0),
    )
    before = os.environ.get("BRAINMETS_MODELS")
    os.environ["BRAINMETS_MODELS"] = str(folder)
    yield
    if before is None:
        del os.environ["BRAINMETS_MODELS"]
    else:
        os.environ["BRAINMETS_MODELS"] = before


OPTIONS = SegmentOptions(model="attention-unet-3d", threads=1)


def segmented(scans: Path, out: Path, **options: Any) -> CohortRun:
    return segment_cohort(find_scans([scans]), out, OPTIONS, CohortOptions(**options))


def result_of(out: Path) -> dict[str, object]:
    """All that a cohort holds but times and names of workers."""
    with (out / "cases.csv").open(encoding="utf-8") as file:
        cases = [(r["case"], r["state"], r["code"], r["lesions"]) for r in csv.DictReader(file)]
    masks = {p.parent.name: p.read_bytes() for p in sorted(out.glob("*/mask.nii.gz"))}
    return {"cases": cases, "lesions": (out / "cohort.csv").read_text("utf-8"), "masks": masks}


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    run = segmented(scans, out)
    assert {one.case: one.code for one in run.failed} == _codes()
    return out


def _codes() -> dict[str, str]:
    return {"scan-1": "E_TRUNCATED", "scan-4": "E_NOT_NIFTI"}


def test_a_cohort_lists_every_lesion_and_every_failure(whole: Path) -> None:
    with (whole / "cohort.csv").open(encoding="utf-8") as file:
        lesions = list(csv.DictReader(file))
    counts = {
        path.parent.name: len(path.read_text("utf-8").splitlines()) - 1
        for path in whole.glob("scan-*/lesions.csv")
    }
    assert sum(counts.values()) == len(lesions) > 0
    assert {row["case"] for row in lesions} <= set(counts)
    manifest = json.loads((whole / "manifest.json").read_text("utf-8"))
    assert manifest["cases"] == [f"scan-{n}" for n in range(COUNT)]
    assert {p.stem for p in (whole / "status").iterdir()} == set(manifest["cases"])
    page = (whole / "summary.html").read_text("utf-8")
    assert "E_TRUNCATED" in page
    assert "scan-0/overlay.png" in page
    assert "refused/scan-1.png" in page, "what a truncated file holds is shown"
    assert "scan-4.png" not in page


def test_parts_add_up_to_the_whole(scans: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for k in (2, 1):
        run = segmented(scans, out, part=(k, 3))
        assert run.unfinished
        assert not (out / "summary.html").exists(), "the last part writes the page"
    assert not segmented(scans, out, part=(3, 3)).unfinished
    assert result_of(out) == result_of(whole)


def test_a_resumed_cohort_leaves_out_what_is_finished(
    scans: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "status" / "scan-2.json").unlink()
    segmented_now: list[str] = []
    run_one = Segmenter.run

    def counted(self: Segmenter, path: Path, *rest: Any, **named: Any) -> Any:
        segmented_now.append(path.name)
        return run_one(self, path, *rest, **named)

    monkeypatch.setattr(Segmenter, "run", counted)
    run = segmented(scans, out, resume=True)
    assert segmented_now == ["scan-2.nii.gz"]
    assert {one.case: one.code for one in run.failed} == _codes(), "still listed"
    assert result_of(out) == result_of(whole)


@pytest.mark.parametrize("how", ["touched", "failed for now"])
def test_a_changed_input_and_a_passing_failure_are_tried_again(
    scans: Path, whole: Path, tmp_path: Path, how: str
) -> None:
    out, copies = tmp_path / "out", tmp_path / "scans"
    shutil.copytree(whole, out)
    shutil.copytree(scans, copies)
    source = copies if how == "touched" else scans
    if how == "touched":
        shutil.copy(copies / "scan-0.nii.gz", copies / "scan-1.nii.gz")
    else:
        path = out / "status" / "scan-3.json"
        status = json.loads(path.read_text("utf-8"))
        error = {"code": DiskFull.code, "found": "f", "expected": "e", "remedy": "r"}
        path.write_text(json.dumps(status | {"state": "failed", "error": error}))
    told: list[str] = []
    segment_cohort(
        find_scans([source]), out, OPTIONS, CohortOptions(resume=True),
        on_status=lambda status, new: told.append(status.case) if new else None,
    )  # fmt: skip
    assert told == (["scan-1"] if how == "touched" else ["scan-3"])


def test_other_settings_do_not_join_a_cohort(scans: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    other = SegmentOptions(model="attention-unet-3d", threads=1, threshold=0.6)
    found = find_scans([scans])
    for options in (CohortOptions(resume=True), CohortOptions(part=(1, 2))):
        with pytest.raises(OptionError, match="other options"):
            segment_cohort(found, out, other, options)
    segment_cohort(found, out, other, CohortOptions(resume=True, overwrite=True))
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["settings"]["threshold"] == 0.6


KILLED = """
import sys
from pathlib import Path
from brainmets.workflows.cohort import CohortOptions
from brainmets.workflows.segment import SegmentOptions
from brainmets.workflows.segment_cohort import find_scans, segment_cohort
if __name__ == "__main__":
    segment_cohort(
        find_scans([Path(sys.argv[1])]), Path(sys.argv[2]),
        SegmentOptions(model="attention-unet-3d", threads=1),
        CohortOptions(cluster=sys.argv[3] or None),
    )
"""


@pytest.mark.parametrize("cluster", ["", "local:2"])
def test_a_killed_cohort_goes_on(scans: Path, whole: Path, tmp_path: Path, cluster: str) -> None:
    if cluster:
        pytest.importorskip("distributed")
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(scans), str(out), cluster])
    deadline = time.monotonic() + 240
    while not list(out.glob("status/*.json")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2)
    states = [json.loads(p.read_text("utf-8"))["state"] for p in out.glob("status/*.json")]
    assert states
    assert len([s for s in states if s != "running"]) < COUNT
    ended = subprocess.run(
        [sys.executable, "-c", KILLED.replace("CohortOptions(", "CohortOptions(resume=True, "),
         str(scans), str(out), cluster],
        timeout=300, check=False, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode()
    assert result_of(out) == result_of(whole)


def test_results_as_bids_derivatives(scans: Path, tmp_path: Path) -> None:
    raw, derived = tmp_path / "study", tmp_path / "study" / "derivatives" / "brainmets"
    for subject, session in (("01", "a"), ("01", "b"), ("02", "a")):
        anat = raw / f"sub-{subject}" / f"ses-{session}" / "anat"
        anat.mkdir(parents=True)
        name = f"sub-{subject}_ses-{session}_ce-gd_T1w.nii.gz"
        shutil.copy(scans / "scan-0.nii.gz", anat / name)
    segment_cohort(find_scans([raw]), tmp_path / "out", OPTIONS, CohortOptions(), bids_out=derived)
    anat = derived / "sub-01" / "ses-b" / "anat"
    stem = "sub-01_ses-b_desc-lesions_dseg"
    assert {p.name for p in anat.iterdir()} == {
        f"{stem}{end}" for end in (".nii.gz", ".json", ".tsv")
    }
    about = json.loads((anat / f"{stem}.json").read_text("utf-8"))
    assert about["Provenance"]["model"] == "attention-unet-3d"
    description = json.loads((derived / "dataset_description.json").read_text("utf-8"))
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "brainmets"
    rows = (anat / f"{stem}.tsv").read_text("utf-8").splitlines()
    assert rows[0].split("\t")[:2] == ["index", "name"]
    assert len(rows) - 1 == len(
        json.loads((tmp_path / "out" / "sub-01_ses-b" / "report.json").read_text())["lesions"]
    )
    read = open_dataset(raw)
    assert [len(case.masks) for case in read.cases] == [1, 1, 1], "the reader finds them"


@pytest.mark.parametrize(
    ("case", "stem"),
    [
        ("sub-01_ses-02_run-3_T1w", "sub-01_ses-02_run-3"),
        ("ses-02_sub-01", "sub-01_ses-02"),
        ("Patient 7 (new)", "sub-Patient7new"),
        ("sub-A", "sub-A"),
        ("___", "sub-unnamed"),
    ],
)
def test_every_case_has_a_bids_name(case: str, stem: str) -> None:
    assert bids_stem(case) == stem


def test_two_cases_of_one_bids_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="sub-a1"):
        write_bids({"a-1": tmp_path, "a_1": tmp_path}, tmp_path / "out", sources={})


@pytest.mark.parametrize("name", ["status", "cohort.csv", "refused"])
def test_a_case_may_not_be_called_as_the_cohorts_own_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(OptionError, match=name):
        find_scans([tmp_path])


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8bbroken", b"x" * 400, b"\x5c\x01\0\0" + b"\xff" * 400]
)
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.png", "a.dcm", "a.zip", "a"])
def test_no_refused_input_breaks_the_page(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert draw_refused(tmp_path / name) is None


# ---- the runner by itself, with work that is only arithmetic ------------------------------------


def work(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Square a number, or fail in the way asked for."""
    if task.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if error := task.get("raise"):
        raise error
    return {"square": task["n"] ** 2}


def cases(*tasks: Mapping[str, Any]) -> list[CohortCase]:
    return [
        CohortCase(name=f"c{n}", inputs=(), task={"n": n, **task}) for n, task in enumerate(tasks)
    ]


def run(tasks: list[CohortCase], folder: Path, **options: Any) -> dict[str, CaseStatus]:
    done = run_cohort("squares", work, tasks, folder, CohortOptions(**options), settings={})
    return {one.case: one for one in done.finished}


REFUSED = Truncated("f", expected="e", remedy="r")


@pytest.mark.parametrize("cluster", [None, "local:2"])
def test_no_failure_stops_the_others(tmp_path: Path, cluster: str | None) -> None:
    if cluster:
        pytest.importorskip("distributed")
    tasks = cases(
        {}, {"raise": REFUSED}, {"raise": MemoryError()}, {"raise": ValueError("DOE^JANE")}, {}
    )
    found = run(tasks, tmp_path, cluster=cluster)
    codes = [found[f"c{n}"].code for n in range(5)]
    assert codes == ["", "E_TRUNCATED", OutOfMemory.code, "E_INTERNAL", ""]
    assert [found[n].result.get("square") for n in ("c0", "c4")] == [0, 16]
    assert "DOE" not in "".join(p.read_text() for p in (tmp_path / "status").iterdir())


def test_a_case_that_kills_its_workers_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    tasks = cases({}, {}, {})
    run(tasks, tmp_path)
    path = tmp_path / "status" / "c1.json"
    status = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(status | {"state": "running", "attempts": 2}))
    tasks[1].task["die"] = True  # the third attempt kills a worker, the other worker gets a message
    with socket.socket() as another:
        with suppress(OSError):  # as the scheduler of another cohort listens; it may be there
            another.bind(("127.0.0.1", 8787))
        another.listen()
        found = run(tasks, tmp_path, cluster="local:2")
    assert [found[f"c{n}"].code for n in range(3)] == ["", PoisonJob.code, ""]


def test_a_case_whose_process_vanished_three_times_is_not_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    tasks = cases({}, {"raise": REFUSED})
    run(tasks, folder)
    path = folder / "status" / "c0.json"
    for attempts, code in ((2, ""), (3, PoisonJob.code)):
        status = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps(status | {"state": "running", "attempts": attempts}))
        found = run(tasks, folder, resume=True)
        assert found["c0"].code == code
    assert found["c1"].code == "E_TRUNCATED"


def test_stopping_on_purpose_is_no_attempt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(cases({}, {"raise": KeyboardInterrupt()}), tmp_path)
    assert {p.stem for p in (tmp_path / "status").iterdir()} == {"c0"}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_every_case_is_in_exactly_one_part(tmp_path: Path, count: int) -> None:
    tasks = cases(*[{} for _ in range(9)])
    done: list[str] = []
    for k in range(1, count + 1):
        run_cohort(
            "squares", work, tasks, tmp_path, CohortOptions(part=(k, count)), settings={},
            on_status=lambda status, new: done.append(status.case) if new else None,
        )  # fmt: skip
    assert sorted(done) == sorted(case.name for case in tasks)


def test_a_new_case_moves_no_other_into_another_part(tmp_path: Path) -> None:
    ten = cases(*[{} for _ in range(10)])
    later = [CohortCase(name="a-new-one", inputs=(), task={"n": 3}), *ten]

    def mine(tasks: list[CohortCase]) -> tuple[str, ...]:
        options = CohortOptions(part=(1, 3), resume=True)
        return run_cohort("squares", work, tasks, tmp_path, options, settings={}).here

    before = mine(ten)
    assert mine(later)[: len(before)] == before


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A")])
def test_names_that_are_one_file_on_some_disk_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    doubled = [CohortCase(name=name, inputs=(), task={"n": 1}) for name in names]
    with pytest.raises(DatasetLayout, match="two cases named"):
        run(doubled, tmp_path)


@pytest.mark.parametrize("part", [(0, 3), (4, 3), (-1, 1)])
def test_a_part_that_is_not_there_is_refused(part: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="part"):
        CohortOptions(part=part)


def test_a_scheduler_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("brainmets.workflows.pool.CONNECT_S", 1)
    wrong = tmp_path / "scheduler.json"
    wrong.write_text("{}")
    for where in ("tcp://127.0.0.1:9", str(wrong)):
        with pytest.raises(OptionError, match="no Dask scheduler"):
            list(map_on_cluster(work, [{"n": 1}], where))
