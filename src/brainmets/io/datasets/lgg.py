"""LGG / kaggle_3m (Buda et al.): three-channel TIFF slices of lower-grade gliomas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import Dataset, DatasetCase, folders, require_cases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "lgg"
PATIENT = re.compile(r"TCGA_[A-Z]{2}_[A-Za-z0-9]{4}")
SLICE = re.compile(r"(\d+)(?:_mask)?$")


def recognise(root: Path) -> bool:
    """Look for `TCGA_*` folders."""
    return any(PATIENT.match(folder.name) for folder in folders(root))


def read(root: Path) -> Dataset:
    """List the patients; each is a stack of slices, a mask a slice."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "folders TCGA_*"),
        labels={1: "FLAIR abnormality"},
        core=(1,),
        expected=("t2f",),
        notes=(
            "gliomas, NOT brain metastases, whatever student projects say",
            "the mask is the FLAIR abnormality, not the enhancing core",
            "split by patient, never by slice",
            "a missing T1 was filled in with FLAIR by the publishers",
        ),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        if not PATIENT.match(folder.name):
            continue
        masks = sorted(folder.glob("*_mask.tif*"), key=_number)
        images = folder
        if (folder / "images").is_dir():
            images = folder / "images"
            masks = sorted((path for path in (folder / "masks").glob("*.*")), key=_number)
        if any(images.glob("*.tif*")) or any(images.glob("*.png")):
            yield DatasetCase(
                case_id=folder.name,
                patient="_".join(folder.name.split("_")[:3]),
                images={"t2f": images},
                masks=tuple(masks),
                kind="slices",
            )


def _number(path: Path) -> tuple[int, str]:
    found = SLICE.search(path.stem)
    return (int(found[1]) if found else 0, path.name)
