"""DICOM folders as they come are read whole, with a note of what was left aside, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Volume
from brainmets.domain.errors import BrainmetsError, SeveralSeries
from brainmets.io import list_series, read_case
from brainmets.io.sequences import guess_from_name
from tests.unit.dicom_variants import VARIANTS, Variant, variant_head
from tests.unit.io_files import PATIENT, head, write_dicom

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.feature)
def test_a_folder_is_read_whole_or_refused(variant: Variant, tmp_path: Path) -> None:
    folder = variant.make(tmp_path)
    if variant.expected is not None:
        with pytest.raises(BrainmetsError) as refusal:
            read_case(folder, series=variant.series)
        assert refusal.value.code == variant.expected
        return

    assert len(list_series(folder)) == variant.volumes
    case = read_case(folder, series=variant.series)

    assert np.array_equal(case.images["t1c"].data, variant_head().data)
    told = " ".join(case.source.notes)
    assert all(words in told for words in variant.noted), told
    assert PATIENT not in told
    assert bool(told) == bool(variant.noted)


def test_a_series_number_goes_before_a_line(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a", head((20, 20, 10)), uid="1.2.3", number=1)
    write_dicom(tmp_path / "b", head((22, 20, 10)), uid="1.2.4", number=3)
    write_dicom(tmp_path / "c", head((24, 20, 10)), uid="1.2.5", number=2)
    columns = {
        wanted: read_case(tmp_path, series=wanted).geometry.shape[0]
        for wanted in ("1", "2", "3", "line:1", "line:2", "line:3", "1.2.4")
    }
    assert columns == {
        "1": 20, "2": 24, "3": 22, "line:1": 20, "line:2": 24, "line:3": 22, "1.2.4": 22,
    }  # fmt: skip


def test_a_number_of_several_volumes_is_no_choice(tmp_path: Path) -> None:
    for echo in (1, 2):
        write_dicom(tmp_path / f"e{echo}", head(), uid="1.2.3", number=2, EchoTime=str(9 * echo))
    with pytest.raises(SeveralSeries, match=r"series 2.*--series line:1"):
        read_case(tmp_path, series="2")


def test_time_points_are_in_order_of_number(tmp_path: Path) -> None:
    for columns, time in ((24, 10), (22, 9), (20, 2)):
        volume = head((20, 20, 6))
        brighter = Volume(data=volume.data + columns, geometry=volume.geometry)
        write_dicom(
            tmp_path / f"t{time}", brighter, uid="1.2.3", number=4, TemporalPositionIdentifier=time
        )
    darkest = [read_case(tmp_path, series=f"line:{n}").images["t1c"].data.min() for n in (1, 2, 3)]
    assert np.diff(darkest).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("sub-0002_ce-gd_T1w.nii.gz", "t1c"),
        ("sub-0002_space-T1c_T2w.nii.gz", "t2w"),
        ("sub-0002_space-T1c_FLAIR.nii.gz", "t2f"),
        ("sub-0002_ce-gadolinium_T1w.nii", "t1c"),
        ("sub-0002_ses-01_acq-mprage_T1w.nii.gz", "t1n"),
        ("sub-0002_acq-post_T1w.nii.gz", "t1c"),
        ("sub-0002_ce-none_T1w.nii.gz", "t1n"),
        ("MPRAGE_POST.nii.gz", "t1c"),
        ("T1_MPRAGE_KM.nii.gz", "t1c"),
        ("AX_T1_GD.nii.gz", "t1c"),
        ("t1_mprage_sag_gd", "t1c"),
        ("KM.nii.gz", "t1c"),
        ("GD.nii.gz", "t1c"),
        ("T1 ohne KM.nii.gz", "t1n"),
        ("t1_pre_contrast.nii.gz", "t1n"),
        ("MPRAGE_native.nii.gz", "t1n"),
        ("FLAIR_post_gd.nii.gz", "t2f"),
        ("brain.nii.gz", None),
        ("sub-0002_dwi.nii.gz", None),
    ],
)
def test_the_sequence_a_name_speaks_of(name: str, sequence: str | None) -> None:
    assert guess_from_name(name) == sequence
