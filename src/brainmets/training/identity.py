"""What makes two recipes the same run, now and under later versions of brainmets."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from brainmets.training.config import Recipe

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KEPT_RECIPE", "accepted_sha256", "recipe_sha256", "save_recipe"]

KEPT_RECIPE = "recipe.json"
"""File in a run's folder: the recipe as it was when the run began, with every default."""


WORDS: dict[str, Any] = {"limits": True, "sources": {"__all__": {"about"}}}
"""Fields that only the model card speaks of."""


def recipe_sha256(recipe: Recipe) -> str:
    """Digest of what a recipe says beyond the defaults.

    A field that a later version adds with a default leaves it unchanged, and so does writing a
    default out; so do the words meant for the model card. Any other change makes another run.
    """
    said = recipe.model_dump(mode="json", exclude_defaults=True, exclude=WORDS)
    kinds = [source.kind for source in recipe.sources]
    return _digest(json.dumps({"recipe": said, "kinds": kinds}, sort_keys=True))


def save_recipe(recipe: Recipe, out: Path) -> None:
    """Write the recipe, defaults filled in, next to the run that it begins."""
    (out / KEPT_RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")


def accepted_sha256(recipe: Recipe, out: Path) -> frozenset[str]:
    """Return the digests under which a checkpoint in `out` may name this very recipe.

    The first versions named a run by the digest of the recipe with every default filled in,
    which is that of the text of `recipe.json`.
    """
    present = recipe_sha256(recipe)
    try:
        text = (out / KEPT_RECIPE).read_text(encoding="utf-8")
        same = recipe_sha256(Recipe.model_validate_json(text)) == present
    except (OSError, ValidationError):
        return frozenset({present})
    return frozenset({present, _digest(text.removesuffix("\n"))}) if same else frozenset({present})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
