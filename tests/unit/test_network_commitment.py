"""Storage commitment: a sender asks which images are safe, and is told, here or at its address."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt

from brainmets.network.commitment import COMMITMENT, INSTANCE
from brainmets.network.node import DATABASE, Node
from brainmets.network.options import NodeOptions, target_of
from brainmets.network.study_list import StudyList
from tests.patience import comes_true
from tests.unit.io_files import head, write_dicom
from tests.unit.orthanc import Orthanc, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# pynetdicom leaves the socket of a refused connection to be collected
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MISSING = "1.2.3.4.5"


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    yield
    gc.collect()


def node_of(folder: Path, *addresses: str) -> Node:
    options = NodeOptions(
        port=0,
        targets=(target_of("PACS@127.0.0.1:104"),),
        addresses=tuple(target_of(text) for text in addresses),
        state=folder / "node",
        min_free_bytes=0,
        quiet_s=3600,
    )
    return Node(options)


def asked_for(*uids: str) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = generate_uid()
    asked.ReferencedSOPSequence = []
    for uid in uids:
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = MRImageStorage, uid
        asked.ReferencedSOPSequence.append(one)
    return asked


class Reports:
    """What a sender was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Dataset]] = []
        self.came = threading.Event()

    def __call__(self, event: Any) -> tuple[int, None]:
        self.told.append((event.event_type, event.event_information))
        self.came.set()
        return 0x0000, None


def send_and_ask(port: int, paths: list[Path], asked: Dataset, reports: Reports | None) -> int:
    """Store images and ask; with `reports` wait for the report on the same association."""
    ae = AE(ae_title="SENDER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    ae.add_requested_context(COMMITMENT)
    handlers = [] if reports is None else [(evt.EVT_N_EVENT_REPORT, reports)]
    association = ae.associate("127.0.0.1", port, ae_title="BRAINMETS", evt_handlers=handlers)
    assert association.is_established
    for path in paths:
        assert association.send_c_store(dcmread(path)).Status == 0
    status, _ = association.send_n_action(asked, 1, COMMITMENT, INSTANCE)
    if reports is not None:
        assert reports.came.wait(60)
    association.release()
    return int(status.Status)


@pytest.mark.parametrize("missing", [False, True])
def test_sender_is_told_over_its_own_association(tmp_path: Path, *, missing: bool) -> None:
    paths = write_dicom(tmp_path / "images", head((20, 20, 3)))
    uids = [str(dcmread(path).SOPInstanceUID) for path in paths]
    asked, reports = asked_for(*uids, *([MISSING] if missing else [])), Reports()
    node = node_of(tmp_path)
    node.start()
    try:
        assert send_and_ask(node.port, paths, asked, reports) == 0
        assert nothing_to_report(tmp_path)
    finally:
        node.stop()

    ((kind, told),) = reports.told
    assert kind == (2 if missing else 1)
    assert told.TransactionUID == asked.TransactionUID
    assert [one.ReferencedSOPInstanceUID for one in told.ReferencedSOPSequence] == uids
    failed = told.get("FailedSOPSequence", [])
    assert [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in failed] == (
        [(MISSING, 0x0112)] if missing else []
    )


def test_sender_is_told_at_its_address_once_it_is_there_again_though_the_node_was_restarted(
    tmp_path: Path,
) -> None:
    paths = write_dicom(tmp_path / "images", head((20, 20, 3)))
    asked, reports, port = asked_for(str(dcmread(paths[0]).SOPInstanceUID)), Reports(), free_port()
    address = f"SENDER@127.0.0.1:{port}"
    node = node_of(tmp_path, address)
    node.start()
    try:
        assert send_and_ask(node.port, paths, asked, None) == 0
    finally:
        node.stop()
    assert not nothing_to_report(tmp_path, within_s=0)

    ae = AE(ae_title="SENDER")
    ae.add_supported_context(COMMITMENT, scp_role=True, scu_role=False)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports)]
    )
    node = node_of(tmp_path, address)
    node.start()
    try:
        assert reports.came.wait(60)
        assert nothing_to_report(tmp_path)
    finally:
        node.stop()
        server.shutdown()
    assert [kind for kind, _ in reports.told] == [1]


@pytest.mark.parametrize("fault", ["action", "transaction", "images"])
def test_request_that_makes_no_sense_is_refused(fault: str, tmp_path: Path) -> None:
    asked = asked_for(MISSING)
    if fault == "transaction":
        del asked.TransactionUID
    if fault == "images":
        asked.ReferencedSOPSequence = []
    node = node_of(tmp_path)
    node.start()
    try:
        ae = AE(ae_title="SENDER")
        ae.add_requested_context(COMMITMENT)
        association = ae.associate("127.0.0.1", node.port, ae_title="BRAINMETS")
        kind = 7 if fault == "action" else 1
        status, _ = association.send_n_action(asked, kind, COMMITMENT, INSTANCE)
        association.release()
    finally:
        node.stop()
    assert int(status.Status) == (0x0123 if fault == "action" else 0x0115)


def test_orthanc_has_its_images_committed(tmp_path: Path) -> None:
    with Orthanc(tmp_path) as pacs:
        paths = write_dicom(tmp_path / "images", head((20, 20, 3)))
        pacs.keep(paths)
        node = node_of(tmp_path, pacs.target)
        node.start()
        try:
            study = str(dcmread(paths[0]).StudyInstanceUID)
            pacs.send_study(study, "BRAINMETS", node.port)
            wanted = {"Level": "Study", "Query": {"StudyInstanceUID": study}}
            (found,) = pacs.http.post("/tools/find", json=wanted).json()
            asked = pacs.http.post(
                "/modalities/node/storage-commitment", json={"Resources": [found]}
            )
            place = asked.raise_for_status().json()["Path"]
            assert comes_true(
                lambda: pacs.http.get(place).json()["Status"] != "Pending", within_s=60
            )
            assert pacs.http.get(place).json()["Status"] == "Success"
            assert len(pacs.http.get(place).json()["Success"]) == len(paths)
        finally:
            node.stop()


def nothing_to_report(folder: Path, within_s: float = 30.0) -> bool:
    study_list = StudyList(folder / "node" / DATABASE)
    try:
        return comes_true(lambda: not study_list.asked(due=1e12), within_s=within_s)
    finally:
        study_list.close()
