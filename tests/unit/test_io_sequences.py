"""Which sequence an image is, guessed from the words and numbers people and scanners use."""

from __future__ import annotations

import pytest

from brainmets.io import guess_from_name
from brainmets.io.dicom_scan import Hints
from brainmets.io.sequences import guess_from_hints

NAMES = {
    "BraTS-MET-00110-000-t1c.nii.gz": "t1c",
    "BraTS-MET-00110-000-t1n.nii.gz": "t1n",
    "BraTS-MET-00110-000-t2w.nii.gz": "t2w",
    "BraTS-MET-00110-000-t2f.nii.gz": "t2f",
    "100101A_T1post.nii.gz": "t1c",
    "100101A_T1pre.nii.gz": "t1n",
    "100101A_FLAIR.nii.gz": "t2f",
    "case7_t1ce_img.nii.gz": "t1c",
    "bravo.nii": "t1n",
    "t1_gd.nii": "t1c",
    "CT1.nii.gz": "t1c",
    "TCIA01_201_1_t1.nii.gz": "t1n",
    "TCIA01_201_1_t2.nii.gz": "t2w",
    "scan.nii.gz": None,
    "IMG0001": None,
}

HEADERS = {
    "AX T1 POST": "t1c",
    "Ax T1 +C": "t1c",
    "t1_mprage_sag_p2_iso_KM": "t1c",
    "SAG MPRAGE": "t1n",
    "3D T1 GAD": "t1c",
    "AX T2 FLAIR": "t2f",
    "AX FLAIR POST": "t2f",
    "AX T2 TSE": "t2w",
    "": None,
}


@pytest.mark.parametrize(("name", "sequence"), NAMES.items())
def test_names(name: str, sequence: str | None) -> None:
    assert guess_from_name(name) == sequence


@pytest.mark.parametrize(("description", "sequence"), HEADERS.items())
def test_descriptions(description: str, sequence: str | None) -> None:
    assert guess_from_hints(Hints(description=description)) == sequence


def test_contrast_agent_and_timing_speak_where_words_do_not() -> None:
    spin_echo = {"repetition_ms": 600.0, "echo_ms": 12.0}
    assert guess_from_hints(Hints(**spin_echo)) == "t1n"
    assert guess_from_hints(Hints(contrast=True, **spin_echo)) == "t1c"
    assert guess_from_hints(Hints(description="SAG MPRAGE", contrast=True)) == "t1c"
    assert guess_from_hints(Hints(repetition_ms=4500.0, echo_ms=95.0)) == "t2w"
    flair = Hints(repetition_ms=9000.0, echo_ms=120.0, inversion_ms=2500.0, contrast=True)
    assert guess_from_hints(flair) == "t2f"
