"""From an anatomical label map to a T1c scan with metastases and its truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.volume import Mask, Volume
from brainmets.synthesis.acquisition import SlicePlan, acquire
from brainmets.synthesis.anatomy import CODES, Anatomy
from brainmets.synthesis.case import SyntheticCase
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.deformation import Deformation
from brainmets.synthesis.enhancement import Scene, Waves, paint_enhancement
from brainmets.synthesis.fields import generator, smooth_noise
from brainmets.synthesis.labels import Tissue
from brainmets.synthesis.lesions import (
    ENHANCING,
    NECROSIS,
    OEDEMA,
    Painted,
    PlacedLesion,
    paint_lesions,
)
from brainmets.synthesis.morphology import sample_at
from brainmets.synthesis.parameters import SynthesisParameters, sample_parameters
from brainmets.synthesis.store import anatomy_of
from brainmets.synthesis.surroundings import surroundings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.synthesis.parameters import LesionSite
    from brainmets.synthesis.shapes import ShapeLibrary

__all__ = ["render_head", "synthesize_head"]


def synthesize_head(
    labels: Mask | Anatomy,
    config: SynthesisConfig | None = None,
    seed: int = 0,
    *,
    shapes: ShapeLibrary | None = None,
) -> SyntheticCase:
    """Make one T1c head with metastases from a label map; the same arguments, the same voxels.

    The first head from a label map takes some 5 s more than the next: see `store`.
    """
    anatomy = labels if isinstance(labels, Anatomy) else anatomy_of(labels)
    config = config or SynthesisConfig()
    parameters = sample_parameters(config, seed)
    return render_head(anatomy, parameters, shapes=shapes, grid=config.grid)


def render_head(
    anatomy: Anatomy,
    parameters: SynthesisParameters,
    *,
    shapes: ShapeLibrary | None = None,
    grid: str = "isotropic",
) -> SyntheticCase:
    """Apply recorded parameters to a label map."""
    deformation = Deformation.of(anatomy, parameters)
    channels = deformation.apply(anatomy.packed)
    image = _tissue_image(channels, parameters)
    scene = Scene.of(channels, image, deformation, anatomy)
    paint_soft_parts(scene, parameters)
    if parameters.contrast_medium:
        paint_enhancement(scene, anatomy, parameters)
    host = HeadHost(scene, parameters)
    lesions = parameters.lesions if parameters.contrast_medium else ()
    painted = paint_lesions(host, lesions, library=shapes, seed=parameters.seed)
    return _finish(scene, parameters, painted, grid)


def _finish(
    scene: Scene, parameters: SynthesisParameters, painted: Painted, grid: str
) -> SyntheticCase:
    scan = parameters.acquisition
    geometry = scene.deformation.geometry
    keep = None
    if parameters.stripped:
        keep = _strip_mask(scene, parameters) | (painted.ids > 0)
    plan = None
    if scan.slice_mm > 1.05:
        plan = SlicePlan(geometry, axis=scan.slice_axis, slice_mm=scan.slice_mm, gap=scan.slice_gap)
    image = acquire(scene.image, parameters, plan)
    around = surroundings_of(
        scene, painted.classes, keep=keep, plan=plan if grid == "acquired" else None
    )
    if plan is not None:
        painted = coarse_truth(painted, plan, back=grid == "isotropic", geometry=geometry)
        if grid == "isotropic":
            image = plan.thin(image)
        else:
            geometry = plan.geometry
            if keep is not None:
                keep = plan.thicken(keep.astype(np.float32)) > 0.5
    if keep is not None:
        image *= keep
    image *= np.float32(scan.scale)
    return SyntheticCase(
        image=Volume(data=image, geometry=geometry),
        lesions=Mask(data=painted.ids, geometry=geometry),
        classes=Mask(data=painted.classes, geometry=geometry),
        surroundings=Mask(data=around, geometry=geometry),
        parameters=parameters,
        placed=painted.placed,
    )


def _tissue_image(
    channels: dict[str, NDArray[np.uint8]], parameters: SynthesisParameters
) -> NDArray[np.float32]:
    table = np.zeros(256, dtype=np.float32)
    for tissue in Tissue:
        table[tissue] = parameters.tissues[tissue.name.lower()]
    image = table[channels["tissue"]]
    rng = generator(parameters.seed, 7)
    texture = smooth_noise(rng, image.shape, 4.0)
    texture *= np.float32(parameters.texture)
    texture += np.float32(1.0)
    image *= texture
    # Folia: thin dark fissures across the cerebellar cortex.
    leaves = smooth_noise(rng, image.shape, (11.0, 5.0, 2.4))
    cortex = np.flatnonzero(channels["tissue"] == Tissue.CEREBELLAR_GREY)
    share = np.clip(leaves.reshape(-1)[cortex] - 0.25, 0, 1) * np.float32(parameters.folia)
    flat = image.reshape(-1)
    flat[cortex] += share * (table[Tissue.FLUID] - flat[cortex])
    return image


def _strip_mask(scene: Scene, parameters: SynthesisParameters) -> NDArray[np.bool_]:
    """Keep the brain and a rough margin of what lies about it, as strippers do."""
    rng = generator(parameters.seed, 9)
    rough = smooth_noise(rng, scene.image.shape, 14.0)
    rough *= np.float32(parameters.strip_roughness_mm)
    depth_scale, depth_offset = CODES["depth"]
    dura_scale, dura_offset = CODES["dura"]
    # Never more than 1 mm into the parenchyma, and along the inner skull a smooth cut.
    reach = np.maximum(rough + np.float32(parameters.strip_margin_mm), -1.0)
    near = scene.channels["depth"] > np.float32(depth_offset) - np.float32(depth_scale) * reach
    rough += np.float32(parameters.strip_skull_mm)
    rough *= np.float32(dura_scale)
    rough += np.float32(dura_offset)
    brain = scene.channels["depth"] > np.uint8(depth_offset + depth_scale)
    return brain | (near & (scene.channels["dura"] > rough))


class HeadHost:
    """A bent label map as a place for lesions."""

    def __init__(self, scene: Scene, parameters: SynthesisParameters) -> None:
        self.scene = scene
        self.image = scene.image
        self.spacing_mm = (1.0, 1.0, 1.0)
        levels = parameters.tissues
        self._levels = (levels["fluid"], levels["white"], parameters.blood)
        self._halo = np.zeros(256, dtype=np.float32)
        for tissue in (Tissue.WHITE, Tissue.WHITE_SPOT, Tissue.CEREBELLAR_WHITE):
            self._halo[tissue] = 1.0
        for tissue in (Tissue.GREY, Tissue.CEREBELLAR_GREY, Tissue.BRAINSTEM, Tissue.THALAMUS):
            self._halo[tissue] = 0.3
        self._brain = np.zeros(256, dtype=bool)
        for tissue in Tissue:
            fluid = tissue in {Tissue.FLUID, Tissue.VENTRICLE, Tissue.CHIASM}
            self._brain[tissue] = Tissue.WHITE <= tissue <= Tissue.WHITE_SPOT and not fluid

    def candidates(self, site: LesionSite, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw voxels at random and keep those of the site."""
        channels = self.scene.channels
        index = rng.integers(self.image.size, size=60_000)
        tissue = channels["tissue"].reshape(-1)[index]
        depth = self.scene.mm("depth", index)
        fits = self._brain[tissue] & (depth > 0.5)
        cerebellar = (tissue == Tissue.CEREBELLAR_WHITE) | (tissue == Tissue.CEREBELLAR_GREY)
        if site == "cerebellum":
            fits &= cerebellar
        elif site == "brainstem":
            fits &= tissue == Tissue.BRAINSTEM
        elif site == "deep":
            fits &= (tissue >= Tissue.THALAMUS) & (tissue <= Tissue.VENTRAL_DC)
        elif site == "white":
            fits &= (tissue == Tissue.WHITE) & (self.scene.mm("white", index) > 2.5)
        elif site == "junction":
            fits &= (tissue <= Tissue.GREY) & (np.abs(self.scene.mm("white", index)) < 1.6)
        else:
            fits &= (tissue == Tissue.GREY) & (
                self.scene.mm("dura", index) < (5.0 if site == "dural" else 99.0)
            )
        return np.stack(np.unravel_index(index[fits], self.image.shape), axis=1)

    def allowed(self, box: tuple[slice, ...]) -> NDArray[np.bool_]:
        """Parenchyma, and the sulcal fluid that a growing lesion displaces."""
        scale, offset = CODES["depth"]
        tissue = self.scene.channels["tissue"][box]
        near = self.scene.channels["depth"][box] > np.uint8(offset - 0.8 * scale)
        return (self._brain[tissue] | (near & (tissue == Tissue.FLUID))) & (
            self.scene.normal[box] < 128
        )

    def halo(self, box: tuple[slice, ...]) -> NDArray[np.float32]:
        """White matter takes oedema, grey a little, fluid none."""
        return self._halo[self.scene.channels["tissue"][box]]

    def make_room(self, centre: NDArray[np.float32], radius_mm: float, strength: float) -> None:
        """Push the tissue about `centre` outwards, as a growing lesion does."""
        reach = 2.2 * radius_mm
        low = np.maximum(np.floor(centre - reach).astype(int), 0)
        high = np.minimum(np.ceil(centre + reach).astype(int) + 1, self.image.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        away = np.stack(
            np.meshgrid(
                *(np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True)),
                indexing="ij",
            )
        ).astype(np.float32)
        distance = np.maximum(np.sqrt((away**2).sum(axis=0)), 1e-3)
        fade = np.clip(1 - distance / reach, 0, 1) ** 2
        # Pull from nearer the centre, never from beyond it.
        inward = np.minimum(np.float32(strength * radius_mm) * fade, 0.7 * distance)
        shift = (away * (-inward / distance)).astype(np.float32)
        at = shift + (away + (centre - low).astype(np.float32)[:, None, None, None])
        self.image[box] = sample_at(self.image[box], at)
        near = tuple(
            np.clip(np.rint(axis), 0, n - 1).astype(np.int32)
            for axis, n in zip(at, distance.shape, strict=True)
        )
        moved = (*self.scene.channels.values(), self.scene.normal, self.scene.vessels)
        for channel in moved:
            channel[box] = channel[box][near]

    def levels(self, box: tuple[slice, ...]) -> tuple[float, float, float]:
        """The same all over a head from labels."""
        del box
        return self._levels


