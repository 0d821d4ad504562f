"""Asks a peer in an environment of its own to do something, and how long it took."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from brainmets.inference.machine import count_processors

if TYPE_CHECKING:
    import argparse

__all__ = ["MONAI", "MonaiPeer", "add_peer_option"]

MONAI = {"attention-unet": "AttentionUnet", "unet-plus-plus": "BasicUNetPlusPlus"}
"""MONAI's class for each of our networks."""


def add_peer_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="PYTHON",
        required=True,
        help="python of an environment with benchmarks/requirements-peers.txt",
    )


class MonaiPeer:
    """A process beside that holds one of MONAI's networks; takes turns with us."""

    def __init__(self, python: Path, *, threads: int | None = None, **request: Any) -> None:
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name("monai_peer.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.threads = threads or count_processors()
        described = self._ask(threads=self.threads, **request)
        self.parameters = int(described["parameters"])
        self.operations = float(described["operations"])

    def seconds(self, do: str) -> float:
        """Have the peer do something, and return how long it took."""
        return float(self._ask(do=do)["seconds"])

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the peer has ended: is its environment complete, and memory left?")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
