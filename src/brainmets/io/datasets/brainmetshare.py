"""BrainMetShare (Stanford): slice images by sequence, or NIfTI volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    find_images,
    first_file,
    folders,
    require_cases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence

__all__ = ["NAME", "read", "recognise"]

NAME = "brainmetshare"
SLICES: Mapping[Sequence, str] = {"t1c": "0", "t1n": "1", "t2f": "3"}
"""Folder 0 is T1 gradient echo after contrast, 1 spin echo before, 2 spin echo after, 3 FLAIR."""

VOLUMES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("bravo.nii*",),
    "t1n": ("t1_pre.nii*",),
    "t2f": ("flair.nii*",),
}


def recognise(root: Path) -> bool:
    """Look for `Mets_*` folders."""
    return any(folder.name.startswith("Mets_") for folder in folders(root))


def read(root: Path) -> Dataset:
    """List the cases of either form."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "folders Mets_*"),
        labels={1: "metastasis"},
        core=(1,),
        expected=("t1c",),
        notes=(
            "masks hold 0 and 255 in the slice form, 0 and 1 in the NIfTI form; both read as 0, 1",
            "the slice form has no spacing: sizes are in pixels",
        ),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        if not folder.name.startswith("Mets_"):
            continue
        images: dict[Sequence, Path] = {}
        masks: tuple[Path, ...] = ()
        for name, part in SLICES.items():
            if (folder / part).is_dir():
                images[name] = folder / part
        in_slices = bool(images)
        if in_slices:
            masks = tuple(sorted(path for path in (folder / "seg").glob("*") if path.is_file()))
        else:
            images = find_images(folder, VOLUMES)
            mask = first_file(folder, "seg.nii*")
            masks = (mask,) if mask else ()
        if images:
            yield DatasetCase(
                case_id=folder.name,
                patient=folder.name,
                images=images,
                masks=masks,
                kind="slices" if in_slices else "volume",
                split="test" if "test" in folder.parent.name.casefold() else "train",
            )
