"""Broken input: every kind is refused with its code, in one line, leaving nothing behind.

The table makes each file itself. Across it every code of `InputError` that reading can raise
occurs at least once.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from brainmets.domain.errors import BrainmetsError, InputError, all_errors
from brainmets.io import list_series, read_case
from tests.unit.io_broken import BROKEN, DATA, dicom_folder
from tests.unit.io_files import PATIENT, nifti

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_FROM_READING = {
    "E_INPUT", "E_DATASET", "E_REGISTRATION", "E_PATIENT", "E_RESULT", "E_SOURCE", "E_NO_LESION",
    "E_LABELS", "E_MIRRORED", "E_NOT_BRAIN_MR",
}  # fmt: skip
"""The root of the branch, and what data-set adapters, registration and export refuse."""


def _coloured(folder: Path) -> Path:
    noise = np.random.default_rng(2).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    return folder / "a.png"


def _refusal(call: Callable[[], object]) -> BrainmetsError:
    with pytest.raises(BrainmetsError) as caught:
        call()
    return caught.value


def _check(error: BrainmetsError, code: str, folder: Path) -> None:
    line = str(error)
    assert error.code == code, line
    assert line.startswith(f"{code}: ")
    assert "\n" not in line
    assert str(folder) not in line
    assert PATIENT not in line
    assert all(part and not part.endswith(".") for part in (error.found, error.remedy))
    assert error.__cause__ is None


@pytest.mark.parametrize("kind", BROKEN)
def test_each_kind_has_its_code_and_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, folder = tmp_path / "temporary", tmp_path / "input"
    temporary.mkdir()
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    code, make = BROKEN[kind]
    path = make(folder)
    before = sorted(tmp_path.rglob("*"))
    _check(_refusal(lambda: read_case(path)), code, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", BROKEN)
def test_listing_refuses_cleanly_or_lists(kind: str, tmp_path: Path) -> None:
    path = BROKEN[kind][1](tmp_path)
    try:
        offered = list_series(path)
    except InputError as error:
        _check(error, error.code, tmp_path)
    else:
        assert offered
        assert [one.index for one in offered] == list(range(1, len(offered) + 1))


def test_options_that_do_not_fit_the_input(tmp_path: Path) -> None:
    first = nifti(tmp_path / "a.nii.gz", DATA)
    other = nifti(tmp_path / "b.nii.gz", DATA, np.diag([2.0, 2.0, 2.0, 1.0]))
    series = dicom_folder(tmp_path)
    colour = _coloured(tmp_path)
    for call, code in (
        (lambda: read_case(series, series="99"), "E_SERIES_UNKNOWN"),
        (lambda: read_case(first, images={"t2f": other}), "E_GRID"),
        (lambda: read_case(first, images={"t1c": other}), "E_OPTION"),
        (lambda: read_case(colour, sequence="t2w"), "E_SEQUENCE"),
        (lambda: read_case(colour, channel=3), "E_SEQUENCE"),
    ):
        _check(_refusal(call), code, tmp_path)


def test_every_input_code_occurs() -> None:
    seen = {code for code, _ in BROKEN.values()} | {"E_SERIES_UNKNOWN", "E_GRID", "E_SEQUENCE"}
    input_codes = {code for code, kind in all_errors().items() if issubclass(kind, InputError)}
    assert input_codes - NOT_FROM_READING == seen
    assert len(seen) >= 20
