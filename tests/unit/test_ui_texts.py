"""What the page says of a model, taken from its card."""

from __future__ import annotations

import pytest

from brainmets.inference import Bundle, list_bundles
from brainmets.ui.texts import quality

TRAINED = """# a

## Held-out test

Mean Dice per case **0.907** (95 % interval 0.885–0.929), 4 cases; 22 false positives a case; \
threshold 0.5.

## Limits

None.
"""
MEASURED = """# a

## Measured

`brainmets models measure a --data … --output …`:

Operating point: grow 0.7, peak 0.99, at least 0 mm³.

Mean Dice **0.912 [0.893, 0.933]** over 4 scans; 1.25 [0.25, 2.50] components a scan touch no \
lesion; lesion sensitivity 0.44; no overlap at all in 0.
"""


def test_a_model_is_described_by_what_was_measured_at_its_own_point() -> None:
    assert quality(TRAINED) == (
        "Mean Dice per case 0.907 (95 % interval 0.885–0.929), 4 cases; 22 false positives a case"
    )
    expected = (
        "Mean Dice 0.912 [0.893, 0.933] over 4 scans; 1.25 [0.25, 2.50] components a scan "
        "touch no lesion"
    )
    assert quality(MEASURED) == expected
    assert quality(MEASURED + TRAINED.removeprefix("# a\n")) == expected
    assert quality("# a\n\nNothing was tested.\n") == ""


@pytest.mark.parametrize("name", list_bundles())
def test_every_shipped_model_says_what_was_measured(name: str) -> None:
    card = Bundle.load(name).card
    assert "\n## Measured\n" in card
    assert quality(card).startswith("Mean Dice 0.")
    assert "sha256" not in card.partition("\n## Measured\n")[2]
