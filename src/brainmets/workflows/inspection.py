"""What an input holds and what segmenting it will take, told before anything is computed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import BrainmetsError, InputError, ModelError
from brainmets.inference import Bundle, Predictor, list_bundles
from brainmets.inference.machine import count_processors
from brainmets.io import list_series, read_case
from brainmets.workflows.plausibility import sequence_seen
from brainmets.workflows.segment import DEFAULT_MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Case, CaseKind, Sequence
    from brainmets.io import SeriesInfo

__all__ = ["Cost", "FoundImage", "default_model", "guess_cost", "inspect_input"]

READ_WITHIN_S = 60.0
"""Images beyond this time are listed from their headers alone."""

THUMBNAIL_EDGE = 168
THUMBNAIL_PERCENTILES = (2.0, 99.7)

OPERATIONS_PER_CORE_S = 60e9
"""Of a network on one core in float32; measured on cores with AVX-512."""

BFLOAT16_GAIN = 2.0
"""How much faster the cores that multiply bfloat16 are, about."""

START_S = 2.5
"""Reading and compiling the network, and writing the small files."""

SECONDS_PER_VOXEL = 5e-7
"""Reading, preparing, measuring and writing, per voxel of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one model will take for one image, as a first guess before any job was timed here.

    `problem` says why the model cannot take the image at all; the numbers are 0 then.
    """

    model: str
    seconds: float = 0.0
    bytes: int = 0
    problem: BrainmetsError | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundImage:
    """One image that an input offers.

    `thumbnail` is the middle slice, (rows, columns) of grey values, as a radiologist sees it;
    None where the image was not read. `problem` says why it cannot be segmented. `likely` marks
    the one image to take unless the user knows better.
    """

    info: SeriesInfo
    kind: CaseKind
    likely: bool = False
    notes: tuple[str, ...] = ()
    thumbnail: NDArray[np.uint8] | None = None
    problem: BrainmetsError | None = None
    costs: tuple[Cost, ...] = ()


def inspect_input(path: Path) -> tuple[FoundImage, ...]:
    """Read every image that `path` offers and say what each installed model would take for it.

    Raises:
        InputError: there is nothing to read at all.
    """
    deadline = time.monotonic() + READ_WITHIN_S
    offered = list_series(path)
    bundles = _bundles()
    first = _likely(offered)
    found: list[FoundImage] = []
    for number, info in enumerate(offered):
        if time.monotonic() > deadline and number != first:
            found.append(FoundImage(info=info, kind=_kind(info)))
        else:
            found.append(_looked_at(path, info, bundles, only=len(offered) == 1))
    if found:
        likely = _likely(tuple(image.info for image in found))  # content may have told more
        found[likely] = replace(found[likely], likely=True)
    return tuple(found)


def default_model(kind: CaseKind) -> str | None:
    """Return the model that a case of this kind gets unless one is named."""
    there = set(list_bundles())
    return next((name for name in DEFAULT_MODELS[kind] if name in there), None)


def guess_cost(model: str, case: Case) -> Cost | None:
    """Return what a model would take for a case that was read; None where it cannot be said."""
    try:
        bundle = Bundle.load(model)
    except ModelError:
        return None
    cost = _cost(bundle, case, next(iter(case.images)))
    return cost if cost.problem is None else None


def _bundles() -> list[Bundle]:
    loaded: list[Bundle] = []
    for name in list_bundles():
        try:
            loaded.append(Bundle.load(name))
        except ModelError:  # `brainmets doctor` and /readyz say what is wrong with it
            continue
    return loaded


def _likely(offered: tuple[SeriesInfo, ...]) -> int:
    """The T1c with the most slices; else the series with the most slices that is not T2."""

    def rank(number: int) -> tuple[int, int]:
        info = offered[number]
        fit = {"t1c": 3, None: 2, "t1n": 1}.get(info.guess, 0)
        return fit, info.slices

    return max(range(len(offered)), key=rank, default=0)


def _kind(info: SeriesInfo) -> CaseKind:
    return "slices" if info.modality == "image" else "volume"


def _looked_at(path: Path, info: SeriesInfo, bundles: list[Bundle], *, only: bool) -> FoundImage:
    sequence: Sequence = info.guess or "t1c"
    try:
        case = read_case(path, series=None if only else info.choice, sequence=sequence)
    except (InputError, MemoryError) as error:
        problem = error if isinstance(error, InputError) else None
        return FoundImage(info=info, kind=_kind(info), problem=problem)
    notes = case.source.notes
    if info.guess is None and case.kind == "volume" and case.geometry.units == "mm":
        seen = sequence_seen(case.images[sequence])
        if seen is not None:
            info = replace(info, guess=seen)
            notes = (*notes, f"Neither name nor header tell the sequence; it looks like {seen}.")
    return FoundImage(
        info=info,
        kind=case.kind,
        notes=notes,
        thumbnail=_thumbnail(case, sequence),
        costs=tuple(_cost(bundle, case, sequence) for bundle in bundles),
    )


def _thumbnail(case: Case, sequence: Sequence) -> NDArray[np.uint8]:
    """The middle slice: the patient's right on the left, front or top up."""
    image = case.images[sequence].data
    if case.kind == "slices":
        plane, across_mm, down_mm = image[:, :, image.shape[2] // 2], 1.0, 1.0
    else:
        closest = case.geometry.closest_axes
        order = sorted(range(3), key=lambda axis: closest[axis][0])
        through = closest[case.geometry.slice_axis][0]
        across, down = (axis for axis in range(3) if axis != through)
        turned = image.transpose(order)
        flips = tuple(axis for axis in range(3) if closest[order[axis]][1] < 0)
        canonical = np.flip(turned, flips)
        plane = np.take(canonical, canonical.shape[through] // 2, axis=through)
        plane = plane[::-1, ::-1]  # right on the left of the picture, front or top up
        spacing = case.geometry.spacing_mm
        across_mm, down_mm = spacing[order[across]], spacing[order[down]]
    size_mm = plane.shape[0] * across_mm, plane.shape[1] * down_mm
    scale = THUMBNAIL_EDGE / max(size_mm)
    columns, rows = (max(1, round(mm * scale)) for mm in size_mm)
    picked = plane[np.ix_(_nearest(plane.shape[0], columns), _nearest(plane.shape[1], rows))]
    low, high = np.percentile(picked, THUMBNAIL_PERCENTILES)
    grey = np.clip((picked - low) * (255.0 / (float(high - low) or 1.0)), 0, 255)
    return np.ascontiguousarray(grey.T.astype(np.uint8))


def _nearest(size: int, wanted: int) -> NDArray[np.int64]:
    return np.minimum(((np.arange(wanted) + 0.5) * size / wanted).astype(np.int64), size - 1)


def _cost(bundle: Bundle, case: Case, sequence: Sequence) -> Cost:
    """Estimate as the predictor does, on the grid that the plan would prepare.

    The image stands in for whatever the network takes: which sequence it is, the user will say.
    """
    needed = bundle.plan.sequences
    stand_in = case if needed == (sequence,) else _renamed(case, sequence, needed)
    try:
        predictor = Predictor(bundle)
        estimate = predictor.estimate(bundle.plan.shape_of(stand_in))
    except BrainmetsError as error:
        return Cost(model=bundle.name, problem=error)
    rate = OPERATIONS_PER_CORE_S * count_processors()
    if predictor.engine.precision == "bfloat16":
        rate *= BFLOAT16_GAIN
    voxels = math.prod(case.geometry.shape)
    seconds = START_S + voxels * SECONDS_PER_VOXEL + estimate.operations / rate
    return Cost(model=bundle.name, seconds=seconds, bytes=estimate.bytes + 12 * voxels)


def _renamed(case: Case, sequence: Sequence, needed: tuple[Sequence, ...]) -> Case:
    from dataclasses import replace

    return replace(case, images=dict.fromkeys(needed, case.images[sequence]))
