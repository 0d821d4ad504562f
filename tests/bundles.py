"""Small bundles with random weights, for tests that need a network but not a good one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain import Case, Geometry, HeadPhantom, Source
from brainmets.inference import Bundle, OperatingPoint, write_bundle
from brainmets.models import Architecture
from brainmets.preprocessing import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

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
    """Write an untrained network as a bundle that marks about 3 % of a phantom head."""
    import torch

    from brainmets.models.onnx_file import write_onnx
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
        _calibrate(network, plan)
    return write_bundle(
        root,
        name=root.name,
        onnx=write_onnx(network, architecture),
        plan=plan,
        architecture=architecture,
        operating_point=point or OperatingPoint(),
        card="# A random network\n\nFor tests.\n",
    )


def _calibrate(network: nn.Module, plan: Plan) -> None:
    """Scale the head in use so that logits have a spread of 2 and their 97th percentile is 0."""
    import torch

    image, _ = HeadPhantom().render(Geometry.isotropic((48, 56, 48), spacing_mm=4.0))
    source = Source(format="nifti", sha256="0" * 64)
    case = Case(images={"t1c": image}, geometry=image.geometry, source=source, case_id="p")
    x = torch.from_numpy(plan.model_copy(update={"spacing_mm": 4.0}).apply(case).data)
    x = x[:, : x.shape[1] // 16 * 16, : x.shape[2] // 16 * 16, : x.shape[3] // 16 * 16]
    x = x.permute(3, 0, 1, 2)[12:28:4] if plan.dims == 2 else x[None]
    logits = network(x)
    spread, high = logits.std(), logits.flatten().quantile(0.97)
    name = "heads.0" if hasattr(network, "gates") else f"heads.{len(network.heads) - 1}"
    head = network.get_submodule(name)
    head.bias.copy_((head.bias - high) * 2 / spread)
    head.weight.copy_(head.weight * 2 / spread)
