"""MONAI's networks, timed on request; runs in the peers' environment, see `benchmarks/peers.py`.

One JSON request per line on standard input, its answer on standard output. Eager float32, as
MONAI's tutorials run them, on as many threads as the other side has. One thread is timed by the
processor's clock, which other programs do not slow; several by the wall's.
"""

from __future__ import annotations

import copy
import importlib
import json
import sys
import time
from typing import Any

import torch


def network(name: str, widths: list[int], dims: int, channels: int) -> torch.nn.Module:
    """MONAI's class of that name at our widths.

    `BasicUNetPlusPlus` always has five levels: its fifth is as narrow as our fourth.
    """
    nets = importlib.import_module("monai.networks.nets")  # of the peers' environment alone
    if name == "AttentionUnet":
        strides = [2] * (len(widths) - 1)
        return nets.AttentionUnet(dims, channels, 1, channels=widths, strides=strides)
    features = (*widths, *[widths[-1]] * (5 - len(widths)), widths[0])
    return nets.BasicUNetPlusPlus(dims, channels, 1, features=features)


class Peer:
    """Keeps one network and its input between requests."""

    def __init__(self, request: dict[str, Any]) -> None:
        torch.set_num_threads(request["threads"])
        torch.manual_seed(0)
        dims = len(request["shape"])
        self.network = network(request["network"], request["widths"], dims, request["channels"])
        self.shape = (request.get("batch", 1), request["channels"], *request["shape"])
        self.x = torch.randn(self.shape)
        self.window = request.get("window")
        if "train" in request:
            self.target = (torch.rand(self.shape[0], 1, *self.shape[2:]) < 0.02).float()
            self.loss = importlib.import_module("monai.losses").DiceCELoss(sigmoid=True)
            self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-4)

    def operations(self) -> float:
        """Floating-point operations of one pass over a voxel, counted on an empty network."""
        counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
        edge = 64
        with counter, torch.no_grad():
            x = torch.empty(1, self.shape[1], *[edge] * len(self.shape[2:]), device="meta")
            copy.deepcopy(self.network).to("meta")(x)
        return counter.get_total_flops() / edge ** len(self.shape[2:])

    def segment(self) -> None:
        """Predict the whole volume as MONAI's tutorials do."""
        sliding = importlib.import_module("monai.inferers").sliding_window_inference
        roi = (self.window,) * len(self.shape[2:])
        with torch.no_grad():
            sliding(self.x, roi, 1, lambda x: self._first(self.network.eval()(x)), overlap=0.5)

    def step(self) -> None:
        """Forward, loss, backward, optimiser."""
        self.optimiser.zero_grad(set_to_none=True)
        self.loss(self._first(self.network.train()(self.x)), self.target).backward()
        self.optimiser.step()

    @staticmethod
    def _first(answer: object) -> torch.Tensor:
        return answer[0] if isinstance(answer, (list, tuple)) else answer


def main() -> None:
    """Answer requests until standard input closes."""
    peer: Peer | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if "network" in request:
            peer = Peer(request)
            answer = {
                "parameters": sum(p.numel() for p in peer.network.parameters()),
                "operations": peer.operations(),
            }
        elif peer is not None:
            clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
            start = clock()
            getattr(peer, request["do"])()
            answer = {"seconds": clock() - start}
        else:
            raise SystemExit("name a network first")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
