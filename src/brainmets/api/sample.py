"""The built-in synthetic case, written once per state folder and version."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import brainmets
from brainmets.api.processes import run_module
from brainmets.domain.errors import OutOfMemory

if TYPE_CHECKING:
    import asyncio

__all__ = ["sample_file"]

SAMPLE_NAME = "brainmets-sample.nii.gz"
WRITTEN_WITHIN_S = 300.0


async def sample_file(folder: Path, stopping: asyncio.Event) -> Path:
    """Return the sample's NIfTI file, writing it first where it is not there yet.

    Another process makes it: a volume in this one would stay in the server's memory.

    Raises:
        OutOfMemory: it could not be made in the memory and time there is.
        ServiceStopping: the service was told to stop meanwhile.
    """
    folder /= brainmets.__version__  # a new version may draw another head
    path = folder / SAMPLE_NAME
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{secrets.token_hex(4)}.nii.gz"
    try:
        made = await run_module(
            "brainmets.api.sample", str(draft), within_s=WRITTEN_WITHIN_S, stopping=stopping
        )
        if made is None or not draft.exists():
            raise OutOfMemory(
                "a sample that could not be made in the memory and time there is",
                expected=f"one that is made within {WRITTEN_WITHIN_S:.0f} s",
                remedy="try again when the machine has less to do",
            )
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


if __name__ == "__main__":
    from brainmets.workflows.sample import write_sample

    write_sample(Path(sys.argv[1]))