def coarse_truth(painted: Painted, plan: SlicePlan, *, back: bool, geometry: Geometry) -> Painted:
    """Carry masks through the slices as the image goes, each lesion keeping its volume.

    A reader outlines what the slices show: a lesion thinner than a slice fills its slice in
    part, so the fullest voxels that hold its volume, at least one, are its mask.
    """
    shape = geometry.shape if back else plan.geometry.shape
    ids = np.zeros(shape, dtype=np.uint16)
    classes = np.zeros(shape, dtype=np.uint8)
    ratio = 1.0 if back else geometry.voxel_volume_mm3 / plan.geometry.voxel_volume_mm3
    oedema = _carry((painted.classes == OEDEMA).astype(np.float32), plan, back=back)
    classes[oedema > 0.5] = OEDEMA
    placed: list[PlacedLesion] = []
    axis = plan.axis
    for lesion in painted.placed:
        where = np.nonzero(painted.ids == lesion.id)
        box = [slice(int(a.min()), int(a.max()) + 1) for a in where]
        box[axis] = slice(None)  # slices reach beyond the lesion
        core = painted.ids[tuple(box)] == lesion.id
        share = _carry(core.astype(np.float32), plan, back=back)
        share[ids[tuple(box)] > 0] = 0
        count = max(1, round(lesion.voxels * ratio))
        count = min(count, max(1, int(np.count_nonzero(share > 1e-3))))
        inside = np.zeros(share.shape, dtype=bool)
        inside.reshape(-1)[np.argpartition(share.reshape(-1), -count)[-count:]] = True
        necrosis = core & (painted.classes[tuple(box)] == NECROSIS)
        dead = _carry(necrosis.astype(np.float32), plan, back=back) > 0.5 * share
        ids[tuple(box)][inside] = lesion.id
        classes[tuple(box)][inside] = np.where(dead[inside], NECROSIS, ENHANCING)
        volume = count * (plan.geometry if not back else geometry).voxel_volume_mm3
        centre = list(lesion.centre_voxel)
        if not back:
            spacing = plan.geometry.spacing_mm[axis] / geometry.spacing_mm[axis]
            centre[axis] = (centre[axis] + 0.5) / spacing - 0.5
        placed.append(
            replace(
                lesion,
                voxels=count,
                volume_mm3=volume,
                centre_voxel=(centre[0], centre[1], centre[2]),
            )
        )
    return Painted(ids=ids, classes=classes, placed=tuple(placed))


