"""A training run as one TOML file: everything that decides its result."""

from __future__ import annotations

import hashlib
import json
import tomllib
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from brainmets.domain.errors import RecipeError
from brainmets.models import Architecture  # noqa: TC001 - pydantic reads it at run time
from brainmets.preprocessing import Plan  # noqa: TC001 - pydantic reads it at run time
from brainmets.training.sources import (
    DatasetSource,
    InsertionSettings,
    SliceSource,
    Source,
    SyntheticSource,
    VolumeSource,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "AugmentationSettings",
    "DatasetSource",
    "InsertionSettings",
    "LossSettings",
    "OptimiserSettings",
    "Recipe",
    "SliceSource",
    "Source",
    "SyntheticSource",
    "ValidationSettings",
    "VolumeSource",
    "recipe_sha256",
    "save_recipe",
]

LIMITS = (
    "The figures above hold for data like that above. Other scanners, sequences, ages and tumours "
    "were not looked at: test the network on your own scans before you believe it."
)


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AugmentationSettings(_Settings):
    """Ranges that each sample's augmentation is drawn from; 0 switches a part off."""

    rotation_degrees: float = Field(default=30.0, ge=0, description="about each axis, ± this")
    scaling: float = Field(default=0.2, ge=0, description="factor 1 ± this")
    affine_probability: float = Field(
        default=0.5, ge=0, le=1, description="share of samples that are rotated and scaled"
    )
    elastic: float = Field(
        default=0.0,
        ge=0,
        le=0.1,
        description="largest typical bending, share of the patch's edge; nothing folds",
    )
    elastic_probability: float = Field(
        default=0.3, ge=0, le=1, description="share of samples that are bent"
    )
    ghosting: float = Field(
        default=0.0, ge=0, le=1, description="probability of a faint shifted copy, as of motion"
    )
    flip: bool = Field(default=True, description="any axis, each with probability one half")
    contrast: float = Field(default=0.25, ge=0, description="factor 1 ± this")
    brightness: float = Field(default=0.1, ge=0, description="offset, brain = 1")
    gamma: float = Field(default=0.2, ge=0, description="exponent e^±this")
    noise: float = Field(default=0.12, ge=0, description="largest standard deviation, brain = 1")
    bias_field: float = Field(default=0.3, ge=0, description="largest relative amplitude")
    low_resolution: float = Field(default=0.15, ge=0, le=1, description="probability")
    window: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="probability of a display window as of 8-bit pictures, from soft to hard",
    )
    clahe_strength: float = Field(
        default=0.3, ge=0, le=1, description="largest share of the CLAHE channel mixed to plain"
    )


class LossSettings(_Settings):
    """Dice plus cross-entropy under deep supervision; more terms for small lesions, off."""

    dice_weight: float = Field(default=1.0, description="of the Dice loss")
    cross_entropy_weight: float = Field(default=1.0, description="of the cross-entropy")
    top_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="cross-entropy is the mean over this share of the voxels, the hardest ones",
    )
    lesion_entropy_weight: float = Field(
        default=0.0,
        ge=0,
        description="of the mean cross-entropy over the lesion voxels alone, next to that of all",
    )
    lesion_entropy_each: bool = Field(
        default=False, description="in it every lesion counts alike instead of every voxel"
    )
    false_alarm_weight: float = Field(
        default=0.0,
        ge=0,
        description="of the cross-entropy over what is claimed apart from any lesion, each such "
        "component counting alike, whatever its size",
    )
    tversky_weight: float = Field(
        default=0.0, ge=0, description="of the focal Tversky loss (arXiv 1810.07842)"
    )
    tversky_missed: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="its weight of missed lesion voxels; that of invented ones is 1 - this",
    )
    tversky_exponent: float = Field(
        default=0.75, gt=0, le=1, description="its exponent, the paper's 1 / γ"
    )
    component_weight: float = Field(
        default=0.0,
        ge=0,
        description="of Dice + cross-entropy averaged over lesions, each with the voxels nearest "
        "to it (CC-DiceCE, arXiv 2511.17146)",
    )
    surroundings_weight: float = Field(
        default=0.0,
        ge=0,
        description="of telling apart, where they are known, what surrounds lesions: outside, "
        "brain, fluid, normal enhancement, vessels, oedema (synthetic heads)",
    )
    supervision_decay: float = Field(
        default=0.5, description="weight of each further head relative to the one before"
    )


