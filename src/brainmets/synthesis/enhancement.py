"""What is normally bright after contrast medium: it must be in every negative.

Dural sinuses, falx, tentorium and dura come from the distance fields of the anatomy; plexus
from the ventricles; cavernous sinus, pituitary and stalk from landmarks; vessels from routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.anatomy import CODES, decode
from brainmets.synthesis.fields import generator
from brainmets.synthesis.labels import Tissue
from brainmets.synthesis.vessels import draw_tubes, grow_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from brainmets.synthesis.anatomy import Anatomy
    from brainmets.synthesis.deformation import Deformation
    from brainmets.synthesis.parameters import SynthesisParameters

    Level = Callable[[str], float]
    """Brightness of a named structure."""

__all__ = ["Scene", "Waves", "paint_enhancement"]

Amounts = dict[str, float]
"""Normal enhancement as recorded: strengths, millimetres and numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """The bent head being painted: channels and image on the output box, changed in place.

    `normal` marks (0…255) how much of a voxel is sinus, dura, plexus or gland: where no lesion
    grows; `vessels` how much of it is a vessel, which yields to one.
    """

    channels: Mapping[str, NDArray[np.uint8]]
    image: NDArray[np.float32]
    normal: NDArray[np.uint8]
    vessels: NDArray[np.uint8]
    deformation: Deformation
    landmarks: Mapping[str, NDArray[np.float32]]
    front: float
    back: float
    middle: float

    @classmethod
    def of(
        cls,
        channels: Mapping[str, NDArray[np.uint8]],
        image: NDArray[np.float32],
        deformation: Deformation,
        anatomy: Anatomy,
    ) -> Scene:
        """Bring the landmarks to where the head has been bent to."""
        names = list(anatomy.landmarks)
        moved = deformation.forward(np.stack([anatomy.landmarks[name] for name in names]))
        ends = np.array(anatomy.brain_box, dtype=float)
        centre = ends.mean(axis=0)
        two = np.stack([centre, centre])
        two[:, 1] = ends[:, 1]
        back, front = deformation.forward(two)
        return cls(
            channels=channels,
            image=image,
            normal=np.zeros(image.shape, dtype=np.uint8),
            vessels=np.zeros(image.shape, dtype=np.uint8),
            deformation=deformation,
            landmarks=dict(zip(names, moved, strict=True)),
            front=float(front[1]),
            back=float(back[1]),
            middle=float(moved[names.index("sella"), 0]),
        )

    def coordinates(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Voxel positions (n, 3) of flat indices."""
        return np.stack(np.unravel_index(index, self.image.shape), axis=1).astype(np.float32)

    def mm(self, channel: str, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """A field in mm at flat indices."""
        return decode(channel, self.channels[channel].reshape(-1)[index])

    def blend(
        self,
        index: NDArray[np.int64],
        share: NDArray[np.float32],
        value: float | np.floating | NDArray[np.float32],
        *,
        firm: bool = True,
    ) -> None:
        """Mix `value` into the image by `share` 0…1.

        Where it is `firm` no lesion grows; vessels yield to one.
        """
        flat = self.image.reshape(-1)
        flat[index] += share * (value - flat[index])
        mark = (self.normal if firm else self.vessels).reshape(-1)
        mark[index] = np.maximum(mark[index], (share * 255).astype(np.uint8))


class Waves:
    """Smooth noise at scattered points: a few random plane waves; mean 0, deviation 1."""

    def __init__(self, rng: np.random.Generator, length_mm: float, count: int = 8) -> None:
        self.vectors = (rng.standard_normal((3, count)) / length_mm).astype(np.float32)
        self.phases = rng.uniform(0, 2 * np.pi, count).astype(np.float32)

    def __call__(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Evaluate at (n, 3) voxel positions."""
        waves = points @ self.vectors
        waves += self.phases
        np.cos(waves, out=waves)
        return waves.sum(axis=1) * np.float32((2.0 / len(self.phases)) ** 0.5)


def _below(scene: Scene, channel: str, value_mm: float) -> NDArray[np.bool_]:
    scale, offset = CODES[channel]
    return scene.channels[channel] < np.uint8(np.clip(value_mm * scale + offset, 0, 255))


def paint_enhancement(scene: Scene, anatomy: Anatomy, parameters: SynthesisParameters) -> None:
    """Paint all normal enhancement into `scene.image`, in place."""
    rng = generator(parameters.seed, 4)
    amount = parameters.enhancement
    blood = np.float32(parameters.blood)
    base = np.float32(parameters.tissues["grey"])

    def level(name: str) -> float:
        return float(base + amount[name] * (blood - base))

    _paint_pia(scene, amount["pia"] * float(blood), rng)
    _paint_sheets(scene, amount, level, rng)
    _paint_skull_base(scene, amount, level, rng)
    _paint_plexus(scene, amount, level, rng)
    _paint_vessels(scene, anatomy, amount, level, rng)
    _paint_sinuses(scene, amount, level, rng)


def _paint_pia(scene: Scene, gain: float, rng: np.random.Generator) -> None:
    tissue, depth = scene.channels["tissue"], scene.channels["depth"]
    if gain <= 0:
        return
    scale, offset = CODES["depth"]
    near = (depth > np.uint8(offset - 1.6 * scale)) & (depth < np.uint8(offset + 0.4 * scale))
    index = np.flatnonzero(near & ((tissue == Tissue.FLUID) | (tissue == Tissue.GREY)))
    patchy = np.clip(0.5 + 0.6 * Waves(rng, 9.0)(scene.coordinates(index)), 0.0, 1.5)
    scene.image.reshape(-1)[index] += np.float32(0.35 * gain) * patchy


def _paint_sheets(scene: Scene, amount: Amounts, level: Level, rng: np.random.Generator) -> None:
    inside = ~_below(scene, "dura", -0.5)
    for sheet in ("falx", "tentorium"):
        if amount[sheet] <= 0:
            continue
        index = np.flatnonzero(_below(scene, sheet, 1.4) & inside)
        half = np.clip(0.35 + 0.2 * Waves(rng, 15.0)(scene.coordinates(index)), 0.05, 0.9)
        share = np.clip(half + 0.5 - scene.mm(sheet, index), 0, 1) * min(1.0, amount["dura_mm"])
        brain = scene.mm("depth", index) > 0.8  # the sheet lies between, not in, the banks
        share[brain] *= 0.25
        scene.blend(index, share.astype(np.float32), level(sheet))
    if amount["dura"] > 0:
        index = np.flatnonzero(~_below(scene, "dura", -1.2) & _below(scene, "dura", 1.6))
        wave = Waves(rng, 18.0)(scene.coordinates(index))
        half = np.clip(amount["dura_mm"] * (0.5 + 0.25 * wave), 0.0, 1.5)
        share = np.clip(half + 0.4 - np.abs(scene.mm("dura", index)), 0, 1)
        scene.blend(index, share.astype(np.float32), level("dura"))


def _paint_sinuses(scene: Scene, amount: Amounts, level: Level, rng: np.random.Generator) -> None:
    if amount["sinus"] <= 0:
        return
    shell = ~_below(scene, "dura", -2.5) & _below(scene, "dura", 9.0)
    bright = np.float32(level("sinus"))
    # Superior sagittal sinus: where the falx meets the skull; wider towards the back.
    index = np.flatnonzero(shell & _below(scene, "falx", 7.0))
    at = scene.coordinates(index)
    length = max(scene.front - scene.back, 1.0)
    backward = np.clip((scene.front - at[:, 1]) / length, 0, 1)
    above = (at[:, 2] > scene.landmarks["sella"][2] + 2) & (
        (backward > 0.15) | (at[:, 2] > scene.landmarks["sella"][2] + 15)
    )
    radius = amount["sinus_radius_mm"] * (0.4 + 0.6 * backward)
    radius *= 1 + 0.15 * Waves(rng, 20.0)(at)
    _paint_ridge(scene, index[above], scene.mm("falx", index[above]), radius[above], bright)
    # Transverse sinuses: where the tentorium meets the skull; petrosal ones ahead, thin.
    index = np.flatnonzero(shell & _below(scene, "tentorium", 7.0))
    at = scene.coordinates(index)
    behind = np.clip((scene.landmarks["sella"][1] - 28 - at[:, 1]) / 12, 0, 1)
    side = np.where(at[:, 0] < scene.middle, amount["sinus_left"], amount["sinus_right"])
    radius = amount["sinus_radius_mm"] * (0.25 + 0.75 * behind * side)
    radius *= 1 + 0.15 * Waves(rng, 15.0)(at)
    _paint_ridge(scene, index, scene.mm("tentorium", index), radius, bright)
    # Straight sinus and the confluence: where falx and tentorium meet.
    index = np.flatnonzero(_below(scene, "falx", 4.0) & _below(scene, "tentorium", 4.0))
    distance = np.hypot(scene.mm("falx", index), scene.mm("tentorium", index))
    share = np.clip(amount["straight_radius_mm"] + 0.5 - distance, 0, 1).astype(np.float32)
    scene.blend(index, share, bright)
    if amount["labelled_vein"] > 0:
        index = np.flatnonzero(scene.channels["tissue"] == Tissue.VEIN)
        wave = Waves(rng, 12.0)(scene.coordinates(index))
        share = np.clip(0.75 + 0.3 * wave, 0.1, 1.0).astype(np.float32)
        scene.blend(index, share, np.float32(level("labelled_vein")))


def _paint_ridge(
    scene: Scene,
    index: NDArray[np.int64],
    from_sheet: NDArray[np.float32],
    radius: NDArray[np.float32],
    bright: np.floating,
) -> None:
    """Fill a triangle whose base is on the skull and whose tip points along the sheet."""
    into = np.maximum(scene.mm("dura", index) + 0.5, 0.0)
    left = radius - from_sheet - 0.75 * into
    share = np.clip(left * 0.8 + 0.5, 0, 1) * (scene.mm("depth", index) < 2.5)
    scene.blend(index, share.astype(np.float32), bright)


def _ellipsoid(
    scene: Scene, centre: NDArray[np.float32], radii: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Flat indices around an ellipsoid and the share of each voxel inside it."""
    size = np.array(scene.image.shape)
    low = np.maximum(np.floor(centre - np.array(radii) - 2).astype(int), 0)
    high = np.minimum(np.ceil(centre + np.array(radii) + 3).astype(int), size)
    if np.any(low >= high):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    grid = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    ).reshape(-1, 3)
    scaled = np.linalg.norm((grid - centre) / np.array(radii), axis=1)
    share = np.clip((1.0 - scaled) * min(radii) + 0.5, 0, 1).astype(np.float32)
    index = np.ravel_multi_index(tuple(grid.T), scene.image.shape)
    return index[share > 0].astype(np.int64), share[share > 0]


def _paint_skull_base(
    scene: Scene, amount: Amounts, level: Level, rng: np.random.Generator
) -> None:
    tissue = scene.channels["tissue"].reshape(-1)
    for side in ("left", "right"):
        radii = (rng.uniform(3.5, 5.5), rng.uniform(7.0, 11.0), rng.uniform(4.0, 7.0))
        index, share = _ellipsoid(scene, scene.landmarks[f"siphon.{side}"], radii)
        free = (scene.mm("depth", index) < -0.3) & (tissue[index] != Tissue.ARTERY)
        wave = np.clip(1 + 0.15 * Waves(rng, 4.0)(scene.coordinates(index)), 0.5, 1.3)
        if amount["cavernous"] > 0:
            value = (level("cavernous") * wave).astype(np.float32)
            scene.blend(index[free], share[free], value[free])
    sella = scene.landmarks["sella"]
    if amount["pituitary"] > 0:
        radii = (rng.uniform(4.5, 7.5), rng.uniform(3.5, 6.0), rng.uniform(2.2, 4.5))
        index, share = _ellipsoid(scene, sella, radii)
        free = scene.mm("depth", index) < 0.5
        scene.blend(index[free], share[free], level("pituitary"))
    if amount["stalk"] > 0:
        line = np.linspace(0, 1, 30, dtype=np.float32)[:, None]
        top = scene.landmarks["chiasm"] + np.array([0, -3, 0], dtype=np.float32)
        points = sella * (1 - line) + top * line
        radii = np.full(len(points), rng.uniform(0.7, 1.5), dtype=np.float32)
        index, share = draw_tubes(scene.image.shape, points.astype(np.float32), radii)
        scene.blend(index, share, level("stalk"))
    # Carotids: bright blood or a flow void.
    if amount["artery_trunk"] > 0:
        index = np.flatnonzero(tissue == Tissue.ARTERY)
        scene.blend(index, np.ones(len(index), dtype=np.float32), level("artery_trunk"))


def _paint_plexus(scene: Scene, amount: Amounts, level: Level, rng: np.random.Generator) -> None:
    if amount["plexus"] <= 0:
        return
    bright = np.float32(level("plexus"))
    index = np.flatnonzero(_below(scene, "plexus", 7.0))
    wave = Waves(rng, 3.0)(scene.coordinates(index))
    thick = amount["plexus_mm"] * (0.8 + 0.5 * wave)
    share = np.clip(thick - scene.mm("plexus", index) + 0.9, 0, 1)
    scene.blend(index, (share * 0.9).astype(np.float32), bright)
    tissue = scene.channels["tissue"].reshape(-1)
    for side in ("left", "right"):
        if f"glomus.{side}" not in scene.landmarks:
            continue
        size = amount["glomus_mm"] * rng.uniform(0.6, 1.2)
        index, share = _ellipsoid(
            scene, scene.landmarks[f"glomus.{side}"], (0.8 * size, size, 1.3 * size)
        )
        wave = Waves(rng, 2.5)(scene.coordinates(index))
        share = share * (tissue[index] == Tissue.VENTRICLE) * np.clip(0.7 + 0.45 * wave, 0, 1)
        scene.blend(index, share.astype(np.float32), bright)


def _paint_vessels(
    scene: Scene, anatomy: Anatomy, amount: Amounts, level: Level, rng: np.random.Generator
) -> None:
    plans = (
        ("medullary", 0.2, 0.5),
        ("arteries", amount["arteries_radius_mm"], 1.7),
        ("veins", amount["veins_radius_mm"], 2.0),
        ("deep", amount["deep_radius_mm"], 1.6),
    )
    for name, radius, largest in plans:
        if amount[name] <= 0 or name not in anatomy.routes:
            continue
        points, radii = grow_tree(
            anatomy.routes[name],
            rng,
            terminals=int(amount[f"{name}_number"]),
            radius_mm=radius,
            largest_mm=largest,
            move=scene.deformation.forward,
        )
        index, share = draw_tubes(scene.image.shape, points, radii)
        if name == "medullary":
            share = share * np.float32(0.7)
        scene.blend(index, share, np.float32(level(name)), firm=False)
