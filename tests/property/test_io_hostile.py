"""Mutated files: whatever a byte becomes, the answer is a case or an `InputError`."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from brainmets.domain.errors import BrainmetsError
from brainmets.io import read_case
from brainmets.io.guard import guarded
from tests.unit.io_files import (
    JPEG_2000,
    JPEG_LS,
    NATIVE,
    RLE,
    head,
    nifti_bytes,
    write_dicom,
    write_enhanced,
    zipped,
)

if TYPE_CHECKING:
    from pathlib import Path

DICOM_KINDS = ("native", "rle", "jpeg-ls", "jpeg-2000", "enhanced")


def _samples(folder: Path) -> dict[str, bytes]:
    """One small valid input of each kind; DICOM series as the bytes of one of their files."""
    small = head((32, 32, 3))
    samples: dict[str, bytes] = {}
    for name, syntax in zip(DICOM_KINDS, (NATIVE, RLE, JPEG_LS, JPEG_2000), strict=False):
        write_dicom(folder / name, small, syntax=syntax, uid="1.2.3")
        samples[name] = (folder / name / "d0" / "x000").read_bytes()
    samples["enhanced"] = write_enhanced(folder / "e.dcm", small, syntax=JPEG_LS).read_bytes()
    raw = bytes(nifti_bytes(small.data.astype("<i2")))
    samples["nifti.gz"] = gzip.compress(raw, mtime=0)
    samples["zip"] = zipped(folder / "a.zip", {"a.nii": raw[:900], "b.txt": b"b" * 50}).read_bytes()
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    for kind in ("PNG", "TIFF", "JPEG"):
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, format=kind)
        samples[kind] = buffer.getvalue()
    return samples


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("hostile")
    return folder, _samples(folder)


KINDS = (*DICOM_KINDS, "nifti.gz", "zip", "PNG", "TIFF", "JPEG")
change = st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(change, min_size=1, max_size=4), keep=st.sampled_from([1.0, 1.0, 0.9]))
def test_mutations_end_in_a_case_or_a_refusal(
    samples: tuple[Path, dict[str, bytes]],
    kind: str,
    changes: list[tuple[float, bytes]],
    keep: float,
) -> None:
    folder, contents = samples
    mutated = bytearray(contents[kind])
    for place, value in changes:
        at = int(place * len(mutated))
        mutated[at : at + len(value)] = value
    in_series = kind in DICOM_KINDS and kind != "enhanced"
    path = folder / kind / "d0" / "x000" if in_series else folder / f"mutated.{kind}"
    path.write_bytes(mutated[: int(keep * len(mutated))])
    try:
        case = read_case(folder / kind if in_series else path)
    except BrainmetsError as error:
        assert "\n" not in str(error)  # noqa: PT017  refusing is one of two right answers
    else:
        assert np.isfinite(case.images["t1c"].data).all()


def test_a_panic_from_rust_is_a_refusal_and_an_interrupt_is_not() -> None:
    class PanicException(BaseException):
        """What pyo3 raises; it is no Exception."""

    fault = BrainmetsError("a", expected="b", remedy="c")
    with pytest.raises(BrainmetsError), guarded(fault):
        raise PanicException
    with pytest.raises(KeyboardInterrupt), guarded(fault):
        raise KeyboardInterrupt
    with pytest.raises(BrainmetsError, match="E_MEMORY"), guarded(fault):
        raise MemoryError
