"""Published data sets whose cases are found by a rule each, and masks alone."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import InputError, OptionError
from brainmets.io.datasets.identity import bare_name, patient_of
from brainmets.io.datasets.layout import (
    DatasetCase,
    Layout,
    find_images,
    first_file,
    folders,
)
from brainmets.io.datasets.pairing import find_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence
    from brainmets.io.datasets.layout import SplitName

__all__ = [
    "BRAINMETSHARE",
    "CHENG",
    "LGG",
    "MASKS",
    "MOTUM",
    "NYUMETS",
    "OPENBTAI",
    "RuleLayout",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLayout(Layout):
    """An adapter with a rule of its own.

    Attributes:
        looks_so: Says of the root whether it is laid out so.
        cases: Finds the cases below the root.
    """

    looks_so: Callable[[Path], bool]
    cases: Callable[[Path], Iterable[DatasetCase]]

    def recognise(self, root: Path) -> bool:
        """Say whether the folder looks like this layout, from names alone."""
        return self.looks_so(root)

    def list_cases(self, root: Path) -> Iterable[DatasetCase]:
        """Find the cases by the rule."""
        return self.cases(root)


SHARED_SLICES: Mapping[Sequence, str] = {"t1c": "0", "t1n": "1", "t2f": "3"}
"""Folder 0 is T1 gradient echo after contrast, 1 spin echo before, 2 spin echo after, 3 FLAIR."""

SHARED_VOLUMES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("bravo.nii*",),
    "t1n": ("t1_pre.nii*",),
    "t2f": ("flair.nii*",),
}


def _shared(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        if not folder.name.startswith("Mets_"):
            continue
        images: dict[Sequence, Path] = {}
        masks: tuple[Path, ...] = ()
        for name, part in SHARED_SLICES.items():
            if (folder / part).is_dir():
                images[name] = folder / part
        in_slices = bool(images)
        if in_slices:
            masks = tuple(sorted(path for path in (folder / "seg").glob("*") if path.is_file()))
        else:
            images = find_images(folder, SHARED_VOLUMES)
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


BRAINMETSHARE = RuleLayout(
    NAME="brainmetshare",
    looks_so=lambda root: any(folder.name.startswith("Mets_") for folder in folders(root)),
    cases=_shared,
    wanted="folders Mets_*",
    labels={1: "metastasis"},
    core=(1,),
    notes=(
        "masks hold 0 and 255 in the slice form, 0 and 1 in the NIfTI form; both read as 0, 1",
        "the slice form has no spacing: sizes are in pixels",
    ),
)
"""BrainMetShare (Stanford): slice images by sequence, or NIfTI volumes."""

NYU_FILES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("CT1.nii*",),
    "t1n": ("T1.nii*",),
    "t2w": ("T2.nii*",),
    "t2f": ("FLAIR.nii*",),
}

NYU_PARTS: tuple[tuple[str, SplitName], ...] = (
    ("train", "train"),
    ("val", "validation"),
    ("test", "test"),
)
"""Words in the names of the split files."""


def _studies(root: Path) -> Iterator[DatasetCase]:
    splits = _splits(root)
    for study in sorted((root / "imaging" / "patientId").glob("*/studyId/*")):
        patient = study.parent.parent.name
        images = find_images(study, NYU_FILES)
        mask = first_file(study, "RTSTRUCT_segmentation.nii*")
        if images:
            yield DatasetCase(
                case_id=f"{patient}_{study.name}",
                patient=patient,
                images=images,
                masks=(mask,) if mask else (),
                split=splits.get(patient, ""),
            )


def _splits(root: Path) -> dict[str, SplitName]:
    """Return the part of each patient, from CSV files named after their part."""
    parts: dict[str, SplitName] = {}
    for path in sorted(root.rglob("*.csv")):
        part: SplitName = ""
        for word, name in NYU_PARTS:
            if word in path.stem.casefold():
                part = name
                break
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                patient = row.get("patientId") or row.get("patient") or ""
                if patient and part:
                    parts[patient] = part
    return parts


NYUMETS = RuleLayout(
    NAME="nyumets",
    looks_so=lambda root: (root / "imaging" / "patientId").is_dir(),
    cases=_studies,
    wanted="imaging/patientId/*/studyId/*",
    labels={1: "metastasis"},
    core=(1,),
    notes=("the same patient returns: split by patient, never by study",),
    may_differ=True,
)
"""NYUMets: `imaging/patientId/P/studyId/S/CT1.nii.gz`, a patient seen many times; the published
split CSVs, by patient, are honoured."""

MOTUM_FILES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*_t1ce.nii*",),
    "t2f": ("*_flair.nii*",),
}


def _drawn_on_t1c(root: Path) -> Iterator[DatasetCase]:
    for folder in sorted(root.glob("sub-*")):
        images = find_images(folder / "anat", MOTUM_FILES)
        mask = first_file(root / "derivatives" / folder.name, "t1ce_seg_*.nii*", "*t1ce_seg*.nii*")
        if images:
            yield DatasetCase(
                case_id=folder.name,
                patient=folder.name,
                images=images,
                masks=(mask,) if mask else (),
            )


MOTUM = RuleLayout(
    NAME="motum",
    looks_so=lambda root: any(root.glob("derivatives/sub-*/*_seg_*.nii*")),
    cases=_drawn_on_t1c,
    wanted="sub-*/anat and derivatives/sub-*",
    labels={},
    core=(1,),
    expected=("t1c", "t2f"),
    notes=(
        "gliomas and other tumours besides metastases: choose by participants.tsv",
        "what the mask values mean is not published: look before training",
    ),
    may_differ=True,
)
"""MOTUM: BIDS-like, masks by sequence under `derivatives`, several kinds of tumour."""

LGG_PATIENT = re.compile(r"TCGA_[A-Z]{2}_[A-Za-z0-9]{4}")
LGG_SLICE = re.compile(r"(\d+)(?:_mask)?$")


def _stacks(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        if not LGG_PATIENT.match(folder.name):
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
    found = LGG_SLICE.search(path.stem)
    return (int(found[1]) if found else 0, path.name)


LGG = RuleLayout(
    NAME="lgg",
    looks_so=lambda root: any(LGG_PATIENT.match(folder.name) for folder in folders(root)),
    cases=_stacks,
    wanted="folders TCGA_*",
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
"""LGG / kaggle_3m (Buda et al.): three-channel TIFF slices of lower-grade gliomas; each patient a
stack of slices, a mask a slice."""

TUMOURS: Mapping[int, str] = {1: "meningioma", 2: "glioma", 3: "pituitary tumour"}


def _looks_like_cheng(root: Path) -> bool:
    pairs = any((root / "images").glob("*.png")) and any((root / "masks").glob("*.png"))
    return pairs or any(path.stem.isdigit() for path in root.rglob("*.mat"))


def _single_slices(root: Path) -> Iterator[DatasetCase]:
    return _png_cases(root) if (root / "images").is_dir() else _matlab_cases(root)


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


CHENG = RuleLayout(
    NAME="cheng",
    looks_so=_looks_like_cheng,
    cases=_single_slices,
    wanted="images/*.png with masks/*.png, or *.mat",
    labels={1: "tumour"},
    core=(1,),
    notes=(
        "meningiomas, gliomas and pituitary tumours, not metastases",
        "no patient in the PNG form: split by block, never by slice",
    ),
)
"""Cheng's T1c slices (figshare 1512427): PNG pairs or the original MATLAB files, a slice a case.
The PNG form names no patients. Neighbouring numbers are neighbouring slices, so where `slices.csv`
gives a `block`, the block stands for the patient."""


def _named_pairs(root: Path) -> Iterator[DatasetCase]:
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


OPENBTAI = RuleLayout(
    NAME="openbtai",
    looks_so=lambda root: (
        any(root.rglob("OpenBTAI_*.xlsx")) or any(True for _ in _named_pairs(root))
    ),
    cases=_named_pairs,
    wanted="files with img and msk in their names",
    labels={1: "enhancing tumour", 2: "necrosis"},
    core=(1, 2),
    notes=("several scans a patient: patients are the folders",),
)
"""OpenBTAI (MOLAB): one folder per patient, `img` and `msk` in names, and a spreadsheet."""


def _masks_alone(root: Path) -> Iterator[DatasetCase]:
    for case, path in find_masks(root).items():
        yield DatasetCase(case_id=case, patient=patient_of(case), images={}, masks=(path,))


def _holds_masks(root: Path) -> bool:
    """Look for images that no other layout has claimed."""
    try:
        return bool(find_masks(root))
    except InputError:
        return False


MASKS = RuleLayout(
    NAME="masks",
    looks_so=_holds_masks,
    cases=_masks_alone,
    wanted="mask files, or a folder a case with one",
    labels={},
    core=(),
    expected=(),
    notes=("masks without images: sides, grids and places cannot be checked",),
)
"""Masks without their images, a file or a folder a case: enough to check and to score."""
