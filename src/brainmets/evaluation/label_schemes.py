"""What the numbers in a mask mean, checked before they are scored as tumour regions.

BraTS of 2017 to 2021 writes enhancing tumour as 4, BraTS-METS as 3 (4 is the resection cavity
there). Other masks are 0 and 1, or number their lesions. Taken for BraTS-METS labels, each scores
another region than was drawn, and an empty region on both sides scores as perfect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain import Mask
from brainmets.domain.errors import LabelsUnknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "BRATS_REGIONS",
    "REGION_SCHEMES",
    "LabelFacts",
    "LabelScheme",
    "RegionScheme",
    "check_labels",
    "facts_of",
    "region_mask",
    "relabelled",
]

LabelScheme = Literal["auto", "brats-mets", "brats-2021", "lesions"]
"""`auto`: BraTS-METS labels, refused where they look like another scheme. `brats-mets`: those, and
no doubt about it. `brats-2021`: 1, 2 and 4, which becomes 3. `lesions`: every label above 0 is a
lesion, taken as enhancing tumour (3)."""

ENHANCING, OLD_ENHANCING = 3, 4
BRATS_METS, BRATS_2021 = frozenset({1, 2, 3, 4}), frozenset({1, 2, 4})
EXPECTED = "the labels of BraTS-METS: 1 non-enhancing core, 2 oedema, 3 enhancing, 4 cavity"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFacts:
    """The labels of one mask; `numbered` if it looks like lesions numbered from 1.

    That is: two labels or more, with gaps where a reader rejected some, each in one piece that
    touches no other.
    """

    labels: frozenset[int]
    numbered: bool

    @property
    def has_oedema(self) -> bool:
        """Whether the labels look like those of BraTS, oedema among them."""
        return not self.numbered and {2} < self.labels <= BRATS_METS

    @property
    def drawn(self) -> bool:
        """Whether the mask holds anything."""
        return bool(self.labels)


def facts_of(mask: Mask) -> LabelFacts:
    """Look at the labels of a mask."""
    import cc3d

    labels = frozenset(np.unique(mask.data).tolist()) - {0}
    numbered = len(labels) > 1
    if numbered:
        whole = np.asarray(mask.data, dtype=np.uint32)
        _, pieces = cc3d.connected_components(whole, connectivity=26, return_N=True)
        binary = (whole > 0).astype(np.uint8)
        _, groups = cc3d.connected_components(binary, connectivity=26, return_N=True)
        numbered = int(pieces) == int(groups) == len(labels)
    return LabelFacts(labels=labels, numbered=numbered)


def relabelled(mask: Mask, scheme: LabelScheme, name: str) -> Mask:
    """Return the mask in the labels of BraTS-METS.

    Raises:
        LabelsUnknown: it holds labels that the scheme has not.
    """
    if scheme == "lesions":
        return Mask(data=(mask.data > 0).astype(np.uint8) * ENHANCING, geometry=mask.geometry)
    known = BRATS_2021 if scheme == "brats-2021" else BRATS_METS
    strange = sorted(frozenset(np.unique(mask.data).tolist()) - known - {0})
    if strange:
        raise LabelsUnknown(
            f"labels {_listed(strange)} in {name}",
            expected="labels 1, 2 and 4 of BraTS up to 2021"
            if scheme == "brats-2021"
            else EXPECTED,
            remedy="score every label as a lesion with --regions binary, or say what the labels"
            " mean with --reference-labels and --prediction-labels",
        )
    if scheme == "brats-2021":
        data = np.where(mask.data == OLD_ENHANCING, ENHANCING, mask.data).astype(np.uint8)
        return Mask(data=data, geometry=mask.geometry)
    return mask


def check_labels(masks: Iterable[LabelFacts], side: str) -> None:
    """Refuse masks of a side, reference or prediction, that are BraTS-METS by number only.

    Judged over all masks of a side: one with label 1 alone is possible, a side of them is not.

    Raises:
        LabelsUnknown: they look like another scheme.
    """
    drawn = [one for one in masks if one.drawn]
    used = frozenset[int]().union(*(one.labels for one in drawn))
    numbered = [one for one in drawn if one.numbered]
    option = f"--{side}-labels"
    several = sum(len(one.labels) > 1 for one in drawn)
    if numbered and 2 * len(numbered) >= several:  # others may number lesions that touch
        raise LabelsUnknown(
            f"{side} masks that number their lesions (labels {_listed(sorted(used))})",
            expected=EXPECTED,
            remedy=f"score every label as a lesion with --regions binary, or as enhancing tumour"
            f" with {option} lesions; if they are BraTS-METS labels, say {option} brats-mets",
        )
    if used == frozenset({1}):
        raise LabelsUnknown(
            f"{side} masks of 0 and 1",
            expected=EXPECTED,
            remedy=f"score every label as a lesion with --regions binary, or as enhancing tumour"
            f" with {option} lesions; if 1 is non-enhancing core, say {option} brats-mets",
        )
    if used and not used & {ENHANCING, OLD_ENHANCING}:
        raise LabelsUnknown(
            f"{side} masks with labels {_listed(sorted(used))} and none with label 3",
            expected=EXPECTED,
            remedy=f"score every label as a lesion with --regions binary, or as enhancing tumour"
            f" with {option} lesions; if no mask has enhancing tumour, say {option} brats-mets",
        )
    if OLD_ENHANCING in used and ENHANCING not in used:
        raise LabelsUnknown(
            f"{side} masks with label 4 and none with label 3, as BraTS wrote them up to 2021",
            expected=EXPECTED,
            remedy=f"say {option} brats-2021 if 4 is enhancing tumour, {option} brats-mets if it is"
            " the resection cavity",
        )


def _listed(labels: list[int]) -> str:
    shown = ", ".join(map(str, labels[:8]))
    return f"{shown}, …" if len(labels) > 8 else shown


RegionScheme = Literal["brats", "binary"]
"""`brats`: ET, TC, WT and RC from labels 1–4. `binary`: one region, every label above 0, which
is also right for masks that number their lesions."""

BRATS_REGIONS: Mapping[str, tuple[int, ...]] = {
    "et": (3,),
    "tc": (1, 3),
    "wt": (1, 2, 3),
    "rc": (4,),
}
"""Label 1 is the non-enhancing core, 2 oedema, 3 enhancing, 4 the resection cavity."""

REGION_SCHEMES: Mapping[RegionScheme, Mapping[str, tuple[int, ...]]] = {
    "brats": BRATS_REGIONS,
    "binary": {"lesion": ()},
}
"""An empty tuple of labels stands for every label above 0."""


def region_mask(labels: NDArray[np.unsignedinteger], wanted: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the wanted labels are; where any is, if none is named."""
    if not wanted:
        return labels > 0
    mask = labels == wanted[0]
    for label in wanted[1:]:
        mask |= labels == label
    return mask
