"""From a received study to objects in the outbox, one step at a time, each safe to repeat.

A lesion's number in every study of its patient, from what a follow-up says of two or three.
"""

from __future__ import annotations

import logging
import time
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brainmets.api.staging import remove, sync
from brainmets.domain import errors
from brainmets.domain.errors import BrainmetsError, JobCancelled, UnknownJob
from brainmets.network.inbox import CHOSEN

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from brainmets.api.audit import Audit
    from brainmets.api.client import Client
    from brainmets.api.followup_schemas import FollowupView
    from brainmets.api.schemas import JobView
    from brainmets.network.child import Child
    from brainmets.network.inbox import Inbox, Keys
    from brainmets.network.options import NodeOptions
    from brainmets.network.study_list import Study, StudyList
    from brainmets.tracking import TrackedLesion

__all__ = ["Pipeline", "first_names", "followed_names", "tracking_uid"]

POLL_S = 0.3
ASK_AGAIN_S = 0.7
SWEEP_EVERY_S = 60.0
MOST_EARLIER = 2
"""Earlier scans that a study is compared with: registering each takes a while."""

WAITS = (
    errors.ServiceUnreachable,
    errors.ServiceStopping,
    errors.QueueFull,
    errors.DiskFull,
    errors.StorageUnavailable,
    errors.StoreUnavailable,
    errors.TooManyTries,
    errors.WorkersStalled,
    errors.Unauthorised,
    errors.UploadStalled,
)
"""Not the study's fault: it waits until the service, or the disk, can take it."""

TRIES = (errors.OutOfMemory, errors.Unforeseen)
MOST_TRIES = 3
LONGEST_WAIT_S = 60.0

_log = logging.getLogger("brainmets.network")


