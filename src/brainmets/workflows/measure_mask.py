"""Any mask of a scan, measured as the product measures its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets import __version__
from brainmets.domain import Mask, Prediction, Provenance, Report, Volume
from brainmets.domain.regrid import turned_onto
from brainmets.inference.lesions import measure_lesions
from brainmets.inference.places import HEAD_SETTING, fill_places, head_box
from brainmets.io import read_case, read_mask
from brainmets.preprocessing.intensity import find_foreground
from brainmets.reporting import write_results
from brainmets.reporting.edited import numbered

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Case

__all__ = ["MeasureMaskOptions", "MeasureMaskResult", "measure_mask"]

DRAWN = "mask"
"""What stands for the model in a result that no network has made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureMaskOptions:
    """How to measure.

    `out` gets what `segment` writes; None writes nothing. `series` chooses among several.
    `components` divides the mask into what touches; None does where it has one label only.
    """

    out: Path | None = None
    series: str | None = None
    components: bool | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasureMaskResult:
    """The lesions, as a report, and the files written, by kind."""

    report: Report
    files: dict[str, Path]


def measure_mask(
    image: Path, mask: Path, options: MeasureMaskOptions | None = None
) -> MeasureMaskResult:
    """Measure every lesion of a mask on the grid of its image.

    Each label is a lesion and keeps its number; a mask of one label is divided into the parts that
    touch, the largest first. A mask whose axes are stored in another order is turned.

    Raises:
        GridMismatch: the mask is of other voxels than the image.
        VoxelType: the mask holds fractions or negative values.
        InputError: as `read_case`.
        OutputExists: `out` holds something else.
    """
    options = options or MeasureMaskOptions()
    case = read_case(image, series=options.series)
    drawn = read_mask(mask)
    if case.kind == "volume" or drawn.data.shape != case.geometry.shape:
        drawn = turned_onto(
            drawn,
            case.geometry,
            expected="a mask on the image's voxels, within a tenth of a voxel",
            remedy="resample the mask to the image, nearest neighbour, or name its own image",
        )
    drawn = Mask(data=drawn.data, geometry=case.geometry)
    labels = np.unique(drawn.data)
    divide = options.components
    if divide is None:
        divide = case.kind == "slices" or len(labels[labels > 0]) == 1
    if divide:
        drawn = numbered(drawn, case.kind)
    report = _report(case, drawn)
    files: dict[str, Path] = {}
    if options.out is not None:
        files = write_results(report, options.out, overwrite=options.overwrite)
    return MeasureMaskResult(report=report, files=files)


def _report(case: Case, mask: Mask) -> Report:
    where = _where(case)
    nothing = np.full(mask.data.shape, np.nan, dtype=np.float32)
    lesions = measure_lesions(
        mask,
        Volume(data=nothing, geometry=mask.geometry),
        kind=case.kind,
        midline_x_mm=float(where["midline_x_mm"]),
    )
    made = Provenance(
        model=DRAWN,
        model_sha256="",
        code_version=__version__,
        engine="none",
        input_sha256=case.source.sha256,
        settings={"sequence": ",".join(sorted(case.images)), **where},
    )
    drawn = Volume(data=(mask.data > 0).astype(np.float32), geometry=mask.geometry)
    prediction = Prediction(
        probability=drawn, mask=mask, lesions=fill_places(lesions, where), provenance=made
    )
    return Report(case=case, prediction=prediction, warnings=case.source.notes)


def _where(case: Case) -> dict[str, float | int | str | bool]:
    """Say where the head is, as `segment` does: RAS x of its middle, and the box around it."""
    if case.kind == "slices":
        return {"midline_x_mm": 0.0}
    image = next(iter(case.images.values()))
    box = head_box(find_foreground(image.data), case.geometry)
    corners = [float(word) for word in box.split()] or [0.0] * 6
    return {"midline_x_mm": round((corners[0] + corners[3]) / 2, 3), HEAD_SETTING: box}