class OptimiserSettings(_Settings):
    """AdamW with linear warm-up and cosine decay; weights averaged exponentially."""

    steps: int = Field(gt=0, description="updates of the weights")
    batch: int = Field(gt=0, description="crops a step")
    patch: tuple[int, ...] = Field(description="edge lengths of the training crops in voxels")
    lesion_share: float = Field(
        default=0.67, ge=0, le=1, description="share of crops centred on a lesion, each equally"
    )
    learning_rate: float = Field(default=2e-3, gt=0, description="its peak, after warm-up")
    weight_decay: float = Field(default=1e-4, ge=0, description="as AdamW applies it")
    warmup_steps: int = Field(default=50, ge=0, description="of rising learning rate")
    clip_norm: float = Field(default=5.0, gt=0, description="longest gradient")
    ema: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="decay of the averaged weights, which are what is kept",
    )
    freeze_norm_at: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the steps after which batch normalisation keeps its statistics",
    )
    recalibrate_norm: int = Field(
        default=0,
        ge=0,
        description="batches over which the statistics of batch normalisation are measured again "
        "for the averaged weights before each validation; 0 keeps the running ones",
    )
    bf16: bool = Field(default=True, description="compute in bfloat16, keep weights in float32")


class ValidationSettings(_Settings):
    """When to look, and how often to save."""

    every: int = Field(default=200, gt=0, description="steps between validations")
    limit: int = Field(default=100_000, gt=0, description="at most this many cases each time")
    keep: Literal["best", "last"] = Field(
        default="best",
        description="weights of the best validation, or the last ones: where validation cases are "
        "of another kind than what is trained for",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="validations without a better one after which the run ends; none for never",
    )
    checkpoint_every: int = Field(default=50, gt=0, description="steps between checkpoints")


class Recipe(_Settings):
    """A whole training run. Paths are below the data folder, `BRAINMETS_DATA`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name of the bundle it makes")
    seed: int = Field(default=0, description="of everything drawn at random")
    start_from: str | None = Field(
        default=None,
        description="bundle, by name or folder, whose weights training starts from; of the other "
        "network with the same widths, its encoder's",
    )
    network: Architecture
    plan: Plan
    sources: tuple[Source, ...] = Field(min_length=1)
    augmentation: AugmentationSettings = AugmentationSettings()
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings
    validation: ValidationSettings = ValidationSettings()
    limits: str = Field(default=LIMITS, description="what the model card says under Limits")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.network.dims != self.plan.dims:
            message = f"network.dims is {self.network.dims} but plan.dims is {self.plan.dims}"
            raise ValueError(message)
        if self.network.in_channels != self.plan.channels:
            message = (
                f"network.in_channels is {self.network.in_channels} "
                f"but the plan makes {self.plan.channels}"
            )
            raise ValueError(message)
        patch = self.optimiser.patch
        if len(patch) != self.network.dims or any(p % self.network.stride for p in patch):
            message = (
                f"optimiser.patch is {patch}; it needs {self.network.dims} edges, "
                f"each a multiple of {self.network.stride}"
            )
            raise ValueError(message)
        return self

    @classmethod
    def read(cls, path: Path, changes: Sequence[str] = ()) -> Recipe:
        """Read a TOML recipe, with `changes` such as `optimiser.steps=100` or `sources.0.root="x"`.

        Raises:
            RecipeError: the file is missing, is no TOML, or a field is unknown or wrong.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            for change in changes:
                _change(document, change)
            return cls.model_validate(document)
        except FileNotFoundError as error:
            raise RecipeError(
                f"no recipe at {path.name}",
                expected="a TOML recipe",
                remedy="start from one in recipes/",
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"{path.name} is not TOML ({error})",
                expected="a TOML recipe",
                remedy="correct the line it names",
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the recipe"
            raise RecipeError(
                f"{path.name}: {where}: {first['msg']}",
                expected="the fields that docs/reference/recipes.md lists",
                remedy="correct the field",
            ) from error


def _change(document: dict[str, Any], change: str) -> None:
    """Set the field that `a.b.0.c=VALUE` names; the value is TOML, `none`, or a word."""
    where, equals, text = change.partition("=")
    *path, last = (int(part) if part.isdigit() else part for part in where.strip().split("."))
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = None if text.strip() == "none" else text.strip()
    table: Any = document
    try:
        for part in path:
            table = table.setdefault(part, {}) if isinstance(table, dict) else table[part]
        known = bool(equals) and (isinstance(table, dict) or 0 <= int(last) < len(table))
        if known:
            cast("Any", table)[last] = value
    except (IndexError, KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise RecipeError(
            f"the change {change}",
            expected="FIELD=VALUE, such as optimiser.steps=100 or sources.0.root=mets",
            remedy="see docs/reference/recipes.md for the fields",
        )


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
    text = json.dumps({"recipe": said, "kinds": kinds}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_recipe(recipe: Recipe, out: Path) -> None:
    """Write the recipe, defaults filled in, next to the run that it begins."""
    (out / KEPT_RECIPE).write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
