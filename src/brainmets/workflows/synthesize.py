"""Use case: make synthetic T1c heads with metastases as NIfTI, with their truth and parameters."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from brainmets.domain import silent
from brainmets.domain.errors import OutputExists
from brainmets.io import read_mask, write_mask, write_volume
from brainmets.synthesis import (
    SyntheticCase,
    anatomy_of,
    sample_head,
    synthesize_head,
)

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.synthesis import SynthesisConfig

__all__ = ["synthesize", "write_case"]


def synthesize(
    label_map: Path | None,
    out: Path,
    *,
    seed: int = 0,
    count: int = 1,
    config: SynthesisConfig | None = None,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """Write `count` synthetic heads, of seeds `seed`, `seed + 1`, …, into folder `out`.

    Each head is `head-<seed>/` with `t1c.nii.gz`, `lesions.nii.gz` (tumour cores by number),
    `classes.nii.gz` (1 necrosis, 2 oedema, 3 enhancing) and `parameters.json`. `label_map` is
    a NIfTI of FreeSurfer label numbers at 1 mm; without one, heads are made from formulas.
    Returns the folders.

    Raises:
        OutputExists: one of the folders is there already; nothing is written.
        DatasetLayout: the label map is not one of a head at 1 mm.
    """
    folders = [out / f"head-{number}" for number in range(seed, seed + count)]
    for folder in folders:
        if folder.exists():
            raise OutputExists(
                f"a folder {folder.name} in the output",
                expected="a folder without it",
                remedy="choose another folder or another seed",
            )
    progress("read", 0.0)
    anatomy = None if label_map is None else anatomy_of(read_mask(label_map))
    for done, folder in enumerate(folders):
        progress("segment", done / count)
        number = seed + done
        if anatomy is not None:
            case = synthesize_head(anatomy, config, number)
        else:
            case = sample_head(number) if config is None else sample_head(number, config)
        write_case(case, folder)
    progress("write", 1.0)
    return tuple(folders)


def write_case(case: SyntheticCase, folder: Path) -> Path:
    """Write one synthetic case into a new folder, which appears only when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}.part")
    staging.mkdir(exist_ok=True)
    try:
        write_volume(case.image, staging / "t1c.nii.gz")
        write_mask(case.lesions, staging / "lesions.nii.gz")
        write_mask(case.classes, staging / "classes.nii.gz")
        record = {
            "parameters": case.parameters.model_dump(mode="json"),
            "placed": [asdict(lesion) for lesion in case.placed],
        }
        (staging / "parameters.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        staging.rename(folder)
    except BaseException:
        for left in staging.iterdir():
            left.unlink()
        staging.rmdir()
        raise
    return folder
