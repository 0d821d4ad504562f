"""Scores as documents, and back: what `scores.json` and `lesions.csv` hold."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, cast

from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.evaluation.cohort import RegionSummary, summarise
from brainmets.evaluation.froc import FROC_RATES, Froc
from brainmets.evaluation.scores import CaseScore, LesionScore, RegionScore, ScorerName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "LESION_COLUMNS",
    "SCHEMA",
    "ScoreRun",
    "case_document",
    "case_from_document",
    "lesion_rows",
    "run_document",
    "run_from_document",
    "run_remarks",
    "score_rows",
]

SCHEMA = "brainmets-scores/1"
"""Name and version of the layout of scores.json; the number rises when a field changes."""

LESION_COLUMNS = (
    "case_id",
    "patient",
    "region",
    *(field.name for field in fields(LesionScore)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRun:
    """Everything one run of a scorer gave.

    Attributes:
        scorer: Whose definition.
        settings: What the run was told, for the record.
        cases: One score a case.
        unpaired_reference: Cases without a prediction.
        unpaired_prediction: Predictions without a reference.
        failed: Error line by case, for cases that could not be scored.
        files: What was paired, by case: names below the two folders.
        guessed: Cases whose two names are not equal, so that the pair is a guess.
        left_aside: Files of either side whose case has no mask.
        notes: Sentences on what was scored.
        unfinished: Cases that other parts of the cohort score.
    """

    scorer: ScorerName
    settings: Mapping[str, str]
    cases: tuple[CaseScore, ...]
    unpaired_reference: tuple[str, ...] = ()
    unpaired_prediction: tuple[str, ...] = ()
    failed: Mapping[str, str]
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    guessed: tuple[str, ...] = ()
    left_aside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every case was scored, and against the mask of the same name."""
        missing = self.unpaired_reference if self.settings.get("missing") != "as-empty" else ()
        return not (
            self.failed or self.unpaired_prediction or missing or self.guessed or self.left_aside
        )


def run_remarks(run: ScoreRun) -> list[str]:
    """Return a line for whatever was not scored, or scored by a guess."""
    lines = [
        f"{title} {', '.join(names)}"
        for title, names in (
            ("No prediction for", run.unpaired_reference),
            ("No reference for", run.unpaired_prediction),
            ("Left aside:", run.left_aside),
        )
        if names
    ]
    lines += [
        f"Guessed: {' and '.join(run.files[case])} are one case. Rename one, or --accept-guesses."
        for case in run.guessed
        if case in run.files
    ]
    lines += [f"{case}: {line}" for case, line in run.failed.items()]
    return lines + list(run.notes)


def run_document(run: ScoreRun) -> dict[str, Any]:
    """Return the run as a JSON document; NaN and infinity become null and "inf"."""
    return {
        "schema": SCHEMA,
        "notice": RESEARCH_USE_ONLY,
        "scorer": run.scorer,
        "settings": dict(run.settings),
        "cases": [
            {
                "case_id": case.case_id,
                "patient": case.patient,
                **_files(run, case.case_id),
                "regions": {one.region: _plain(one.values) for one in case.regions},
            }
            for case in run.cases
        ],
        "summary": {one.region: _summary(one) for one in summarise(run.cases)},
        "unpaired": {
            "reference": list(run.unpaired_reference),
            "prediction": list(run.unpaired_prediction),
        },
        "failed": dict(run.failed),
        "left_aside": list(run.left_aside),
        "notes": list(run.notes),
    }


def _files(run: ScoreRun, case_id: str) -> dict[str, Any]:
    """Name the two files of a case, and say whether their names agree."""
    if case_id not in run.files:
        return {}
    reference, prediction = run.files[case_id]
    return {
        "files": {"reference": reference, "prediction": prediction or None},
        "paired_by": "guess" if case_id in run.guessed else "name",
    }


def run_from_document(
    document: Mapping[str, Any], lesions: Sequence[Mapping[str, str]]
) -> ScoreRun:
    """Rebuild a run from scores.json and the rows of lesions.csv.

    Raises:
        KeyError, ValueError: the documents are not ours; the caller says which file.
    """
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    rows: defaultdict[tuple[str, str], list[LesionScore]] = defaultdict(list)
    for row in lesions:
        rows[row["case_id"], row["region"]].append(_lesion(row))
    scorer = cast("ScorerName", document["scorer"])
    cases = tuple(
        CaseScore(
            case_id=case["case_id"],
            patient=case["patient"],
            scorer=scorer,
            regions=tuple(
                RegionScore(
                    region=region,
                    values={name: _number(value) for name, value in values.items()},
                    lesions=tuple(rows[case["case_id"], region]),
                )
                for region, values in case["regions"].items()
            ),
        )
        for case in document["cases"]
    )
    return ScoreRun(
        scorer=scorer,
        settings=document["settings"],
        cases=cases,
        unpaired_reference=tuple(document["unpaired"]["reference"]),
        unpaired_prediction=tuple(document["unpaired"]["prediction"]),
        failed=document["failed"],
        files={
            case["case_id"]: (case["files"]["reference"], case["files"]["prediction"] or "")
            for case in document["cases"]
            if "files" in case
        },
        guessed=tuple(
            case["case_id"] for case in document["cases"] if case.get("paired_by") == "guess"
        ),
        left_aside=tuple(document.get("left_aside", ())),
        notes=tuple(document.get("notes", ())),
    )


