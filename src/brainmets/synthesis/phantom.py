"""An analytic head phantom with the label numbers of a real head: synthesis without files."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Mask
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.fields import blur, generator, smooth_noise
from brainmets.synthesis.head import synthesize_head
from brainmets.synthesis.morphology import distance_mm
from brainmets.synthesis.store import anatomy_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.anatomy import Anatomy
    from brainmets.synthesis.case import SyntheticCase

__all__ = ["analytic_labels", "sample_head"]

SHAPE = (164, 200, 184)
CENTRE = (0.0, 4.0, -16.0)
"""Of the brain, against the middle of the grid."""

SAMPLE = SynthesisConfig(
    contrast_weights={"mprage": 1.0},
    native_share=0.0,
    clear_share=0.0,
    thick_share=0.0,
    ghost_share=0.0,
    ringing_share=0.0,
    noise=(0.012, 0.03),
    bias=(0.03, 0.12),
    elastic_mm=(1.0, 2.5),
    count_weights=((3, 7, 1.0),),
)
"""What the sample button shows: a clean scan with a few lesions."""


def sample_head(seed: int = 0, config: SynthesisConfig = SAMPLE) -> SyntheticCase:
    """Make a synthetic T1c head from formulas alone, for demonstrations and tests."""
    return synthesize_head(_anatomy(seed % 3), config, seed)


@lru_cache(maxsize=3)
def _anatomy(variant: int) -> Anatomy:
    return anatomy_of(analytic_labels(variant), quick=True)


def analytic_labels(seed: int = 0) -> Mask:
    """Draw a labelled head: skull, folded cortex, ventricles, deep nuclei, cerebellum, vessels.

    Plausible in proportion, not a person: gyri are noise, nuclei are ellipsoids.
    """
    rng = generator(seed, 77)
    space = _Space(rng)
    labels = np.zeros(SHAPE, dtype=np.uint16)
    cerebrum = _cerebrum(space)
    cerebellum, stem = _cerebellum(space), _brainstem(space)
    content = np.minimum(cerebrum, np.minimum(cerebellum, stem))
    # The skull follows a smoothed brain; scalp follows the skull; a neck and a face hang below.
    inner = blur(np.clip(content, -30, 60), (4.0, 4.0, 4.0)) - 3.5
    low = space.z < -30
    face = space.ball((0, 30, -62), (54, 56, 58), 2.6)
    neck = np.hypot(space.x / 52, (space.y + 22) / 50) - 1
    head = np.minimum(inner - 13.0, face * 50)
    head = np.where(low, np.minimum(head, np.maximum(neck * 45, space.z + 22)), head)
    labels[head < 0] = 511
    labels[head < -2.2] = 507
    shell = (inner < 7.0) & (head < -3)
    labels[shell] = 515
    labels[shell & (inner > 1.8) & (inner < 4.6) & (space.z > -12)] = 516
    _set(labels, space, (0, 78, -46), (12, 20, 20), where=head < -3, number=509)
    _set(labels, space, (0, 78, -44), (5, 17, 16), where=head < -3, number=0)
    for side in (-1, 1):
        _set(labels, space, (side * 32, 72, -34), (12, 12, 12), where=head < -1, number=506)
        _set(labels, space, (side * 30, 62, -50), (11, 14, 11), where=inner > 4, number=0)
    labels[inner < 0] = 24
    for side in (-1, 1):  # carotid siphons next to the sella; jugular bulbs
        _set(labels, space, (side * 12, 16, -37), (3.2, 8, 3.2), where=None, number=502)
        _set(labels, space, (side * 13, 12, -50), (3.0, 3.0, 14), where=None, number=502)
        _set(labels, space, (side * 44, -26, -46), (4, 9, 9), where=inner > -3, number=514)
    _fill_hindbrain(labels, space, cerebellum, stem, rng)
    _fill_cerebrum(labels, cerebrum)
    _fill_deep(labels, space)
    return Mask(data=labels, geometry=Geometry.isotropic(SHAPE))


class _Space:
    """Millimetres from the middle of the brain, gently warped so that no two heads are alike."""

    def __init__(self, rng: np.random.Generator) -> None:
        axes = np.meshgrid(
            *(
                np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2 + c)
                for n, c in zip(SHAPE, CENTRE, strict=True)
            ),
            indexing="ij",
            copy=True,
        )
        self.x, self.y, self.z = (
            axis + np.float32(1.6) * smooth_noise(rng, SHAPE, 42.0) for axis in axes
        )
        # Sulci run inwards: noise that hardly changes along the radius is folded at its zeros.
        radius = np.sqrt(self.x**2 + self.y**2 + self.z**2)
        shrink = (66.0 / np.maximum(radius, 12.0)) ** 0.5
        cube = rng.standard_normal((48, 48, 48), dtype=np.float32)
        from scipy import ndimage

        at = np.stack([axis * shrink / 5.2 + 24 for axis in (self.x, self.y, self.z)])
        fold = ndimage.map_coordinates(
            ndimage.gaussian_filter(cube, 0.75), at, order=1, mode="grid-wrap"
        )
        self.fold = (fold / fold.std()).astype(np.float32)

    def ball(
        self,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        power: float = 2.0,
        *,
        box: tuple[slice, ...] = (),
    ) -> NDArray[np.float32]:
        """Normalised radius of a (super-)ellipsoid less 1: negative inside."""
        total = np.zeros(self.x[box].shape, dtype=np.float32)
        for axis, c, r in zip((self.x, self.y, self.z), centre, radii, strict=True):
            part = np.abs((axis[box] - np.float32(c)) / np.float32(r))
            total += part * part if power == 2.0 else part ** np.float32(power)
        return (np.sqrt(total) if power == 2.0 else total ** np.float32(1 / power)) - 1

    @staticmethod
    def box(
        centre: tuple[float, float, float], radii: tuple[float, float, float]
    ) -> tuple[slice, ...]:
        """Slices that hold an ellipsoid wherever the warp takes it."""
        sides: list[slice] = []
        for n, middle, c, r in zip(SHAPE, CENTRE, centre, radii, strict=True):
            at = c + middle + (n - 1) / 2
            sides.append(slice(max(0, int(at - r - 9)), min(n, int(at + r + 10))))
        return tuple(sides)


def _cerebrum(space: _Space) -> NDArray[np.float32]:
    """About the distance in mm to the surface of both hemispheres, sulci included."""
    x, y, z = space.x, space.y, space.z
    width = np.abs(x)
    main = space.ball((0, 0, 8), (65, 82, 60), 2.25) * 62
    floor = np.where(y > 8, -20 + 0.06 * np.maximum(y - 30, 0), -14 - 0.12 * y)
    main = np.maximum(main, floor - z)
    # The tentorium slopes up from the transverse sinuses to the straight sinus.
    roof = -22 + 0.30 * (y + 85) * (y > -85) - 0.22 * width
    main = np.where(y < -14, np.maximum(main, np.minimum(roof, 4) - z), main)
    temporal = space.ball((44, 2, -24), (20, 46, 22), 2.3)
    mirrored = _Mirror(space).ball((44, 2, -24), (20, 46, 22), 2.3)
    lobes = np.minimum(temporal, mirrored) * 22
    lobes = np.where(y < -14, np.maximum(lobes, np.minimum(roof, 4) - z), lobes)
    both = np.minimum(main, lobes)
    sylvian = np.abs(z + 6 - 0.22 * y) - 1.3
    sylvian = np.maximum(sylvian, np.maximum(36 - width, np.abs(y - 8) - 30))
    apart = np.where((np.abs(y) < 34) & (z < 22) & (z > -16), 3.0, width - 1.3)
    solid = np.maximum(np.maximum(both, -sylvian), -apart)
    sulci = np.abs(space.fold) * 4.2 - 0.75
    hull = space.ball((0, 0, 4), (65, 82, 66), 2.25) * 62
    sulci = np.maximum(sulci, -(np.maximum(hull, solid) + 15.0))
    return np.maximum(solid, -sulci)


class _Mirror:
    """The same space seen from the other side."""

    def __init__(self, space: _Space) -> None:
        self.x, self.y, self.z = -space.x, space.y, space.z

    ball = _Space.ball


def _cerebellum(space: _Space) -> NDArray[np.float32]:
    lobes = [space.ball((side * 22, -51, -35), (30, 30, 24), 2.3) for side in (-1, 1)]
    return np.minimum(*lobes) * 25


def _brainstem(space: _Space) -> NDArray[np.float32]:
    slope = space.y + 18 + 0.32 * (space.z + 30)
    width = np.where(np.abs(space.z + 32) < 13, 15.0, 10.5).astype(np.float32)
    column = np.hypot(space.x, slope * 1.1) - width
    return np.maximum(column, np.abs(space.z + 48) - 38)


def _fill_cerebrum(labels: NDArray[np.uint16], cerebrum: NDArray[np.float32]) -> None:
    """Grey within 3 mm of the pia, white inside; left and right apart."""
    inside = (cerebrum < 0) & (labels == 24)
    depth = distance_mm(cerebrum < 0)
    half = SHAPE[0] // 2
    grey, white = inside & (depth <= 3.0), inside & (depth > 3.0)
    for side, numbers in ((slice(None, half), (3, 2)), (slice(half, None), (42, 41))):
        labels[side][grey[side]] = numbers[0]
        labels[side][white[side]] = numbers[1]


def _fill_hindbrain(
    labels: NDArray[np.uint16],
    space: _Space,
    cerebellum: NDArray[np.float32],
    stem: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    fluid = labels == 24
    tree = cerebellum + 5 * np.abs(smooth_noise(rng, SHAPE, (12.0, 7.0, 4.0)))
    right = np.zeros(SHAPE, dtype=bool)
    right[SHAPE[0] // 2 :] = True
    for half, grey, white in ((~right, 8, 7), (right, 47, 46)):
        labels[fluid & half & (cerebellum < 0)] = grey
        labels[fluid & half & (tree < -7)] = white
    labels[fluid & (stem < 0)] = 16
    _set(labels, space, (0, -32, -36), (6, 5, 11), where=fluid, number=15)


def _fill_deep(labels: NDArray[np.uint16], space: _Space) -> None:
    brain = (labels > 0) & (labels < 100)
    for side, shift in ((-1, 0), (1, 1)):
        half = brain & (space.x * side > 0.5)
        parts = (
            ((27, 4, 3), (7, 20, 12), (12, 51)),
            ((20, 0, 1), (5, 10, 7), (13, 52)),
            ((14, 14, 13), (6.5, 21, 9), (11, 50)),
            ((9, -10, -8), (8, 9, 6), (28, 60)),
            ((27, -18, -19), (5, 19, 5), (17, 53)),
            ((24, 4, -19), (8, 8, 8), (18, 54)),
            ((9, 15, 15), (5, 24, 7), (4, 43)),
            ((13, -16, 18), (5, 22, 6), (4, 43)),
            ((23, -38, 8), (6.5, 13, 9), (4, 43)),
            ((33, -14, -15), (3.5, 18, 3.5), (5, 44)),
            ((10.5, -12, 4), (9.5, 14, 9), (10, 49)),
        )
        for centre, radii, numbers in parts:
            place = (side * centre[0], float(centre[1]), float(centre[2]))
            _set(labels, space, place, radii, where=half, number=numbers[shift])
    _set(labels, space, (0, -8, 2), (2.2, 12, 9), where=brain, number=14)
    _set(labels, space, (0, 8, -22), (9, 3, 2.5), where=None, number=85)


def _set(
    labels: NDArray[np.uint16],
    space: _Space,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    *,
    where: NDArray[np.bool_] | None,
    number: int,
) -> None:
    """Write a label into an ellipsoid, looking only at the box about it."""
    box = space.box(centre, radii)
    inside = space.ball(centre, radii, box=box) < 0
    labels[box][inside if where is None else inside & where[box]] = number
