"""Results taken away over HTTP: every format, the reader's corrections, refusals that help."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, get_args

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from brainmets.api.app import create_app
from brainmets.api.client import Client
from brainmets.api.exporting import OF_DICOM
from brainmets.api.exports import OF_SCANS
from brainmets.api.schemas import ExportName
from brainmets.api.settings import Settings
from brainmets.domain import Geometry, HeadPhantom
from brainmets.domain.errors import OptionError
from brainmets.inference import OperatingPoint
from tests.bundles import random_bundle
from tests.e2e.dicom import dicom_zip
from tests.unit.api_server import serving
from tests.unit.test_api_jobs import submit, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

OFTEN = OperatingPoint(threshold=0.55, peak=0.6, min_volume_mm3=40.0)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def service(state: Path, repository: Path) -> Iterator[httpx.Client]:
    models = state / "models"
    for dims in (2, 3):
        name = models / f"attention-unet-{dims}d"
        random_bundle(name, dims=dims, widths=(4, 8), point=OFTEN, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))
        patch.setenv("BRAINMETS_MODELS", str(models))
        settings = Settings(state_dir=state, min_free_bytes=0)
        with serving(create_app(settings)) as client:
            yield client


@pytest.fixture(scope="module")
def dicom(service: httpx.Client) -> str:
    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 40), spacing_mm=4.0))
    return done(service, dicom_zip(image.data, image.geometry), "head.zip")


@pytest.fixture(scope="module")
def nifti(service: httpx.Client) -> str:
    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 40), spacing_mm=4.0))
    content = nibabel.Nifti1Image(image.data.astype(np.int16), image.geometry.affine).to_bytes()
    return done(service, content, "head.nii")


@pytest.fixture(scope="module")
def slice_(service: httpx.Client) -> str:
    image, _ = HeadPhantom().render(Geometry.isotropic((160, 192, 3), spacing_mm=1.0))
    content = io.BytesIO()
    grey = (image.data[:, :, 1].T / image.data.max() * 255).astype(np.uint8)
    Image.fromarray(grey).save(content, "PNG")
    return done(service, content.getvalue(), "slice.png")


def done(client: httpx.Client, content: bytes, name: str) -> str:
    job = wait(client, submit(client, content, name)["id"])
    assert job["state"] == "done", job
    return job["id"]


def export(client: httpx.Client, job: str, name: str) -> bytes:
    response = client.get(f"/v1/jobs/{job}/exports/{name}")
    assert response.status_code == 200, response.text
    assert f'filename="{name}"' in response.headers["content-disposition"]
    return response.content


def lesions_of(client: httpx.Client, job: str) -> list[dict]:
    return client.get(f"/v1/jobs/{job}").json()["result"]["lesions"]


def voxels(mask: bytes) -> np.ndarray:
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(mask))
    told = json.loads(image.header.extensions[0].get_content())
    assert "esearch use only" in told["notice"]
    assert told["provenance"]["model"].startswith("attention-unet")
    return np.asanyarray(image.dataobj)


def test_a_dicom_job_leaves_in_every_format(service: httpx.Client, dicom: str) -> None:
    found = lesions_of(service, dicom)
    assert found
    mask = voxels(export(service, dicom, "mask.nii.gz"))
    assert set(np.unique(mask)) == {0, *(lesion["id"] for lesion in found)}
    own = service.get(f"/v1/jobs/{dicom}/files/mask.nii.gz").content
    assert np.array_equal(voxels(own), mask)
    seg = pydicom.dcmread(io.BytesIO(export(service, dicom, "seg.dcm")))
    assert int(seg.pixel_array.astype(bool).sum()) == int((mask > 0).sum())
    regions = pydicom.dcmread(io.BytesIO(export(service, dicom, "rtstruct.dcm")))
    assert len(regions.StructureSetROISequence) == len(found)
    assert len(json.loads(export(service, dicom, "report.json"))["lesions"]) == len(found)
    assert export(service, dicom, "lesions.csv").count(b"\n") > len(found)
    assert export(service, dicom, "report.pdf").startswith(b"%PDF")


def attempt_of(state: Path, job: str) -> Path:
    (attempt,) = (state / "jobs" / job).glob("attempt-*")
    return attempt


def test_an_export_is_made_once_and_anew_after_a_review(
    service: httpx.Client, state: Path, dicom: str
) -> None:
    before = export(service, dicom, "seg.dcm")
    kept = next((attempt_of(state, dicom) / "exports").rglob("seg.dcm")).stat().st_mtime_ns
    assert export(service, dicom, "seg.dcm") == before
    assert next((attempt_of(state, dicom) / "exports").rglob("seg.dcm")).stat().st_mtime_ns == kept
    first, *rest = (lesion["id"] for lesion in lesions_of(service, dicom))
    saved = service.put(f"/v1/jobs/{dicom}/review", json={"rejected": [first]})
    assert saved.status_code == 200, saved.text
    mask = voxels(export(service, dicom, "mask.nii.gz"))
    assert set(np.unique(mask)) == {0, *rest}
    assert len(pydicom.dcmread(io.BytesIO(export(service, dicom, "seg.dcm"))).SegmentSequence) == (
        len(rest)
    )
    document = json.loads(export(service, dicom, "report.json"))
    assert document["review"] == {"reviewed": True, "rejected": 1}
    none = [first, *rest]
    assert service.put(f"/v1/jobs/{dicom}/review", json={"rejected": none}).status_code == 200
    refused = service.get(f"/v1/jobs/{dicom}/exports/rtstruct.dcm")
    assert (refused.status_code, refused.json()["code"]) == (422, "E_NO_LESION")
    assert list((attempt_of(state, dicom) / "exports").rglob("*")) == []  # no half-made file either
    empty = pydicom.dcmread(io.BytesIO(export(service, dicom, "seg.dcm")))
    assert [one.SegmentLabel for one in empty.SegmentSequence] == ["No lesion"]


def test_everything_holds_what_stands_after_a_review(service: httpx.Client, dicom: str) -> None:
    job = service.get(f"/v1/jobs/{dicom}").json()
    gone, *rest = [lesion["id"] for lesion in job["result"]["lesions"]]
    said = {str(rest[0]): {"label": "metastasis", "comment": "near the vessel"}}
    saved = service.put(f"/v1/jobs/{dicom}/review", json={"rejected": [gone], "readings": said})
    assert saved.status_code == 200, saved.text
    content = service.get(f"/v1/jobs/{dicom}/files/all.zip").content
    archive = zipfile.ZipFile(io.BytesIO(content))
    names = set(archive.namelist())
    held = {*get_args(ExportName)} - {"training-case.zip"}  # that one repeats the scan
    assert {*held, "probability.nii.gz", "as-found/overlay.png"} <= names
    assert {"as-found/mask.nii.gz", "as-found/lesions.csv", "as-found/report.json"} <= names
    table = archive.read("lesions.csv").decode()
    assert "near the vessel" in table
    report = json.loads(archive.read("report.json"))
    assert {lesion["id"] for lesion in report["lesions"]} == set(rest)
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(archive.read("mask.nii.gz")))
    assert set(np.unique(np.asanyarray(image.dataobj)).tolist()) == {0, *rest}


def test_what_needs_dicom_images_says_what_to_do(service: httpx.Client, nifti: str) -> None:
    for name in sorted(OF_DICOM):
        refused = service.get(f"/v1/jobs/{nifti}/exports/{name}")
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.status_code, refused.json()["code"]) == (422, "E_OPTION")
        assert "upload that series" in refused.json()["remedy"]
    voxels(export(service, nifti, "mask.nii.gz"))
    assert export(service, nifti, "report.pdf").startswith(b"%PDF")
    with Client(str(service.base_url)) as client:
        assert client.export(nifti, "lesions.csv") == export(service, nifti, "lesions.csv")
        with pytest.raises(OptionError, match="DICOM"):
            client.export(nifti, "seg.dcm")


def test_what_is_offered_is_what_can_be_had(
    service: httpx.Client, dicom: str, nifti: str, slice_: str
) -> None:
    missing = {dicom: set(), nifti: set(OF_DICOM)}
    missing[slice_] = {*OF_SCANS, *OF_DICOM}
    for job, expected in missing.items():
        shown = service.get(f"/v1/jobs/{job}").json()
        exports = shown["exports"]
        assert {one["name"] for one in exports} == set(get_args(ExportName))
        if shown["review"] is None or job == slice_:
            expected.add("training-case.zip")
        problems = {one["name"]: one["problem"] for one in exports if one["problem"]}
        assert set(problems) == expected
        for name, problem in problems.items():
            refused = service.get(f"/v1/jobs/{job}/exports/{name}").json()
            assert refused["code"] == problem["code"]


def test_slices_leave_as_table_document_and_report(service: httpx.Client, slice_: str) -> None:
    for name in ("lesions.csv", "report.json", "report.pdf"):
        export(service, slice_, name)
    for name in (*sorted(OF_SCANS), *sorted(OF_DICOM)):
        refused = service.get(f"/v1/jobs/{slice_}/exports/{name}")
        assert (refused.status_code, refused.json()["code"]) == (422, "E_OPTION"), refused.text


def test_report_and_pictures_leave_as_zips_and_fhir_as_json(
    service: httpx.Client, dicom: str, nifti: str
) -> None:
    def packed(name: str) -> dict[str, bytes]:
        archive = zipfile.ZipFile(io.BytesIO(export(service, dicom, name)))
        return {one: archive.read(one) for one in archive.namelist()}

    objects = packed("measurements.zip")
    assert set(objects) == {"measurements.dcm", "segmentation.dcm"}
    report = pydicom.dcmread(io.BytesIO(objects["measurements.dcm"]))
    segments = pydicom.dcmread(io.BytesIO(objects["segmentation.dcm"]))
    assert segments.SOPInstanceUID in str(report)
    pictures = packed("captures.zip")
    assert "001.dcm" in pictures
    assert all(pydicom.dcmread(io.BytesIO(one)).Modality == "OT" for one in pictures.values())
    for job, subjects in ((dicom, 1), (nifti, 0)):
        document = json.loads(export(service, job, "fhir.json"))
        (told,) = [
            one["resource"]
            for one in document["entry"]
            if one["resource"]["resourceType"] == "DiagnosticReport"
        ]
        review = service.get(f"/v1/jobs/{job}").json()["review"]
        rejected = set() if review is None else set(review["rejected"])
        kept = [one for one in lesions_of(service, job) if one["id"] not in rejected]
        assert len(told["result"]) == 1 + len(kept)
        assert ("imagingStudy" in told) == bool(subjects)


def test_no_other_name_is_a_format(service: httpx.Client, nifti: str) -> None:
    refused = service.get(f"/v1/jobs/{nifti}/exports/passwd")
    assert (refused.status_code, refused.json()["code"]) == (422, "E_REQUEST")
    assert service.get("/v1/jobs/0123456789abcdef/exports/seg.dcm").status_code == 404


def test_the_process_answers_for_itself(state: Path, nifti: str, repository: Path) -> None:
    job = attempt_of(state, nifti)
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "brainmets.api.exporting", str(job), "lesions.csv"],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
    )
    assert ran.stdout == ""
    assert (job / "exports" / "found" / "lesions.csv").is_file()
    too_small = subprocess.run(
        [sys.executable, "-P", "-m", "brainmets.api.exporting", str(job), "report.pdf", "60000000"],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(repository / "src")},
    )
    assert too_small.returncode or "E_" in too_small.stdout
    assert not list((job / "exports").glob("draft-*"))
