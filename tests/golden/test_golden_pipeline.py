"""What must not move unnoticed: a phantom prepared by the plans, and its lesions measured.

`make bless` writes the present figures into pipeline.json; read its diff before committing it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from brainmets.domain import Case, Geometry, HeadPhantom, Mask, Source, Volume
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.preprocessing import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = Path(__file__).with_name("pipeline.json")

RELATIVE = 1e-3
"""Far below what a changed rule does, far above what another processor's rounding does."""

ABSOLUTE = 1e-3


@pytest.fixture(scope="module")
def oblique() -> tuple[Volume, Mask]:
    """The default phantom on an LPS grid of 1.4 × 1.4 × 3 mm, tilted by 10°."""
    tilt = np.deg2rad(10.0)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.4, -1.4, 3.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([120, 148, 66]) - 1) / 2)
    return HeadPhantom().render(Geometry(shape=(120, 148, 66), affine=affine))


def describe(data: NDArray[np.float32]) -> dict[str, Any]:
    low, median, high = np.percentile(data, (1, 50, 99))
    return {
        "shape": list(data.shape),
        "mean": float(data.mean()),
        "std": float(data.std()),
        "percentiles": [float(low), float(median), float(high)],
        "centre": [
            float(value) for value in data[(slice(None), *(n // 2 for n in data.shape[1:]))]
        ],
    }


def run_pipeline(image: Volume, mask: Mask) -> dict[str, Any]:
    case = Case(
        images={"t1c": image},
        geometry=image.geometry,
        source=Source(format="nifti", sha256="0" * 64),
        case_id="phantom",
    )
    soft = ndimage.gaussian_filter(mask.foreground.astype(np.float32), 0.5)
    _, lesions = find_lesions(Volume(data=soft, geometry=image.geometry), OperatingPoint())
    return {
        "volumes": describe(Plan(dims=3, spacing_mm=1.5).apply(case).data),
        "slices": describe(Plan(dims=2, spacing_mm=1.0).apply(case).data),
        "lesions": [asdict(lesion) for lesion in lesions],
    }


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every leaf by its path."""
    match value:
        case dict():
            return {
                k: v for key, part in value.items() for k, v in flat(part, f"{name}.{key}").items()
            }
        case list() | tuple():
            return {
                k: v for i, part in enumerate(value) for k, v in flat(part, f"{name}.{i}").items()
            }
        case _:
            return {name: value}


def test_pipeline_is_the_golden_one(oblique: tuple[Volume, Mask], *, bless: bool) -> None:
    found = run_pipeline(*oblique)
    if bless:
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    golden = flat(json.loads(GOLDEN.read_text(encoding="utf-8")))

    assert flat(found) == {
        name: pytest.approx(value, rel=RELATIVE, abs=ABSOLUTE)
        if isinstance(value, float)
        else value
        for name, value in golden.items()
    }
