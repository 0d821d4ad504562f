"""What synthesis must know of a head beyond its labels, worked out once per label map.

Eight 8-bit fields travel in one 64-bit volume, so that one gather deforms them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from brainmets.domain.errors import DatasetLayout
from brainmets.domain.geometry import Geometry
from brainmets.synthesis.fields import blur, stretch
from brainmets.synthesis.labels import BRAIN, LEFT, RIGHT, Tissue, tissues_of
from brainmets.synthesis.morphology import components, distance_mm, filled
from brainmets.synthesis.routes import VARIANTS, Routes, plan_routes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain.volume import Mask

__all__ = ["CHANNELS", "CODES", "OUTSIDE", "Anatomy", "decode"]

CHANNELS = (
    "tissue", "depth", "dura", "falx", "tentorium", "plexus", "white", "skin",
)  # fmt: skip
"""tissue: a Tissue. Distances in mm, see `decode`: depth: inside the parenchyma (negative
outside); dura: inside the inner skull (negative outside); falx and tentorium: from the sheet;
plexus: from the thalamus within the ventricles; white: inside the white matter (negative
outside); skin: below the surface of the head."""

# Field in mm = (code − offset) / scale; the range is (−offset … 255 − offset) / scale.
CODES = {
    "depth": (8.0, 112.0),
    "dura": (8.0, 64.0),
    "falx": (10.0, 0.0),
    "tentorium": (10.0, 0.0),
    "plexus": (16.0, 0.0),
    "white": (16.0, 128.0),
    "skin": (5.0, 0.0),
}
OUTSIDE = {"falx": 255, "tentorium": 255, "plexus": 255}
"""Codes far from any head; the other channels have 0 there."""
MARGIN_MM = 45
"""Below the lowest brain voxel nothing further down is kept: a usual scan ends there."""


def decode(channel: str, code: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a coded field in mm; the ends of the range mean "or more"."""
    scale, offset = CODES[channel]
    return (code.astype(np.float32) - np.float32(offset)) * np.float32(1.0 / scale)


