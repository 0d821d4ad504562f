"""A result folder read back: what was found, corrected by a reader where one has looked at it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field, fields, replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import Geometry, Lesion, Mask, Provenance, plain_cell
from brainmets.domain.errors import GridMismatch, InputError, NotAResult
from brainmets.domain.regrid import turned_onto, volume_turned_onto
from brainmets.io import read_mask, read_volume
from brainmets.io.datasets.result_masks import reviewed_masks, unreviewed_masks
from brainmets.reporting.documents import SCHEMA
from brainmets.reporting.edited import EDITED, agreeing, remeasured
from brainmets.reporting.names import REPORT, REVIEW, REVIEWED_TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import CaseKind, InputFormat, Sequence

__all__ = ["StoredResult", "read_result"]

REJECTED = "rejected"
SLICE_MASKS = "masks"

SAME_PLACE_MM = 0.05
"""How far the place of a lesion may be from what the report says."""

WITHIN_VOXELS = 0.01
"""How far a spacing may be from what the report says."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredResult:
    """A report as its folder tells it.

    `mask` holds the ids of `lesions`. `reviewed` says that both are as a reader left them,
    who rejected `rejected` of the lesions found. `edited` says that the mask is not the one that
    the table tells of, so that its lesions are measured again. `sequences` are those that were
    segmented.
    """

    mask: Mask
    lesions: tuple[Lesion, ...]
    provenance: Provenance
    kind: CaseKind
    format: InputFormat
    case_id: str
    sequences: tuple[Sequence, ...]
    slice_names: tuple[str, ...]
    warnings: tuple[str, ...]
    notice: str
    reviewed: bool = False
    rejected: int = 0
    edited: bool = False
    readings: Mapping[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    """A reader's label and comment, by lesion."""
    reader: str = ""
    """Who saved the review; empty where nobody is named."""
    read_at: float | None = None
    """When it was saved, seconds since 1970, UTC."""

    @property
    def input_sha256(self) -> str | None:
        """What the only image of the input hashed to; None where there were several."""
        return self.provenance.input_sha256 if len(self.sequences) == 1 else None


SAME_AFFINE = 1e-4
"""Millimetres that the entries of two matrices of one grid differ at most: NIfTI holds 32 bits."""


def read_result(
    folder: Path, *, review: Path | None = None, original: bool = False
) -> StoredResult:
    """Read what `write_results` wrote, with a reader's corrections where there are some.

    The mask is the truth: where it was edited elsewhere, or `mask-reviewed` lies alone, its lesions
    are measured again and a warning says so.

    Args:
        folder: holds report.json and the mask.
        review: holds a saved review; by default the folder itself.
        original: leave corrections aside.

    Raises:
        NotAResult: the folder holds no result, not all of it, or two edited masks.
        GridMismatch: the mask has another grid than the image that was segmented.
        InputError: the mask cannot be read, as `read_mask`.
    """
    document = _document(folder)
    review = review or folder
    masks = [] if original else reviewed_masks(review)
    told = not original and (review / REVIEWED_TABLE).is_file()
    reviewed = bool(masks) or told
    if told and not masks:
        raise _incomplete(review, f"{REVIEWED_TABLE} without the mask that belongs to it")
    try:
        if masks and review == folder:
            _refuse_second_edit(document, folder)
        masks = masks or unreviewed_masks(folder)
        case = document["case"]
        kind: CaseKind = "slices" if case["kind"] == "slices" else "volume"
        found = [_lesion(row) for row in document["lesions"]]
        drawn = _drawn(masks, case, folder)
        if kind == "volume":
            as_stored = not told and agreeing(drawn, found, kind) is not None
            _check_place(document["lesions"], drawn.geometry, as_stored=as_stored)
            drawn = _turned(drawn, case)
        table = _reviewed(review / REVIEWED_TABLE, drawn.geometry) if told else []
        rejected = sum(decision == REJECTED for decision, _ in table)
        lesions = [one for decision, one in table if decision != REJECTED] if told else found
        made = _provenance(document, review / REVIEW if reviewed else None)
        readings = _readings(review / REVIEWED_TABLE) if told else _said(document["lesions"])
        agreed = agreeing(drawn, lesions, kind)
        if agreed is None:
            probability = _probability(folder, drawn.geometry)
            mask, lesions, origin = remeasured(drawn, lesions, probability, kind, made.settings)
            readings = {new: readings[old] for new, old in origin.items() if old in readings}
        else:
            mask = Mask(data=agreed, geometry=drawn.geometry)
        return StoredResult(
            mask=mask,
            lesions=tuple(lesions),
            provenance=made,
            kind=kind,
            format=case["format"],
            case_id=str(case["id"]),
            sequences=tuple(case["sequences"]),
            slice_names=tuple(case["slice_names"]),
            warnings=(*document["warnings"], *([EDITED] if agreed is None else [])),
            notice=str(document["notice"]),
            reviewed=reviewed,
            rejected=rejected,
            edited=agreed is None,
            readings={one.id: readings[one.id] for one in lesions if one.id in readings},
            **_signed(review / REVIEW if reviewed else None),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _incomplete(folder, f"a {REPORT} that lacks what a result holds") from None


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        if document["schema"] == SCHEMA:
            return document
        raise _incomplete(folder, f"a {REPORT} of another version")
    except OSError:
        raise _incomplete(folder, f"no {REPORT}") from None
    except (ValueError, KeyError, TypeError):
        raise _incomplete(folder, f"a {REPORT} that cannot be read") from None


def _incomplete(folder: Path, found: str) -> NotAResult:
    return NotAResult(
        f"{found} in {folder.name or 'this folder'}",
        expected="a folder that `brainmets segment` has written",
        remedy="give that folder, or segment again",
    )


def _refuse_second_edit(document: dict[str, Any], folder: Path) -> None:
    """Refuse a folder where the mask found was edited too, next to a reader's."""
    found = unreviewed_masks(folder)
    kind: CaseKind = "slices" if document["case"]["kind"] == "slices" else "volume"
    lesions = [_lesion(row) for row in document["lesions"]]
    if not found or agreeing(_drawn(found, document["case"], folder), lesions, kind) is not None:
        return
    raise NotAResult(
        f"{found[0].name} was edited, and a reviewed mask is next to it",
        expected="one edited mask",
        remedy="leave the one that is to count in the folder, as mask-reviewed.nii.gz",
    )


def _drawn(files: Ordered[Path], case: dict[str, Any], folder: Path) -> Mask:
    """Read a mask, slices one by one in their order, and check its size."""
    if not files:
        raise _incomplete(folder, "no mask")
    slices = case["kind"] == "slices"
    one = files[0].parent if files[0].parent.name == SLICE_MASKS else None
    masks = [read_mask(path) for path in ([one] if one else files)]
    first = masks[0].geometry
    data = np.concatenate([mask.data for mask in masks], axis=2) if slices else masks[0].data
    i, j, k = data.shape
    units = "px" if case["unit"] == "px" else "mm"
    frames = None if slices else first.frames
    grid = Geometry(shape=(i, j, k), affine=first.affine, units=units, frames=frames)
    _check_grid(case, grid, slices=slices)
    return Mask(data=data, geometry=grid)


def _turned(mask: Mask, case: dict[str, Any]) -> Mask:
    """Turn a mask whose axes were stored in another order; reports since 2026-12 know the grid."""
    if "affine" not in case:
        return mask
    i, j, k = case["shape"]
    grid = Geometry(shape=(i, j, k), affine=np.array(case["affine"], dtype=np.float64))
    own = mask.geometry
    if own.shape == grid.shape and np.allclose(own.affine, grid.affine, rtol=0, atol=SAME_AFFINE):
        return mask  # with both matrices of its header
    return turned_onto(
        mask,
        replace(grid, units=mask.geometry.units),
        expected="the voxels of the image that was segmented",
        remedy="save the mask on them, or measure it with brainmets measure",
    )


def _provenance(document: dict[str, Any], review: Path | None) -> Provenance:
    """How the lesions were found; a reader may have moved the operating point since."""
    made = Provenance(**document["provenance"])
    if review is None or not review.is_file():
        return made
    point = json.loads(review.read_text(encoding="utf-8"))["operating_point"]
    return replace(made, settings={**made.settings, **point})


def _signed(review: Path | None) -> dict[str, Any]:
    """Return who reviewed and when, as far as the review says."""
    if review is None or not review.is_file():
        return {}
    saved = json.loads(review.read_text(encoding="utf-8"))
    at = saved.get("saved")
    return {"reader": str(saved.get("author") or ""), "read_at": None if at is None else float(at)}


def _check_grid(case: dict[str, Any], grid: Geometry, *, slices: bool) -> None:
    """Refuse a mask of another grid than the scan's; a volume's axes may be in another order."""
    if slices and list(grid.shape) == list(case["shape"]):
        return
    wanted = sorted(zip(case["shape"], case["spacing"], strict=True))
    here = sorted(zip(grid.shape, grid.spacing_mm, strict=True))
    near = all(
        n == m and abs(a - b) <= WITHIN_VOXELS * b
        for (n, a), (m, b) in zip(here, wanted, strict=True)
    )
    if slices or not near:
        size = " × ".join(f"{n}" for n in grid.shape)
        raise GridMismatch(
            f"a mask of {size} voxels at {grid.spacing_mm[0]:.3g} ×"
            f" {grid.spacing_mm[1]:.3g} × {grid.spacing_mm[2]:.3g} mm",
            expected=f"the grid that was segmented, {' × '.join(map(str, case['shape']))} voxels",
            remedy="save the mask on the scan's own grid, or measure it with brainmets measure",
        )


def _check_place(rows: list[dict[str, Any]], grid: Geometry, *, as_stored: bool) -> None:
    """Refuse a mask that is elsewhere than the lesions found.

    Its axes may be in another order, unless its voxels are those that were written.
    """
    orders = [(0, 1, 2)] if as_stored else [*permutations((0, 1, 2))]
    sides = (False,) if as_stored else (False, True)
    voxels = np.array([row["centroid_voxel"] for row in rows], dtype=float).reshape(-1, 3)
    places = np.array([row["centroid_ras_mm"] for row in rows], dtype=float).reshape(-1, 3)
    within = WITHIN_VOXELS * max(grid.spacing_mm) + SAME_PLACE_MM
    for (i, j, k), x, y, z in product(orders, sides, sides, sides):
        here = grid.permuted((i, j, k), (x, y, z)).to_ras_mm(voxels)
        if np.all(np.abs(here - places) <= within):
            return
    raise GridMismatch(
        "a mask that is elsewhere than the lesions found",
        expected="the affine of the image that was segmented",
        remedy="save the mask with that affine, or measure it with brainmets measure",
    )


def _probability(folder: Path, grid: Geometry) -> NDArray[np.float32] | None:
    path = folder / "probability.nii.gz"
    try:
        return volume_turned_onto(read_volume(path), grid).data if path.is_file() else None
    except InputError:
        return None


def _lesion(row: dict[str, Any]) -> Lesion:
    row = {"place": "", **row}  # results of before November 2026 have no place
    for name in ("peak_probability", "mean_probability"):
        row[name] = float("nan") if row[name] is None else row[name]
    known = {field.name: row[field.name] for field in fields(Lesion)}
    for name in ("centroid_ras_mm", "centroid_voxel"):
        known[name] = tuple(float(value) for value in known[name])
    return Lesion(**known)


def _readings(path: Path) -> dict[int, tuple[str, str]]:
    """Read what a reader called the lesions, and wrote of them."""
    with path.open(encoding="utf-8", newline="") as file:
        return _said(list(csv.DictReader(file)))


def _said(rows: Ordered[Mapping[str, Any]]) -> dict[int, tuple[str, str]]:
    found: dict[int, tuple[str, str]] = {}
    for row in rows:
        label, comment = str(row.get("label") or ""), str(row.get("comment") or "")
        if comment.startswith("'") and plain_cell(comment[1:]) == comment:
            comment = comment[1:]  # the apostrophe is for spreadsheets
        if label or comment:
            found[int(row["id"])] = (label, comment)
    return found


def _reviewed(path: Path, grid: Geometry) -> list[tuple[str, Lesion]]:
    """Read a reader's table: each lesion with its review decision."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found: list[tuple[str, Lesion]] = []
    for row in rows:
        centre = tuple(float(row[f"centroid_{axis}_ras_mm"]) for axis in "xyz")
        values: dict[str, Any] = {
            "centroid_ras_mm": centre,
            "centroid_voxel": grid.to_voxel(centre).tolist(),
            "side": row["side"],
            "place": row.get("place", ""),
            **{name: int(row[name]) for name in ("id", "voxels", "slice_index")},
        }
        for one in fields(Lesion):
            if one.name not in values:
                values[one.name] = float(row[one.name] or "nan")
        found.append((row["verdict"], _lesion(values)))
    return found
