"""Which sequence an image is, guessed from the words and numbers people and scanners use.

194 names of hospitals and BIDS data sets in six languages, 15 of data sets, 9 of headers.
"""

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

HOSPITAL_NAMES: dict[str | None, str] = {
    "t1c": """
        T1_KM | t1_mprage_sag_Gd | t1_mprage_post-contrast | t1 +C | T1CE | t1wce | cor T1
        FS post | t1_mprage_mit_KM | T1 nach KM | T1 avec gado | T1 apres injection | T1
        après injection | T1 con contraste | T1 post contraste | sub-01_ce-gadolinium_T1w |
        sub-01_acq-postgd_T1w | sub-01_acq-MPRAGEce_T1w | sub-01_ce-GADAVIST_T1w | t1_post |
        T1_postcontrast | T1postGd | T1post | T1Gd | T1gad | t1ce | T1_CE | T1-CE | T1C+ |
        T1+C | T1+Gd | AX T1 C+ | Ax T1 POST GAD | SAG MPRAGE +C | MPRAGE_POST | mprage post
        gad | t1_mpr_tra_km | T1 KM tra | t1_tse_km | t1_vibe_fs_km | t1_se_tra_fs_KM | 3D
        T1 GADO | AX 3D T1 GADO | BRAVO+C | Ax BRAVO Post | 3D_BRAVO_GD | SPGR_post |
        T1_SPACE_KM | t1_space_sag_post_gd | T1_FFE_gd | T1W_3D_TFE_GD | t1_fl3d_post | T1
        BB post | T1_black_blood_KM | cet1 | CE-T1w | ce_T1 | gd-t1 | post-T1 | T1 w/
        contrast | T1 with contrast | T1_enhanced | contrast-enhanced T1 | T1 IV contrast |
        T1 mdc | T1 con mdc | T1_gadovist | T1 Multihance | T1 dotarem | T1 gadavist | T1
        Magnevist | t1w_gd | t1w_post | T1w+Gd | T1WI+C | 0001-t1c | BraTS-MET-00110-000-t1c
        | BraTS2021_00006_t1ce | km | KM | GD | postcontrast | post_contrast | t1c_postop |
        t1_post_op_km | pre_op_T1_gd | preop_t1ce | T1_pre-op_KM | t1_pre_treatment_gd |
        t1_mprage_sag_p2_iso_KM | t1_mprage_tra_p2_iso_1.0_post_Gd |
        T1_mprage_0.9iso_KM_MPR_tra | CET1W | t1ce_fs | T1FS+C | ot1_gado | t1 mit
        kontrastmittel | T1 apres gado | T1 con gadolinio | T1 con civ | 增强T1 | T1增强 |
        sub-01_T1c | sub-01_acq-withGd_T1w | sub-01_acq-gre_ce-Gd_run-1_T1w | sub-01_T1wCE |
        sub-01_T1wce | pre_T1ce | P1_pre_t1ce | t1c_pre-op
    """,
    "t1n": """
        T1 ohne KM | T1 sans injection | T1 sin contraste | sub-01_ce-none_T1w |
        sub-01_acq-pre_T1w | sub-01_rec-norm_T1w | sub-01_ses-post_T1w | sub-01_desc-preproc_T1w |
        t1_pre | T1-pre-Gd | t1_pre_contrast | T1_precontrast | T1preGd | T1pre | t1 tse
        nativ | t1_nativ | T1 nativ | T1W_TFE | sT1W_3D_TFE | pre-T1 | T1 w/o contrast | T1
        without contrast | T1 no contrast | T1 non-contrast | T1 noncontrast | T1_unenhanced
        | T1 senza mdc | T1WI | T1_IR | BraTS-MET-00110-000-t1n | BraTS2021_00006_t1 |
        T1-post-op | T1 postop | t1_mprage_postop | T1 post treatment | post-treatment T1 |
        t1_mprage | mprage | MPRAGE | T1 | t1n | t1w | KMmueller_T1 | Gdansk_T1 | t1_ohne |
        T1 ohne Kontrastmittel | T1 vor KM | t1 vor kontrast | T1 avant injection | T1 sans
        gado | T1 sin gadolinio | T1 sin civ | T1 antes contraste | T1 C- | T1 -C | T1平扫 |
        sub-01_UNIT1 | sub-01_part-mag_T1w | sub-01_acq-noGd_T1w | sub-01_acq-preGd_T1w |
        sub-01_ce-no_T1w | sub-01_ce-pre_T1w | sub-01_ce-0_T1w
    """,
    "t2f": """
        sub-01_space-T1c_FLAIR | case_flair | FLAIR post | T2 FLAIR +C |
        t2_tirm_tra_dark-fluid | sub-01_ce-gd_FLAIR
    """,
    "t2w": """
        sub-01_acq-t1c_T2w | T2WI | case_t2 | t2_tse post km | T2 post | T2_GD | t2_km |
        sub-01_ce-gd_T2w
    """,
    None: """
        DWI | ADC | swi | head | scan1 | ce-none | sub-01_inv-1_MP2RAGE |
        sub-01_ce-gd_desc-brain_mask
    """,
}
"""Names as hospitals and BIDS data sets give them, by the sequence they speak of."""

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


@pytest.mark.parametrize("sequence", HOSPITAL_NAMES)
@pytest.mark.parametrize("ending", ["", ".nii.gz"])
def test_hospital_names(sequence: str | None, ending: str) -> None:
    names = " ".join(HOSPITAL_NAMES[sequence].split()).split(" | ")
    told = {name: guess_from_name(f"{name}{ending}") for name in names}
    assert told == dict.fromkeys(names, sequence)


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
