"""Ways of the same values and gradients that a processor learns faster by."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from brainmets.models import Architecture, ArchitectureName
from brainmets.models.joining import convolve_joined, convolve_up
from brainmets.models.registry import build
from brainmets.training.ranks import computes_bf16


def _case(dims: int, dtype: torch.dtype) -> tuple[nn.Module, list[torch.Tensor]]:
    torch.manual_seed(1)
    kind = nn.Conv2d if dims == 2 else nn.Conv3d
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    layer = kind(64, 16, 3, padding=1, bias=False).to(dtype).to(memory_format=layout)
    parts = [
        torch.randn(2, c, *[6] * dims, dtype=dtype).to(memory_format=layout).requires_grad_()
        for c in (16, 32, 16)
    ]
    return layer, parts


@pytest.mark.parametrize("dims", [2, 3])
def test_values_and_gradients_are_those_of_the_concatenation(dims: int) -> None:
    layer, parts = _case(dims, torch.float64)
    wanted = layer(torch.cat(parts, dim=1))
    pull = torch.randn_like(wanted)
    expected = torch.autograd.grad(wanted, [layer.weight, *parts], pull)
    found = convolve_joined(layer, parts)
    assert torch.equal(found, wanted)
    for mine, theirs in zip(
        torch.autograd.grad(found, [layer.weight, *parts], pull), expected, strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.skipif(
    not computes_bf16(torch.device("cpu")),
    reason="this processor emulates bfloat16, in other layouts and minutes: training avoids it",
)
@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_come_back_dense_under_autocast(dims: int) -> None:
    layer, parts = _case(dims, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = convolve_joined(layer, [part.to(torch.bfloat16) for part in parts])
    gradients = torch.autograd.grad(found, [*parts, layer.weight], torch.randn_like(found))
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    assert all(found.is_contiguous(memory_format=layout) for found in gradients[:-1])
    assert {found.dtype for found in gradients} == {torch.float32}


def test_one_part_and_evaluation_take_the_plain_way() -> None:
    layer, parts = _case(2, torch.float32)
    assert (
        "Joined"
        not in type(convolve_joined(nn.Conv2d(16, 4, 3, bias=False), parts[:1]).grad_fn).__name__
    )
    assert "Joined" in type(convolve_joined(layer, parts).grad_fn).__name__
    assert "Joined" not in type(convolve_joined(layer.eval(), parts).grad_fn).__name__


@pytest.mark.parametrize("kind", [nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_an_up_convolution_has_its_own_values_and_gradients(kind: type[nn.Module]) -> None:
    torch.manual_seed(1)
    layer = kind(8, 4, 2, stride=2).double()
    x = torch.randn(2, 8, *[4] * (layer.weight.ndim - 2), dtype=torch.float64, requires_grad=True)
    wanted, found = layer(x), convolve_up(layer, x)
    assert torch.equal(found, wanted)
    pull, inputs = torch.randn_like(wanted), [x, layer.weight, layer.bias]
    mine, theirs = (torch.autograd.grad(y, inputs, pull) for y in (found, wanted))
    for own, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("name", ["attention-unet", "unet-plus-plus"])
@pytest.mark.parametrize("dims", [2, 3])
def test_twenty_steps_follow_the_curve_of_plain_autograd(
    name: ArchitectureName, dims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = _losses(name, dims)
    monkeypatch.setattr(
        "brainmets.models.blocks.convolve_joined",
        lambda layer, parts: layer(torch.cat(tuple(parts), dim=1)),
    )
    monkeypatch.setattr("brainmets.models.blocks.convolve_up", lambda layer, x: layer(x))
    plain = _losses(name, dims)
    assert plain[-1] < 0.9 * plain[0]
    assert quick == pytest.approx(plain, rel=0.02)


def _losses(name: ArchitectureName, dims: int) -> list[float]:
    torch.manual_seed(3)
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    network = build(Architecture(name=name, dims=dims, widths=(8, 16, 32)))
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    x = torch.randn(2, 2, *[16] * dims).to(memory_format=layout)
    target = (x[:, :1] > 1).float()
    losses = []
    for _ in range(20):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)[0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses
