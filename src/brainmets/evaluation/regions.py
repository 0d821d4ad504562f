"""Which labels make up the regions that are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BRATS_REGIONS", "REGION_SCHEMES", "RegionScheme", "region_mask"]

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
