"""The anatomical labels that synthesis understands, gathered into tissues that look alike."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BRAIN", "FREESURFER_TISSUES", "LEFT", "RIGHT", "Tissue", "tissues_of"]


class Tissue(IntEnum):
    """What a voxel is made of, as far as its brightness on T1c is concerned."""

    AIR = 0
    WHITE = 1
    GREY = 2
    FLUID = 3
    VENTRICLE = 4
    CEREBELLAR_WHITE = 5
    CEREBELLAR_GREY = 6
    THALAMUS = 7
    CAUDATE = 8
    PUTAMEN = 9
    PALLIDUM = 10
    HIPPOCAMPUS = 11
    AMYGDALA = 12
    ACCUMBENS = 13
    VENTRAL_DC = 14
    BRAINSTEM = 15
    CHIASM = 16
    WHITE_SPOT = 17
    ARTERY = 18
    VEIN = 19
    EYE = 20
    SOFT = 21
    EYE_MUSCLE = 22
    MUCOSA = 23
    SKIN = 24
    CORD = 25
    BONE = 26
    MARROW = 27
    OPTIC_NERVE = 28
    FAT = 29


BRAIN = tuple(range(Tissue.WHITE, Tissue.WHITE_SPOT + 1))
"""Everything inside the skull but vessels: parenchyma, fluid, ventricles."""

FREESURFER_TISSUES: dict[int, Tissue] = {
    **dict.fromkeys((2, 41), Tissue.WHITE),
    **dict.fromkeys((3, 42, 136, 137, 163, 164), Tissue.GREY),
    24: Tissue.FLUID,
    **dict.fromkeys((4, 43, 5, 44, 14, 15, 72), Tissue.VENTRICLE),
    **dict.fromkeys((7, 46), Tissue.CEREBELLAR_WHITE),
    **dict.fromkeys((8, 47), Tissue.CEREBELLAR_GREY),
    **dict.fromkeys((10, 49), Tissue.THALAMUS),
    **dict.fromkeys((11, 50), Tissue.CAUDATE),
    **dict.fromkeys((12, 51), Tissue.PUTAMEN),
    **dict.fromkeys((13, 52), Tissue.PALLIDUM),
    **dict.fromkeys((17, 53), Tissue.HIPPOCAMPUS),
    **dict.fromkeys((18, 54), Tissue.AMYGDALA),
    **dict.fromkeys((26, 58), Tissue.ACCUMBENS),
    **dict.fromkeys((28, 60), Tissue.VENTRAL_DC),
    16: Tissue.BRAINSTEM,
    85: Tissue.CHIASM,
    **dict.fromkeys((25, 57, 30, 62), Tissue.WHITE_SPOT),
    502: Tissue.ARTERY,
    514: Tissue.VEIN,
    506: Tissue.EYE,
    507: Tissue.SOFT,
    508: Tissue.EYE_MUSCLE,
    509: Tissue.MUCOSA,
    511: Tissue.SKIN,
    512: Tissue.CORD,
    515: Tissue.BONE,
    516: Tissue.MARROW,
    530: Tissue.OPTIC_NERVE,
}
"""FreeSurfer's numbers, and the extracerebral 5xx of the SynthSeg label maps; the rest is air."""

LEFT = (2, 3, 10, 11, 12, 13, 17, 18, 26)
"""Labels of the left cerebral hemisphere; its cerebellum apart."""
RIGHT = (41, 42, 49, 50, 51, 52, 53, 54, 58)

HIGHEST_LABEL = 1023


def tissues_of(labels: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """Return the tissue of every voxel; labels not known become air."""
    table = np.zeros(HIGHEST_LABEL + 1, dtype=np.uint8)
    for label, tissue in FREESURFER_TISSUES.items():
        table[label] = tissue
    return table[np.minimum(labels, np.array(HIGHEST_LABEL, dtype=np.uint16))]
