"""Two claims about U-Net++ and Attention U-Net, held against the figures, whatever comes out.

The rule is fixed before any figure is seen. The figure is the Dice of each reference lesion (0
where it is missed), averaged over the lesions of a stratum: it pays for finding and for
outlining. With the 95 % interval of the claimed advantage:

- confirmed: it lies wholly above 0, and false positives of that stratum are not shown to be more;
- refuted: it lies wholly below 0.02, so that an advantage worth having is excluded;
- undecided: anything else, too few lesions, patients or trainings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from brainmets.evaluation.statistics import Interval

if TYPE_CHECKING:
    from brainmets.evaluation.networks import NetworkComparison, NetworkRow

__all__ = [
    "ATTENTION",
    "CLAIMS",
    "FEWEST_LESIONS",
    "MARGIN",
    "NESTED",
    "RULE",
    "SEEDS_WANTED",
    "ClaimResult",
    "decide_claims",
]

ATTENTION, NESTED = "attention-unet", "unet-plus-plus"

MARGIN = 0.02
"""Dice: less than this is no advantage worth having."""

FEWEST_LESIONS = 20
"""Fewest lesions in a stratum for a conclusion."""

SEEDS_WANTED = 3
"""Fewest trainings of each network for a conclusion on architectures, not on weights."""

FEWEST_PATIENTS = 5
"""Patients or blocks: a bootstrap over fewer is not informative."""

CLAIMS = (
    "Attention U-Net is better on small metastases",
    "U-Net++ handles complex structures better",
)

RULE = (
    "Figure: Dice of each reference lesion, 0 where it is missed, averaged over the stratum. "
    "Confirmed when the 95 % interval of the claimed advantage is above 0 and false positives of "
    f"that stratum are not shown to be more; refuted when it is below {MARGIN}, which excludes "
    "an advantage worth having; undecided otherwise. Small is below 5 mm, else below 10 mm, else "
    f"the smallest third, the first with at least {FEWEST_LESIONS} lesions. Complex is the least "
    "spherical third and the most indented third; the claim must hold in both. No conclusion from "
    f"fewer than {SEEDS_WANTED} trainings of each network or {FEWEST_PATIENTS} patients or blocks."
)

Conclusion = Literal["confirmed", "refuted", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """One claim's conclusion, and the numbers it rests on.

    Attributes:
        advantage: Of the network the claim favours, in lesion Dice, by stratum.
        sensitivity: Of the same network, in sensitivity, by stratum.
        false_alarms: How many more a scan it has, by stratum.
        because: In one sentence.
    """

    claim: str
    verdict: Conclusion
    because: str
    advantage: dict[str, Interval]
    sensitivity: dict[str, Interval]
    false_alarms: dict[str, Interval]


def decide_claims(comparison: NetworkComparison) -> tuple[ClaimResult, ...]:
    """Hold both claims against a comparison of the two networks; none if it is of others."""
    if {comparison.a, comparison.b} != {ATTENTION, NESTED}:
        return ()
    small = _small_stratum(comparison)
    complex_ = (("sphericity", "least spherical third"), ("solidity", "most indented third"))
    return (
        _test(CLAIMS[0], comparison, ATTENTION, () if small is None else (small,)),
        _test(CLAIMS[1], comparison, NESTED, complex_),
    )


def _small_stratum(comparison: NetworkComparison) -> tuple[str, str] | None:
    """Return the strata name of the smallest lesions that are many enough."""
    for by, stratum in (
        ("small", "<5 mm"),
        ("small", "<10 mm"),
        ("size third", "smallest third"),
    ):
        row = comparison.row(by, stratum, "lesion dice")
        if row is not None and row.lesions >= FEWEST_LESIONS:
            return by, stratum
    return None


def _test(
    claim: str, comparison: NetworkComparison, favoured: str, strata: tuple[tuple[str, str], ...]
) -> ClaimResult:
    rows = {
        stratum: [
            comparison.row(by, stratum, figure)
            for figure in ("lesion dice", "sensitivity", "false positives per scan")
        ]
        for by, stratum in strata
    }
    sign = 1 if comparison.b == favoured else -1
    known = {
        name: [_signed(row, sign) for row in three if row is not None]
        for name, three in rows.items()
        if all(row is not None and row.lesions >= FEWEST_LESIONS for row in three)
    }
    reached: Conclusion = "undecided"
    if not strata or len(known) < len(strata):
        because = f"too few lesions: a conclusion needs {FEWEST_LESIONS} in each stratum"
    else:
        reached, because = _conclude(known)
        if any(by == "size third" for by, _ in strata):
            because += "; too few lesions are below 10 mm, so the smallest third is used instead"
        reached, because = _allowed(reached, because, comparison)
    return ClaimResult(
        claim=claim,
        verdict=reached,
        because=because,
        advantage={name: three[0] for name, three in known.items()},
        sensitivity={name: three[1] for name, three in known.items()},
        false_alarms={name: three[2] for name, three in known.items()},
    )


def _conclude(strata: dict[str, list[Interval]]) -> tuple[Conclusion, str]:
    above = {name for name, (dice, _, _) in strata.items() if dice.low > 0}
    paid = {name for name, (_, _, alarms) in strata.items() if alarms.low > 0}
    excluded = {name for name, (dice, _, _) in strata.items() if dice.high < MARGIN}
    worse = {name for name, (dice, _, _) in strata.items() if dice.high < 0}
    spoken = ", ".join(
        f"{name}: {dice.value:+.3f} [{dice.low:+.3f}, {dice.high:+.3f}]"
        for name, (dice, _, _) in strata.items()
    )
    if above == set(strata) and not paid:
        return "confirmed", f"its advantage in lesion Dice is shown ({spoken})"
    if excluded == set(strata):
        how = "the other network is better" if worse == set(strata) else f"below {MARGIN}"
        return "refuted", f"an advantage worth having is excluded, {how} ({spoken})"
    if above == set(strata):
        return "undecided", f"it is paid for with more false positives ({spoken})"
    return "undecided", f"the interval allows both ({spoken})"


def _allowed(
    reached: Conclusion, because: str, comparison: NetworkComparison
) -> tuple[Conclusion, str]:
    """Withdraw a conclusion that too few trainings or patients support."""
    fewest = min(len(comparison.seeds_a), len(comparison.seeds_b))
    lacking: list[str] = []
    if fewest < SEEDS_WANTED:
        lacking.append(f"{fewest} training{'s' * (fewest > 1)} of a network, not {SEEDS_WANTED}")
    if comparison.patients < FEWEST_PATIENTS:
        lacking.append(f"{comparison.patients} patients or blocks, not {FEWEST_PATIENTS}")
    if not lacking or reached == "undecided":
        return reached, because
    return "undecided", f"{' and '.join(lacking)}; these weights alone: {reached}, {because}"


def _signed(row: NetworkRow, sign: int) -> Interval:
    one = row.difference
    if sign > 0:
        return one
    return Interval(value=-one.value, low=-one.high, high=-one.low, n=one.n)
