"""A study from a PACS and its results back in it, by DIMSE and by DICOMweb, against Orthanc."""

from __future__ import annotations

import gc
import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import highdicom
import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

from brainmets.api.app import create_app
from brainmets.api.client import Client
from brainmets.api.settings import Settings
from brainmets.domain import Geometry, Mask, RigidMotion, Volume
from brainmets.domain.errors import NoDicom, OptionError, ServiceUnreachable
from brainmets.network.node import DATABASE, Node, fetch_into, fetch_study, unanswered
from brainmets.network.options import NodeOptions, target_of
from brainmets.network.sender import objects_among, send_files
from brainmets.network.study_list import StudyList
from tests.followed_heads import Ball, brighter, moved
from tests.patience import comes_true, files_below
from tests.unit.api_server import serving
from tests.unit.dicom_readers import dciodvfy_errors, segment_points_lps
from tests.unit.io_files import write_dicom
from tests.unit.orthanc import Orthanc, free_port
from tests.unit.test_io_dicom_objects import assert_same_points
from tests.unit.test_workflow_track import textured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = (Ball((-30.0, 20.0, 20.0), 14.0), Ball((30.0, 20.0, 20.0), 20.0))
LATER = (Ball((-30.0, 20.0, 20.0), 24.0), Ball((0.0, -40.0, 20.0), 10.0))
MOTION = RigidMotion.of(rotation_deg=(2.0, -3.0, 5.0), shift_mm=(4.0, -3.0, 2.0))
PATIENT_ID, PATIENT_NAME = "4711-secret", "MUSTERFRAU^ERIKA"
PATIENCE_S = 240.0
FIELDS = {
    "Volume": "volume_mm3",
    "Long axis": "diameter_in_plane_mm",
    "Short axis": "perpendicular_mm",
    "Longest diameter in space": "diameter_3d_mm",
    "Peak probability of a lesion": "peak_probability",
}


@dataclass
class Hospital:
    """A PACS, a service, and what was logged."""

    pacs: Orthanc
    client: Client
    folder: Path

    def options(self, name: str, target: str) -> NodeOptions:
        return NodeOptions(
            port=0,
            targets=(target_of(target),),
            state=self.folder / name,
            service=self.client.base_url,
            quiet_s=2.0,
            audit_file=self.folder / f"{name}.jsonl",
            min_free_bytes=0,
        )

    def admit(self, image: Volume, day: str, **fields: Any) -> str:
        """Bring a study into the PACS: a head with contrast, and a coarse series without."""
        study = generate_uid()
        names = {"PatientID": PATIENT_ID, "PatientName": PATIENT_NAME, "StudyDate": day, **fields}
        counts = Volume(data=np.rint(image.data), geometry=image.geometry)
        paths = write_dicom(self.folder / study / "a", counts, StudyInstanceUID=study, **names)
        few = Volume(data=counts.data[:, :, :8], geometry=_top(counts.geometry, 8))
        paths += write_dicom(
            self.folder / study / "b",
            few,
            StudyInstanceUID=study,
            SeriesDescription="AX T2 FLAIR",
            number=4,
            **names,
        )
        self.pacs.keep(paths)
        return study

    def answer(self, study: str) -> tuple[bytes, bytes]:
        """Wait for the one segmentation and the one report of a study; both are valid."""

        def there() -> bool:
            return bool(self.pacs.qido(study, "SEG") and self.pacs.qido(study, "SR"))

        assert comes_true(there, within_s=PATIENCE_S), "no answer came"
        found: list[bytes] = []
        for modality in ("SEG", "SR"):
            (one,) = self.pacs.qido(study, modality)
            content = self.pacs.file(one["00080018"]["Value"][0])
            path = self.folder / f"{modality}.dcm"
            path.write_bytes(content)
            assert dciodvfy_errors(path) == []
            found.append(content)
        return found[0], found[1]

    def report(self) -> dict[str, Any]:
        """The lesions of the report last looked at, by tracking UID."""
        content = highdicom.sr.srread(self.folder / "SR.dcm").content
        return {one.tracking_uid: one for one in content.get_volumetric_roi_measurement_groups()}


