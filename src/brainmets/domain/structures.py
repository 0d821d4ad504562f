"""The coarse structures of the head that the anatomy network distinguishes."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["BRAIN_STRUCTURES", "MIRRORED_STRUCTURES", "Structure"]


class Structure(IntEnum):
    """One class of the anatomy network; sides are the patient's."""

    BACKGROUND = 0
    OUTSIDE_BRAIN = 1
    FLUID = 2
    LEFT_WHITE_MATTER = 3
    RIGHT_WHITE_MATTER = 4
    LEFT_CORTEX = 5
    RIGHT_CORTEX = 6
    LEFT_DEEP_GREY = 7
    RIGHT_DEEP_GREY = 8
    LEFT_VENTRICLE = 9
    RIGHT_VENTRICLE = 10
    MIDDLE_VENTRICLES = 11
    LEFT_CEREBELLUM = 12
    RIGHT_CEREBELLUM = 13
    BRAIN_STEM = 14
    VENOUS_SINUS = 15
    EYE = 16


BRAIN_STRUCTURES = tuple(
    s for s in Structure if Structure.LEFT_WHITE_MATTER <= s <= Structure.BRAIN_STEM
)
"""Parenchyma and ventricles; the fluid around the brain apart."""

MIRRORED_STRUCTURES: dict[Structure, Structure] = {
    s: Structure[s.name.replace("LEFT", "?").replace("RIGHT", "LEFT").replace("?", "RIGHT")]
    for s in Structure
}
"""What each structure is called in a mirrored head."""
