"""Options of the command line as text: sizes, sequences and images."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from brainmets import __version__
from brainmets.cli.options import parse_images, parse_memory, parse_sequence
from brainmets.cli.run import run
from brainmets.domain.errors import OptionError


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("800 MB", 8 * 10**8), ("1.5g", 15 * 10**8), ("4096", 4096), (None, None)],
)
def test_sizes_are_read_as_written(text: str | None, size: int | None) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "2 potatoes"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_memory(text)


def test_sequences_and_images_are_read_as_written() -> None:
    assert parse_sequence("T1C") == "t1c"
    assert parse_images(["t1n=a=b.nii"]) == {"t1n": Path("a=b.nii")}
    with pytest.raises(OptionError, match="two images"):
        parse_images(["t1n=a", "t1n=b"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    for number, handler in before.items():
        signal.signal(number, handler)
    assert ended.value.code in {0, None}
    assert capsys.readouterr().out == f"brainmets {__version__}\n"
