"""Any folder a case: files told apart by what their names say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets.finding import is_probability_name
from brainmets.io.datasets.identity import bare_name, is_mask_name, patient_of
from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    find_images,
    first_file,
    folders,
    require_cases,
)
from brainmets.io.sequences import guess_from_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence

__all__ = ["NAME", "read", "read_globs", "recognise"]

NAME = "folders"


def recognise(root: Path) -> bool:
    """Look for a folder with an image named by its sequence, or an image and a mask."""
    return any(case.images for case in _cases(root))


def read(root: Path) -> Dataset:
    """List the cases by guessing from names; `read_globs` where names say nothing."""
    return _dataset(root, require_cases(_cases(root), root, "a folder a case with NIfTI files"))


def read_globs(root: Path, images: Mapping[Sequence, str], mask: str) -> Dataset:
    """List the cases by a glob for each role, such as `{"t1c": "*_post.nii.gz"}`, `*_roi.nii.gz`.

    A folder in which the first role's glob finds a file is a case.

    Raises:
        DatasetLayout: no folder is.
    """
    cases: list[DatasetCase] = []
    for folder in folders(root):
        found = find_images(folder, {name: (pattern,) for name, pattern in images.items()})
        if next(iter(images)) in found:
            drawn = first_file(folder, mask)
            cases.append(
                DatasetCase(
                    case_id=folder.name,
                    patient=patient_of(folder.name),
                    images=found,
                    masks=(drawn,) if drawn else (),
                )
            )
    return _dataset(root, require_cases(cases, root, f"files like {images}"))


def _dataset(root: Path, cases: tuple[DatasetCase, ...]) -> Dataset:
    return Dataset(
        layout=NAME,
        root=root,
        cases=cases,
        labels={},
        core=(),
        notes=("roles guessed from names: check a few cases",),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        images: dict[Sequence, Path] = {}
        masks: list[Path] = []
        unnamed: list[Path] = []
        for path in sorted(folder.glob("*.nii*")):
            sequence = guess_from_name(bare_name(path))
            if is_probability_name(path):
                continue
            if is_mask_name(path):
                masks.append(path)
            elif sequence is not None:
                images.setdefault(sequence, path)
            else:
                unnamed.append(path)
        if not images and masks and len(unnamed) == 1:  # an image and its mask
            images["t1c"] = unnamed[0]
        if images:
            yield DatasetCase(
                case_id=folder.name,
                patient=patient_of(folder.name),
                images=images,
                masks=tuple(masks[:1]),
            )
