"""What every network must do, whatever its name and dimensions."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from brainmets.models import Architecture  # noqa: E402
from brainmets.models.registry import NETWORKS, build  # noqa: E402
from brainmets.models.unet_plus_plus import UNetPlusPlus  # noqa: E402

EVERY = [(name, dims) for name in NETWORKS for dims in (2, 3)]


def small(name: str, dims: int, widths: tuple[int, ...] = (4, 6, 8)) -> Architecture:
    return Architecture.model_validate({"name": name, "dims": dims, "widths": widths})


@pytest.mark.parametrize(("name", "dims"), EVERY)
def test_logits_have_the_input_grid(name: str, dims: int) -> None:
    architecture = small(name, dims)
    network = build(architecture).eval()
    edges = [2 * architecture.stride, 3 * architecture.stride, architecture.stride][:dims]
    with torch.no_grad():
        logits = network(torch.randn(2, 2, *edges))
    assert logits.shape == (2, 1, *edges)
    assert logits.min() < 0  # logits, not probabilities: a new network is sure there is nothing


@pytest.mark.parametrize(("name", "dims"), EVERY)
def test_training_supervises_several_depths_and_reaches_every_weight(name: str, dims: int) -> None:
    network = build(small(name, dims)).train()
    outputs = network(torch.randn(2, 2, *[16] * dims))
    assert len(outputs) >= 2
    assert outputs[0].shape == (2, 1, *[16] * dims)
    sum(o.square().mean() for o in outputs).backward()
    unreached = [n for n, p in network.named_parameters() if p.grad is None]
    assert unreached == []


@pytest.mark.parametrize(("name", "dims"), EVERY)
def test_nothing_beyond_the_halo_counts(name: str, dims: int) -> None:
    """The promise that makes windows exact: output at a voxel sees `halo` voxels and no more."""
    architecture = small(name, dims, widths=(2, 3, 4))
    network = build(architecture).double().eval()
    edge = 2 * architecture.halo + 4 * architecture.stride
    edges = [edge, *[2 * architecture.stride] * (dims - 1)]
    x = torch.randn(1, 2, *edges, dtype=torch.float64, requires_grad=True)
    middle = edge // 2
    network(x)[0, 0, middle].sum().backward()
    assert x.grad is not None
    touched = torch.nonzero(x.grad.abs().sum(dim=(0, 1, *range(3, 2 + dims)))).ravel()
    reach = max(middle - int(touched.min()), int(touched.max()) - middle)
    assert 0 < reach <= architecture.halo


@pytest.mark.parametrize(("name", "dims"), EVERY)
def test_a_window_with_its_halo_equals_the_whole(name: str, dims: int) -> None:
    architecture = small(name, dims, widths=(2, 3, 4))
    network = build(architecture).double().eval()
    halo, stride = architecture.halo, architecture.stride
    x = torch.randn(1, 2, 4 * halo, *[2 * stride] * (dims - 1), dtype=torch.float64)
    with torch.no_grad():
        whole = network(x)
        window = network(x[:, :, halo : 4 * halo])
    inside = slice(2 * halo, 4 * halo)
    assert torch.allclose(whole[:, :, inside], window[:, :, halo:], atol=1e-10)


@pytest.mark.parametrize("dims", [2, 3])
def test_attention_maps_are_probabilities_at_each_level(dims: int) -> None:
    network = build(small("attention-unet", dims)).eval()
    with torch.no_grad():
        maps = network.attention_maps(torch.randn(1, 2, *[16] * dims))
    assert [m.shape[-1] for m in maps] == [16, 8]
    assert all(float(m.min()) >= 0 and float(m.max()) <= 1 for m in maps)


@pytest.mark.parametrize("dims", [2, 3])
def test_pruning_keeps_the_shallow_answer(dims: int) -> None:
    """A pruned U-Net++ answers as its own shallow head does, and leaves the deep nodes alone."""
    network = build(small("unet-plus-plus", dims))
    assert isinstance(network, UNetPlusPlus)
    x = torch.randn(1, 2, *[16] * dims)
    with torch.no_grad():
        network.eval().pruned(1)
        shallow = network(x)
        for name, parameter in network.named_parameters():
            if name.startswith(("nodes.2_0", "nodes.0_2", "nodes.1_1")):
                parameter.fill_(float("nan"))
        assert torch.equal(network(x), shallow)
    with pytest.raises(ValueError, match="depth 3"):
        network.pruned(3)


def test_parameter_limit_of_shipped_sizes() -> None:
    for name in NETWORKS:
        for dims, widths in ((2, (24, 48, 96, 144, 192)), (3, (16, 32, 64, 128))):
            network = build(small(name, dims, widths))
            assert sum(p.numel() for p in network.parameters()) <= 8_000_000
