"""Dividing a recipe's data into training, validation and test, by patient, once and for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets import open_dataset, patient_of
from brainmets.training.datasets import usable_cases
from brainmets.training.ranks import rank, wait_for_all
from brainmets.training.samples import slice_groups, volume_folders
from brainmets.training.sources import DatasetSource, SliceSource, SyntheticSource
from brainmets.workflows.splits import (
    Splits,
    make_splits,
    measure_burden,
    read_splits,
    write_splits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.preprocessing import Plan
    from brainmets.training.config import Recipe
    from brainmets.training.sources import Source, VolumeSource
    from brainmets.workflows.splits import Burden

__all__ = ["divide_for_folds", "fold_folder", "settle"]

VALIDATION_SHARE = 0.1
"""Of a fold's training patients, where the source does not say."""


def fold_folder(out: Path, fold: int) -> Path:
    """Return the folder of a fold's run."""
    return out / f"fold-{fold}"


def settle(
    recipe: Recipe, data: Path, out: Path, *, progress: Progress, say: Callable[[str], None]
) -> Recipe:
    """Return the recipe with every case's part written out.

    Data sets that the recipe leaves undivided are divided by patient with even lesion burden; the
    signed division is kept in `out/division-N.json` and read from there ever after.

    Raises:
        OptionError: there are too few patients to divide.
        DatasetLayout: the data is not as it was, or the division was edited.
    """
    sources = list(recipe.sources)
    for number, source in enumerate(sources):
        path = _kept(out, number)
        waiting = rank() == 0 and not path.is_file()
        if waiting and isinstance(source, DatasetSource) and source.train_cases is None:
            write_splits(_divided(source, recipe.plan, data, progress, say), path)
        wait_for_all()
        if path.is_file():
            sources[number] = _applied(source, read_splits(path))
    return recipe.model_copy(update={"sources": tuple(sources)})


def divide_for_folds(
    recipe: Recipe,
    data: Path,
    out: Path,
    folds: int,
    *,
    progress: Progress,
    say: Callable[[str], None],
) -> None:
    """Write the divisions of every fold's run and of the final one's, which are not there yet.

    In run n fold n is the test; of the others a share, by patient, chooses the weights. In the
    final run all train.

    Raises:
        OptionError: there are fewer patients than folds, or nothing to divide.
    """
    places = [fold_folder(out, fold) for fold in range(folds)]
    for number, source in enumerate(recipe.sources):
        if isinstance(source, SyntheticSource):
            continue
        wanted = [_kept(place, number) for place in (*places, out / "final")]
        if all(path.is_file() for path in wanted):
            continue
        patients, burdens = _who(source, recipe.plan, data, progress, say)
        whole = make_splits(patients, burdens, folds=folds, seed=recipe.seed)
        share = source.validation_share if isinstance(source, DatasetSource) else VALIDATION_SHARE
        for fold, path in enumerate(wanted[:-1]):
            rest = {case: patients[case] for case in whole.training(fold)}
            inner = make_splits(
                rest, burdens, folds=_parts(share, len({*rest.values()})), seed=recipe.seed
            )
            write_splits(
                Splits(folds=inner.folds, test=whole.folds[fold], patients=patients, seed=fold),
                path,
            )
        everyone = Splits(folds=((), tuple(sorted(patients))), test=(), patients=patients, seed=0)
        write_splits(everyone, wanted[-1])


def _kept(out: Path, number: int) -> Path:
    return out / f"division-{number}.json"


def _divided(
    source: DatasetSource,
    plan: Plan,
    data: Path,
    progress: Progress,
    say: Callable[[str], None],
) -> Splits:
    """Divide a data set; what its publishers call test or validation stays so."""
    patients, burdens = _who(source, plan, data, progress, say)
    dataset = open_dataset(data / source.root, layout=source.layout)
    published = {case.case_id: case.split for case in dataset.cases if case.case_id in patients}
    test, choose = (_published(patients, published, part) for part in ("test", "validation"))
    rest = {case: patients[case] for case in patients if case not in {*test, *choose}}
    if choose:
        folds = (choose, tuple(sorted(rest)))
        return Splits(folds=folds, test=test, patients=patients, seed=source.split_seed)
    share = 0.0 if test else source.test_share
    count = len({*rest.values()})
    made = make_splits(
        rest,
        burdens,
        folds=_parts(source.validation_share, count - round(share * count)),
        test_share=share,
        seed=source.split_seed,
    )
    return Splits(
        folds=made.folds, test=test or made.test, patients=patients, seed=source.split_seed
    )


def _published(
    patients: Mapping[str, str], published: Mapping[str, str], part: str
) -> tuple[str, ...]:
    """Return all scans of the patients of whom one scan was put into a part."""
    theirs = {patients[case] for case, name in published.items() if name == part}
    return tuple(sorted(case for case, patient in patients.items() if patient in theirs))


def _parts(share: float, patients: int) -> int:
    """Into how many parts to divide so that one of them is about the share."""
    return max(2, min(round(1 / share), patients))


def _who(
    source: SliceSource | VolumeSource | DatasetSource,
    plan: Plan,
    data: Path,
    progress: Progress,
    say: Callable[[str], None],
) -> tuple[Mapping[str, str], Mapping[str, Burden]]:
    """Return the patient of every case, and the lesion burden of each scan where masks give it."""
    root = data / source.root
    if isinstance(source, SliceSource):
        return {group: group for group in slice_groups(root, source).values()}, {}
    if not isinstance(source, DatasetSource):
        parts = ("train", "validation", "test")
        names = [f.name for part in parts for f in volume_folders(root, source, part)]
        return {name: patient_of(name) for name in names}, {}
    dataset = open_dataset(root, layout=source.layout)
    cases, left_out = usable_cases(dataset, plan.sequences)
    burdens: dict[str, Burden] = {}
    for done, case in enumerate(cases, 1):
        burdens[case.case_id] = measure_burden(dataset, case)
        progress("measure", done / len(cases))
    patients = {case.case_id: case.patient for case in cases}
    words = f"{dataset.layout}: {len(cases)} scans of {len({*patients.values()})} patients"
    lesions = sum(burden.lesions for burden in burdens.values())
    words += f", {lesions} lesions"
    if left_out:
        words += (
            f"; left out: {len(left_out)} without a mask or without {' and '.join(plan.sequences)}"
        )
    say(words)
    return patients, burdens


def _applied(source: Source, splits: Splits) -> Source:
    train, choose, test = splits.training(0), splits.validation(0), splits.test
    if isinstance(source, DatasetSource):
        named = {"train_cases": train, "validation_cases": choose, "test_cases": test}
    elif isinstance(source, SliceSource):
        named = {
            "validation_blocks": tuple(sorted(int(block) for block in choose)),
            "test_blocks": tuple(sorted(int(block) for block in test)),
        }
    else:
        named = {"validation_cases": choose, "test_cases": test}
    return source.model_copy(update=named)
