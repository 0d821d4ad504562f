"""Which files of a folder are masks, probability maps or scans, and of which case."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import DatasetLayout, InputError
from brainmets.io.datasets.identity import SUFFIXES, bare_name, case_of, is_mask_name
from brainmets.io.datasets.result_masks import reviewed_masks, unreviewed_masks
from brainmets.io.reading import read_mask
from brainmets.io.sequences import guess_from_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FoundMasks", "find_probabilities", "find_scans", "is_probability_name", "mask_files"]

PROBABILITY = r"prob(?:s|ability|abilities|map|maps)?|softmax"
PROBABILITY_NAME = re.compile(
    rf"^(?:{PROBABILITY})(?:[-_. ]|$)|(?:^|[-_. ])(?:{PROBABILITY})$", re.IGNORECASE
)

REPORT, EXPORT, EXPORTED = "report.json", "export", "lesions.nii.gz"
AS_FOUND = "as-found"
"""In the page's zip: what was found, where the result next to it is reviewed."""

RESULT_SCHEMA = "brainmets-report/"
OWN_FOLDERS = frozenset({"masks", "probabilities", "images", AS_FOUND, EXPORT})
"""Folders inside a result that hold no other case."""

SLICE_NUMBER = re.compile(r"^mask-reviewed-\d+-")
"""Before the name of a slice, in that of its reviewed mask."""

CONSTANT = 0.5
"""Share of touching labelled voxels that are equal in labels; in an image few are."""


@dataclass(slots=True)
class FoundMasks:
    """Masks by case id; `left_aside` names files whose case has no mask, `notes` are sentences.

    `is_one` says that the user has named one mask: a file, or the result of one scan.
    """

    masks: dict[str, Path] = field(default_factory=dict[str, "Path"])
    left_aside: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    is_one: bool = False

    def add(self, case: str, file: Path) -> None:
        """Take a mask.

        Raises:
            DatasetLayout: the case has one already.
        """
        if case in self.masks:
            raise DatasetLayout(
                f"two masks of case {case}: {self.masks[case].name} and {file.name}",
                expected="one mask a case",
                remedy="leave one of them in the folder",
            )
        self.masks[case] = file


def mask_files(root: Path, *, original: bool = False) -> FoundMasks:
    """Return the masks below a root, which may be one file.

    A file is a mask if its name says so (`…-seg`, `mask…`), or if no other file of its folder is
    named as the mask of its case. Where the name speaks of a sequence, or other masks of the folder
    are named as such, its content decides. Results of `brainmets segment` give one mask each: as
    a reader corrected it, unless `original`.

    Raises:
        DatasetLayout: one case has two masks.
    """
    found = FoundMasks()
    if root.is_file():
        found.add(case_of(root), root)
        found.is_one = True
        return found
    for folder in _folders(root):
        if _is_result(folder) and not (folder.name == AS_FOUND and _is_result(folder.parent)):
            _add_result(found, folder, original=original)
        elif not _inside_result(folder, root):
            _add_folder(found, _images(folder))
    found.is_one = _is_result(root) and len(found.masks) == 1
    return found


def find_probabilities(root: Path) -> dict[str, Path]:
    """Return probability maps by case id; of results `probability.nii.gz` under the folder's name.

    Files named after probabilities are taken, or all that are not named as masks if none is.
    """
    if root.is_file():
        return {_case_of_map(root): root}
    files = [file for folder in _folders(root) for file in _images(folder)]
    named = [file for file in files if is_probability_name(file)]
    named += [file for file in files if file.parent.name == "probabilities"]
    chosen = named or [file for file in files if not is_mask_name(file)]
    return {_case_of_map(file): file for file in chosen}


def find_scans(root: Path) -> dict[str, Path]:
    """Return the T1c scans by case id; all images but masks where no name has a sequence."""
    if root.is_file():
        return {_without_sequence(root): root}
    found: dict[str, Path] = {}
    for folder in _folders(root):
        others = [file for file in _images(folder) if not is_mask_name(file)]
        named = [file for file in others if guess_from_name(bare_name(file)) == "t1c"]
        unnamed = [file for file in others if guess_from_name(bare_name(file)) is None]
        for file in named or unnamed:
            found.setdefault(_without_sequence(file), file)
    return found


def is_probability_name(path: Path) -> bool:
    """Say whether a name speaks of a probability map by a word of its own, at either end."""
    return bool(PROBABILITY_NAME.search(bare_name(path)))


def _folders(root: Path) -> Iterator[Path]:
    yield root
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_dir() and not hidden:
            yield path


def _images(folder: Path) -> list[Path]:
    return [
        file
        for file in sorted(folder.iterdir())
        if file.is_file()
        and not file.name.startswith(".")
        and file.name.lower().endswith(SUFFIXES)
        and file.name != "overlay.png"  # what `brainmets segment` draws next to its mask
    ]


