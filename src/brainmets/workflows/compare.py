"""Compare models on the same patients, and write a report that can be printed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import silent
from brainmets.domain.errors import BrainmetsError, OptionError, OutputExists
from brainmets.evaluation.comparison import Comparison, compare_runs
from brainmets.evaluation.label_schemes import REGION_SCHEMES, region_mask
from brainmets.io import read_mask, read_volume
from brainmets.io.datasets.finding import find_scans
from brainmets.io.datasets.pairing import pair_masks
from brainmets.reporting.comparison import comparison_html
from brainmets.reporting.comparison_pdf import CaseView, comparison_pdf, draw_cases, draw_plots
from brainmets.workflows.documents import plain, write_files
from brainmets.workflows.evaluate import EvaluateOptions, evaluate, read_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Progress
    from brainmets.evaluation.records import ScoreRun

__all__ = ["CompareOptions", "compare", "comparison_document"]

SCHEMA = "brainmets-comparison/1"

WORST_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """How to compare.

    Attributes:
        reference: Expert masks, if the models are given as masks rather than scores.
        images: Folder of scans to draw the worst cases on.
        region: Which region; None means the first.
        names: One a model; None means their folders' names.
        scoring: How to score masks.
    """

    reference: Path | None = None
    images: Path | None = None
    region: str | None = None
    names: tuple[str, ...] = ()
    scoring: EvaluateOptions = field(default_factory=EvaluateOptions)


def compare(
    models: Sequence[Path],
    out: Path,
    options: CompareOptions | None = None,
    progress: Progress = silent,
) -> tuple[Comparison, tuple[Path, ...]]:
    """Compare folders of scores, or of masks if a reference is given; write three files.

    Progress comes as stages "score" (for masks) and "report".

    Raises:
        InputError: as `evaluate` and `read_scores`.
        OptionError: the models cannot be compared, or the extra `report` is missing.
        OutputExists: `out` is a file.
    """
    options = options or CompareOptions()
    if out.exists() and not out.is_dir():
        raise OutputExists(
            f"{out.name} is a file", expected="a folder", remedy="name another folder"
        )
    names = _names(models, options.names)
    runs: list[ScoreRun] = []
    for number, model in enumerate(models):
        if options.reference is None:
            runs.append(read_scores(model))
        else:
            share = _Share(progress, number, len(models))
            runs.append(evaluate(options.reference, model, options.scoring, share))
    comparison = compare_runs(runs, names, region=options.region)
    progress("report", 0.0)
    plots = draw_plots(comparison)
    progress("report", 0.4)
    cases_svg = _worst_cases(comparison, runs, models, options)
    progress("report", 0.6)
    files = {
        "comparison.json": (
            json.dumps(comparison_document(comparison), indent=1, ensure_ascii=False) + "\n"
        ).encode(),
        "comparison.html": comparison_html(comparison, plots, cases_svg=cases_svg).encode(),
        "comparison.pdf": comparison_pdf(comparison, plots, cases_svg=cases_svg),
    }
    written = write_files(files, out)
    progress("report", 1.0)
    return comparison, written


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return the tests as a JSON document; NaN becomes null."""
    return {
        "schema": SCHEMA,
        "scorer": comparison.scorer,
        "region": comparison.region,
        "models": [
            {
                "name": model.name,
                "cases": model.summary.cases,
                "patients": model.summary.patients,
                "means": {name: plain(asdict(i)) for name, i in model.summary.means.items()},
                "by_diameter": [plain(asdict(one)) for one in model.summary.by_diameter],
                "froc_score": None if model.summary.froc is None else model.summary.froc.score,
            }
            for model in comparison.models
        ],
        "pairs": [plain(asdict(pair)) for pair in comparison.pairs],
        "left_out": list(comparison.left_out),
        "remarks": list(comparison.remarks),
        "worst": list(comparison.worst),
        "verdicts": list(comparison.conclusions),
    }


class _Share:
    """Progress of one model among several."""

    def __init__(self, progress: Progress, number: int, of: int) -> None:
        self._progress, self._number, self._of = progress, number, of

    def __call__(self, stage: str, done: float, /) -> None:
        self._progress(stage, (self._number + done) / self._of)


def _names(models: Sequence[Path], given: Sequence[str]) -> tuple[str, ...]:
    if given and len(given) != len(models):
        raise OptionError(
            f"{len(given)} names for {len(models)} models",
            expected="one name a model",
            remedy="separate names by commas",
        )
    names = tuple(given) or tuple(model.resolve().name for model in models)
    if len(set(names)) == len(names):
        return names
    return tuple(f"{name} ({n})" for n, name in enumerate(names, start=1))


def _worst_cases(
    comparison: Comparison,
    runs: Sequence[ScoreRun],
    models: Sequence[Path],
    options: CompareOptions,
) -> str | None:
    """Draw the worst cases, if the masks can still be found."""
    folders = _mask_folders(runs, models, options)
    if folders is None:
        return None
    reference, predictions = folders
    try:
        paired = [
            {pair.case_id: pair for pair in pair_masks(reference, folder).pairs}
            for folder in predictions
        ]
        images = find_scans(options.images) if options.images else {}
    except BrainmetsError:
        return None  # the masks have moved since they were scored: the report goes without
    views: list[CaseView] = []
    for case in comparison.worst[:WORST_SHOWN]:
        if all(case in pairs for pairs in paired):
            files = [pairs[case].prediction for pairs in paired]
            view = _view(
                case,
                comparison,
                [paired[0][case].reference, *(file for file in files if file)],
                images.get(case),
            )
            views += [view] if view else []
    return draw_cases(views) if views else None


def _mask_folders(
    runs: Sequence[ScoreRun], models: Sequence[Path], options: CompareOptions
) -> tuple[Path, list[Path]] | None:
    """Return where the masks are: as given, or as the scores remember."""
    if options.reference is not None:
        return options.reference, list(models)
    noted = [(run.settings.get("reference"), run.settings.get("prediction")) for run in runs]
    if any(not one or not other for one, other in noted):
        return None
    reference, predictions = Path(str(noted[0][0])), [Path(str(other)) for _, other in noted]
    if not reference.exists() or not all(folder.exists() for folder in predictions):
        return None
    return reference, predictions


def _view(
    case: str, comparison: Comparison, files: Sequence[Path], image: Path | None
) -> CaseView | None:
    """Cut the slice with the largest disagreement; None if a file cannot be read any more."""
    scheme = "brats" if comparison.region in REGION_SCHEMES["brats"] else "binary"
    wanted = REGION_SCHEMES[scheme][comparison.region]
    try:
        masks = [read_mask(file) for file in files]
        geometry = masks[0].geometry
        volume = read_volume(image) if image else None
    except BrainmetsError:
        return None
    drawn = [region_mask(mask.data, wanted) for mask in masks]
    background = drawn[0].astype(np.float32) * 0.3
    if volume is not None and volume.geometry.same_grid(geometry):
        background = volume.data
    axis = geometry.slice_axis
    others = tuple(n for n in range(3) if n != axis)
    disagreement = np.sum([np.sum(drawn[0] != one, axis=others) for one in drawn[1:]], axis=0)
    number = int(np.argmax(disagreement))
    spacing = [s for n, s in enumerate(geometry.spacing_mm) if n != axis]

    def cut(data: NDArray[Any]) -> NDArray[Any]:
        return np.take(data, number, axis=axis).T[::-1]

    names = ("reference", *(model.name for model in comparison.models))
    outlines = [(name, cut(one)) for name, one in zip(names, drawn, strict=True)]
    return case, cut(background), outlines, spacing[1] / spacing[0]
