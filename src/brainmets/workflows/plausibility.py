"""Whether an image is what it is taken for, told from its content and not from its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain.errors import NotBrainMr
from brainmets.preprocessing.background import sample_places
from brainmets.workflows.head_facts import head_facts
from brainmets.workflows.orientation import better_turn
from brainmets.workflows.slice_plausibility import doubts_of_slices, slice_facts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from brainmets.domain import Case, Sequence, Volume
    from brainmets.inference.anatomy import Anatomy, AnatomyNetwork
    from brainmets.workflows.head_facts import HeadFacts

__all__ = [
    "CT_WARNING",
    "Finding",
    "check_plausibility",
    "has_no_contrast_medium",
    "holds_ct_numbers",
    "refuse_or_warn",
    "sequence_seen",
]

SAMPLED = 200_000
"""Voxels that shares are taken from."""

CT_AIR = (-1100.0, -900.0)
"""Air in Hounsfield units."""

CT_TISSUE = (0.0, 90.0)
"""Brain and fluid in Hounsfield units."""

CT_BONE = 200.0
"""Bone is brighter than this."""

LEAST_AIR, LEAST_TISSUE, LEAST_BONE = 0.1, 0.02, 0.005
"""Shares of the voxels that a CT scan of a head has of each, at least."""

PADDING = -3100.0
"""Scanners fill what lies outside their field of view with values down to about -3024."""

CT_WARNING = (
    "The values look like CT numbers (air at -1000, soft tissue just above 0): brainmets finds"
    " lesions in MR images only, and what it marks here means nothing."
)

LEAST_ALIKE = 0.5
"""Correlation of neighbouring pixels of the middle slice; above .9 in MR of heads, 0 in noise."""

LEAST_PIXELS = 48
"""Edge of a plane below which a head is too coarse for neighbouring pixels to agree."""

SMALL_ML, LARGE_ML, IMPOSSIBLE_ML = 850.0, 2050.0, 2600.0
"""Volume of the brain mask; 1080…1560 mL in adults' T1c scans, see `benchmarks.plausibility`."""

SHORTEST_MM = (98.0, 130.0, 95.0)
"""Extent of the brain: right to left, back to front, bottom to top; shorter is cut off."""

LARGEST_END = 0.5
"""Section at which the brain ends, as a share of its largest: beyond, it is cut off there."""

WIDEST = 0.97
"""Width over length of the brain; .70 to .90 in heads."""

HIGHEST = 1.08
"""Height over length of the brain; .65 to .95 in heads."""

SIDES = ("left", "right", "back", "front", "bottom", "top")

