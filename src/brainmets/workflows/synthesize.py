"""Use case: make synthetic T1c heads with metastases as NIfTI, with their truth and parameters."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
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
from brainmets.workflows.cohort import CohortCase, CohortOptions, run_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.synthesis import Anatomy, SynthesisConfig
    from brainmets.workflows.cohort import CohortRun

__all__ = ["synthesize", "write_case"]


def synthesize(
    label_map: Path | None,
    out: Path,
    *,
    seed: int = 0,
    count: int = 1,
    config: SynthesisConfig | None = None,
    cohort: CohortOptions | None = None,
    progress: Progress = silent,
) -> CohortRun:
    """Write `count` synthetic heads, of seeds `seed`, `seed + 1`, …, into folder `out`.

    Each head is `head-<seed>/` with `t1c.nii.gz`, `lesions.nii.gz` (tumour cores by number),
    `classes.nii.gz` (1 necrosis, 2 oedema, 3 enhancing) and `parameters.json`. `label_map` is
    a NIfTI of FreeSurfer label numbers at 1 mm; without one, heads are made from formulas. What
    became of each head is kept in `out/status`; a head that fails does not stop the others.

    Raises:
        OutputExists: one of the folders is there already, and nothing says to resume; nothing is
            written.
        DatasetLayout: the label map is not one of a head at 1 mm.
    """
    cohort = cohort or CohortOptions()
    names = {f"head-{number}": number for number in range(seed, seed + count)}
    for name in names:
        if (out / name).exists() and not cohort.resume and cohort.part is None:
            raise OutputExists(
                f"a folder {name} in the output",
                expected="a folder without it",
                remedy="choose another folder or another seed, or add --resume",
            )
    progress("read", 0.0)
    if label_map is not None:
        _anatomy(label_map)
    done = iter(range(1, count + 1))
    run = run_cohort(
        "synthesize",
        _make,
        [
            CohortCase(
                name=name,
                inputs=() if label_map is None else (label_map,),
                task=_Head(label_map=label_map, folder=out / name, seed=number, config=config),
            )
            for name, number in names.items()
        ],
        out,
        cohort,
        settings={"config": None if config is None else config.model_dump(mode="json")},
        on_status=lambda _status, _new: progress("segment", next(done) / count),
    )
    progress("write", 1.0)
    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    label_map: Path | None
    folder: Path
    seed: int
    config: SynthesisConfig | None


def _make(head: _Head) -> dict[str, int]:
    """Make one head and write it; one that is whole already stays."""
    if not (head.folder / "parameters.json").exists():
        more = () if head.config is None else (head.config,)
        if head.label_map is None:
            case = sample_head(head.seed, *more)
        else:
            case = synthesize_head(_anatomy(head.label_map), head.config, head.seed)
        write_case(case, head.folder)
    record = json.loads((head.folder / "parameters.json").read_text(encoding="utf-8"))
    return {"lesions": len(record["placed"])}


@lru_cache(maxsize=1)
def _anatomy(label_map: Path) -> Anatomy:
    return anatomy_of(read_mask(label_map))


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
