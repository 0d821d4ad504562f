"""What the service answers, once as an example each; a test holds them to their schemas."""

from __future__ import annotations

from brainmets.api.schemas import (
    FileView,
    JobEvent,
    JobList,
    JobOptions,
    JobResult,
    JobView,
    LesionsView,
    MeasuredView,
    ModelView,
    PacsStored,
    ProvenanceView,
    Reading,
    ReviewView,
    ServiceView,
    ViewMeta,
)
from brainmets.api.uploads import EstimateView, ImageView, InspectionView, UploadView
from brainmets.domain import Lesion

__all__ = [
    "CANCELLED",
    "DONE",
    "EVENT",
    "FOUND_AGAIN",
    "JOBS",
    "LOOKED_INTO",
    "MEASURED",
    "METRICS",
    "MODELS",
    "NOT_READY",
    "PACS_STORED",
    "QUEUED",
    "READY",
    "REVIEWED",
    "UPLOADED",
]

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

_LESION = Lesion(
    id=1,
    voxels=512,
    volume_mm3=512.0,
    diameter_in_plane_mm=11.2,
    perpendicular_mm=9.8,
    diameter_3d_mm=11.9,
    centroid_ras_mm=(34.0, 22.0, 18.0),
    centroid_voxel=(114.0, 142.0, 98.0),
    slice_index=98,
    side="right",
    peak_probability=0.97,
    mean_probability=0.82,
)

QUEUED = JobView(
    id="3f1c9a0b7de24816",
    state="queued",
    created=1_795_600_000.0,
    label="head_t1c.nii.gz",
    options=JobOptions(model="unet-plus-plus-3d"),
)

_RESULT = JobResult(
    kind="volume",
    lesions=(_LESION,),
    provenance=ProvenanceView(
        model="unet-plus-plus-3d",
        model_sha256=_SHA256,
        code_version="0.1.0",
        engine="openvino",
        input_sha256=_SHA256,
        settings={"threshold": 0.5, "peak": 0.8},
    ),
    view=ViewMeta(
        shape=(240, 240, 155),
        spacing_mm=(1.0, 1.0, 1.0),
        affine=(
            (1.0, 0.0, 0.0, -120.0),
            (0.0, 1.0, 0.0, -120.0),
            (0.0, 0.0, 1.0, -80.0),
            (0.0, 0.0, 0.0, 1.0),
        ),
        levels=(0.0, 1843.0),
        window=(310.0, 3900.0),
        native_shape=(240, 240, 155),
        kind="volume",
    ),
    timings={"read": 0.4, "segment": 6.1},
    operating_point={"threshold": 0.5, "peak": 0.8, "min_volume_mm3": 10.0},
)

DONE = QUEUED.model_copy(
    update={
        "state": "done",
        "stage": "write",
        "done": 1.0,
        "started": 1_795_600_001.0,
        "finished": 1_795_600_011.0,
        "attempts": 1,
        "model": "unet-plus-plus-3d",
        "lesions": 1,
        "result": _RESULT,
        "files": (FileView(name="mask.nii.gz", size=18_211, media_type="application/gzip"),),
    }
)

CANCELLED = QUEUED.model_copy(update={"state": "cancelled", "finished": 1_795_600_004.0})

JOBS = JobList(jobs=(DONE.model_copy(update={"result": None}), QUEUED))

PACS_STORED = PacsStored(stored=("measurements.zip",))

UPLOADED = UploadView(id="8c2f61d09a7be345", label="head_t1c.nii.gz", files=1, size=9_412_233)

LOOKED_INTO = UPLOADED.model_copy(
    update={
        "inspection": InspectionView(
            images=(
                ImageView(
                    index=1,
                    name="head_t1c.nii.gz",
                    description="240 × 240 × 155, 1.0 × 1.0 × 1.0 mm",
                    slices=155,
                    shape=(240, 240, 155),
                    spacing_mm=(1.0, 1.0, 1.0),
                    guess="t1c",
                    likely=True,
                    thumbnail=True,
                    estimates=(
                        EstimateView(
                            model="unet-plus-plus-3d", seconds=9.5, bytes=1_900_000_000, jobs=12
                        ),
                    ),
                ),
            ),
            default_model="unet-plus-plus-3d",
        )
    }
)

FOUND_AGAIN = LesionsView(
    lesions=(_LESION,),
    operating_point={"threshold": 0.4, "peak": 0.4, "min_volume_mm3": 10.0},
    labels="H4sIAAAAAAAE…",
)

MEASURED = MeasuredView(lesions=(_LESION,))

REVIEWED = DONE.model_copy(
    update={
        "review": ReviewView(
            revision=1,
            author="Dr Example",
            saved=1_795_600_100.0,
            rejected=(),
            readings={1: Reading(label="other", comment="meningioma")},
            operating_point={"threshold": 0.5, "peak": 0.8, "min_volume_mm3": 10.0},
        )
    }
)

MODELS = [
    ModelView(
        name="unet-plus-plus-3d",
        dims=3,
        architecture="unet-plus-plus",
        sequences=("t1c",),
        threshold=0.5,
        sha256=_SHA256,
        card="# unet-plus-plus-3d …",
    )
]

READY = ServiceView(status="ok", version="0.1.0", waiting=2, running=1)

NOT_READY = ServiceView(
    status="not ready", version="0.1.0", detail="E_BUNDLE_TAMPERED: model.onnx differs; …"
)

EVENT = JobEvent(state="running", stage="segment", done=0.4)

METRICS = '# TYPE brainmets_jobs gauge\nbrainmets_jobs{state="queued"} 2.0\n'
