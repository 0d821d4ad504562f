"""The other images of an examination, as they travel over HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from brainmets.api.schemas import Problem  # noqa: TC001 - pydantic
from brainmets.domain import Sequence  # noqa: TC001 - pydantic

__all__ = ["SequenceView", "SequencesView"]


class SequenceView(BaseModel):
    """One more image of the examination, on the display grid of the result."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(description="Names its voxels: `/sequences/{number}`.")
    name: str = Field(description="What it is, for people.", examples=["T2 FLAIR"])
    sequence: Sequence | None = None
    placing: Literal["same grid", "registered", "header"] = Field(
        default="header",
        description="It has the same voxels, it was registered to the segmented image, or its"
        " header alone says where it is.",
    )
    similarity: float | None = Field(default=None, description="Of the registration.")
    levels: tuple[float, float] = Field(
        default=(0.0, 1.0), description="Image values shown as 0 and 4095."
    )
    window: tuple[float, float] = Field(
        default=(0.0, 4095.0), description="First window (low, high) on 0…4095."
    )
    problem: Problem | None = Field(default=None, description="Why it cannot be shown.")


class SequencesView(BaseModel):
    """What else the upload of a result holds."""

    model_config = ConfigDict(frozen=True)

    segmented: str = Field(default="", description="What was segmented, for people.")
    others: tuple[SequenceView, ...] = ()
