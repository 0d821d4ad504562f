"""The command line: `brainmets segment scan.nii.gz --out results`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line with the process's arguments and exit."""
    from brainmets.cli.run import run

    run()