def case_document(case: CaseScore) -> dict[str, Any]:
    """Return one case's scores and lesions as JSON can hold them."""
    return {
        **{name: getattr(case, name) for name in ("case_id", "patient", "scorer")},
        "regions": [
            {
                "region": one.region,
                "values": _plain(one.values),
                "lesions": [_plain(asdict(lesion)) for lesion in one.lesions],
            }
            for one in case.regions
        ],
    }


def case_from_document(document: Mapping[str, Any]) -> CaseScore:
    """Rebuild what `case_document` was given.

    Raises:
        KeyError, TypeError: it is not ours.
    """
    floats = {field.name for field in fields(LesionScore) if field.type == "float"}

    def exact(name: str, value: Any) -> Any:
        if name == "prediction_ids":
            return tuple(value)
        return _number(value) if name in floats else value

    return CaseScore(
        **{name: document[name] for name in ("case_id", "patient", "scorer")},
        regions=tuple(
            RegionScore(
                region=one["region"],
                values={name: _number(value) for name, value in one["values"].items()},
                lesions=tuple(
                    LesionScore(**{name: exact(name, value) for name, value in row.items()})
                    for row in one["lesions"]
                ),
            )
            for one in document["regions"]
        ),
    )


def score_rows(run: ScoreRun) -> list[dict[str, Any]]:
    """Return one row for each case and region, then one for each region's mean over patients."""
    rows: list[dict[str, Any]] = [
        {"case_id": case.case_id, "patient": case.patient, "region": one.region, **one.values}
        for case in run.cases
        for one in case.regions
    ]
    for one in summarise(run.cases):
        means = {name: interval.value for name, interval in one.means.items()}
        rows.append({"case_id": "mean", "patient": "", "region": one.region, **means})
    return rows


def lesion_rows(run: ScoreRun) -> list[dict[str, Any]]:
    """Return one row for each reference lesion and each false positive, under `LESION_COLUMNS`."""
    return [
        {
            "case_id": case.case_id,
            "patient": case.patient,
            "region": region.region,
            **asdict(row),
            "prediction_ids": " ".join(map(str, row.prediction_ids)),
        }
        for case in run.cases
        for region in case.regions
        for row in region.lesions
    ]


def _lesion(row: Mapping[str, str]) -> LesionScore:
    numbers = {  # scores written before a figure was measured go without it
        field.name: float(row.get(field.name) or "nan")
        for field in fields(LesionScore)
        if field.type == "float"
    }
    return LesionScore(
        outcome=cast("Any", row["outcome"].replace("alarm", "positive")),  # until 0.1: "… alarm"
        reference_id=int(row["reference_id"]),
        prediction_ids=tuple(int(number) for number in row["prediction_ids"].split()),
        voxels=int(row["voxels"]),
        counted=row["counted"] == "True",
        **numbers,
    )


def _summary(one: RegionSummary) -> dict[str, Any]:
    return {
        "cases": one.cases,
        "patients": one.patients,
        "means": {name: _plain(asdict(interval)) for name, interval in one.means.items()},
        "by_diameter": [_plain(asdict(stratum)) for stratum in one.by_diameter],
        "by_volume": [_plain(asdict(stratum)) for stratum in one.by_volume],
        "froc": None if one.froc is None else _curve(one.froc),
    }


def _curve(froc: Froc) -> dict[str, Any]:
    return {
        "thresholds": froc.thresholds.tolist(),
        "false_alarms_per_scan": froc.false_alarms_per_scan.tolist(),
        "sensitivity": froc.sensitivity.tolist(),
        "sensitivity_at": {str(rate): froc.sensitivity_at(rate) for rate in FROC_RATES},
        "score": froc.score,
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with NaN as null and infinity as "inf", which JSON can hold."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            plain[name] = _plain(cast("dict[str, Any]", value))
        elif isinstance(value, float) and not math.isfinite(value):
            plain[name] = None if math.isnan(value) else "inf"
        else:
            plain[name] = value
    return plain


def _number(value: float | str | None) -> float:
    return float("nan") if value is None else float(value)
