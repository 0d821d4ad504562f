"""Published data sets with a folder a case: what their folders and files are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import (
    BRATS_2023_LABELS,
    BRATS_LABELS,
    DatasetCase,
    Layout,
    find_images,
    first_file,
    folders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence
    from brainmets.io.datasets.layout import SplitName

__all__ = [
    "BRAIN_METS_LUNG",
    "BRATS_GLIOMA",
    "BRATS_METS_2023",
    "BRATS_METS_2025",
    "PRETREAT_METS",
    "UCSF_BMSR",
    "FolderLayout",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLayout(Layout):
    """An adapter for a data set in which each case is a folder.

    Attributes:
        looks_so: Says of all folders whether they are laid out so.
        images: File names by sequence, in order of preference.
        masks: File names of the mask; `{case}` is the folder's name.
        case: The form of a case folder's name, if it has one.
        t1c_needed: A folder without T1c is no case; otherwise one file is enough.
        patient: Tells the patient from the folder's name.
        split: Tells the published part from the name of the folder above, if it says one.
    """

    looks_so: Callable[[Iterable[Path]], bool]
    images: Mapping[Sequence, tuple[str, ...]]
    masks: tuple[str, ...]
    case: re.Pattern[str] = re.compile(".*")
    t1c_needed: bool = False
    patient: Callable[[str], str] = patient_of
    split: Callable[[str], SplitName] = lambda _above: ""

    def recognise(self, root: Path) -> bool:
        """Say whether the folder looks like this layout, from names alone."""
        return self.looks_so(folders(root))

    def list_cases(self, root: Path) -> Iterator[DatasetCase]:
        """Take every folder that has what a case has."""
        for folder in folders(root):
            if not self.case.fullmatch(folder.name):
                continue
            images = find_images(folder, self.images)
            mask = first_file(folder, *(one.format(case=folder.name) for one in self.masks))
            if "t1c" in images or (not self.t1c_needed and (images or mask)):
                yield DatasetCase(
                    case_id=folder.name,
                    patient=self.patient(folder.name),
                    images=images,
                    masks=(mask,) if mask else (),
                    split=self.split(folder.parent.name),
                    group=folder.parent.name if "UCSD" in folder.parent.name else "",
                )


def _glioma_patient(case_id: str) -> str:
    """Drop the time point: `…-TTT` since 2023, `…_1` before 2019."""
    stem = case_id.removesuffix("_zscored")
    return re.sub(r"-\d{3}$|_\d$", "", stem, count=1)


def _brats_split(above: str) -> SplitName:
    name = above.casefold()
    if "valid" in name:
        return "validation"
    return "test" if "test" in name else "train" if "train" in name else ""


METASTASES = re.compile(r"BraTS-MET-\d{5}-\d{3}")
PARTS_2023 = re.compile(r"ASNR-MICCAI-BraTS2023-MET-Challenge-\w+")
PRETREAT = re.compile(r"BraTS-MET-\d{5}-\d{3}|\d{5}-\d{3}")
UCSF = re.compile(r"\d{6}[A-Z]")

SINCE_2023: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*-t1c.nii*",),
    "t1n": ("*-t1n.nii*",),
    "t2w": ("*-t2w.nii*",),
    "t2f": ("*-t2f.nii*",),
}
"""`CASE/CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz`, as BraTS has named files since 2023."""

GLIOMA: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*-t1c.nii*", "*_t1ce.nii*", "T1c_*.nii*"),
    "t1n": ("*-t1n.nii*", "*_t1.nii*"),
    "t2w": ("*-t2w.nii*", "*_t2.nii*"),
    "t2f": ("*-t2f.nii*", "*_flair.nii*"),
}

ALL_FOUR: tuple[Sequence, ...] = ("t1c", "t1n", "t2w", "t2f")

BRATS_METS_2023 = FolderLayout(
    NAME="brats-mets-2023",
    looks_so=lambda found: any(PARTS_2023.fullmatch(one.name) for one in found),
    case=METASTASES,
    images=SINCE_2023,
    masks=("*-seg.nii*",),
    wanted="folders BraTS-MET-XXXXX-TTT",
    split=_brats_split,
    labels=BRATS_2023_LABELS,
    core=(1, 3),
    expected=ALL_FOUR,
    notes=("skull-stripped, in atlas space, 1 mm",),
)
"""BraTS-METS 2023, the first part and the additional one."""

BRATS_METS_2025 = FolderLayout(
    NAME="brats-mets-2025",
    looks_so=lambda found: any(METASTASES.fullmatch(one.name) for one in found),
    case=METASTASES,
    images=SINCE_2023,
    masks=("*-seg.nii*",),
    wanted="folders BraTS-MET-XXXXX-TTT",
    split=_brats_split,
    labels=BRATS_LABELS,
    core=(1, 3),
    expected=ALL_FOUR,
    notes=(
        "T2w is sometimes absent and 28 masks are empty in the published set",
        "grids differ between sites: take volumes from the header's spacing",
    ),
)
"""BraTS-METS 2025 and 2026, its UCSD folder included; the last number is the time point."""

PRETREAT_METS = FolderLayout(
    NAME="pretreat",
    looks_so=lambda found: (
        any("pretreat" in one.name.casefold() for one in found)
        and any(PRETREAT.fullmatch(one.name) for one in found)
    ),
    case=PRETREAT,
    images=SINCE_2023,
    masks=("*-seg.nii*",),
    wanted="folders named as in BraTS-METS",
    split=_brats_split,
    labels={1: "necrosis", 2: "oedema", 3: "enhancing tumour"},
    core=(1, 3),
    expected=ALL_FOUR,
    notes=("its patients are also in BraTS-METS: do not train on one and test on the other",),
)
"""Pretreat-MetsToBrain-Masks (TCIA): 200 patients before treatment."""

UCSF_BMSR = FolderLayout(
    NAME="ucsf-bmsr",
    looks_so=lambda found: any(
        UCSF.fullmatch(one.name) and first_file(one, "*_T1post.nii*") for one in found
    ),
    case=UCSF,
    images={
        "t1c": ("*_T1post.nii*",),
        "t1n": ("*_T1pre.nii*",),
        "t2f": ("*_FLAIR.nii*",),
        "t2w": ("*_T2Synth.nii*",),
    },
    masks=("{case}_seg.nii*",),
    wanted="folders such as 100101A",
    split=lambda above: "test" if "TEST" in above else "train",
    labels={1: "metastasis"},
    core=(1,),
    expected=("t1c", "t1n", "t2f"),
    notes=(
        f"BraTS-seg, with labels {dict(BRATS_2023_LABELS)}, is next to seg and is not read",
        "T2Synth is synthesised from the other sequences",
        "overlaps BraTS-METS",
    ),
)
"""UCSF-BMSR v1.3: `UCSF_BrainMetastases_TRAIN/100101A/100101A_T1post.nii.gz`; six digits are the
patient."""

BRAIN_METS_LUNG = FolderLayout(
    NAME="brain-mets-lung",
    looks_so=lambda found: any(first_file(one, "*_t1ce_img.nii*") for one in found),
    images={"t1c": ("*_t1ce_img.nii*",), "t2f": ("*_flair_img.nii*",)},
    masks=("*_core_seg.nii*",),
    wanted="folders with *_t1ce_img.nii.gz",
    t1c_needed=True,
    patient=str,
    labels={1: "tumour core"},
    core=(1,),
    expected=("t1c", "t2f"),
    notes=("whole_seg, with the oedema, is next to core_seg and is not read",),
    may_differ=True,
)
"""Brain-Mets-Lung-MRI-Path-Segs (TCIA): grids differ between the files of a case."""

BRATS_GLIOMA = FolderLayout(
    NAME="brats-glioma",
    looks_so=lambda found: any(
        "brats" in one.name.casefold()
        and "met" not in one.name.casefold()
        and first_file(one, *GLIOMA["t1c"])
        for one in found
    ),
    images=GLIOMA,
    masks=("*-seg.nii*", "*_seg.nii*", "*_seg_*.nii*", "OTMultiClass.nii*"),
    wanted="a folder a case with a T1c",
    t1c_needed=True,
    patient=_glioma_patient,
    labels={
        1: "necrosis",
        2: "oedema",
        3: "enhancing (2023 on) or non-enhancing (2013)",
        4: "enhancing (to 2021)",
    },
    core=(1, 3, 4),
    notes=("gliomas, not metastases",),
)
"""BraTS gliomas 2013–2023, with either naming: real T1c, but not metastases. In `*_zscored` cases
label 3 is non-enhancing tumour and 4 enhances."""
