"""A second look at each component: is it shaped and sure like a lesion, or like a false positive?

A logistic regression on a handful of figures of the component, a few numbers in plain JSON. What it
finds becomes the component's peak: the probability map then says how likely each candidate is a
lesion, so that every later step (operating point, slider, FROC curve) ranks by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from brainmets.domain import Volume
from brainmets.inference.lesions import find_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import CaseKind, Geometry
    from brainmets.inference.lesions import Component

__all__ = ["FEATURES", "Rejector", "component_features"]

FEATURES = ("peak", "mean", "volume", "elongation", "fill", "slices")
"""Logit of the highest and of the mean probability; logarithm of the volume in mm³; logarithm of
the longest over the shortest axis; share of the ellipsoid of equal inertia that it fills, 1 for
balls and less for sheets and branches; logarithm of the slices it is seen in."""

STEEPEST = 16.0
"""Logits are cut here, where single precision ends: what is sure of everything still ranks."""

FLOOR = 0.05
"""Where components begin in a map that a rejector has seen."""

FARTHEST = 2.5
"""Standard deviations that a figure counts at most: none alone outvotes the others where something
is as no made lesion is, such as a large and ragged tumour."""

PLAIN_MM3 = 4189.0
"""Volume, a ball of 20 mm, from which a component can be too plain to be judged by its shape."""

PLAIN_PEAK = 0.9
"""The network's own probability from which it is."""

AROUND = 2
"""Voxels around an unlikely component that sink with it."""


class Rejector(BaseModel):
    """Weights of the logistic regression, and where components begin before and after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grow: float = Field(gt=0, lt=1, description="components are those of voxels at least this sure")
    floor: float = Field(default=FLOOR, gt=0, lt=1, description="what `grow` becomes in the map")
    bias: float = Field(description="of the logistic regression")
    weights: dict[str, float] = Field(description="of each feature, after standardisation")
    means: dict[str, float] = Field(description="of each feature where it was fitted")
    scales: dict[str, float] = Field(description="standard deviations, likewise")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in ("weights", "means", "scales"):
            if set(getattr(self, name)) != set(FEATURES):
                raise ValueError(f"{name} must name {', '.join(FEATURES)}")
        if any(scale <= 0 for scale in self.scales.values()):
            raise ValueError("scales must be above 0")
        return self

    @classmethod
    def fit(
        cls,
        features: NDArray[np.float64],
        real: NDArray[np.bool_],
        *,
        grow: float,
        penalty: float = 1.0,
    ) -> Rejector:
        """Fit to components (n, features) of which some are real, by Newton's method.

        Both kinds weigh the same in sum. `penalty` is that of the squared weights (ridge), which
        keeps the answer finite where the kinds can be told apart without error.
        """
        means, scales = features.mean(axis=0), features.std(axis=0)
        scales = np.where(scales > 1e-6, scales, 1.0)
        x = np.column_stack([_standardised(features, means, scales), np.ones(len(features))])
        y = real.astype(float)
        balance = np.where(real, 0.5 / max(real.sum(), 1), 0.5 / max((~real).sum(), 1)) * len(y)
        ridge = np.diag([penalty] * features.shape[1] + [1e-6])
        weights = np.zeros(x.shape[1])
        for _ in range(50):
            p = _sigmoid(x @ weights)
            gradient = x.T @ (balance * (p - y)) + ridge @ weights
            curvature = (x * (balance * p * (1 - p))[:, None]).T @ x + ridge
            step = np.linalg.solve(curvature, gradient)
            weights = weights - step
            if np.abs(step).max() < 1e-8:
                break
        return cls(
            grow=grow,
            bias=float(weights[-1]),
            weights=dict(zip(FEATURES, weights[:-1].tolist(), strict=True)),
            means=dict(zip(FEATURES, means.tolist(), strict=True)),
            scales=dict(zip(FEATURES, scales.tolist(), strict=True)),
        )

    def likelihood(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how likely components (n, features) are real, 0…1."""
        means, scales, weights = (
            np.array([table[name] for name in FEATURES])
            for table in (self.means, self.scales, self.weights)
        )
        return _sigmoid(_standardised(features, means, scales) @ weights + self.bias)

    def temper(self, probability: Volume, *, kind: CaseKind = "volume") -> Volume:
        """Return the map in which each component's peak is how likely it is a lesion.

        Within a component the order of voxels stays, and so does its outline: its voxels are
        those of at least `floor`, where before they were those of at least `grow`. A component
        less likely than `floor` falls below it whole, with the voxels around it. What is plainly
        there (`PLAIN_MM3`, `PLAIN_PEAK`) keeps at least the network's own peak: a regression that
        was fitted to small candidates must not remove a tumour. Cost is linear in voxels.
        """
        grow, floor = np.float32(self.grow), np.float32(self.floor)
        components = find_components(probability.data >= grow, probability.data, kind)
        data = probability.data * (floor / grow)
        below = np.nextafter(floor, np.float32(0))
        np.minimum(data, below, out=data)
        features = component_features(components, probability.geometry, kind=kind)
        likelihoods = self.likelihood(features).astype(np.float32)
        peaks = np.array([c.probabilities.max(initial=0) for c in components], dtype=np.float32)
        voxel_mm3 = probability.geometry.voxel_volume_mm3
        volumes = np.array([len(c.voxels) * voxel_mm3 for c in components])
        plain = (volumes >= PLAIN_MM3) & (peaks >= PLAIN_PEAK)
        likelihoods = np.where(plain, np.maximum(likelihoods, peaks), likelihoods)
        for component, likely in zip(components, likelihoods, strict=True):
            values, peak = component.probabilities, component.probabilities.max()
            if likely >= floor:
                share = (values - grow) / (peak - grow) if peak > grow else np.float32(1)
                values = floor + share * (likely - floor)
            else:
                low = np.maximum(component.voxels.min(axis=0) - AROUND, 0)
                box = tuple(
                    slice(a, b + 1 + AROUND)
                    for a, b in zip(low, component.voxels.max(axis=0), strict=True)
                )
                outside = probability.data[box] < grow
                data[box][outside] = np.minimum(data[box][outside], likely)
                values = values * (likely / peak)
            data[tuple(component.voxels.T)] = values
        return Volume(data=data, geometry=probability.geometry)


