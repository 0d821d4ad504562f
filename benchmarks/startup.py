"""How long it takes until brainmets does something, and how large it is on disk.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

TRIES = 9


def main() -> None:
    """Print the best of several starts, and the size of an installation without extras."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    program = str(Path(sys.executable).parent / "brainmets")
    print("| start | seconds, best of", TRIES, "|\n|---|---|")
    for name, command in (
        ("python -c pass", [sys.executable, "-c", "pass"]),
        ("import brainmets", [sys.executable, "-c", "import brainmets"]),
        ("brainmets --help", [program, "--help"]),
        ("brainmets segment --help", [program, "segment", "--help"]),
        ("brainmets models list", [program, "models", "list"]),
    ):
        print(f"| `{name}` | {_best_s(command):.2f} |")
    print(f"\n`pip install .` adds {_installed_bytes() / 1e6:.0f} MB\n")


def _best_s(command: list[str]) -> float:
    best = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


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
