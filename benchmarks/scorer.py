"""Our 2026 scorer against the official package: the same numbers, how much faster; how it scales.

    python benchmarks/scorer.py                 both scorers on the four cases of mets-scoring
    python benchmarks/scorer.py --scale 1000    ours on up to 1,000 phantom cases: time and memory

The official package (BraTS_evaluation with panoptica) is installed into an environment of this
benchmark's own, under ~/.cache/brainmets-benchmarks, and nowhere else. Each round lets both scorers
read and score every case in one process each, one after the other; the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("BRAINMETS_DATA", REPOSITORY.parent / "shared" / "data"))
CACHE = Path(os.environ.get("BRAINMETS_BENCHMARKS", Path.home() / ".cache/brainmets-benchmarks"))
PACKAGE = "brats_evaluation==0.0.10"
GOAL = 5.0
TOLERANCE = 1e-6

OFFICIAL = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from importlib.resources import files
from panoptica import Panoptica_Evaluator
config = str(files("brats_evaluation").joinpath("configs", "config_mets.yaml"))
evaluator = Panoptica_Evaluator.load_from_config(config)
out = {}
for reference, prediction in json.load(open(sys.argv[1])):
    start, cpu = time.perf_counter(), time.process_time()
    result = evaluator.evaluate(prediction, reference)
    regions = {name: one.to_dict(True) for name, one in result.items()}
    out[reference] = [time.perf_counter() - start, time.process_time() - cpu, regions]
json.dump(out, open(sys.argv[2], "w"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scale", type=int, metavar="CASES", help="phantoms instead")
    parser.add_argument("--jobs", type=int, default=2, help="processes for --scale")
    parser.add_argument("--ours", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        score_ours(Path(arguments.ours[0]), Path(arguments.ours[1]))
    elif arguments.scale:
        scale(arguments.scale, arguments.jobs)
    else:
        against_official(arguments.rounds)


def official_python() -> Path:
    """Return the interpreter of the benchmark's environment, made on the first run."""
    given = os.environ.get("BRAINMETS_OFFICIAL_PYTHON")
    if given:
        return Path(given)
    python = CACHE / "official" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "official")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", PACKAGE], check=True)
    return python


def pairs() -> list[tuple[str, str]]:
    folder = DATA / "mets-scoring" / "sample_data"
    found = []
    for reference in sorted((folder / "ref").iterdir()):
        number = re.search(r"\d{5}-\d{3}", reference.name)
        assert number is not None
        prediction = next((folder / "pred").glob(f"*{number[0]}.nii.gz"))
        found.append((str(reference), str(prediction)))
    return found


def score_ours(todo: Path, out: Path) -> None:
    from brainmets.evaluation.brats_2026 import score_brats_2026
    from brainmets.evaluation.label_schemes import BRATS_REGIONS
    from brainmets.io import read_mask

    warm = np.full((4, 4, 4), 3, np.uint8)
    other = warm.copy()
    other[0] = 0
    score_brats_2026(warm, other, (1.0, 1.0, 1.0), BRATS_REGIONS)  # imports, as theirs are done
    results = {}
    for reference_path, prediction_path in json.loads(todo.read_text()):
        start, cpu = time.perf_counter(), time.process_time()
        reference, prediction = read_mask(Path(reference_path)), read_mask(Path(prediction_path))
        scores = score_brats_2026(
            reference.data, prediction.data, reference.geometry.spacing_mm, BRATS_REGIONS
        )
        seconds, busy = time.perf_counter() - start, time.process_time() - cpu
        regions = {one.region: dict(one.values) for one in scores}
        results[reference_path] = [seconds, busy, regions]
    out.write_text(json.dumps(results))


