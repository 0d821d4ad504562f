"""Score a folder of predictions against a folder of references."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from brainmets.domain import Mask, Volume, silent
from brainmets.domain.errors import (
    BrainmetsError,
    DatasetLayout,
    FileMissing,
    OptionError,
    OutputExists,
    VoxelType,
)
from brainmets.evaluation.label_schemes import (
    LabelFacts,
    LabelScheme,
    check_labels,
    facts_of,
    relabelled,
)
from brainmets.evaluation.records import (
    LESION_COLUMNS,
    ScoreRun,
    case_document,
    case_from_document,
    lesion_rows,
    run_document,
    run_from_document,
    score_rows,
)
from brainmets.evaluation.scorers import SCORERS, default_regions, score_case
from brainmets.io import read_mask, read_volume
from brainmets.io.datasets.finding import find_probabilities
from brainmets.io.datasets.identity import case_of, patient_of
from brainmets.io.datasets.pairing import MaskPair, pair_masks
from brainmets.workflows.cohort import CaseStatus, CohortCase, CohortOptions, run_cohort
from brainmets.workflows.pool import map_cases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brainmets.domain import Progress
    from brainmets.evaluation.brats_2026 import SpacingOrder
    from brainmets.evaluation.label_schemes import RegionScheme
    from brainmets.evaluation.scores import CaseScore, EmptyPolicy, ScorerName

__all__ = ["EvaluateOptions", "MissingPolicy", "evaluate", "read_scores", "write_scores"]

MissingPolicy = Literal["report", "as-empty"]
"""A reference without a prediction is only reported, or scored against an empty mask."""

_Labels = tuple[LabelFacts | None, LabelFacts | None]
"""Of a reference and a prediction; None where one could not be read, or there is none."""

FILES = ("scores.json", "scores.csv", "lesions.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """How to score.

    Attributes:
        scorer: `brats-2023`, `brats-2024`, `brats-2026` or `brainmets`.
        regions: `brats` or `binary`; None means what the scorer is made for.
        empty: What a region is worth that is empty on both sides.
        missing: What becomes of a reference without a prediction.
        probability: Folder or file of probability maps, for the FROC curve (brainmets only);
            None looks for `probability.nii.gz` next to each prediction.
        spacing_order: `official` repeats the 2026 package's mistake with thick slices.
        jobs: Processes; None means one a core.
        patients: Patient by case id, where names do not tell.
        reference_labels: What the labels of the expert's masks mean, for BraTS regions.
        prediction_labels: The same of the model's masks.
        original: Of results of brainmets, score the mask as found, not as a reader corrected it.
        accept_guesses: Whether pairs whose names are not equal are meant so.
    """

    scorer: ScorerName = "brainmets"
    regions: RegionScheme | None = None
    empty: EmptyPolicy = "official"
    missing: MissingPolicy = "report"
    probability: Path | None = None
    spacing_order: SpacingOrder = "official"
    jobs: int | None = None
    patients: Mapping[str, str] | None = None
    reference_labels: LabelScheme = "auto"
    prediction_labels: LabelScheme = "auto"
    original: bool = False
    accept_guesses: bool = False

    @property
    def scheme(self) -> RegionScheme:
        """The regions that are scored."""
        return self.regions or default_regions(self.scorer)

    def __post_init__(self) -> None:
        """Refuse a scorer that does not exist.

        Raises:
            OptionError: the scorer's name is none of ours, or there are no processes.
        """
        if self.scorer not in SCORERS:
            raise OptionError(
                f"scorer {self.scorer}", expected=" | ".join(SCORERS), remedy="choose one of these"
            )
        if self.jobs is not None and self.jobs < 1:
            raise OptionError(
                f"{self.jobs} jobs", expected="at least one", remedy="leave --jobs out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One case to score, small enough to send to another process."""

    pair: MaskPair
    patient: str
    probability: Path | None
    options: EvaluateOptions


