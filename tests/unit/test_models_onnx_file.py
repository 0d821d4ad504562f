"""The ONNX file keeps everything that training would go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from brainmets.models import Architecture  # noqa: E402
from brainmets.models.onnx_file import read_state, write_onnx  # noqa: E402
from brainmets.models.registry import build  # noqa: E402

if TYPE_CHECKING:
    from brainmets.models import ArchitectureName


@pytest.mark.parametrize("name", ["attention-unet", "unet-plus-plus"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_whole_state_comes_back(name: ArchitectureName, dims: int) -> None:
    architecture = Architecture(name=name, dims=dims, in_channels=2, widths=(4, 8, 16))
    torch.manual_seed(1)
    network = build(architecture)
    for key, value in network.named_buffers():
        if key.endswith("running_mean"):
            value.copy_(torch.randn_like(value))
    with torch.no_grad():  # the exporter takes tensors of the same values for one
        network.heads[1].weight.copy_(network.heads[0].weight[:, :4].mean())
    kept = read_state(write_onnx(network.eval(), architecture))
    state = {key: v for key, v in network.state_dict().items() if v.is_floating_point()}
    assert kept.keys() == state.keys()
    for key, value in state.items():
        rounded = value.half().float() if value.ndim > 1 else value
        assert torch.equal(kept[key], rounded), key


def test_an_export_of_what_was_read_is_the_same_file() -> None:
    architecture = Architecture(name="attention-unet", dims=2, in_channels=2, widths=(4, 8))
    torch.manual_seed(2)
    file = write_onnx(build(architecture).eval(), architecture)
    again = build(architecture)
    again.load_state_dict(read_state(file), strict=False)
    assert write_onnx(again.eval(), architecture) == file


def test_weights_take_two_bytes_each() -> None:
    architecture = Architecture(name="unet-plus-plus", dims=2, in_channels=2, widths=(16, 32, 64))
    network = build(architecture).eval()
    weights = sum(int(np.prod(p.shape)) for p in network.parameters() if p.ndim > 1)
    assert len(write_onnx(network, architecture)) < 2 * weights + 60_000
