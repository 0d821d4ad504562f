"""Nothing leaves the machine: no process of ours tries to reach another host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brainmets.io import write_volume
from tests.tracing import attempts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainmets.domain import Mask, Volume

ENTRY_POINTS = {
    "the Python API": "import brainmets; import openvino; import time; time.sleep(1)",
    "an engine": "from brainmets.inference.engines.openvino import has_bfloat16; has_bfloat16()",
    "the application": "import app.main; import openvino",
    "the worker": "import brainmets.api.child; import openvino",
    "the page": "import brainmets.ui.page; import openvino",
    "the command line": "import brainmets.cli.app; import openvino",
}


def python(code: str) -> Sequence[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket().connect_ex(('192.0.2.1', 9))",
        "socket.socket(2, 2).sendto(b'x', ('192.0.2.1', 9))",
        "os.fork() or socket.socket(socket.AF_INET6).connect_ex(('2001:db8::1', 9))",
    ],
)
def test_the_trace_would_show_it(tmp_path: Path, code: str) -> None:
    limited = f"import os, socket; socket.setdefaulttimeout(0.2); {code}"
    assert attempts_of(python(limited), tmp_path) & {"192.0.2.1:9", "2001:db8::1:9"}


def test_the_trace_would_show_a_look_up_of_a_name(tmp_path: Path) -> None:
    code = "import socket; socket.socket(2, 2).connect(('127.0.0.53', 53))"
    assert attempts_of(python(code), tmp_path) == {"127.0.0.53:53"}


@pytest.mark.parametrize("code", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_no_entry_point_lets_openvino_send_usage(
    code: str, tmp_path: Path, repository: Path
) -> None:
    paths = f"{repository / 'src'}:{repository}"
    assert attempts_of(python(code), tmp_path, PYTHONPATH=paths) == set()
    assert [path.name for path in (tmp_path / "home").rglob("*intel*")] == [], "its client id"


def test_a_whole_segmentation_reaches_no_host(phantom: tuple[Volume, Mask], tmp_path: Path) -> None:
    write_volume(phantom[0], tmp_path / "head.nii.gz")
    brainmets = str(Path(sys.executable).parent / "brainmets")
    command = [brainmets, "segment", "head.nii.gz", "--out", "out"]
    assert attempts_of(command, tmp_path) == set()
    assert (tmp_path / "out" / "report.json").is_file()
