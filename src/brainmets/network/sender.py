"""Sends what is in the outbox until its targets have it; a target that is away delays nobody else.

An object keeps its UID however often it is sent: a target that has it already keeps it once.
"""

from __future__ import annotations

import logging
import os
import time
from itertools import groupby
from typing import TYPE_CHECKING, Any

from brainmets.api.dicomweb import Unsent
from brainmets.api.dicomweb import store as store_by_web
from brainmets.domain.errors import NoDicom, ServiceUnreachable
from brainmets.network.inbox import OBJECTS

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from pathlib import Path

    from brainmets.api.audit import Audit
    from brainmets.network.inbox import Inbox
    from brainmets.network.options import NodeOptions, Target
    from brainmets.network.study_list import Parcel, StudyList

__all__ = ["Sender", "objects_among", "send_files"]

POLL_S = 0.3
AT_ONCE = 50
LONGEST_WAIT_S = 60.0
KEEP_TRYING_S = 72 * 3600.0
"""A target that was away for longer is given up; `brainmets listen --retry` tries again."""

MOST_REFUSALS = 5
CONNECT_WITHIN_S, ANSWER_WITHIN_S = 10.0, 60.0

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": EXPLICIT,  # Segmentation
    "1.2.840.10008.5.1.4.1.1.88.34": EXPLICIT,  # Comprehensive 3D SR
    "1.2.840.10008.5.1.4.1.1.481.3": IMPLICIT,  # RT Structure Set
    "1.2.840.10008.5.1.4.1.1.7": EXPLICIT,  # Secondary Capture
}
"""What is sent, and the transfer syntax in which it is written."""

_log = logging.getLogger("brainmets.network")


class Sender:
    """Sends until it is stopped."""

    def __init__(
        self, options: NodeOptions, study_list: StudyList, inbox: Inbox, audit: Audit
    ) -> None:
        """Prepare; `run` works."""
        self._options = options
        self._targets = {target.text: target for target in options.targets}
        self._study_list = study_list
        self._inbox = inbox
        self._audit = audit

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            try:
                self._send_due(stop)
            except Exception as error:  # noqa: BLE001 - a dead thread would send nothing any more
                _log.error("sending failed: %s", type(error).__name__)
            stop.wait(POLL_S)

    def _send_due(self, stop: threading.Event) -> None:
        due = sorted(
            self._study_list.parcels("waiting", due=time.time()),
            key=lambda one: (one.target, one.id),
        )
        for text, parcels in groupby(due, key=lambda one: one.target):
            if stop.is_set():
                return
            self._send(text, list(parcels)[:AT_ONCE])

    def _send(self, text: str, parcels: list[Parcel]) -> None:
        target = self._targets.get(text)
        if target is None:
            for parcel in parcels:
                self._study_list.unsent(
                    parcel, after_s=0.0, problem="the target is no longer given", dead=True
                )
            return
        try:
            connection = _Dimse(self._options.aet, target) if target.kind == "dimse" else None
        except Unsent as fault:
            for parcel in parcels:
                self._failed(parcel, fault)
            return
        try:
            for parcel in parcels:
                self._send_one(parcel, target, connection)
        finally:
            if connection is not None:
                connection.close()

    def _send_one(self, parcel: Parcel, target: Target, connection: _Dimse | None) -> None:
        path = self._inbox.folder(parcel.study) / f"round-{parcel.round}" / OBJECTS / parcel.file
        if not path.is_file():
            self._failed(parcel, Unsent("the object is no longer on the disk", refused=True))
            return
        try:
            if connection is None:
                store_by_web(target.url, path)
            else:
                connection.store(path)
        except Unsent as fault:
            self._failed(parcel, fault)
        else:
            self._study_list.sent(parcel)
            _log.info("study %s: %s sent", parcel.study[:8], parcel.file)
            self._audit.note(
                "node", "sent", study=parcel.study, object=parcel.file, to=parcel.target
            )

    def _failed(self, parcel: Parcel, fault: Unsent) -> None:
        after_s = min(LONGEST_WAIT_S, 2.0 ** min(parcel.tries, 6))
        dead = (fault.refused and parcel.tries + 1 >= MOST_REFUSALS) or (
            time.time() - parcel.made > KEEP_TRYING_S
        )
        _log.warning(
            "study %s: %s not sent: %s; %s",
            *(parcel.study[:8], parcel.file, fault.problem),
            "given up" if dead else f"again in {after_s:.0f} s",
        )
        self._study_list.unsent(parcel, after_s=after_s, problem=fault.problem, dead=dead)


def objects_among(paths: Iterable[Path]) -> list[Path]:
    """Return the DICOM files, those of a folder included, segmentations before other objects.

    Raises:
        NoDicom: there is none.
    """
    from brainmets.io.sniff import SNIFF_BYTES, sniff

    def is_dicom(path: Path) -> bool:
        with path.open("rb") as file:
            return sniff(file.read(SNIFF_BYTES)) == "dicom"

    files = [one for path in paths for one in (path.rglob("*") if path.is_dir() else [path])]
    found = [one for one in files if one.is_file() and is_dicom(one)]
    if not found:
        raise NoDicom(
            "no DICOM object", expected="files that `brainmets export` wrote", remedy="name those"
        )
    return sorted(found, key=lambda one: (not one.name.startswith("segmentation"), one.name))


def send_files(paths: Iterable[Path], target: Target, *, aet: str) -> None:
    """Send objects to a target at once; those before one that is not taken were.

    Raises:
        ServiceUnreachable: one was not taken.
    """
    connection = None
    try:
        if target.kind == "dimse":
            connection = _Dimse(aet, target)
        for path in paths:
            if connection is None:
                store_by_web(target.url, path)
            else:
                connection.store(path)
    except Unsent as fault:
        raise ServiceUnreachable(
            f"an object that was not sent: {fault.problem}",
            expected="a target that takes it",
            remedy="check the target, and try again",
        ) from None
    finally:
        if connection is not None:
            connection.close()


class _Dimse:
    """An association to a target, for objects of `KINDS`."""

    def __init__(self, aet: str, target: Target) -> None:
        from pynetdicom import AE

        ae = AE(ae_title=aet)
        ae.connection_timeout = ae.acse_timeout = CONNECT_WITHIN_S
        ae.dimse_timeout = ae.network_timeout = ANSWER_WITHIN_S
        for kind, syntax in KINDS.items():
            ae.add_requested_context(kind, [syntax])
        self._association: Any = ae.associate(target.host, target.port, ae_title=target.aet)
        if not self._association.is_established:
            raise Unsent("the target does not answer, or refuses the association")

    def store(self, path: Path) -> None:
        """Send one file.

        Raises:
            Unsent: it was not taken.
        """
        if not self._association.is_established:
            raise Unsent("the association ended")
        try:
            status = self._association.send_c_store(os.fspath(path))
        except (ValueError, RuntimeError, OSError):  # such as a kind that the target does not take
            raise Unsent("the target does not take this kind of object", refused=True) from None
        code = status.get("Status") if status else None
        if code is None:
            raise Unsent("no answer to the object")
        if code != 0 and code & 0xF000 != 0xB000:
            raise Unsent(f"refused with status {code:04X}", refused=code & 0xFF00 != 0xA700)

    def close(self) -> None:
        """Release the association."""
        if self._association.is_established:
            self._association.release()
