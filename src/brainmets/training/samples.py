"""Prepared samples from real images: what the network reads, and what it should have said."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain.case import Case, Source
from brainmets.domain.errors import DatasetLayout
from brainmets.domain.volume import Mask, Volume
from brainmets.io import read_case, read_mask
from brainmets.training.losses import FIRST_CLASS, IGNORE
from brainmets.training.patients import faint_parts, patient_fold, patients_of
from brainmets.training.planes import plane_slices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.preprocessing import Plan, Prepared
    from brainmets.training.sources import SliceSource, VolumeSource

__all__ = [
    "Part",
    "Sample",
    "held_out_cases",
    "prepare_sample",
    "read_slices",
    "read_volume_case",
    "read_volumes",
    "slice_groups",
    "slice_names",
    "synthetic_case",
    "volume_folders",
    "with_surroundings",
]

Part = Literal["train", "validation", "test"]

LESION_COUNT_LIMIT = 64
"""Components per sample that crops can be centred on."""


AIR_SHARE = 0.1
"""Share of a slice's range of grey levels below which it is air or fluid."""

OTHER_BRIGHT_PERCENTILE = 95
"""Of a slice's tissue, from which something could be another lesion."""

OF_LESION = 0.85
"""Share of the annotated lesion's mean brightness, likewise."""

SLICES_OF_EACH = 8
"""Voxels of each lesion that a slice can be centred on, where slices are cut from a volume."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One image ready to crop from.

    `data` is (C, S) float16, `target` (S) uint8 of 0, 1 and IGNORE, and from FIRST_CLASS on where
    more is known of what is no lesion; `centres` voxel positions (n, dims), as many of each
    lesion: a crop adds its own jitter.
    """

    name: str
    data: NDArray[np.float16]
    target: NDArray[np.uint8]
    centres: NDArray[np.int64]


def prepare_sample(case: Case, lesion: NDArray[np.uint8], plan: Plan, *, name: str) -> Sample:
    """Apply the plan to a case and carry its target (0, 1, IGNORE on the case's grid) along."""
    prepared = plan.apply(case)
    target = _prepared_target(prepared, lesion, case)
    data = prepared.data.astype(np.float16)
    if plan.dims == 2 and data.shape[3] == 1:
        data, target = data[..., 0], target[..., 0]
    of_each = SLICES_OF_EACH if plan.dims < target.ndim else 1
    centres = _lesion_centres(target, of_each)
    return Sample(name=name, data=data, target=target, centres=centres)


def read_slices(root: Path, source: SliceSource, plan: Plan, part: Part) -> Iterator[Sample]:
    """Read every slice of one part of a `t1c-slices` folder, prepared."""
    for name in slice_names(root, source, part):
        case, lesion = _read_slice(root, name)
        if source.one_lesion_each:
            lesion = ignore_other_bright(case, lesion)
        yield prepare_sample(case, lesion, plan, name=name)


def slice_names(root: Path, source: SliceSource, part: Part) -> list[str]:
    """List the slices of one part, split by block or patient so that neighbours stay together.

    Slices that repeat an image with another lesion's mask are left out: the first one's mask
    holds the lesions of all (see `slice_masks`).

    Raises:
        DatasetLayout: `slices.csv` is missing.
    """
    groups = slice_groups(root, source)
    if source.fold is not None:
        held = {
            group for group in groups.values() if patient_fold(group, source.folds) == source.fold
        }
        wanted = {"train": set(groups.values()) - held, "validation": set[str](), "test": held}[
            part
        ]
    else:
        test = {str(block) for block in source.test_blocks}
        validation = {str(block) for block in source.validation_blocks}
        wanted = {
            "train": set(groups.values()) - test - validation,
            "validation": validation,
            "test": test,
        }[part]
    firsts = {masks[0] for masks in slice_masks(root).values()}
    return [name for name, group in groups.items() if group in wanted and name in firsts]


def slice_groups(root: Path, source: SliceSource) -> dict[str, str]:
    """Return what every slice is divided by: its patient, or its block of neighbours.

    Raises:
        DatasetLayout: `slices.csv` is missing.
    """
    column = "block" if source.fold is None and source.test_blocks else None
    rows = _slice_table(root)
    column = column or ("patient" if "patient" in rows[0] else "block")
    return {row["slice"]: row[column] for row in rows}