def component_features(
    components: list[Component], geometry: Geometry, *, kind: CaseKind = "volume"
) -> NDArray[np.float64]:
    """Return the features of components, (n, features) in the order of `FEATURES`."""
    axis = 2 if kind == "slices" else geometry.slice_axis
    rows = [_features(component, geometry, axis) for component in components]
    return np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES))


def _features(component: Component, geometry: Geometry, slice_axis: int) -> list[float]:
    spacing = np.asarray(geometry.spacing_mm)
    places = component.voxels * spacing
    # a voxel is a box, not a point: its own spread keeps flat and single ones finite
    spread = np.cov(places.T, bias=True) if len(places) > 1 else np.zeros((3, 3))
    spread = spread + np.diag(spacing**2 / 12)
    lengths = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 1e-6))
    volume = len(places) * float(np.prod(spacing))
    ellipsoid = 4 / 3 * np.pi * 5**1.5 * float(np.prod(lengths))
    slices = len(np.unique(component.voxels[:, slice_axis]))
    return [
        _logit(float(component.probabilities.max())),
        _logit(float(component.probabilities.mean(dtype=np.float64))),
        float(np.log(volume)),
        float(np.log(lengths[-1] / lengths[0])),
        min(volume / ellipsoid, 1.5),
        float(np.log(slices)),
    ]


def _standardised(
    features: NDArray[np.float64], means: NDArray[np.float64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.clip((features - means) / scales, -FARTHEST, FARTHEST)


def _logit(p: float) -> float:
    if p <= 0 or p >= 1:
        return float(np.copysign(STEEPEST, p - 0.5))
    return float(np.clip(np.log(p / (1 - p)), -STEEPEST, STEEPEST))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))
