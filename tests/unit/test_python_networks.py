"""Networks and data for those who train with PyTorch themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import brainmets
from brainmets.domain.errors import OptionError, WrongModelKind
from brainmets.inference import Bundle, make_engine
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

CLASSES: dict[str, Any] = {
    "attention-unet": brainmets.AttentionUNet,
    "unet-plus-plus": brainmets.UNetPlusPlus,
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dims", [2, 3])
def test_a_pretrained_network_answers_as_its_model(name: str, dims: int, tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "model", name=name, dims=dims, widths=(4, 8))  # pyright: ignore[reportArgumentType]
    network = CLASSES[name].from_pretrained(tmp_path / "model")
    x = np.random.default_rng(0).random((1, 2, *(16,) * dims)).astype(np.float32)

    assert isinstance(network, torch.nn.Module)
    assert not network.training
    with torch.inference_mode():
        ours = network(torch.from_numpy(x)).numpy()
    assert np.abs(ours - make_engine("openvino", bundle, precision="float32").run(x)).max() < 1e-3


@pytest.mark.parametrize("name", [one for one in brainmets.list_models() if one.endswith("d")])
def test_the_installed_models_load(name: str) -> None:
    kind = CLASSES[Bundle.load(name).architecture.name]
    network = kind.from_pretrained(name)
    assert sum(one.numel() for one in network.parameters()) > 1e6
    other = CLASSES[next(one for one in CLASSES if CLASSES[one] is not kind)]
    with pytest.raises(WrongModelKind):
        other.from_pretrained(name)


@pytest.mark.parametrize("name", CLASSES)
def test_a_new_network_trains(name: str) -> None:
    network = CLASSES[name](channels=1, widths=(4, 8, 16))
    logits = network(torch.rand(2, 1, *(network.stride * 4,) * 3))
    assert len(logits) == 2
    sum(torch.nn.functional.softplus(one).mean() for one in logits).backward()  # pyright: ignore[reportAttributeAccessIssue]
    learning = [one for key, one in network.named_parameters() if "surroundings" not in key]
    assert all(one.grad is not None for one in learning)
    with pytest.raises(OptionError):
        CLASSES[name](dims=4)
    with pytest.raises(OptionError):
        CLASSES[name](widths=(4,))


def test_prepared_data_fit_the_network(tmp_path: Path) -> None:
    random_bundle(tmp_path / "model", widths=(4, 8))
    network = brainmets.AttentionUNet.from_pretrained(tmp_path / "model")
    rng = np.random.default_rng(0)
    prepared = brainmets.prepare(
        rng.random((20, 24, 22)), spacing=(6, 6, 6), model=tmp_path / "model"
    )
    edges = [(0, -n % network.stride) for n in prepared.data.shape[1:]]
    x = torch.from_numpy(np.pad(prepared.data, [(0, 0), *edges]))[None]
    with torch.inference_mode():
        probability = torch.sigmoid(network(x))[0, 0].numpy()
    i, j, k = prepared.data.shape[1:]
    assert prepared.to_native(probability[:i, :j, :k]).data.shape == (20, 24, 22)


def test_synthetic_scans_are_repeatable_and_their_own_truth(tmp_path: Path) -> None:
    one = brainmets.synthesize(5, diameters_mm=(14.0, 6.0), stripped_share=1.0)
    heads = brainmets.SyntheticHeads(3, seed=4, config=one_config())
    item = heads[1]

    assert isinstance(heads, Dataset)
    assert len(heads) == 3
    assert len(one.lesions) == 2
    assert [lesion.voxels for lesion in one.lesions] == list(np.bincount(one.mask.ravel())[1:])
    assert np.array_equal(item["image"][0].numpy(), one.image)
    assert np.array_equal(item["mask"][0].numpy(), one.mask > 0)
    assert np.allclose(item["affine"].numpy(), one.affine)
    assert item["seed"] == 5 == one.parameters["seed"]
    assert len(repr(one)) < 80
    assert len(one.plot().axes) == 6
    assert (one.save(tmp_path / "head") / "t1c.nii.gz").is_file()
    with pytest.raises(brainmets.BrainmetsError, match="E_OUTPUT_EXISTS"):
        one.save(tmp_path / "head")
    scores = brainmets.evaluate(one, one.to_nibabel("mask")).scores
    assert scores["dice"] == scores["sensitivity"] == 1.0
    with pytest.raises(IndexError):
        heads[3]


def one_config() -> brainmets.SynthesisConfig:
    from brainmets.python.synthetic import config_of
    from brainmets.synthesis.phantom import SAMPLE

    return config_of(SAMPLE, {"diameters_mm": (14.0, 6.0), "stripped_share": 1.0})


def test_a_data_loader_takes_the_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    case = brainmets.SyntheticHeads(
        2, transform=lambda head: {**head, "image": head["image"][:, :8]}
    )  # pyright: ignore[reportArgumentType]
    made: list[int] = []

    def make(seed: int, _config: object) -> object:
        made.append(seed)
        return _Made()

    monkeypatch.setattr("brainmets.synthesis.heads.sample_head", make)
    batches = list(DataLoader(case, batch_size=2))
    assert made == [0, 1]
    assert batches[0]["image"].shape == (2, 1, 8, 16, 16)


class _Made:
    """A head of 16 voxels an edge, since drawing one takes seconds."""

    def __init__(self) -> None:
        from brainmets.domain import Geometry, Mask, Volume

        grid = Geometry.isotropic((16, 16, 16))
        self.image = Volume(data=np.ones(grid.shape, np.float32), geometry=grid)
        self.lesions = Mask(data=np.ones(grid.shape, np.uint8), geometry=grid)


@pytest.mark.parametrize("settings", [{"no_such": 1}, {"stripped_share": 2.0}, {"noise": (2, 1)}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        brainmets.synthesize(**settings)


def test_no_heads_are_no_data_set() -> None:
    with pytest.raises(OptionError):
        brainmets.SyntheticHeads(0)