def evaluate(
    reference: Path,
    prediction: Path,
    options: EvaluateOptions | None = None,
    progress: Progress = silent,
    *,
    record: Path | None = None,
    cohort: CohortOptions | None = None,
) -> ScoreRun:
    """Score every pair; cost grows with the number of cases, memory does not.

    A case that cannot be read or whose grids differ is listed under `failed` and does not stop the
    others. Progress comes as stage "score". With a folder `record`, every case's status is kept in
    it, and `cohort` says which cases to score, and where.

    Raises:
        FileMissing, DatasetLayout: a folder holds no masks, or nothing could be paired.
        LabelsUnknown: the masks of a side are in other labels than the regions that are scored.
    """
    options = options or EvaluateOptions()
    pairing = pair_masks(reference, prediction, original=options.original)
    pairs = list(pairing.pairs)
    if options.missing == "as-empty":
        pairs += pairing.only_reference
    if not pairs:
        raise DatasetLayout(
            f"no case of {reference.name} among the {len(pairing.only_prediction)} in "
            f"{prediction.name}",
            expected="file names that share a case id",
            remedy="name predictions after their cases, such as CASE.nii.gz",
        )
    maps = find_probabilities(options.probability) if options.probability else {}
    known = options.patients or {}
    tasks = [
        _Task(
            pair=pair,
            patient=known.get(pair.case_id) or patient_of(pair.case_id),
            probability=_map_of(pair, maps) or _beside(pair.prediction),
            options=options,
        )
        for pair in pairs
    ]
    settings = {
        "regions": options.scheme,
        "empty": options.empty,
        "missing": options.missing,
        "spacing_order": options.spacing_order,
        "reference_labels": options.reference_labels,
        "prediction_labels": options.prediction_labels,
        "reference": str(reference.resolve()),
        "prediction": str(prediction.resolve()),
    }
    found: list[_Scored] = []

    def take(one: _Scored) -> None:
        found.append(one)
        progress("score", len(found) / len(tasks))

    unfinished: tuple[str, ...] = ()
    if record is None:
        for one in map_cases(_score, tasks, options.jobs):
            take(one)
    else:
        run = run_cohort(
            "evaluate",
            _score_document,
            [_case_of(task) for task in tasks],
            record,
            cohort or CohortOptions(jobs=options.jobs),
            settings={"scorer": options.scorer, **settings},
            on_status=lambda status, _new: take(_recorded(status)),
        )
        found = [_recorded(status) for status in run.finished]
        unfinished = run.unfinished
    notes = [*pairing.notes, *_check_labels([one.labels for one in found], options)]
    if options.scorer == "brainmets" and options.probability:
        without = [task.pair.case_id for task in tasks if task.probability is None]
        notes += [f"{case}: no probability map." for case in without]
    scored = {one.case_id: one.outcome for one in found}
    ordered = [scored[name] for task in tasks if (name := task.pair.case_id) in scored]
    return ScoreRun(
        scorer=options.scorer,
        settings=settings,
        unfinished=unfinished,
        cases=tuple(one for one in ordered if not isinstance(one, str)),
        unpaired_reference=tuple(pair.case_id for pair in pairing.only_reference),
        unpaired_prediction=pairing.only_prediction,
        failed={name: line for name, line in sorted(scored.items()) if isinstance(line, str)},
        files={
            pair.case_id: (_below(pair.reference, reference), _below(pair.prediction, prediction))
            for pair in pairs
        },
        guessed=() if options.accept_guesses else tuple(p.case_id for p in pairing.guesses),
        left_aside=pairing.left_aside,
        notes=tuple(notes),
    )


def _check_labels(facts: Sequence[_Labels], options: EvaluateOptions) -> list[str]:
    """Refuse a side whose masks are in another scheme; note what any-label scoring takes in."""
    notes: list[str] = []
    for side, scheme, looked in (
        ("reference", options.reference_labels, [one[0] for one in facts]),
        ("prediction", options.prediction_labels, [one[1] for one in facts]),
    ):
        known = [one for one in looked if one is not None]
        if options.scheme == "brats" and scheme == "auto":
            check_labels(known, side)
        if options.scheme == "binary" and any(one.has_oedema for one in known):
            notes.append(
                f"Some {side} masks hold several labels, as BraTS masks do: every label counts as"
                " lesion, oedema too. Score regions with --regions brats."
            )
    return notes


def write_scores(run: ScoreRun, out: Path) -> dict[str, Path]:
    """Write scores.json, scores.csv and lesions.csv; all three or none, replacing earlier ones.

    Raises:
        OutputExists: the path is a file.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists(
            f"{out.name} is a file", expected="a folder", remedy="name another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    rows = score_rows(run)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".scores-") as scratch:
        folder = Path(scratch)
        document = json.dumps(run_document(run), indent=1, allow_nan=False, ensure_ascii=False)
        (folder / "scores.json").write_text(document + "\n", encoding="utf-8")
        _write_table(folder / "scores.csv", columns, rows)
        _write_table(folder / "lesions.csv", LESION_COLUMNS, lesion_rows(run))
        for name in FILES:
            shutil.move(folder / name, out / name)
    return {name: out / name for name in FILES}


def read_scores(folder: Path) -> ScoreRun:
    """Read back what `write_scores` wrote.

    Raises:
        FileMissing: the folder or one of its files is not there.
        DatasetLayout: the files are not scores, or of another version.
    """
    for name in ("scores.json", "lesions.csv"):
        if not (folder / name).is_file():
            raise FileMissing(
                f"no {name} in {folder.name}",
                expected="a folder written by brainmets evaluate",
                remedy="run brainmets evaluate first, or add --reference to score masks now",
            )
    try:
        document = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        with (folder / "lesions.csv").open(encoding="utf-8", newline="") as file:
            return run_from_document(document, list(csv.DictReader(file)))
    except (KeyError, ValueError, TypeError) as fault:
        raise DatasetLayout(
            f"{folder.name} holds no scores that can be read",
            expected="scores.json and lesions.csv of this version",
            remedy="score again with brainmets evaluate",
        ) from fault


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _below(file: Path | None, root: Path) -> str:
    """Return a file's name below the folder it was found in."""
    if file is None:
        return ""
    return file.name if file == root else file.relative_to(root).as_posix()


