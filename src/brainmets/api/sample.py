"""The built-in synthetic case, written once per state folder."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

from brainmets.api.child import worker_environment

__all__ = ["sample_file"]

SAMPLE_NAME = "brainmets-sample.nii.gz"


def sample_file(folder: Path) -> Path:
    """Return the sample's NIfTI file, writing it first where it is not there yet.

    Another process makes it: a volume in this one would stay in the server's memory.
    """
    path = folder / SAMPLE_NAME
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{secrets.token_hex(4)}.nii.gz"
    subprocess.run(
        [sys.executable, "-P", "-m", "brainmets.api.sample", str(draft)],
        check=True,
        env=worker_environment(),
    )
    draft.replace(path)
    return path


if __name__ == "__main__":
    from brainmets.workflows.sample import write_sample

    write_sample(Path(sys.argv[1]))
