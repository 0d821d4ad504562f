"""Scans of one patient in, how every lesion changed out: segment, lay over, match, judge, write."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from brainmets.domain import STAGES, silent
from brainmets.reporting.followup_results import RESULTS, followup_folder, write_followup
from brainmets.tracking import DEFAULT_RULES, refuse_too_few
from brainmets.workflows.followed_scan import FollowedScan, is_result, scan_of_result
from brainmets.workflows.followup import follow_scans
from brainmets.workflows.followup_days import order_of
from brainmets.workflows.segment import Segmenter, SegmentOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.reporting.followup_timeline import Timeline
    from brainmets.tracking import Rules

__all__ = ["TrackOptions", "TrackResult", "track"]

SEGMENTING, ALIGNING = 0.6, 0.3
"""Shares of the whole work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOptions:
    """How to follow.

    `dates` are those of the inputs, in their order, as 2024-03-31 or as days; without them the
    DICOM headers tell. `images` are what results were made from. `segment` says how scans that
    are no results yet are segmented. `same_patient` overrules headers that name different
    patients. `pdf` adds the report, which calls the patient `label`.
    """

    dates: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    rules: Rules = DEFAULT_RULES
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    same_patient: bool = False
    pdf: bool = False
    label: str = ""
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackResult:
    """What became of every lesion, and the files that tell it, by kind."""

    timeline: Timeline
    files: Mapping[str, Path]


def track(
    inputs: Sequence[Path],
    out: Path,
    options: TrackOptions | None = None,
    progress: Progress = silent,
) -> TrackResult:
    """Follow the lesions of one patient over scans or results of `segment`, all or nothing.

    Scans are segmented first; their own results are in `results/scan-1` and so on.

    Raises:
        InputError: a scan or result cannot be used, or is of another patient.
        OptionError: there are fewer than two scans, or the dates do not fit them.
        ModelError, ResourceError: as `segment`.
    """
    options = options or TrackOptions()
    refuse_too_few(len(inputs))
    if options.dates:
        order_of(options.dates, [None] * len(inputs))  # refused before any work
    with followup_folder(out, overwrite=options.overwrite) as folder:
        scans = _gather(inputs, folder, options, progress)
        order, days = order_of(options.dates, [scan.acquired for scan in scans])
        timeline = follow_scans(
            [scans[place] for place in order],
            days,
            rules=options.rules,
            same_patient=options.same_patient,
            progress=_part(progress, SEGMENTING, SEGMENTING + ALIGNING),
        )
        for number, place in enumerate(order, start=1):
            own = folder / RESULTS / f"input-{place}"
            if own.is_dir():
                own.rename(folder / RESULTS / f"scan-{number}")
        progress("write", SEGMENTING + ALIGNING)
        names = write_followup(timeline, folder, pdf=options.pdf, label=options.label)
        progress("write", 1.0)
    return TrackResult(timeline=timeline, files={kind: out / name for kind, name in names.items()})


def _gather(
    inputs: Sequence[Path], folder: Path, options: TrackOptions, progress: Progress
) -> list[FollowedScan]:
    """Read every result, segment every scan, in the order given."""
    segmenter = None
    scans: list[FollowedScan] = []
    for place, path in enumerate(inputs):
        share = SEGMENTING / len(inputs)
        part = _part(progress, place * share, (place + 1) * share)
        if is_result(path):
            before = sum(is_result(one) for one in inputs[:place])
            likeliest = options.images[before : before + 1]
            scans.append(scan_of_result(path, (*likeliest, *options.images)))
        else:
            segmenter = segmenter or Segmenter(replace(options.segment, probability=True))
            own = folder / RESULTS / f"input-{place}"
            segmenter.run(path, own, part)
            scans.append(scan_of_result(own, [path]))
    return scans


def _part(progress: Progress, low: float, high: float) -> Progress:
    """Report the progress of a part as progress of the whole."""

    def tell(stage: str, done: float, /) -> None:
        if stage in STAGES:  # of one scan, each from 0 to 1
            done = (STAGES.index(stage) + done) / len(STAGES)
        progress(stage, low + (high - low) * done)

    return tell
