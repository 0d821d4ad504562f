"""The anatomy network through every engine, and the bundle that is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from brainmets.bundles import ANATOMY_NAME, SHIPPED_ANATOMY
from brainmets.domain import Geometry, Volume
from brainmets.domain.errors import BundleIncomplete, BundleTampered
from brainmets.domain.structures import Structure
from brainmets.inference import ENGINES, list_bundles, make_engine
from brainmets.inference.anatomy import AnatomyNetwork
from brainmets.inference.anatomy_bundle import AnatomyBundle, write_anatomy_bundle
from brainmets.models.architecture import AnatomyArchitecture

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.models.anatomy_unet import AnatomyUNet

TINY = AnatomyArchitecture(classes=len(Structure), widths=(4, 6, 8), detail=5)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> AnatomyBundle:
    import torch

    from brainmets.models.onnx_file import write_onnx
    from brainmets.models.registry import build

    torch.manual_seed(3)
    network = cast("AnatomyUNet", build(TINY)).eval()
    assert network.detail is not None
    torch.nn.init.normal_(network.detail[-1].weight)  # zeros at first
    return write_anatomy_bundle(
        tmp_path_factory.mktemp("models") / ANATOMY_NAME,
        onnx=write_onnx(network, TINY),
        architecture=TINY,
        spacing_mm=2.0,
        card="# anatomy\n",
    )


def test_engines_agree_on_probabilities_whatever_the_size(bundle: AnatomyBundle) -> None:
    rng = np.random.default_rng(1)
    engines = [make_engine(name, bundle, precision="float32", threads=1) for name in ENGINES]
    for shape in ((16, 16, 16), (24, 32, 16)):
        image = rng.random((1, 1, *shape), dtype=np.float32)
        answers = []
        for engine in engines:
            logits = engine.run(image)
            assert logits.shape == (1, len(Structure), *shape)
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            answers.append(odds / odds.sum(axis=1, keepdims=True))
        for answer in answers[1:]:
            np.testing.assert_allclose(answer, answers[0], atol=1e-3)


def test_a_depth_is_refused(bundle: AnatomyBundle) -> None:
    from brainmets.domain.errors import OptionError

    with pytest.raises(OptionError, match="no depth"):
        make_engine("openvino", bundle, depth=1)


def test_every_byte_is_verified(bundle: AnatomyBundle, tmp_path: Path) -> None:
    copy = tmp_path / ANATOMY_NAME
    copy.mkdir()
    for file in bundle.root.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert AnatomyBundle.load(copy).sha256 == bundle.sha256
    (copy / "model.onnx").write_bytes(b"\0" + bundle.onnx_path.read_bytes()[1:])
    with pytest.raises(BundleTampered):
        AnatomyBundle.load(copy)
    (copy / "card.md").unlink()
    (copy / "model.onnx").write_bytes(bundle.onnx_path.read_bytes())
    with pytest.raises(BundleIncomplete):
        AnatomyBundle.load(copy)


def test_any_image_is_labelled_on_its_own_grid(bundle: AnatomyBundle) -> None:
    rng = np.random.default_rng(2)
    affine = np.array(((0, 3, 0, -60), (3, 0, 0, -70), (0, 0, -6, 80), (0, 0, 0, 1)), dtype=float)
    grid = Geometry(shape=(50, 40, 24), affine=affine)
    data = rng.random(grid.shape, dtype=np.float32)
    anatomy = AnatomyNetwork(bundle, threads=1).locate(Volume(data=data, geometry=grid))
    brain, structures = anatomy.brain_on(grid), anatomy.structures_on(grid)
    assert brain.geometry == structures.geometry == grid
    assert set(np.unique(brain.data)) <= {0, 1}
    assert set(np.unique(structures.data)) <= {int(s) for s in Structure}


def test_it_is_not_listed_among_the_networks_that_find_lesions() -> None:
    assert ANATOMY_NAME not in list_bundles()


def test_the_shipped_network_is_whole_small_and_has_a_card() -> None:
    bundle = AnatomyBundle.load(SHIPPED_ANATOMY)
    assert bundle.onnx_path.stat().st_size <= 6e6
    assert "17-20 held out" in bundle.card
