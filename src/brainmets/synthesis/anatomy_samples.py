"""Pictures of every contrast, made of anatomical label maps, for training the anatomy network.

Domain randomisation after Billot et al., SynthSeg (Medical Image Analysis 2023), and Hoopes et
al., SynthStrip (NeuroImage 2022): one resampling deforms the labels, each label gets a random
brightness, and blur, bias field, noise, thick slices, skull stripping and cropping follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from brainmets.domain.structures import MIRRORED_STRUCTURES, Structure
from brainmets.synthesis.anatomy_contrasts import VARIANTS, draw_brightness
from brainmets.synthesis.labels import FREESURFER_TISSUES, HIGHEST_LABEL, Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AnatomySample", "draw_sample", "structures_of"]

FIELD_MM = (160.0, 192.0, 160.0)
"""Field of view of a training picture."""

_SIDES = {
    2: 0, 3: 0, 10: 0, 11: 0, 12: 0, 13: 0, 17: 0, 18: 0, 26: 0, 28: 0, 4: 0, 5: 0, 7: 0, 8: 0,
    25: 0, 30: 0, 136: 0, 137: 0,
    41: 1, 42: 1, 49: 1, 50: 1, 51: 1, 52: 1, 53: 1, 54: 1, 58: 1, 60: 1, 43: 1, 44: 1, 46: 1,
    47: 1, 57: 1, 62: 1, 163: 1, 164: 1,
}  # fmt: skip
_MIDDLE = {14, 15, 72}

_BY_TISSUE = {
    Tissue.WHITE: Structure.LEFT_WHITE_MATTER,
    Tissue.WHITE_SPOT: Structure.LEFT_WHITE_MATTER,
    Tissue.GREY: Structure.LEFT_CORTEX,
    Tissue.HIPPOCAMPUS: Structure.LEFT_CORTEX,
    Tissue.AMYGDALA: Structure.LEFT_CORTEX,
    Tissue.FLUID: Structure.FLUID,
    Tissue.CHIASM: Structure.FLUID,
    Tissue.ARTERY: Structure.FLUID,
    Tissue.VENTRICLE: Structure.LEFT_VENTRICLE,
    Tissue.CEREBELLAR_WHITE: Structure.LEFT_CEREBELLUM,
    Tissue.CEREBELLAR_GREY: Structure.LEFT_CEREBELLUM,
    Tissue.THALAMUS: Structure.LEFT_DEEP_GREY,
    Tissue.CAUDATE: Structure.LEFT_DEEP_GREY,
    Tissue.PUTAMEN: Structure.LEFT_DEEP_GREY,
    Tissue.PALLIDUM: Structure.LEFT_DEEP_GREY,
    Tissue.ACCUMBENS: Structure.LEFT_DEEP_GREY,
    Tissue.VENTRAL_DC: Structure.LEFT_DEEP_GREY,
    Tissue.BRAINSTEM: Structure.BRAIN_STEM,
    Tissue.VEIN: Structure.VENOUS_SINUS,
    Tissue.EYE: Structure.EYE,
    Tissue.AIR: Structure.BACKGROUND,
}


def structures_of(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the structure of every voxel of a FreeSurfer-style label map."""
    return _structure_table()[np.minimum(labels, HIGHEST_LABEL)]


def _structure_table() -> NDArray[np.uint8]:
    table = np.zeros(HIGHEST_LABEL + 1, dtype=np.uint8)
    for label, tissue in FREESURFER_TISSUES.items():
        structure = _BY_TISSUE.get(tissue, Structure.OUTSIDE_BRAIN)
        if label in _MIDDLE:
            structure = Structure.MIDDLE_VENTRICLES
        elif _SIDES.get(label) == 1:
            structure = MIRRORED_STRUCTURES[structure]
        table[label] = structure
    return table


class AnatomySample(NamedTuple):
    """A picture (X, Y, Z), not yet scaled, and the structure of each voxel, of the same grid."""

    image: NDArray[np.float32]
    structures: NDArray[np.uint8]


