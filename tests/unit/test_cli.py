"""The command line: what it teaches, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from brainmets.cli.run import EXIT_INTERNAL, EXIT_REFUSED, run
from brainmets.domain import RESEARCH_USE_ONLY, Geometry, HeadPhantom
from brainmets.domain.errors import EngineMissing
from brainmets.inference import OperatingPoint
from brainmets.io import write_volume
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMANDS = (
    "segment",
    "series",
    "sample",
    "models list",
    "models show",
    "serve",
    "doctor",
    "train",
    "synthesize",
    "evaluate",
    "compare",
    "benchmark",
    "tune",
    "models measure",
)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*arguments: object) -> Outcome:
        before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
        with pytest.raises(SystemExit) as ended:
            run([str(a) for a in arguments])
        for number, handler in before.items():
            signal.signal(number, handler)
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, printed.out, printed.err)

    return call


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    random_bundle(
        folder / "attention-unet-3d",
        widths=(4, 8),
        point=OperatingPoint(threshold=0.5, peak=0.6, min_volume_mm3=100.0),
    )
    return folder


@pytest.fixture(autouse=True)
def _models(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINMETS_MODELS", str(models))


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 46), spacing_mm=4.0))
    return write_volume(image, tmp_path_factory.mktemp("scan") / "head.nii.gz")


def test_help_teaches_every_command(invoke: Callable[..., Outcome]) -> None:
    top = invoke("--help")
    assert top.code == 0
    assert RESEARCH_USE_ONLY in top.out
    assert "brainmets segment head.nii.gz --out results" in top.out
    for command in COMMANDS:
        assert command.split()[0] in top.out
        shown = invoke(*command.split(), "--help")
        assert shown.code == 0
        assert f"brainmets {command}" in shown.out.split("Options:")[0]


@pytest.mark.parametrize("command", COMMANDS[:-2])
def test_help_gives_an_example(invoke: Callable[..., Outcome], command: str) -> None:
    text = invoke(*command.split(), "--help").out
    assert "Example" in text
    assert text.count(f"brainmets {command}") >= 2, "usage and at least one example"


def test_segment_says_what_it_found(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    done = invoke("segment", scan, "--out", tmp_path / "results")
    assert (done.code, done.err) == (0, "")
    assert "found by attention-unet-3d" in done.out
    assert "overlay.png" in done.out
    assert RESEARCH_USE_ONLY in " ".join(done.out.split())
    assert (tmp_path / "results" / "mask.nii.gz").is_file()


def test_a_memory_limit_is_answered_before_the_start(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    done = invoke("segment", scan, "--out", tmp_path / "results", "--memory", "3GB")
    told = re.fullmatch(
        r"head\.nii\.gz: one pass over [\d ×]+ voxels, at most (\d\.\d\d) GB of memory\n", done.err
    )
    assert done.code == 0
    assert told is not None
    assert 0.1 < float(told[1]) < 3.0


def test_segment_in_json(invoke: Callable[..., Outcome], scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = invoke("segment", scan, "--out", out, "--json", "--probability", "--threshold", "0.5")
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert document["schema"] == "brainmets-report/1"
    assert document["files"]["probability"] == str(out / "probability.nii.gz")
    assert document["provenance"]["settings"]["threshold"] == 0.5
    stages = {"read", "anatomy", "prepare", "segment", "measure", "write", "total"}
    assert stages == set(document["timings_s"])
    assert document["peak_bytes"] > 10**7


def test_several_inputs_go_on_after_a_failure(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(scan.read_bytes()[:-100])
    done = invoke("segment", broken, scan, "--out", tmp_path / "out")
    assert done.code == EXIT_REFUSED
    assert "broken.nii.gz: E_TRUNCATED" in done.err
    assert "head.nii.gz: " in done.out
    assert [p.name for p in (tmp_path / "out").iterdir() if p.is_dir()].count("head") == 1
    assert not (tmp_path / "out" / "broken").exists()
    cases = (tmp_path / "out" / "cases.csv").read_text("utf-8")
    assert "broken,failed,E_TRUNCATED" in cases


def test_a_batch_takes_each_case_of_a_folder(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    for name in ("a.nii.gz", "b.nii.gz", ".hidden"):
        (cases / name).write_bytes(scan.read_bytes())
    done = invoke("segment", "--batch", cases, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    assert [d["input"] for d in json.loads(done.out)] == ["a.nii.gz", "b.nii.gz"]
    results = (tmp_path / "out").glob("*/report.json")
    assert sorted(p.parent.name for p in results) == ["a", "b"]


@pytest.mark.parametrize(
    "arguments",
    [["--part", "4/3"], ["--part", "0/3"], ["--part", "some"], ["--cluster", "tcp://127.0.0.1:9"]],
)
def test_a_part_or_cluster_that_is_not_there_is_one_line(
    invoke: Callable[..., Outcome],
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.setattr("brainmets.workflows.pool.CONNECT_S", 1)
    done = invoke("segment", "--batch", scan.parent, "--out", tmp_path / "out", *arguments)
    assert (done.code, done.out) == (EXIT_REFUSED, "")
    assert done.err.startswith("E_OPTION: ")
    assert done.err.count("\n") == 1
    alone = invoke("segment", scan, "--out", tmp_path / "one", *arguments)
    assert alone.err.startswith("E_OPTION: ")


def test_two_inputs_of_one_name_are_refused(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    done = invoke("segment", scan, tmp_path / "head.zip", "--out", tmp_path / "out")
    assert done.code == EXIT_REFUSED
    assert done.err.startswith("E_OPTION: several inputs named head;")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--model", "no-such-net"], "E_MODEL_UNKNOWN"),
        (["--engine", "abacus"], "E_OPTION"),
        (["--precision", "int1"], "E_OPTION"),
        (["--threshold", "1.5"], "E_OPTION"),
        (["--threshold", "0.7", "--peak", "0.5"], "E_OPTION"),
        (["--threads", "0"], "E_OPTION"),
        (["--memory", "lots"], "E_OPTION"),
        (["--memory", "1MB"], "E_MEMORY"),
        (["--depth", "2"], "E_OPTION"),
        (["--sequence", "ct"], "E_OPTION"),
        (["--image", "scan.nii.gz"], "E_OPTION"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path, arguments: list[str], code: str
) -> None:
    done = invoke("segment", scan, "--out", tmp_path / "out", *arguments)
    assert (done.code, done.out) == (EXIT_REFUSED, "")
    assert done.err.startswith(f"{code}: ")
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.nii.gz", None, "E_FILE_MISSING"),
        ("text.nii.gz", b"this is a letter, not a scan" * 40, None),
        ("empty.nii.gz", b"", None),
        ("notes.txt", b"hello", "E_FORMAT"),
        ("broken.zip", b"PK\x03\x04 and then nothing", "E_ARCHIVE"),
        ("broken.png", b"\x89PNG\r\n\x1a\n and then nothing", "E_IMAGE"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    invoke: Callable[..., Outcome],
    tmp_path: Path,
    name: str,
    content: bytes | None,
    code: str | None,
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    done = invoke("segment", path, "--out", tmp_path / "out")
    assert (done.code, done.out) == (EXIT_REFUSED, "")
    assert done.err.startswith(f"{code}: " if code else "E_")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    assert [p.name for p in tmp_path.iterdir()] == ([name] if content is not None else [])

    as_json = invoke("segment", path, "--out", tmp_path / "out", "--json")
    error = json.loads(as_json.out)["error"]
    assert (as_json.code, as_json.err) == (EXIT_REFUSED, "")
    assert set(error) == {"code", "found", "expected", "remedy"}
    sentence = f"{error['code']}: {error['found']}; expected {error['expected']}"
    assert done.err == f"{sentence}; {error['remedy']}\n"


def test_our_own_faults_show_no_traceback_and_no_text(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brainmets.workflows.segment import Segmenter

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("DOE^JANE")

    monkeypatch.setattr(Segmenter, "run", fail)
    done = invoke("segment", scan, "--out", tmp_path / "out")
    assert done.code == EXIT_INTERNAL
    assert done.err.startswith("E_INTERNAL: an unexpected RuntimeError;")
    assert "DOE" not in done.err
    monkeypatch.setenv("BRAINMETS_DEBUG", "1")
    with pytest.raises(RuntimeError, match="DOE"):
        run(["segment", str(scan), "--out", str(tmp_path / "out")])


def test_unknown_options_exit_2(invoke: Callable[..., Outcome]) -> None:
    done = invoke("segment", "--no-such-option")
    assert done.code == EXIT_REFUSED
    assert "No such option" in done.err


def test_models_are_listed_and_shown(invoke: Callable[..., Outcome], models: Path) -> None:
    assert "attention-unet-3d" in invoke("models", "list").out
    listed = {m["name"]: m for m in json.loads(invoke("models", "list", "--json").out)}
    assert listed["attention-unet-3d"]["dims"] == 3
    assert "A random network" in invoke("models", "show", "attention-unet-3d").out
    shown = json.loads(invoke("models", "show", "attention-unet-3d", "--json").out)
    assert shown["sha256"] == listed["attention-unet-3d"]["sha256"]
    assert shown["plan"]["dims"] == 3
    assert invoke("models", "show", "nothing").err.startswith("E_MODEL_UNKNOWN")


def test_doctor_examines_the_machine(
    invoke: Callable[..., Outcome], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = invoke("doctor")
    assert healthy.code == 0, healthy.err
    assert "engine openvino" in healthy.out
    assert "attention-unet-3d      verified  network alone: " in healthy.out
    assert "Reading, anatomy, measuring and writing add" in healthy.out

    copy = tmp_path / "models" / "attention-unet-3d"
    copy.parent.mkdir()
    subprocess.run(["cp", "-r", str(models / "attention-unet-3d"), str(copy)], check=True)
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"x")
    monkeypatch.setenv("BRAINMETS_MODELS", str(copy.parent))
    failed = invoke("doctor", "--json", "--no-timing")
    assert failed.code == EXIT_REFUSED
    assert "E_BUNDLE_TAMPERED: model.onnx" in json.loads(failed.out)["problems"][0]


def test_doctor_examines_a_data_set(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    case = tmp_path / "set" / "BraTS-MET-00001-000"
    case.mkdir(parents=True)
    (case / "BraTS-MET-00001-000-t1c.nii.gz").write_bytes(scan.read_bytes())
    (case / "BraTS-MET-00001-000-seg.nii.gz").write_bytes(b"not a mask")
    failed = invoke("doctor", tmp_path / "set", "--jobs", "1")
    assert failed.code == EXIT_REFUSED
    assert "BraTS-MET-00001-000" in failed.out
    document = json.loads(invoke("doctor", tmp_path / "set", "--jobs", "1", "--json").out)
    assert document["errors"] >= 1
    assert invoke("doctor", tmp_path / "none").err.startswith("E_FILE_MISSING")


def test_series_lists_what_there_is(
    invoke: Callable[..., Outcome], scan: Path, tmp_path: Path
) -> None:
    assert "44" in invoke("series", scan).out
    assert json.loads(invoke("series", scan, "--json").out)[0]["index"] == 1
    assert invoke("series", tmp_path / "none").err.startswith("E_FILE_MISSING")


def test_sample_writes_a_head(invoke: Callable[..., Outcome], tmp_path: Path) -> None:
    assert invoke("sample", tmp_path / "head.nii.gz").code == 0
    assert (tmp_path / "head.nii.gz").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("command", "extra"),
    [(["train", "recipe.toml", "--out", "run"], "train"), (["serve"], "serve")],
)
def test_a_missing_extra_is_named(
    invoke: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    extra: str,
) -> None:
    for module in [m for m in sys.modules if m.startswith(("brainmets.training", "brainmets.ui"))]:
        monkeypatch.delitem(sys.modules, module)
    for package in ("torch", "streamlit", "fastapi", "starlette", "uvicorn"):
        monkeypatch.setitem(sys.modules, package, None)
    done = invoke(*command)
    assert done.code == EXIT_REFUSED
    assert done.err.startswith(f"{EngineMissing.code}: the package ")
    assert f"pip install 'brainmets[{extra}]'" in done.err


@pytest.mark.parametrize("package", ["skimage"])
def test_a_package_that_segmenting_does_without_is_named(
    invoke: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    from brainmets.workflows import splits

    def lacking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"No module named '{package}.stats'", name=f"{package}.stats")

    monkeypatch.setattr(splits, "split_dataset", lacking)
    done = invoke("split", "cases", "--out", "splits")
    assert done.code == EXIT_REFUSED
    assert done.err.startswith(f"{EngineMissing.code}: the package {package} ")
    assert "pip install 'brainmets[analysis]'" in done.err


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupt_leaves_nothing(
    models: Path, scan: Path, tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(scan), str(tmp_path / "deep" / "out")],
        env={**os.environ, "BRAINMETS_MODELS": str(models)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    time.sleep(0.2)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_that_a_library_swallows_is_still_one(
    tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CONVERTED, str(int(stop)), str(tmp_path / "head.nii.gz")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert ended.stderr == "interrupted; nothing half-written was left behind\n"


CONVERTED = """
import os, sys
from brainmets.workflows import sample

def imports_a_library(path, **options):
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
    except BaseException as error:  # as pybind11 does around a module's initialisation
        raise ImportError("initialization failed") from error

sample.write_sample = imports_a_library
from brainmets.cli.run import run
run(["sample", sys.argv[2]])
"""


SLOW = """
import sys, time
from brainmets.reporting import results

def linger(report):
    print("writing", flush=True)
    time.sleep(60)

results.draw_overlay = linger
from brainmets.cli.run import run
run(["segment", sys.argv[1], "--out", sys.argv[2]])
"""
