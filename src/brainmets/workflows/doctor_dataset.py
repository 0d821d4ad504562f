"""The data doctor: what is wrong with a data set, before anyone trains on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import silent
from brainmets.io.datasets import open_dataset
from brainmets.workflows.doctor_facts import CaseFacts, Finding, Severity, check_case
from brainmets.workflows.pool import map_cases
from brainmets.workflows.splits import leaks, read_any_splits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.io.datasets import Dataset, DatasetCase

__all__ = ["DoctorOptions", "DoctorReport", "check_dataset", "report_document"]

SCHEMA = "brainmets-doctor/1"

ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}

UNLIKE_THE_REST = 3.0
"""Times the usual spacing that a scan of the same set does not have."""

USUAL_FROM_CASES = 8
"""Fewer cases have nothing usual about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """How to examine.

    Attributes:
        layout: An adapter's name, or `auto`.
        splits: A split file to check; None looks for one in the folder.
        jobs: Processes; None means one a core.
    """

    layout: str = "auto"
    splits: Path | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What was found, worst first.

    Attributes:
        layout: Which adapter read the folder.
        cases: How many.
        patients: How many.
        masks: Cases with something drawn.
        lesions: Connected components over all masks.
        spacings: Spacing in mm and how many cases have it, most frequent first.
        notes: What the layout's publishers or users have warned about.
        findings: Errors, warnings, notes.
    """

    layout: str
    cases: int
    patients: int
    masks: int
    lesions: int
    spacings: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings make the set unusable as it is."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        """How many findings are to be looked at."""
        return sum(finding.severity == "warning" for finding in self.findings)


def check_dataset(
    root: Path, options: DoctorOptions | None = None, progress: Progress = silent
) -> DoctorReport:
    """Open every file of a data set once and report what is wrong with it.

    Progress comes as stage "examine". Memory is that of one case a process.

    Raises:
        FileMissing, DatasetLayout, OptionError: the folder is not there or not known.
    """
    options = options or DoctorOptions()
    dataset = open_dataset(root, layout=options.layout)
    facts: list[CaseFacts] = []
    for done, one in enumerate(
        map_cases(_examine, [(dataset, case) for case in dataset.cases], options.jobs), start=1
    ):
        facts.append(one)
        progress("examine", done / len(dataset.cases))
    findings = [finding for one in facts for finding in one.findings]
    findings += _copies(facts)
    findings += _odd_spacings(facts)
    findings += _split_findings(dataset, options.splits)
    findings.sort(key=lambda finding: (ORDER[finding.severity], finding.code, finding.case_id))
    spacings = Counter(
        " × ".join(f"{s:.3g}" for s in one.spacing_mm) for one in facts if one.spacing_mm
    )
    return DoctorReport(
        layout=dataset.layout,
        cases=len(dataset.cases),
        patients=len(dataset.patients),
        masks=sum(one.lesions > 0 for one in facts),
        lesions=sum(one.lesions for one in facts),
        spacings=tuple(spacings.most_common()),
        notes=dataset.notes,
        findings=tuple(findings),
    )


def report_document(report: DoctorReport) -> dict[str, Any]:
    """Return the report as a JSON document."""
    return {
        "schema": SCHEMA,
        **asdict(report),
        "errors": report.errors,
        "warnings": report.warnings,
    }


def _examine(task: tuple[Dataset, DatasetCase]) -> CaseFacts:
    return check_case(*task)


def _copies(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Find images and masks that two cases share."""
    owners: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in facts:
        for digest in one.image_hashes.values():
            owners["image", digest].append(one.case_id)
        if one.mask_hash:
            owners["mask", one.mask_hash].append(one.case_id)
    twins: set[tuple[str, ...]] = set()
    for (what, _), cases in sorted(owners.items()):
        names = tuple(sorted(set(cases)))
        if len(names) < 2 or (what, *names) in twins:
            continue
        twins.add((what, *names))
        image = what == "image"
        yield Finding(
            code="same-scan-twice" if image else "same-mask-twice",
            severity="error" if image else "warning",
            case_id=names[0],
            message=f"the same {what} as {', '.join(names[1:])}",
        )


def _odd_spacings(facts: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Find scans whose voxels are several times larger or smaller than the set's usual ones."""
    known = [one for one in facts if one.spacing_mm is not None]
    if len(known) < USUAL_FROM_CASES:
        return
    smallest = {one.case_id: min(one.spacing_mm or (1.0,)) for one in known}
    usual = float(np.median(list(smallest.values())))
    flagged = {f.case_id for one in facts for f in one.findings if f.code == "spacing"}
    for case_id, spacing in smallest.items():
        unlike = spacing > UNLIKE_THE_REST * usual or spacing * UNLIKE_THE_REST < usual
        if unlike and case_id not in flagged:
            yield Finding(
                code="spacing",
                severity="error",
                case_id=case_id,
                message=f"pixels of {spacing:.3g} mm where {usual:.3g} mm is usual",
            )


def _split_findings(dataset: Dataset, path: Path | None) -> Iterator[Finding]:
    """Check the publisher's split, and a split file if there is one."""
    patient_of = {case.case_id: case.patient for case in dataset.cases}
    published: defaultdict[str, list[str]] = defaultdict(list)
    for case in dataset.cases:
        if case.split:
            published[case.split].append(case.case_id)
    parts_by_split: list[dict[str, list[str]]] = [dict(published)] if published else []
    candidates = (
        [path]
        if path is not None
        else [
            dataset.root / name
            for name in ("splits.json", "splits_final.json")
            if (dataset.root / name).is_file()
        ]
    )
    for file in candidates:
        parts_by_split += read_any_splits(file)
    reported: set[str] = set()
    for parts in parts_by_split:
        for case_id in sorted({case for cases in parts.values() for case in cases}):
            if case_id not in patient_of and case_id not in reported:
                reported.add(case_id)
                yield Finding(
                    code="split-unknown-case",
                    severity="error",
                    case_id=case_id,
                    message="named in a split and not in the data set",
                )
        for patient, names in leaks(parts, patient_of).items():
            if patient not in reported:
                reported.add(patient)
                yield Finding(
                    code="patient-in-two-splits",
                    severity="error",
                    case_id=patient,
                    message=f"in {' and in '.join(names)}",
                )
