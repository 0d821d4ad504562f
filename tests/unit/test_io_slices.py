"""Slice images in and their masks out: pixels where they were, channels as documented."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageOps

from brainmets.domain.errors import GridMismatch, MixedSlices, TooLarge
from brainmets.io import Limits, list_series, read_case, read_mask, write_slice_mask
from tests.unit.io_files import zipped

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(4)
GREY = RNG.integers(0, 256, (30, 40), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
EXIF_ORIENTATION = 0x0112


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _webp_tiff(path: Path, pixels: np.ndarray, rows_per_strip: int) -> Path:
    """A TIFF of lossless WebP strips, laid out by hand as the LGG files are."""
    rows, columns = pixels.shape[:2]
    strips: list[bytes] = []
    for top in range(0, rows, rows_per_strip):
        buffer = io.BytesIO()
        part = Image.fromarray(pixels[top : top + rows_per_strip])
        part.save(buffer, format="WEBP", lossless=True, exact=True)
        strips.append(buffer.getvalue())
    starts = 8 + np.cumsum([0, *map(len, strips)])
    tables = int(starts[-1])
    count = len(strips)
    tags = [
        (256, 4, 1, columns), (257, 4, 1, rows), (258, 3, 3, tables), (259, 3, 1, 50_001),
        (262, 3, 1, 2), (273, 4, count, tables + 6 if count > 1 else 8), (277, 3, 1, 3),
        (278, 4, 1, rows_per_strip),
        (279, 4, count, tables + 6 + 4 * count if count > 1 else len(strips[0])),
        (284, 3, 1, 1),
    ]  # fmt: skip
    body = b"".join(strips) + np.array([8, 8, 8], "<u2").tobytes()
    body += starts[:-1].astype("<u4").tobytes() + np.array([*map(len, strips)], "<u4").tobytes()
    directory = b"".join(
        np.array([tag, kind], "<u2").tobytes() + np.array([n, value], "<u4").tobytes()
        for tag, kind, n, value in tags
    )
    head = b"II*\0" + np.array([8 + len(body)], "<u4").tobytes()
    count_field = np.array([len(tags)], "<u2").tobytes()
    path.write_bytes(head + body + count_field + directory + bytes(4))
    return path


def _read(path: Path, **options: object) -> np.ndarray:
    return read_case(path, **options).images["t1c"].data  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_grey_slices_keep_their_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"slice.{suffix}"
    Image.fromarray(GREY).save(path, **({"quality": 100} if suffix == "jpg" else {}))
    case = read_case(path)
    off = np.abs(case.images["t1c"].data[:, :, 0].T - GREY).max()
    assert off <= (3 if suffix == "jpg" else 0)
    assert case.geometry.shape == (40, 30, 1)
    assert case.geometry.axis_codes == "LPI"
    assert case.geometry.units == "px"
    assert (case.kind, case.case_id) == ("slices", "slice")
    assert case.source.slice_names == ("slice",)
    assert list_series(path)[0].shape == (40, 30, 1)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_pixels_keep_their_values(tmp_path: Path, dtype: type) -> None:
    pixels = (GREY.astype(np.float64) * 250).astype(dtype)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    assert np.array_equal(_read(tmp_path / "a.tif")[:, :, 0].T, pixels.astype(np.float32))
    if dtype is np.uint16:
        Image.fromarray(pixels).save(tmp_path / "a.png")
        assert np.array_equal(_read(tmp_path / "a.png")[:, :, 0].T, pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK"])
def test_grey_in_another_mode_stays_grey(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(GREY).convert("RGB" if mode == "CMYK" else "L").convert(mode).save(path)
    case = read_case(path)
    assert np.abs(case.images["t1c"].data[:, :, 0].T - GREY).max() < 0.51
    assert case.source.notes == ()


def test_one_bit_and_transparent_pixels(tmp_path: Path) -> None:
    Image.fromarray(GREY).convert("1").save(tmp_path / "a.png")
    assert set(np.unique(_read(tmp_path / "a.png"))) == {0.0, 255.0}
    clear = np.dstack([GREY, np.where(np.arange(40) < 20, 255, 0) + 0 * GREY]).astype(np.uint8)
    Image.fromarray(clear).save(tmp_path / "b.png")
    found = _read(tmp_path / "b.png")[:, :, 0].T
    assert np.abs(found[:, :20] - GREY[:, :20]).max() < 0.51
    assert not found[:, 20:].any()


def test_channels_follow_the_documented_order(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(COLOUR))
    for sequence, channel in (("t1n", 0), ("t2f", 1), ("t1c", 2)):
        case = read_case(path, sequence=sequence)
        assert np.array_equal(case.images[sequence].data[:, :, 0].T, COLOUR[..., channel])
        assert f"channel {channel + 1} of 3" in case.source.notes[0]
    assert np.array_equal(_read(path, channel=0)[:, :, 0].T, COLOUR[..., 0])


def test_a_repeated_channel_is_told(tmp_path: Path) -> None:
    pixels = COLOUR.copy()
    pixels[..., 2] = pixels[..., 1]
    (tmp_path / "a.png").write_bytes(_png(pixels))
    assert "repeats channel 2" in read_case(tmp_path / "a.png").source.notes[1]


def test_a_coloured_annotation_does_not_make_channels(tmp_path: Path) -> None:
    pixels = np.repeat(GREY[..., None], 3, axis=2)
    pixels[:4, :8] = (255, 0, 0)
    (tmp_path / "a.png").write_bytes(_png(pixels))
    assert np.allclose(_read(tmp_path / "a.png")[:, 4:, 0].T, GREY[4:], atol=0.51)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    picture = Image.fromarray(GREY)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as stored:
        meant = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(_read(tmp_path / "a.png")[:, :, 0].T, meant)


def test_tiff_stacks_become_slices(tmp_path: Path) -> None:
    stack = RNG.integers(0, 65_000, (5, 30, 40)).astype(np.uint16)
    first, *rest = (Image.fromarray(plane) for plane in stack)
    first.save(tmp_path / "stack.tif", save_all=True, append_images=rest)
    case = read_case(tmp_path / "stack.tif")
    assert np.array_equal(case.images["t1c"].data, stack.transpose(2, 1, 0))
    assert case.source.slice_names == tuple(f"stack-{n:04d}" for n in range(1, 6))
    assert list_series(tmp_path / "stack.tif")[0].slices == 5


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits"])
def test_tiff_compressions(tmp_path: Path, compression: str) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.tif", compression=compression)
    assert np.array_equal(_read(tmp_path / "a.tif")[:, :, 0].T, COLOUR[..., 2])


@pytest.mark.parametrize("rows_per_strip", [30, 16])
def test_webp_tiff(tmp_path: Path, rows_per_strip: int) -> None:
    path = _webp_tiff(tmp_path / "a.tif", COLOUR, rows_per_strip)
    assert np.array_equal(_read(path)[:, :, 0].T, COLOUR[..., 2])


def test_folders_and_zips_sort_naturally_and_leave_masks_out(tmp_path: Path) -> None:
    folder = tmp_path / "P 01"
    folder.mkdir()
    for number in (10, 2, 1):
        (folder / f"s{number}.png").write_bytes(_png(GREY + np.uint8(number)))
        (folder / f"s{number}_mask.png").write_bytes(_png((GREY > 99).astype(np.uint8) * 255))
    case = read_case(folder)
    assert case.source.slice_names == ("s1", "s2", "s10")
    assert case.case_id == "P-01"
    for k, number in enumerate((1, 2, 10)):
        assert np.array_equal(case.images["t1c"].data[:, :, k].T, GREY + np.uint8(number))
    archive = zipped(tmp_path / "b.zip", sorted(folder.iterdir()))
    assert np.array_equal(_read(archive), case.images["t1c"].data)


def test_equal_names_are_numbered(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x/s.png": _png(GREY), "y/S.png": _png(GREY)})
    assert read_case(archive).source.slice_names == ("s", "S-2")


def test_a_stack_is_bounded_while_it_is_read(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {f"{n}.png": _png(GREY) for n in range(9)})
    with pytest.raises(TooLarge):
        read_case(archive, limits=Limits(max_voxels=5 * GREY.size))
    with pytest.raises(TooLarge):
        read_case(archive, limits=Limits(max_slices=4))
    mixed = zipped(tmp_path / "b.zip", {"1.png": _png(GREY), "2.png": _png(GREY[:20])})
    with pytest.raises(MixedSlices, match="40 × 20, 40 × 30"):
        read_case(mixed)


def test_masks_of_slices_come_and_go(tmp_path: Path) -> None:
    drawn = GREY > 128
    mask = np.zeros((40, 30), np.uint8)
    mask[drawn.T] = 3
    path = write_slice_mask(mask, tmp_path / "mask.png")
    with Image.open(path) as written:
        assert (written.mode, written.size) == ("L", (40, 30))
        assert np.array_equal(np.asarray(written), drawn * np.uint8(255))
    assert np.array_equal(read_mask(path).data[:, :, 0].T, drawn)
    with pytest.raises(GridMismatch):
        write_slice_mask(np.zeros((4, 4, 4)), tmp_path / "b.png")
    assert [one.name for one in tmp_path.iterdir()] == ["mask.png"]


def test_lossy_masks_are_thresholded(tmp_path: Path) -> None:
    drawn = np.zeros((64, 64), np.uint8)
    drawn[16:48, 16:40] = 255
    Image.fromarray(drawn).save(tmp_path / "m.jpg", quality=60)
    assert np.array_equal(read_mask(tmp_path / "m.jpg").data[:, :, 0].T, drawn > 0)


def test_real_slices(data_dir: Path) -> None:
    png = sorted((data_dir / "t1c-slices" / "images").glob("*.png"))[:1]
    lgg = data_dir / "lgg" / "TCGA_DU_6404_19850629"
    if not png or not lgg.is_dir():
        pytest.skip("t1c-slices or lgg is not in BRAINMETS_DATA")
    with Image.open(png[0]) as picture:
        assert np.array_equal(_read(png[0])[:, :, 0].T, np.asarray(picture))
    case = read_case(lgg)
    assert case.geometry.shape == (256, 256, 53)
    assert case.source.slice_names[0] == "TCGA_DU_6404_19850629_1"
    mask = read_mask(lgg / "TCGA_DU_6404_19850629_25_mask.tif")
    assert set(np.unique(mask.data)) <= {0, 1}
