"""Metastases put into a real T1c scan: its vessels, noise and bias stay its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import ConstantImage, GridMismatch
from brainmets.domain.volume import Mask, Volume
from brainmets.synthesis.case import SyntheticCase
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.fields import blur, generator
from brainmets.synthesis.lesions import ENHANCING, paint_lesions
from brainmets.synthesis.parameters import LesionParameters, Recorded, draw_lesions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.parameters import LesionSite
    from brainmets.synthesis.shapes import ShapeLibrary

__all__ = ["InsertionParameters", "insert_lesions"]

KEEP_CLEAR_MM = 3.0
"""Between a tumour already there and one inserted."""
SKULL_MM = 17.0
"""Scalp, skull and fluid over the brain of a whole head."""


class InsertionParameters(Recorded):
    """Everything that makes one insertion, with the levels measured in the scan."""

    seed: int
    stripped: bool
    fluid: float
    grey: float
    white: float
    blood: float
    noise: float
    lesions: tuple[LesionParameters, ...]


def insert_lesions(
    volume: Volume,
    existing: Mask | None = None,
    config: SynthesisConfig | None = None,
    seed: int = 0,
    *,
    shapes: ShapeLibrary | None = None,
) -> SyntheticCase:
    """Insert metastases into a T1c scan, skull-stripped or whole, on its own grid.

    `existing` marks tumour core the scan already has: nothing is inserted there, and it is in
    the truth, its components numbered before the inserted lesions; `placed` lists the inserted.

    Raises:
        GridMismatch: `existing` lies on another grid.
        ConstantImage: no brain can be made out.
    """
    config = config or SynthesisConfig()
    if existing is not None and not existing.geometry.same_grid(volume.geometry):
        raise GridMismatch(
            "an image and a tumour mask on different grids",
            expected="one grid",
            remedy="resample the mask to the image's grid first",
        )
    host = ScanHost(volume, existing)
    parameters = InsertionParameters(
        seed=seed,
        stripped=host.stripped,
        fluid=host.fluid,
        grey=host.grey,
        white=host.white,
        blood=host.blood,
        noise=host.noise,
        lesions=draw_lesions(config, generator(seed, 2)),
    )
    painted = paint_lesions(host, parameters.lesions, taken=host.taken, library=shapes, seed=seed)
    host.give_back_noise(painted.ids > 0)
    ids, classes, first = painted.ids, painted.classes, 0
    if existing is not None and existing.foreground.any():
        from scipy import ndimage

        own, first = ndimage.label(existing.foreground, np.ones((3, 3, 3)))
        ids = np.where(ids > 0, ids + np.uint16(first), own.astype(np.uint16))
        classes = np.where(existing.foreground, np.uint8(ENHANCING), classes)
    placed = tuple(
        type(lesion)(**{**_fields(lesion), "id": lesion.id + first}) for lesion in painted.placed
    )
    return SyntheticCase(
        image=Volume(data=host.image, geometry=volume.geometry),
        lesions=Mask(data=ids, geometry=volume.geometry),
        classes=Mask(data=classes, geometry=volume.geometry),
        parameters=parameters,
        placed=placed,
    )


def _fields(lesion: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(lesion)  # pyright: ignore[reportArgumentType]


class ScanHost:
    """A real scan as a place for lesions: brain, tissue levels and noise estimated from it."""

    def __init__(self, volume: Volume, existing: Mask | None) -> None:
        self.image = np.array(volume.data, dtype=np.float32)
        self.spacing_mm = volume.geometry.spacing_mm
        self._axes = volume.geometry.closest_axes
        sigma = tuple(min(1.0, 0.8 / step) for step in self.spacing_mm)
        self._smooth = blur(self.image, (sigma[0], sigma[1], sigma[2]))
        tumour = None if existing is None else existing.foreground
        brain = self._find_brain()
        from scipy import ndimage

        self._depth = ndimage.distance_transform_edt(brain, sampling=self.spacing_mm).astype(
            np.float32
        )
        healthy = (self._depth > 6.0) & (brain if tumour is None else ~tumour)
        if np.count_nonzero(healthy) < 500:
            raise ConstantImage(
                "an image in which no brain can be made out",
                expected="a T1c scan of a head, whole or skull-stripped",
                remedy="check the image, or leave it out of the insertion",
            )
        self._measure(healthy, brain)
        span = self.white - self.fluid
        low, high = self.fluid + 0.42 * span, self.white + 0.32 * span
        self._tissue = brain & (self._smooth > low) & (self._smooth < high)
        self.taken = np.zeros(self.image.shape, dtype=bool)
        if tumour is not None and tumour.any():
            distance = ndimage.distance_transform_edt(~tumour, sampling=self.spacing_mm)
            self.taken = distance < KEEP_CLEAR_MM
        self._original = self.image.copy()

    def _find_brain(self) -> NDArray[np.bool_]:
        from scipy import ndimage

        corner = float(self.image[0, 0, 0])
        background = self.image == corner
        self.stripped = bool(np.count_nonzero(background) > 0.4 * self.image.size)
        if self.stripped:
            return ndimage.binary_fill_holes(~background)
        level = np.percentile(self._smooth, 99) * 0.15
        head = ndimage.binary_fill_holes(self._smooth > level)
        depth = ndimage.distance_transform_edt(head, sampling=self.spacing_mm)
        core = depth > SKULL_MM
        up, sign = next((v, s) for v, (ras, s) in enumerate(self._axes) if ras == 2)
        rows = np.nonzero(head.any(axis=tuple(a for a in range(3) if a != up)))[0]
        # The brain of a whole head lies within 115 mm of its top; the face is left alone.
        length = round(115.0 / self.spacing_mm[up])
        keep = np.arange(head.shape[up])
        keep = keep > rows.max() - length if sign > 0 else keep < rows.min() + length
        shape = [1, 1, 1]
        shape[up] = len(keep)
        return core & keep.reshape(shape)

    def _measure(self, healthy: NDArray[np.bool_], brain: NDArray[np.bool_]) -> None:
        values = self._smooth[healthy][:: max(1, np.count_nonzero(healthy) // 200_000)]
        self.fluid = float(np.percentile(values, 2))
        middle = float(np.median(values))
        parenchyma = values[values > (self.fluid + middle) / 2]
        self.grey, self.white = (float(v) for v in np.percentile(parenchyma, (25, 72)))
        top = float(np.percentile(self._smooth[brain], 99.7))
        span = self.white - self.fluid
        self.blood = max(top, self.white + 0.6 * span)
        residual = (self.image - self._smooth)[healthy]
        self.noise = float(1.4826 * np.median(np.abs(residual - np.median(residual))))

    def candidates(self, site: LesionSite, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw voxels of parenchyma at random and keep those at the site's depth and height."""
        index = rng.integers(self.image.size, size=60_000)
        depth = self._depth.reshape(-1)[index]
        fits = self._tissue.reshape(-1)[index]
        low, high = {
            "junction": (4.0, 16.0), "cortex": (2.0, 5.0), "dural": (1.0, 4.0),
            "white": (10.0, 99.0), "deep": (25.0, 99.0),
            "cerebellum": (4.0, 99.0), "brainstem": (8.0, 99.0),
        }[site]  # fmt: skip
        at = np.stack(np.unravel_index(index, self.image.shape), axis=1)
        fits &= (depth >= low) & (depth < high)
        if site in {"cerebellum", "brainstem"}:
            up, sign = next((v, s) for v, (ras, s) in enumerate(self._axes) if ras == 2)
            rows = np.nonzero((self._depth > 0).any(axis=tuple(a for a in range(3) if a != up)))[0]
            share = (at[:, up] - rows.min()) / max(1, np.ptp(rows))
            fits &= (share if sign > 0 else 1 - share) < 0.28
        return at[fits]

    def allowed(self, box: tuple[slice, ...]) -> NDArray[np.bool_]:
        """Parenchyma by its brightness, small gaps closed: not fluid, not vessel, not air."""
        from scipy import ndimage

        here = ndimage.binary_closing(self._tissue[box], np.ones((3, 3, 3)))
        return here & (self._depth[box] > 0)

    def halo(self, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """Brighter parenchyma is white matter, where T1 tells them apart at all."""
        span = max(self.white - self.grey, 1e-6)
        share = np.clip((self._smooth[box] - self.grey) / span * 0.8 + 0.3, 0.15, 1.0)
        return (share * self._tissue[box]).astype(np.float32)

    def levels(self, box: tuple[slice, ...]) -> tuple[float, float, float]:
        """Scale the scan's levels by the coil's brightness about the box."""
        here = self._smooth[box][self._tissue[box]]
        middle = (self.grey + self.white) / 2
        local = float(np.median(here)) - middle if here.size > 20 else 0.0
        gain = 1 + np.clip(local / max(self.white - self.fluid, 1e-6), -0.4, 0.4)
        white = self.fluid + gain * (self.white - self.fluid)
        return self.fluid, white, white + gain * (self.blood - self.white)

    def give_back_noise(self, where: NDArray[np.bool_]) -> None:
        """Lay the scan's own fine grain back over what was painted."""
        residual = (self._original - self._smooth)[where]
        self.image[where] += np.clip(residual, -3 * self.noise, 3 * self.noise)
        if self.stripped:
            background = self._original == self._original[0, 0, 0]
            self.image[background] = self._original[background]
