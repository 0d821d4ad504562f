"""Which layers of a slice network stay in float32, and that it brings its answer nearer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from brainmets.inference import make_engine
from brainmets.inference.engines import openvino as engine
from brainmets.inference.engines.openvino import with_float32_encoder
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.models import ArchitectureName

NETWORKS: tuple[ArchitectureName, ...] = ("attention-unet", "unet-plus-plus")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_wide_convolutions_on_the_way_down_are_marked(
    name: ArchitectureName, tmp_path: Path
) -> None:
    bundle = random_bundle(tmp_path / "b", name=name, dims=2)
    xml, _ = with_float32_encoder(engine.read_network(bundle.onnx_path.read_bytes()))

    marked = [
        layer
        for layer in ET.fromstring(xml).iterfind("layers/layer")  # noqa: S314 - ours
        if layer.find("rt_info/attribute[@name='precise']") is not None
    ]
    assert len(marked) == 2 * len(bundle.architecture.widths)
    assert {layer.get("type") for layer in marked} == {"Convolution"}


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_of_slices_are_nearer_to_float32(
    name: ArchitectureName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not engine.has_bfloat16():
        pytest.skip("this processor does not multiply bfloat16: all is float32")
    bundle = random_bundle(tmp_path / "b", name=name, dims=2)
    x = np.random.default_rng(2).normal(size=(2, bundle.plan.channels, 64, 64)).astype(np.float32)
    exact = make_engine("openvino", bundle, precision="float32").run(x)
    mixed = np.abs(make_engine("openvino", bundle).run(x) - exact).mean()
    monkeypatch.setattr(engine, "keeps_encoder", lambda _: False)
    rounded = np.abs(make_engine("openvino", bundle).run(x) - exact).mean()

    assert 0 < mixed < 0.8 * rounded
