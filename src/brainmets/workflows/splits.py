"""Splits of a data set: by patient, even in burden, signed, and refused when they leak."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from brainmets.domain import silent
from brainmets.domain.errors import DatasetLayout, OptionError
from brainmets.io import read_mask
from brainmets.io.datasets import load_case, open_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.io.datasets import Dataset, DatasetCase

__all__ = [
    "Burden",
    "Splits",
    "leaks",
    "make_splits",
    "measure_burden",
    "read_any_splits",
    "read_splits",
    "split_dataset",
    "write_splits",
]

SCHEMA = "brainmets-splits/1"

FEWEST_FOLDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Burden:
    """How ill a scan is: what the strata are made of."""

    lesions: int
    volume_mm3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Folds of case ids, each case in exactly one, each patient in exactly one.

    Attributes:
        folds: Case ids by fold; fold n validates run n, the others train it.
        test: Case ids that no run sees; may be empty.
        patients: Patient by case id.
        seed: What the shuffle started from.
    """

    folds: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]
    patients: Mapping[str, str]
    seed: int

    def __post_init__(self) -> None:
        """Refuse a split that leaks.

        Raises:
            DatasetLayout: a patient or a case is in two parts.
        """
        parts = {f"fold {n}": list(fold) for n, fold in enumerate(self.folds)}
        parts["test"] = list(self.test)
        found = leaks(parts, self.patients)
        if found:
            patient, where = next(iter(found.items()))
            raise DatasetLayout(
                f"patient {patient} in {' and in '.join(where)}",
                expected="every patient in one part only",
                remedy="split again with brainmets split, which groups by patient",
            )

    def training(self, fold: int) -> tuple[str, ...]:
        """Return the cases that run `fold` trains on."""
        return tuple(case for n, part in enumerate(self.folds) if n != fold for case in part)

    def validation(self, fold: int) -> tuple[str, ...]:
        """Return the cases that run `fold` validates on."""
        return self.folds[fold]

    @property
    def sha256(self) -> str:
        """Digest of the content: the same split has the same digest on any machine."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """Return the split as a JSON document, signed."""
        return {"schema": SCHEMA, **self._content(), "sha256": self.sha256}

    def _content(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "folds": [list(fold) for fold in self.folds],
            "test": list(self.test),
            "patients": dict(sorted(self.patients.items())),
        }


def leaks(
    parts: Mapping[str, Sequence[str]], patient_of: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return each patient who is in more than one part, and in which."""
    where: defaultdict[str, set[str]] = defaultdict(set)
    for name, cases in parts.items():
        for case in cases:
            where[patient_of.get(case, case)].add(name)
    return {patient: tuple(sorted(names)) for patient, names in where.items() if len(names) > 1}


def make_splits(
    patients: Mapping[str, str],
    burdens: Mapping[str, Burden],
    *,
    folds: int = 5,
    test_share: float = 0.0,
    seed: int = 0,
) -> Splits:
    """Divide cases into folds by patient, spreading the burden.

    Patients are sorted by total number of lesions, then volume, and dealt out in rounds: each round
    of as many patients as there are parts goes one to each part, in random order. So the parts
    differ by at most one patient in size and hardly in burden.

    Args:
        patients: Patient by case id.
        burdens: Burden by case id; a case without counts as healthy.
        folds: How many, at least 2.
        test_share: Share of the patients set aside, below 1.
        seed: The same seed gives the same split.

    Raises:
        OptionError: fewer patients than folds, or shares that make no sense.
    """
    cases_of: defaultdict[str, list[str]] = defaultdict(list)
    for case, patient in sorted(patients.items()):
        cases_of[patient].append(case)
    if folds < FEWEST_FOLDS or not 0.0 <= test_share < 1.0 or len(cases_of) < folds:
        raise OptionError(
            f"{folds} folds and a test share of {test_share} for {len(cases_of)} patients",
            expected="at least 2 folds, no more than patients, and a share from 0 to below 1",
            remedy="ask for fewer folds",
        )
    rng = np.random.default_rng(seed)
    healthy = Burden(lesions=0, volume_mm3=0.0)

    def weight(patient: str) -> tuple[int, float]:
        scans = [burdens.get(case, healthy) for case in cases_of[patient]]
        return sum(one.lesions for one in scans), sum(one.volume_mm3 for one in scans)

    shuffled = [str(name) for name in rng.permutation(sorted(cases_of))]
    ordered = sorted(shuffled, key=weight, reverse=True)
    test = _every_so_often(ordered, test_share, rng)
    remaining = [patient for patient in ordered if patient not in test]
    parts: list[list[str]] = [[] for _ in range(folds)]
    for start in range(0, len(remaining), folds):
        dealt = remaining[start : start + folds]
        for part, patient in zip(rng.permutation(folds)[: len(dealt)], dealt, strict=True):
            parts[int(part)] += cases_of[patient]
    return Splits(
        folds=tuple(tuple(sorted(part)) for part in parts),
        test=tuple(sorted(case for patient in test for case in cases_of[patient])),
        patients=dict(patients),
        seed=seed,
    )


