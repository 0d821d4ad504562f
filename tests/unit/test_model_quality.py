"""What is said of a model comes from its card, on metastases of patients first."""

from __future__ import annotations

import pytest

from brainmets.inference import Bundle, list_bundles
from brainmets.workflows.model_quality import found_in, quality

SIZES = """
| | lesions | found |
|---|---|---|
| < 3 mm, bright | 2 | 0.500 [0.000, 1.000] |
| 3–5 mm | 9 | 0.222 [0.000, 0.750] |
| 5–10 mm | 30 | **0.600** [0.308, 0.808] |
| {largest} | 10 | 0.900 [0.864, 1.000] |
"""
PATIENTS = """# a

## Measured

Mean Dice **0.566 [0.456, 0.686]** on 33 exams of 24 patients with **brain metastases** who were not
trained on, at 0.848 [0.345, 1.419] false positives a scan: `python -m benchmarks.metastases`.
"""
SYNTHETIC = """
Synthetic benchmark, version 2:

Operating point: threshold 0.05: **1.42 [0.58, 2.42] false positives a scan**, mean Dice 0.89.
"""
SLICES = """# a

## Measured

Mean Dice **0.558 [0.347, 0.775]** on 12 slices with a visibly bright **brain metastasis** of 10
patients who were not trained on; 9 of the 12 are found.

| slices | lesions |
|---|---|
| visibly bright lesion | 12 |
"""


@pytest.mark.parametrize("largest", ["≥ 10 mm", "≥10 mm", ">= 10 mm", "10-50 mm"])
def test_metastases_of_patients_come_first(largest: str) -> None:
    table = SIZES.format(largest=largest)
    card = f"{PATIENTS}{table}{SYNTHETIC}{table}\n## Limits\n\n{SYNTHETIC}{table}"
    real, synthetic = found_in(card)
    assert str(real) == (
        "Found 0.68 of 40 metastases from 5 mm on 33 exams of 24 patients,"
        " with 0.85 false positives a scan"
    )
    assert str(synthetic) == (
        "Found 0.68 of 40 synthetic metastases from 5 mm, with 1.42 false positives a scan"
    )


def test_slices_are_counted_as_the_card_counts_them() -> None:
    (found,) = found_in(SLICES)
    assert str(found) == (
        "Found 0.75 of 12 metastases that are visibly bright on 12 slices of 10 patients"
    )


def test_nothing_is_said_where_nothing_was_measured() -> None:
    assert found_in("# a\n\nNothing was tested.\n") == ()
    assert found_in(f"# a\n\n## Limits\n{SIZES.format(largest='≥ 10 mm')}") == ()


@pytest.mark.parametrize("name", list_bundles())
def test_every_shipped_model_says_what_it_was_measured_on(name: str) -> None:
    bundle = Bundle.load(name)
    said = quality(bundle)
    assert said.startswith(("Found 0.", "Not measured on metastases of patients. "))
    real = any(one.real for one in found_in(bundle.card))
    assert real == said.startswith("Found 0.")
    assert real or "glioma" in said
    assert "sha256" not in bundle.card.partition("\n## Measured\n")[2]