class Pipeline:
    """Takes studies from state to state until it is stopped."""

    def __init__(
        self,
        options: NodeOptions,
        *,
        study_list: StudyList,
        inbox: Inbox,
        keys: Keys,
        client: Client,
        child: Child,
        audit: Audit,
    ) -> None:
        """Prepare; `run` works."""
        self._options = options
        self._study_list = study_list
        self._inbox = inbox
        self._keys = keys
        self._client = client
        self._child = child
        self._audit = audit
        self._asked: dict[str, float] = {}
        self._swept = 0.0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            for study in self._study_list.studies(
                "receiving", "complete", "queued", "following", "sending"
            ):
                if stop.is_set():
                    return
                if study.next_try <= time.time():
                    self._tried(study)
            self._sweep()
            stop.wait(POLL_S)

    def _tried(self, study: Study) -> None:
        try:
            self._step(study)
        except WAITS as error:
            self._put_off(study, error.code)
        except TRIES as error:
            if study.tries + 1 >= MOST_TRIES:
                self._fail(study, error.code)
            else:
                self._put_off(study, error.code)
        except BrainmetsError as error:
            self._fail(study, error.code)
        except OSError:
            self._put_off(study, errors.DiskFull.code)
        except Exception as error:  # noqa: BLE001 - one study must not hold up the others
            _log.error("study %s: %s", study.key[:8], type(error).__name__)
            self._put_off(study, errors.Unforeseen.code)

    def _put_off(self, study: Study, code: str) -> None:
        after_s = min(LONGEST_WAIT_S, 2.0 ** min(study.tries, 6))
        _log.warning("study %s: %s; again in %.0f s", study.key[:8], code, after_s)
        self._study_list.put_off(study, after_s=after_s, problem=code)

    def _fail(self, study: Study, code: str) -> None:
        _log.error("study %s: failed with %s", study.key[:8], code)
        self._study_list.move(study, "failed", problem=code)

    def _step(self, study: Study) -> None:
        if study.state == "receiving":
            options = self._options
            if self._inbox.complete(study, quiet_s=options.quiet_s, images=options.images):
                _log.info("study %s: complete", study.key[:8])
            else:
                self._child.prepare()
        elif study.state == "complete":
            self._submit(study)
        elif study.state == "queued":
            self._ask(study, study.job)
        elif study.state == "following":
            self._ask(study, study.followup)

    def _folder(self, study: Study) -> Path:
        return self._inbox.folder(study.key) / f"round-{study.round}"

    def _submit(self, study: Study) -> None:
        """Choose the series and give it to the service, which knows it if it has it already."""
        folder = self._folder(study)
        told = self._child.ask(
            task="choose",
            images=str(self._inbox.folder(study.key) / "images"),
            round=str(folder),
            rules=self._options.rules.model_dump(mode="json"),
        )
        archive = folder / "chosen.zip"
        _pack(folder / CHOSEN, archive)
        with archive.open("rb") as content:
            job = self._client.submit([(f"pacs-{study.key[:8]}.zip", content)])
        archive.unlink()
        self._study_list.move(study, "queued", job=job.id, day=told["day"], problem="")
        _log.info("study %s: job %s", study.key[:8], job.id)
        self._audit.note("node", "submitted", study=study.key, job=job.id)

    def _ask(self, study: Study, job_id: str | None) -> None:
        """Ask how a job stands, not too often."""
        now = time.monotonic()
        if now - self._asked.get(study.key, 0.0) < ASK_AGAIN_S:
            return
        self._asked[study.key] = now
        job = self._client.job(job_id or "")
        if study.state == "following":
            self._followed(study, job)
        elif job.state == "done":
            self._segmented(study, job)
        elif job.state == "cancelled":
            raise JobCancelled(
                "a job that was cancelled", expected="a result", remedy="run listen --retry"
            )
        elif job.state == "failed":
            self._fail(study, job.problem.code if job.problem else errors.Unforeseen.code)

    def _segmented(self, study: Study, job: JobView) -> None:
        """Compare with earlier scans of the patient where there are any."""
        others = [one for one in self._study_list.of_patient(study.patient) if one.key != study.key]
        before = [one for one in others if (one.received, one.key) < (study.received, study.key)]
        if any(one.state in {"receiving", "complete", "queued", "following"} for one in before):
            return  # its lesions are not numbered yet
        earlier = _comparable(study, others)
        if earlier:
            try:
                followup = self._client.follow(
                    [*(one.job or "" for one in reversed(earlier)), job.id],
                    dates=_dates([*reversed(earlier), study]),
                )
            except WAITS:
                raise
            except BrainmetsError as error:  # such as an earlier job that was deleted
                _log.warning("study %s: no follow-up: %s", study.key[:8], error.code)
                self._dispatch(study, job, _new_names(job, others), error.code)
                return
            self._study_list.move(study, "following", followup=followup.id)
            return
        self._dispatch(study, job, _new_names(job, others))

    def _followed(self, study: Study, followup: JobView) -> None:
        if followup.state not in {"done", "failed", "cancelled"}:
            return
        job = self._client.job(study.job or "")
        if job.result is None:
            raise UnknownJob("a result that is gone", expected="the result", remedy="send again")
        others = [one for one in self._study_list.of_patient(study.patient) if one.key != study.key]
        view = followup.result.followup if followup.result is not None else None
        if view is None:
            code = followup.problem.code if followup.problem else JobCancelled.code
            _log.warning("study %s: no follow-up: %s", study.key[:8], code)
            self._dispatch(study, job, _new_names(job, others), code)
            return
        lesions = [lesion.id for lesion in job.result.lesions]
        earlier = _comparable(study, others)
        names = followed_names(study, lesions, view, earlier, _taken(others))
        self._dispatch(study, job, names)

    def _dispatch(self, study: Study, job: JobView, names: Names, problem: str = "") -> None:
        """Write the objects and put them into the outbox."""
        folder = self._folder(study)
        self._download(job, folder / "result")

        def called(number: int, change: str) -> dict[str, str]:
            uid = tracking_uid(self._keys, study.patient, number)
            return {"identifier": f"Lesion {number}", "uid": uid, "change": change}

        told = self._child.ask(
            task="write",
            round=str(folder),
            names={
                str(lesion): called(number, names.changes.get(lesion, ""))
                for lesion, number in names.numbers.items()
            },
            gone=[called(number, change) for number, change in sorted(names.gone.items())],
            objects=self._options.objects.model_dump(mode="json"),
        )
        targets = [target.text for target in self._options.targets]
        self._study_list.dispatch(
            study, told["files"], targets, names=names.numbers, problem=problem
        )
        self._asked.pop(study.key, None)
        _log.info("study %s: %d objects to send", study.key[:8], len(told["files"]))

    def _download(self, job: JobView, out: Path) -> None:
        remove(out)
        out.mkdir(parents=True)
        for file in job.files:
            if file.name in {"report.json", "mask.nii.gz"}:
                self._client.download(job.id, file.name, out / file.name)

    def _sweep(self) -> None:
        """Remove the images of studies that were answered a while ago."""
        if time.monotonic() - self._swept < SWEEP_EVERY_S:
            return
        self._swept = time.monotonic()
        for study in self._study_list.studies("answered"):
            ended = study.ended or time.time()
            old = time.time() - ended > self._options.keep_hours * 3600
            if old and self._inbox.folder(study.key).is_dir():
                self._inbox.forget(study.key)
                self._audit.note("node", "retention", study=study.key)


