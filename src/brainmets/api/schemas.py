"""What travels over HTTP, shared by the service and its client."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from brainmets.api.followup_schemas import FollowupOptions, FollowupView  # noqa: TC001 - pydantic
from brainmets.domain import RESEARCH_USE_ONLY, InputFormat, Lesion, Sequence

__all__ = [
    "FINISHED",
    "LEFT_OUT",
    "AgainRequest",
    "CostView",
    "DrawingRequest",
    "ExportName",
    "ExportView",
    "FileView",
    "JobEvent",
    "JobFilter",
    "JobList",
    "JobOptions",
    "JobResult",
    "JobState",
    "JobView",
    "Label",
    "LesionsView",
    "MeasuredView",
    "ModelView",
    "PacsStored",
    "Problem",
    "ProvenanceView",
    "Reading",
    "ReviewRequest",
    "ReviewView",
    "SeriesChoice",
    "SeriesView",
    "ServiceView",
    "ViewMeta",
]

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in its texts."""

JobState = Literal["queued", "running", "needs_choice", "done", "failed", "cancelled"]

FINISHED: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})
"""States that a job leaves only by being submitted again or deleted."""


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Problem(_Schema):
    """An error as RFC 9457 problem+json, with a code that never changes."""

    type: str = Field(examples=["urn:brainmets:E_FORMAT"])
    title: str = Field(description="The kind of error in one sentence.")
    status: int
    code: str = Field(examples=["E_FORMAT"])
    detail: str = Field(description="What was found, what was expected, what to do.")
    found: str = ""
    expected: str = ""
    remedy: str = ""


class JobOptions(_Schema):
    """What the caller chose for one job."""

    model: str | None = Field(default=None, description="Bundle name; none takes the default.")
    threshold: float | None = Field(default=None, ge=0.0, le=1.0, allow_inf_nan=False)
    series: str | None = Field(default=None, max_length=128, pattern=r"^[0-9A-Za-z.\-_:]+$")
    sequences: tuple[Sequence, ...] = Field(
        default=(), description="Sequence of each NIfTI file, in upload order."
    )
    sample: bool = Field(default=False, description="The built-in synthetic case.")
    followup: FollowupOptions | None = Field(
        default=None, description="Set by `POST /v1/followups`: what such a job follows."
    )


class SeriesView(_Schema):
    """One image series found in a DICOM upload."""

    uid: str
    choice: str = Field(
        default="", description="Names this series alone; several may share a `uid` or number."
    )
    description: str = Field(default="", description="Modality, size and spacing; no header text.")
    modality: str = ""
    slices: int = 0
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    number: int | None = None
    guess: Sequence | None = Field(default=None, description="The likely MR sequence.")


class SeriesChoice(_Schema):
    """The caller's answer to `needs_choice`."""

    series: str = Field(
        max_length=128,
        pattern=r"^[0-9A-Za-z.\-_:]+$",
        description="Its `choice` among the job's `series`; or a `uid` or number of it alone.",
        examples=["line:2"],
    )


class ProvenanceView(_Schema):
    """Who computed a result, from what, with which settings."""

    model: str
    model_sha256: str
    code_version: str
    engine: str
    input_sha256: str
    settings: dict[str, float | int | str | bool] = {}


