"""Real metastases: what networks find on patients they were not trained on (BCBM-RadioGenomics).

Every exam is predicted by the bundle of the fold that its patient was left out of. The operating
point of a patient's exams is chosen on the other patients' predictions. Prints lesions found by
size, false positives a scan and Dice, with 95 % intervals by patient, and a FROC curve.

    python -m benchmarks.metastases runs/fold-0/NAME runs/fold-1/NAME runs/fold-2/NAME
    python -m benchmarks.metastases attention-unet-3d --fold 0    # a network that saw none of them
    python -m benchmarks.metastases A/NAME+B/NAME --fold 0        # two: the mean of their logits
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from scipy import ndimage

from brainmets.evaluation.statistics import ratio_interval
from brainmets.inference import Bundle, Predictor
from brainmets.inference.lesions import find_components
from brainmets.io import read_case, read_mask
from brainmets.training.patients import patient_fold, patients_of
from brainmets.training.train import data_root

SIZES_MM = ((0, 3), (3, 5), (5, 10), (10, 1000))
GROWS = (0.2, 0.3, 0.4, 0.5, 0.6)
PEAKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998)
VOLUMES_MM3 = (0.0, 15.0, 30.0, 60.0)
BRIGHT = 1.15
FALSE_RATES = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """The components of one exam at one growing threshold."""

    peaks: np.ndarray
    volumes_mm3: np.ndarray
    voxels: np.ndarray
    overlap: np.ndarray
    parts: tuple[tuple[int, ...], ...]
    """Reference parts that each component touches."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exam:
    """One exam, its reference parts and its components at every growing threshold."""

    name: str
    patient: str
    all_bright: bool
    voxels: int
    longest_mm: tuple[float, ...]
    bright: tuple[bool, ...]
    candidates: dict[float, Candidates] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Point:
    """How a probability map becomes lesions."""

    grow: float
    peak: float
    volume_mm3: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", help="one, or one a fold in order; A+B fuses two")
    parser.add_argument("--fold", type=int, default=None, help="the fold that one bundle left out")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--most-false", type=float, default=1.0, help="false positives a scan")
    parser.add_argument("--cache", type=Path, default=Path(".cache/metastases"))
    parser.add_argument("--json", type=Path, default=None, help="write the figures here as well")
    options = parser.parse_args()
    exams = list(_exams(options))
    figures = {"exams": len(exams), "patients": len({e.patient for e in exams})}
    figures["cross_tuned"] = _cross_tuned(exams, options.most_false)
    figures["froc"] = [_at_rate(exams, rate) for rate in FALSE_RATES]
    best = _best(exams, options.most_false)
    figures["point_on_all"] = asdict(best)
    print(_text(figures, options))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _exams(options: argparse.Namespace):
    root = data_root() / "bcbm"
    table = patients_of(root / "volumes.csv")
    with (root / "volumes.csv").open() as file:
        bright_exams = {r["exam"]: r["all_bright"] == "1" for r in csv.DictReader(file)}
    with (root / "lesions.csv").open() as file:
        rows = list(csv.DictReader(file))
    for fold in range(options.folds) if options.fold is None else (options.fold,):
        name = options.bundles[fold if len(options.bundles) > 1 else 0]
        members = [Bundle.load(part) for part in name.split("+")]
        predictors = [Predictor(bundle) for bundle in members]
        for exam, patient in sorted(table.items()):
            if patient_fold(patient, options.folds) != fold:
                continue
            parts = [r for r in rows if r["exam"] == exam]
            folder = root / "volumes" / exam
            truth = read_mask(folder / "seg.nii.gz").foreground
            probability, voxel_mm3 = _predicted(folder / "t1c.nii.gz", predictors, options.cache)
            labels = np.zeros(truth.shape, dtype=np.int32)
            ndimage.label(truth, structure=np.ones((3, 3, 3)), output=labels)
            yield Exam(
                name=exam,
                patient=patient,
                all_bright=bright_exams[exam],
                voxels=int(truth.sum()),
                longest_mm=tuple(float(r["longest_mm"]) for r in parts),
                bright=tuple(float(r["contrast_to_ring"]) >= BRIGHT for r in parts),
                candidates={g: _components(probability, labels, g, voxel_mm3) for g in GROWS},
            )


def _predicted(path: Path, predictors: list[Predictor], cache: Path) -> tuple[np.ndarray, float]:
    """Mean of the members' logits, back as a probability on the exam's own grid."""
    total, voxel = None, 1.0
    for predictor in predictors:
        key = hashlib.sha256(f"{predictor.bundle.sha256}{path.resolve()}".encode()).hexdigest()[:20]
        kept = cache / f"{key}.npz"
        if not kept.is_file():
            case = read_case(path)
            prepared = predictor.bundle.plan.apply(case)
            native = prepared.to_native(predictor.predict(prepared))
            cache.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(
                kept, p=native.data.astype(np.float16), v=native.geometry.voxel_volume_mm3
            )
        with np.load(kept) as stored:
            p, voxel = np.clip(stored["p"].astype(np.float32), 1e-4, 1 - 1e-4), float(stored["v"])
        logit = np.log(p / (1 - p))
        total = logit if total is None else total + logit
    return 1 / (1 + np.exp(-total / len(predictors))), voxel


def _components(
    probability: np.ndarray, labels: np.ndarray, grow: float, voxel_mm3: float
) -> Candidates:
    found = find_components(probability >= grow, probability, "volume")
    touched = [labels[tuple(c.voxels.T)] for c in found]
    return Candidates(
        peaks=np.array([c.probabilities.max() for c in found]),
        volumes_mm3=np.array([len(c.voxels) * voxel_mm3 for c in found]),
        voxels=np.array([len(c.voxels) for c in found]),
        overlap=np.array([np.count_nonzero(t) for t in touched]),
        parts=tuple(tuple(np.unique(t[t > 0]).tolist()) for t in touched),
    )