def draw_sample(
    labels: NDArray[np.uint16],
    rng: np.random.Generator,
    *,
    spacing_mm: float,
    free: float = 0.25,
    field_mm: tuple[float, float, float] = FIELD_MM,
) -> AnatomySample:
    """Draw one training picture, of voxels `spacing_mm` wide, from a label map (RAS axes, 1 mm)."""
    x, y, z = (round(length / spacing_mm) for length in field_mm)
    grid = (x, y, z)
    base, matrix, mirrored = _deformed_places(labels, rng, grid, spacing_mm)
    offsets = [np.array(o) for o in np.ndindex(2, 2, 2)]
    chosen = rng.integers(0, 8, size=grid, dtype=np.uint8)
    variant = _patches(grid, rng, spacing_mm)
    means, spreads = draw_brightness(rng, free=free)
    tissue_table = np.zeros(HIGHEST_LABEL + 1, dtype=np.uint8)
    for label, tissue in FREESURFER_TISSUES.items():
        tissue_table[label] = tissue
    structure_table = _structure_table()
    image = np.zeros(grid, dtype=np.float32)
    spread = np.zeros(grid, dtype=np.float32)
    structures = np.zeros(grid, dtype=np.uint8)
    for number, offset in enumerate(offsets):
        shift = matrix @ ((offset - 0.5) * 0.5)
        seen = _look_up(labels, base, shift.astype(np.float32))
        place = tissue_table[seen].astype(np.int64) * VARIANTS + variant
        image += means[place]
        if number in {0, 7}:
            spread += spreads[place] / 2
        np.copyto(structures, structure_table[seen], where=chosen == number)
    image /= 8
    if mirrored:
        swap = np.array([MIRRORED_STRUCTURES[s] for s in Structure], dtype=np.uint8)
        structures = swap[structures]
    image += spread * _texture(grid, rng)
    _add_lesions(image, structures, rng, spacing_mm)
    if rng.random() < 0.55:
        structures = _strip(image, structures, rng, spacing_mm)
    image = _acquire(image, structures, rng, spacing_mm)
    image, structures = _crop(image, structures, rng)
    return AnatomySample(image, structures)


def _deformed_places(
    labels: NDArray[np.uint16],
    rng: np.random.Generator,
    grid: tuple[int, int, int],
    spacing_mm: float,
) -> tuple[NDArray[np.float32], NDArray[np.float64], bool]:
    """Return label-map coordinates (3, X, Y, Z), the affine part, and whether it mirrors."""
    angles = rng.normal(0, np.deg2rad(9), 3).clip(-0.5, 0.5)
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        one, two = [a for a in range(3) if a != axis]
        step = np.eye(3)
        step[one, one] = step[two, two] = c
        step[one, two], step[two, one] = -s, s
        turn = turn @ step
    zoom = rng.uniform(1.15, 1.5) if rng.random() < 0.2 else rng.uniform(0.88, 1.15)
    scale = np.diag(zoom * rng.uniform(0.93, 1.07, 3))
    shear = np.eye(3) + np.triu(rng.normal(0, 0.03, (3, 3)), 1)
    mirrored = bool(rng.random() < 0.5)
    mirror = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    matrix = turn @ shear @ scale @ mirror * spacing_mm
    brain = np.array(ndimage.center_of_mass((labels > 0) & (labels < 100) & (labels != 24)))
    shift = rng.normal(0, (6, 10, 10)) - np.array((0, 0, rng.choice((0, 8, 16))))
    places = [np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in grid]
    grids = np.meshgrid(*places, indexing="ij", sparse=True)
    base = np.empty((3, *grid), dtype=np.float32)
    for row in range(3):
        m = matrix[row].astype(np.float32)
        base[row] = m[0] * grids[0] + m[1] * grids[1] + m[2] * grids[2]
        base[row] += np.float32(brain[row] + shift[row])
        for knots_mm, most in ((24, 3.0), (10, 1.0)):
            size = rng.uniform(0, most)
            base[row] += _smooth_field(grid, knots_mm / spacing_mm, rng) * np.float32(size)
    return base, matrix, mirrored


