"""How long it takes until brainmets does something, and how large it is on disk.

    python benchmarks/startup.py

The processor's seconds leave out the turns of other programs, and the reading of a cold disk. The
last row is `brainmets segment` on a 240 × 240 × 155 head, ended where the network would start.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from brainmets.domain import Geometry, HeadPhantom
from brainmets.io import write_volume

REPOSITORY = Path(__file__).resolve().parent.parent

TRIES = 9

UNTIL_THE_NETWORK = """
import sys
from brainmets.inference.engines.openvino import OpenVinoEngine
def stop(engine, x, tick=None):
    engine._request(x.shape)
    raise SystemExit
OpenVinoEngine.run = stop
sys.argv[0] = "brainmets"
from brainmets.cli.run import run
run()
"""
"""All but the first inference: imports, verified model, read and prepared head, compiling."""


def main() -> None:
    """Print the best of several starts, and the size of an installation without extras."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _starts(Path(folder))
    print(f"\n`pip install .` adds {_installed_bytes() / 1e6:.0f} MB\n")


def _starts(folder: Path) -> None:
    image, _ = HeadPhantom().render(Geometry.isotropic((240, 240, 155)))
    head = write_volume(image, folder / "head.nii.gz")
    to_network = [sys.executable, "-c", UNTIL_THE_NETWORK, "segment", str(head)]
    program = str(Path(sys.executable).parent / "brainmets")
    print(f"| start | seconds, best of {TRIES} | of the processor |\n|---|---|---|")
    for name, command in (
        ("python -c pass", [sys.executable, "-c", "pass"]),
        ("import brainmets", [sys.executable, "-c", "import brainmets"]),
        ("brainmets --help", [program, "--help"]),
        ("brainmets segment --help", [program, "segment", "--help"]),
        ("brainmets models list", [program, "models", "list"]),
        ("brainmets segment", [*to_network, "--out", str(folder / "out")]),
    ):
        tries = [_seconds(command) for _ in range(TRIES)]
        wall, processor = (min(column) for column in zip(*tries, strict=True))
        print(f"| `{name}` | {wall:.2f} | {processor:.2f} |", flush=True)


def _seconds(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds by the wall's clock and by the processor's."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _installed_bytes() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        before = _size(Path(folder))
        python = str(Path(folder) / "bin" / "python")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", "."],
            cwd=REPOSITORY,
            check=True,
        )
        return _size(Path(folder)) - before


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
