"""The other images of an upload: on the display grid, registered where their grids differ.

The registration itself is tried in `test_registration.py`; a phantom is no head for it.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from brainmets.domain import Geometry, HeadPhantom, RigidMotion, Volume
from brainmets.domain.errors import NotAligned
from brainmets.registration import Alignment
from brainmets.workflows import other_sequences as workflow
from tests.unit.test_api_jobs import open_service, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

__all__ = ["open_service"]

SHIFT_MM = 6.0
FINE = Geometry.isotropic((40, 48, 44), spacing_mm=3.0)


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    image, _ = HeadPhantom().render(FINE)
    return np.rint(image.data)


def packed(data: np.ndarray, affine: np.ndarray) -> bytes:
    return gzip.compress(nibabel.Nifti1Image(data.astype(np.int16), affine).to_bytes())


def moved_affine() -> np.ndarray:
    """Slices twice as thick, and a header that is wrong by `SHIFT_MM` to the right."""
    affine = np.array(FINE.affine)
    affine[:, 2] *= 2
    affine[:3, 3] += (SHIFT_MM, 0.0, 0.0)
    return affine


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.fixture
def folder(head: np.ndarray, tmp_path: Path) -> Path:
    files = {
        "a_t1c.nii.gz": packed(head, FINE.affine),
        "b_flair.nii.gz": packed(head.max() - head, FINE.affine),
        "c_t1.nii.gz": packed(head[:, :, ::2], moved_affine()),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("placing", ["registered", "header", "far"])
def test_images_on_another_grid_are_registered_or_placed_by_their_header(
    folder: Path, head: np.ndarray, placing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = {"registered": SHIFT_MM, "far": 90.0}.get(placing, 0.0)

    def aligned(_fixed: Volume, _moving: Volume) -> Alignment:
        if placing == "header":
            raise NotAligned("two scans", expected="one head", remedy="look")
        motion = RigidMotion.of(shift_mm=(shift, 0.0, 0.0))
        return Alignment(motion=motion, similarity=0.7, shared=1.0, error_mm=0.1)

    monkeypatch.setattr(workflow, "align", aligned)
    main = Volume(data=head.astype(np.float32), geometry=FINE)
    found = {
        one.sequence: one
        for one in workflow.other_sequences(
            folder, main, segmented="line:1", named=("t1c", "t2f", "t1n")
        )
    }
    assert set(found) == {"t2f", "t1n"}
    flair, t1 = found["t2f"], found["t1n"]
    assert (flair.placing, flair.similarity) == ("same grid", None)
    assert flair.volume is not None
    assert np.allclose(flair.volume.data, head.max() - head)
    assert t1.volume is not None
    assert t1.volume.geometry.same_grid(FINE)
    as_headed = np.roll(head, round(SHIFT_MM / 3), axis=0)
    if placing == "registered":
        assert (t1.placing, t1.similarity) == ("registered", 0.7)
        assert alike(t1.volume.data[:, :, ::2], head[:, :, ::2]) > 0.99  # between: interpolated
    else:  # no head moves 90 mm between two series: such a fit is chance
        assert (t1.placing, t1.similarity) == ("header", None)
        inner = np.s_[4:-4, :, ::2]
        shown = t1.volume.data[inner]
        assert alike(shown, as_headed[inner]) > 0.99 > alike(shown, head[inner])


def test_an_image_that_cannot_be_read_is_named(folder: Path, head: np.ndarray) -> None:
    (folder / "c_t1.nii.gz").write_bytes(packed(np.zeros_like(head), FINE.affine))
    main = Volume(data=head.astype(np.float32), geometry=FINE)
    found = list(workflow.other_sequences(folder, main, segmented="line:1"))
    assert [one.problem.code if one.problem else "" for one in found] == ["", "E_CONSTANT"]


def test_other_images_come_on_the_display_grid(
    open_service: Callable[..., httpx.Client], folder: Path
) -> None:
    service = open_service(state_dir=folder / "state")
    names = ("a_t1c.nii.gz", "b_flair.nii.gz")  # the stand-in segments the first
    files = [("files", (name, (folder / name).read_bytes())) for name in names]
    posted = service.post("/v1/jobs", files=files, data={"sequences": ["t1c", "t2f"]})
    job = wait(service, posted.json()["id"])
    view = service.get(f"/v1/jobs/{job['id']}/sequences").json()
    assert view["segmented"] == "T1 with contrast"
    (flair,) = view["others"]
    assert (flair["name"], flair["placing"]) == ("T2 FLAIR", "same grid")
    shape = job["result"]["view"]["shape"]
    main, other = (
        np.frombuffer(service.get(f"/v1/jobs/{job['id']}/{part}").content, dtype="<u2")
        for part in ("view/image.u16", f"sequences/{flair['number']}")
    )
    assert main.size == other.size == np.prod(shape)
    assert alike(main, other) < -0.99
    unknown = service.get(f"/v1/jobs/{job['id']}/sequences/7")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "E_JOB_UNKNOWN")
    alone = wait(service, service.post("/v1/jobs", files=files[:1]).json()["id"])
    none = service.get(f"/v1/jobs/{alone['id']}/sequences").json()
    assert none == {"segmented": "", "others": []}