def _top(grid: Geometry, slices: int) -> Geometry:
    return Geometry(shape=(*grid.shape[:2], slices), affine=grid.affine)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("hospital")
    with pytest.MonkeyPatch.context() as patch, Orthanc(folder) as pacs:
        settings = Settings(
            state_dir=folder / "service",
            runner="tests.unit.followup_stand_in:segment",
            min_free_bytes=0,
            pacs_url=pacs.web,
        )
        patch.setenv("PYTHONPATH", f"{repository / 'src'}:{repository}")
        with serving(create_app(settings)) as http, Client(str(http.base_url)) as client:
            yield Hospital(pacs, client, folder)


def test_study_comes_in_and_results_go_back(
    hospital: Hospital, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    head = textured(3.0)
    options = hospital.options("node", hospital.pacs.target)
    node = Node(options)
    node.start()
    try:
        first = hospital.admit(brighter(head, FIRST)[0], "20260105")
        hospital.pacs.send_study(first, "BRAINMETS", node.port)
        segmentation, _ = hospital.answer(first)
        before = hospital.report()
        check_lesions(hospital, segmentation, before)

        again = brighter(moved(head, MOTION, head.geometry), LATER, MOTION)[0]
        second = hospital.admit(again, "20260405")
        hospital.pacs.send_study(second, "BRAINMETS", node.port)
        segmentation, _ = hospital.answer(second)
        check_follow_up(hospital, before, segmentation)
        assert_all_answered(options)
    finally:
        node.stop()

    assert options.audit_file is not None
    trail = options.audit_file.read_text()
    noted = [json.loads(line) for line in trail.splitlines()]
    assert Counter(one["what"] for one in noted) == {"received": 2, "submitted": 2, "sent": 4}
    assert {one["who"] for one in noted if one["what"] == "received"} == {"ORTHANC"}
    assert len({one["study"] for one in noted}) == 2
    written = [path.name for path in files_below(options.state)]
    logged = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    assert any("objects to send" in line for line in logged)
    for text in (*written, *logged, study_list_text(options.state), trail):
        for secret in (PATIENT_ID, PATIENT_NAME, "MUSTERFRAU", first, second):
            assert secret not in text


def assert_all_answered(options: NodeOptions) -> None:
    nothing = ([], [])
    comes_true(lambda: unanswered(options.state) == nothing, within_s=PATIENCE_S)
    assert unanswered(options.state) == nothing


def check_lesions(hospital: Hospital, segmentation: bytes, groups: dict[str, Any]) -> None:
    """Segmentation and report say what the job of the page says."""
    (job,) = [one for one in hospital.client.jobs() if not one.options.followup]
    job = hospital.client.job(job.id)
    assert job.result is not None
    assert len(job.result.lesions) == len(FIRST)
    path = hospital.folder / "mask.nii.gz"
    path.write_bytes(hospital.client.file(job.id, "mask.nii.gz"))
    image = nibabel.load(path)
    data = np.asarray(image.dataobj).astype(np.uint8)
    mask = Mask(data=data, geometry=Geometry(shape=data.shape, affine=image.affine))
    points = segment_points_lps(segmentation)
    for lesion in job.result.lesions:
        assert_same_points(points[f"Lesion {lesion.id}"], mask, lesion.id)
    seg = highdicom.seg.segread(hospital.folder / "SEG.dcm")
    by_number = {int(s.SegmentNumber): str(s.TrackingUID) for s in seg.SegmentSequence}
    for number, lesion in enumerate(job.result.lesions, start=1):
        group = groups[by_number[number]]
        assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        values = {one.name.meaning: one.value for one in group.get_measurements()}
        for name, field in FIELDS.items():
            assert values[name] == pytest.approx(getattr(lesion, field), abs=5e-4)


def check_follow_up(hospital: Hospital, before: dict[str, Any], segmentation: bytes) -> None:
    """The lesion that grew has its name, the one that is gone is reported, the new one is new."""
    after = hospital.report()
    content = highdicom.sr.srread(hospital.folder / "SR.dcm").content
    (gone,) = content.get_image_measurement_groups()
    assert len(after) == len(LATER)
    (kept,) = set(before) & set(after)
    assert change_of(after[kept]) == "Growing"
    assert volume_of(after[kept]) > volume_of(before[kept])
    assert {gone.tracking_uid} == set(before) - {kept}
    assert change_of(gone) == "Gone"
    (new,) = set(after) - set(before)
    assert change_of(after[new]) == "New"
    assert len(segment_points_lps(segmentation)) == len(LATER)
    assert any(one.options.followup for one in hospital.client.jobs())


def change_of(group: Any) -> str:
    return group.get_qualitative_evaluations()[0].value.meaning


def volume_of(group: Any) -> float:
    return {one.name.meaning: one.value for one in group.get_measurements()}["Volume"]


def study_list_text(state: Path) -> str:
    study_list = StudyList(state / DATABASE)
    try:
        return repr([*study_list.studies(), *study_list.parcels()])
    finally:
        study_list.close()


def test_study_is_fetched_and_stored_by_dicomweb(hospital: Hospital) -> None:
    options = hospital.options("web", hospital.pacs.web)
    image = brighter(textured(4.0), FIRST)[0]
    study = hospital.admit(image, "20260601", PatientID="4712")
    node = Node(options)
    node.start()
    try:
        images = fetch_study(hospital.pacs.web, study, options.state, min_free_bytes=0)
        segmentation, _ = hospital.answer(study)
        assert_all_answered(options)
    finally:
        node.stop()

    assert images == image.data.shape[2] + 8
    assert len(hospital.report()) == len(segment_points_lps(segmentation)) == len(FIRST)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# pynetdicom leaves the socket of a refused connection to be collected
def test_study_is_opened_by_the_service_itself_and_its_result_stored(
    hospital: Hospital, tmp_path: Path
) -> None:
    study = hospital.admit(brighter(textured(4.0), FIRST)[0], "20260701", PatientID="4714")
    client = hospital.client
    job = client.wait(client.open_study(study).id, timeout_s=PATIENCE_S)
    assert job.state == "done", job.problem
    client.store_result(job.id)
    segmentation, _ = hospital.answer(study)
    assert len(hospital.report()) == len(segment_points_lps(segmentation)) == len(FIRST)

    with pytest.raises(NoDicom):
        client.open_study("1.2.3.4")
    assert fetch_into(tmp_path / "study", hospital.pacs.web, study) > 8
    with pytest.raises(OptionError, match="--out"):
        fetch_into(tmp_path / "study", hospital.pacs.web, study)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "segmentation.dcm").write_bytes(segmentation)
    found = objects_among([tmp_path / "objects"])
    for target in (hospital.pacs.web, hospital.pacs.target):
        send_files(found, target_of(target), aet="BRAINMETS")
    with pytest.raises(ServiceUnreachable):
        send_files(found, target_of(f"PACS@127.0.0.1:{free_port()}"), aet="BRAINMETS")
    gc.collect()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# pynetdicom leaves the socket of a refused connection to be collected
def test_pacs_that_is_away_gets_its_results_later(hospital: Hospital) -> None:
    options = hospital.options("away", hospital.pacs.target)
    study = hospital.admit(brighter(textured(4.0), FIRST)[0], "20260602", PatientID="4713")
    node = Node(options)
    node.start()
    try:
        hospital.pacs.send_study(study, "BRAINMETS", node.port)
        hospital.pacs.stop()
        assert comes_true(
            lambda: any(one.tries for one in unanswered(options.state)[1]), within_s=PATIENCE_S
        )
        node.stop()  # what waits survives the node
        hospital.pacs.start()
        node = Node(options)
        node.start()
        hospital.answer(study)
    finally:
        node.stop()
    gc.collect()
