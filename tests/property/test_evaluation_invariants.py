"""What no scorer may ever get wrong, whatever the masks look like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from brainmets.evaluation import SCORERS, dice, match_lesions, paired_test, surface_distances
from brainmets.evaluation.borders import border_distances
from brainmets.evaluation.boxes import bounding_box, labelled_box
from brainmets.evaluation.own import score_brainmets

if TYPE_CHECKING:
    from brainmets.evaluation import RegionScore

SHAPE = (14, 12, 10)
REGIONS = {"et": (3,), "wt": (1, 2, 3)}
HEADLINE = {
    "brats-2023": "lesionwise_dice",
    "brats-2024": "lesionwise_dice",
    "brats-2026": "lesionwise_dsc_mean",
    "brainmets": "dice",
}


@st.composite
def labels(draw: st.DrawFn, *, room: int = 0) -> np.ndarray:
    """A few boxes of labels 1…3 that may touch, overlap or be missing."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    for _ in range(draw(st.integers(0, 4))):
        corner = [draw(st.integers(room, n - 2 - room)) for n in SHAPE]
        size = [draw(st.integers(1, 4)) for _ in SHAPE]
        box = tuple(
            slice(c, min(c + s, n - room)) for c, s, n in zip(corner, size, SHAPE, strict=True)
        )
        mask[box] = draw(st.integers(1, 3))
    return mask


spacings = st.tuples(*(st.sampled_from((0.5, 1.0, 1.25, 3.0)) for _ in range(3)))
scorers = st.sampled_from(sorted(SCORERS))


def numbers(scores: tuple[RegionScore, ...]) -> dict[str, float]:
    return {f"{one.region}_{name}": value for one in scores for name, value in one.values.items()}


