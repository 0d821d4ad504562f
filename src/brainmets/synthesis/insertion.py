"""Metastases put into a real T1c scan: its vessels, noise and bias stay its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from brainmets.domain.errors import ConstantImage, GridMismatch
from brainmets.domain.volume import Mask, Volume
from brainmets.synthesis.case import SyntheticCase
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.fields import blur, generator
from brainmets.synthesis.lesions import ENHANCING, paint_lesions
from brainmets.synthesis.morphology import closed, components, distance_mm, filled
from brainmets.synthesis.parameters import LesionParameters, Recorded, draw_lesions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.synthesis.parameters import LesionSite
    from brainmets.synthesis.shapes import ShapeLibrary

__all__ = ["InsertionParameters", "Scan", "insert_lesions"]

KEEP_CLEAR_MM = 3.0
"""Between a tumour already there and one inserted."""
BRAIN_HEIGHT_MM = 115.0
"""The brain of a whole head lies within this of its top."""
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
    volume: Volume | Scan,
    existing: Mask | None = None,
    config: SynthesisConfig | None = None,
    seed: int = 0,
    *,
    shapes: ShapeLibrary | None = None,
) -> SyntheticCase:
    """Insert metastases into a T1c scan, skull-stripped or whole, on its own grid.

    `existing` marks tumour core the scan already has: nothing is inserted there, and it is in
    the truth, its components numbered before the inserted lesions; `placed` lists the inserted.
    Give a `Scan` where one scan serves many times: measuring it takes longer than inserting.

    Raises:
        GridMismatch: `existing` is on another grid.
        ConstantImage: no brain can be made out.
    """
    scan = volume if isinstance(volume, Scan) else Scan.of(volume, existing)
    config = config or SynthesisConfig()
    host = scan.host()
    parameters = InsertionParameters(
        seed=seed,
        stripped=scan.stripped,
        fluid=scan.fluid,
        grey=scan.grey,
        white=scan.white,
        blood=scan.blood,
        noise=scan.noise,
        lesions=draw_lesions(config, generator(seed, 2)),
    )
    painted = paint_lesions(host, parameters.lesions, taken=scan.taken, library=shapes, seed=seed)
    host.give_back_noise(painted.ids > 0)
    image, own = scan.volume.data.copy(), scan.own
    ids = np.zeros(image.shape, dtype=np.uint16) if own is None else own.copy()
    classes = np.where(ids > 0, np.uint8(ENHANCING), np.uint8(0))
    first = int(ids.max())
    image[scan.box] = host.image
    new = painted.ids > 0
    ids[scan.box][new] = painted.ids[new] + np.uint16(first)
    free = painted.classes > 0
    free &= classes[scan.box] == 0
    classes[scan.box][free] = painted.classes[free]
    geometry = scan.volume.geometry
    corner = [edge.start for edge in scan.box]
    placed = tuple(
        replace(
            lesion,
            id=lesion.id + first,
            centre_voxel=(
                lesion.centre_voxel[0] + corner[0],
                lesion.centre_voxel[1] + corner[1],
                lesion.centre_voxel[2] + corner[2],
            ),
        )
        for lesion in painted.placed
    )
    return SyntheticCase(
        image=Volume(data=image, geometry=geometry),
        lesions=Mask(data=ids, geometry=geometry),
        classes=Mask(data=classes, geometry=geometry),
        parameters=parameters,
        placed=placed,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """A real scan made ready for insertion: where its brain is, how bright its tissues are.

    All but `volume` and `own` (its tumours by number) are on `box`, the part of the grid that
    holds the head. `depth_mm` runs from the edge of the brain inwards.
    """

    volume: Volume
    own: NDArray[np.uint16] | None
    box: tuple[slice, ...]
    stripped: bool
    smooth: NDArray[np.float32]
    depth_mm: NDArray[np.float32]
    tissue: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    background: NDArray[np.bool_]
    fluid: float
    grey: float
    white: float
    blood: float
    noise: float

    @classmethod
    def of(cls, volume: Volume, existing: Mask | None = None) -> Self:
        """Measure a scan once; any number of insertions may follow.

        Raises:
            GridMismatch: `existing` is on another grid.
            ConstantImage: no brain can be made out.
        """
        if existing is not None and not existing.geometry.same_grid(volume.geometry):
            raise GridMismatch(
                "an image and a tumour mask on different grids",
                expected="one grid",
                remedy="resample the mask to the image's grid first",
            )
        background = volume.data == volume.data[0, 0, 0]
        stripped = bool(np.count_nonzero(background) > 0.4 * background.size)
        box = _box(background) if stripped else _box(np.zeros_like(background))
        background, image = background[box], volume.data[box]
        own, tumour = None, np.zeros(image.shape, dtype=bool)
        taken = tumour
        spacing = volume.geometry.spacing_mm
        if existing is not None and existing.foreground.any():
            found, _ = components(existing.foreground)
            own, tumour = found.astype(np.uint16), existing.foreground[box]
            taken = distance_mm(~tumour, spacing) < KEEP_CLEAR_MM
        sigma = tuple(min(1.0, 0.8 / step) for step in spacing)
        smooth = blur(image, (sigma[0], sigma[1], sigma[2]))
        measure = _brain_of_whole_head
        brain = filled(~background) if stripped else measure(smooth, volume.geometry)
        depth = distance_mm(brain, spacing)
        healthy = (depth > 6.0) & ~tumour
        if np.count_nonzero(healthy) < 500:
            raise ConstantImage(
                "an image in which no brain can be made out",
                expected="a T1c scan of a head, whole or skull-stripped",
                remedy="check the image, or leave it out of the insertion",
            )
        fluid, grey, white, blood = _levels(smooth, healthy, brain)
        residual = (image - smooth)[healthy]
        low, high = fluid + 0.42 * (white - fluid), white + 0.32 * (white - fluid)
        return cls(
            volume=volume,
            own=own,
            box=box,
            stripped=stripped,
            smooth=smooth,
            depth_mm=depth,
            tissue=brain & (smooth > low) & (smooth < high),
            taken=taken,
            background=background if stripped else np.zeros_like(background),
            fluid=fluid,
            grey=grey,
            white=white,
            blood=blood,
            noise=float(1.4826 * np.median(np.abs(residual - np.median(residual)))),
        )

    def host(self) -> ScanHost:
        """Return a fresh copy to paint into."""
        return ScanHost(self)


def _box(background: NDArray[np.bool_]) -> tuple[slice, ...]:
    sides: list[slice] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        rows = np.nonzero(~background.all(axis=others))[0]
        first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, 0)
        sides.append(slice(max(0, first - 2), min(background.shape[axis], last + 3)))
    return tuple(sides)


def _upwards(geometry: Geometry) -> tuple[int, int]:
    """The voxel axis that runs from foot to head, and which way."""
    return next((v, s) for v, (ras, s) in enumerate(geometry.closest_axes) if ras == 2)


def _brain_of_whole_head(smooth: NDArray[np.float32], geometry: Geometry) -> NDArray[np.bool_]:
    """Take what lies deep enough in the upper head: no skull stripping, but never the face."""
    head = filled(smooth > np.percentile(smooth, 99) * 0.15)
    depth = distance_mm(head, geometry.spacing_mm)
    up, sign = _upwards(geometry)
    rows = np.nonzero(head.any(axis=tuple(a for a in range(3) if a != up)))[0]
    if not len(rows):
        return np.zeros_like(head)
    length = round(BRAIN_HEIGHT_MM / geometry.spacing_mm[up])
    at = np.arange(head.shape[up])
    upper = at > rows.max() - length if sign > 0 else at < rows.min() + length
    shape = [1, 1, 1]
    shape[up] = len(at)
    return (depth > SKULL_MM) & upper.reshape(shape)


def _levels(
    smooth: NDArray[np.float32], healthy: NDArray[np.bool_], brain: NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """Brightness of fluid, grey and white matter, and of enhanced blood."""
    values = smooth[healthy]
    values = values[:: max(1, len(values) // 200_000)]
    fluid, middle = (float(v) for v in np.percentile(values, (2, 50)))
    parenchyma = values[values > (fluid + middle) / 2]
    grey, white = (float(v) for v in np.percentile(parenchyma, (25, 72)))
    top = float(np.percentile(smooth[brain], 99.7))
    return fluid, grey, white, max(top, white + 0.6 * (white - fluid))


class ScanHost:
    """A copy of a measured scan as a place for lesions."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.image = scan.volume.data[scan.box].copy()
        self.spacing_mm = scan.volume.geometry.spacing_mm

    def candidates(self, site: LesionSite, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw voxels of parenchyma at random and keep those at the site's depth and height."""
        index = rng.integers(self.image.size, size=60_000)
        depth = self.scan.depth_mm.reshape(-1)[index]
        fits = self.scan.tissue.reshape(-1)[index]
        low, high = {
            "junction": (4.0, 16.0), "cortex": (2.0, 5.0), "dural": (1.0, 4.0),
            "white": (10.0, 99.0), "deep": (25.0, 99.0),
            "cerebellum": (4.0, 99.0), "brainstem": (8.0, 99.0),
        }[site]  # fmt: skip
        at = np.stack(np.unravel_index(index, self.image.shape), axis=1)
        fits &= (depth >= low) & (depth < high)
        if site in {"cerebellum", "brainstem"}:
            up, sign = _upwards(self.scan.volume.geometry)
            rows = np.nonzero(
                (self.scan.depth_mm > 0).any(axis=tuple(a for a in range(3) if a != up))
            )[0]
            share = (at[:, up] - rows.min()) / max(1, np.ptp(rows))
            fits &= (share if sign > 0 else 1 - share) < 0.28
        return at[fits]

    def allowed(self, box: tuple[slice, ...]) -> NDArray[np.bool_]:
        """Parenchyma by its brightness, small gaps closed: not fluid, not vessel, not air."""
        return (
            closed(self.scan.tissue[box], 2)
            & (self.scan.depth_mm[box] > 0)
            & (self.scan.depth_mm[box] > 0)
        )

    def halo(self, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """Brighter parenchyma is white matter, where T1 separates them at all."""
        span = max(self.scan.white - self.scan.grey, 1e-6)
        share = np.clip((self.scan.smooth[box] - self.scan.grey) / span * 0.8 + 0.3, 0.15, 1.0)
        return (share * self.scan.tissue[box]).astype(np.float32)

    def make_room(self, centre: NDArray[np.float32], radius_mm: float, strength: float) -> None:
        """A real scan is not bent: its own tissue stays where the scanner saw it."""

    def levels(self, box: tuple[slice, ...]) -> tuple[float, float, float]:
        """Scale the scan's levels by the coil's brightness about the box."""
        here = self.scan.smooth[box][self.scan.tissue[box]]
        middle = (self.scan.grey + self.scan.white) / 2
        local = float(np.median(here)) - middle if here.size > 20 else 0.0
        gain = 1 + np.clip(local / max(self.scan.white - self.scan.fluid, 1e-6), -0.4, 0.4)
        white = self.scan.fluid + gain * (self.scan.white - self.scan.fluid)
        return self.scan.fluid, white, white + gain * (self.scan.blood - self.scan.white)

    def give_back_noise(self, where: NDArray[np.bool_]) -> None:
        """Lay the scan's own fine grain back over what was painted."""
        original = self.scan.volume.data[self.scan.box]
        residual = (original - self.scan.smooth)[where]
        limit = 3 * self.scan.noise
        self.image[where] += np.clip(residual, -limit, limit)
        self.image[self.scan.background] = original[self.scan.background]
