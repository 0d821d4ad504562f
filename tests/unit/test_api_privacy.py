"""Who was examined stays between the images and their owner: nothing of it is written elsewhere."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import httpx
import pydicom
import pytest

from brainmets.api.settings import SEGMENT
from brainmets.domain import Geometry, HeadPhantom
from brainmets.inference import OperatingPoint
from tests.bundles import random_bundle
from tests.e2e.dicom import dicom_zip
from tests.trials.service import Service
from tests.unit.test_api_jobs import PATIENCE_S, wait

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ("MUELLER", "ERIKA", "PID-4711", "19470811", "CHARITE", "ACC-99")
OFTEN = OperatingPoint(threshold=0.55, peak=0.6, min_volume_mm3=40.0)


def named_series() -> bytes:
    """A phantom's DICOM series under a patient's name, in files that bear it too."""
    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 40), spacing_mm=4.0))
    plain = zipfile.ZipFile(io.BytesIO(dicom_zip(image.data, image.geometry)))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            data = pydicom.dcmread(io.BytesIO(plain.read(name)))
            data.PatientName, data.PatientID = "MUELLER^ERIKA", "PID-4711"
            data.PatientBirthDate, data.InstitutionName = "19470811", "CHARITE"
            data.AccessionNumber = "ACC-99"
            buffer = io.BytesIO()
            data.save_as(buffer, enforce_file_format=True)
            archive.writestr(f"MUELLER_ERIKA/PID-4711/{name}", buffer.getvalue())
    return content.getvalue()


@pytest.mark.usefixtures("repository")
def test_no_name_or_number_of_a_patient_is_logged_or_counted(tmp_path: Path) -> None:
    random_bundle(
        tmp_path / "models" / "attention-unet-3d", dims=3, widths=(4, 8), point=OFTEN, seed=3
    )
    series = named_series()
    with (
        Service(
            tmp_path / "state", runner=SEGMENT, models=tmp_path / "models", log_level="debug"
        ) as service,
        httpx.Client(base_url=service.url, timeout=PATIENCE_S) as client,
    ):
        name = "MUELLER_ERIKA_PID-4711.zip"
        upload = client.post("/v1/uploads", files=[("files", (name, series))]).json()
        looked = client.get(f"/v1/uploads/{upload['id']}").text
        sent = client.post("/v1/jobs", files=[("files", (name, series))]).json()
        job = wait(client, sent["id"])
        assert job["state"] == "done", job
        broken = client.post("/v1/jobs", files=[("files", (name, series[:9000]))]).json()
        failed = wait(client, broken["id"])
        assert failed["state"] == "failed"
        listed = client.get("/v1/jobs", params={"text": "MUELLER"}).json()
        assert len(listed["jobs"]) == 2  # its owner finds it by name
        path = f"/v1/jobs/{job['id']}"
        ids = [lesion["id"] for lesion in job["result"]["lesions"]]
        comment = {"readings": {str(ids[0]): {"label": "other", "comment": "ask Dr MUELLER"}}}
        client.put(f"{path}/review", json=comment).raise_for_status()
        seg = client.get(f"{path}/exports/seg.dcm").raise_for_status()
        client.get(f"{path}/exports/lesions.csv").raise_for_status()
        client.get(f"{path}/files/MUELLER.nii")
        client.get(f"{path}/exports/MUELLER")
        client.get("/v1/jobs/MUELLER%5EERIKA")
        counted = client.get("/metrics").text
        log = service.log.read_text()
    assert pydicom.dcmread(io.BytesIO(seg.content)).PatientID == "PID-4711"  # where it belongs
    for word in SECRETS:
        assert word not in log, word
        assert word not in counted, word
        assert word not in str(job["result"]), word
        assert word not in str(failed["problem"]).replace(name, ""), word  # which it may name
    assert all(word not in looked.replace(name, "") for word in SECRETS)
    assert f"job {job['id']}: done" in log
    assert f"/v1/jobs/{job['id']}/exports/…" in log  # ours is said
    assert f"job {broken['id']}: failed with E_" in log