def _carry(mask: NDArray[np.float32], plan: SlicePlan, *, back: bool) -> NDArray[np.float32]:
    thick = plan.thicken(mask)
    return plan.thin(thick) if back else thick


HOSTS = (Tissue.BONE, Tissue.MARROW, Tissue.SOFT, Tissue.MUCOSA)
"""Where an island of fat may lie."""
DEEP_MM = 12.0
IN_BONE = 2.0
"""So many islands in bone for one elsewhere."""
BASE_MM = 35.0
"""About the clivus and dens: the deviation of where most of them lie."""
ELSEWHERE = 0.15
RADIUS_MM = (1.5, 8.0)
LEVEL = (0.95, 2.2)
"""Brightness of an island, in units of white matter."""
SHELLED = 0.5
"""Share of islands within a shell of dense bone."""
BRIGHT_SELLA = 0.5
"""Share of heads with fat in the dorsum sellae or a bright posterior pituitary."""


def paint_soft_parts(scene: Scene, parameters: SynthesisParameters) -> None:
    """Tell fat from muscle under the skin, and let mucosa, skin and muscle take up contrast."""
    if parameters.stripped:
        return
    rng = generator(parameters.seed, 8)
    tissue = scene.channels["tissue"].reshape(-1)
    image = scene.image.reshape(-1)
    levels, amount = parameters.tissues, parameters.enhancement
    index = np.flatnonzero(tissue == Tissue.SOFT)
    at = scene.coordinates(index)
    under_skin = scene.mm("skin", index)
    thick = rng.uniform(3.0, 9.0) * (1 + 0.3 * Waves(rng, 20.0)(at))
    fat = np.clip((thick - under_skin) / 2 + 0.5, 0, 1)
    planes = np.abs(Waves(rng, 5.0)(at))  # fascia between muscles: where the waves cross zero
    fat = np.maximum(fat, np.clip((0.35 - planes) * 4, 0, 1)).astype(np.float32)
    image[index] += fat * np.float32(levels["fat"] - levels["soft"])
    _paint_islands(scene, parameters)
    if not parameters.contrast_medium:
        return
    blood = parameters.blood
    for part, name in (
        (Tissue.MUCOSA, "mucosa"),
        (Tissue.SKIN, "skin"),
        (Tissue.EYE_MUSCLE, "muscle"),
    ):
        index = np.flatnonzero(tissue == part)
        wave = np.clip(0.6 + 0.4 * Waves(rng, 5.0)(scene.coordinates(index)), 0, 1.2)
        share = np.float32(amount[name]) * wave.astype(np.float32)
        image[index] += share * (np.float32(blood) - image[index])
    index = np.flatnonzero(tissue == Tissue.MARROW)
    wave = np.clip(1 + 0.35 * Waves(rng, 8.0)(scene.coordinates(index)), 0.2, 1.8)
    image[index] *= wave.astype(np.float32)