NAMES: dict[Contrast, str] = {"t2": "T2", "flair": "FLAIR", "pd": "proton density"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason to doubt an image: a sentence for the user, and whether it is certain.

    `kind` is one of ct, noise, no brain, no structure, size, cut off, axes, contrast, native,
    slices. What is certain is refused unless the user insists.
    """

    kind: str
    text: str
    certain: bool = False


def check_plausibility(
    case: Case,
    anatomy: Anatomy | None,
    *,
    network: AnatomyNetwork | None = None,
    sequence: Sequence = "t1c",
) -> tuple[Finding, ...]:
    """Return every reason to doubt that a case is MR of a whole human head of `sequence`.

    Args:
        case: what was read.
        anatomy: of its image `sequence`; without it, CT numbers and noise alone are recognised.
        network: labels turned copies where the axes are in doubt.
        sequence: what the image is taken for.
    """
    image = case.images.get(sequence) or next(iter(case.images.values()))
    if case.kind == "slices":
        return tuple(Finding(kind="slices", text=text) for text in doubts_of_slices(image))
    if any(holds_ct_numbers(one) for one in case.images.values()):
        return (Finding(kind="ct", text=CT_WARNING, certain=True),)
    if anatomy is None:
        return ()
    nothing = _no_brain(image, anatomy)
    return (nothing,) if nothing else _doubts_of_head(image, anatomy, network, sequence)


def _no_brain(image: Volume, anatomy: Anatomy) -> Finding | None:
    if _is_noise(image):
        text = "The image is noise: neighbouring voxels do not agree."
        return Finding(kind="noise", text=text, certain=True)
    if not anatomy.has_brain:
        text = f"Hardly any brain is in the picture: {anatomy.brain_ml:.0f} mL were found."
        return Finding(kind="no brain", text=text)
    return None


def _doubts_of_head(
    image: Volume, anatomy: Anatomy, network: AnatomyNetwork | None, sequence: Sequence
) -> tuple[Finding, ...]:
    facts = head_facts(anatomy, image)
    if facts.is_flat:
        text = (
            "No structure is in the picture: where cortex, white matter and ventricles would be,"
            " everything is equally bright."
        )
        return (Finding(kind="no structure", text=text),)
    shape = _doubts_of_shape(facts, anatomy, network)
    if any(finding.kind in {"axes", "size"} for finding in shape):
        return shape  # the structures are not where they seem to be: no word on the contrast
    return (*shape, *_doubts_of_contrast(facts, anatomy, sequence))


def has_no_contrast_medium(findings: Iterable[Finding]) -> bool:
    """Say whether the image looks like T1 without contrast medium."""
    return any(finding.kind == "native" for finding in findings)


def refuse_or_warn(findings: Iterable[Finding], *, force: bool) -> tuple[str, ...]:
    """Return the findings as warnings.

    Raises:
        NotBrainMr: one is certain, and `force` is not given.
    """
    found = tuple(findings)
    for finding in found:
        if finding.certain and not force:
            raise NotBrainMr(
                finding.text.rstrip("."),
                expected="an MR scan of a human brain, T1-weighted after contrast medium",
                remedy="check that the right file was given; --force (force=True) segments it"
                " all the same",
            )
    return tuple(finding.text for finding in found)


def _is_noise(volume: Volume) -> bool:
    axis = volume.geometry.slice_axis
    plane = np.take(volume.data, volume.data.shape[axis] // 2, axis=axis)
    return (
        min(plane.shape) >= LEAST_PIXELS
        and float(np.ptp(plane)) > 0
        and (slice_facts(plane).alike < LEAST_ALIKE)
    )


def _doubts_of_shape(
    facts: HeadFacts, anatomy: Anatomy, network: AnatomyNetwork | None
) -> tuple[Finding, ...]:
    width, length, height = facts.extent_mm
    turn = None if network is None else better_turn(anatomy, facts, network)
    if turn is not None:
        text = (
            f"The axes seem to contradict the anatomy: the head fits better {turn}."
            " Sides and places of lesions may be wrong; convert the scan again from its DICOM"
            " files."
        )
        return (Finding(kind="axes", text=text),)
    if facts.brain_ml > LARGE_ML:
        text = (
            f"What would be the brain has {facts.brain_ml:.0f} mL, more than a human brain has:"
            " is this a head?"
        )
        return (Finding(kind="size", text=text, certain=facts.brain_ml > IMPOSSIBLE_ML),)
    if width > WIDEST * length or height > HIGHEST * length:
        text = (
            f"What would be the brain is {width:.0f} mm wide, {length:.0f} mm long and"
            f" {height:.0f} mm high, which is not the shape of one: is this a head, and are its"
            " axes right?"
        )
        cut = _cut_off(facts)
        return (Finding(kind="cut off" if cut else "axes", text=cut or text),)
    cut = _cut_off(facts)
    return (Finding(kind="cut off", text=cut),) if cut else ()


def _cut_off(facts: HeadFacts) -> str:
    """Say how much of the brain is missing, empty where nothing is."""
    short = [
        f"{found:.0f} mm {name}"
        for found, least, name in zip(
            facts.extent_mm,
            SHORTEST_MM,
            ("from right to left", "from back to front", "from bottom to top"),
            strict=True,
        )
        if found < least
    ]
    ends = [name for name, end in zip(SIDES, facts.ends, strict=True) if end > LARGEST_END]
    if not short and not ends and facts.brain_ml >= SMALL_ML:
        return ""
    seen = [f"{facts.brain_ml:.0f} mL"]
    seen += short
    seen += [f"cut off at the {name}" for name in ends]
    return (
        f"Much of the brain seems to lie outside the picture ({', '.join(seen)}), or this is not"
        " an adult's head: lesions outside it cannot be found."
    )


def _doubts_of_contrast(
    facts: HeadFacts, anatomy: Anatomy, sequence: Sequence
) -> tuple[Finding, ...]:
    guess = guess_contrast(facts)
    if guess is None:
        return ()
    if sequence in {"t1c", "t1n"} and guess != "t1":
        text = (
            f"The contrast does not look like T1 but like {NAMES[guess]}: grey matter is not"
            f" darker than white matter. The image was read as {sequence}."
        )
        return (Finding(kind="contrast", text=text),)
    if sequence not in {"t1c", "t1n"}:
        text = (
            "The contrast looks like T1: grey matter is darker than white matter. The image was"
            f" read as {sequence}."
        )
        return (Finding(kind="contrast", text=text),) if is_clearly_t1(facts) else ()
    hint = enhancement_doubt(facts, anatomy) if sequence == "t1c" else ""
    return (Finding(kind="native", text=hint),) if hint else ()


def holds_ct_numbers(volume: Volume) -> bool:
    """Say whether an image is in Hounsfield units: air at -1000, soft tissue just above 0."""
    sample = volume.data.ravel()[sample_places(volume.data.size, SAMPLED)]
    imaged = sample[sample >= CT_AIR[0]]
    if not imaged.size or sample.min() < PADDING:
        return False
    air = np.mean((imaged >= CT_AIR[0]) & (imaged <= CT_AIR[1]))
    tissue = np.mean((imaged >= CT_TISSUE[0]) & (imaged <= CT_TISSUE[1]))
    bone = np.mean(imaged > CT_BONE)
    return bool(air >= LEAST_AIR and tissue >= LEAST_TISSUE and bone >= LEAST_BONE)


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

UNENHANCED_SINUSES = 1.05
"""The same of venous sinuses (75th percentile) in heads with their skull. Measured: .63 to .89 in
five T1 scans without contrast medium; with it 1.32 and more in four, 1.23 in six synthetic ones."""


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
    """Return a hint where no vessel is bright: the sinuses, or any where the skull is removed.

    Empty where there is no reason to doubt that contrast medium was given.
    """
    if anatomy.is_stripped:
        bright = facts.brightest >= UNENHANCED_BRIGHTEST
    else:
        bright = facts.sinuses is None or facts.sinuses[2] >= UNENHANCED_SINUSES
    if bright:
        return ""
    return (
        "No vessel is bright: this seems to be a T1 scan without contrast medium, in which"
        " metastases hardly show."
    )


def sequence_seen(image: Volume) -> Sequence | None:
    """Guess the sequence of a head from its content with the shipped anatomy network.

    None where no brain is found, where the structures are equally bright, and for proton density.
    """
    from brainmets.bundles import SHIPPED_ANATOMY
    from brainmets.inference.anatomy import AnatomyNetwork
    from brainmets.inference.anatomy_bundle import AnatomyBundle

    anatomy = AnatomyNetwork(AnatomyBundle.load(SHIPPED_ANATOMY)).locate(image)
    if not anatomy.has_brain:
        return None
    facts = head_facts(anatomy, image)
    contrast = None if facts.is_flat else guess_contrast(facts)
    if contrast == "t1":
        return "t1n" if enhancement_doubt(facts, anatomy) else "t1c"
    named: dict[Contrast, Sequence] = {"t2": "t2w", "flair": "t2f"}
    return named.get(contrast) if contrast is not None else None


def _ratios(facts: HeadFacts) -> tuple[float, float] | None:
    """Return cortex and cerebellum over deep grey matter, medians."""
    if facts.cortex is None or facts.deep_grey is None or facts.cerebellum is None:
        return None
    deep = max(facts.deep_grey[1], 1e-3)
    return facts.cortex[1] / deep, facts.cerebellum[1] / deep
