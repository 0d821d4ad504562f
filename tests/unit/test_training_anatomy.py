"""Synthetic heads for the anatomy network, and its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from brainmets.domain.structures import Structure
from brainmets.models.anatomy_unet import AnatomyUNet, blocks_of
from brainmets.synthesis.anatomy_contrasts import CONTRASTS, VARIANTS, draw_brightness
from brainmets.synthesis.anatomy_samples import draw_sample, structures_of
from brainmets.synthesis.labels import Tissue
from brainmets.training.anatomy import (
    AnatomyRecipe,
    anatomy_loss,
    export_anatomy,
    load_sample,
    make_samples,
    train_anatomy,
    vary,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def label_map() -> NDArray[np.uint16]:
    """Return a head of two hemispheres with a cerebellum, left at low x, 1 mm."""
    labels = np.zeros((150, 170, 150), dtype=np.uint16)
    x, y, z = np.ogrid[:150, :170, :150]
    away = ((x - 75) / 68) ** 2 + ((y - 85) / 80) ** 2 + ((z - 75) / 66) ** 2
    labels[away <= 1] = 507
    labels[away <= 0.8] = 24
    inner = away <= 0.6
    labels[inner & (x < 75)], labels[inner & (x >= 75)] = 2, 41
    low = inner & (z < 45)
    labels[low & (x < 75)], labels[low & (x >= 75)] = 8, 47
    return labels


def test_the_sides_stay_the_patient_s_sides() -> None:
    labels = label_map()
    for seed in range(6):
        sample = draw_sample(labels, np.random.default_rng(seed), spacing_mm=4.0)
        for left, right in (
            (Structure.LEFT_WHITE_MATTER, Structure.RIGHT_WHITE_MATTER),
            (Structure.LEFT_CEREBELLUM, Structure.RIGHT_CEREBELLUM),
        ):
            at_left = np.argwhere(sample.structures == left)
            at_right = np.argwhere(sample.structures == right)
            if len(at_left) > 50 and len(at_right) > 50:
                assert at_left[:, 0].mean() + 10 / 4.0 < at_right[:, 0].mean()  # 10 mm


def test_varying_a_head_keeps_image_and_structures_together() -> None:
    sample = draw_sample(label_map(), np.random.default_rng(3), spacing_mm=4.0)
    head = sample.structures > 0
    for seed in range(8):
        varied = vary(sample, np.random.default_rng(seed))
        assert 0 <= varied.image.min() <= varied.image.max() <= 1
        same = np.array_equal(varied.structures > 0, head)
        mirrored = np.array_equal(varied.structures > 0, head[::-1])
        assert same or mirrored


def test_every_label_of_the_maps_has_a_structure() -> None:
    labels = np.array([0, 2, 41, 3, 42, 10, 49, 4, 43, 14, 7, 46, 16, 24, 514, 506, 515, 999])
    expected = [
        Structure.BACKGROUND, Structure.LEFT_WHITE_MATTER, Structure.RIGHT_WHITE_MATTER,
        Structure.LEFT_CORTEX, Structure.RIGHT_CORTEX, Structure.LEFT_DEEP_GREY,
        Structure.RIGHT_DEEP_GREY, Structure.LEFT_VENTRICLE, Structure.RIGHT_VENTRICLE,
        Structure.MIDDLE_VENTRICLES, Structure.LEFT_CEREBELLUM, Structure.RIGHT_CEREBELLUM,
        Structure.BRAIN_STEM, Structure.FLUID, Structure.VENOUS_SINUS, Structure.EYE,
        Structure.OUTSIDE_BRAIN, Structure.BACKGROUND,
    ]  # fmt: skip
    assert structures_of(labels).tolist() == expected


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_named_contrasts_have_their_order_of_brightness(contrast: str) -> None:
    order = {
        "t1": (Tissue.WHITE, Tissue.GREY, Tissue.VENTRICLE),
        "t1c": (Tissue.WHITE, Tissue.GREY, Tissue.VENTRICLE),
        "t2": (Tissue.VENTRICLE, Tissue.GREY, Tissue.WHITE),
        "flair": (Tissue.GREY, Tissue.WHITE, Tissue.VENTRICLE),
        "pd": (Tissue.GREY, Tissue.WHITE, Tissue.AIR),
    }[contrast]
    drawn = np.array([draw_brightness(np.random.default_rng(s), contrast)[0] for s in range(60)])
    bright, middle, dark = (
        np.median(drawn[:, tissue * VARIANTS : (tissue + 1) * VARIANTS]) for tissue in order
    )
    assert bright > middle > dark


def test_blocks_are_unfolded_where_they_were_folded() -> None:
    torch.manual_seed(1)
    network = AnatomyUNet(3, (4, 6))
    x = torch.rand(1, 1, 8, 12, 4)
    assert torch.equal(blocks_of(network(x)), network.folded_logits(x))


def test_the_correction_at_borders_begins_as_none() -> None:
    torch.manual_seed(1)
    plain = AnatomyUNet(3, (4, 6))
    finer = AnatomyUNet(3, (4, 6), detail=5)
    finer.load_state_dict({**finer.state_dict(), **plain.state_dict()})
    x = torch.rand(1, 1, 8, 12, 4)
    assert torch.equal(plain(x), finer(x))
    finer(x).square().sum().backward()
    assert finer.detail is not None
    assert finer.detail[-1].weight.grad.abs().max() > 0


def test_the_right_answer_has_the_least_loss() -> None:
    structures = torch.zeros(1, 1, 8, 8, 8, dtype=torch.long)
    structures[..., 4:] = 2
    right = torch.nn.functional.one_hot(structures[0], 3).permute(0, 4, 1, 2, 3).float() * 9
    wrong = right.roll(1, dims=1)
    losses = [float(anatomy_loss(blocks_of(one), structures, 3)) for one in (right, wrong)]
    assert losses[0] < 0.05
    assert losses[1] > 1


def test_what_is_emphasised_counts_more_in_the_loss() -> None:
    structures = torch.full((1, 1, 8, 8, 8), int(Structure.LEFT_CORTEX))
    structures[..., 4:] = Structure.LEFT_VENTRICLE
    classes = len(Structure)
    found = torch.nn.functional.one_hot(structures[0], classes).permute(0, 4, 1, 2, 3).float() * 9
    found[:, Structure.LEFT_VENTRICLE] -= 8  # the ventricle is the one less sure
    torch.manual_seed(1)
    once = anatomy_loss(blocks_of(found), structures, classes)
    torch.manual_seed(1)  # the loss looks at a part of each block, by chance
    assert anatomy_loss(blocks_of(found), structures, classes, 2.0) > once


def test_a_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(label_map().astype(np.int16), np.eye(4)), tmp_path / "one.nii.gz")
    recipe = AnatomyRecipe(label_maps=("one.nii.gz",), widths=(2, 2, 2), steps=2, samples=8)
    make_samples(recipe, tmp_path, tmp_path / "heads")
    paths = sorted((tmp_path / "heads").glob("*.npy"))
    assert len(paths) == 8
    assert load_sample(paths[0]).image.max() == 1.0
    train_anatomy(recipe, tmp_path / "heads", tmp_path / "run")
    longer = recipe.model_copy(update={"steps": 3})
    train_anatomy(longer, tmp_path / "heads", tmp_path / "run")
    bundle = export_anatomy(longer, tmp_path / "run", tmp_path / "anatomy", "# anatomy\n")
    assert bundle.extra["steps"] == 3


def test_a_training_begins_with_the_averaged_weights_of_another(tmp_path: Path) -> None:
    store = tmp_path / "heads"
    store.mkdir()
    rng = np.random.default_rng(1)
    for number in range(8):  # edges that the network's stride does not divide
        image = rng.integers(0, 255, (9, 11, 7), dtype=np.uint8)
        np.save(store / f"{number:05d}.npy", np.stack((image, image % len(Structure))))
    first = AnatomyRecipe(label_maps=(), widths=(4, 8), steps=2, batch=2)
    train_anatomy(first, store, tmp_path / "first")
    begun = tmp_path / "first" / "last.pt"
    averaged = torch.load(begun, weights_only=True)["averaged"]
    second = first.model_copy(update={"start": begun, "steps": 1, "learning_rate": 1e-12})
    train_anatomy(second, store, tmp_path / "second")
    after = torch.load(tmp_path / "second" / "last.pt", weights_only=True)["network"]
    parameters = [name for name in averaged if name.endswith("weight")]
    assert parameters
    for name in parameters:
        torch.testing.assert_close(after[name], averaged[name], rtol=0, atol=1e-9)