def _look_up(
    labels: NDArray[np.uint16], base: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.uint16]:
    index = np.zeros(base.shape[1:], dtype=np.int32)
    inside = np.ones(base.shape[1:], dtype=bool)
    for row, n in enumerate(labels.shape):
        at = (base[row] + (shift[row] + np.float32(0.5))).astype(np.int32)
        inside &= (at >= 0) & (at < n)
        np.clip(at, 0, n - 1, out=at)
        index *= n
        index += at
    seen = labels.ravel()[index]
    seen[~inside] = 0
    return seen


def _smooth_field(
    grid: tuple[int, int, int], spacing: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a field of unit variance at its nodes, `spacing` voxels apart, linear between them."""
    coarse = [max(2, int(np.ceil(n / spacing)) + 1) for n in grid]
    field = rng.standard_normal(coarse, dtype=np.float32)
    for axis, n in enumerate(grid):
        at = np.linspace(0, field.shape[axis] - 1, n, dtype=np.float32)
        low = np.minimum(at.astype(int), field.shape[axis] - 2)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
        mixed = field.take(low, axis) * (1 - part) + field.take(low + 1, axis) * part
        field = mixed.astype(np.float32, copy=False)
    return field


def _patches(
    grid: tuple[int, int, int], rng: np.random.Generator, spacing_mm: float
) -> NDArray[np.uint8]:
    """Divide space into irregular patches, each of one of `VARIANTS` kinds."""
    field = _smooth_field(grid, rng.uniform(4, 18) / spacing_mm, rng)
    field += 0.5 * _smooth_field(grid, rng.uniform(3, 8) / spacing_mm, rng)
    return np.digitize(field, np.array((-0.55, 0.0, 0.55), dtype=np.float32)).astype(np.uint8)


def _texture(grid: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    fine = rng.standard_normal(grid, dtype=np.float32)
    if rng.random() < 0.5:
        return fine
    return np.float32(0.6) * fine + _smooth_field(grid, rng.uniform(1.5, 4), rng)


def _add_lesions(
    image: NDArray[np.float32],
    structures: NDArray[np.uint8],
    rng: np.random.Generator,
    spacing_mm: float,
) -> None:
    """Paint up to six bodies of any brightness into the brain; the structures stay."""
    if rng.random() < 0.45:
        return
    brain = np.flatnonzero((structures >= 3) & (structures <= 14))
    if brain.size == 0:
        return
    for _ in range(rng.integers(1, 7)):
        centre = np.unravel_index(rng.choice(brain), structures.shape)
        radius = np.exp(rng.uniform(np.log(2), np.log(28))) / spacing_mm
        box = tuple(slice(max(0, int(c - 2 * radius - 2)), int(c + 2 * radius + 3)) for c in centre)
        shape = image[box].shape
        steps = [np.arange(b.start, b.start + n) for b, n in zip(box, shape, strict=True)]
        away_by_axis = [s - c for s, c in zip(steps, centre, strict=True)]
        axes = np.meshgrid(*away_by_axis, indexing="ij", sparse=True)
        stretch = rng.uniform(0.7, 1.4, 3)
        away = np.sqrt(sum((a / s) ** 2 for a, s in zip(axes, stretch, strict=True))) / radius
        away = away + 0.2 * _smooth_field(shape, max(2.0, radius / 2), rng)
        allowed = (structures[box] >= 2) & (structures[box] <= 14)
        if rng.random() < 0.4:  # oedema
            wide = np.clip(1.8 - away, 0, 1) * allowed * rng.uniform(0.3, 0.9)
            image[box] += wide * (rng.uniform(0, 1) - image[box])
        body = np.clip((1 - away) * radius, 0, 1) * allowed
        image[box] += body * (rng.uniform(0, 1.3) - image[box])
        if rng.random() < 0.4:
            core = np.clip((rng.uniform(0.4, 0.8) - away) * radius, 0, 1) * allowed
            image[box] += core * (rng.uniform(0, 1) - image[box])


def _strip(
    image: NDArray[np.float32],
    structures: NDArray[np.uint8],
    rng: np.random.Generator,
    spacing_mm: float,
) -> NDArray[np.uint8]:
    """Remove the skull as a tool would have: to the brain, or the fluid around it, unevenly."""
    brain = (structures >= 3) & (structures <= 14)
    margin_mm = rng.choice((0.0, 2.0, 4.0, 8.0)) + 1.4 * _smooth_field(
        image.shape, 12 / spacing_mm, rng
    )
    steps = max(1, round(4 / spacing_mm))
    filled = np.asarray(ndimage.binary_closing(brain, iterations=steps), dtype=np.bool_)
    distance_mm = np.asarray(ndimage.distance_transform_edt(~filled)) * spacing_mm
    kept = distance_mm <= margin_mm.clip(0)
    if rng.random() < 0.5:
        kept &= structures >= 2
        kept |= brain
    image[~kept] = 0
    return np.where(kept, structures, np.uint8(Structure.BACKGROUND))


def _acquire(
    image: NDArray[np.float32],
    structures: NDArray[np.uint8],
    rng: np.random.Generator,
    spacing_mm: float,
) -> NDArray[np.float32]:
    """Add what a scanner adds: blur, bias field, noise, gamma, thick slices."""
    if rng.random() < 0.6:
        blurred = ndimage.gaussian_filter(
            image, rng.uniform(0.4, 1.6, 3) / spacing_mm, truncate=2.5
        )
        image = np.asarray(blurred, dtype=np.float32)
    if rng.random() < 0.8:
        image *= np.exp(
            rng.uniform(0, 0.35)
            * _smooth_field(image.shape, rng.uniform(40, 120) / spacing_mm, rng)
        )
    np.maximum(image, 0, out=image)
    if rng.random() < 0.7:
        image **= np.float32(np.exp(rng.normal(0, 0.25)))
    noise = rng.uniform(0, 0.06) * rng.random()
    if rng.random() < 0.5:
        image += noise * rng.standard_normal(image.shape, dtype=np.float32)
        np.abs(image, out=image)
    else:  # background stays empty, as after stripping
        image += noise * rng.standard_normal(image.shape, dtype=np.float32) * (image > 0.02)
    if rng.random() < 0.35:
        axis = int(rng.choice(3, p=(0.2, 0.2, 0.6)))
        image = _thick_slices(image, axis, rng.uniform(2.4, 6.8) / spacing_mm, rng)
    if rng.random() < 0.15:  # some tools give stripped heads another background
        image = np.where(structures == Structure.BACKGROUND, rng.uniform(-0.3, 0.1), image)
    return image.astype(np.float32)


def _thick_slices(
    image: NDArray[np.float32], axis: int, thickness: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Average over slices `thickness` voxels apart and interpolate back."""
    thickness = max(thickness, 1.0)
    n = image.shape[axis]
    blurred = ndimage.gaussian_filter1d(image, 0.4 * thickness, axis=axis, truncate=2)
    kept = np.arange(rng.uniform(0, thickness), n, thickness).round().astype(int).clip(0, n - 1)
    at = np.interp(np.arange(n), kept, np.arange(len(kept)))
    low = np.minimum(at.astype(int), len(kept) - 2)
    part = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    slices = blurred.take(kept, axis)
    return slices.take(low, axis) * (1 - part) + slices.take(low + 1, axis) * part


def _crop(
    image: NDArray[np.float32], structures: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut the field of view at random planes, more often below than elsewhere."""
    if rng.random() < 0.6:
        return image, structures
    inside = np.zeros(image.shape, dtype=bool)
    lows = [int(n * rng.uniform(0, 0.3)) if rng.random() < p else 0
            for n, p in zip(image.shape, (0.15, 0.2, 0.6), strict=True)]  # fmt: skip
    highs = [n - (int(n * rng.uniform(0, 0.3)) if rng.random() < 0.15 else 0) for n in image.shape]
    inside[tuple(slice(a, b) for a, b in zip(lows, highs, strict=True))] = True
    return np.where(inside, image, 0), np.where(inside, structures, np.uint8(0))