def same(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value == pytest.approx(second[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@given(labels(), labels(), spacings, scorers, st.integers(0, 2))
def test_flips_change_nothing(reference, prediction, spacing, scorer, axis) -> None:
    score = SCORERS[scorer]
    assume(scorer != "brats-2024" or not _shares_a_core(reference, prediction))
    straight = score(reference, prediction, spacing, REGIONS)
    flipped = score(np.flip(reference, axis), np.flip(prediction, axis), spacing, REGIONS)
    same(numbers(straight), numbers(flipped))


def _shares_a_core(*masks: np.ndarray) -> bool:
    """2024 lets an enhancing lesion on two cores go with the lower-numbered: no symmetry there."""
    return any((mask == 1).any() and (mask == 3).any() for mask in masks)


@given(labels(room=2), labels(room=2), scorers, st.tuples(*(st.integers(-2, 2),) * 3))
def test_translations_change_nothing(reference, prediction, scorer, shift) -> None:
    score = SCORERS[scorer]
    moved = [np.roll(mask, shift, (0, 1, 2)) for mask in (reference, prediction)]
    spacing = (1.0, 1.0, 2.0)
    same(
        numbers(score(reference, prediction, spacing, REGIONS)),
        numbers(score(*moved, spacing, REGIONS)),
    )


@given(labels(), labels(), st.permutations(range(3)))
def test_axes_may_be_exchanged_together_with_their_spacing(reference, prediction, order) -> None:
    spacing = (0.5, 1.0, 3.0)
    turned = [np.transpose(mask, order) for mask in (reference, prediction)]
    straight = border_distances(reference > 0, prediction > 0, spacing)
    other = border_distances(turned[0] > 0, turned[1] > 0, tuple(spacing[n] for n in order))
    np.testing.assert_allclose(
        np.sort(straight.from_reference_mm), np.sort(other.from_reference_mm), rtol=1e-12
    )
    assume((reference > 0).any() and (prediction > 0).any())
    surfaces = [
        surface_distances(reference > 0, prediction > 0, spacing),
        surface_distances(turned[0] > 0, turned[1] > 0, tuple(spacing[n] for n in order)),
    ]
    assert surfaces[0].nsd(1.0) == pytest.approx(surfaces[1].nsd(1.0))


@given(labels(), labels(), st.permutations(range(1, 7)))
def test_lesion_ids_are_only_names(reference, prediction, names) -> None:
    """Numbered lesions score as the plain mask does, however they are numbered."""
    matching = match_lesions(reference > 0, prediction > 0)
    assume(matching.n_reference <= 6)
    renamed = np.concatenate(([0], names)).astype(np.uint8)[matching.reference_labels]
    binary = {"lesion": ()}
    same(
        numbers(score_brainmets(reference, prediction, (1.0, 1.0, 1.0), binary)),
        numbers(score_brainmets(renamed, prediction, (1.0, 1.0, 1.0), binary)),
    )


@given(labels(), labels(), spacings)
def test_swapping_swaps_sensitivity_and_precision(reference, prediction, spacing) -> None:
    there = numbers(score_brainmets(reference, prediction, spacing, REGIONS))
    back = numbers(score_brainmets(prediction, reference, spacing, REGIONS))
    for region in REGIONS:
        for one, other in (("sensitivity", "precision"), ("fn", "fp"), ("tp", "tp")):
            assert there[f"{region}_{one}"] == pytest.approx(back[f"{region}_{other}"], nan_ok=True)
        for figure in ("dice", "nsd_1mm", "hd95_mm", "f1"):
            assert there[f"{region}_{figure}"] == pytest.approx(back[f"{region}_{figure}"])
        error = f"{region}_volume_error_mm3"
        assert there[error] == pytest.approx(-back[error])


@given(labels(), spacings, scorers)
def test_perfect_is_one(mask, spacing, scorer) -> None:
    for region in SCORERS[scorer](mask, mask, spacing, REGIONS):
        value = region.values[HEADLINE[scorer]]
        assert value == 1.0 or (scorer == "brats-2026" and math.isnan(value))
        assert all(row.dice == 1.0 for row in region.lesions if row.outcome == "found")
        assert not any(row.outcome == "false positive" for row in region.lesions)


@given(labels(), labels())
def test_unequal_never_scores_one(reference, prediction) -> None:
    one, other = reference > 0, prediction > 0
    assume(not np.array_equal(one, other))
    assert dice(one, other) < 1.0
    (score,) = score_brainmets(reference, prediction, (1.0, 1.0, 1.0), {"lesion": ()})
    assert score.values["dice"] < 1.0
    assert score.values["hd95_mm"] >= 0.0


@given(labels(), labels(), scorers)
def test_scores_stay_in_their_range(reference, prediction, scorer) -> None:
    for region in SCORERS[scorer](reference, prediction, (1.0, 1.0, 2.0), REGIONS):
        for name, value in region.values.items():
            if any(part in name for part in ("dice", "dsc", "nsd", "f1", "sensitivity", "prec")):
                assert math.isnan(value) or -1e-12 <= value <= 1.0 + 1e-12, name
        found = sum(row.outcome == "found" for row in region.lesions)
        partners = {p for row in region.lesions for p in row.prediction_ids}
        assert found <= len(region.lesions)
        assert all(p > 0 for p in partners)


@given(labels(), labels(), st.sampled_from(("one-to-one", "any-overlap")))
def test_matching_is_symmetric(reference, prediction, rule) -> None:
    there = match_lesions(reference > 0, prediction > 0, rule=rule)
    back = match_lesions(prediction > 0, reference > 0, rule=rule)
    assert sum(there.dice) == pytest.approx(sum(back.dice))
    if rule == "any-overlap":
        assert set(there.pairs) == {(r, p) for p, r in back.pairs}
    assert len(there.found) + len(there.missed) == there.n_reference


@settings(max_examples=15)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.integers(0, 5))
def test_paired_test_is_antisymmetric(values, seed) -> None:
    a = np.array(values)
    b = np.random.default_rng(seed).permutation(a)
    there, back = paired_test(a, b), paired_test(b, a)
    assert there.difference.value == pytest.approx(-back.difference.value, abs=1e-12)
    assert there.p_flip == pytest.approx(back.p_flip)
    assert (there.better, there.worse) == (back.worse, back.better)
    assert there.difference.low <= there.difference.value + 1e-12


@given(
    labels(),
    labels(),
    st.sampled_from(("C", "F")),
    st.sampled_from((np.uint8, np.uint16, np.uint32)),
)
def test_skimming_misses_no_label(reference, prediction, order, kind) -> None:
    """The quick box holds the exact one, in any memory layout, and is empty when that is."""
    arrays = [np.asarray(mask, dtype=kind, order=order) for mask in (reference, prediction)]
    quick, exact = labelled_box(*arrays), bounding_box((reference | prediction) > 0)
    for wide, tight in zip(quick, exact, strict=True):
        assert wide.start <= tight.start or tight.stop == 0
        assert wide.stop >= tight.stop
    assert (quick[0].stop == 0) == (exact[0].stop == 0)
