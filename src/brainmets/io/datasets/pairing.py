"""Reference and prediction of the same case, found by name in two folders."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from brainmets.domain.errors import DatasetLayout, FileMissing
from brainmets.io.datasets.finding import FoundMasks, mask_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MaskPair", "Pairing", "find_masks", "pair_masks"]

PairedBy = Literal["name", "guess"]
"""By equal case ids, or by the parts of the names that agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskPair:
    """One case: the expert's mask and the model's; None where there is no prediction."""

    case_id: str
    reference: Path
    prediction: Path | None
    paired_by: PairedBy = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What was paired, and what was not: case ids with a file on one side only.

    `notes` are sentences for the user: guesses, reviewed masks, files left aside.
    """

    pairs: tuple[MaskPair, ...]
    only_reference: tuple[MaskPair, ...]
    only_prediction: tuple[str, ...]
    left_aside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def guesses(self) -> tuple[MaskPair, ...]:
        """The pairs whose names do not agree exactly."""
        return tuple(pair for pair in self.pairs if pair.paired_by == "guess")


def pair_masks(reference: Path, prediction: Path, *, original: bool = False) -> Pairing:
    """Pair two files, or the masks in two folders.

    A folder holds a file a case, or a folder a case with one mask in each, or what
    `brainmets segment`, `review` and `export` wrote. Cases pair by equal ids: names without words
    such as `seg` or `mask`. What is left over is paired, as a guess, where one name has all words
    and numbers of the other and no further number (`BraTS-MET-00132-000` with `00132-000`), if only
    one such partner exists; `ses-1` and `ses-2`, `100101A` and `100101B` are never paired. Equal
    ids below folders of other names (`P1/ses-1` and `P2/ses-1`) are a guess too.

    Args:
        reference: expert masks.
        prediction: the model's.
        original: of results, take the mask as it was found rather than as a reader corrected it.

    Raises:
        FileMissing: there is nothing at a path.
        DatasetLayout: a folder holds no mask, or two masks of one case.
    """
    there, here = _found(reference, original=original), _found(prediction, original=original)
    notes, aside = (*there.notes, *here.notes), (*there.left_aside, *here.left_aside)
    if there.is_one and here.is_one:
        (case, one), (other,) = next(iter(there.masks.items())), here.masks.values()
        pair = MaskPair(case_id=case, reference=one, prediction=other)
        return Pairing(pairs=(pair,), only_reference=(), only_prediction=(), notes=notes)
    partner = {case: case for case in there.masks if case in here.masks}
    guesses = _guesses(set(there.masks) - set(partner), set(here.masks) - set(partner))
    partner |= guesses
    elsewhere = {
        case
        for case, other in partner.items()
        if _differ(
            _above(there.masks[case], reference, case), _above(here.masks[other], prediction, other)
        )
    }
    pairs = tuple(
        MaskPair(
            case_id=case,
            reference=there.masks[case],
            prediction=here.masks[partner[case]],
            paired_by="guess" if case in guesses.keys() | elsewhere else "name",
        )
        for case in sorted(partner)
    )
    alone = tuple(
        MaskPair(case_id=case, reference=there.masks[case], prediction=None)
        for case in sorted(set(there.masks) - set(partner))
    )
    return Pairing(
        pairs=pairs,
        only_reference=alone,
        only_prediction=tuple(sorted(set(here.masks) - set(partner.values()))),
        left_aside=aside,
        notes=notes,
    )


def find_masks(root: Path, *, original: bool = False) -> dict[str, Path]:
    """Return the masks under a folder by case id.

    Raises:
        FileMissing: there is nothing at the path.
        DatasetLayout: no mask was found, or one case has two.
    """
    return _found(root, original=original).masks


def _found(root: Path, *, original: bool) -> FoundMasks:
    if not root.exists():
        raise FileMissing(
            f"nothing at {root.name}",
            expected="a mask or a folder of masks",
            remedy="check the path",
        )
    found = mask_files(root, original=original)
    if not found.masks:
        raise DatasetLayout(
            f"no mask in {root.name}",
            expected="NIfTI, PNG or TIFF masks, a file or a folder a case",
            remedy="name the folder that holds them",
        )
    return found


def _above(mask: Path, root: Path, case: str) -> tuple[str, ...]:
    """Return the folders above a mask that say more than its case, `P1` of `P1/ses-1/seg.nii.gz`.

    Not the root, nor the folder that gave the case its id, nor one whose words begin that id.
    """
    words = _words(case)
    folders = mask.relative_to(root).parts[:-1] if mask != root else ()
    told = [name for name in map(_words, folders) if name != words[: len(name)]]
    return tuple(word for name in told for word in name)


def _differ(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the folders above two masks of one id are of different names."""
    return bool(one) and bool(other) and one != other


def _guesses(there: set[str], here: set[str]) -> dict[str, str]:
    """Return partners among cases without one: those that fit one another and nobody else."""
    forward: defaultdict[str, list[str]] = defaultdict(list)
    backward: defaultdict[str, list[str]] = defaultdict(list)
    words = {case: _words(case) for case in there | here}
    for case in there:
        for other in here:
            if _fit(words[case], words[other]):
                forward[case].append(other)
                backward[other].append(case)
    return {
        case: others[0]
        for case, others in forward.items()
        if len(others) == 1 and len(backward[others[0]]) == 1
    }


def _words(case: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", case.casefold()))


def _fit(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one name continues the other by words without digits, and the shared part has some.

    Only whole words count: `100101A` is not `100101B`, and `left_1` is not `right_1`.
    """
    short, long = sorted((one, other), key=len)
    if not any(any(sign.isdigit() for sign in word) for word in short):
        return False
    starts = range(len(long) - len(short) + 1)
    for start in starts:
        end = start + len(short)
        if long[start:end] == short:
            rest = (*long[:start], *long[end:])
            return not any(any(sign.isdigit() for sign in word) for word in rest)
    return False
