"""Brain mask and structures of a scan, written as images."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import WrongModelKind
from brainmets.domain.structures import BRAIN_STRUCTURES, Structure
from brainmets.inference.anatomy import AnatomyNetwork
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.io import read_case, write_mask
from brainmets.reporting.staging import check_output, staged
from brainmets.workflows.anatomy import main_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BrainResult", "label_brain"]

FILES = frozenset({"brain.nii.gz", "structures.nii.gz", "structures.csv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainResult:
    """Volumes of the brain with the fluid around it and of each structure, mL; what it took."""

    brain_ml: float
    volumes_ml: Mapping[str, float]
    notes: tuple[str, ...]
    seconds: float
    notice: str = RESEARCH_USE_ONLY


def label_brain(
    path: Path,
    out: Path,
    *,
    anatomy: Path,
    series: str | None = None,
    engine: str = "openvino",
    threads: int | None = None,
    overwrite: bool = False,
) -> BrainResult:
    """Label the head at `path` and write mask, structures and table into `out`, all or nothing.

    `anatomy` is the folder of the network.

    Raises:
        InputError: the input cannot be used.
        WrongModelKind: it is a slice image.
        ModelError, OptionError: the network or the engine cannot be used.
        ResourceError: too little memory or disk, or `out` holds something else.
    """
    started = time.perf_counter()
    check_output(
        out,
        may_replace=lambda folder: overwrite or {p.name for p in folder.iterdir()} <= FILES,
    )
    case = read_case(path, series=series)
    if case.kind == "slices":
        raise WrongModelKind(
            "single slice images for the anatomy network",
            expected="a volume (NIfTI or a DICOM series)",
            remedy="give the whole scan",
        )
    image = case.images[main_sequence(case)]
    network = AnatomyNetwork(AnatomyBundle.load(anatomy), engine=engine, threads=threads)
    located = network.locate(image)
    brain, structures = located.brain_on(image.geometry), located.structures_on(image.geometry)
    counts = np.bincount(structures.data.ravel(), minlength=len(Structure))
    voxel_ml = image.geometry.voxel_volume_mm3 / 1000
    volumes = {
        s.name.lower().replace("_", " "): round(float(counts[s]) * voxel_ml, 2)
        for s in Structure
        if s not in {Structure.BACKGROUND, Structure.OUTSIDE_BRAIN}
    }
    with staged(out, owned=FILES) as folder:
        write_mask(brain, folder / "brain.nii.gz")
        write_mask(structures, folder / "structures.nii.gz")
        (folder / "structures.csv").write_text(_table(volumes), encoding="utf-8")
    notes = case.source.notes
    if not located.has_brain:
        notes = (*notes, f"Hardly any brain was found ({located.brain_ml:.0f} mL).")
    return BrainResult(
        brain_ml=round(brain.volume_mm3 / 1000, 2),
        volumes_ml=volumes,
        notes=notes,
        seconds=time.perf_counter() - started,
    )


def _table(volumes: Mapping[str, float]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("number", "structure", "in_brain", "volume_ml", "notice"))
    for name, volume in volumes.items():
        structure = Structure[name.upper().replace(" ", "_")]
        writer.writerow(
            (int(structure), name, int(structure in BRAIN_STRUCTURES), volume, RESEARCH_USE_ONLY)
        )
    return buffer.getvalue()