def split_dataset(
    root: Path,
    *,
    layout: str = "auto",
    folds: int = 5,
    test_share: float = 0.0,
    seed: int = 0,
    progress: Progress = silent,
) -> Splits:
    """Open a data set, measure its masks and split it.

    Raises:
        InputError, OptionError: as `open_dataset`, `load_case` and `make_splits`.
    """
    dataset = open_dataset(root, layout=layout)
    burdens: dict[str, Burden] = {}
    for done, case in enumerate(dataset.cases, start=1):
        burdens[case.case_id] = measure_burden(dataset, case)
        progress("measure", done / len(dataset.cases))
    return make_splits(
        {case.case_id: case.patient for case in dataset.cases},
        burdens,
        folds=folds,
        test_share=test_share,
        seed=seed,
    )


def measure_burden(dataset: Dataset, case: DatasetCase) -> Burden:
    """Count the lesions of a case's tumour core and their volume."""
    from brainmets.evaluation import label_components

    if not case.masks:
        return Burden(lesions=0, volume_mm3=0.0)
    if case.images:
        mask = load_case(dataset, case, sequences=(next(iter(case.images)),)).mask
    else:
        mask = read_mask(case.masks[0])
    if mask is None:
        return Burden(lesions=0, volume_mm3=0.0)
    core = np.isin(mask.data, dataset.core) if dataset.core else mask.foreground
    _, lesions = label_components(core)
    volume = int(np.count_nonzero(core)) * mask.geometry.voxel_volume_mm3
    return Burden(lesions=lesions, volume_mm3=volume)


def write_splits(splits: Splits, path: Path) -> Path:
    """Write the split and its digest, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    text = json.dumps(splits.document(), indent=1, ensure_ascii=False)
    scratch.write_text(text + "\n", encoding="utf-8")
    return scratch.replace(path)


def read_splits(path: Path) -> Splits:
    """Read a split, and check its digest and that no patient leaks.

    Raises:
        DatasetLayout: the file is not ours, has been edited, or leaks.
    """
    document = _parsed(path)
    try:
        splits = Splits(
            folds=tuple(tuple(fold) for fold in document["folds"]),
            test=tuple(document["test"]),
            patients=document["patients"],
            seed=document["seed"],
        )
        signed = document["sha256"]
    except (KeyError, TypeError) as fault:
        raise _not_a_split(path) from fault
    if splits.sha256 != signed:
        raise DatasetLayout(
            f"{path.name} does not match its own digest",
            expected="a split as brainmets wrote it",
            remedy="split again; do not edit a split by hand",
        )
    return splits


def read_any_splits(path: Path) -> list[dict[str, list[str]]]:
    """Read our splits or nnU-Net's `splits_final.json` unchecked, as parts by name.

    One dictionary for each independent division, so that nnU-Net's folds are not held against
    each other.

    Raises:
        DatasetLayout: the file is neither.
    """
    document = _parsed(path)
    if isinstance(document, list):
        divisions = cast("list[dict[str, list[str]]]", document)
        if all({"train", "val"} <= set(one) for one in divisions):
            return [{"train": one["train"], "val": one["val"]} for one in divisions]
        raise _not_a_split(path)
    try:
        folds = {f"fold {n}": list(fold) for n, fold in enumerate(document["folds"])}
        return [{**folds, "test": list(document["test"])}]
    except (KeyError, TypeError) as fault:
        raise _not_a_split(path) from fault


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise _not_a_split(path) from fault


def _not_a_split(path: Path) -> DatasetLayout:
    return DatasetLayout(
        f"{path.name} is no split",
        expected="a file written by brainmets split, or nnU-Net's splits_final.json",
        remedy="write one with brainmets split",
    )


def _every_so_often(
    ordered: Sequence[str], share: float, rng: np.random.Generator
) -> frozenset[str]:
    """Pick a share of the patients spread evenly over the order, one from each stretch."""
    wanted = round(share * len(ordered))
    if not wanted:
        return frozenset()
    stretches = np.array_split(np.arange(len(ordered)), wanted)
    return frozenset(ordered[int(rng.choice(stretch))] for stretch in stretches)
