"""Slices of a head pass; noise, pages and photographs are said not to look like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from brainmets.domain import HeadPhantom, Volume
from brainmets.io.slice_images import slice_geometry
from brainmets.workflows.slice_plausibility import doubts_of_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stack(*planes: NDArray[np.floating]) -> Volume:
    data = np.stack([np.asarray(p, dtype=np.float32) for p in planes], axis=-1)
    return Volume(data=data, geometry=slice_geometry(*data.shape))


def head(*, stripped: bool) -> NDArray[np.float32]:
    from brainmets.domain import Geometry

    affine = np.diag((1.5, 1.5, 20.0, 1.0))
    affine[:3, 3] = (-112.0, -112.0, 0.0)
    grid = Geometry(shape=(150, 150, 2), affine=affine)
    image, _ = HeadPhantom(stripped=stripped).render(grid)
    return image.data[:, :, 0]


def page() -> NDArray[np.float32]:
    image = np.full((200, 160), 250.0, dtype=np.float32)
    rng = np.random.default_rng(1)
    for row in range(15, 150, 8):
        for letter in range(15, 185, 5):
            image[letter : letter + 3, row : row + 5] = 250.0 * (rng.random((3, 5)) > 0.5)
    return image


NOT_HEADS = {
    "noise": np.random.default_rng(1).normal(0, 1, (128, 128)),
    "magnitude of noise": np.abs(np.random.default_rng(2).normal(0, 1, (128, 128))),
    "page": page(),
    "sky": np.add.outer(np.arange(128.0), np.arange(128.0)),
    "clouds": ndimage.gaussian_filter(np.random.default_rng(3).normal(0, 1, (128, 128)), 6),
    "disc": np.hypot(*(np.indices((128, 128)) - 64)) < 40,
    "line": np.pad(np.ones((90, 8)), ((19, 19), (60, 60))),
    "point": np.pad(np.ones((6, 6)), 60),
}  # fmt: skip


@pytest.mark.parametrize("stripped", [True, False])
@pytest.mark.parametrize("scale", [(1.0, 0.0), (0.01, -3.0)])
def test_a_head_passes(stripped: bool, scale: tuple[float, float]) -> None:
    image = head(stripped=stripped) * scale[0] + scale[1]
    assert doubts_of_slices(stack(image)) == ()
    # one slice of a stack is enough: the last ones above the head hold nothing
    noise = np.random.default_rng(4).normal(scale[1], 0.01, image.shape)
    assert doubts_of_slices(stack(noise, image, noise)) == ()


@pytest.mark.parametrize("name", NOT_HEADS)
def test_what_is_no_head_is_said(name: str) -> None:
    (warning,) = doubts_of_slices(stack(NOT_HEADS[name]))
    assert "not look like MR of a head" in warning
    assert doubts_of_slices(stack(NOT_HEADS[name], NOT_HEADS[name]))[0].startswith("The slices do")
