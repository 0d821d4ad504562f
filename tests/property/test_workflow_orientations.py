"""The same head stored in any of the 48 axis orientations gives the same physical lesions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.bundles import SHIPPED_ANATOMY
from brainmets.domain import Case, Geometry, HeadPhantom, Source, Volume
from brainmets.inference import Predictor
from brainmets.inference.anatomy import AnatomyNetwork
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.workflows.segment import Segmenter, SegmentOptions
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from brainmets.domain import Report

LESIONS_ALONE = SegmentOptions(anatomy=None)
"""A network of random weights marks places everywhere: the anatomy would leave all of them out."""

ORIENTATIONS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


def as_case(image: Volume) -> Case:
    return Case(
        images={"t1c": image},
        geometry=image.geometry,
        source=Source(format="nifti", sha256="0" * 64),
        case_id="turned",
    )


@pytest.fixture(scope="module", params=[3, 2])
def predictor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Predictor:
    root = tmp_path_factory.mktemp("turned") / "net"
    return Predictor(random_bundle(root, dims=request.param, widths=(4, 8)), precision="float32")


@pytest.fixture(scope="module")
def image() -> Volume:
    affine = np.array(Geometry.isotropic((40, 48, 36), spacing_mm=4.0).affine)
    affine[:3, 2] *= 1.25
    affine[:3, 3] += (3.0, -2.0, -18.0)
    angle = 0.08
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return HeadPhantom().render(Geometry(shape=(40, 48, 36), affine=turn @ affine))[0]


@pytest.fixture(scope="module")
def expected(image: Volume, predictor: Predictor) -> Report:
    report = Segmenter(LESIONS_ALONE).report(as_case(image), predictor)
    assert report.prediction.lesions
    return report


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_every_orientation_gives_the_same_physical_mask(
    image: Volume,
    predictor: Predictor,
    expected: Report,
    axes: tuple[int, int, int],
    flips: tuple[bool, bool, bool],
) -> None:
    flipped = [a for a in range(3) if flips[a]]
    turned = Volume(
        data=np.flip(image.data.transpose(axes), flipped),
        geometry=image.geometry.permuted(axes, flips),
    )
    found = Segmenter(LESIONS_ALONE).report(as_case(turned), predictor).prediction
    wanted = expected.prediction
    np.testing.assert_allclose(
        found.probability.data,
        np.flip(wanted.probability.data.transpose(axes), flipped),
        atol=1e-5,
    )
    np.testing.assert_array_equal(
        found.mask.data, np.flip(wanted.mask.data.transpose(axes), flipped)
    )
    assert [v.side for v in found.lesions] == [v.side for v in wanted.lesions]
    np.testing.assert_allclose(
        [(v.volume_mm3, *v.centroid_ras_mm) for v in found.lesions],
        [(v.volume_mm3, *v.centroid_ras_mm) for v in wanted.lesions],
        atol=1e-3,
    )


def test_every_orientation_has_the_same_brain(image: Volume) -> None:
    network = AnatomyNetwork(AnatomyBundle.load(SHIPPED_ANATOMY), precision="float32")
    expected = network.locate(image)
    brain = expected.brain_on(image.geometry).data
    assert len(np.unique(expected.structures)) > 10
    for axes, flips in ORIENTATIONS[::5]:
        flipped = [a for a in range(3) if flips[a]]
        turned = Volume(
            data=np.flip(image.data.transpose(axes), flipped),
            geometry=image.geometry.permuted(axes, flips),
        )
        found = network.locate(turned)
        np.testing.assert_array_equal(found.structures, expected.structures)
        differs = found.brain_on(turned.geometry).data != np.flip(brain.transpose(axes), flipped)
        assert differs.mean() < 1e-4
