"""overlay.png shows what was found, where it is, the right way round."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import (
    Case,
    CaseKind,
    Geometry,
    HeadPhantom,
    Mask,
    PhantomLesion,
    Prediction,
    Provenance,
    Report,
    Source,
    Volume,
)
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.inference.lesions import measure_lesions
from brainmets.reporting import draw_overlay
from brainmets.reporting.case_pictures import close_ups
from brainmets.reporting.views import AXES, EDGES, Head, Plane, colour_of, key_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = Geometry.isotropic((62, 76, 70), spacing_mm=3.0)
LESION = PhantomLesion(centre_ras_mm=(36.0, 40.0, 24.0), radii_mm=(12.0, 9.0, 9.0))


def report(
    geometry: Geometry = GRID,
    *,
    lesions: tuple[PhantomLesion, ...] = (LESION,),
    kind: CaseKind = "volume",
    warnings: tuple[str, ...] = (),
) -> Report:
    image, drawn = HeadPhantom(lesions=lesions, noise=0.0).render(geometry)
    return _reported(image, drawn.foreground.astype(np.float32), kind, warnings)


def _reported(
    image: Volume, probability: NDArray[np.float32], kind: CaseKind, warnings: tuple[str, ...]
) -> Report:
    volume = Volume(data=probability, geometry=image.geometry)
    mask, found = find_lesions(volume, OperatingPoint(), kind=kind)
    return Report(
        case=Case(
            images={"t1c": image},
            geometry=image.geometry,
            source=Source(format="nifti", sha256="0" * 64),
            case_id="phantom",
            kind=kind,
        ),
        prediction=Prediction(
            probability=volume,
            mask=mask,
            lesions=found,
            provenance=Provenance(
                model="net",
                model_sha256="0" * 64,
                code_version="0",
                engine="openvino",
                input_sha256="0" * 64,
                settings={"peak": 0.5},
            ),
        ),
        warnings=warnings,
    )


def middle(box: tuple[int, int, int, int]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_planes_lie_as_their_letters_say(plane: Plane) -> None:
    """The lesion is to the patient's right, front and top: so must it be in the picture."""
    head = Head.of(report())
    index = round(float(head.geometry.to_voxel(LESION.centre_ras_mm)[AXES[plane][0]]))
    picture = head.cut(plane, index, px_per_mm=2.0)
    x, y = middle(picture.boxes[1])
    width, height = picture.image.size
    left, _right, top, _bottom = EDGES[plane]
    assert (x < width / 2) == (left in "RA")
    assert (y < height / 2) == (top in "AS")
    box = picture.boxes[1]
    _, column, row = AXES[plane]
    assert box[2] - box[0] == pytest.approx(2 * 2 * LESION.radii_mm[column], abs=8)
    assert box[3] - box[1] == pytest.approx(2 * 2 * LESION.radii_mm[row], abs=8)


def test_thick_slices_are_drawn_at_their_true_height() -> None:
    affine = np.diag([2.0, 2.0, 6.0, 1.0])
    affine[:3, 3] = (-92, -112, -105)
    head = Head.of(report(Geometry(shape=(93, 113, 36), affine=affine)))
    width, height = head.cut("coronal", 70, px_per_mm=1.5).image.size
    real_width, real_height = head.extent_mm("coronal")
    assert width / height == pytest.approx(real_width / real_height, rel=0.02)
    assert 1.0 < real_height / real_width < 1.4


@pytest.mark.parametrize(
    ("axes", "flips"),
    list(
        itertools.product(
            itertools.permutations(range(3)), [(False, False, False), (True, False, True)]
        )
    ),
)
def test_the_picture_does_not_depend_on_how_the_scan_is_stored(
    axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    image, drawn = HeadPhantom(lesions=(LESION,)).render(GRID)
    expected = draw_overlay(_reported(image, drawn.foreground.astype(np.float32), "volume", ()))
    flipped = tuple(a for a in range(3) if flips[a])
    turned = Volume(
        data=np.flip(image.data.transpose(axes), flipped),
        geometry=image.geometry.permuted(axes, flips),
    )
    probability = np.flip(drawn.foreground.astype(np.float32).transpose(axes), flipped)
    found = draw_overlay(_reported(turned, probability, "volume", ()))
    assert found.size == expected.size
    difference = np.asarray(found, dtype=float) - np.asarray(expected, dtype=float)
    assert np.abs(difference).mean() < 1.0


def test_the_outline_surrounds_the_lesion_and_leaves_it_visible() -> None:
    head = Head.of(report())
    index = round(float(head.geometry.to_voxel(LESION.centre_ras_mm)[2]))
    picture = head.cut("axial", index, px_per_mm=3.0)
    pixels = np.asarray(picture.image)
    coloured = (pixels == np.array(colour_of(1))).all(axis=2)
    x, y = middle(picture.boxes[1])
    assert coloured.any()
    assert not coloured[round(y), round(x)]
    rows, columns = np.nonzero(coloured)
    assert columns.min() < picture.boxes[1][0] <= picture.boxes[1][2] < columns.max()
    assert rows.min() < picture.boxes[1][1] <= picture.boxes[1][3] < rows.max()


def test_a_single_voxel_can_be_seen() -> None:
    dot = PhantomLesion(centre_ras_mm=(31.5, 40.5, 25.5), radii_mm=(1.0, 1.0, 1.0))
    pixels = np.asarray(draw_overlay(report(lesions=(dot,))))
    assert np.count_nonzero((pixels == np.array(colour_of(1))).all(axis=2)) > 20


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12, 40])
def test_slices_are_shown_as_stored(count: int) -> None:
    affine = np.diag([-2.0, -2.0, 1.0, 1.0])
    affine[:3, 3] = (90, 110, 0)
    slices = max(count, 1)
    grid = Geometry(shape=(90, 110, slices), affine=affine, units="px")
    lesion = PhantomLesion(centre_ras_mm=(36, 40, 0), radii_mm=(12, 9, 9))
    drawn = draw_overlay(report(grid, lesions=(lesion,) if count else (), kind="slices"))
    assert drawn.width == 1440
    assert drawn.height < 4000
    if count == 1:
        coloured = (np.asarray(drawn) == np.array(colour_of(1))).all(axis=2)[100:-60]
        rows, columns = np.nonzero(coloured)
        assert columns.min() > drawn.width / 2, "the left picture is without outlines"
        assert rows.mean() < drawn.height / 2, "the front of the head is at the top"


