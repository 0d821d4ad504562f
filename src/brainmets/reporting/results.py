"""A report as the files a user takes away: mask, table, JSON, picture."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from brainmets.io import write_mask, write_slice_mask, write_volume
from brainmets.reporting.documents import (
    SCHEMA,
    lesions_csv,
    mask_comment,
    report_document,
    report_json,
)
from brainmets.reporting.names import BRAIN, CORRECTIONS, REPORT, outdated
from brainmets.reporting.overlay import draw_overlay
from brainmets.reporting.staging import check_output, staged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Report

__all__ = ["check_results_folder", "write_results"]

PNG_LEVEL = 2
"""Three quarters of level 4's time, and for these pictures fewer bytes."""


def check_results_folder(
    out_dir: Path, *, input_sha256: str | None = None, overwrite: bool = False
) -> None:
    """Refuse `out_dir` where its content may not be replaced.

    An earlier result of the same input may be, unless a reader has corrected it; anything else
    only with `overwrite`.

    Raises:
        OutputExists: choose another folder or overwrite.
    """
    check_output(
        out_dir,
        may_replace=lambda folder: (
            overwrite
            or (
                input_sha256 is not None
                and _input_of(folder) == input_sha256
                and not any((folder / name).exists() for name in CORRECTIONS)
            )
        ),
    )


def write_results(
    report: Report,
    out_dir: Path,
    *,
    probability: bool = False,
    overwrite: bool = False,
    timings: Mapping[str, float] | None = None,
) -> dict[str, Path]:
    """Write a report's files into `out_dir`, all of them or none.

    `mask.nii.gz` holds the lesion ids on the input's own grid, and in its header how they were
    found; slice images get `mask.png`, or
    `masks/<name>.png` each, of 0 and 255. `lesions.csv`, `report.json` and `overlay.png` are
    always there; with `probability` also `probability.nii.gz` (or PNG, 255 for 1), and of a fused
    model `uncertainty.nii.gz`, the standard deviation of its members' probabilities;
    `brain.nii.gz` where the report holds the brain mask.

    Returns:
        Paths by kind: `mask`, `lesions`, `report`, `overlay`, `probability`, `uncertainty`,
        `brain`.

    Raises:
        OutputExists: `out_dir` holds something else.
        DiskFull, OutputDiffers: the disk does not take the files.
    """
    check_results_folder(
        out_dir, input_sha256=report.prediction.provenance.input_sha256, overwrite=overwrite
    )
    with staged(out_dir, owned=outdated(out_dir)) as folder:
        with ThreadPoolExecutor(1, "maps") as beside:  # compression leaves Python to others
            maps = beside.submit(_write_maps, report, folder, probability=probability)
            (folder / "lesions.csv").write_text(lesions_csv(report), encoding="utf-8")
            draw_overlay(report).save(folder / "overlay.png", compress_level=PNG_LEVEL)
        names = maps.result()
        names |= {"lesions": "lesions.csv", "overlay": "overlay.png", "report": REPORT}
        document = report_document(report, timings=timings, files=tuple(sorted(names.values())))
        (folder / REPORT).write_text(report_json(document), encoding="utf-8")
    return {kind: out_dir / name for kind, name in names.items()}


def _write_maps(report: Report, folder: Path, *, probability: bool) -> dict[str, str]:
    names = _write_mask(report, folder)
    if report.brain is not None:
        write_mask(report.brain, folder / BRAIN)
        names["brain"] = BRAIN
    return names | (_write_probability(report, folder) if probability else {})


def _write_mask(report: Report, folder: Path) -> dict[str, str]:
    mask = report.prediction.mask
    if report.case.kind == "volume":
        comment = mask_comment(report.prediction.provenance, notice=report.notice)
        write_mask(mask, folder / "mask.nii.gz", comment=comment)
        return {"mask": "mask.nii.gz"}
    return {"mask": _write_slices(report, mask.data, folder, one="mask.png", many="masks")}


def _write_probability(report: Report, folder: Path) -> dict[str, str]:
    probability = report.prediction.probability
    if report.case.kind == "volume":
        write_volume(probability, folder / "probability.nii.gz")
        written = {"probability": "probability.nii.gz"}
        if report.prediction.uncertainty is not None:
            write_volume(report.prediction.uncertainty, folder / "uncertainty.nii.gz")
            written["uncertainty"] = "uncertainty.nii.gz"
        return written
    name = _write_slices(
        report, probability.data, folder, one="probability.png", many="probabilities"
    )
    return {"probability": name}


def _write_slices(
    report: Report, data: NDArray[np.generic], folder: Path, *, one: str, many: str
) -> str:
    """Write each slice (column, row) as a picture; return the name of the file or folder."""
    if data.shape[2] == 1:
        _write_slice(data[:, :, 0], folder / one)
        return one
    (folder / many).mkdir()
    for k, stem in enumerate(_stems(report.case.source.slice_names, data.shape[2])):
        _write_slice(data[:, :, k], folder / many / f"{stem}.png")
    return many


def _write_slice(plane: NDArray[np.generic], path: Path) -> None:
    if np.issubdtype(plane.dtype, np.unsignedinteger):
        write_slice_mask(plane, path)
        return
    from PIL import Image

    grey = np.rint(np.ascontiguousarray(plane.T).astype(np.float32) * 255).astype(np.uint8)
    Image.fromarray(grey).save(path)


def _stems(names: tuple[str, ...], count: int) -> list[str]:
    """One file stem a slice: the input's own where they are all there and all different."""
    if len(names) == count and len({n.casefold() for n in names}) == count:
        return list(names)
    return [f"slice-{k:04d}" for k in range(count)]


def _input_of(folder: Path) -> str | None:
    """The sha256 of the input that an earlier result in `folder` is about."""
    try:
        document = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        if document["schema"].partition("/")[0] != SCHEMA.partition("/")[0]:
            return None
        return str(document["provenance"]["input_sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
