"""Train the anatomy network on synthetic heads, for as long as it may take."""

from __future__ import annotations

import copy
import json
import math
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from brainmets.domain.structures import MIRRORED_STRUCTURES, Structure
from brainmets.inference.anatomy_bundle import AnatomyBundle, write_anatomy_bundle
from brainmets.models.anatomy_unet import BLOCK, AnatomyUNet, blocks_of
from brainmets.models.architecture import AnatomyArchitecture
from brainmets.models.onnx_file import write_onnx
from brainmets.preprocessing.anatomy_input import normalise_head
from brainmets.synthesis.anatomy_samples import AnatomySample, draw_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["AnatomyRecipe", "export_anatomy", "make_samples", "read_recipe", "train_anatomy"]

CHECKPOINT_S = 120.0
"""Seconds between two checkpoints."""

WARM_STEPS, LOGGED_STEPS, FEWEST_HEADS = 40, 20, 8

SEEN = 4
"""Voxels of each block of eight that a step's loss looks at."""

LEAST_VOXELS = 20
"""Of a structure in a batch, from which its Dice counts."""

EMPHASISED = (
    Structure.LEFT_DEEP_GREY,
    Structure.RIGHT_DEEP_GREY,
    Structure.LEFT_VENTRICLE,
    Structure.RIGHT_VENTRICLE,
)
"""What names places and is learnt slowest."""

MIRROR = np.array([MIRRORED_STRUCTURES[s] for s in Structure], dtype=np.uint8)


class AnatomyRecipe(BaseModel):
    """Everything that defines a training of the anatomy network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_maps: tuple[str, ...] = Field(description="files to synthesise from")
    widths: tuple[int, ...] = Field(default=(16, 32, 64, 128), description="channels per level")
    detail: int = Field(default=0, ge=0, description="channels of the convolution for borders")
    spacing_mm: float = Field(default=4.0, gt=0, description="edge length of its voxels")
    free: float = Field(default=0.25, ge=0, le=1, description="share of heads of any contrast")
    learning_rate: float = Field(default=2e-3, gt=0)
    steps: int = Field(default=1200, gt=0, description="of `batch` pictures each")
    batch: int = Field(default=4, gt=0, description="one alone takes four times as long a picture")
    minutes: float | None = Field(default=None, description="ends earlier, schedule and all")
    average: float = Field(default=0.985, gt=0, lt=1, description="of weights, kept per step")
    emphasis: float = Field(
        default=1.0, gt=0, description="weight in the Dice loss of deep grey matter and ventricles"
    )
    samples: int = Field(default=600, gt=0, description="most synthetic heads stored")
    start: Path | None = Field(default=None, description="checkpoint whose averaged weights begin")
    seed: int = 20

    @property
    def architecture(self) -> AnatomyArchitecture:
        """The network to train."""
        return AnatomyArchitecture(classes=len(Structure), widths=self.widths, detail=self.detail)


def read_recipe(path: Path) -> AnatomyRecipe:
    """Read a recipe from TOML."""
    return AnatomyRecipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def read_label_map(path: Path) -> NDArray[np.uint16]:
    """Read a label map, axes turned to RAS."""
    import nibabel as nib

    image = cast("nib.Nifti1Image", nib.as_closest_canonical(cast("Any", nib.load(path))))
    return np.asarray(image.dataobj).astype(np.uint16)


def make_samples(recipe: AnatomyRecipe, root: Path, store: Path, *, first: int = 0) -> None:
    """Draw synthetic heads into `store` until it holds as many as the recipe says."""
    store.mkdir(parents=True, exist_ok=True)
    maps = [read_label_map(root / name) for name in recipe.label_maps]
    number = first
    while len(list(store.glob("*.npy"))) < recipe.samples:
        path = store / f"{number:05d}.npy"
        if not path.exists():
            rng = np.random.default_rng((recipe.seed, number))
            sample = draw_sample(
                maps[number % len(maps)], rng, spacing_mm=recipe.spacing_mm, free=recipe.free
            )
            part = path.with_suffix(".part")
            image = np.round(normalise_head(sample.image) * 255).astype(np.uint8)
            with part.open("wb") as file:
                np.save(file, np.stack((image, sample.structures)))
            part.rename(path)
        number += 1


def load_sample(path: Path, stride: int = 1) -> AnatomySample:
    """Read a stored synthetic head, its edges padded to multiples of the network's stride."""
    image, structures = cast("NDArray[np.uint8]", np.load(path))
    more = [(0, -size % stride) for size in image.shape]
    return AnatomySample(
        np.pad(image, more).astype(np.float32) / np.float32(255), np.pad(structures, more)
    )


