"""What an adapter says about a data set on disk: its cases, its labels, its traps."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol

from brainmets.domain.errors import DatasetLayout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from brainmets.domain import CaseKind, Sequence

__all__ = [
    "BRATS_2023_LABELS",
    "BRATS_LABELS",
    "Adapter",
    "Dataset",
    "DatasetCase",
    "Layout",
    "SplitName",
    "find_images",
    "first_file",
    "folders",
    "layout_error",
    "require_cases",
]

BRATS_2023_LABELS: Mapping[int, str] = {
    1: "non-enhancing tumour core",
    2: "oedema",
    3: "enhancing tumour",
}
BRATS_LABELS: Mapping[int, str] = {**BRATS_2023_LABELS, 4: "resection cavity"}

SplitName = Literal["train", "validation", "test", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCase:
    """One scan of a data set.

    Attributes:
        case_id: Unique within the data set.
        patient: The same for all scans of one person.
        images: A file or a folder (DICOM, slices) by sequence.
        masks: No file, one, or one a slice in slice order.
        kind: A volume, or independent slices.
        split: The part its publishers put it in, if they said.
        group: Tumour class, site or whatever else the set sorts by.
    """

    case_id: str
    patient: str
    images: Mapping[Sequence, Path]
    masks: tuple[Path, ...] = ()
    kind: CaseKind = "volume"
    split: SplitName = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set as found in a folder.

    Attributes:
        layout: Name of the adapter that read it.
        root: The folder.
        cases: In order of case id.
        labels: What each mask value means; empty if unknown.
        core: The labels that make up the tumour core, enhancing and necrotic.
        expected: Sequences every case should have.
        notes: What a user must know before training on it.
        may_differ: The files of one case may be on different grids, and are resampled on reading.
    """

    layout: str
    root: Path
    cases: tuple[DatasetCase, ...]
    labels: Mapping[int, str]
    core: tuple[int, ...]
    expected: tuple[Sequence, ...] = ("t1c",)
    notes: tuple[str, ...] = ()
    may_differ: bool = False
    patients: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Order the cases and list the patients.

        Raises:
            DatasetLayout: two cases share an id.
        """
        cases = tuple(sorted(self.cases, key=lambda case: case.case_id))
        for one, other in pairwise(cases):
            if one.case_id == other.case_id:
                raise layout_error(
                    f"two cases named {one.case_id}",
                    expected="one folder or file a case",
                    remedy="remove the copy, or give the sub-folder that is meant",
                )
        object.__setattr__(self, "cases", cases)
        object.__setattr__(self, "patients", tuple(sorted({case.patient for case in cases})))


class Adapter(Protocol):
    """Reads one layout: a module of this package with these three names, or a `Layout`."""

    @property
    def NAME(self) -> str:  # noqa: N802 - it is a module's constant
        """What a user types: `--layout NAME`."""
        ...

    def recognise(self, root: Path) -> bool:
        """Say whether the folder looks like this layout, from names alone."""
        ...

    def read(self, root: Path) -> Dataset:
        """List the cases; no image is opened."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """An adapter that is a table: how to know a data set, find its cases, and what they mean.

    Attributes:
        NAME: What a user types.
        wanted: What the error about a folder without cases expects.
        labels, core, expected, notes, may_differ: as `Dataset` has them.
    """

    NAME: str
    wanted: str
    labels: Mapping[int, str]
    core: tuple[int, ...]
    expected: tuple[Sequence, ...] = ("t1c",)
    notes: tuple[str, ...] = ()
    may_differ: bool = False

    def read(self, root: Path) -> Dataset:
        """List the cases; no image is opened."""
        return Dataset(
            layout=self.NAME,
            root=root,
            cases=require_cases(self.list_cases(root), root, self.wanted),
            labels=self.labels,
            core=self.core,
            expected=self.expected,
            notes=self.notes,
            may_differ=self.may_differ,
        )

    def list_cases(self, root: Path) -> Iterable[DatasetCase]:
        """Find the cases, in any order."""
        raise NotImplementedError


def layout_error(found: str, *, expected: str, remedy: str) -> DatasetLayout:
    """Return the error of a folder that is not laid out as its adapter expects."""
    return DatasetLayout(found, expected=expected, remedy=remedy)


def require_cases(
    cases: Iterable[DatasetCase], root: Path, expected: str
) -> tuple[DatasetCase, ...]:
    """Return the cases as a tuple.

    Raises:
        DatasetLayout: there is none.
    """
    found = tuple(cases)
    if not found:
        raise layout_error(
            f"no case in {root.name}",
            expected=expected,
            remedy="give the folder that holds the cases, or another --layout",
        )
    return found


def folders(root: Path) -> tuple[Path, ...]:
    """Return all folders below a root and the root itself, in order, hidden ones left out."""
    found = [root, *(path for path in root.rglob("*") if path.is_dir())]
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def first_file(folder: Path, *patterns: str) -> Path | None:
    """Return the first file that a pattern finds, patterns in order of preference."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                return path
    return None


def find_images(folder: Path, patterns: Mapping[Sequence, tuple[str, ...]]) -> dict[Sequence, Path]:
    """Return the files found for each sequence's patterns; sequences without one are left out."""
    images: dict[Sequence, Path] = {}
    for sequence, words in patterns.items():
        path = first_file(folder, *words)
        if path is not None:
            images[sequence] = path
    return images