def against_official(rounds: int) -> None:
    python = official_python()
    times: dict[str, list[list[float]]] = {}
    worst, compared = 0.0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        todo = folder / "pairs.json"
        todo.write_text(json.dumps(pairs()))
        (folder / "official.py").write_text(OFFICIAL)
        for _ in range(rounds):
            theirs_out, ours_out = folder / "theirs.json", folder / "ours.json"
            subprocess.run(
                [str(python), str(folder / "official.py"), str(todo), str(theirs_out)],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            command = [sys.executable, __file__, "--ours", str(todo), str(ours_out)]
            subprocess.run(command, check=True)
            theirs, ours = json.loads(theirs_out.read_text()), json.loads(ours_out.read_text())
            for case, (seconds, busy, regions) in theirs.items():
                times.setdefault(case, []).append([seconds, ours[case][0], busy, ours[case][1]])
                difference, count = largest_difference(regions, ours[case][2])
                worst, compared = max(worst, difference), compared + count
    print(f"{'case':32} {'official s':>10} {'brainmets s':>11} {'ratio':>6} {'ratio CPU':>9}")
    total = np.zeros(4)
    for case, rows in times.items():
        best = np.min(rows, axis=0)
        total += best
        print_row(Path(case).name, best)
    print_row("together", total)
    ratio = total[0] / total[1]
    print(f"goal: ratio ≥ {GOAL:g}")
    print(f"{compared} numbers compared, largest difference {worst:.1e} (goal ≤ {TOLERANCE:g})")
    if ratio < GOAL or worst > TOLERANCE:
        raise SystemExit(1)


def print_row(name: str, seconds: np.ndarray) -> None:
    theirs, ours, theirs_cpu, ours_cpu = seconds
    print(
        f"{name:32} {theirs:10.2f} {ours:11.3f} {theirs / ours:6.1f} {theirs_cpu / ours_cpu:9.1f}"
    )


def largest_difference(
    theirs: dict[str, dict[str, object]], ours: dict[str, dict[str, float]]
) -> tuple[float, int]:
    worst, count = 0.0, 0
    for region, values in theirs.items():
        for name, value in values.items():
            if not isinstance(value, (int, float)) or name not in ours[region]:
                continue
            mine = ours[region][name]
            count += 1
            if not (math.isnan(value) and math.isnan(mine)) and value != mine:
                worst = max(worst, abs(value - mine) if not math.isnan(value + mine) else math.inf)
    return worst, count


def scale(cases: int, jobs: int) -> None:
    """Score 1/8, 1/4, 1/2 and all of the cases; print time, time a case, peak memory."""
    from brainmets.workflows.evaluate import EvaluateOptions, evaluate, write_scores

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_phantoms(folder, cases)
        print(f"{'cases':>6} {'s':>7} {'CPU ms a case':>13} {'peak MB parent':>14} {'worker':>6}")
        for part in (cases // 8, cases // 4, cases // 2, cases):
            reference, prediction = folder / f"r{part}", folder / f"p{part}"
            for source, target in (("reference", reference), ("prediction", prediction)):
                target.mkdir()
                for number in range(part):
                    name = f"P{number:05d}.nii.gz"
                    os.link(folder / source / name, target / name)
            start, busy = time.perf_counter(), cpu_seconds()
            run = evaluate(reference, prediction, EvaluateOptions(jobs=jobs))
            write_scores(run, folder / "out")
            seconds, busy = time.perf_counter() - start, cpu_seconds() - busy
            assert len(run.cases) == part
            parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            each = 1000 * busy / part
            print(f"{part:6} {seconds:7.1f} {each:13.1f} {parent:14.0f} {worker:6.0f}", flush=True)
            shutil.rmtree(reference)
            shutil.rmtree(prediction)


def cpu_seconds() -> float:
    """Return the processor time of this process and its finished children: blind to other load."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(one) for one in whose]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def write_phantoms(folder: Path, cases: int) -> None:
    """Write heads of 96×112×96 voxels with one to eight lesions and an imperfect prediction."""
    from brainmets.domain import Geometry, Mask
    from brainmets.io import write_mask

    grid = Geometry.isotropic((96, 112, 96), spacing_mm=1.5)
    for number in range(cases):
        rng = np.random.default_rng(number)
        reference = np.zeros(grid.shape, np.uint8)
        prediction = np.zeros(grid.shape, np.uint8)
        for _ in range(int(rng.integers(1, 9))):
            radius = int(rng.integers(1, 7))
            centre = [int(rng.integers(10, n - 10)) for n in grid.shape]
            box = tuple(slice(c - radius, c + radius + 1) for c in centre)
            reach = np.arange(-radius, radius + 1) ** 2
            ball = reach[:, None, None] + reach[None, :, None] + reach <= radius**2
            reference[box][ball] = 1
            if rng.random() < 0.8:
                prediction[box][ball] = 1
        if rng.random() < 0.5:
            prediction[20:23, 20:23, 20:23] = 1
        shifted = np.roll(prediction, int(rng.integers(0, 2)), axis=0)
        for name, data in (("reference", reference), ("prediction", shifted)):
            (folder / name).mkdir(exist_ok=True)
            write_mask(Mask(data=data, geometry=grid), folder / name / f"P{number:05d}.nii.gz")


if __name__ == "__main__":
    main()
