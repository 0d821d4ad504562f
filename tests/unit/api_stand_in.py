"""A runner that segments by a plain threshold, and misbehaves when a file's name asks it to."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nibabel
import numpy as np
from scipy import ndimage

from brainmets.api.segmenting import segment as segment_by_network
from brainmets.domain import (
    Case,
    Geometry,
    Lesion,
    Mask,
    Prediction,
    Provenance,
    Report,
    Source,
    Volume,
)
from brainmets.domain.errors import NotNifti, SeveralSeries

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.schemas import JobOptions
    from brainmets.domain import Progress

BRIGHT = 800.0


@dataclass
class Segmented:
    report: Report
    timings: dict[str, float] = field(default_factory=lambda: {"segment": 0.1})


@dataclass
class Series:
    uid: str
    description: str
    slices: int


def segment(folder: Path, out: Path, options: JobOptions, progress: Progress) -> Segmented:
    path = min(folder.iterdir())
    attempt = f"{folder.parent.parent.name} {os.getpid()}-{time.monotonic()}"
    note_down("start", attempt)
    segment_one = segment_by_network if "real" in path.name else segment_by_threshold
    segmented = segment_one(folder, out, options, progress)
    note_down("end", attempt)
    return segmented


def segment_by_threshold(
    folder: Path, out: Path, options: JobOptions, progress: Progress
) -> Segmented:
    path = min(folder.iterdir())
    leave_descendant(path.name)
    if pause := re.search(r"pause-(\d+)", path.name):
        for step in range(10):
            progress("segment", step / 10)
            time.sleep(int(pause[1]) / 10_000)
    if "kill" in path.name:
        os._exit(9)
    if "hungry" in path.name:
        bytearray(4_000_000_000)
    if "slow" in path.name:
        for step in range(100):
            progress("segment", step / 100)
            time.sleep(0.05)
    if "broken" in path.name:
        raise NotNifti("a text file", expected="NIfTI", remedy="export it again")
    if "secret" in path.name:
        raise ValueError("PATIENT^NAME")
    if "series" in path.name and options.series is None:
        error = SeveralSeries("two series", expected="one", remedy="choose one")
        error.series = (Series("1.2.3", "T1 SE", 3), Series("1.2.4", "T2", 4))
        raise error
    progress("read", 0.5)
    image = nibabel.load(path)
    geometry = Geometry(shape=image.shape, affine=image.affine)
    volume = Volume(data=np.asarray(image.dataobj), geometry=geometry)
    case = Case(
        images={"t1c": volume},
        geometry=geometry,
        source=Source(format="nifti", sha256="0" * 64),
        case_id="x",
    )
    progress("segment", 0.5)
    probability = np.clip((volume.data - 600) / 600, 0, 1).astype(np.float32)
    labels, number = ndimage.label(volume.data > BRIGHT)
    lesions = tuple(_lesion(labels == n, n, geometry, probability) for n in range(1, number + 1))
    prediction = Prediction(
        probability=Volume(data=probability, geometry=geometry),
        mask=Mask(data=labels.astype(np.uint8), geometry=geometry),
        lesions=lesions,
        provenance=Provenance(
            model="stand-in",
            model_sha256="0" * 64,
            code_version="0",
            engine="none",
            input_sha256="0" * 64,
            settings={"threshold": 0.5},
        ),
    )
    progress("write", 0.5)
    draft = out.with_name("out.draft")
    draft.mkdir()
    nibabel.save(
        nibabel.Nifti1Image(labels.astype(np.uint8), geometry.affine), draft / "mask.nii.gz"
    )
    (draft / "report.json").write_text("{}")
    draft.rename(out)
    return Segmented(Report(case=case, prediction=prediction, warnings=("a stand-in",)))


def leave_descendant(name: str) -> None:
    """Fork as libraries do that send usage: what is open here stays open in the descendant."""
    if "forks" in name and os.fork() == 0:
        if "away" in name:
            os.setsid()
        time.sleep(600)
        os._exit(0)


def note_down(what: str, attempt: str) -> None:
    """Keep a diary of the attempts, where a trial asks for one."""
    if diary := os.environ.get("BRAINMETS_TRIAL_DIARY"):
        line = f"{what} {attempt} {time.monotonic()}\n"
        descriptor = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def _lesion(inside: np.ndarray, number: int, geometry: Geometry, probability: np.ndarray) -> Lesion:
    voxel = np.argwhere(inside).mean(axis=0)
    diameter = 2 * (inside.sum() * geometry.voxel_volume_mm3 * 3 / 4 / np.pi) ** (1 / 3)
    return Lesion(
        id=number,
        voxels=int(inside.sum()),
        volume_mm3=float(inside.sum() * geometry.voxel_volume_mm3),
        diameter_in_plane_mm=float(diameter),
        perpendicular_mm=float(diameter),
        diameter_3d_mm=float(diameter),
        centroid_ras_mm=tuple(float(v) for v in geometry.to_ras_mm(voxel)),
        centroid_voxel=tuple(float(v) for v in voxel),
        slice_index=round(voxel[2]),
        side="unknown",
        peak_probability=float(probability[inside].max()),
        mean_probability=float(probability[inside].mean()),
    )
