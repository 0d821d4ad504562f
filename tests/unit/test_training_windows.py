"""Augmentation as of 8-bit pictures, and slices scaled by the head found in them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from brainmets.domain.case import Case, Source
from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Volume
from brainmets.preprocessing import Plan
from brainmets.training.augmentation import augment, draw_parameters
from brainmets.training.config import AugmentationSettings

OFF = AugmentationSettings.model_validate(
    {
        name: value.default if name in {"flip", "window"} else 0.0
        for name, value in AugmentationSettings.model_fields.items()
    }
)


def test_a_window_saturates_what_is_bright_and_keeps_brain_at_one() -> None:
    settings = OFF.model_copy(update={"flip": False, "window": 1.0})
    data = torch.linspace(0.0, 4.0, 64 * 64).reshape(1, 64, 64)
    whites = []
    for seed in range(20):
        parameters = draw_parameters(settings, 2, np.random.default_rng(seed))
        assert parameters.window is not None
        seen, _ = augment(
            data.clone(), torch.zeros(1, 64, 64), parameters, highest=4.0, clahe=False
        )
        assert len(seen.unique()) <= 257
        assert (seen.flatten().diff() >= -1e-6).all()
        brain = seen.flatten()[(data.flatten() - 1).abs().argmin()]
        assert brain == pytest.approx(1.0, abs=0.02)
        whites.append(float(seen.max()))
    assert max(whites) - min(whites) > 0.5


def _picture(frame: int, head: int, factor: int) -> Case:
    """A disc of `head` pixels with a bright spot, off the middle of a frame, enlarged."""
    y, x = np.mgrid[:frame, :frame]
    middle = frame // 2 - frame // 10
    disc = (y - middle) ** 2 + (x - middle) ** 2 < (head / 2) ** 2
    spot = (y - middle) ** 2 + (x - middle - head // 5) ** 2 < (head / 20) ** 2
    fluid = (y - middle) ** 2 + (x - middle + head // 5) ** 2 < (head / 12) ** 2
    picture = (disc * 100.0 + spot * 100.0 - fluid * 80.0).astype(np.float32)
    data = np.kron(picture, np.ones((factor, factor), dtype=np.float32)).T[:, :, None]
    geometry = Geometry(shape=data.shape, affine=np.diag([-1.0, -1.0, 1.0, 1.0]), units="px")
    return Case(
        images={"t1c": Volume(data=data, geometry=geometry)},
        geometry=geometry,
        source=Source(format="image", sha256=""),
        case_id="x",
        kind="slices",
    )


@pytest.mark.parametrize(
    ("frame", "head", "factor"),
    [(256, 200, 1), (256, 120, 1), (256, 180, 1), (256, 200, 2), (256, 200, 4), (600, 200, 1)],
)
def test_a_head_has_the_same_size_whatever_the_frame_and_the_pixels(
    frame: int, head: int, factor: int
) -> None:
    prepared = Plan(dims=2, head=192, clahe=None).apply(_picture(frame, head, factor))
    assert max(prepared.data.shape[1:3]) == pytest.approx(192, abs=2)
    wide = np.ptp(np.flatnonzero((prepared.data[0, :, :, 0] > 0.5).any(axis=1))) + 1
    assert wide == pytest.approx(192 / 1.08, rel=0.04)
    spot = np.count_nonzero(prepared.data[0] > 1.5)
    assert spot == pytest.approx(np.pi * (wide / 20) ** 2, rel=0.35)
    back = prepared.to_native(prepared.data[0]).data
    native = prepared.native
    assert back.shape == native.shape
    centre = np.argwhere(back > 1.5).mean(axis=0)
    wanted = np.argwhere(_picture(frame, head, factor).images["t1c"].data > 150).mean(axis=0)
    assert np.abs(centre - wanted)[:2].max() < 0.02 * head * factor