class ViewMeta(_Schema):
    """The grid of the display copies: canonical RAS axes, x fastest in the raw files."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...] = Field(description="Display voxel to RAS mm, 4 x 4.")
    levels: tuple[float, float] = Field(description="Image values shown as 0 and 4095.")
    probability_levels: tuple[float, ...] = Field(
        default=tuple(n / 255 for n in range(1, 256)),
        description="A byte of n in probability.u8 reaches the first n of these.",
    )
    window: tuple[float, float] = Field(description="First window (low, high) on 0…4095.")
    native_axes: tuple[int, int, int] = Field(
        default=(0, 1, 2), description="The input's own axis behind each display axis."
    )
    native_flips: tuple[bool, bool, bool] = (False, False, False)
    native_shape: tuple[int, int, int] = Field(description="The input's grid.")
    units: Literal["mm", "px"] = "mm"
    step: int = Field(default=1, description="Display voxels are this many input voxels apart.")
    slice_axis: int = Field(default=2, description="The input's own axis across slices.")
    kind: Literal["volume", "slices"]
    slice_names: tuple[str, ...] = ()


class CostView(_Schema):
    """What a job took, next to what its owner was told to expect."""

    seconds: float = Field(description="From start to result, without waiting for its turn.")
    peak_bytes: int = Field(description="Most memory of the worker; 0 where unknown.")
    expected_s: float | None = None
    expected_bytes: int | None = None


class JobResult(_Schema):
    """What a finished job found."""

    kind: Literal["volume", "slices"]
    format: InputFormat | None = Field(default=None, description="Of the upload; none: unknown.")
    title: str = Field(
        default="",
        description="Of a DICOM upload: day and description of the series, with what"
        " BRAINMETS_SHOW_PATIENT allows of the patient.",
        examples=["2026-11-30 · T1 MPRAGE after contrast"],
    )
    lesions: tuple[Lesion, ...]
    warnings: tuple[str, ...] = ()
    provenance: ProvenanceView
    view: ViewMeta
    timings: dict[str, float] = {}
    cost: CostView | None = None
    operating_point: dict[str, float] = {}
    followup: FollowupView | None = Field(
        default=None, description="Of a follow-up: every lesion in every scan."
    )
    notice: str = RESEARCH_USE_ONLY


class LesionsView(_Schema):
    """A result's lesions at another operating point."""

    lesions: tuple[Lesion, ...]
    operating_point: dict[str, float]
    labels: str = Field(description="Lesion ids on the display grid: uint8, gzip, base64.")


class AgainRequest(_Schema):
    """The same images with other settings."""

    model: str | None = Field(default=None, description="A name from /v1/models.")
    threshold: float | None = Field(
        default=None, ge=0.0, le=1.0, description="Probability from which a voxel is marked."
    )


Label = Literal["metastasis", "uncertain", "other", "not_a_lesion"]

LEFT_OUT: frozenset[Label] = frozenset({"other", "not_a_lesion"})
"""Labels that take a lesion out of the corrected mask, which holds metastases and doubts."""


class Reading(_Schema):
    """What a reader says that one lesion is."""

    label: Label
    comment: str = Field(default="", max_length=200, examples=["meningioma"])


MOST_READINGS = 10_000

MOST_DRAWN_TEXT = 16_000_000

DRAWN_TEXT = "Lesion ids on the display grid: uint16, x fastest, gzip, base64."


def _at_most(value: Any) -> Any:
    """Refuse what is too long before its items are looked at: each would be a fault to list."""
    if isinstance(value, (list, tuple, dict)) and len(value) > MOST_READINGS:  # type: ignore[arg-type]
        raise ValueError("too long")
    return value  # type: ignore[return-value]


_AT_MOST = BeforeValidator(_at_most)


class ReviewRequest(_Schema):
    """A reader's review of the lesions at the operating point they looked at.

    A lesion without a reading stands. `other` (a lesion, but no metastasis) and `not_a_lesion`
    are left out of the corrected mask, as are those in `rejected`; all stay in the table. With
    `drawn` the lesions are those of the drawing, measured again, under the ids they have in it.
    """

    rejected: Annotated[tuple[int, ...], _AT_MOST] = Field(default=(), max_length=MOST_READINGS)
    readings: Annotated[dict[int, Reading], _AT_MOST] = Field(
        default={},
        max_length=MOST_READINGS,
        description="By lesion id.",
        examples=[{2: {"label": "other"}}],
    )
    threshold: float | None = Field(default=None, gt=0, le=1)
    peak: float | None = Field(default=None, gt=0, le=1)
    min_volume_mm3: float | None = Field(default=None, ge=0, le=1e9)
    drawn: str | None = Field(
        default=None,
        max_length=MOST_DRAWN_TEXT,
        description=f"Where the reader changed outlines: {DRAWN_TEXT}",
    )
    replaces: int | None = Field(
        default=None,
        ge=0,
        description="`revision` of the review that the reader began with, 0 where there was none:"
        " a newer one is then not overwritten (`E_REVIEW_CHANGED`). None: whatever there is.",
    )
    author: str = Field(
        default="",
        max_length=100,
        pattern=NO_NUL,
        description="Who reads; by default the name of the key.",
        examples=["Dr Example"],
    )