def slice_masks(root: Path) -> dict[str, tuple[str, ...]]:
    """Return for every image, by its first slice's name, the masks that were drawn on it."""
    found: dict[str, list[str]] = {}
    for row in _slice_table(root):
        found.setdefault(row.get("image_md5") or row["slice"], []).append(row["slice"])
    return {names[0]: tuple(names) for names in found.values()}


def _slice_table(root: Path) -> list[dict[str, str]]:
    table = root / "slices.csv"
    if not table.is_file():
        table = root.parent / "slices.csv"
    if not table.is_file():
        raise DatasetLayout(
            f"no slices.csv in {root.name}",
            expected="images/, masks/ and slices.csv with the columns slice and block or patient",
            remedy="point BRAINMETS_DATA to the folder that holds the data",
        )
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_volumes(root: Path, source: VolumeSource, plan: Plan, part: Part) -> Iterator[Sample]:
    """Read every case of one part of a folder of volumes, prepared; slice by slice for 2-D."""
    for folder in volume_folders(root, source, part):
        case, lesion = read_volume_case(folder, source)
        if plan.dims == 2:
            for flat, target in plane_slices(case, lesion, each=source.slices_per_plane):
                yield prepare_sample(flat, target, plan, name=f"{folder.name}-{flat.case_id}")
            continue
        yield prepare_sample(case, lesion, plan, name=folder.name)


def read_volume_case(folder: Path, source: VolumeSource) -> tuple[Case, NDArray[np.uint8]]:
    """Read one case and its target (0, 1, IGNORE) on the image's own grid.

    Raises:
        DatasetLayout: the folder has no image or no mask of the named patterns.
    """
    image = _first(folder, (source.image,))
    labels = read_mask(_first(folder, source.mask)).data
    lesion = np.isin(labels, source.lesion_labels).astype(np.uint8)
    lesion[np.isin(labels, source.ignored_labels)] = IGNORE
    if folder.name in source.ignore_lesions_of:
        lesion[lesion > 0] = IGNORE
    if source.parts is not None:
        table = folder.parent.parent / source.parts
        faint = faint_parts(lesion == 1, table, folder.name, source.least_contrast)
        lesion[faint] = IGNORE
    return read_case(image), lesion


def held_out_cases(
    root: Path, source: SliceSource | VolumeSource, part: Part, limit: int
) -> Iterator[tuple[Case, NDArray[np.uint8], str]]:
    """Yield up to `limit` cases of a part with target and group, spread evenly over it."""
    if source.kind == "volumes":
        folders = volume_folders(root, source, part)
        for folder in folders[:: _stride(len(folders), limit)]:
            case, lesion = read_volume_case(folder, source)
            yield replace(case, case_id=folder.name), lesion, _patient(root, source, folder.name)
        return
    names = slice_names(root, source, part)
    groups = slice_groups(root, source)
    for name in names[:: _stride(len(names), limit)]:
        case, lesion = _read_slice(root, name)
        yield replace(case, case_id=name), lesion, groups[name]


