"""Project addresses and README of a build, with the address in $BRAINMETS_REPOSITORY, or none.

Whoever publishes says where: `BRAINMETS_REPOSITORY=https://host/owner/brainmets make release`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

IMAGE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<path>(?!https?:)[^)]+)\)")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>(?!https?:|#)[^)]+)\)")


class RepositoryUrls(MetadataHookInterface):
    """Fills in `[project.urls]` and a README without relative links."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the addresses of source, issues, documentation and changelog, and the README."""
        repository = os.environ.get("BRAINMETS_REPOSITORY", "").rstrip("/")
        metadata["urls"] = {
            "Source": repository,
            "Issues": f"{repository}/issues",
            "Documentation": f"{repository}/blob/main/docs/index.md",
            "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        } if repository else {}  # fmt: skip
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute_links(readme, repository),
        }


def absolute_links(readme: str, repository: str) -> str:
    """Return the README as package indexes show it: links absolute, or plain text without one."""
    if not repository:
        return LINK.sub(r"\g<text>", IMAGE.sub(r"*\g<text>*", readme))
    pictures = IMAGE.sub(rf"![\g<text>]({repository}/raw/main/\g<path>)", readme)
    return LINK.sub(rf"[\g<text>]({repository}/blob/main/\g<path>)", pictures)
