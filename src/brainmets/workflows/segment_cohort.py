"""Segment many scans: one warm engine a worker, then tables, a page and BIDS derivatives."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from brainmets.domain import silent
from brainmets.domain.errors import FileMissing, OptionError
from brainmets.io.datasets import bids
from brainmets.reporting.bids import write_bids
from brainmets.reporting.cohort_page import PICTURES, CohortRow, write_cohort
from brainmets.workflows.cohort import (
    MANIFEST,
    STATUS,
    CaseStatus,
    CohortCase,
    CohortOptions,
    CohortRun,
    run_cohort,
)
from brainmets.workflows.segment import Segmenter, SegmentOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.inference import Estimate

__all__ = ["find_scans", "named_scans", "segment_cohort"]

SUFFIXES = (".nii.gz", ".nii", ".zip", ".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
RESERVED = frozenset({MANIFEST, STATUS, PICTURES, "cohort.csv", "cases.csv", "summary.html"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    path: Path
    out: Path
    options: SegmentOptions


@contextmanager
def _unwatched(_path: Path) -> Generator[tuple[Progress, Callable[[Estimate], None]], None, None]:
    yield silent, lambda _estimate: None


def _case_name(path: Path) -> str:
    """Return the name of a scan's results: the file's or folder's without its format."""
    name = path.resolve().name if path.name in {"", ".", ".."} else path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def find_scans(folders: Iterable[Path], *, sequence: str = "t1c") -> dict[str, Path]:
    """Return the scans of folders by case: every file or folder, or every session of a BIDS set.

    Raises:
        FileMissing: a folder is not there.
    """
    found: list[tuple[str, Path]] = []
    for folder in folders:
        if not folder.is_dir():
            raise FileMissing(
                f"no folder {folder.name} of cases",
                expected="a folder that holds one file or folder a case",
                remedy="check the path, or leave --batch out",
            )
        if bids.recognise(folder):
            for case in bids.read(folder).cases:
                images = {str(name): path for name, path in case.images.items()}
                path = images.get(sequence) or next(iter(images.values()))
                found.append((case.case_id, path))
            continue
        inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        found += [(_case_name(path), path) for path in inside]
    return _named(found)


def named_scans(paths: Iterable[Path]) -> dict[str, Path]:
    """Return scans by the name of their results.

    Raises:
        OptionError: two would share a name, or there is none.
    """
    return _named([(_case_name(path), path) for path in paths])


def segment_cohort(
    scans: Mapping[str, Path],
    out: Path,
    options: SegmentOptions,
    cohort: CohortOptions,
    *,
    bids_out: Path | None = None,
    watch: Callable[[Path], AbstractContextManager[Any]] = _unwatched,
    on_status: Callable[[CaseStatus, bool], None] = lambda _status, _new: None,
) -> CohortRun:
    """Segment every scan into `out/CASE`; a scan that fails is recorded and the others go on.

    When the last case of the cohort is finished, `out` gets cohort.csv (a row a lesion), cases.csv
    and summary.html, and `bids_out` the results as BIDS derivatives.

    Args:
        scans: input by case.
        out: on a cluster every worker sees it under this path, as it does the scans.
        options: how to segment.
        cohort: which cases, and where.
        bids_out: folder of the BIDS derivative data set.
        watch: gives progress and announcement for a scan, where this process does the work.
        on_status: called with each status, and whether it is new.

    Raises:
        ModelError, OptionError: the model, engine or an option cannot be used.
    """
    segmenter = Segmenter(options)  # an unusable model is reported once, not for every case

    def here(scan: _Scan) -> dict[str, Any]:
        with watch(scan.path) as (progress, announce):
            return _result(segmenter, scan, progress, announce)

    settings = {
        name: value
        for name, value in asdict(options).items()
        if name not in {"overwrite", "threads", "memory_bytes"}
    }
    run = run_cohort(
        "segment",
        _on_worker if cohort.cluster else here,
        [
            CohortCase(
                name=name,
                inputs=(path,),
                task=_Scan(path=path.absolute(), out=(out / name).absolute(), options=options),
            )
            for name, path in scans.items()
        ],
        out,
        cohort,
        settings=settings,
        on_status=on_status,
    )
    if not run.unfinished:
        write_cohort(out, [_row(status, scans[status.case]) for status in run.finished])
        if bids_out is not None:
            done = [status.case for status in run.finished if status.state == "done"]
            write_bids(
                {name: out / name for name in done},
                bids_out,
                sources={name: scans[name].name for name in done},
            )
    return run


def _result(
    segmenter: Segmenter, scan: _Scan, progress: Progress, announce: Callable[[Estimate], None]
) -> dict[str, Any]:
    result = segmenter.run(scan.path, scan.out, progress, announce=announce)
    lesions = result.report.prediction.lesions
    return {
        "lesions": len(lesions),
        "total_volume_mm3": round(sum(one.volume_mm3 for one in lesions), 4),
        "warnings": list(result.report.warnings),
        "timings_s": {stage: round(seconds, 4) for stage, seconds in result.timings.items()},
        "peak_bytes": result.peak_bytes,
        "files": {kind: path.name for kind, path in result.files.items()},
    }


_WARM: dict[str, Segmenter] = {}
"""The worker's one segmenter, with its engines, by its options."""


def _on_worker(scan: _Scan) -> dict[str, Any]:
    key = repr(scan.options)
    if key not in _WARM:
        _WARM.clear()
        _WARM[key] = Segmenter(scan.options)
    return _result(_WARM[key], scan, silent, lambda _estimate: None)


def _row(status: CaseStatus, source: Path) -> CohortRow:
    return CohortRow(
        case=status.case,
        source=source,
        result=status.result if status.state == "done" else None,
        code=status.code,
        error=status.line,
        seconds=status.seconds,
        attempts=status.attempts,
        worker=status.worker,
    )


def _named(found: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    names = [name for name, _ in found]
    refusal: tuple[str, str, str] | None = None
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        refusal = (f"several inputs named {doubles[0]}", "inputs whose names differ", "rename one")
    elif taken := sorted(RESERVED & set(names)):
        refusal = (f"a case named {taken[0]}", "a name that no file of the cohort has", "rename it")
    elif not found:
        refusal = ("no case in the folder", "at least one case", "check the path")
    if refusal is not None:
        raise OptionError(refusal[0], expected=refusal[1], remedy=refusal[2])
    return dict(found)
