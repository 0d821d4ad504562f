"""The notebooks: whole, without outputs, and their cells run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import pytest
from nbclient import NotebookClient

import brainmets
from brainmets.domain import Geometry, HeadPhantom, PhantomLesion
from brainmets.synthesis import PlacedLesion, SynthesisConfig, heads
from brainmets.training import making

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
QUICK = ("first-segmentation", "evaluate-and-plot")
SMALLER = {"STEPS = 400": "STEPS = 8", "POOL = 6": "POOL = 1"}
"""What the training's numbers are in its test."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def cells(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_four() -> None:
    assert {path.stem for path in NOTEBOOKS} == {
        *QUICK,
        "follow-up",
        "train-on-synthetic-heads",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_holds_no_output(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert "Research use only" in notebook.cells[0].source
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, path.name, "exec")


LESIONS = (
    PhantomLesion(centre_ras_mm=(24, 10, 8), radii_mm=(7, 6, 6), core_fraction=0.5),
    PhantomLesion(centre_ras_mm=(-20, -16, -6), radii_mm=(4, 4, 4)),
)
PART = (72, 80, 64)
"""A few centimetres of a head at 1 mm."""


class _Placed(brainmets.SyntheticScan):
    """A few centimetres of a head, segmented in a second, in place of a whole one."""

    def __init__(self) -> None:
        image, mask = HeadPhantom(stripped=True, lesions=LESIONS).render(Geometry.isotropic(PART))
        placed = tuple(
            PlacedLesion(
                id=number,
                requested=number - 1,
                centre_voxel=(0.0, 0.0, 0.0),
                diameter_mm=2 * lesion.radii_mm[0],
                voxels=1,
                volume_mm3=lesion.volume_mm3,
                enhancement=1.0,
            )
            for number, lesion in enumerate(LESIONS, start=1)
        )

        class Case:
            parameters = SynthesisConfig()

        case: Any = Case()
        case.image, case.lesions, case.classes, case.placed = image, mask, mask, placed
        super().__init__(case, SynthesisConfig())


@pytest.mark.parametrize("name", QUICK)
def test_cells_run_on_a_small_scan(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(brainmets, "synthesize", lambda **_settings: _Placed())
    mpl.use("agg")
    names = run(name, {})

    assert len(names["result"]) == 2
    assert len(names["figure"].axes) >= 1
    assert names["files"]


def run(name: str, changes: dict[str, str], **given: Any) -> dict[str, Any]:
    """Run a notebook's cells in this process, with some text changed; return its variables."""
    names: dict[str, Any] = dict(given)
    for source in cells(FOLDER / f"{name}.ipynb"):
        code = source
        for large, small in changes.items():
            code = code.replace(large, small)
        exec(compile(code, name, "exec"), names)  # noqa: S102 - notebooks of this repository
    return names


def test_follow_up_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lesions = (*LESIONS, PhantomLesion(centre_ras_mm=(0, 24, 10), radii_mm=(5, 5, 5)))
    smaller = {
        "HeadPhantom().lesions": "LESIONS",
        "HeadPhantom(lesions=": "HeadPhantom(stripped=True, lesions=",
        "(80, 98, 92), spacing_mm=2.0": f"{PART}, spacing_mm=1.0",
        "(84, 100, 90), spacing_mm=2.1": f"{PART}, spacing_mm=1.02",
    }
    followup = run("follow-up", smaller, LESIONS=lesions)["followup"]

    assert len(followup.responses) == 2
    assert followup.lesions
    assert all(len(lesion.sightings) == 2 for lesion in followup.lesions)
    assert (tmp_path / "followup" / "tracked.json").is_file()


def test_training_cells_run_with_two_steps_on_small_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scan = _Placed()
    scan.case.surroundings = None  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(brainmets, "synthesize", lambda **_settings: scan)
    monkeypatch.setattr(making, "sample_head", lambda *_given: scan.case)
    monkeypatch.setattr(heads, "sample_head", lambda *_given: scan.case)
    mpl.use("agg")
    names = run("train-on-synthetic-heads", {"STEPS = 400": "STEPS = 2", "POOL = 6": "POOL = 1"})

    assert len(names["losses"]) == 2
    assert 0 <= names["trained"].dice <= 1
    assert names["result"].provenance.model == "first-training"
    assert names["loss"].item() > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_a_kernel(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    source = str(Path(brainmets.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((source, os.environ.get("PYTHONPATH", ""))))
    notebook = read(path)
    for cell in notebook.cells:
        for large, small in SMALLER.items():
            cell.source = cell.source.replace(large, small)
    work = tmp_path / "work"
    work.mkdir()
    NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ()) if output]
    assert shown
