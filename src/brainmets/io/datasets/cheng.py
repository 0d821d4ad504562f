"""Cheng's T1c slices (figshare 1512427): PNG pairs, or the original MATLAB files."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import OptionError
from brainmets.io.datasets.layout import Dataset, DatasetCase, require_cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "cheng"
TUMOURS: Mapping[int, str] = {1: "meningioma", 2: "glioma", 3: "pituitary tumour"}


def recognise(root: Path) -> bool:
    """Look for `images` and `masks` with PNG files, or numbered `.mat` files."""
    pairs = any((root / "images").glob("*.png")) and any((root / "masks").glob("*.png"))
    return pairs or any(path.stem.isdigit() for path in root.rglob("*.mat"))


def read(root: Path) -> Dataset:
    """List the slices, each a case.

    The PNG form names no patients. Neighbouring numbers are neighbouring slices, so where
    `slices.csv` gives a `block`, the block stands for the patient.
    """
    in_matlab = not (root / "images").is_dir()
    cases = _matlab_cases(root) if in_matlab else _png_cases(root)
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(cases, root, "images/*.png with masks/*.png, or *.mat"),
        labels={1: "tumour"},
        core=(1,),
        notes=(
            "meningiomas, gliomas and pituitary tumours, not metastases",
            "no patient in the PNG form: split by block, never by slice",
        ),
    )


def _png_cases(root: Path) -> Iterator[DatasetCase]:
    table: dict[str, Mapping[str, str]] = {}
    if (root / "slices.csv").is_file():
        with (root / "slices.csv").open(encoding="utf-8-sig", newline="") as file:
            table = {row["slice"]: row for row in csv.DictReader(file)}
    for image in sorted((root / "images").glob("*.png")):
        mask = root / "masks" / image.name
        row = table.get(image.stem, {})
        yield DatasetCase(
            case_id=image.stem,
            patient=f"block-{row['block']}" if "block" in row else image.stem,
            images={"t1c": image},
            masks=(mask,) if mask.is_file() else (),
            kind="slices",
            group=row.get("tumour", ""),
        )


def _matlab_cases(root: Path) -> Iterator[DatasetCase]:
    try:
        import h5py
    except ImportError as fault:
        raise OptionError(
            "MATLAB 7.3 files, and no h5py to read them",
            expected="the package h5py",
            remedy="pip install h5py, or use the PNG form",
        ) from fault
    for path in sorted(root.rglob("*.mat"), key=lambda one: (len(one.stem), one.stem)):
        with h5py.File(path, "r") as file:
            record: Any = file["cjdata"]
            patient = "".join(chr(int(code)) for code in record["PID"][()].ravel())
            tumour = int(record["label"][()].item())
        yield DatasetCase(
            case_id=path.stem,
            patient=patient,
            images={"t1c": path},
            masks=(path,),
            kind="slices",
            group=TUMOURS.get(tumour, ""),
        )
