"""The command line: `brainmets segment scan.nii.gz --out results`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line with the process's arguments and exit."""
    try:
        from brainmets.cli.run import run
    except KeyboardInterrupt:  # before there is anything to end
        sys.exit(130)
    run()
