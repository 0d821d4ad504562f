"""The trained models that are installed with brainmets, one folder each.

Nothing here is code: `brainmets.inference.Bundle` reads and verifies the folders.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["ANATOMY_NAME", "SHIPPED_ANATOMY", "SHIPPED_ROOT"]

SHIPPED_ROOT = Path(__file__).parent
"""Folder that holds one sub-folder per shipped model."""

ANATOMY_NAME = "anatomy"
"""The sub-folder of the network that labels a head's structures; all others find lesions."""

SHIPPED_ANATOMY = SHIPPED_ROOT / ANATOMY_NAME
"""The anatomy network that every segmentation of a volume uses, unless told otherwise."""
