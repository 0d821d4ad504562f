"""Odd and hostile senders: each is refused or survived, and the node answers the next one."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from brainmets.api.audit import Audit
from brainmets.network import receiver
from brainmets.network.commitment import Commitment
from brainmets.network.inbox import Inbox, open_state
from brainmets.network.options import NodeOptions, target_of
from brainmets.network.receiver import Receiver
from brainmets.network.study_list import StudyList
from tests.patience import comes_true
from tests.unit.io_files import head, write_dicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pynetdicom.association import Association

MPEG2 = "1.2.840.10008.1.2.4.100"
MOST = 8
LARGEST_OBJECT = 300_000


# pynetdicom leaves the sockets of associations that were refused to be collected
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    yield
    gc.collect()


class Door:
    """A node without a service behind it, and an image that it would take."""

    def __init__(self, folder: Path) -> None:
        self.study_list = StudyList(folder / "network.sqlite")
        keys = open_state(folder / "node")
        self.inbox = Inbox(folder / "node", keys, self.study_list, min_free_bytes=0)
        options = NodeOptions(
            port=0,
            callers=("GOOD",),
            targets=(target_of("PACS@127.0.0.1:104"),),
            state=folder / "node",
            max_associations=MOST,
            max_object_bytes=LARGEST_OBJECT,
        )
        commitment = Commitment(options, self.study_list, self.inbox)
        self.receiver = Receiver(options, self.inbox, commitment, Audit(None))
        self.receiver.start()
        self.image = dcmread(write_dicom(folder / "images", head((40, 40, 3)))[0])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.receiver.port), timeout=20)

    def say(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """Connect, send, and see the connection end."""
        with self.connect() as line:
            for piece in pieces:
                try:
                    line.sendall(piece)
                except OSError:
                    return
                time.sleep(pause_s)
            line.shutdown(socket.SHUT_WR)
            try:
                while line.recv(4096):
                    pass
            except OSError:
                pass

    def call(self, *kinds: str, caller: str = "GOOD", called: str = "BRAINMETS") -> Association:
        ae = AE(ae_title=caller)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        for kind in kinds or (MRImageStorage,):
            ae.add_requested_context(kind, ExplicitVRLittleEndian)
        return ae.associate("127.0.0.1", self.receiver.port, ae_title=called)

    def store(self, **changes: Any) -> int | None:
        """The status of a C-STORE of the image with some attributes changed; None: no answer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Dataset()
            image.update(self.image)
            image.file_meta = self.image.file_meta
            for name, value in changes.items():
                if value is None:
                    delattr(image, name)
                else:
                    setattr(image, name, value)
            association = self.call()
            try:
                assert association.is_established
                return association.send_c_store(image).get("Status")
            finally:
                association.release() if association.is_established else association.abort()

    def answers(self) -> bool:
        association = self.call(Verification)
        if not association.is_established:
            return False
        status = association.send_c_echo()
        association.release()
        return status.get("Status") == 0


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiver, "PDU_WITHIN_S", 1.0)
        patch.setattr(receiver, "FIRST_REQUEST_WITHIN_S", 2.0)
        door = Door(tmp_path_factory.mktemp("door"))
        try:
            yield door
        finally:
            door.receiver.stop()
            door.study_list.close()


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def pdv(context: int, control: int, data: bytes) -> bytes:
    return pdu(4, struct.pack(">LBB", len(data) + 2, context, control) + data)


def abruptly(door: Door, *pieces: bytes) -> None:
    """Associate, send bytes past the library, and leave without a word."""
    association = door.call()
    assert association.is_established
    line = association.dul.socket.socket
    with suppress(OSError):
        for piece in pieces:
            line.sendall(piece)
    association.abort()
    line.close()  # the library forgets it where the node was the first to close


def refused_association(door: Door, *kinds: str, **how: str) -> None:
    association = door.call(*kinds, **how)
    assert not association.is_established


def refused_store(door: Door, **changes: Any) -> None:
    assert door.store(**changes) not in {0, None}


def too_large(door: Door) -> None:
    assert door.store(PixelData=b"\0" * (2 * LARGEST_OBJECT)) is None


def slow(door: Door) -> None:
    """A PDU that would take an hour is given a second."""
    with door.connect() as line:
        line.sendall(struct.pack(">BBL", 1, 0, 3600))
        until = time.monotonic() + 30
        try:
            while time.monotonic() < until:
                line.sendall(b"\0")
                time.sleep(0.2)
        except OSError:
            return
    raise AssertionError("the slow sender was served for 30 s")


def unknown_syntax(door: Door) -> None:
    ae = AE(ae_title="GOOD")
    ae.add_requested_context(MRImageStorage, MPEG2)
    association = ae.associate("127.0.0.1", door.receiver.port, ae_title="BRAINMETS")
    assert not association.accepted_contexts
    association.abort()


