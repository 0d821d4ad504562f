"""What a child process of the node does with untrusted files: choose a series, write objects.

`python -m brainmets.network.tasks` reads a task a line and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainmets.api.child import explained
from brainmets.api.problems import problem_of
from brainmets.api.quiet import keep_quiet
from brainmets.domain.errors import BadRequest, NothingToExport, UnknownSeries
from brainmets.network.inbox import CHOSEN, OBJECTS

if TYPE_CHECKING:
    from brainmets.io.series import DicomSeries
    from brainmets.network.options import SeriesRules

__all__ = ["best_series", "choose", "main", "write_objects"]

LIBRARIES = ("highdicom", "brainmets.io.series", "brainmets.workflows.export")
"""Loaded before the first task; they take seconds."""


def choose(images: Path, round_folder: Path, rules: SeriesRules) -> dict[str, Any]:
    """Link the files of the series to segment into `round_folder/chosen`; return its day.

    Raises:
        UnknownSeries: no series fits the rules.
        InputError: nothing can be read.
    """
    from brainmets.api.staging import remove, sync
    from brainmets.io.dicom_acquisition import read_acquisition
    from brainmets.io.dicom_scan import scan
    from brainmets.io.entries import FileEntry, entries_of
    from brainmets.io.limits import DEFAULT_LIMITS
    from brainmets.io.series import group_series

    with entries_of(images, DEFAULT_LIMITS) as entries:
        files = [entry for entry in entries if entry.kind == "dicom"]
        series = best_series(group_series(scan(files, DEFAULT_LIMITS), DEFAULT_LIMITS), rules)
        for fault in series.faults:
            raise fault
        paths = {f.entry.path for f in series.frames if isinstance(f.entry, FileEntry)}
    chosen = round_folder / CHOSEN
    remove(chosen)
    chosen.mkdir(parents=True)
    for path in sorted(paths):
        os.link(path, chosen / path.name)
    sync(chosen)
    acquired = read_acquisition(chosen)
    return {"files": len(paths), "day": acquired.day and acquired.day.toordinal()}


def best_series(offered: tuple[DicomSeries, ...], rules: SeriesRules) -> DicomSeries:
    """Return the series that the rules prefer.

    Raises:
        UnknownSeries: they allow none.
    """
    fitting = [one for one in offered if _fits(one, rules)]
    if not fitting:
        raise UnknownSeries(
            f"none of the {len(offered)} MR series fits the rules",
            expected=f"one that is {' or '.join(rules.sequences)}, of {rules.min_slices} slices or"
            f" more, voxels of at most {rules.max_slice_mm:g} mm",
            remedy="send that series, or change the rules of `brainmets listen --rules`",
        )

    def order(one: DicomSeries) -> tuple[float, float, int, int]:
        info = one.info
        preferred = rules.sequences.index(info.guess) if info.guess in rules.sequences else 99
        return preferred, max(info.spacing_mm or (99.0,)), -info.slices, -(info.number or 0)

    return min(fitting, key=order)


def _fits(one: DicomSeries, rules: SeriesRules) -> bool:
    info, words = one.info, one.frames[0].hints.description
    return (
        info.guess in rules.sequences
        and info.slices >= rules.min_slices
        and max(info.spacing_mm or (99.0,)) <= rules.max_slice_mm
        and re.search(rules.description, words, re.IGNORECASE) is not None
        and (not rules.without or re.search(rules.without, words, re.IGNORECASE) is None)
    )


def write_objects(round_folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Write the segmentation, where there is a lesion, the report, and what `objects` wants.

    Returns the file names. `task` has `names` and `gone`, as in `ExportOptions`, and `objects`.

    Raises:
        BrainmetsError: as `brainmets.workflows.export.export`.
    """
    from brainmets.api.staging import remove, sync
    from brainmets.io.dicom_stamp import Tracking
    from brainmets.network.options import ObjectRules
    from brainmets.workflows.export import ExportOptions, export

    objects, out = ObjectRules.model_validate(task["objects"]), round_folder / OBJECTS
    options = ExportOptions(
        formats=("sr", *objects.also),
        source=round_folder / CHOSEN,
        tracking={int(lesion): Tracking(**one) for lesion, one in task["names"].items()},
        gone=tuple(Tracking(**one) for one in task["gone"]),
        series_number=objects.series_number,
        series_description=objects.series_description,
    )
    remove(out)
    written = export(round_folder / "result", out, options)
    for refusal in written.refused.values():
        if not isinstance(refusal, NothingToExport):  # such as regions where there is no lesion
            raise refusal
    for path in (*out.rglob("*"), out, out.parent):
        sync(path)
    paths = [one for path in written.files.values() for one in (sorted(path.glob("*")) or [path])]
    return {"files": [str(path.relative_to(out)) for path in paths]}


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    from brainmets.network.options import SeriesRules

    folder = Path(task["round"])
    if task["task"] == "choose":
        rules = SeriesRules.model_validate(task["rules"])
        return choose(Path(task["images"]), folder, rules)
    if task["task"] == "write":
        return write_objects(folder, task)
    raise BadRequest("an unknown task", expected="choose or write", remedy="report it")


def main() -> None:
    """Answer every task on standard input; end with it."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    keep_quiet()
    for library in LIBRARIES:  # before the first task comes, which then need not wait for them
        import_module(library)
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback
            answer = {"problem": problem_of(explained(error)).model_dump(mode="json")}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
