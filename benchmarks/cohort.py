"""A cohort of small scans, five of them broken: whole, in parts, on Dask, killed and resumed.

    python benchmarks/cohort.py --scans 200 --work /tmp/cohort

The scans are pieces of a synthetic head, around a metastasis each. Every way must give the same
tables and masks, and report the same five. Prints processor seconds a case, which hardly depend on
what else the machine does, and seconds by the clock, with the machine's load before.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainmets.domain import Geometry, Volume
from brainmets.io import write_volume
from brainmets.synthesis import sample_head
from brainmets.synthesis.phantom import SAMPLE

SHAPE = (32, 36, 32)
"""Voxels of 1 mm."""

MOST_OFF = 6
"""Voxels that a metastasis lies off the centre of its piece, at most."""

LONGEST_S = 1800
"""For one command."""

BROKEN = ("truncated", "text", "nan", "constant", "zip")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="attention-unet-3d")
    given = parser.parse_args()
    scans = given.work / "scans"
    if not scans.is_dir():
        make_scans(scans, given.scans)
    small = given.work / "scans-20"
    if not small.is_dir():
        small.mkdir()
        for path in sorted(scans.iterdir())[:20]:
            shutil.copy(path, small / path.name)
    names = ("20", "whole", "parts", "killed", "dask", "dask-killed")
    out = {name: given.work / name for name in names}
    for folder in out.values():
        shutil.rmtree(folder, ignore_errors=True)
    count = given.scans

    def command(source: Path, name: str, *options: str) -> list[str]:
        start = [sys.executable, "-c", "from brainmets.cli import main; main()"]
        options = ("--model", given.model, "--threads", "1", *options)
        return [*start, "segment", "--batch", str(source), "--out", str(out[name]), *options]

    said("20 scans, one process", timed(command(small, "20")), 20)
    alone = timed(command(scans, "whole"))
    said(f"{count} scans, one process", alone, count)
    two = timed(command(scans, "dask", "--cluster", "local:2"))
    said(f"{count} scans, Dask, 2 workers", two, count)
    print(
        f"two workers do {alone.clock_s / two.clock_s:.2f} times what one process does by the clock"
    )
    parts = [timed(command(scans, "parts", "--part", f"{k}/3")) for k in (1, 2, 3)]
    said("in three parts", sum(parts, Seconds()), count)
    for name, title, where in (
        ("killed", "one process", ()),
        ("dask-killed", "Dask, 2 workers", ("--cluster", "local:2")),
    ):
        before = killed_in_the_middle(command(scans, name, *where), out[name], count // 3)
        seconds = timed(command(scans, name, *where, "--resume"))
        said(f"{title}, killed with {before} finished, resumed", seconds, count - before)
    wanted = result_of(out["whole"])
    for name in ("parts", "killed", "dask", "dask-killed"):
        assert result_of(out[name]) == wanted, f"{name} gave another result"
    done, failed, lesions = wanted[1:]
    print(
        f"equal results on all five ways: {done} done with {lesions} lesions,"
        f" {len(failed)} reported: {failed}"
    )
    assert (done, len(failed)) == (count - len(BROKEN), len(BROKEN))
    assert lesions > count / 4, "hardly a lesion to compare"


def make_scans(folder: Path, count: int) -> None:
    """Write pieces of a head that differ, and the broken ones among them."""
    folder.mkdir(parents=True)
    head = sample_head(0, SAMPLE)
    rng = np.random.default_rng(0)
    geometry = Geometry.isotropic(SHAPE, spacing_mm=1.0)
    numbers = np.unique(head.lesions.data)[1:]
    centres = [np.argwhere(head.lesions.data == n).mean(0).round().astype(int) for n in numbers]
    last = np.array(head.image.data.shape) - SHAPE
    broken = dict(
        zip((k * count // len(BROKEN) + 1 for k in range(len(BROKEN))), BROKEN, strict=True)
    )
    for number in range(count):
        off = rng.integers(-MOST_OFF, MOST_OFF + 1, 3)
        first = np.clip(centres[number % len(centres)] - np.array(SHAPE) // 2 + off, 0, last)
        piece = tuple(slice(n, n + edge) for n, edge in zip(first, SHAPE, strict=True))
        data = head.image.data[piece] * (1 + rng.normal(0, 0.01, SHAPE).astype(np.float32))
        path = folder / f"case-{number:03d}.nii.gz"
        kind = broken.get(number)
        if kind == "constant":
            data = np.ones_like(data)
        if kind == "nan":
            data[0, 0, 0] = np.nan
        if kind in {"text", "zip"}:
            path.write_bytes(b"a letter, not a scan" if kind == "text" else b"PK\x03\x04 broken")
            continue
        if kind == "nan":
            write_raw(path, data)
        else:
            write_volume(Volume(data=data, geometry=geometry), path)
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[:-2000])


def write_raw(path: Path, data: np.ndarray) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)


@dataclass(frozen=True)
class Seconds:
    """What a command took."""

    processor_s: float = 0.0
    clock_s: float = 0.0
    load: float = 0.0
    """Of the machine before it began."""

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(
            self.processor_s + other.processor_s,
            self.clock_s + other.clock_s,
            max(self.load, other.load),
        )


def timed(command: list[str]) -> Seconds:
    """Run a command to its end; its children count too."""
    before, load = resource.getrusage(resource.RUSAGE_CHILDREN), os.getloadavg()[0]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in {0, 2}, f"{command}: {done.stderr[-2000:]}"
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(used, time.perf_counter() - start, load)


def killed_in_the_middle(command: list[str], out: Path, count: int) -> int:
    """Kill without warning after `count` finished cases; return how many are finished."""
    log = out.with_suffix(".log")
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    deadline = time.monotonic() + LONGEST_S
    while finished(out) < count and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    ended = process.poll()
    process.kill()
    process.wait()
    assert ended is None, f"ended with {ended} before it could be killed: {log.read_text()[-2000:]}"
    time.sleep(3)  # Dask's workers see that their scheduler is gone
    done = finished(out)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert count <= done, f"only {done} of {count} cases in {LONGEST_S} s"
    return done


def finished(out: Path) -> int:
    return sum(
        '"running"' not in path.read_text(encoding="utf-8")
        for path in out.glob("status/*.json")
        if not path.name.startswith(".")
    )


def result_of(out: Path) -> tuple[str, int, dict[str, str], int]:
    """Return a checksum of all masks and lesions, how many are done, others' codes, all lesions."""
    digest = hashlib.sha256((out / "cohort.csv").read_bytes())
    with (out / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["state"] == "done":
            digest.update((out / row["case"] / "mask.nii.gz").read_bytes())
            report = json.loads((out / row["case"] / "report.json").read_text(encoding="utf-8"))
            del report["timings_s"]
            digest.update(json.dumps(report, sort_keys=True).encode())
    failed = {row["case"]: row["code"] for row in rows if row["state"] == "failed"}
    done = [row for row in rows if row["state"] == "done"]
    return digest.hexdigest(), len(done), failed, sum(int(row["lesions"]) for row in done)


def said(what: str, seconds: Seconds, cases: int) -> None:
    print(
        f"{what}: {seconds.processor_s / cases:.3f} processor seconds a case,"
        f" {seconds.clock_s:.1f} s by the clock (load before: {seconds.load:.1f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
