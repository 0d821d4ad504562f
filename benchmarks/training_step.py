"""A step of training against MONAI's: forward, loss, backward, optimiser; in turns.

    python -m benchmarks.training_step --peers peers/bin/python [--models attention-unet-3d …]

Ours as our recipes do it: bfloat16 where the processor has it, channels last, every deeply
supervised head, gradients clipped. MONAI's network of the same kind and widths with its Dice+CE in
eager float32, one head. Both see the recipe's own patch and batch, on one thread by the
processor's clock unless `--threads` says otherwise. MONAI's U-Net++ has exactly five levels: of a
recipe with more, both are built with the first five. The work column is MONAI's operations a voxel
in one forward pass as a share of ours: its AttentionUnet has one convolution where ours has two on
the way up. `brainmets train` prints and records (`waited_s`) how long steps waited for data.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from benchmarks.peers import MONAI, MonaiPeer, add_peer_option
from torch.utils.flop_counter import FlopCounterMode

from brainmets.inference.allocation import keep_freed_memory
from brainmets.training.config import Recipe
from brainmets.training.export import network_to_train
from brainmets.training.loop import _step

MONAI_LEVELS = {"unet-plus-plus": 5}
"""Levels that MONAI's network of this kind has, whatever is asked for."""

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def main() -> None:
    """Print a row per recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_peer_option(parser)
    parser.add_argument("--models", nargs="+", default=None, help="recipes by name; all by default")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    keep_freed_memory()  # as `brainmets train` does
    torch.set_num_threads(arguments.threads)
    names = arguments.models or [
        f"{name}-{dims}d" for dims in (2, 3) for name in ("attention-unet", "unet-plus-plus")
    ]
    print(
        "| recipe | patch × batch | MONAI's work | MONAI s a step | ours | times faster |\n"
        "|---|---|---|---|---|---|"
    )
    for name in names:
        _row(_comparable(Recipe.read(RECIPES / f"{name}.toml")), arguments)
    print()


def _comparable(recipe: Recipe) -> Recipe:
    """The recipe with no more levels than MONAI's network has."""
    levels = MONAI_LEVELS.get(recipe.network.name)
    if levels is None or len(recipe.network.widths) <= levels:
        return recipe
    network = recipe.network.model_copy(update={"widths": recipe.network.widths[:levels]})
    name = f"{recipe.name}-{levels}-levels"
    return recipe.model_copy(update={"network": network, "name": name})


def _row(recipe: Recipe, arguments: argparse.Namespace) -> None:
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    patch, batch = recipe.optimiser.patch, recipe.optimiser.batch
    layout = torch.channels_last if recipe.network.dims == 2 else torch.channels_last_3d
    network = network_to_train(recipe).to(memory_format=layout).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    data = torch.randn(batch, recipe.plan.channels, *patch).to(memory_format=layout)
    target = (torch.rand(batch, 1, *patch) < 0.02).to(torch.uint8)

    def ours() -> float:
        start = clock()
        _step(network, optimiser, data, target, recipe=recipe, step=0)
        return clock() - start

    with MonaiPeer(
        arguments.peers,
        threads=arguments.threads,
        network=MONAI[recipe.network.name],
        widths=recipe.network.widths,
        channels=recipe.plan.channels,
        shape=patch,
        batch=batch,
        train=True,
    ) as monai:
        ours(), monai.seconds("step")  # buffers and kernels are made
        turns = [(monai.seconds("step"), ours()) for _ in range(arguments.turns)]
    theirs, own = (statistics.median(column) for column in zip(*turns, strict=True))
    ratio = statistics.median(t / o for t, o in turns)
    size = " × ".join(map(str, patch))
    ours_a_voxel = _operations(recipe, network)
    print(
        f"| {recipe.name} | {size}, {batch} | {monai.operations / ours_a_voxel:.2f}"
        f" | {theirs:.2f} | {own:.2f} | {ratio:.1f} |",
        flush=True,
    )


def _operations(recipe: Recipe, network: torch.nn.Module) -> float:
    """Floating-point operations of one forward pass over a voxel, as MONAI's are counted."""
    edge = 64
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        empty = torch.empty(1, recipe.plan.channels, *[edge] * recipe.network.dims, device="meta")
        network.to("meta").eval()(empty)
    return counter.get_total_flops() / edge**recipe.network.dims


if __name__ == "__main__":
    main()
