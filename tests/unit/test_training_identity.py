"""A recipe stays the same run when brainmets learns new settings; a bundle knows its recipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

from brainmets.domain.errors import CheckpointMismatch, OutputExists
from brainmets.inference import Bundle
from brainmets.training.config import Recipe, recipe_sha256
from brainmets.training.train import run_recipe
from tests.unit.training_phantoms import write_recipe, write_slices

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


def test_a_run_begun_by_an_earlier_version_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slices(tmp_path / "data")
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path / "data"))
    path, out = write_recipe(tmp_path), tmp_path / "run"
    out.mkdir()
    (out / "checkpoint.safetensors").write_bytes(b"weights")
    with pytest.raises(OutputExists):
        run_recipe(path, out)
    with pytest.raises(CheckpointMismatch, match=r"earlier version .* version of brainmets"):
        run_recipe(path, out, resume=True)


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