class DrawingRequest(_Schema):
    """Lesions as a reader has drawn them, to be measured and not kept."""

    drawn: str = Field(max_length=MOST_DRAWN_TEXT, description=DRAWN_TEXT)
    ids: Annotated[tuple[int, ...], _AT_MOST] | None = Field(
        default=None,
        max_length=MOST_READINGS,
        description="Measure these alone; none: every lesion.",
    )


class MeasuredView(_Schema):
    """A drawing's lesions, measured on the grid of the input."""

    lesions: tuple[Lesion, ...]


class ReviewView(_Schema):
    """A saved review."""

    revision: int = Field(default=0, description="1 for the first review saved, then 2, …")

    rejected: tuple[int, ...]
    readings: dict[int, Reading] = {}
    operating_point: dict[str, float]
    author: str = ""
    saved: float | None = Field(default=None, description="Seconds since 1970, UTC.")
    drawn: tuple[Lesion, ...] | None = Field(
        default=None,
        description="All lesions where the reader changed outlines; none: as found at the"
        " operating point. `view/drawn.u16` holds their ids.",
    )


ExportName = Literal[
    "mask.nii.gz",
    "seg.dcm",
    "rtstruct.dcm",
    "measurements.zip",
    "captures.zip",
    "fhir.json",
    "lesions.csv",
    "report.json",
    "report.pdf",
    "training-case.zip",
    "scene.mrb",
    "viewer.html",
]
"""What a result can be taken away as."""


class ExportView(_Schema):
    """One format, and whether this result can be exported in it."""

    name: ExportName
    problem: Problem | None = Field(default=None, description="Why not.")


class PacsStored(_Schema):
    """What was stored in the PACS."""

    stored: tuple[ExportName, ...] = Field(description="A zip stands for the objects in it.")
    notice: str = RESEARCH_USE_ONLY


class FileView(_Schema):
    """A result file that can be downloaded."""

    name: str
    size: int
    media_type: str


class JobView(_Schema):
    """One job as its owner sees it."""

    id: str
    state: JobState
    stage: str = ""
    done: float = 0.0
    created: float = Field(description="Seconds since 1970, UTC.")
    started: float | None = Field(default=None, description="When the latest attempt began.")
    finished: float | None = None
    attempts: int = 0
    label: str = Field(default="", description="The uploaded files, by name.")
    options: JobOptions = JobOptions()
    model: str = Field(default="", description="The one chosen; of a finished job the one used.")
    lesions: int | None = Field(default=None, description="How many a finished job has found.")
    problem: Problem | None = None
    series: tuple[SeriesView, ...] = Field(
        default=(), description="To choose from when the state is `needs_choice`."
    )
    result: JobResult | None = None
    review: ReviewView | None = None
    files: tuple[FileView, ...] = ()
    exports: tuple[ExportView, ...] = Field(
        default=(), description="What `/exports/{name}` makes of a finished job, and what not."
    )
    notice: str = RESEARCH_USE_ONLY


class JobEvent(_Schema):
    """The state of a job, as an event reports it."""

    state: JobState
    stage: str = ""
    done: float = 0.0


class JobFilter(_Schema):
    """Which of the caller's jobs to list."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")

    text: str = Field(
        default="", max_length=200, pattern=NO_NUL, description="Part of the label, in any case."
    )
    state: JobState | None = None
    model: str = Field(
        default="", max_length=200, pattern=NO_NUL, description="A name from /v1/models."
    )
    since: float | None = Field(default=None, description="Not `created` before this.")
    before: float | None = Field(
        default=None, description="`created` before this: the last job's asks for the next page."
    )
    limit: int = Field(default=200, ge=1, le=1000)


class JobList(_Schema):
    """The caller's jobs, newest first."""

    jobs: tuple[JobView, ...]
    more: bool = Field(
        default=False, description="Older ones match: `before` the last job's `created`."
    )


class ModelView(_Schema):
    """A bundle that jobs may name."""

    name: str
    dims: int
    architecture: str = ""
    sequences: tuple[str, ...] = ()
    threshold: float = 0.5
    sha256: str = ""
    quality: str = Field(default="", description="What it was measured on and what it found there.")
    card: str = ""


class ServiceView(_Schema):
    """How the service stands."""

    status: Literal["ok", "not ready"]
    version: str
    detail: str = ""
    waiting: int = 0
    running: int = 0
