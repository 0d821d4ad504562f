"""Training without any file: the built-in head as a source, and heads that are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from brainmets.domain import Geometry, Mask, Volume
from brainmets.training import making
from brainmets.training.config import Recipe
from brainmets.training.export import _describe  # pyright: ignore[reportPrivateUsage]
from brainmets.training.train import split_of
from brainmets.training.validation import read_held_out

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "first-training.toml"


class _Made:
    """A small head, since drawing a real one takes seconds."""

    def __init__(self, seed: int) -> None:
        grid = Geometry.isotropic((24, 26, 28), spacing_mm=4.0)
        rng = np.random.default_rng(seed)
        self.image = Volume(data=rng.random(grid.shape, dtype=np.float32) + 1, geometry=grid)
        lesion = np.zeros(grid.shape, np.uint8)
        lesion[8:12, 8:12, 8:12] = 1
        self.lesions = Mask(data=lesion, geometry=grid)
        self.classes = self.lesions
        self.surroundings = None


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []

    def sample(seed: int, _config: object) -> _Made:
        asked.append(seed)
        return _Made(seed)

    monkeypatch.setattr(making, "sample_head", sample)
    return asked


def test_heads_need_no_file_and_held_out_ones_are_others(seeds: list[int], tmp_path: Path) -> None:
    recipe = Recipe.read(RECIPE)
    (source,) = recipe.sources
    make = making.SyntheticMaker(recipe=recipe, source=source, data_root=tmp_path)  # pyright: ignore[reportArgumentType]
    trained = [make(number) for number in range(4)]
    held_out = {
        part: [one.name for one in read_held_out(recipe, tmp_path, part, 100)]
        for part in ("validation", "test")
    }

    assert all((one.target == 1).any() for one in trained)
    assert held_out == {
        "validation": ["validation-0", "validation-1"],
        "test": ["test-0", "test-1", "test-2"],
    }
    assert len(set(seeds)) == len(seeds) == 9
    assert split_of(source, recipe.plan, tmp_path)["test"] == held_out["test"]
    assert _describe(source) == (
        "analytic synthetic heads: heads with metastases built in; 2 further to choose, 3 to test"
    )


def test_the_limit_holds_for_made_heads(seeds: list[int], tmp_path: Path) -> None:
    assert len(list(read_held_out(Recipe.read(RECIPE), tmp_path, "test", 2))) == 2
    assert len(seeds) == 2


def test_a_recipe_of_brainmets_is_found_by_its_name() -> None:
    from brainmets.workflows.training import recipe_file

    assert Recipe.read(recipe_file(Path("first-training"))).name == "first-training"
    assert recipe_file(Path("no-such-recipe")) == Path("no-such-recipe")
    assert recipe_file(Path("mine.toml")) == Path("mine.toml")