def _stride(count: int, limit: int) -> int:
    return max(1, -(-count // limit))


def _patient(root: Path, source: VolumeSource, case: str) -> str:
    if source.patients is None:
        return case
    return patients_of(root.parent / source.patients)[case]


def _read_slice(root: Path, name: str) -> tuple[Case, NDArray[np.uint8]]:
    case = read_case(root / "images" / f"{name}.png")
    drawn = [
        read_mask(root / "masks" / f"{mask}.png").foreground for mask in slice_masks(root)[name]
    ]
    return case, np.logical_or.reduce(drawn).astype(np.uint8)


def ignore_other_bright(case: Case, lesion: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Let what is bright outside a slice's one annotated lesion count neither way.

    Other lesions of the slice are not annotated; taught as background they would be unlearnt.

    Args:
        case: the slice.
        lesion: 0 and 1 (i, j, 1).
    """
    from scipy import ndimage

    (image,) = case.images.values()
    data = ndimage.gaussian_filter(image.data.astype(np.float32), (1.0, 1.0, 0.0))
    lowest = float(data.min())
    tissue = data[data > lowest + AIR_SHARE * (data.max() - lowest)]
    # white matter is bright too: what counts neither way is as bright as a lesion would be
    level = float(np.percentile(tissue, OTHER_BRIGHT_PERCENTILE))
    if (lesion == 1).any():
        level = max(level, OF_LESION * float(data[lesion == 1].mean()))
    bright = data >= level
    around = ndimage.binary_dilation(bright, np.ones((3, 3, 1)))
    return np.where((lesion == 0) & around, np.uint8(IGNORE), lesion)


def volume_folders(root: Path, source: VolumeSource, part: Part) -> list[Path]:
    """List the folders of one part's cases, sorted.

    Raises:
        DatasetLayout: there is no such folder.
    """
    if not root.is_dir():
        raise DatasetLayout(
            f"no folder {root.name}",
            expected="one folder a case",
            remedy="point BRAINMETS_DATA to the folder that holds the data",
        )
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if source.fold is not None:
        held = {
            path.name
            for path in folders
            if patient_fold(_patient(root, source, path.name), source.folds) == source.fold
        }
        wanted = {"test": held, "validation": set[str]()}.get(part)
        return [p for p in folders if (p.name not in held if wanted is None else p.name in wanted)]
    named = {"validation": source.validation_cases, "test": source.test_cases}
    if part != "train":
        return [path for path in folders if path.name in named[part]]
    held = {*source.validation_cases, *source.test_cases}
    return [path for path in folders if path.name not in held]


def _first(folder: Path, patterns: tuple[str, ...]) -> Path:
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise DatasetLayout(
        f"nothing like {' or '.join(patterns)} in {folder.name}",
        expected="one image and one mask a case",
        remedy="correct the patterns in the recipe",
    )


def _prepared_target(
    prepared: Prepared, lesion: NDArray[np.uint8], case: Case
) -> NDArray[np.uint8]:
    """Bring the target onto the prepared grid: a voxel is lesion when half of it is."""

    def carried(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
        indicator = Volume(data=where.astype(np.float32), geometry=case.geometry)
        return prepared.from_native(indicator) >= np.float32(0.5)

    target = _carried_classes(prepared, lesion, case)
    target[carried(lesion == 1)] = 1
    if (lesion == IGNORE).any():
        target[carried(lesion == IGNORE)] = IGNORE
    return target


def _carried_classes(
    prepared: Prepared, lesion: NDArray[np.uint8], case: Case
) -> NDArray[np.uint8]:
    """Bring what is known of the surroundings along: of all classes that which fills most."""
    found = np.zeros(prepared.data.shape[1:], dtype=np.uint8)
    codes = np.setdiff1d(lesion, (0, 1, IGNORE))
    if not len(codes):
        return found
    best = np.zeros(found.shape, dtype=np.float32)
    for code in (0, *codes):
        indicator = Volume(data=(lesion == code).astype(np.float32), geometry=case.geometry)
        share = prepared.from_native(indicator)
        found[share > best] = code
        np.maximum(best, share, out=best)
    return found


def _lesion_centres(target: NDArray[np.uint8], of_each: int) -> NDArray[np.int64]:
    from scipy import ndimage

    structure = np.ones([3] * target.ndim)
    labels = np.empty(target.shape, dtype=np.int32)
    count = int(ndimage.label(target == 1, structure=structure, output=labels))  # pyright: ignore[reportArgumentType]
    if count == 0:
        return np.zeros((0, target.ndim), dtype=np.int64)
    ids = np.arange(1, count + 1)
    largest = ids[np.argsort(-ndimage.sum_labels(target == 1, labels, ids))][:LESION_COUNT_LIMIT]
    shares = (np.arange(of_each) + 0.5) / of_each  # half way through where there is one
    found: list[NDArray[np.int64]] = []
    for number in largest:
        voxels = np.argwhere(labels == number)
        order = np.argsort(voxels[:, -1], kind="stable") if of_each > 1 else slice(None)
        found.append(voxels[order][(shares * len(voxels)).astype(int)])
    return np.concatenate(found)


def with_surroundings(lesion: NDArray[np.uint8], surroundings: Mask) -> NDArray[np.uint8]:
    """Write the classes of what surrounds lesions into a target, each plus `FIRST_CLASS`-1."""
    known = surroundings.data.astype(np.uint8)
    return np.where((lesion == 0) & (known > 0), known + np.uint8(FIRST_CLASS - 1), lesion)


def synthetic_case(image: Volume, lesion: Mask, *, name: str) -> tuple[Case, NDArray[np.uint8]]:
    """Present a synthesised head as a case and its target."""
    case = Case(
        images={"t1c": image},
        geometry=image.geometry,
        source=Source(format="nifti", sha256=""),
        case_id=name,
    )
    return case, (lesion.data > 0).astype(np.uint8)
