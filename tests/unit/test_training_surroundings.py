"""Surrounding tissue: labelled in synthetic heads, part of the targets, learnt in training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from brainmets.domain import Geometry  # noqa: E402
from brainmets.domain.volume import Mask, Volume  # noqa: E402
from brainmets.io import write_mask  # noqa: E402
from brainmets.models import Architecture  # noqa: E402
from brainmets.models.registry import NETWORKS, build  # noqa: E402
from brainmets.synthesis import OEDEMA, Surroundings, synthesize_head  # noqa: E402
from brainmets.training.config import LossSettings, Recipe  # noqa: E402
from brainmets.training.export import network_to_train  # noqa: E402
from brainmets.training.losses import (  # noqa: E402
    FIRST_CLASS,
    IGNORE,
    supervised_loss,
    surroundings_cross_entropy,
)
from brainmets.training.making import SyntheticMaker  # noqa: E402
from brainmets.training.samples import (  # noqa: E402
    prepare_sample,
    synthetic_case,
    with_surroundings,
)
from tests.unit.synthesis_mini import CLEAN, mini_anatomy, mini_labels  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.synthesis import SyntheticCase

CLASSES = len(Surroundings)


def made(**changes: object) -> SyntheticCase:
    return synthesize_head(mini_anatomy(), CLEAN.model_copy(update=changes), 1)


def test_surroundings_are_where_they_belong() -> None:
    case = made()
    assert case.surroundings is not None
    kinds, image = case.surroundings.data, case.image.data
    assert set(np.unique(kinds)) == {int(kind) for kind in Surroundings}
    assert kinds[0, 0, 0] == Surroundings.OUTSIDE

    def level(kind: Surroundings) -> float:
        return float(np.median(image[(kinds == kind) & (case.lesions.data == 0)]))

    assert level(Surroundings.ENHANCING) > 1.2 * level(Surroundings.BRAIN)
    assert level(Surroundings.VESSEL) > 1.5 * level(Surroundings.FLUID)  # where they run
    assert level(Surroundings.FLUID) < level(Surroundings.OEDEMA) < level(Surroundings.BRAIN)
    assert np.array_equal(kinds == Surroundings.OEDEMA, case.classes.data == OEDEMA)


def test_what_was_stripped_is_outside_and_thick_slices_have_their_own_grid() -> None:
    stripped = made(stripped_share=1.0)
    assert stripped.surroundings is not None
    gone = (stripped.image.data == 0) & (stripped.lesions.data == 0)
    assert gone.mean() > 0.2
    assert (stripped.surroundings.data[gone] == Surroundings.OUTSIDE).all()
    thick = made(thick_share=1.0, slice_mm=(4.0, 4.0), grid="acquired")
    assert thick.surroundings is not None
    assert thick.surroundings.geometry.same_grid(thick.image.geometry)
    brain = thick.surroundings.data == Surroundings.BRAIN
    fluid = thick.surroundings.data == Surroundings.FLUID
    assert thick.image.data[brain].mean() > 1.5 * thick.image.data[fluid].mean()


def test_a_target_carries_lesions_first_then_surroundings() -> None:
    shape = (8, 8, 8)
    lesion = np.zeros(shape, dtype=np.uint8)
    lesion[2:5, 2:5, 2:5] = 1
    lesion[7] = IGNORE
    kinds = np.full(shape, Surroundings.BRAIN, dtype=np.uint8)
    kinds[:, :, 6:] = Surroundings.VESSEL
    kinds[0] = 0
    geometry = Geometry(affine=np.diag([2.0, 2.0, 2.0, 1.0]), shape=shape)
    target = with_surroundings(lesion, Mask(data=kinds, geometry=geometry))
    assert (target[lesion == 1] == 1).all()
    assert (target[7] == IGNORE).all()
    assert not target[0].any()
    assert target[1, 1, 7] == FIRST_CLASS - 1 + Surroundings.VESSEL
    image = Volume(data=np.full(shape, 100, dtype=np.float32), geometry=geometry)
    case, _ = synthetic_case(image, Mask(data=lesion, geometry=geometry), name="x")
    plan = Recipe.model_validate(recipe(1.0)).plan
    sample = prepare_sample(case, target, plan, name="x")  # from 2 mm to 1 mm
    assert sample.target.shape == (16, 16, 16)
    assert set(np.unique(sample.target)) == set(np.unique(target))
    # a network's grid has its own directions: compare by volume
    for code in np.unique(target):
        assert (sample.target == code).sum() == pytest.approx(8 * (target == code).sum(), rel=0.35)


def test_each_class_counts_alike() -> None:
    target = torch.zeros(1, 1, 3, 1000, dtype=torch.uint8)
    target[0, 0, 0] = FIRST_CLASS
    target[0, 0, 1, :500] = FIRST_CLASS + 1
    target[0, 0, 1, 500:] = 1  # a lesion has a loss of its own
    target[0, 0, 2, :500] = IGNORE
    logits = torch.zeros(1, 3, 3, 1000)
    even = math.log(3)
    by_class = [1000 / 1100 * even, 500 / 600 * even, 0.0]
    found = float(surroundings_cross_entropy(logits, target))
    assert found == pytest.approx(sum(by_class) / 3, rel=1e-5)
    sure = torch.full((1, 3, 3, 1000), -20.0)
    sure[0, 0, 0] = sure[0, 1, 1] = 20.0
    assert float(surroundings_cross_entropy(sure, target)) < 1e-6
    sure.requires_grad_()
    surroundings_cross_entropy(-sure, target).backward()
    assert sure.grad is not None
    counted = (target >= FIRST_CLASS) & (target != IGNORE)
    assert not sure.grad[(~counted).expand_as(sure)].any()
    assert sure.grad[counted.expand_as(sure)].any()


def test_the_lesions_own_loss_does_not_notice_the_surroundings() -> None:
    torch.manual_seed(0)
    plain = (torch.rand(2, 1, 8, 8) < 0.1).to(torch.uint8)
    plain[0, 0, 0] = IGNORE
    known = torch.where(plain == 0, torch.randint(2, 2 + CLASSES, plain.shape), plain.long())
    lesions, around = torch.randn(2, 1, 8, 8), torch.randn(2, CLASSES, 8, 8)
    coarse = torch.randn(2, 1, 4, 4)
    alone = supervised_loss([lesions, coarse], plain, LossSettings())
    both = supervised_loss(
        [torch.cat((lesions, around), dim=1), coarse],
        known.to(torch.uint8),
        LossSettings(surroundings_weight=0.5),
    )
    extra = 0.5 * surroundings_cross_entropy(around, known.to(torch.uint8))
    assert float(both) == pytest.approx(float(alone) + float(extra), rel=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dims", [2, 3])
def test_the_further_head_is_there_in_training_alone(name: str, dims: int) -> None:
    architecture = Architecture.model_validate({"name": name, "dims": dims, "widths": [4, 6, 8]})
    network = build(architecture, classes=CLASSES)
    x = torch.randn(1, 2, *[16] * dims)
    outputs = network.train()(x)
    assert outputs[0].shape == (1, 1 + CLASSES, *[16] * dims)
    assert all(output.shape[1] == 1 for output in outputs[1:])
    finished = build(architecture)
    missing, further = finished.load_state_dict(network.state_dict(), strict=False)
    assert (missing, {key.split(".")[0] for key in further}) == ([], {"surroundings"})
    with torch.no_grad():
        assert torch.equal(finished.eval()(x), network.eval()(x))


def recipe(weight: float, **source: object) -> dict[str, object]:
    return {
        "name": "x",
        "network": {"name": "attention-unet", "dims": 3, "widths": [4, 8]},
        "plan": {"dims": 3},
        "sources": [
            {
                "kind": "synthetic",
                "root": ".",
                "maps": ["mini.nii.gz"],
                "synthesis": CLEAN.model_dump(mode="json"),
                **source,
            }
        ],
        "loss": {"surroundings_weight": weight},
        "optimiser": {"steps": 1, "batch": 1, "patch": [16, 16, 16]},
    }


def test_a_recipe_asks_for_surroundings_and_may_ignore_oedema(tmp_path: Path) -> None:
    write_mask(mini_labels(), tmp_path / "mini.nii.gz")

    def sample(weight: float, **source: object) -> np.ndarray:
        read = Recipe.model_validate(recipe(weight, **source))
        assert (network_to_train(read).surroundings.logits is None) is (weight == 0)
        (own,) = read.sources
        assert own.kind == "synthetic"
        return SyntheticMaker(recipe=read, source=own, data_root=tmp_path)(0).target

    plain, known = sample(0.0), sample(0.5)
    assert set(np.unique(plain)) == {0, 1}
    assert set(np.unique(known)) == {1, *range(FIRST_CLASS, FIRST_CLASS + CLASSES)}
    assert np.array_equal(plain == 1, known == 1)
    ignoring = sample(0.0, ignore_oedema=True)
    assert np.array_equal(ignoring == 1, plain == 1)
    oedema = known == FIRST_CLASS - 1 + Surroundings.OEDEMA
    assert (ignoring == IGNORE).sum() == pytest.approx(oedema.sum(), rel=0.05)
    assert oedema.any()
