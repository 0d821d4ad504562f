"""Real metastases on single slices: what 2-D networks find on patients they were not trained on.

Slices of BCBM-RadioGenomics, 8-bit, without spacing, one outlined lesion each: other lesions are
not outlined, so false positives cannot be counted. Prints the share of lesions found (touched by
what is marked), the mean Dice with all that is marked, and with the marks that touch the lesion,
with 95 % intervals by patient; for all slices, and for those with a visibly bright lesion.

    python -m benchmarks.metastases_slices attention-unet-2d unet-plus-plus-2d --fold 0
    python -m benchmarks.metastases_slices runs/fold-0/NAME --fold 0 --pictures pictures
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

from brainmets.evaluation import dice
from brainmets.evaluation.statistics import ratio_interval
from brainmets.inference import Bundle, Predictor, find_lesions
from brainmets.io import read_case, read_mask
from brainmets.training.patients import patient_fold
from brainmets.training.train import data_root

BRIGHT = 1.15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", help="names or folders")
    parser.add_argument("--fold", type=int, default=None, help="left out in training; all if none")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--pictures", type=Path, default=None, help="draw every slice into here")
    options = parser.parse_args()
    for name in options.bundles:
        bundle = Bundle.load(name)
        rows = list(_rows(bundle, options))
        for label, chosen in (("all", rows), ("bright", [r for r in rows if r["bright"]])):
            patients = sorted({r["patient"] for r in chosen})
            said = [
                f"{figure} {_interval(chosen, patients, figure)}"
                for figure in ("found", "dice", "dice_touching")
            ]
            print(f"{name} {label}: {len(chosen)} lesions of {len(patients)} patients: ", end="")
            print("; ".join(said))


def _rows(bundle: Bundle, options: argparse.Namespace):
    root = data_root() / "bcbm" / "slices"
    predictor = Predictor(bundle)
    with (root.parent / "slices.csv").open() as file:
        table = list(csv.DictReader(file))
    for row in table:
        if options.fold not in {None, patient_fold(row["patient"], options.folds)}:
            continue
        case = read_case(root / "images" / f"{row['slice']}.png")
        truth = read_mask(root / "masks" / f"{row['slice']}.png").foreground
        prepared = bundle.plan.apply(case)
        native = bundle.to_native(prepared, predictor.predict(prepared))
        mask, _ = find_lesions(native, bundle.operating_point, kind="slices")
        marked = mask.foreground
        touching = np.isin(mask.data, np.setdiff1d(mask.data[truth], 0))
        if options.pictures:
            _draw(case, truth, marked, options.pictures / f"{bundle.name}-{row['slice']}.png")
        yield {
            "patient": row["patient"],
            "bright": float(row["lesion_over_brain"]) >= BRIGHT,
            "found": float(touching.any()),
            "dice": dice(truth, marked),
            "dice_touching": dice(truth, touching),
        }


def _interval(rows: list[dict], patients: list[str], figure: str) -> str:
    of = [[r[figure] for r in rows if r["patient"] == patient] for patient in patients]
    interval = ratio_interval([sum(values) for values in of], [float(len(v)) for v in of])
    return f"{interval.value:.3f} [{interval.low:.3f}-{interval.high:.3f}]"


def _draw(case, truth: np.ndarray, marked: np.ndarray, path: Path) -> None:
    """The slice, and next to it the reference in green and the answer in red."""
    (image,) = case.images.values()
    plane = image.data[:, :, 0].T
    grey = np.clip(255 * plane / max(float(np.percentile(plane, 99.8)), 1e-6), 0, 255)
    plain = np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    painted = plain.copy()
    for where, channel in ((truth, 1), (marked, 0)):
        flat = where[:, :, 0].T
        inner = flat.copy()
        for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
            inner &= np.roll(flat, shift, axis)
        painted[flat & ~inner] = np.eye(3, dtype=np.uint8)[channel] * 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack([plain, painted])).save(path)


if __name__ == "__main__":
    main()