def test_an_empty_result_shows_the_head() -> None:
    drawn = draw_overlay(report(lesions=()))
    grey = np.asarray(drawn.convert("L"))
    assert (grey > 100).mean() > 0.1


def test_long_names_many_lesions_and_warnings_fit() -> None:
    many = tuple(
        PhantomLesion(centre_ras_mm=(x, y, 10.0), radii_mm=(4, 4, 4))
        for x in (-40, -20, 20, 40)
        for y in (-40, 0, 40)
    )
    long = report(lesions=many, warnings=("x" * 400, "second", "third", "fourth"))
    assert draw_overlay(long).width == 1440


@pytest.mark.parametrize("slices", [1, 2, 3, 5, 8, 11, 12, 13, 20, 36, 70, 176])
@pytest.mark.parametrize("lesions", ["none", "bottom", "top", "all", "random"])
def test_key_slices_run_down_the_head_and_never_past_it(slices: int, lesions: str) -> None:
    """36 slices of 4.4 mm ended at the top again: negative indices."""
    ids = np.zeros((8, 8, slices), dtype=np.uint8)
    places = {
        "none": [],
        "bottom": [0],
        "top": [slices - 1],
        "all": list(range(slices)),
        "random": list(np.random.default_rng(slices).integers(0, slices, 4)),
    }[lesions]
    ids[3, 3, places] = 1
    grey = np.random.default_rng(0).random((8, 8, slices)).astype(np.float32) + 1
    geometry = Geometry(shape=grey.shape, affine=np.diag([1.0, 1.0, 4.4, 1.0]))
    head = Head(Volume(data=grey, geometry=geometry), Mask(data=ids, geometry=geometry))
    for count in (1, 6, 12, 40):
        chosen = key_slices(head, count)
        assert len(chosen) <= count
        assert chosen
        assert all(0 <= k < slices for k in chosen)
        assert all(above > below for above, below in itertools.pairwise(chosen))
        if slices >= 2 * count:  # over the whole head
            assert chosen[0] - chosen[-1] >= (slices / 2 if count > 1 else 0)


GRIDS = [
    ((24, 26, 1), (8.0, 8.0, 5.0)),
    ((24, 26, 2), (8.0, 8.0, 30.0)),
    ((24, 26, 3), (8.0, 8.0, 20.0)),
    ((24, 26, 5), (8.0, 8.0, 15.0)),
    ((24, 26, 12), (8.0, 8.0, 12.0)),
    ((24, 26, 36), (8.0, 8.0, 4.4)),
    ((5, 26, 24), (30.0, 8.0, 8.0)),
    ((24, 3, 26), (8.0, 60.0, 8.0)),
    ((3, 3, 3), (60.0, 60.0, 50.0)),
]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_every_volume_has_its_slices_from_top_to_base_once(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], order: tuple[int, int, int]
) -> None:
    """Nine grids from 1 to 36 slices in two orders of axes, lesions in the corners of the grid."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[list(order)].T * np.array(spacing)
    geometry = Geometry(shape=shape, affine=affine)
    data = np.random.default_rng(0).normal(100, 5, shape).astype(np.float32)
    data[:2] = 0
    ids = np.zeros(shape, np.uint8)
    ids[0, 0, 0], ids[shape[0] // 2, shape[1] // 2, shape[2] // 2] = 1, 2
    ids[-1, -1, -1] = 3
    mask = Mask(data=ids, geometry=geometry)
    head = Head(Volume(data=data, geometry=geometry), mask)
    for count in (1, 4, 12, 20):
        chosen = key_slices(head, count)
        assert chosen == sorted(set(chosen), reverse=True)
        assert 0 <= chosen[-1] <= chosen[0] < head.grey.shape[2]
    nothing = Volume(data=np.zeros(shape, np.float32), geometry=geometry)
    for lesion in measure_lesions(mask, nothing):
        assert len(close_ups(head, lesion)) == 3
