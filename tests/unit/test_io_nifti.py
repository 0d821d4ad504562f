"""NIfTI in and out, field by field."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from brainmets.domain import RESEARCH_USE_ONLY, Geometry, Mask, Volume
from brainmets.domain.errors import (
    BrainmetsError,
    DiskFull,
    OptionError,
    OutputDiffers,
    OutputExists,
    VoxelType,
)
from brainmets.io import (
    Limits,
    list_series,
    nifti_write,
    read_case,
    read_mask,
    read_volume,
    write_mask,
    write_volume,
)
from tests.unit.io_broken import BROKEN
from tests.unit.io_files import head, nifti, nifti_bytes, zipped

if TYPE_CHECKING:
    from pathlib import Path

SHEARED = np.array([[2.0, 0.3, 0, -9], [0, 2, 0, 4], [0, 0, 3, 5], [0, 0, 0, 1]])
DATA = np.random.default_rng(5).integers(0, 200, (9, 8, 7))


DTYPES = ("u1", "i1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<u8", "<f4", ">f8")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_real_voxel_type(tmp_path: Path, dtype: str) -> None:
    data = (DATA // 2).astype(dtype)
    image = nibabel.Nifti1Image(data, np.eye(4), dtype=np.dtype(dtype).newbyteorder("="))
    header = image.header.as_byteswapped(">") if dtype.startswith(">") else image.header
    path = tmp_path / "a.nii"
    path.write_bytes(nibabel.Nifti1Image(data, None, header).to_bytes())
    found = read_case(path).images["t1c"].data
    assert found.dtype == np.float32
    assert np.array_equal(found, data.astype(np.float32))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.dat"])
def test_versions_and_names(tmp_path: Path, version: int, name: str) -> None:
    path = nifti(tmp_path / name, DATA.astype("<i2"), SHEARED, version=version)
    case = read_case(path)
    assert np.array_equal(case.images["t1c"].data, DATA)
    assert np.allclose(case.geometry.affine, SHEARED)
    assert (case.case_id, case.source.format, case.kind) == ("a", "nifti", "volume")


def test_slope_and_intercept_and_their_absence(tmp_path: Path) -> None:
    stored = DATA.astype("<i2")
    scaled = nifti(tmp_path / "a.nii", stored, scl_slope=0.5, scl_inter=-3)
    assert np.allclose(read_volume(scaled).data, DATA * 0.5 - 3)
    for slope in (0.0, np.nan, np.inf):
        plain = nifti(tmp_path / "b.nii", stored, scl_slope=slope, scl_inter=9)
        assert np.array_equal(read_volume(plain).data, DATA)


def test_trailing_singletons_extensions_and_padding(tmp_path: Path) -> None:
    data = DATA.astype("<i2")
    image = nibabel.Nifti1Image(data[..., None, None], np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes() + bytes(100)) + bytes(512))
    assert np.array_equal(read_volume(path).data, data)


def test_gzip_of_several_members(tmp_path: Path) -> None:
    raw = bytes(nifti_bytes(DATA.astype("<i2")))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(raw[:700]) + gzip.compress(raw[700:]))
    assert np.array_equal(read_volume(path).data, DATA)


def test_a_zip_or_folder_with_one_nifti(tmp_path: Path) -> None:
    raw = bytes(nifti_bytes(DATA.astype("<i2")))
    archive = zipped(tmp_path / "up.zip", {"x/scan.nii.gz": gzip.compress(raw), "notes.txt": b"hi"})
    assert np.array_equal(read_volume(archive).data, DATA)
    folder = tmp_path / "case"
    folder.mkdir()
    for role, add in (("t1c", 0), ("t2f", 1), ("seg", 2)):
        nifti(folder / f"BraTS-MET-00001-000-{role}.nii.gz", (DATA + add).astype("<i2"))
    assert np.array_equal(read_case(folder).images["t1c"].data, DATA)
    assert np.array_equal(read_case(folder, sequence="t2f").images["t2f"].data, DATA + 1)
    assert [one.guess for one in list_series(folder)] == ["t1c", "t2f"]


def test_other_gzipped_files_beside_a_nifti_do_not_count(tmp_path: Path) -> None:
    nifti(tmp_path / "scan.nii.gz", DATA.astype("<i2"))
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99))
    assert np.array_equal(read_case(tmp_path).images["t1c"].data, DATA)


def test_further_sequences_share_the_grid_and_the_hash(tmp_path: Path) -> None:
    one = nifti(tmp_path / "a_t1c.nii", DATA.astype("<i2"))
    two = nifti(tmp_path / "a_t2f.nii", (DATA + 5).astype("<i2"))
    case = read_case(one, images={"t2f": two})
    assert set(case.images) == {"t1c", "t2f"}
    assert np.array_equal(case.images["t2f"].data, DATA + 5)
    assert case.source.sha256 != read_case(one).source.sha256


def test_case_ids_are_fit_for_file_names(tmp_path: Path) -> None:
    path = nifti(tmp_path / "Müller, Jörg: (T1).nii.gz", DATA.astype("<i2"))
    assert read_case(path).case_id == "M-ller-J-rg-T1"
    odd = nifti(tmp_path / "ヒト.nii.gz", DATA.astype("<i2"))
    case = read_case(odd)
    assert case.case_id == f"case-{case.source.sha256[:12]}"


BOMBS = ("100 GB header", "gzip bomb", "zip bomb", "a picture of 144 megapixels")


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_no_memory(tmp_path: Path, kind: str) -> None:
    path = BROKEN[kind][1](tmp_path)
    with pytest.raises(BrainmetsError):  # once before, so that imports do not count
        read_case(path)
    tracemalloc.start()
    try:
        with pytest.raises(BrainmetsError):
            read_case(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_masks_keep_whole_numbers_and_refuse_the_rest(tmp_path: Path) -> None:
    for dtype, kind in (("<f4", np.uint8), ("<i2", np.uint8), ("<u2", np.uint16)):
        data = DATA.astype(dtype) * (300 if kind is np.uint16 else 1)
        found = read_mask(nifti(tmp_path / "a.nii.gz", data))
        assert found.data.dtype == kind
        assert np.array_equal(found.data, data)
    empty = read_mask(nifti(tmp_path / "a.nii.gz", np.zeros((5, 5, 5), "u1")))
    assert not empty.data.any()
    for data in (DATA - 300, DATA / 7):
        with pytest.raises(VoxelType):
            read_mask(nifti(tmp_path / "a.nii.gz", data.astype("<f4")))


@pytest.mark.parametrize(("highest", "dtype"), [(1, "uint8"), (300, "uint16"), (70_000, "uint32")])
def test_masks_are_written_small_and_alike(tmp_path: Path, highest: int, dtype: str) -> None:
    labels = np.zeros((9, 8, 7), np.uint32)
    labels[2:4, 3, 5] = highest
    mask = Mask(data=labels, geometry=Geometry(shape=(9, 8, 7), affine=SHEARED))
    first = write_mask(mask, tmp_path / "one.nii.gz").read_bytes()
    second = write_mask(mask, tmp_path / "two.nii.gz").read_bytes()
    assert first == second
    seen = nibabel.load(tmp_path / "one.nii.gz")
    assert seen.get_data_dtype() == np.dtype(dtype)
    assert seen.header.get_xyzt_units() == ("mm", "sec")
    assert seen.header["descrip"].item().decode() == RESEARCH_USE_ONLY
    # A sheared grid fits no quaternion: sform alone, rather than a qform that lies.
    assert (int(seen.header["qform_code"]), int(seen.header["sform_code"])) == (0, 1)
    assert np.array_equal(read_mask(tmp_path / "one.nii.gz").data, labels)


def test_probabilities_in_32_or_8_bits(tmp_path: Path) -> None:
    probability = np.random.default_rng(0).random((9, 8, 7), np.float32)
    volume = Volume(data=probability, geometry=Geometry(shape=(9, 8, 7), affine=SHEARED))
    exact = write_volume(volume, tmp_path / "p.nii.gz")
    coarse = write_volume(volume, tmp_path / "q.nii.gz", encoding="uint8")
    assert np.array_equal(read_volume(exact).data, probability)
    assert np.abs(read_volume(coarse).data - probability).max() <= 1 / 509
    assert np.allclose(nibabel.load(coarse).get_fdata(), read_volume(coarse).data)
    with pytest.raises(OptionError):
        write_volume(head(), tmp_path / "r.nii.gz", encoding="uint8")


def test_failed_writes_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = head()
    with pytest.raises(OptionError):
        write_volume(volume, tmp_path / "a.mha")
    with pytest.raises(OutputExists):
        write_volume(volume, tmp_path / "absent" / "a.nii.gz")
    kept = write_volume(volume, tmp_path / "a.nii.gz").read_bytes()

    def mirrored(*_: object) -> bytes:
        grid = volume.geometry.permuted((0, 1, 2), (True, False, False))
        return header("float32", grid, 1.0)

    header = nifti_write._header
    with monkeypatch.context() as patch:
        patch.setattr(nifti_write, "_header", mirrored)
        with pytest.raises(OutputDiffers):
            write_volume(volume, tmp_path / "a.nii.gz")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(DiskFull):
            write_volume(volume, tmp_path / "a.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]
    assert (tmp_path / "a.nii.gz").read_bytes() == kept


def test_limits_can_be_narrowed(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", DATA.astype("<i2"))
    with pytest.raises(BrainmetsError, match="E_TOO_LARGE"):
        read_case(path, limits=Limits(max_voxels=100))


def test_the_real_case_equals_nibabel(data_dir: Path) -> None:
    path = data_dir / "met-00110" / "BraTS-MET-00110-000-t1c.nii.gz"
    if not path.is_file():
        pytest.skip("met-00110 is not in BRAINMETS_DATA")
    case, oracle = read_case(path), nibabel.load(path)
    assert np.array_equal(case.geometry.affine, oracle.affine)
    assert np.array_equal(case.images["t1c"].data, np.asarray(oracle.dataobj))
    assert case.source.notes == ()