ASSOCIATE = pdu(
    1, struct.pack(">HH", 1, 0) + b"BRAINMETS".ljust(16) + b"GOOD".ljust(16) + b"\0" * 32
)
CASES: dict[str, Callable[[Door], object]] = {
    "leaves at once": lambda d: d.say(),
    "random bytes": lambda d: d.say(bytes(range(256)) * 40),
    "HTTP": lambda d: d.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "TLS": lambda d: d.say(bytes.fromhex("16030100a5010000a10303") + b"\0" * 160),
    "unknown PDU": lambda d: d.say(pdu(0x99, b"x" * 20)),
    "PDU of 4 GiB": lambda d: d.say(pdu(1, b"x" * 100, 0xFFFFFFFF)),
    "PDU of 2 MiB": lambda d: d.say(pdu(1, b"x" * 2**21)),
    "half a request": lambda d: d.say(ASSOCIATE[:40]),
    "empty request": lambda d: d.say(pdu(1, b"")),
    "request without contexts": lambda d: d.say(ASSOCIATE),
    "request of zeros": lambda d: d.say(pdu(1, b"\0" * 200)),
    "data first": lambda d: d.say(pdv(1, 3, b"x" * 40)),
    "release first": lambda d: d.say(pdu(5, b"\0" * 4)),
    "abort first": lambda d: d.say(pdu(7, b"\0" * 4)),
    "acceptance first": lambda d: d.say(ASSOCIATE.replace(b"\1", b"\2", 1)),
    "rejection first": lambda d: d.say(pdu(3, b"\0\1\1\1")),
    "two requests": lambda d: d.say(ASSOCIATE, ASSOCIATE),
    "slow": slow,
    "wrong called title": lambda d: refused_association(d, called="OTHER"),
    "caller not on the list": lambda d: refused_association(d, caller="EVIL"),
    "CT only": lambda d: refused_association(d, CTImageStorage),
    "query only": lambda d: refused_association(d, StudyRootQueryRetrieveInformationModelFind),
    "unknown syntax": unknown_syntax,
    "no study": lambda d: refused_store(d, StudyInstanceUID=None),
    "study is no UID": lambda d: refused_store(d, StudyInstanceUID="../../etc/passwd"),
    "study of dots": lambda d: refused_store(d, StudyInstanceUID="....."),
    "study too long": lambda d: refused_store(d, StudyInstanceUID="1." * 60 + "1"),
    "too large": too_large,
    "half an object": lambda d: abruptly(d, pdv(1, 3, b"\0" * 60), pdv(1, 0, b"x" * 2000)),
    "command of nonsense": lambda d: abruptly(d, pdv(1, 3, bytes(range(200)))),
    "wrong context": lambda d: abruptly(d, pdv(99, 3, b"\0" * 60)),
    "data of 2 GiB": lambda d: abruptly(d, struct.pack(">BBL", 4, 0, 2**31) + b"x" * 5000),
    "fragment of a wrong length": lambda d: abruptly(d, pdu(4, struct.pack(">LBB", 9999, 1, 0))),
    "request when associated": lambda d: abruptly(d, ASSOCIATE),
}


@pytest.mark.parametrize("case", CASES)
def test_node_survives(case: str, door: Door) -> None:
    CASES[case](door)

    assert comes_true(door.answers, within_s=60)
    assert door.study_list.studies() == []


def test_fifty_at_once_are_refused_or_served_and_all_when_they_try_again(door: Door) -> None:
    """How many of the first try are served is chance: the library counts those that it refuses."""
    begin, counting = threading.Barrier(50), threading.Lock()
    served, open_now, most_open = 0, 0, 0
    until = time.monotonic() + 180

    def call(number: int) -> None:
        nonlocal served, open_now, most_open
        begin.wait(timeout=60)
        while time.monotonic() < until:
            association = door.call(Verification)
            if association.is_established:
                with counting:
                    open_now += 1
                    most_open = max(most_open, open_now)
                status = association.send_c_echo().get("Status")
                with counting:
                    open_now -= 1
                    served += status == 0
                association.release()
                return
            time.sleep(0.1 + 0.02 * number)

    threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=max(1.0, until + 60 - time.monotonic()))
    assert served == 50
    assert 1 <= most_open <= MOST

    assert comes_true(door.answers, within_s=60)


def test_silent_callers_hold_no_place_for_long(door: Door) -> None:
    silent = [door.connect() for _ in range(30)]
    try:
        assert comes_true(door.answers, within_s=60)
        assert comes_true(lambda: door.receiver.associations == 0, within_s=60)
    finally:
        for line in silent:
            line.close()


def test_good_image_is_taken_after_all_that_and_kept_once(door: Door) -> None:
    assert [door.store() for _ in range(3)] == [0, 0, 0]

    (study,) = door.study_list.studies()
    assert len(list((door.inbox.folder(study.key) / "images").iterdir())) == 1