def _map_of(pair: MaskPair, maps: Mapping[str, Path]) -> Path | None:
    """Return the probability map of a pair: of its id, else of its prediction's own."""
    own = case_of(pair.prediction) if pair.prediction else pair.case_id
    return maps.get(pair.case_id) or maps.get(own)


def _beside(prediction: Path | None) -> Path | None:
    """Return the probability map that `brainmets segment --probability` leaves next to a mask."""
    if prediction is None:
        return None
    path = prediction.with_name("probability.nii.gz")
    return path if path.is_file() else None


class _Scored(NamedTuple):
    """What became of one case: its score, or a line that says why not; its masks' labels."""

    case_id: str
    outcome: CaseScore | str
    labels: _Labels


def _score(task: _Task) -> _Scored:
    """Score one case, or say in one line why not."""
    looked: list[LabelFacts] = []
    try:
        outcome = _score_masks(task, looked)
    except BrainmetsError as fault:
        outcome = str(fault)
    return _Scored(task.pair.case_id, outcome, _both(looked))


def _score_document(task: _Task) -> dict[str, Any]:
    """Score one case; its scores and its masks' labels as JSON can hold them."""
    looked: list[LabelFacts] = []
    document = case_document(_score_masks(task, looked))
    labels = [{"labels": sorted(one.labels), "numbered": one.numbered} for one in looked]
    return {"score": document, "labels": labels}


def _recorded(status: CaseStatus) -> _Scored:
    """Return what `_score` would, from a case's status; a failed one's labels are not kept."""
    if status.state == "failed":
        return _Scored(status.case, status.line, (None, None))
    labels = [
        LabelFacts(labels=frozenset(one["labels"]), numbered=one["numbered"])
        for one in status.result["labels"]
    ]
    return _Scored(status.case, case_from_document(status.result["score"]), _both(labels))


def _both(looked: Sequence[LabelFacts]) -> _Labels:
    first, second, *_ = (*looked, None, None)
    return first, second


def _case_of(task: _Task) -> CohortCase:
    files = (task.pair.reference, task.pair.prediction, task.probability)
    inputs = tuple(path for path in files if path is not None)
    return CohortCase(name=task.pair.case_id, inputs=inputs, task=task)


def _score_masks(task: _Task, looked: list[LabelFacts]) -> CaseScore:
    """Score one case; note in `looked` the labels of each mask that could be read.

    Raises:
        InputError: a mask cannot be read, or their grids differ.
    """
    options, pair = task.options, task.pair
    reference = read_mask(pair.reference)
    looked.append(facts_of(reference))
    if pair.prediction is None:
        nothing = np.zeros(reference.geometry.shape, np.uint8)
        prediction = Mask(data=nothing, geometry=reference.geometry)
    else:
        prediction = read_mask(pair.prediction)
        looked.append(facts_of(prediction))
    if options.scheme == "brats":
        reference = relabelled(reference, options.reference_labels, pair.reference.name)
        if pair.prediction is not None:
            prediction = relabelled(prediction, options.prediction_labels, pair.prediction.name)
    probability: Volume | None = None
    if options.scorer == "brainmets" and task.probability is not None:
        probability = _read_probability(task.probability)
    return score_case(
        reference,
        prediction,
        case_id=pair.case_id,
        patient=task.patient,
        scorer=options.scorer,
        regions=options.regions,
        empty=options.empty,
        probability=probability,
        spacing_order=options.spacing_order,
    )


def _read_probability(path: Path) -> Volume:
    """Read probabilities from 0 to 1; of pictures 255 is 1.

    Raises:
        VoxelType: the values are none.
    """
    volume = read_volume(path)
    if path.suffix.lower() == ".png":
        volume = Volume(data=volume.data / np.float32(255), geometry=volume.geometry)
    low, high = float(volume.data.min()), float(volume.data.max())
    if low < 0.0 or high > 1.0 + 1e-3:
        raise VoxelType(
            f"values from {low:.3g} to {high:.3g} in {path.name}",
            expected="probabilities from 0 to 1",
            remedy="name the probability maps, not images or logits",
        )
    return volume
