"""nnU-Net raw data: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import Dataset, DatasetCase, layout_error, require_cases
from brainmets.io.sequences import guess_from_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence
    from brainmets.io.datasets.layout import SplitName

__all__ = ["NAME", "read", "recognise"]

NAME = "nnunet"


def recognise(root: Path) -> bool:
    """Look for `dataset.json` and `imagesTr`."""
    return (root / "dataset.json").is_file() and (root / "imagesTr").is_dir()


def read(root: Path) -> Dataset:
    """List the cases of `imagesTr` and `imagesTs`; channels are named by `dataset.json`.

    Raises:
        DatasetLayout: `dataset.json` is missing or names no T1c, T1, T2 or FLAIR.
    """
    try:
        about = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise layout_error(
            f"no dataset.json that can be read in {root.name}",
            expected="the file nnU-Net describes a data set with",
            remedy="give the folder DatasetXXX_NAME",
        ) from fault
    channels = _channels(about)
    ending = about.get("file_ending", ".nii.gz")
    labels = _labels(about)
    cases = [*_cases(root, "Tr", channels, ending), *_cases(root, "Ts", channels, ending)]
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(cases, root, "imagesTr/CASE_0000.nii.gz"),
        labels=labels,
        core=tuple(value for value, name in labels.items() if _is_core(name)) or tuple(labels),
        expected=tuple(channels.values()),
    )


def _channels(about: Mapping[str, Any]) -> dict[str, Sequence]:
    """Return the sequence of each four-digit channel; a single unnamed one is taken for T1c."""
    named = about.get("channel_names") or about.get("modality") or {}
    channels: dict[str, Sequence] = {}
    for number, name in named.items():
        sequence = guess_from_name(str(name))
        if sequence is not None and sequence not in channels.values():
            channels[f"{int(number):04d}"] = sequence
    if not channels and len(named) == 1:
        channels["0000"] = "t1c"
    if not channels:
        raise layout_error(
            f"channels named {', '.join(map(str, named.values()))}",
            expected="names such as T1c, T1, T2, FLAIR",
            remedy="name the channels in dataset.json",
        )
    return channels


def _labels(about: Mapping[str, Any]) -> dict[int, str]:
    """Return names by value from either order, background and merged regions left out."""
    labels: dict[int, str] = {}
    for one, other in about.get("labels", {}).items():
        name, value = (other, one) if str(one).isdigit() else (one, other)
        if isinstance(value, (int, str)) and int(value) > 0:
            labels[int(value)] = str(name)
    return labels


def _is_core(name: str) -> bool:
    words = name.casefold()
    return not any(word in words for word in ("edema", "oedema", "snfh", "cavity", "flair"))


def _cases(
    root: Path, part: str, channels: Mapping[str, Sequence], ending: str
) -> Iterator[DatasetCase]:
    split: SplitName = "test" if part == "Ts" else "train"
    names = {path.name[: -len(ending) - 5] for path in (root / f"images{part}").glob(f"*{ending}")}
    for name in sorted(names):
        images: dict[Sequence, Path] = {}
        for number, sequence in channels.items():
            path = root / f"images{part}" / f"{name}_{number}{ending}"
            if path.is_file():
                images[sequence] = path
        mask = root / f"labels{part}" / f"{name}{ending}"
        yield DatasetCase(
            case_id=name,
            patient=patient_of(name),
            images=images,
            masks=(mask,) if mask.is_file() else (),
            split=split,
        )
