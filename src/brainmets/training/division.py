"""Who is trained on, who chooses, who tests: as a bundle remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.training.datasets import open_part
from brainmets.training.samples import Part, slice_groups, slice_names, volume_folders
from brainmets.training.sources import DatasetSource, SliceSource, SyntheticSource

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue

    from brainmets.preprocessing import Plan
    from brainmets.training.sources import Source, VolumeSource

__all__ = ["PARTS", "split_of"]

PARTS: tuple[Part, ...] = ("train", "validation", "test")


def split_of(source: Source, plan: Plan, data_root: Path) -> dict[str, JsonValue]:
    """List what a source gives to each part: cases, blocks of slices, or label maps."""
    if isinstance(source, SyntheticSource):
        heads: dict[str, JsonValue] = {
            part: [f"{part}-{index}" for index in range(count)]
            for part, count in (
                ("validation", source.validation_heads),
                ("test", source.test_heads),
            )
            if count
        }
        return {"root": source.root, "train": list(source.maps), **heads}
    parts: dict[str, JsonValue] = {"root": source.root}
    for part in PARTS:
        parts[part] = [*_names(source, plan, data_root, part)]
    return parts


def _names(
    source: SliceSource | VolumeSource | DatasetSource, plan: Plan, data_root: Path, part: Part
) -> list[str]:
    root = data_root / source.root
    if isinstance(source, DatasetSource):
        return [case.case_id for case in open_part(source, plan, data_root, part).cases]
    if isinstance(source, SliceSource):
        groups = slice_groups(root, source)
        return sorted({groups[n] for n in slice_names(root, source, part)}, key=_by_number)
    return [folder.name for folder in volume_folders(root, source, part)]


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdigit() else 0, name)
