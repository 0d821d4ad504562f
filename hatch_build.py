"""Project addresses of a build: those below $BRAINMETS_REPOSITORY, or none.

Whoever publishes says where: `BRAINMETS_REPOSITORY=https://host/owner/brainmets make release`.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class RepositoryUrls(MetadataHookInterface):
    """Fills in `[project.urls]`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the addresses of source, issues, documentation and changelog."""
        repository = os.environ.get("BRAINMETS_REPOSITORY", "").rstrip("/")
        metadata["urls"] = {
            "Source": repository,
            "Issues": f"{repository}/issues",
            "Documentation": f"{repository}/blob/main/docs/index.md",
            "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        } if repository else {}  # fmt: skip
