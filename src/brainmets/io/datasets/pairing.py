"""Reference and prediction of the same case, found by name in two folders."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainmets.domain.errors import DatasetLayout, FileMissing
from brainmets.io.datasets.identity import SUFFIXES, bare_name, case_of, is_mask_name, numbers_of
from brainmets.io.sequences import guess_from_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MaskPair", "Pairing", "find_masks", "pair_masks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskPair:
    """One case: the expert's mask and the model's; None where there is no prediction."""

    case_id: str
    reference: Path
    prediction: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What was paired, and what was not: case ids with a file on one side only."""

    pairs: tuple[MaskPair, ...]
    only_reference: tuple[MaskPair, ...]
    only_prediction: tuple[str, ...]


def pair_masks(reference: Path, prediction: Path) -> Pairing:
    """Pair two files, or the masks in two folders.

    A folder holds a file a case, or a folder a case with one mask in each. Names are compared
    without words such as `seg` or `mask`; what is left over is paired by its numbers where those
    are unambiguous (`BraTS-MET-00132-000-seg` with `00132-000`).

    Raises:
        FileMissing: there is nothing at a path.
        DatasetLayout: a folder holds no mask, or two masks of one case.
    """
    if reference.is_file() and prediction.is_file():
        pair = MaskPair(case_id=case_of(reference), reference=reference, prediction=prediction)
        return Pairing(pairs=(pair,), only_reference=(), only_prediction=())
    there, here = find_masks(reference), find_masks(prediction)
    partner = {case: case for case in there if case in here}
    by_numbers = _unique_numbers(here, taken=set(partner.values()))
    for numbers, case in _unique_numbers(there, taken=set(partner)).items():
        if numbers in by_numbers:
            partner[case] = by_numbers[numbers]
    pairs = tuple(
        MaskPair(case_id=case, reference=there[case], prediction=here[partner[case]])
        for case in sorted(partner)
    )
    alone = tuple(
        MaskPair(case_id=case, reference=there[case], prediction=None)
        for case in sorted(set(there) - set(partner))
    )
    strangers = tuple(sorted(set(here) - set(partner.values())))
    return Pairing(pairs=pairs, only_reference=alone, only_prediction=strangers)


def find_masks(root: Path, *, masks: bool = True) -> dict[str, Path]:
    """Return the masks under a folder by case id, or with `masks=False` the T1c images.

    Files named after an MR sequence are passed over. Where at least half of a folder's other files
    are named as segmentations, only those are taken, else all.

    Raises:
        FileMissing: there is nothing at the path.
        DatasetLayout: no mask was found, or one case has two.
    """
    if not root.exists():
        raise FileMissing(
            f"nothing at {root.name}",
            expected="a mask or a folder of masks",
            remedy="check the path",
        )
    if root.is_file():
        return {case_of(root): root}
    found: dict[str, Path] = {}
    for folder in sorted({file.parent for file in _images(root)}):
        files = sorted(file for file in folder.iterdir() if _is_image(file))
        for file in _masks_among(files) if masks else _scans_among(files):
            case = case_of(file) if masks else _case_of_scan(file)
            if case in found:
                raise DatasetLayout(
                    f"two masks of case {case}: {found[case].name} and {file.name}",
                    expected="one mask a case",
                    remedy="leave one of them in the folder",
                )
            found[case] = file
    if not found:
        raise DatasetLayout(
            f"no mask in {root.name}",
            expected="NIfTI, PNG or TIFF masks, a file or a folder a case",
            remedy="name the folder that holds them",
        )
    return found


def _masks_among(files: list[Path]) -> list[Path]:
    others = [f for f in files if is_mask_name(f) or guess_from_name(bare_name(f)) is None]
    others = [file for file in others if "prob" not in file.name.lower()]
    named = [file for file in others if is_mask_name(file)]
    return named if 2 * len(named) >= len(others) else others


def _scans_among(files: list[Path]) -> list[Path]:
    """Return the T1c scans, or where no name tells, whatever is no mask."""
    others = [file for file in files if not is_mask_name(file)]
    named = [file for file in others if guess_from_name(bare_name(file)) == "t1c"]
    return named or [file for file in others if guess_from_name(bare_name(file)) is None]


def _case_of_scan(file: Path) -> str:
    """Return the name without its sequence: `CASE-t1c` and `CASE_0000` are both CASE."""
    name = bare_name(file)
    head, _, tail = name.replace("_", "-").rpartition("-")
    if head and (guess_from_name(tail) is not None or tail == "0000"):
        return name[: len(head)]
    return file.parent.name if guess_from_name(name) is not None else name


def _images(root: Path) -> list[Path]:
    return [file for file in root.rglob("*") if _is_image(file)]


def _is_image(file: Path) -> bool:
    return (
        file.is_file()
        and not file.name.startswith(".")
        and file.name.lower().endswith(SUFFIXES)
        and file.name != "overlay.png"  # what `brainmets segment` draws beside its mask
    )


def _unique_numbers(masks: dict[str, Path], *, taken: set[str]) -> dict[tuple[str, ...], str]:
    """Return the cases not yet paired by their numbers, ambiguous ones left out."""
    cases: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in masks:
        if case not in taken and numbers_of(case):
            cases[numbers_of(case)].append(case)
    return {numbers: names[0] for numbers, names in cases.items() if len(names) == 1}
