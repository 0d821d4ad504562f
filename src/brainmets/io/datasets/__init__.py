"""Adapters for data sets as their publishers lay them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain.errors import FileMissing, OptionError
from brainmets.io.datasets import bids, by_folder, by_rule, csv_manifest, generic_glob, nnunet
from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import Adapter, Dataset, DatasetCase, SplitName, layout_error
from brainmets.io.datasets.loading import LoadedCase, load_case
from brainmets.io.datasets.pairing import MaskPair, Pairing, find_masks, pair_masks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "ADAPTERS",
    "Dataset",
    "DatasetCase",
    "LoadedCase",
    "MaskPair",
    "Pairing",
    "SplitName",
    "find_masks",
    "load_case",
    "open_dataset",
    "pair_masks",
    "patient_of",
]

ADAPTERS: Mapping[str, Adapter] = {
    "csv": csv_manifest,
    "nnunet": nnunet,
    "brats-mets-2023": by_folder.BRATS_METS_2023,
    "pretreat": by_folder.PRETREAT_METS,
    "brats-mets-2025": by_folder.BRATS_METS_2025,
    "ucsf-bmsr": by_folder.UCSF_BMSR,
    "brainmetshare": by_rule.BRAINMETSHARE,
    "brain-mets-lung": by_folder.BRAIN_METS_LUNG,
    "nyumets": by_rule.NYUMETS,
    "motum": by_rule.MOTUM,
    "bids": bids,
    "lgg": by_rule.LGG,
    "cheng": by_rule.CHENG,
    "brats-glioma": by_folder.BRATS_GLIOMA,
    "openbtai": by_rule.OPENBTAI,
    "folders": generic_glob,
    "masks": by_rule.MASKS,
}
"""By name, the most telling layout first: the first that recognises a folder reads it."""


def open_dataset(root: Path, *, layout: str = "auto") -> Dataset:
    """List the cases of a data set; no image is opened.

    Raises:
        FileMissing: there is nothing at the path.
        OptionError: there is no such layout.
        DatasetLayout: the folder is not laid out so, or as nothing we know.
    """
    if not root.exists():
        raise FileMissing(
            f"nothing at {root.name}", expected="a folder with a data set", remedy="check the path"
        )
    if layout != "auto":
        if layout not in ADAPTERS:
            raise OptionError(
                f"layout {layout}", expected=" | ".join(ADAPTERS), remedy="choose one of these"
            )
        return ADAPTERS[layout].read(root)
    for adapter in ADAPTERS.values():
        if adapter.recognise(root):
            return adapter.read(root)
    raise layout_error(
        f"a folder {root.name} whose layout is not known",
        expected=f"one of {', '.join(ADAPTERS)}",
        remedy="write a manifest.csv with case_id, patient, t1c and mask, one row a scan",
    )