def _outcome(exam: Exam, point: Point) -> dict[str, float]:
    """Dice, false positives, and the bright parts found of each size."""
    c = exam.candidates[point.grow]
    kept = (c.peaks >= point.peak) & (c.volumes_mm3 >= point.volume_mm3) if len(c.peaks) else []
    kept = np.flatnonzero(kept)
    found = {part for index in kept for part in c.parts[index]}
    claimed, overlap = sum(c.voxels[i] for i in kept), sum(c.overlap[i] for i in kept)
    result = {
        "dice": 2 * overlap / (claimed + exam.voxels),
        "false": sum(not c.parts[index] for index in kept),
        "lost": sum(1 for n in range(1, len(exam.bright) + 1) if n not in found),
    }
    for number, (low, high) in enumerate(SIZES_MM):
        of_size = [
            part
            for part, (mm, bright) in enumerate(zip(exam.longest_mm, exam.bright, strict=True), 1)
            if bright and low <= mm < high
        ]
        result[f"there{number}"] = len(of_size)
        result[f"found{number}"] = len(found.intersection(of_size))
    return result


def _points() -> list[Point]:
    return [
        Point(grow=g, peak=p, volume_mm3=v)
        for g, p, v in product(GROWS, PEAKS, VOLUMES_MM3)
        if p >= g
    ]


def _best(exams: list[Exam], most_false: float) -> Point:
    """Of the points with at most so many false positives a scan that of most Dice and lesions."""

    def worth(point: Point) -> float:
        rows = [_outcome(exam, point) for exam in exams]
        false = np.mean([r["false"] for r in rows])
        if false > most_false:
            return -false
        sizes = [
            sum(r[f"found{n}"] for r in rows) / max(1, sum(r[f"there{n}"] for r in rows))
            for n in range(len(SIZES_MM))
        ]
        return float(np.mean([r["dice"] for r in rows]) + np.mean(sizes))

    return max(_points(), key=worth)


def _cross_tuned(exams: list[Exam], most_false: float) -> dict[str, object]:
    """Figures at points chosen on the other patients, in five groups of patients."""
    patients = sorted({exam.patient for exam in exams})
    group = {patient: n % 5 for n, patient in enumerate(patients)}
    rows, points = [], []
    for number in range(5):
        others = [e for e in exams if group[e.patient] != number]
        point = _best(others, most_false)
        points.append(asdict(point))
        rows += [(e, _outcome(e, point)) for e in exams if group[e.patient] == number]
    return {"points": points, **_summary(rows)}


def _summary(rows: list[tuple[Exam, dict[str, float]]]) -> dict[str, object]:
    patients = sorted({exam.patient for exam, _ in rows})

    def ratio(top, bottom) -> list[float]:
        tops = [sum(top(e, r) for e, r in rows if e.patient == p) for p in patients]
        bottoms = [sum(bottom(e, r) for e, r in rows if e.patient == p) for p in patients]
        interval = ratio_interval(tops, bottoms)
        return [interval.value, interval.low, interval.high]

    found: dict[str, object] = {
        "dice_all": ratio(lambda _e, r: r["dice"], lambda _e, _r: 1.0),
        "dice_all_bright": ratio(
            lambda e, r: r["dice"] * e.all_bright, lambda e, _r: float(e.all_bright)
        ),
        "false_a_scan": ratio(lambda _e, r: r["false"], lambda _e, _r: 1.0),
    }
    for number, (low, high) in enumerate(SIZES_MM):
        found[f"found_{low}_{high}"] = ratio(
            lambda _e, r, n=number: r[f"found{n}"], lambda _e, r, n=number: r[f"there{n}"]
        )
        found[f"there_{low}_{high}"] = sum(r[f"there{number}"] for _, r in rows)
    found["cases"] = {e.name: round(r["dice"], 3) for e, r in rows}
    return found


def _at_rate(exams: list[Exam], rate: float) -> dict[str, object]:
    point = _best(exams, rate)
    rows = [_outcome(exam, point) for exam in exams]
    return {
        "rate": rate,
        "false": float(np.mean([r["false"] for r in rows])),
        "found": [
            sum(r[f"found{n}"] for r in rows) / max(1, sum(r[f"there{n}"] for r in rows))
            for n in range(len(SIZES_MM))
        ],
        "dice": float(np.mean([r["dice"] for r in rows])),
        "point": asdict(point),
    }


def _text(figures: dict, options: argparse.Namespace) -> str:
    tuned = figures["cross_tuned"]

    def said(name: str) -> str:
        return "{:.3f} [{:.3f}-{:.3f}]".format(*tuned[name])

    lines = [
        f"{' '.join(options.bundles)}: {figures['exams']} exams of {figures['patients']} patients",
        f"points chosen on other patients, at most {options.most_false} false positives a scan:",
        f"  Dice, all exams {said('dice_all')}",
        f"  Dice, exams with bright lesions only {said('dice_all_bright')}",
        f"  false positives a scan {said('false_a_scan')}",
    ]
    for low, high in SIZES_MM:
        there = tuned[f"there_{low}_{high}"]
        lines.append(
            f"  found of {there} bright lesions {low}-{high} mm: {said(f'found_{low}_{high}')}"
        )
    lines.append("points chosen on these exams themselves (a hopeful curve):")
    for row in figures["froc"]:
        found = " ".join(f"{value:.2f}" for value in row["found"])
        lines.append(
            f"  <= {row['rate']:g} false: {row['false']:.2f}; found {found}; Dice {row['dice']:.3f}"
            f"; {row['point']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
