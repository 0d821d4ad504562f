"""The truth of a case whose slices are thicker than its truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.lesions import ENHANCING, NECROSIS, OEDEMA, Painted, PlacedLesion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.synthesis.acquisition import SlicePlan

__all__ = ["coarse_truth"]


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
