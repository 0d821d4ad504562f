"""Do a newcomer's five tasks from an empty clone, with the README alone, and time them.

    python -m benchmarks.newcomer --out docs/results/newcomer.csv

Clones the repository, installs it as the README says, and pastes the code blocks of five of its
sections unchanged into a shell (`bash` blocks) or a file (`python` blocks). Servers are asked until
they answer, then stopped. `--only NAME` does one task; `--clone DIR` keeps the clone, or goes on in
one that is there.

`seconds` is what the newcomer waits. `cpu_seconds` is the processor time of all processes, which
depends less on what else the machine does.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import Block, read_blocks

REPOSITORY = Path(__file__).resolve().parents[1]

TASKS = {
    "install": ("Quick start", ""),
    "segment a NIfTI": ("Segment a scan", "results/head/mask.nii.gz"),
    "segment from NumPy": ("Segment a NumPy array in Python", "results-python/mask.nii.gz"),
    "evaluate a folder": ("Score results against reference masks", "scores/scores.json"),
    "train without data": ("Train a network, without data of your own", "runs/first/*/model.onnx"),
    "run the page": ("Web page and REST API", ""),
}
"""Section of the README, and a file that exists afterwards."""

SERVERS = {
    "brainmets serve": "http://127.0.0.1:8501/",
    "uvicorn": "http://127.0.0.1:8000/healthz",
    "streamlit": "http://127.0.0.1:8501/_stcore/health",
}
"""What a server answers at, with the port that it takes by itself."""

ACTIVATE = "source .venv/bin/activate\n"
ANSWERS_WITHIN_S = 300


@dataclass(frozen=True, slots=True)
class Timing:
    """One row of the table."""

    task: str
    command: str
    seconds: float
    cpu_seconds: float
    result: str


def sections(readme: Path) -> dict[str, list[Block]]:
    """Return the README's code blocks by the heading above them."""
    lines = readme.read_text(encoding="utf-8").splitlines()
    found: dict[str, list[Block]] = {}
    for block in read_blocks(readme):
        before = (line for line in reversed(lines[: block.line - 1]) if re.match(r"#{2,} ", line))
        found.setdefault(next(before).lstrip("# "), []).append(block)
    return found


def task(name: str, clone: Path) -> list[Timing]:
    """Paste a section's blocks in turn; a command that fails ends the script."""
    heading, expected = TASKS[name]
    blocks = sections(clone / "README.md")[heading]
    if name == "install":
        # The first block is `make demo` and `make test`; the next installs without `make`.
        return [timed(name, "pip install -r requirements.txt", blocks[1].text, clone)]
    if name == "run the page":
        return [served(name, line, clone) for line in blocks[0].text.splitlines()]
    rows: list[Timing] = []
    for block in blocks:
        if block.language == "python":
            (clone / "newcomer.py").write_text(block.text, encoding="utf-8")
            rows.append(timed(name, "python", ACTIVATE + "python newcomer.py", clone))
            continue
        rows += [
            timed(name, line.partition("  #")[0].strip(), ACTIVATE + line, clone)
            for line in block.text.splitlines()
        ]
    if not list(clone.glob(expected)):
        sys.exit(f"{name}: there is no {expected}")
    return rows


def timed(name: str, command: str, script: str, clone: Path) -> Timing:
    """Run a script as if it were pasted; return its times."""
    print(f"{name}: {command}", flush=True)
    start, before = time.monotonic(), processor_seconds()
    code = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=clone, env=environment(clone), check=False
    ).returncode
    if code:
        sys.exit(f"{name}: `{command}` ended with {code}")
    return Timing(
        name, command, time.monotonic() - start, processor_seconds() - before, "exit code 0"
    )


def served(name: str, line: str, clone: Path) -> Timing:
    """Start a server as the line says, wait until it answers, and stop it."""
    command = line.partition("  #")[0].strip()
    address = next(url for program, url in SERVERS.items() if command.startswith(program))
    print(f"{name}: {command}", flush=True)
    if answers(address):
        sys.exit(f"{address} answers already: stop that server first")
    start, before = time.monotonic(), processor_seconds()
    server = subprocess.Popen(
        ["bash", "-c", f"{ACTIVATE}exec {shlex.join(shlex.split(command))}"],
        cwd=clone,
        env=environment(clone),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not answers(address):
            if server.poll() is not None or time.monotonic() - start > ANSWERS_WITHIN_S:
                sys.exit(f"{name}: `{command}` does not answer at {address}")
            time.sleep(0.1)
        seconds = time.monotonic() - start
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)
    return Timing(
        name, command, seconds, processor_seconds() - before, f"answers at {address} until stopped"
    )


def answers(address: str) -> bool:
    """Say whether the address answers 200."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status == 200
    except OSError:
        return False


def environment(clone: Path) -> dict[str, str]:
    """Return an environment without this one's Python, with a home of its own."""
    home = clone.parent / "home"
    home.mkdir(exist_ok=True)
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS")
    kept = {
        name: text
        for name, text in os.environ.items()
        if name not in left_out and not name.startswith("BRAINMETS_")
    }
    own = str(Path(sys.prefix) / "bin")
    kept["PATH"] = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if part != own
    )
    return {
        **kept,
        "HOME": str(home),
        "BRAINMETS_STATE_DIR": str(home / "state"),
        "BROWSER": "true",
        "STREAMLIT_SERVER_HEADLESS": "true",
    }


def processor_seconds() -> float:
    """Return the processor time of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write(rows: list[Timing], out: Path) -> None:
    """Write the table as CSV."""
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["task", "command", "seconds", "cpu_seconds", "result"])
        for row in rows:
            times = (f"{row.seconds:.0f}", f"{row.cpu_seconds:.0f}")
            table.writerow([row.task, row.command, *times, row.result])


def main() -> None:
    """Clone, do the tasks, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repository", default=str(REPOSITORY), help="What to clone.")
    parser.add_argument("--clone", type=Path, help="Clone into this folder and keep it.")
    parser.add_argument("--only", action="append", choices=list(TASKS), help="Repeatable.")
    parser.add_argument("--out", type=Path, help="CSV file for the table.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="brainmets-newcomer-") as folder:
        clone = arguments.clone or Path(folder) / "brainmets"
        if not clone.exists():
            subprocess.run(["git", "clone", "-q", arguments.repository, str(clone)], check=True)
        rows: list[Timing] = []
        for name in arguments.only or TASKS:
            for row in task(name, clone.resolve()):
                print(
                    f"{row.seconds:7.1f} s {row.cpu_seconds:7.1f} CPU s  {row.task}: {row.command}"
                )
                rows.append(row)
            if arguments.out:
                write(rows, arguments.out)


if __name__ == "__main__":
    main()
