"""A reader's review of a result: which lesions are kept, at which operating point."""

from __future__ import annotations

import csv
import io
import secrets
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.api.display import DisplayGrid, load_probability
from brainmets.api.edits import DRAWN, apply_drawing, pack_drawing, unpack_drawing
from brainmets.api.exporting import EXPORTS
from brainmets.api.rethreshold import lesions_at, named, operating_point
from brainmets.api.reviews import REVIEW, keep_review
from brainmets.api.schemas import LEFT_OUT, ReviewView
from brainmets.api.staging import remove
from brainmets.domain import RESEARCH_USE_ONLY, Lesion, Mask, Provenance, plain_cell
from brainmets.domain.errors import OptionError
from brainmets.inference.lesions import measure_lesions
from brainmets.io import write_mask, write_slice_mask
from brainmets.reporting.documents import mask_comment

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from brainmets.api.schemas import JobResult, ReviewRequest
    from brainmets.inference import OperatingPoint

__all__ = ["measure_drawing", "save_review"]


def save_review(
    job_dir: Path, result: JobResult, request: ReviewRequest, *, author: str = ""
) -> ReviewView:
    """Write the corrected mask and lesion table next to the results, all of it or nothing.

    The kept lesions keep their ids, so mask, table and what the reader saw agree. `author` is
    who saves where the request names no one.

    Raises:
        OptionError: a labelled lesion does not exist at the operating point, or in the drawing.
        BadRequest: the drawing does not fit the image.
        ReviewChanged: another review was saved than the one that this replaces.
    """
    point = operating_point(
        result,
        threshold=request.threshold,
        peak=request.peak,
        min_volume_mm3=request.min_volume_mm3,
    )
    if request.drawn is None:
        _, mask, lesions = lesions_at(job_dir / "view", point, result)
    else:
        mask, lesions = measure_drawing(job_dir / "view", result, request.drawn, point)
    unknown = {*request.rejected, *request.readings} - {lesion.id for lesion in lesions}
    if unknown:
        raise OptionError(
            f"{len(unknown)} labelled lesions that do not exist",
            expected="ids of the lesions found",
            remedy="find the lesions again and choose among them",
        )
    left_out = {n for n, reading in request.readings.items() if reading.label in LEFT_OUT}
    review = ReviewView(
        rejected=tuple(sorted({*request.rejected, *left_out})),
        readings=request.readings,
        operating_point=point.model_dump(),
        author=" ".join((request.author or author).split()),
        saved=time.time(),
        drawn=None if request.drawn is None else lesions,
    )
    kept = np.where(np.isin(mask.data, review.rejected), 0, mask.data).astype(mask.data.dtype)
    draft = job_dir / f"draft-review-{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        _write_masks(Mask(data=kept, geometry=mask.geometry), result, review, draft)
        (draft / "lesions-reviewed.csv").write_text(_table(lesions, review), "utf-8")
        if request.drawn is not None:
            (draft / DRAWN).write_bytes(
                pack_drawing(DisplayGrid.of(mask.geometry).apply(mask.data))
            )
        (draft / REVIEW).write_text(review.model_dump_json(indent=1))
        kept_in = keep_review(draft, job_dir, replaces=request.replaces)
    finally:
        remove(draft)
    remove(job_dir / EXPORTS)  # they show what stood before
    return review.model_copy(update={"revision": int(kept_in.name.rpartition("-")[2])})


def measure_drawing(
    view: Path,
    result: JobResult,
    drawn: str,
    point: OperatingPoint,
    *,
    only: Collection[int] | None = None,
) -> tuple[Mask, tuple[Lesion, ...]]:
    """Return what a reader drew on the input's own grid, and its lesions, or `only` some of them.

    Raises:
        BadRequest: the drawing does not fit the image.
        OptionError: the operating point separates nothing.
    """
    ids = unpack_drawing(drawn, result.view.shape)
    if result.view.step == 1:  # as fine as the input: nothing of what was found is needed
        probability = load_probability(view)
        grid = DisplayGrid.of(probability.geometry)
        native = grid.restore(ids, probability.geometry.shape)
        mask = Mask(data=native, geometry=probability.geometry)
    else:
        probability, found, _ = lesions_at(view, point, result)
        mask = apply_drawing(ids, found)
    lesions = measure_lesions(
        mask,
        probability,
        kind=result.kind,
        midline_x_mm=float(result.provenance.settings.get("midline_x_mm", 0.0)),
        only=only,
    )
    return mask, named(lesions, mask, view, result)


def _write_masks(mask: Mask, result: JobResult, review: ReviewView, folder: Path) -> None:
    if result.kind == "volume":
        made = Provenance(**result.provenance.model_dump())
        looked_at = replace(made, settings={**made.settings, **review.operating_point})
        comment = mask_comment(looked_at, notice=result.notice, reviewed=True)
        write_mask(mask, folder / "mask-reviewed.nii.gz", comment=comment)
        return
    names = result.view.slice_names
    for k in range(mask.data.shape[2]):
        single = mask.data.shape[2] == 1
        name = "mask-reviewed.png" if single else f"mask-reviewed-{k + 1:04d}-{names[k]}.png"
        write_slice_mask(mask.data[:, :, k], folder / name)


def _table(lesions: tuple[Lesion, ...], review: ReviewView) -> str:
    rows = io.StringIO()
    names = [field.name for field in fields(Lesion) if not field.name.startswith("centroid")]
    places = ["centroid_x_ras_mm", "centroid_y_ras_mm", "centroid_z_ras_mm"]
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["verdict", *names, *places, "label", "comment", "notice"])
    for lesion in lesions:
        verdict = "rejected" if lesion.id in review.rejected else "kept"
        reading = review.readings.get(lesion.id)
        said = ("", "") if reading is None else (reading.label, plain_cell(reading.comment))
        values = [getattr(lesion, name) for name in names]
        writer.writerow([verdict, *values, *lesion.centroid_ras_mm, *said, RESEARCH_USE_ONLY])
    return rows.getvalue()
