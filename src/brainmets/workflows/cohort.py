"""Many cases, each recorded on disk: resumable, in parts, on one machine or a cluster.

A cohort's folder holds `manifest.json` (the cases and the settings) and `status/CASE.json` (what
became of each). Nothing else coordinates: every process that can write into the folder may work
on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from brainmets import __version__
from brainmets.domain.errors import (
    BrainmetsError,
    DatasetLayout,
    InputError,
    OptionError,
    PoisonJob,
    Unforeseen,
    all_errors,
    explained,
)
from brainmets.workflows.pool import map_cases, map_on_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["CaseStatus", "CohortCase", "CohortOptions", "CohortRun", "run_cohort"]

Task = TypeVar("Task")

MANIFEST, STATUS = "manifest.json", "status"
SCHEMA = "brainmets-cohort/1"
MOST_ATTEMPTS = 3
"""A case whose worker vanished so often is reported, and not tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortOptions:
    """Which cases to work on, and where.

    `resume` leaves out what is finished: done, or refused for its input, with these settings and
    unchanged input files. `part` (3, 8) is the third of eight shares, for array jobs. `cluster` is
    as in `map_on_cluster`; without one, `jobs` processes work, None meaning one a core.
    `overwrite` takes a folder that holds a cohort of other settings.
    """

    resume: bool = False
    part: tuple[int, int] | None = None
    cluster: str | None = None
    jobs: int | None = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Refuse a part that is not there.

        Raises:
            OptionError: it is not among 1/N … N/N.
        """
        if self.part is not None and not 1 <= self.part[0] <= self.part[1]:
            raise OptionError(
                f"part {self.part[0]} of {self.part[1]}",
                expected="a part from 1 to the number of parts",
                remedy="write it as 3/8",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortCase:
    """One case: its name, its input files (what `resume` compares), and what to work on.

    `task` must be picklable where a cluster or several processes work.
    """

    name: str
    inputs: tuple[Path, ...]
    task: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStatus:
    """What `status/CASE.json` holds.

    `state` is `running` while a worker is at it, and stays so where that was killed. `result` is
    what the work returned, `error` code, found, expected and remedy.
    """

    case: str
    state: Literal["running", "done", "failed"]
    settings_sha256: str
    inputs_sha256: str
    attempts: int = 0
    seconds: float = 0.0
    worker: str = ""
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: Mapping[str, str] | None = None

    @property
    def code(self) -> str:
        """The error's code; empty where there is none."""
        return "" if self.error is None else self.error["code"]

    @property
    def line(self) -> str:
        """The error as one line."""
        return "" if self.error is None else str(_error_of(self.error))


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRun:
    """Where a cohort stands after a run: the status of every finished case, in order.

    `unfinished` names cases that other parts work on, or that were left out.
    """

    finished: tuple[CaseStatus, ...]
    unfinished: tuple[str, ...]
    here: tuple[str, ...]
    """Cases of this part, whether worked on now or finished before."""

    @property
    def failed(self) -> tuple[CaseStatus, ...]:
        """The cases of this part that failed."""
        mine = set(self.here)
        return tuple(one for one in self.finished if one.state == "failed" and one.case in mine)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One case as it travels to a worker."""

    work: Callable[[Any], Mapping[str, Any]]
    task: Any
    path: Path
    status: CaseStatus


def run_cohort(
    kind: str,
    work: Callable[[Any], Mapping[str, Any]],
    cases: Sequence[CohortCase],
    folder: Path,
    options: CohortOptions,
    *,
    settings: Mapping[str, Any],
    on_status: Callable[[CaseStatus, bool], None] = lambda _status, _new: None,
) -> CohortRun:
    """Do `work` on every case's task and record what became of each; no case stops the others.

    Args:
        kind: what is done, for the manifest.
        work: returns a JSON document; importable by name for a cluster or several processes.
        cases: in the order to report them.
        folder: gets `manifest.json` and `status/`; on a cluster every worker sees it.
        options: which cases, and where.
        settings: all that decides the results; JSON.
        on_status: called with each status, and whether it is new or was found.

    Raises:
        OptionError: the folder holds a cohort made with other settings.
        DatasetLayout: two cases share a name.
    """
    _check_names([case.name for case in cases])
    made_by = {"kind": kind, "version": __version__, "settings": dict(settings)}
    sha256 = _digest(made_by)
    manifest = {
        "schema": SCHEMA,
        **made_by,
        "settings_sha256": sha256,
        "cases": [case.name for case in cases],
    }
    order = _agreed_order(manifest, folder, options)
    mine = set(order[options.part[0] - 1 :: options.part[1]] if options.part else order)
    known: dict[str, CaseStatus] = {}
    jobs: list[_Job] = []
    for case in cases:
        path = folder / STATUS / f"{case.name}.json"
        inputs = _digest([_fingerprint(one) for one in case.inputs])
        found = _read_status(path)
        if found and (found.settings_sha256, found.inputs_sha256) != (sha256, inputs):
            found = None
        if case.name not in mine or (options.resume and found and _is_final(found)):
            if found and found.state != "running":
                known[case.name] = found
                if case.name in mine:
                    on_status(found, False)  # noqa: FBT003
            continue
        attempts = found.attempts if found and found.state == "running" else 0
        fresh = CaseStatus(
            case=case.name, state="running", settings_sha256=sha256, inputs_sha256=inputs,
            attempts=attempts,
        )  # fmt: skip
        jobs.append(_Job(work=work, task=case.task, path=path, status=fresh))
    for status in _worked(jobs, options):
        known[status.case] = status
        on_status(status, True)  # noqa: FBT003
    return CohortRun(
        finished=tuple(known[name] for name in order if name in known),
        unfinished=tuple(name for name in order if name not in known),
        here=tuple(name for name in order if name in mine),
    )


def _worked(jobs: list[_Job], options: CohortOptions) -> Iterator[CaseStatus]:
    if not jobs:
        return
    if options.cluster is None:
        yield from map_cases(_do, jobs, options.jobs)
        return
    for job, outcome in map_on_cluster(_do, jobs, options.cluster):
        yield _ended(job, outcome) if isinstance(outcome, BrainmetsError) else outcome


def _do(job: _Job) -> CaseStatus:
    """Work on one case and record it; on the worker."""
    before = _read_status(job.path)
    attempts = job.status.attempts
    if before and before.state == "running" and before.inputs_sha256 == job.status.inputs_sha256:
        attempts = max(attempts, before.attempts)
    if attempts >= MOST_ATTEMPTS:
        poison = PoisonJob(
            f"a case whose worker was ended {attempts} times",
            expected="a worker that completes the job",
            remedy="segment this case alone, with --memory",
        )
        return _ended(job, poison)
    started = time.perf_counter()
    running = replace(job.status, attempts=attempts + 1, worker=_worker_name())
    _write_status(job.path, running)
    try:
        result = job.work(job.task)
    except Exception as error:  # a case that fails never stops the others
        if os.environ.get("BRAINMETS_DEBUG"):
            raise
        told = explained(error, if_memory="use fewer workers or set --memory")
        return _ended(job, told, seconds=time.perf_counter() - started)
    except BaseException:
        with suppress(OSError):
            job.path.unlink(missing_ok=True)  # stopped on purpose: this was no attempt
        raise
    seconds = round(time.perf_counter() - started, 3)
    done = replace(running, state="done", seconds=seconds, result=result)
    _write_status(job.path, done)
    return done


def _ended(job: _Job, error: BrainmetsError, *, seconds: float = 0.0) -> CaseStatus:
    status = replace(
        job.status,
        state="failed",
        error=error.parts(),
        seconds=round(seconds, 3),
        worker=_worker_name(),
    )
    _write_status(job.path, status)
    return status


def _error_of(told: Mapping[str, str]) -> BrainmetsError:
    kind = all_errors().get(told["code"], Unforeseen)
    return kind(told["found"], expected=told["expected"], remedy=told["remedy"])


def _is_final(status: CaseStatus) -> bool:
    """Whether trying again would end the same; a full disk or too little memory may pass."""
    if status.error is None:
        return status.state == "done"
    kind = all_errors().get(status.code, Unforeseen)
    return issubclass(kind, (InputError, PoisonJob, OptionError))


def _agreed_order(document: Mapping[str, Any], folder: Path, options: CohortOptions) -> list[str]:
    """Return the cases in the order that every part shares: the manifest's, new ones last.

    The first process to come writes the manifest; the others take its order.

    Raises:
        OptionError: the folder holds a cohort made with other settings.
    """
    path = folder / MANIFEST
    names: list[str] = document["cases"]
    (folder / STATUS).mkdir(parents=True, exist_ok=True)
    joining = options.resume or options.part is not None
    if joining and not path.exists():
        _write_json(path, document, first=True)
    if joining:
        there = _read_json(path)
        if there.get("settings_sha256") == document["settings_sha256"] and isinstance(
            there.get("cases"), list
        ):
            wanted = set(names)
            kept = [name for name in there["cases"] if name in wanted]
            ordered = [*kept, *sorted(wanted - set(kept))]
            if ordered != there["cases"]:
                _write_json(path, {**document, "cases": ordered})
            return ordered
        if not options.overwrite:
            raise OptionError(
                f"{folder.name} holds a cohort made with other options or another version",
                expected="the options it was started with, as listed in manifest.json",
                remedy="choose another folder, or add --overwrite",
            )
    _write_json(path, document)
    return names


def _check_names(names: list[str]) -> None:
    """Refuse names that are the same file on some disk.

    Raises:
        DatasetLayout: two cases share a name.
    """
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise DatasetLayout(
                f"two cases named {name}",
                expected="a name for each case",
                remedy="rename one of them",
            )
        seen.add(name.casefold())


def _fingerprint(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a file, or of all files in a folder; nothing is read."""
    try:
        if not path.is_dir():
            stat = path.stat()
            return [(path.name, stat.st_size, stat.st_mtime_ns)]
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        found = [(str(one.relative_to(path)), one.stat()) for one in inside]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]
    except OSError:
        return []


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _read_status(path: Path) -> CaseStatus | None:
    """Return a case's status; None where there is none that can be read."""
    document = _read_json(path)
    try:
        return CaseStatus(**document)
    except TypeError:
        return None


def _write_status(path: Path, status: CaseStatus) -> None:
    _write_json(path, asdict(status))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _plain(value: Any) -> Any:
    """Return a path as text and a number of NumPy's as Python's."""
    return str(value) if isinstance(value, Path) else value.item()


def _write_json(path: Path, document: Mapping[str, Any], *, first: bool = False) -> None:
    """Write a document whole; with `first`, leave one that another process has written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, ensure_ascii=False, default=_plain)
            file.write("\n")
        Path(name).chmod(0o644)
        if not first:
            Path(name).replace(path)
            return
        with suppress(FileExistsError):
            path.hardlink_to(name)
    finally:
        Path(name).unlink(missing_ok=True)