def vary(sample: AnatomySample, rng: np.random.Generator) -> AnatomySample:
    """Mirror a stored head, bend its grey scale, add noise: cheap, so that no two are the same."""
    image, structures = sample
    if rng.random() < 0.5:
        image, structures = image[::-1], MIRROR[structures[::-1]]
    if rng.random() < 0.6:
        knots = np.linspace(0, 1, int(rng.integers(3, 8)))
        bend = np.cumsum(rng.uniform(0.1, 1, knots.size))
        bend = (bend - bend[0]) / (bend[-1] - bend[0])
        if rng.random() < 0.1:
            bend[1:] = rng.uniform(0, 1, knots.size - 1)
            bend /= bend.max() + 1e-6
        image = np.interp(image, knots, bend).astype(np.float32)
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + np.float32(rng.uniform(0, 0.06)) * noise * (image > 0)
    if rng.random() < 0.3:
        image = image * np.float32(rng.uniform(0.6, 1.4))
    return AnatomySample(np.clip(image, 0, 1), structures)


def anatomy_loss(folded: Tensor, structures: Tensor, classes: int, emphasis: float = 1.0) -> Tensor:
    """Cross-entropy plus one minus the mean soft Dice of the structures that are there.

    Args:
        folded: (B, 8 classes, S / 2), as `AnatomyUNet.folded_logits` gives them.
        structures: (B, 1, S) of class numbers.
        classes: how many there are.
        emphasis: weight of the `EMPHASISED` ones in that mean.
    """
    seen = torch.randperm(BLOCK**3)[:SEEN]  # a part of each block is enough, and faster
    batch = len(folded)
    logits = folded.reshape(batch, classes, BLOCK**3, -1)[:, :, seen].flatten(2)
    target = blocks_of(structures).reshape(batch, BLOCK**3, -1)[:, seen].flatten(1)
    log_p = torch.log_softmax(logits, dim=1)
    entropy = nn.functional.nll_loss(log_p, target)
    p = log_p.exp()
    truth = torch.zeros_like(p).scatter_(1, target[:, None], 1.0)
    overlap, size = (p * truth).sum((0, 2)), (p + truth).sum((0, 2))
    present = truth.sum((0, 2)) > LEAST_VOXELS
    dice = (2 * overlap + 1) / (size + 1)
    weight = present.float()
    weight[[s for s in EMPHASISED if s < classes]] *= emphasis
    return entropy + 1 - (weight * dice).sum() / weight.sum()


