"""Small heads with a bright lesion, written as the public collections lay theirs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from brainmets.domain import Geometry, HeadPhantom, Mask, PhantomLesion, Volume
from brainmets.io import write_mask, write_volume

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "SPACING_MM",
    "write_brainmetshare_slices",
    "write_brainmetshare_volumes",
    "write_brats_mets",
    "write_folders",
    "write_ucsf_bmsr",
]

SPACING_MM = 6.0
GRID = Geometry.isotropic((28, 34, 32), spacing_mm=SPACING_MM)


def head(number: int) -> tuple[Volume, Mask]:
    """One head with two lesions of its own, 15 to 20 mm in radius: large, to be learnt fast."""
    rng = np.random.default_rng(number)
    lesions = tuple(
        PhantomLesion(
            centre_ras_mm=(
                float(side * rng.uniform(22, 32)),
                float(rng.uniform(-35, 35)),
                float(rng.uniform(-20, 20)),
            ),
            radii_mm=(float(rng.uniform(15, 20)),) * 3,
        )
        for side in (-1, 1)
    )
    image, mask = HeadPhantom(lesions=lesions).render(GRID)
    return image, Mask(data=(mask.data > 0).astype(np.uint8), geometry=GRID)


def _write(folder: Path, number: int, images: tuple[str, ...], seg: str, *, label: int) -> None:
    folder.mkdir(parents=True)
    image, mask = head(number)
    for name in images:
        write_volume(image, folder / name)
    write_mask(Mask(data=mask.data * np.uint8(label), geometry=GRID), folder / seg)


def write_brats_mets(root: Path, patients: int = 6) -> None:
    """Write `BraTS-MET-XXXXX-TTT` folders; the first patient has a second scan."""
    below = root / "MICCAI-LH-BraTS2025-MET-Challenge-Training"
    names = [f"BraTS-MET-{number:05d}-000" for number in range(1, patients + 1)]
    for number, name in enumerate([*names, "BraTS-MET-00001-001"]):
        images = tuple(f"{name}-{word}.nii.gz" for word in ("t1c", "t1n"))
        _write(below / name, number, images, f"{name}-seg.nii.gz", label=3)


def write_ucsf_bmsr(root: Path, patients: int = 5) -> None:
    """Write folders such as `100101A`; the first patient has a second scan."""
    names = [f"1001{number:02d}A" for number in range(1, patients + 1)]
    for number, name in enumerate([*names, "100101B"]):
        folder = root / "UCSF_BrainMetastases_TRAIN" / name
        images = tuple(f"{name}_{word}.nii.gz" for word in ("T1post", "T1pre"))
        _write(folder, number, images, f"{name}_seg.nii.gz", label=1)


def write_brainmetshare_volumes(root: Path, patients: int = 5) -> None:
    """Write `train/Mets_005/bravo.nii` and its mask."""
    for number in range(patients):
        folder = root / "train" / f"Mets_{number:03d}"
        _write(folder, number, ("bravo.nii", "flair.nii"), "seg.nii", label=1)


def write_brainmetshare_slices(root: Path, patients: int = 5) -> None:
    """Write `mets_stanford_releaseMask_train/Mets_005/0/000.png` and so on."""
    for number in range(patients):
        image, mask = head(number)
        folder = root / "mets_stanford_releaseMask_train" / f"Mets_{number:03d}"
        grey = np.clip(image.data / 4, 0, 255).astype(np.uint8)
        for part, data in (("0", grey), ("seg", mask.data * np.uint8(255))):
            (folder / part).mkdir(parents=True)
            for k in range(8, 22):
                picture = Image.fromarray(np.rot90(data[:, :, k]))
                picture.save(folder / part / f"{k:03d}.png")


def write_folders(root: Path, patients: int) -> None:
    """Write `patient-1/t1c.nii.gz` and `patient-1/mask.nii.gz` and so on."""
    for number in range(1, patients + 1):
        _write(root / f"patient-{number}", number, ("t1c.nii.gz",), "mask.nii.gz", label=1)
