"""Cutting elements out of headers changes nothing of what is found, and spares the parser."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from brainmets.domain.errors import BrainmetsError
from brainmets.io import dicom_scan
from brainmets.io.entries import entries_of
from brainmets.io.limits import DEFAULT_LIMITS
from tests.unit.dicom_variants import VARIANTS
from tests.unit.io_broken import BROKEN
from tests.unit.io_features import DICOM, DICOM_WORDS
from tests.unit.io_files import IMPLICIT, NATIVE, head, write_dicom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOLDERS: dict[str, Callable[[Path], Path]] = {
    **{one.feature: one.make for one in VARIANTS},
    **DICOM,
    **{n: make for n, (_, make) in BROKEN.items() if any(w in n for w in DICOM_WORDS)},
}

CHANGES: dict[str, dict[str, object]] = {
    "position with spaces and exponents": {"ImagePositionPatient": [" 1.5", "-2e1 ", "+3"]},
    "position of two numbers": {"ImagePositionPatient": ["1", "2"]},
    "no position": {"ImagePositionPatient": None},
    "empty instance UID": {"SOPInstanceUID": ""},
    "two instance UIDs": {"SOPInstanceUID": ["1.2", "1.3"]},
    "instance UID of odd length": {"SOPInstanceUID": "1.2.345"},
    "another modality": {"Modality": "CT"},
    "no series UID": {"SeriesInstanceUID": None},
    "UTF-8 description": {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "Schädel"},
    "numbers that are none": {"EchoTime": "", "SeriesNumber": ""},
}


def both(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What is found with and without cutting."""
    found: list[str] = []
    for cut in (True, False):
        if not cut:
            monkeypatch.setattr(dicom_scan, "skim", lambda *_: None)
        try:
            with entries_of(path, DEFAULT_LIMITS) as entries:
                files = [one for one in entries if one.kind == "dicom"]
                result = dicom_scan.scan(files, DEFAULT_LIMITS)
            named: list[Any] = [replace(one, entry=one.entry.name) for one in result.frames]
            found.append(repr(replace(result, frames=tuple(named))))
        except BrainmetsError as error:
            found.append(repr(error))
    monkeypatch.undo()
    return found[0], found[1]


@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_of_the_tests(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, whole = both(FOLDERS[name](tmp_path), monkeypatch)
    assert cut == whole


@pytest.mark.parametrize("syntax", [NATIVE, IMPLICIT])
@pytest.mark.parametrize("name", CHANGES)
def test_odd_values(
    name: str, syntax: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = dict.fromkeys(range(1, 8, 2), CHANGES[name])
    write_dicom(tmp_path / "s", head((20, 20, 8)), syntax=syntax, changes=changes)
    cut, whole = both(tmp_path / "s", monkeypatch)
    assert cut == whole
    assert "Frame(" in cut


def _nested(depth: int, undefined: bool) -> Dataset:
    item = Dataset()
    item.CodeValue = "1"
    item.ImagePositionPatient = [9, 9, 9]
    if depth:
        item.ConceptCodeSequence = Sequence([_nested(depth - 1, undefined) for _ in range(2)])
        item["ConceptCodeSequence"].is_undefined_length = undefined
        for one in item.ConceptCodeSequence:
            one.is_undefined_length_sequence_item = undefined
    return item


@pytest.mark.parametrize("syntax", [NATIVE, IMPLICIT])
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("depth", [0, 3])
def test_sequences_and_large_elements_are_stepped_over(
    depth: int, undefined: bool, syntax: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in write_dicom(tmp_path / "s", head((20, 20, 8)), syntax=syntax):
        data = pydicom.dcmread(path)
        for keyword in ("ProcedureCodeSequence", "ContrastBolusAgentSequence"):
            setattr(data, keyword, Sequence([_nested(depth, undefined)]))
            data[keyword].is_undefined_length = undefined
            data[keyword].value[0].is_undefined_length_sequence_item = undefined
        block = data.private_block(0x0029, "MADE", create=True)
        block.add_new(1, "OB", b"\xfe\xff\xdd\xe0\xe0\x7f\x10\x00" * 30_000)
        data.save_as(path)
    cut, whole = both(tmp_path / "s", monkeypatch)
    assert cut == whole
    assert cut.count("Frame(") == 8
    assert cut.count("contrast=True") == 8


def test_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_dicom(tmp_path / "s", head((20, 20, 6)))[0].read_bytes()
    header = content.index(dicom_scan.PIXEL_DATA) + 12
    chance = random.Random(5)
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number in range(240):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(132, header)] = chance.randrange(256)
        (folder / f"x{number:03d}").write_bytes(damaged[: chance.choice([None, None, header - 30])])
    cut, whole = both(folder, monkeypatch)
    assert cut.count("Frame(") > 24
    assert cut == whole


def test_slices_of_a_series_are_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time to list follows from this: parsing took four fifths of it."""
    write_dicom(tmp_path / "a", head((20, 20, 30)), uid="1.2.3")
    write_dicom(tmp_path / "b", head((20, 20, 30)), uid="1.2.4")
    parsed: list[object] = []
    real = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *a, **k: parsed.append(a) or real(*a, **k))
    with entries_of(tmp_path, DEFAULT_LIMITS) as entries:
        frames = dicom_scan.scan(entries, DEFAULT_LIMITS).frames
    assert len(frames) == 60
    assert len(parsed) == 2
    assert len({one.position for one in frames}) == 30
    assert len({one.instance_uid for one in frames}) == 60