class _Training:
    """Network, its running average and optimiser, and how far they have come."""

    def __init__(self, recipe: AnatomyRecipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.network = AnatomyUNet(len(Structure), recipe.widths, recipe.detail)
        if recipe.start is not None:
            begin = torch.load(recipe.start, weights_only=True)["averaged"]
            if self.network.detail is not None:  # a start without it has nothing to correct
                begin = {**self.network.state_dict(), **begin}
            self.network.load_state_dict(begin)
        self.network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
        self.averaged = copy.deepcopy(self.network)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=1e-3,
        )
        self.step = 0
        self._started = time.monotonic()

    @property
    def minutes(self) -> float:
        """Minutes of training, those before an interruption included."""
        return (time.monotonic() - self._started) / 60

    @property
    def done(self) -> float:
        """Share of the training that is done, by steps or by the clock."""
        done = self.step / self.recipe.steps
        return (
            done if self.recipe.minutes is None else max(done, self.minutes / self.recipe.minutes)
        )

    def learn(self, samples: Sequence[AnatomySample]) -> float:
        """Take one step on pictures of one size and return its loss."""
        warm = min(1.0, (self.step + 1) / WARM_STEPS)
        for group in self.optimiser.param_groups:
            cosine = 0.5 * (1 + math.cos(math.pi * self.done))
            group["lr"] = self.recipe.learning_rate * warm * (0.02 + 0.98 * cosine)
        images = torch.from_numpy(np.stack([image for image, _ in samples]))[:, None]
        classes = np.stack([structures for _, structures in samples]).astype(np.int64)
        loss = anatomy_loss(
            self.network.folded_logits(images.to(memory_format=torch.channels_last_3d)),
            torch.from_numpy(classes)[:, None],
            len(Structure),
            self.recipe.emphasis,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        kept = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(
                self.averaged.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(now, 1 - kept)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        part = path.with_suffix(".part")
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "spent": self.minutes * 60,
        }
        torch.save(state, part)
        part.replace(path)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint was written."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        self._started = time.monotonic() - state["spent"]


def train_anatomy(recipe: AnatomyRecipe, store: Path, out: Path) -> None:
    """Train on the heads in `store` (more may be added meanwhile), resuming what `out` holds."""
    out.mkdir(parents=True, exist_ok=True)
    training = _Training(recipe)
    last = out / "last.pt"
    if last.exists():
        training.resume(last)
    rng = np.random.default_rng((recipe.seed, training.step))
    stride = recipe.architecture.stride
    saved = time.monotonic()
    losses: list[float] = []
    while training.done < 1:
        paths = sorted(store.glob("*.npy"))
        if len(paths) < FEWEST_HEADS:
            time.sleep(2)
            continue
        chosen = rng.integers(len(paths), size=recipe.batch)
        losses.append(training.learn([vary(load_sample(paths[n], stride), rng) for n in chosen]))
        if training.step % LOGGED_STEPS == 0:
            _log(out / "log.jsonl", training, losses[-LOGGED_STEPS:], heads=len(paths))
        if time.monotonic() - saved > CHECKPOINT_S:
            training.save(last)
            saved = time.monotonic()
    training.save(last)


def export_anatomy(recipe: AnatomyRecipe, out: Path, bundle: Path, card: str) -> AnatomyBundle:
    """Write the averaged network of a training in `out` as a bundle into the folder `bundle`."""
    training = _Training(recipe)
    training.resume(out / "last.pt")
    architecture = recipe.architecture
    return write_anatomy_bundle(
        bundle,
        onnx=write_onnx(training.averaged.eval(), architecture),
        architecture=architecture,
        spacing_mm=recipe.spacing_mm,
        card=card,
        extra={"steps": training.step, "recipe": recipe.model_dump(mode="json", exclude={"start"})},
    )


def _log(path: Path, training: _Training, losses: list[float], *, heads: int) -> None:
    line = {
        "step": training.step,
        "minutes": round(training.minutes, 1),
        "heads": heads,
        "loss": round(float(np.mean(losses)), 4),
    }
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m brainmets.training.anatomy samples|train|export RECIPE --run FOLDER`."""
    import argparse

    parser = argparse.ArgumentParser(description="Train the anatomy network.")
    parser.add_argument("action", choices=("samples", "train", "export"))
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--root", type=Path, default=Path("../shared/data/label-maps"))
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first head to make")
    parser.add_argument("--card", type=Path, help="the model card, for export")
    given = parser.parse_args(arguments)
    recipe = read_recipe(given.recipe)
    torch.set_num_threads(1)
    if given.action == "samples":
        make_samples(recipe, given.root, given.run / "heads", first=given.first)
    elif given.action == "train":
        train_anatomy(recipe, given.run / "heads", given.run)
    else:
        card = given.card.read_text(encoding="utf-8")
        export_anatomy(recipe, given.run, given.run / "bundle", card)


if __name__ == "__main__":
    main()