def _is_result(folder: Path) -> bool:
    return _report(folder) is not None


def _report(folder: Path) -> dict[str, object] | None:
    try:
        document = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        return document if str(document["schema"]).startswith(RESULT_SCHEMA) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _inside_result(folder: Path, root: Path) -> bool:
    """Whether a folder is part of a result that was taken as one case."""
    own = folder.name in OWN_FOLDERS
    return folder != root and own and _is_result(folder.parent)


def _add_result(found: FoundMasks, folder: Path, *, original: bool) -> None:
    """Take the mask of a result, of what `export` wrote, or of each of its slices."""
    inside = folder.name == EXPORT and _is_result(folder.parent)
    if inside and any(folder.parent.glob("mask*")):
        return
    case = folder.resolve().parent.name if folder.name == EXPORT else folder.resolve().name
    reviewed = [] if original else _reviewed(folder, case)
    for name, file in reviewed or _unreviewed(folder, case):
        found.add(name, file)
        if reviewed:
            found.notes.append(f"{name}: the mask as a reader corrected it.")
        if file.name == EXPORTED:
            found.notes.append(f"{name}: the mask that an export wrote.")
    if not reviewed and not _unreviewed(folder, case):
        found.left_aside.append(f"{case} (a result without its mask)")


def _reviewed(folder: Path, case: str) -> list[tuple[str, Path]]:
    files = reviewed_masks(folder)
    if len(files) == 1 and SLICE_NUMBER.match(files[0].name) is None:
        return [(case, files[0])]
    return [(SLICE_NUMBER.sub("", bare_name(file)), file) for file in files]


def _unreviewed(folder: Path, case: str) -> list[tuple[str, Path]]:
    files = unreviewed_masks(folder)
    if not files and (folder / EXPORTED).is_file():
        files = [folder / EXPORTED]
    return [(case if file.parent == folder else bare_name(file), file) for file in files]


def _add_folder(found: FoundMasks, files: list[Path]) -> None:
    """Sort the files of one folder into masks and what belongs to them."""
    named = [file for file in files if is_mask_name(file)]
    for file in named:
        found.add(case_of(file), file)
    have = {case_of(file) for file in named}
    have |= {_base(case, files[0]) for case in have}
    rest = [file for file in files if file not in named and not {*_cases_of(file)} & have]
    variants = [_without_sequence(file) for file in rest if _sequence(file)]
    for file in rest:
        if is_probability_name(file):
            if not _has_mask(files, file):
                _add_if_labels(found, file, "a probability map")
        elif named or _sequence(file):
            several = variants.count(_without_sequence(file)) > 1
            _add_if_labels(found, file, "a scan" if several else "an image")
        else:
            found.add(case_of(file), file)


def _add_if_labels(found: FoundMasks, file: Path, kind: str) -> None:
    if _holds_labels(file):
        found.add(case_of(file), file)
    else:
        found.left_aside.append(f"{file.name} ({kind} without a mask)")


def _has_mask(files: list[Path], probability: Path) -> bool:
    """Whether a mask of a probability map's case is in its folder, named as one or not."""
    case = _case_of_map(probability)
    return any(case_of(file) == case for file in files if file != probability)


def _sequence(file: Path) -> bool:
    return guess_from_name(bare_name(file)) is not None


def _cases_of(file: Path) -> tuple[str, str]:
    """Return the cases a scan or map may be of: its name, without its sequence or role too."""
    if is_probability_name(file):
        return _case_of_map(file), _case_of_map(file)
    return bare_name(file), _without_sequence(file)


def _case_of_map(file: Path) -> str:
    name = PROBABILITY_NAME.sub("", bare_name(file)).strip("-_. ")
    return name or file.resolve().parent.name


def _without_sequence(file: Path) -> str:
    """Return the name without its sequence: `CASE-t1c` and `CASE_0000` are both CASE."""
    return _base(bare_name(file), file)


def _base(name: str, file: Path) -> str:
    head, _, tail = name.replace("_", "-").rpartition("-")
    if head and (guess_from_name(tail) is not None or tail == "0000"):
        return name[: len(head)]
    return file.resolve().parent.name if guess_from_name(name) is not None else name


def _holds_labels(file: Path) -> bool:
    """Say whether a file holds labels, which are constant over regions, and not an image."""
    try:
        data = read_mask(file).data
    except InputError:
        return False
    one, other = data[1:], data[:-1]
    both = (one > 0) & (other > 0)
    equal = np.count_nonzero(both & (one == other))
    return bool(equal >= CONSTANT * np.count_nonzero(both))
