"""Metastases painted into a head: their place, extent, ring, core, halo, and the truth of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from brainmets.synthesis.fields import generator, smooth_noise
from brainmets.synthesis.morphology import closed, components, filled, grown
from brainmets.synthesis.shapes import level_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.synthesis.parameters import LesionParameters, LesionSite
    from brainmets.synthesis.shapes import ShapeLibrary

__all__ = ["ENHANCING", "NECROSIS", "OEDEMA", "Host", "Painted", "PlacedLesion", "paint_lesions"]

NECROSIS, OEDEMA, ENHANCING = 1, 2, 3
"""Class numbers, as in BraTS-METS."""

ATTEMPTS = 12
MOST_HALO_MM = 30.0
DISPLACING_MM = 6.0
"""From this diameter on a lesion closes sulci and displaces vessels within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLesion:
    """What became of one requested lesion: its id in the mask, place and true size."""

    id: int
    requested: int
    """Index among the parameters' lesions."""
    centre_voxel: tuple[float, float, float]
    diameter_mm: float
    """Of the sphere with the requested volume; the mask's volume differs by rounding only."""
    voxels: int
    volume_mm3: float
    """Of the mask on the grid returned."""
    enhancement: float


class Host(Protocol):
    """A head that lesions can be put into; all arrays (i, j, k) on one grid."""

    image: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]

    def candidates(self, site: LesionSite, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return some voxels (n, 3), in random order, where a lesion of that site may centre."""
        ...

    def allowed(self, box: tuple[slice, ...]) -> NDArray[np.bool_]:
        """Say where in a box tumour may grow."""
        ...

    def halo(self, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return how readily (0…1) oedema spreads in a box: white matter first."""
        ...

    def make_room(self, centre: NDArray[np.float32], radius_mm: float, strength: float) -> None:
        """Push tissue aside for a growing lesion, where the host can."""
        ...

    def levels(self, box: tuple[slice, ...]) -> tuple[float, float, float]:
        """Return the brightness of fluid, white matter and enhanced blood thereabouts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painted:
    """The lesions drawn: `ids` uint16 and `classes` uint8 masks (i, j, k), and their list."""

    ids: NDArray[np.uint16]
    classes: NDArray[np.uint8]
    placed: tuple[PlacedLesion, ...]


def paint_lesions(
    host: Host,
    lesions: Sequence[LesionParameters],
    *,
    taken: NDArray[np.bool_] | None = None,
    library: ShapeLibrary | None = None,
    seed: int,
) -> Painted:
    """Place and paint `lesions` into `host.image`, in place; none touches another or `taken`.

    A lesion for which no room is found after several attempts is left out: `placed` lists
    those that are there.
    """
    canvas = _Canvas(host, taken, library)
    placed: list[PlacedLesion] = []
    centres: dict[int, NDArray[np.float32]] = {}
    for number, lesion in enumerate(lesions):
        rng = generator(seed, 5, lesion.seed)
        for _ in range(ATTEMPTS):
            centre = _centre(host, lesion, lesions, centres, rng)
            voxels = None if centre is None else canvas.paint(lesion, centre, len(placed) + 1, rng)
            if centre is None or voxels is None:
                continue
            centres[number] = centre
            placed.append(
                PlacedLesion(
                    id=len(placed) + 1,
                    requested=number,
                    centre_voxel=(float(centre[0]), float(centre[1]), float(centre[2])),
                    diameter_mm=lesion.diameter_mm,
                    voxels=voxels,
                    volume_mm3=voxels * float(np.prod(host.spacing_mm)),
                    enhancement=lesion.enhancement,
                )
            )
            break
    return Painted(ids=canvas.ids, classes=canvas.classes, placed=tuple(placed))


def _centre(
    host: Host,
    lesion: LesionParameters,
    lesions: Sequence[LesionParameters],
    centres: dict[int, NDArray[np.float32]],
    rng: np.random.Generator,
) -> NDArray[np.float32] | None:
    if lesion.near is not None and lesion.near in centres:
        away = rng.standard_normal(3)
        reach = (lesions[lesion.near].diameter_mm + lesion.diameter_mm) / 2 * rng.uniform(1.2, 2.0)
        away *= (reach + 2.0) / np.linalg.norm(away)
        return (centres[lesion.near] + away / np.array(host.spacing_mm)).astype(np.float32)
    found = host.candidates(lesion.site, rng)
    if not len(found):
        return None
    return (found[0] + rng.uniform(-0.5, 0.5, 3)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spot:
    """One lesion about to be painted into its box.

    On the box's voxels: the share of each that is tumour (`fill`), about how far its surface
    is (`level`, mm, negative inside), and its mask.
    """

    lesion: LesionParameters
    box: tuple[slice, ...]
    fill: NDArray[np.float32]
    level: NDArray[np.float32]
    inside: NDArray[np.bool_]


class _Canvas:
    """The host and the masks that grow with every lesion painted."""

    def __init__(
        self, host: Host, taken: NDArray[np.bool_] | None, library: ShapeLibrary | None
    ) -> None:
        self.host = host
        self.library = library
        self.ids = np.zeros(host.image.shape, dtype=np.uint16)
        self.classes = np.zeros(host.image.shape, dtype=np.uint8)
        self.blocked = np.zeros(host.image.shape, dtype=bool) if taken is None else taken.copy()

    def paint(
        self,
        lesion: LesionParameters,
        centre: NDArray[np.float32],
        number: int,
        rng: np.random.Generator,
    ) -> int | None:
        """Paint one lesion about `centre`; return its number of voxels, or None without room."""
        spot = self._plan(lesion, centre, rng)
        if spot is None:
            return None
        box = spot.box
        if lesion.mass_effect > 0 and not self.blocked[box].any():
            self.host.make_room(centre, lesion.diameter_mm / 2, lesion.mass_effect)
        necrotic = _blend(self.host, spot, rng)
        here = self.classes[box]
        if lesion.oedema_mm > 0:
            room = self.host.allowed(box) & ~self.blocked[box]
            halo = _blend_halo(self.host, spot, room, rng)
            here[halo & (here == 0)] = OEDEMA
        self.ids[box][spot.inside] = number
        here[spot.inside] = np.where(necrotic[spot.inside], NECROSIS, ENHANCING)
        self.blocked[box] |= _grown(spot.inside)
        return int(np.count_nonzero(spot.inside))

    def _plan(
        self, lesion: LesionParameters, centre: NDArray[np.float32], rng: np.random.Generator
    ) -> _Spot | None:
        spacing = np.array(self.host.spacing_mm, dtype=np.float32)
        halo_mm = min(MOST_HALO_MM, 1.8 * lesion.oedema_mm)
        simple = lesion.lobes == 1 and not lesion.from_library
        widest = max(lesion.axes) + 2.5 * lesion.roughness if simple else 2.0
        reach = lesion.diameter_mm / 2 * widest + halo_mm + 3.0
        low = np.maximum(np.floor(centre - reach / spacing).astype(int), 0)
        high = np.minimum(np.ceil(centre + reach / spacing).astype(int) + 1, self.ids.shape)
        if np.any(high - low < 3):
            return None
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        # Small lesions and thick slices are drawn on a finer grid, for the share of each voxel.
        every = 3 if lesion.diameter_mm < 8 else 1
        fine = tuple(max(1, min(8, round(every * step))) for step in spacing.tolist())
        x, y, z = (
            (((np.arange((b - a) * n) + 0.5) / n - 0.5 + a - c) * step).astype(np.float32)
            for a, b, c, step, n in zip(low, high, centre, spacing, fine, strict=True)
        )
        level = level_set(lesion, (x, y, z), rng, self.library)
        room = self.host.allowed(box)
        if lesion.diameter_mm >= DISPLACING_MM:
            room = filled(closed(room, 2))
        room = room & ~self.blocked[box]
        voxels = np.pi / 6 * lesion.diameter_mm**3 / float(spacing.prod())
        fill, level = _fill(level, room, voxels, fine, spacing)
        count = max(1, round(voxels))
        if fill is None or count > np.count_nonzero(fill > 0.02):
            return None
        # The mask holds as many voxels as the volume asks for, the fullest first.
        inside = np.zeros(fill.shape, dtype=bool)
        order = np.argpartition(fill.reshape(-1), -count)[-count:]
        inside.reshape(-1)[order] = True
        if _scattered(inside):
            return None
        return _Spot(lesion=lesion, box=box, fill=fill, level=level, inside=inside)


def _grown(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep two voxels between lesions, so that each stays a component of its own."""
    return grown(inside, 2)


def _scattered(inside: NDArray[np.bool_]) -> bool:
    """Say whether the mask falls apart, as where it is squeezed between ventricle and skull."""
    return components(inside)[1] > 1


def _fill(
    level: NDArray[np.float32],
    room: NDArray[np.bool_],
    voxels: float,
    fine: tuple[int, ...],
    spacing: NDArray[np.float32],
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
    """Shift the level so that it encloses the wanted volume of free room; coarsen to voxels.

    Returns the share of each voxel that is tumour, and the shifted level on voxels.
    """
    wide = room
    for axis, times in enumerate(fine):
        wide = wide.repeat(times, axis) if times > 1 else wide
    free = level[wide]
    wanted = max(1, round(voxels * float(np.prod(fine))))
    if len(free) < wanted * 1.5:
        return None, level
    cut = float(np.partition(free, wanted - 1)[wanted - 1])
    level = level - np.float32(cut)
    soft = np.clip(0.5 - level / np.float32((spacing / fine).min()), 0, 1) * wide
    if max(fine) > 1:
        size = room.shape
        blocks = (size[0], fine[0], size[1], fine[1], size[2], fine[2])
        soft = soft.reshape(blocks).mean(axis=(1, 3, 5))
        level = level.reshape(blocks).mean(axis=(1, 3, 5))
    # Much of a lesion squeezed out by ventricle or skull would not look like one.
    whole = np.count_nonzero(level < 0)
    if whole > 12 and np.count_nonzero((level < 0) & room) < 0.6 * whole:
        return None, level
    return soft.astype(np.float32), level


def _blend(host: Host, spot: _Spot, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mix ring and core into the image; return where the core is (necrosis)."""
    lesion, level = spot.lesion, spot.level
    fluid, white, blood = host.levels(spot.box)
    bright = white + lesion.enhancement * (blood - white)
    if lesion.kind == "haemorrhagic":
        bright = white + max(0.6, lesion.enhancement) * (blood - white)
    core_level = fluid + lesion.core * (white - fluid)
    texture = 1 + lesion.texture * smooth_noise(rng, level.shape, 3.0)
    value = np.full(level.shape, bright, dtype=np.float32) * texture
    core = np.zeros(level.shape, dtype=np.float32)
    if lesion.kind == "ring":
        radius = lesion.diameter_mm / 2
        wave = smooth_noise(rng, level.shape, max(3.0, 0.6 * radius / host.spacing_mm[0]))
        thickness = lesion.rim_mm * (1 + lesion.rim_variation * wave)
        core = np.clip(0.5 - (level + thickness), 0, 1).astype(np.float32)
        soft = 1 + 0.5 * lesion.texture * smooth_noise(rng, level.shape, 4.0)
        value += core * (np.float32(core_level) * soft - value)
    elif lesion.kind == "patchy":
        wave = smooth_noise(rng, level.shape, float(np.clip(0.17 * lesion.diameter_mm, 3.0, 9.0)))
        wave += 0.5 * smooth_noise(rng, level.shape, 3.0)
        core = np.clip(0.5 + 1.5 * (wave - 1.2 + 2.0 * lesion.rim_variation), 0, 1)
        value += core * (np.float32(core_level) * texture - value)
    elif lesion.kind == "haemorrhagic":
        blot = np.clip(0.5 + 0.6 * smooth_noise(rng, level.shape, 4.0), 0, 1)
        value *= 1 - 0.45 * blot
    part = host.image[spot.box]
    part += spot.fill * (value - part)
    return (core > 0.5) & spot.inside


def _blend_halo(
    host: Host, spot: _Spot, room: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Darken the oedema around the lesion; return where it is."""
    lesion, level, fill = spot.lesion, spot.level, spot.fill
    fluid, white, _ = host.levels(spot.box)
    wave = smooth_noise(rng, level.shape, 9.0)
    width = np.maximum(lesion.oedema_mm * (1 + 0.3 * wave), 0.1)
    spread = host.halo(spot.box) * room
    share = np.clip((width * (0.25 + 0.75 * spread) - level) / 3.0 + 0.5, 0, 1) * spread
    share *= 1 - fill
    target = white + 0.75 * lesion.oedema_strength * (fluid - white)
    part = host.image[spot.box]
    # Oedema draws tissue towards one dark level and never brightens what is darker.
    part += np.minimum(np.float32(0.95) * share * (target - part), 0)
    return (share > 0.5) & (fill < 0.5)
