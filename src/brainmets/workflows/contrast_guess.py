"""Which MR contrast a head has, told from the order of its structures' brightness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from brainmets.inference.anatomy import Anatomy
    from brainmets.workflows.head_facts import HeadFacts

__all__ = ["Contrast", "enhancement_doubt", "guess_contrast", "is_clearly_t1"]

Contrast = Literal["t1", "t2", "flair", "pd"]

CORTEX_BRIGHT, CORTEX_DOUBTFUL, MOST_ON_T1 = 0.98, 0.93, 0.98
"""Cortex over white matter nearby: other contrasts are above the first, or above the second with
a product of cortex and cerebellum over deep grey matter above the third. So 1 of 51 T1 scans with
contrast medium is doubted, and 3 of 34 of other contrasts are not (`benchmarks.plausibility`). The
product alone misleads where a large tumour changes the deep grey matter."""

CLEARLY_T1 = (0.92, 0.97)
"""Of the same two ratios: below both of these it is T1 for certain."""

T2_FLUID, T2_BRIGHTEST, FLAIR_FLUID = 0.95, 1.9, 0.8
"""Fluid around the brain on T2 is as bright as white matter or brighter, on FLAIR darker."""

UNENHANCED_BRIGHTEST = 1.22
"""Brightest vessels over white matter, below which no contrast medium is seen."""


def guess_contrast(facts: HeadFacts) -> Contrast | None:
    """Guess the contrast; None where too little of the structures is in the picture.

    T1 is separated from the others; T2, FLAIR and proton density hardly from each other.
    """
    ratios = _ratios(facts)
    if ratios is None:
        return None
    cortex, cerebellum = ratios
    assert facts.cortex is not None  # noqa: S101 - there are ratios of it
    over_white = facts.cortex[1]
    if over_white <= CORTEX_DOUBTFUL or (
        over_white <= CORTEX_BRIGHT and cortex * cerebellum <= MOST_ON_T1
    ):
        return "t1"
    fluid = 1.0 if facts.fluid is None else facts.fluid[1]
    if fluid >= T2_FLUID and facts.brightest >= T2_BRIGHTEST:
        return "t2"
    return "flair" if fluid <= FLAIR_FLUID else "pd"


def is_clearly_t1(facts: HeadFacts) -> bool:
    """Say whether both ratios are far on the side of T1."""
    ratios = _ratios(facts)
    return ratios is not None and ratios[0] < CLEARLY_T1[0] and ratios[1] < CLEARLY_T1[1]


def enhancement_doubt(facts: HeadFacts, anatomy: Anatomy) -> str:
    """Return a hint where no vessel is bright; for heads without skull alone, whose fat is bright.

    Empty where there is no reason to doubt that contrast medium was given.
    """
    if not anatomy.is_stripped or facts.brightest >= UNENHANCED_BRIGHTEST:
        return ""
    return (
        "No vessel is bright: this may be a T1 scan without contrast medium, in which metastases"
        " hardly show."
    )


def _ratios(facts: HeadFacts) -> tuple[float, float] | None:
    """Return cortex and cerebellum over deep grey matter, medians."""
    if facts.cortex is None or facts.deep_grey is None or facts.cerebellum is None:
        return None
    deep = max(facts.deep_grey[1], 1e-3)
    return facts.cortex[1] / deep, facts.cerebellum[1] / deep