def encode(channel: str, value_mm: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a field in mm as 8 bits, clipped to its range."""
    scale, offset = CODES[channel]
    return np.clip(np.rint(value_mm * scale + offset), 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anatomy:
    """A labelled head at 1 mm in RAS+ order, with the fields and routes that synthesis paints by.

    `packed` is uint64 (i, j, k), its bytes the CHANNELS in order; `brain_box` the bounding
    box (start, stop) of the brain; `landmarks` voxel positions such as "sella".
    """

    packed: NDArray[np.uint64]
    geometry: Geometry
    brain_box: tuple[tuple[int, int, int], tuple[int, int, int]]
    landmarks: Mapping[str, NDArray[np.float32]]
    routes: Mapping[str, Routes]

    @classmethod
    def of(cls, labels: Mask, *, quick: bool = False) -> Self:
        """Work the fields out of a label map, FreeSurfer numbers at about 1 mm; 5 to 8 s.

        `quick` takes 2 s: distances at 2 mm and one set of vessel routes.

        Raises:
            DatasetLayout: there is no brain in the label map, or its voxels are not about 1 mm.
        """
        spacing = np.array(labels.geometry.spacing_mm)
        if np.abs(spacing - 1.0).max() > 0.2:
            raise DatasetLayout(
                f"a label map with voxels of {spacing.round(2).tolist()} mm",
                expected="voxels of 1 mm",
                remedy="resample the label map to 1 mm with nearest neighbours first",
            )
        data, geometry = _head(labels)
        tissue = tissues_of(data)
        fields = _fields(data, tissue, coarse=quick)
        packed = np.zeros(geometry.shape, dtype=np.uint64)
        as_bytes = packed.view(np.uint8).reshape(*geometry.shape, 8)
        for index, name in enumerate(CHANNELS):
            as_bytes[..., index] = tissue if name == "tissue" else encode(name, fields[name])
        inside = np.nonzero(fields["depth"] > 0)
        start, stop = (
            tuple(int(f(axis)) for axis in inside) for f in (np.min, np.max)
        )  # fmt: skip
        landmarks = _landmarks(data, tissue)
        return cls(
            packed=packed,
            geometry=geometry,
            brain_box=((start[0], start[1], start[2]), (stop[0] + 1, stop[1] + 1, stop[2] + 1)),
            landmarks=landmarks,
            routes=plan_routes(tissue, fields, landmarks, variants=1 if quick else VARIANTS),
        )

    def save(self, path: Path) -> None:
        """Keep the anatomy as an `.npz`, so that the next process need not work it out again."""
        arrays: dict[str, NDArray[np.generic]] = {
            "packed": self.packed,
            "affine": self.geometry.affine,
            "box": np.array(self.brain_box),
        }
        arrays |= {f"landmark.{name}": value for name, value in self.landmarks.items()}
        for name, routes in self.routes.items():
            arrays[f"route.{name}.points"] = routes.points
            arrays[f"route.{name}.parents"] = routes.parents
        with path.open("wb") as stream:
            np.savez(stream, **arrays)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read back what `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            packed = kept["packed"]
            start, stop = kept["box"].tolist()
            names = [key for key in kept.files if key.startswith("route.")]
            return cls(
                packed=packed,
                geometry=Geometry(shape=packed.shape, affine=kept["affine"]),
                brain_box=(tuple(start), tuple(stop)),
                landmarks={
                    key.removeprefix("landmark."): kept[key]
                    for key in kept.files
                    if key.startswith("landmark.")
                },
                routes={
                    name: Routes(
                        points=kept[f"route.{name}.points"], parents=kept[f"route.{name}.parents"]
                    )
                    for name in sorted({key.split(".")[1] for key in names})
                },
            )


def _head(labels: Mask) -> tuple[NDArray[np.uint16], Geometry]:
    """Turn to RAS+ and crop to the head, the neck cut off below the skull base."""
    axes = labels.geometry.closest_axes
    order = [next(v for v in range(3) if axes[v][0] == ras) for ras in range(3)]
    flips = tuple(axes[v][1] < 0 for v in order)
    permutation = (order[0], order[1], order[2])
    geometry = labels.geometry.permuted(permutation, (flips[0], flips[1], flips[2]))
    data = np.flip(labels.data.transpose(permutation), tuple(a for a in range(3) if flips[a]))
    brain = np.isin(tissues_of(data), [t for t in BRAIN if t != Tissue.FLUID])
    if np.count_nonzero(brain) < 1000:
        raise DatasetLayout(
            "a label map without a brain",
            expected="FreeSurfer label numbers, such as 2 and 41 for white matter",
            remedy="give an anatomical label map, as from SynthSeg or FreeSurfer",
        )
    lowest = int(np.nonzero(brain.any(axis=(0, 1)))[0][0])
    data = data[:, :, max(0, lowest - MARGIN_MM) :]
    filled = np.nonzero(data > 0)
    start = np.maximum([int(axis.min()) - 2 for axis in filled], 0)
    stop = np.minimum([int(axis.max()) + 3 for axis in filled], data.shape)
    below = max(0, lowest - MARGIN_MM)
    corner = (int(start[0]), int(start[1]), int(start[2]) + below)
    size = tuple(int(n) for n in stop - start)
    data = np.ascontiguousarray(data[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))])
    return data.astype(np.uint16), geometry.cropped(corner, (size[0], size[1], size[2]))


def _distance(mask: NDArray[np.bool_], *, coarse: bool = False) -> NDArray[np.float32]:
    """Distance in mm from every voxel to the nearest one in `mask`; `coarse` works at 2 mm."""
    if not coarse:
        return distance_mm(~mask)
    small = distance_mm(~mask[::2, ::2, ::2], (2.0, 2.0, 2.0))
    return stretch(small, mask.shape, step=2.0)


def _signed(mask: NDArray[np.bool_], *, coarse: bool) -> NDArray[np.float32]:
    """Distance in mm to the border of `mask`, positive inside."""
    inside = _distance(~mask, coarse=coarse) - 0.5
    return np.where(mask, inside, 0.5 - _distance(mask, coarse=coarse))


def _fields(
    data: NDArray[np.uint16], tissue: NDArray[np.uint8], *, coarse: bool
) -> dict[str, NDArray[np.float32]]:
    """Work out every field in the box of the brain and pad it to the head."""
    parenchyma = np.isin(tissue, [t for t in BRAIN if t != Tissue.FLUID])
    spots, _ = components(parenchyma)
    sizes = np.bincount(spots.ravel())
    sizes[0] = 0
    parenchyma &= spots == int(sizes.argmax())
    where = np.nonzero(parenchyma)
    box = tuple(
        slice(max(0, int(a.min()) - 12), min(n, int(a.max()) + 13))
        for a, n in zip(where, tissue.shape, strict=True)
    )
    data, near, parenchyma = data[box], tissue[box], parenchyma[box]
    depth = _signed(parenchyma, coarse=coarse)
    # The inner skull is a smooth shell: brain, fluid and the vessels against them, closed.
    content = parenchyma | (np.isin(near, (Tissue.FLUID, Tissue.CHIASM)) & (depth > -9.0))
    content |= (near == Tissue.VEIN) & (depth > -7.0)
    smooth = blur(content.astype(np.float32), (1.5, 1.5, 1.5))
    dura = _signed(filled(smooth > 0.5), coarse=coarse)

    left = _distance(np.isin(data, LEFT), coarse=True)
    right = _distance(np.isin(data, RIGHT), coarse=True)
    cerebrum = np.minimum(left, right)
    below = np.isin(near, (Tissue.CEREBELLAR_WHITE, Tissue.CEREBELLAR_GREY))
    cerebellum = _distance(below, coarse=True)
    core = _distance(
        np.isin(near, (Tissue.THALAMUS, Tissue.VENTRAL_DC, Tissue.CAUDATE, Tissue.BRAINSTEM)),
        coarse=True,
    )
    # A sheet is where both neighbours are equally far; it must not cut what belongs together.
    falx = np.abs(left - right) * 0.5
    falx[(np.maximum(left, right) > 16.0) | (core < 9.0) | (near == Tissue.WHITE)] = 99.0
    tentorium = np.abs(cerebrum - cerebellum) * 0.5
    tentorium[(np.maximum(cerebrum, cerebellum) > 14.0) | (core < 4.0)] = 99.0

    plexus = _plexus(data, near)
    white = _signed(
        np.isin(near, (Tissue.WHITE, Tissue.WHITE_SPOT, Tissue.CEREBELLAR_WHITE)), coarse=coarse
    )
    padded = {
        "depth": (depth, -20.0), "dura": (dura, -20.0), "falx": (falx, 99.0),
        "tentorium": (tentorium, 99.0), "plexus": (plexus, 99.0), "white": (white, -20.0),
    }  # fmt: skip
    fields: dict[str, NDArray[np.float32]] = {}
    for name, (value, outside) in padded.items():
        fields[name] = np.full(tissue.shape, outside, dtype=np.float32)
        fields[name][box] = value
    skin = distance_mm(filled((tissue != Tissue.AIR)[::2, ::2, ::2]), (2.0, 2.0, 2.0))
    fields["skin"] = stretch(skin, tissue.shape, step=2.0)
    return fields


def _plexus(data: NDArray[np.uint16], near: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return mm from where choroid plexus hangs in each ventricle.

    That is the floor of the bodies behind the foramina, the temporal horns, the roof of the
    third and the back of the fourth.
    """
    plexus = np.full(data.shape, 99.0, dtype=np.float32)
    thalamus = near == Tissue.THALAMUS
    body = np.isin(data, (4, 43))
    if thalamus.any():
        front = int(np.nonzero(thalamus.any(axis=(0, 2)))[0].max())
        body[:, front + 2 :] = False
        plexus[body] = _distance(thalamus, coarse=True)[body]
    plexus[np.isin(data, (5, 44))] = 2.8
    third = np.argwhere(data == 14)
    if len(third):
        top = np.full(data.shape[:2], -1)
        np.maximum.at(top, (third[:, 0], third[:, 1]), third[:, 2])
        plexus[tuple(third.T)] = 0.5 + top[third[:, 0], third[:, 1]] - third[:, 2]
    fourth = np.argwhere(data == 15)
    if len(fourth):
        middle = np.median(fourth, axis=0)
        low = fourth[(fourth[:, 1] <= middle[1]) & (fourth[:, 2] <= middle[2])]
        plexus[tuple(low.T)] = 1.5
    return plexus


def _landmarks(
    data: NDArray[np.uint16], tissue: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    """Find the sella between the carotid siphons, and the glomus of either lateral ventricle."""
    found: dict[str, NDArray[np.float32]] = {}
    middle = float(np.argwhere(np.isin(data, (14, 15, 16)))[:, 0].mean())
    artery = np.argwhere(tissue == Tissue.ARTERY).astype(np.float32)
    if len(artery) > 50:
        top = artery[artery[:, 2] > artery[:, 2].max() - 14.0]
        for side, keep in (("left", top[:, 0] < middle), ("right", top[:, 0] >= middle)):
            if keep.sum() > 5:
                found[f"siphon.{side}"] = top[keep].mean(axis=0)
    if "siphon.left" in found and "siphon.right" in found:
        sella = (found["siphon.left"] + found["siphon.right"]) / 2
    else:
        # Without arteries: ahead of the brain stem's upper end, a little below the chiasm.
        stem = np.argwhere(tissue == Tissue.BRAINSTEM).astype(np.float32)
        front = stem[stem[:, 1] > np.percentile(stem[:, 1], 98)].mean(axis=0)
        sella = front + np.array([0.0, 11.0, 0.0], dtype=np.float32)
        for side, sign in (("left", -1.0), ("right", 1.0)):
            found[f"siphon.{side}"] = sella + np.array([12.0 * sign, 0, 0], dtype=np.float32)
    found["sella"] = sella.astype(np.float32)
    chiasm = np.argwhere(tissue == Tissue.CHIASM)
    found["chiasm"] = (
        chiasm.mean(axis=0) if len(chiasm) else sella + np.array([0.0, 2.0, 9.0])
    ).astype(np.float32)
    for side, ventricles, thalamus in (("left", (4, 5), 10), ("right", (43, 44), 49)):
        end = np.argwhere(data == thalamus)[:, 1].min()
        body = np.argwhere(np.isin(data, ventricles)).astype(np.float32)
        atrium = body[np.abs(body[:, 1] - (end - 3)) < 6]
        if len(atrium) > 20:
            low = atrium[atrium[:, 2] <= np.median(atrium[:, 2]) + 2]
            found[f"glomus.{side}"] = low.mean(axis=0)
    return found
