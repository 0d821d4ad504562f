"""OpenBTAI (MOLAB): one folder per patient, `img` and `msk` in names, and a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets.identity import bare_name
from brainmets.io.datasets.layout import Dataset, DatasetCase, folders, require_cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "openbtai"


def recognise(root: Path) -> bool:
    """Look for the spreadsheet, or for an `img` with its `msk`."""
    return any(root.rglob("OpenBTAI_*.xlsx")) or any(True for _ in _cases(root))


def read(root: Path) -> Dataset:
    """List the T1c scans with their masks; a patient may have several."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "files with img and msk in their names"),
        labels={1: "enhancing tumour", 2: "necrosis"},
        core=(1, 2),
        notes=("several scans a patient: patients are the folders",),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        for image in sorted(folder.glob("*img*.nii*")):
            mask = image.with_name(image.name.replace("img", "msk"))
            if mask.is_file():
                inside = folder != root
                patient = folder.name if inside else bare_name(image).split("_")[0]
                name = bare_name(image).replace("img", "").strip("-_ ").replace("__", "_")
                yield DatasetCase(
                    case_id=name if name.startswith(patient) else f"{patient}_{name}",
                    patient=patient,
                    images={"t1c": image},
                    masks=(mask,),
                )
