"""A recipe stays the same run when brainmets learns new settings; a bundle knows its recipe."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

from safetensors import safe_open
from safetensors.torch import save_file

from brainmets.domain.errors import CheckpointMismatch
from brainmets.inference import Bundle
from brainmets.training.config import Recipe
from brainmets.training.identity import accepted_sha256, recipe_sha256
from brainmets.training.loop import CHECKPOINT
from brainmets.training.train import run_recipe
from tests.unit.training_phantoms import losses, write_recipe, write_slices

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, more: str = "", *, steps: int = 12) -> Recipe:
    return Recipe.read(write_recipe(tmp_path, more=more, steps=steps))


def test_defaults_may_be_written_out_and_words_may_change(tmp_path: Path) -> None:
    plain = recipe_sha256(read(tmp_path))
    assert recipe_sha256(read(tmp_path, "[loss]\ndice_weight = 1.0\n")) == plain
    described = json.loads(read(tmp_path).model_dump_json())
    described["sources"][0]["about"] = "discs"
    described["limits"] = "none known"
    assert recipe_sha256(Recipe.model_validate(described)) == plain
    assert recipe_sha256(read(tmp_path, "[loss]\ndice_weight = 0.5\n")) != plain
    assert recipe_sha256(read(tmp_path, steps=13)) != plain


def test_the_digest_of_a_recipe_never_moves(tmp_path: Path) -> None:
    # a changed default, or one that is hashed, would turn this run into another
    assert recipe_sha256(read(tmp_path)).startswith("af6ccd09aa9bb423")


def test_a_run_begun_by_the_first_version_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slices(tmp_path / "data")
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path / "data"))
    path, out = write_recipe(tmp_path), tmp_path / "run"

    class Killed(Exception):
        pass

    def kill(stage: str, done: float) -> None:
        if stage == "train" and done >= 0.75:
            raise Killed

    with pytest.raises(Killed):
        run_recipe(path, out, progress=kill)
    begun = losses(out)
    _make_old(out)
    assert len(accepted_sha256(Recipe.read(path), out)) == 2
    run_recipe(path, out, resume=True)
    assert losses(out)[: len(begun)] == begun
    assert len(losses(out)) == 12

    _make_old(out, lacking="steps")  # now the old digest is of something else
    with pytest.raises(CheckpointMismatch):
        run_recipe(path, out, resume=True)


def _make_old(out: Path, lacking: str = "top_share") -> None:
    """Turn a run into one of the time before a field: digest of the whole recipe as text."""
    kept = json.loads((out / "recipe.json").read_text())
    for table in ("loss", "optimiser"):
        kept[table].pop(lacking, None)
    kept.pop("limits", None)
    text = json.dumps(kept, indent=2)
    (out / "recipe.json").write_text(text + "\n")
    with safe_open(out / CHECKPOINT, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata["recipe_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    save_file(tensors, out / CHECKPOINT, metadata)


def test_a_bundle_knows_its_recipe_and_who_was_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slices(tmp_path / "data")
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path / "data"))
    path = write_recipe(tmp_path, steps=2)
    result = run_recipe(path, tmp_path / "run")
    extra = Bundle.load(result.bundle.root).extra
    assert Recipe.model_validate(extra["recipe"]) == Recipe.read(path)
    assert extra["recipe_sha256"] == recipe_sha256(Recipe.read(path))
    assert extra["split"] == [
        {"root": "slices", "train": ["0"], "validation": ["1"], "test": ["2"]}
    ]
    assert "on 1 thread" in result.bundle.card or "threads of a machine" in result.bundle.card
    assert "threshold 0.5" in result.bundle.card
    assert "Other scanners" in result.bundle.card
