"""The trained models that are installed with brainmets, one folder each.

Nothing here is code: `brainmets.inference.Bundle` reads and verifies the folders.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["SHIPPED_ROOT"]

SHIPPED_ROOT = Path(__file__).parent
"""Folder that holds one sub-folder per shipped model."""
