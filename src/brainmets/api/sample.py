"""The built-in synthetic case, written once per state folder."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sample_file"]

SAMPLE_NAME = "brainmets-sample.nii.gz"


def sample_file(folder: Path) -> Path:
    """Return the sample's NIfTI file, writing it first where it is not there yet."""
    from brainmets.workflows.sample import write_sample

    path = folder / SAMPLE_NAME
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{secrets.token_hex(4)}.nii.gz"
    write_sample(draft)
    draft.replace(path)
    return path
