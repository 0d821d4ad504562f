"""Received images on the disk: an image is there whole or not at all, under no name of its own.

<state>/salt                       makes hashes that nobody else can make
<state>/studies/<key>/images/      one file an image
<state>/studies/<key>/round-<n>/   what was chosen, found and is to be sent
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import shutil
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from brainmets.api.staging import remove, sync
from brainmets.domain.errors import DicomHeader, DiskFull
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from brainmets.network.study_list import Study, StudyList

__all__ = ["CHOSEN", "OBJECTS", "Inbox", "Keys", "open_state"]

CHOSEN, OBJECTS = "chosen", "objects"
"""Folders of a round: the series that was segmented, and what is to be sent."""

UID = re.compile(r"[0-9]+(\.[0-9]+)+")
LONGEST_UID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Makes keys of identifiers, the same for the same node and meaningless elsewhere."""

    salt: bytes

    def of(self, kind: str, value: str) -> str:
        """Return 32 hexadecimal digits."""
        text = f"{kind}\0{value}".encode()
        return hmac.new(self.salt, text, hashlib.sha256).hexdigest()[:32]


def open_state(folder: Path) -> Keys:
    """Make the node's folder where it is not there, readable by its owner only; return its keys."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "studies").mkdir(exist_ok=True, mode=0o700)
    path = folder / "salt"
    if not path.exists():
        draft = folder / f"salt-{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # never over one that another process has just made
        draft.unlink()
        sync(folder)
    return Keys(salt=path.read_bytes())


class Inbox:
    """Receives images. When `store` returns, they are on the disk and in the list of studies."""

    def __init__(
        self, folder: Path, keys: Keys, study_list: StudyList, *, min_free_bytes: int
    ) -> None:
        """Use the node's folder; refuse images when less than `min_free_bytes` would be free."""
        self._studies = folder / "studies"
        self._keys = keys
        self._study_list = study_list
        self._min_free = min_free_bytes
        self._latest: dict[str, float] = {}
        self._open: dict[str, int] = {}
        self._lock = threading.Lock()

    def store(self, content: bytes) -> str:
        """Keep one DICOM file; return its study's key. An image that is there already is kept once.

        An image is recorded in the list of studies before its file gets its final name. After a
        crash between the two, the study is still being received and has lost no image.

        Raises:
            DicomHeader: it does not say which image of which study it is.
            DiskFull: the disk has no room.
        """
        study_uid, instance_uid, patient = identity_of(content)
        key = self._keys.of("study", study_uid)
        path = self._studies / key / "images" / f"{self._keys.of('image', instance_uid)}.dcm"
        with self._coming(key):
            if not path.exists():
                # without an identifier every study is a patient of its own: none is compared
                whose = self._keys.of("patient", patient or f"study {study_uid}")
                self._write(path, content, before=lambda: self._study_list.receive(key, whose))
        return key

    def complete(self, study: Study, *, quiet_s: float, images: int = 0) -> bool:
        """Take a study to `complete` where no image came for so long and none is coming.

        One that has `images` images is complete at once, unless it was before: then late images
        are awaited together.
        """
        with self._lock:
            waited = time.monotonic() - self._latest.setdefault(study.key, time.monotonic())
            if self._open.get(study.key):
                return False
            if min(waited, self._still_s(study.key)) < quiet_s and not (
                images and study.round == 1 and self._count(study.key) >= images
            ):
                return False
            return self._study_list.move(study, "complete")

    def kept(self, instance_uids: Iterable[str]) -> set[str]:
        """Return those of the images that are on the disk."""
        names = {uid: f"{self._keys.of('image', uid)}.dcm" for uid in instance_uids}
        here = {path.name for path in self._studies.glob("*/images/*.dcm")}
        return {uid for uid, name in names.items() if name in here}

    def hold(self, key: str) -> None:
        """Begin a study's quiet interval again, as when its sender leaves."""
        with self._lock:
            self._latest[key] = time.monotonic()

    def forget(self, key: str) -> None:
        """Remove a study's images and objects."""
        with self._lock:
            self._latest.pop(key, None)
            remove(self._studies / key)

    def folder(self, key: str) -> Path:
        """Return a study's folder."""
        return self._studies / key

    def _count(self, key: str) -> int:
        """Return how many whole images a study has."""
        try:
            names = os.listdir(self._studies / key / "images")  # noqa: PTH208 - names are enough
        except OSError:
            return 0
        return sum(not name.startswith(".") for name in names)

    def _still_s(self, key: str) -> float:
        """Return for how long no process has put an image into a study's folder."""
        try:
            return abs(time.time() - (self._studies / key / "images").stat().st_mtime)
        except OSError:
            return float("inf")

    @contextmanager
    def _coming(self, key: str) -> Generator[None]:
        """Count the images of a study that are being written: it is not complete meanwhile."""
        with self._lock:
            self._open[key] = self._open.get(key, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._latest[key] = time.monotonic()
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]

    def _write(self, path: Path, content: bytes, *, before: Callable[[], object]) -> None:
        draft = path.with_name(f".{path.stem}-{secrets.token_hex(4)}")
        try:
            if shutil.disk_usage(self._studies).free - len(content) < self._min_free:
                raise _no_room()
            if not path.parent.is_dir():
                for folder in (path.parent.parent, path.parent):
                    folder.mkdir(exist_ok=True, mode=0o700)
                sync(path.parent.parent)
                sync(self._studies)
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            before()
            draft.rename(path)
            sync(path.parent)
        except (OSError, sqlite3.Error) as error:
            draft.unlink(missing_ok=True)
            raise _no_room() from error


def identity_of(content: bytes) -> tuple[str, str, str]:
    """Return a DICOM file's study UID, instance UID and patient identifier.

    Raises:
        DicomHeader: it has none that are valid.
    """
    from pydicom import dcmread

    fault = DicomHeader(
        "an object without a valid study and instance UID",
        expected="a DICOM image",
        remedy="export it again from where it is kept",
    )
    with guarded(fault):
        data = dcmread(
            BytesIO(content),
            stop_before_pixels=True,
            specific_tags=[
                "SpecificCharacterSet", "StudyInstanceUID", "SOPInstanceUID", "PatientID",
                "IssuerOfPatientID",
            ],
        )  # fmt: skip
        study, instance = str(data.get("StudyInstanceUID", "")), str(data.get("SOPInstanceUID", ""))
        patient = str(data.get("PatientID", "") or "").strip().casefold()
        issuer = str(data.get("IssuerOfPatientID", "") or "").strip().casefold()
    for uid in (study, instance):
        if len(uid) > LONGEST_UID or not UID.fullmatch(uid):
            raise fault
    return study, instance, f"{issuer}\0{patient}" if patient else ""


def _no_room() -> DiskFull:
    return DiskFull(
        "too little free disk space for another image",
        expected="room for the study and its result",
        remedy="make room; the sender will try again",
    )
