"""Where a recipe's samples come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brainmets.synthesis import SynthesisConfig

__all__ = [
    "DatasetSource",
    "InsertionSettings",
    "SliceSource",
    "Source",
    "SyntheticSource",
    "VolumeSource",
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _PatientFolds(_Settings):
    """Division into folds by patient: the same patient is in the same fold of every source."""

    folds: int = Field(default=3, ge=2, description="parts that the patients are divided into")
    fold: int | None = Field(
        default=None,
        ge=0,
        description="fold held out for testing, by patient over all sources; none for as listed",
    )

    @model_validator(mode="after")
    def _existing_fold(self) -> _PatientFolds:
        if self.fold is not None and self.fold >= self.folds:
            message = f"fold {self.fold} of {self.folds}; the last is {self.folds - 1}"
            raise ValueError(message)
        return self


class SliceSource(_PatientFolds):
    """Slice images with masks and a table `slices.csv`, divided by its block or patient column."""

    kind: Literal["slices"] = "slices"
    root: str = Field(description="folder below the data folder: images/, masks/, slices.csv")
    test_blocks: tuple[int, ...] = Field(default=(), description="held out: never read in training")
    validation_blocks: tuple[int, ...] = Field(
        default=(), description="choose checkpoints and thresholds"
    )
    one_lesion_each: bool = Field(
        default=False,
        description="a mask holds one lesion of the slice; other bright places count neither way",
    )
    weight: float = Field(default=1.0, gt=0, description="share of the batches, relative")
    about: str = Field(default="", description="what the data is and whose, for the model card")


class InsertionSettings(_Settings):
    """Metastases inserted into the real volumes while training runs.

    One slot of the pool is renewed every `renew_every` steps, the volumes taking turns.
    """

    share: float = Field(default=0.8, gt=0, le=1, description="volumes that get lesions inserted")
    pool: int = Field(default=12, ge=1, description="volumes held at a time")
    renew_every: int = Field(default=12, ge=1, description="steps until one volume is replaced")
    synthesis: SynthesisConfig = Field(
        default=SynthesisConfig(), description="number, size and look of the lesions"
    )
    shapes: str | None = Field(
        default=None,
        description="folder below the data folder with expert masks, whose shapes lesions take",
    )


class VolumeSource(_PatientFolds):
    """Real volumes with masks, a folder a case."""

    kind: Literal["volumes"] = "volumes"
    root: str = Field(description="folder below the data folder, with a folder a case")
    image: str = Field(default="*t1c*", description="glob of the image inside a case's folder")
    mask: tuple[str, ...] = Field(description="globs of the mask, first match wins")
    lesion_labels: tuple[int, ...] = Field(description="labels that make up the target")
    ignored_labels: tuple[int, ...] = Field(
        default=(), description="labels that count neither way, such as oedema"
    )
    test_cases: tuple[str, ...] = Field(default=(), description="held out: never read in training")
    validation_cases: tuple[str, ...] = Field(
        default=(), description="choose checkpoints and thresholds"
    )
    patients: str | None = Field(
        default=None,
        description="table next to the root, with the columns exam and patient, that folds go by",
    )
    parts: str | None = Field(
        default=None,
        description="table next to the root, with the columns exam, component and "
        "contrast_to_ring: the mask's connected parts",
    )
    least_contrast: float = Field(
        default=1.15, gt=0, description="parts with less contrast to their ring count neither way"
    )
    ignore_lesions_of: tuple[str, ...] = Field(
        default=(), description="cases whose lesions count neither way, such as without enhancement"
    )
    slices_per_plane: int = Field(
        default=12,
        ge=1,
        description="2-D networks: slices cut from a volume along each axis, those with lesions",
    )
    insertion: InsertionSettings | None = Field(
        default=None, description="metastases inserted into these volumes; none for as they are"
    )
    weight: float = Field(default=1.0, gt=0, description="share of the batches, relative")
    about: str = Field(default="", description="what the data is and whose, for the model card")


class DatasetSource(_Settings):
    """A data set as its publishers lay it out (docs/reference/datasets.md), divided by patient.

    `brainmets train` fills in the three lists of cases when a run begins, so that the run keeps
    its division whatever is added to the folder later.
    """

    kind: Literal["dataset"] = "dataset"
    root: str = Field(default=".", description="folder below the data folder")
    layout: str = Field(default="auto", description="its layout; auto looks")
    lesion_labels: tuple[int, ...] = Field(
        default=(), description="labels that make up the target; none for the layout's tumour core"
    )
    test_share: float = Field(
        default=0.15, ge=0, lt=1, description="share of the patients to test on, if none are named"
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of the other patients to choose weights by"
    )
    split_seed: int = Field(default=0, description="of the division")
    train_cases: tuple[str, ...] | None = Field(default=None, description="none: divided for you")
    validation_cases: tuple[str, ...] | None = Field(default=None, description="likewise")
    test_cases: tuple[str, ...] | None = Field(default=None, description="likewise")
    weight: float = Field(default=1.0, gt=0, description="share of the batches, relative")
    about: str = Field(default="", description="what the data is and whose, for the model card")


class SyntheticSource(_Settings):
    """Heads synthesised while training runs, from label maps or from the built-in head.

    One slot of the pool is renewed every `renew_every` steps.
    """

    kind: Literal["synthetic"] = "synthetic"
    root: str = Field(default=".", description="folder below the data folder, with label maps")
    maps: tuple[str, ...] = Field(
        default=(),
        description="file names of the label maps to train on; none for the built-in head, which "
        "is made of formulas and needs no file",
    )
    validation_heads: int = Field(
        default=0, ge=0, description="further heads to choose weights by, never trained on"
    )
    test_heads: int = Field(
        default=0, ge=0, description="further heads to test on, never trained on"
    )
    pool: int = Field(default=16, ge=1, description="heads held at a time")
    renew_every: int = Field(default=4, ge=1, description="steps until one head is replaced")
    synthesis: SynthesisConfig = Field(
        default=SynthesisConfig(), description="what the heads are like"
    )
    shapes: str | None = Field(
        default=None,
        description="folder below the data folder with expert masks, whose shapes lesions take",
    )
    ignore_oedema: bool = Field(
        default=False,
        description="oedema around lesions counts neither way: for sources whose outlines differ",
    )
    weight: float = Field(default=1.0, gt=0, description="share of the batches, relative")
    about: str = Field(default="", description="what the data is and whose, for the model card")


Source = Annotated[
    SliceSource | VolumeSource | DatasetSource | SyntheticSource, Field(discriminator="kind")
]