def _paint_islands(scene: Scene, parameters: SynthesisParameters) -> None:
    """Put round islands of fat into bone and between muscles, away from the skin.

    They stand for fatty marrow in clivus, dens, vertebrae and petrous bone and for fat in the deep
    spaces of the face: as bright as a lesion, and as round, with or without contrast medium.
    """
    if not parameters.fat_islands:
        return
    rng = generator(parameters.seed, 10)
    tissue = scene.channels["tissue"].reshape(-1)
    places = rng.integers(tissue.size, size=400_000)
    places = places[np.isin(tissue[places], HOSTS)]
    places = places[scene.mm("skin", places) > DEEP_MM]
    in_bone = np.isin(tissue[places], (Tissue.BONE, Tissue.MARROW))
    weights = np.where(in_bone, IN_BONE / max(in_bone.sum(), 1), 1 / max((~in_bone).sum(), 1))
    base = scene.landmarks["sella"] + np.array([0.0, -10.0, -30.0])
    away = np.square(scene.coordinates(places) - base).sum(axis=1)
    weights *= ELSEWHERE + np.exp(-away / (2 * BASE_MM**2))
    number = min(parameters.fat_islands, len(places))
    chosen = rng.choice(places, size=number, replace=False, p=weights / weights.sum())
    for centre in scene.coordinates(chosen):
        shell = rng.uniform(0.7, 2.0) if rng.uniform() < SHELLED else 0.0
        _paint_island(scene, parameters, rng, centre, rng.uniform(*RADIUS_MM), shell_mm=shell)
    if rng.uniform() < BRIGHT_SELLA:
        centre = scene.landmarks["sella"] + rng.normal(0.0, 2.0, 3)
        _paint_island(scene, parameters, rng, centre, rng.uniform(1.2, 3.5), anywhere=True)


def _paint_island(
    scene: Scene,
    parameters: SynthesisParameters,
    rng: np.random.Generator,
    centre: NDArray[np.floating],
    radius_mm: float,
    *,
    shell_mm: float = 0.0,
    anywhere: bool = False,
) -> None:
    """Blend one rough ellipsoid into the image, where a host of it is unless `anywhere`."""
    image, levels = scene.image, parameters.tissues
    radii = radius_mm * np.exp(rng.normal(0.0, 0.25, 3))
    level = levels["white"] * rng.uniform(*LEVEL)
    reach = 1.5 * radii + shell_mm + 1
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, image.shape)
    if (low >= high).any():
        return
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    from_centre = np.sqrt((((at - centre) / radii) ** 2).sum(axis=-1))
    wave = Waves(rng, radius_mm)(at.reshape(-1, 3)).reshape(from_centre.shape)
    inside_mm = (1 + 0.15 * wave - from_centre) * radius_mm
    host = anywhere | np.isin(scene.channels["tissue"][box], HOSTS)
    layers = ((shell_mm, levels["bone"]), (0.0, level)) if shell_mm else ((0.0, level),)
    for depth, value in layers:
        share = np.clip(inside_mm + depth + 0.5, 0, 1) * host
        image[box] += share.astype(np.float32) * (np.float32(value) - image[box])
