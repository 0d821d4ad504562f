"""A cohort of small scans, five of them broken: whole, in parts, on Dask, killed and resumed.

    python benchmarks/cohort.py --scans 200 --work /tmp/cohort

Every way must give the same tables and masks, and report the same five. Prints processor seconds a
case, which do not depend on what else the machine does, and seconds by the clock.
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
from pathlib import Path

import numpy as np

from brainmets.domain import Geometry, HeadPhantom, Volume
from brainmets.io import write_volume

SHAPE = (24, 28, 24)
ZOOM = 7.0
"""The phantom is rendered at 7 mm and declared as 1 mm: a head of 24 x 28 x 24 voxels."""

BROKEN = ("truncated", "text", "nan", "constant", "zip")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    out = {name: given.work / name for name in ("20", "whole", "parts", "killed", "dask")}
    for folder in out.values():
        shutil.rmtree(folder, ignore_errors=True)
    count = given.scans

    def command(source: Path, name: str, *options: str) -> list[str]:
        start = [sys.executable, "-c", "from brainmets.cli import main; main()"]
        options = ("--model", given.model, "--threads", "1", *options)
        return [*start, "segment", "--batch", str(source), "--out", str(out[name]), *options]

    said("20 scans, one process", *timed(command(small, "20")), 20)
    said(f"{count} scans, one process", *timed(command(scans, "whole")), count)
    parts = [timed(command(scans, "parts", "--part", f"{k}/3")) for k in (1, 2, 3)]
    said("in three parts", sum(p[0] for p in parts), sum(p[1] for p in parts), count)
    before = killed_in_the_middle(command(scans, "killed"), out["killed"], count // 3)
    seconds = timed(command(scans, "killed", "--resume"))
    said(f"killed with {before} finished, resumed", *seconds, count - before)
    before = killed_in_the_middle(
        command(scans, "dask", "--cluster", "local:2"), out["dask"], count // 3
    )
    seconds = timed(command(scans, "dask", "--cluster", "local:2", "--resume"))
    said(f"Dask, 2 workers, killed with {before} finished, resumed", *seconds, count - before)
    wanted = result_of(out["whole"])
    for name in ("parts", "killed", "dask"):
        assert result_of(out[name]) == wanted, f"{name} gave another result"
    done, failed = wanted[1], wanted[2]
    print(f"equal results on all four ways: {done} done, {len(failed)} reported: {failed}")
    assert (done, len(failed)) == (count - len(BROKEN), len(BROKEN))


def make_scans(folder: Path, count: int) -> None:
    """Write phantoms that differ, and the broken ones among them."""
    folder.mkdir(parents=True)
    image, _ = HeadPhantom().render(Geometry.isotropic(SHAPE, spacing_mm=ZOOM))
    rng = np.random.default_rng(0)
    geometry = Geometry.isotropic(SHAPE, spacing_mm=1.0)
    broken = dict(
        zip((k * count // len(BROKEN) + 1 for k in range(len(BROKEN))), BROKEN, strict=True)
    )
    for number in range(count):
        noise = rng.normal(0, 0.03, SHAPE).astype(np.float32)
        data = image.data * (1 + noise)
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


def timed(command: list[str]) -> tuple[float, float]:
    """Return processor and clock seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    code = subprocess.run(command, capture_output=True, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert code in {0, 2}, command
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - start


def killed_in_the_middle(command: list[str], out: Path, count: int) -> int:
    """Kill without warning after `count` finished cases; return how many are finished."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 3600
    while finished(out) < count and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(3)
    return finished(out)


def finished(out: Path) -> int:
    return sum(
        '"running"' not in path.read_text(encoding="utf-8")
        for path in out.glob("status/*.json")
        if not path.name.startswith(".")
    )


def result_of(out: Path) -> tuple[str, int, dict[str, str]]:
    """Return a checksum of all masks and lesions, the number done, and the codes of the others."""
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
    return digest.hexdigest(), sum(row["state"] == "done" for row in rows), failed


def said(what: str, used: float, seconds: float, cases: int) -> None:
    print(
        f"{what}: {used / cases:.3f} processor seconds a case, {seconds:.1f} s by the clock"
        f" (load {os.getloadavg()[0]:.1f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
