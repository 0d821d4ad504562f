"""Stands in for programs that a page may name but a test must not let run to their end.

Called as `stand_ins.py PROGRAM ARGUMENT…` from little scripts on PATH. What it does instead:

- `git clone URL` puts the present repository in the folder;
- `make TARGET` checks that make would know what to do;
- `pip install …` checks that the files and extras exist, `python3 -m venv` makes an empty one;
- servers (`uvicorn`, `streamlit run`, `brainmets serve`) start for real, on a free port, must
  answer within a minute, and are stopped;
- `brainmets train` and `torchrun … train` check the recipe, with what `--set` changes; where
  `--data` names one of the samples the training is real;
- `python benchmarks/…` must explain itself with --help.

Everything else goes to the real program.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PROGRAMS", "free_port", "is_up", "main", "wait_until"]

PROGRAMS = (
    "git", "make", "pip", "uvicorn", "streamlit", "brainmets", "torchrun", "python", "python3"
)  # fmt: skip

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ANSWERS_WITHIN_S = 90


def main(program: str, *arguments: str) -> int:
    """Do what stands in for the program and return its exit code."""
    command = [program, *arguments]
    for stand_in in (_install, _serve, _train, _measure):
        code = stand_in(command)
        if code is not None:
            return code
    system = program in ("git", "make")
    return _run(f"/usr/bin/{program}" if system else str(BIN / program), *arguments)


def _install(command: list[str]) -> int | None:
    match command:
        case ["git", "clone", url, *_]:
            Path(url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")).symlink_to(REPOSITORY)
            return 0
        case ["make", *targets]:
            return _run("/usr/bin/make", "--directory", str(REPOSITORY), "--dry-run", *targets)
        case ["python3", "-m", "venv", folder]:
            (Path(folder) / "bin").mkdir(parents=True)
            (Path(folder) / "bin" / "activate").touch()
            return 0
        case ["pip", "install", *what] | ["python", "-m", "pip", "install", *what]:
            return _installable(what)
        case _:
            return None


def _serve(command: list[str]) -> int | None:
    match command:
        case ["uvicorn", *words]:
            return _answers_at("/healthz", "uvicorn", *words, "--port", "{port}")
        case ["streamlit", "run", *words]:
            settings = ("--server.port", "{port}", "--server.headless", "true")
            return _answers_at("/_stcore/health", "streamlit", "run", *words, *settings)
        case ["brainmets", "serve", *words] if "--help" not in words:
            return _answers_at("/", "brainmets", "serve", *words, "--port", "{port}")
        case _:
            return None


def _train(command: list[str]) -> int | None:
    recipes = [word for word in command if word.endswith(".toml")]
    if command[:2] == ["brainmets", "train"]:
        recipes = [word for word in command[2:3] if not word.startswith("-")]
    if command[:2] != ["brainmets", "train"] and command[0] != "torchrun":
        return None
    data = [Path(after) for word, after in pairwise(command) if word == "--data"]
    if command[0] == "brainmets" and data and data[0].is_dir():
        return _run(str(BIN / "brainmets"), *command[1:])
    changes = [after for word, after in pairwise(command) if word == "--set"]
    script = (
        "import pathlib, sys; from brainmets.training.config import Recipe; "
        "from brainmets.workflows.training import recipe_file; "
        "Recipe.read(recipe_file(pathlib.Path(sys.argv[1])), sys.argv[2:])"
    )
    return _run(str(BIN / "python"), "-c", script, recipes[0], *changes) if recipes else None


def _measure(command: list[str]) -> int | None:
    match command:
        case ["python", script, *_] if script.startswith("benchmarks/"):
            return _run(str(BIN / "python"), str(REPOSITORY / script), "--help")
        case _:
            return None


def _run(*command: str) -> int:
    return subprocess.run(command, check=False).returncode


def _installable(what: list[str]) -> int:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    for word in what:
        if word.endswith(".txt") and not (REPOSITORY / word).is_file():
            sys.exit(f"there is no {word}")
        if "[" in word:
            asked = set(word.partition("[")[2].strip("]'\"").split(","))
            if unknown := asked - extras:
                sys.exit(f"there is no extra {unknown}")
    return 0


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_up(url: str) -> bool:
    """Say whether the address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_until(there: Callable[[], bool], *, within_s: float) -> bool:
    """Ask again and again; return whether it came true in time."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if there():
            return True
        time.sleep(0.2)
    return False


def _answers_at(health: str, program: str, *arguments: str) -> int:
    port = free_port()
    words = [str(BIN / program), *(word.format(port=port) for word in arguments)]
    server = subprocess.Popen(words, start_new_session=True, env={**os.environ, "BROWSER": "true"})
    url = f"http://127.0.0.1:{port}{health}"
    try:
        wait_until(lambda: server.poll() is not None or is_up(url), within_s=ANSWERS_WITHIN_S)
        if server.poll() is None and is_up(url):
            return 0
        sys.exit(f"{program} did not answer at {health}")
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