def _comparable(study: Study, others: list[Study]) -> list[Study]:
    """Return the studies to compare with, the nearest before it first."""
    done = [one for one in others if one.job and one.names and one.state in {"sending", "answered"}]

    def place(one: Study) -> tuple[float, float]:
        return (one.day if one.day is not None else one.received / 86400), one.received

    before = sorted((one for one in done if place(one) <= place(study)), key=place, reverse=True)
    after = sorted((one for one in done if place(one) > place(study)), key=place)
    return [*before, *after][:MOST_EARLIER]


def _dates(studies: list[Study]) -> list[str]:
    """Return the scans' days as whole numbers, none equal; empty where one is not known."""
    days = [one.day for one in studies]
    if any(day is None for day in days):
        return []
    told: list[int] = []
    for day in days:
        number = int(day or 0)
        while number in told:
            number += 1
        told.append(number)
    return [str(number) for number in told]


def _new_names(job: JobView, others: list[Study]) -> Names:
    lesions = [lesion.id for lesion in job.result.lesions] if job.result else []
    return first_names(lesions, _taken(others))


def _taken(others: list[Study]) -> int:
    return max((number for one in others for number in one.names.values()), default=0)


def _pack(folder: Path, archive: Path) -> None:
    """Put the chosen files into a zip, the same bytes for the same files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in sorted(folder.iterdir()):
            packed.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    sync(archive)


NO_LONGER = frozenset({"gone", "merged"})
"""States of a lesion that the earlier scan shows and this one does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Each lesion's number, by its id in this study.

    `changes` say what became of it; `gone` are numbers of earlier lesions, with the same.
    """

    numbers: dict[int, int]
    changes: dict[int, str] = field(default_factory=dict[int, str])
    gone: dict[int, str] = field(default_factory=dict[int, str])


def first_names(lesions: Iterable[int], taken: int) -> Names:
    """Number lesions that are compared with none, from the first free number on."""
    return Names(numbers={one: taken + n for n, one in enumerate(sorted(lesions), start=1)})


def followed_names(
    study: Study,
    lesions: Iterable[int],
    view: FollowupView,
    earlier: Sequence[Study],
    taken: int,
) -> Names:
    """Number lesions as earlier studies do, the latest of them first; new ones get new numbers.

    Of a lesion that is in several parts now, the largest keeps the number.
    """
    places = {scan.job: place for place, scan in enumerate(view.scans)}
    here = places[study.job or ""]
    known = {places[one.job]: one.names for one in earlier if one.job in places}
    order = [places[one.job] for one in earlier if one.job in places]
    numbers, changes, gone = dict[int, int](), dict[int, str](), dict[int, str]()
    wanted = set(lesions)
    for lesion in view.lesions:
        number = _number(lesion, order, known)
        seen = lesion.sightings[here]
        parts = [part for part in seen.parts if part in wanted and part not in numbers]
        if parts:
            if number is not None and number not in numbers.values():
                numbers[parts[0]] = number
            changes |= dict.fromkeys(parts, seen.state)
        elif number is not None and seen.state in NO_LONGER and _was_there(lesion, order):
            gone[number] = seen.state
    free = max([taken, *numbers.values()])
    for one in sorted(wanted - set(numbers)):
        free += 1
        numbers[one] = free
    for number in numbers.values():
        gone.pop(number, None)
    return Names(numbers=numbers, changes=changes, gone=gone)


def tracking_uid(keys: Keys, patient: str, number: int) -> str:
    """Return the UID of a patient's lesion: the same in every study, meaningless elsewhere."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[keys.salt.hex(), patient, str(number)]))


def _number(
    lesion: TrackedLesion, order: Sequence[int], known: Mapping[int, Mapping[int, int]]
) -> int | None:
    for place in order:
        for part in lesion.sightings[place].parts:
            if part in known[place]:
                return known[place][part]
    return None


def _was_there(lesion: TrackedLesion, order: Sequence[int]) -> bool:
    """Whether the latest earlier scan shows it: what was gone before is not gone again."""
    return bool(order) and bool(lesion.sightings[order[0]].parts)
