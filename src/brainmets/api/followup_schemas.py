"""What travels over HTTP about a follow-up."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from brainmets.tracking import Response, Rules, TrackedLesion  # noqa: TC001 - pydantic reads them

__all__ = ["MOST_SCANS", "FollowedScanView", "FollowupOptions", "FollowupRequest", "FollowupView"]

MOST_SCANS = 12

JobId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", examples=["4f0c1a2b3c4d5e6f"])]
Date = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2}|\d{1,6})$", examples=["2024-01-31"])]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class FollowupRequest(_Schema):
    """Which finished jobs show the same patient, and when each was scanned.

    Dates are turned into days since the first scan at once; they are not kept.
    """

    jobs: tuple[JobId, ...] = Field(min_length=2, max_length=MOST_SCANS)
    dates: tuple[Date, ...] = Field(
        default=(),
        max_length=MOST_SCANS,
        description="One a job, as 2024-01-31, or as days; none: by the DICOM headers.",
    )
    measurable_mm: float = Field(
        default=10.0, ge=1, le=50, description="Longest diameter from which a lesion is a target."
    )
    same_patient: bool = Field(
        default=False, description="It is one patient although the headers name several."
    )


class FollowupOptions(_Schema):
    """What a follow-up is made of: jobs from the first scan to the last where `days` are known."""

    jobs: tuple[str, ...]
    days: tuple[int, ...] = ()
    measurable_mm: float = 10.0
    same_patient: bool = False


class FollowedScanView(_Schema):
    """One scan of a follow-up, registered to the first scan."""

    job: str
    model: str
    reviewed: bool
    similarity: float | None = Field(description="Of the registration; none for the first scan.")
    error_mm: float | None
    doubtful: bool
    levels: tuple[float, float] = Field(description="Image values shown as 0 and 4095.")
    window: tuple[float, float] = Field(description="First window (low, high) on 0…4095.")


class FollowupView(_Schema):
    """What became of every lesion. All scans have the grid of the job's `view`."""

    scans: tuple[FollowedScanView, ...]
    days: tuple[int | None, ...]
    lesions: tuple[TrackedLesion, ...]
    responses: tuple[Response, ...]
    rules: Rules
    chart: str = Field(description="Sizes over time, as SVG.")
