"""A result folder read back: what was found, corrected by a reader where one has looked at it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import Geometry, Lesion, Mask, Provenance
from brainmets.domain.errors import InputError, NotAResult
from brainmets.io import read_mask
from brainmets.reporting.documents import SCHEMA
from brainmets.reporting.names import REPORT, REVIEW, REVIEWED_TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import CaseKind, InputFormat, Sequence

__all__ = ["StoredResult", "read_result"]

REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredResult:
    """A report as its folder tells it.

    `mask` holds the ids of `lesions`. `reviewed` says that both are as a reader left them,
    who rejected `rejected` of the lesions found. `sequences` are those that were segmented.
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

    @property
    def input_sha256(self) -> str | None:
        """What the only image of the input hashed to; None where there were several."""
        return self.provenance.input_sha256 if len(self.sequences) == 1 else None


def read_result(
    folder: Path, *, review: Path | None = None, original: bool = False
) -> StoredResult:
    """Read what `write_results` wrote, with a reader's corrections where there are some.

    Args:
        folder: holds report.json and the mask.
        review: holds a saved review; by default the folder itself.
        original: leave corrections aside.

    Raises:
        NotAResult: the folder holds no result, or not all of it.
    """
    document = _document(folder)
    review = review or folder
    reviewed = not original and (review / REVIEWED_TABLE).is_file()
    try:
        case = document["case"]
        kind: CaseKind = "slices" if case["kind"] == "slices" else "volume"
        units = "px" if case["unit"] == "px" else "mm"
        drawn = _drawn(review if reviewed else folder, "-reviewed" * reviewed, kind)
        grid = Geometry(shape=drawn.geometry.shape, affine=drawn.geometry.affine, units=units)
        table = _reviewed(review / REVIEWED_TABLE, grid) if reviewed else []
        rejected = sum(verdict == REJECTED for verdict, _ in table)
        lesions = [lesion for verdict, lesion in table if verdict != REJECTED]
        if not reviewed:
            lesions = [_lesion(row) for row in document["lesions"]]
        ids = _numbered_slices(drawn.data, lesions) if kind == "slices" else drawn.data
        return StoredResult(
            mask=Mask(data=ids, geometry=grid),
            lesions=tuple(lesions),
            provenance=_provenance(document, review / REVIEW if reviewed else None),
            kind=kind,
            format=case["format"],
            case_id=str(case["id"]),
            sequences=tuple(case["sequences"]),
            slice_names=tuple(case["slice_names"]),
            warnings=tuple(document["warnings"]),
            notice=str(document["notice"]),
            reviewed=reviewed,
            rejected=rejected,
        )
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        if isinstance(error, NotAResult):
            raise
        raise _incomplete(folder, f"a {REPORT} or mask that lacks what a result holds") from None


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


def _drawn(folder: Path, suffix: str, kind: CaseKind) -> Mask:
    """Read the mask a folder holds; slices one by one in their order."""
    if kind == "volume":
        return read_mask(folder / f"mask{suffix}.nii.gz")
    one, many = folder / f"mask{suffix}.png", folder / "masks"
    if one.is_file():
        return read_mask(one)
    if many.is_dir() and not suffix:
        return read_mask(many)
    planes = [read_mask(path) for path in sorted(folder.glob(f"mask{suffix}-*.png"))]
    if not planes:
        raise _incomplete(folder, "no mask")
    data = np.concatenate([plane.data for plane in planes], axis=2)
    first = planes[0].geometry
    i, j, k = data.shape
    return Mask(data=data, geometry=Geometry(shape=(i, j, k), affine=first.affine))


def _provenance(document: dict[str, Any], review: Path | None) -> Provenance:
    """How the lesions were found; a reader may have moved the operating point since."""
    made = Provenance(**document["provenance"])
    if review is None or not review.is_file():
        return made
    point = json.loads(review.read_text(encoding="utf-8"))["operating_point"]
    return replace(made, settings={**made.settings, **point})


def _numbered_slices(
    drawn: NDArray[np.unsignedinteger], lesions: list[Lesion]
) -> NDArray[np.uint16]:
    """Give the lesions of slice pictures, which are black and white, their ids again.

    Each is the group of touching pixels in its slice whose centre is its own.
    """
    import cc3d

    ids = np.zeros(drawn.shape, dtype=np.uint16)
    for k in {lesion.slice_index for lesion in lesions}:
        groups = np.asarray(
            cc3d.connected_components(np.ascontiguousarray(drawn[:, :, k] > 0), connectivity=8)
        )
        middles = np.array(
            [np.argwhere(groups == n).mean(axis=0) for n in range(1, int(groups.max()) + 1)]
        )
        for lesion in (one for one in lesions if one.slice_index == k):
            distance = np.linalg.norm(middles - lesion.centroid_voxel[:2], axis=1)
            ids[:, :, k][groups == 1 + int(np.argmin(distance))] = lesion.id
    return ids


def _lesion(row: dict[str, Any]) -> Lesion:
    row = {"place": "", **row}  # results of before November 2026 have no place
    known = {field.name: row[field.name] for field in fields(Lesion)}
    for name in ("centroid_ras_mm", "centroid_voxel"):
        known[name] = tuple(float(value) for value in known[name])
    return Lesion(**known)


def _reviewed(path: Path, grid: Geometry) -> list[tuple[str, Lesion]]:
    """Read a reader's table: each lesion with the verdict on it."""
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
        for field in fields(Lesion):
            if field.name not in values:
                values[field.name] = float(row[field.name])
        found.append((row["verdict"], _lesion(values)))
    return found
