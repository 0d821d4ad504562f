"""Small bundles with random weights, for tests that need a network but not a good one."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from brainmets.inference import Bundle, OperatingPoint, write_bundle
from brainmets.models import Architecture
from brainmets.preprocessing import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.models import ArchitectureName

__all__ = ["random_bundle"]


def random_bundle(
    root: Path,
    *,
    name: ArchitectureName = "attention-unet",
    dims: int = 3,
    widths: tuple[int, ...] = (4, 8, 16),
    plan: Plan | None = None,
    point: OperatingPoint | None = None,
    seed: int = 0,
) -> Bundle:
    """Write an untrained network as a bundle whose logits spread around zero."""
    import torch
    from safetensors.torch import save

    from brainmets.models.registry import build

    plan = plan or Plan(dims=dims, spacing_mm=3.0)
    architecture = Architecture(name=name, dims=plan.dims, in_channels=plan.channels, widths=widths)
    torch.manual_seed(seed)
    network = build(architecture).eval()
    with torch.no_grad():
        for key, value in network.named_parameters():
            if key.startswith("heads."):
                value.copy_(torch.randn_like(value) * 0.5)
        for key, value in network.named_buffers():  # so that batch normalisation does something
            if key.endswith("running_mean"):
                value.copy_(torch.randn_like(value) * 0.1)
            if key.endswith("running_var"):
                value.copy_(torch.rand_like(value) + 0.5)
    axes = {0: "batch", **{2 + n: f"size_{n}" for n in range(plan.dims)}}
    file = io.BytesIO()
    example = torch.zeros(1, plan.channels, *(2 * architecture.stride,) * plan.dims)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (example,),
            file,
            dynamo=False,
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": axes, "logits": axes},
        )
    return write_bundle(
        root,
        name=root.name,
        onnx=file.getvalue(),
        weights=save({key: value.contiguous() for key, value in network.state_dict().items()}),
        plan=plan,
        architecture=architecture,
        operating_point=point or OperatingPoint(),
        card="# A random network\n\nFor tests.\n",
    )
