"""The trained anatomy network on disk: verified byte by byte, like the lesion networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from brainmets.bundles import ANATOMY_NAME
from brainmets.domain.errors import BundleIncomplete
from brainmets.domain.structures import Structure
from brainmets.inference.bundle import malformed, read_verified, write_files
from brainmets.models.architecture import AnatomyArchitecture  # noqa: TC001 - pydantic field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["AnatomyBundle", "write_anatomy_bundle"]


class _Contents(BaseModel):
    """What plan.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    structures: tuple[str, ...] = Field(description="what each logit stands for")
    spacing_mm: float = Field(gt=0)
    architecture: AnatomyArchitecture
    extra: dict[str, JsonValue] = {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnatomyBundle:
    """The anatomy network: its weights, what its classes are, and its card.

    The folder holds the same four files as a lesion network's (`Bundle`), `model.onnx` mapping
    (B, 1, *S) float32 to logits (B, classes, *S).
    """

    name: str
    root: Path
    architecture: AnatomyArchitecture
    spacing_mm: float
    sha256: str
    card: str
    extra: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def onnx_path(self) -> Path:
        """The network with its whole state."""
        return self.root / "model.onnx"

    @classmethod
    def load(cls, root: Path) -> AnatomyBundle:
        """Verify and read the bundle in the folder `root`.

        Raises:
            BundleIncomplete: a file or a field is missing or malformed.
            BundleTampered: a file differs from the manifest.
        """
        name, sha256, contents = read_verified(root)
        try:
            described = _Contents.model_validate_json(contents["plan.json"])
        except ValidationError as error:
            raise malformed(root, "plan.json", error) from error
        if described.structures != tuple(s.name.lower() for s in Structure):
            raise BundleIncomplete(
                f"{len(described.structures)} structures in the bundle {root.name}",
                expected=f"the {len(Structure)} that this version of brainmets knows",
                remedy="export or download the bundle again",
            )
        return cls(
            name=name,
            root=root,
            architecture=described.architecture,
            spacing_mm=described.spacing_mm,
            sha256=sha256,
            card=contents["card.md"].decode("utf-8"),
            extra=described.extra,
        )


def write_anatomy_bundle(
    root: Path,
    *,
    onnx: bytes,
    architecture: AnatomyArchitecture,
    spacing_mm: float,
    card: str,
    extra: Mapping[str, JsonValue] | None = None,
) -> AnatomyBundle:
    """Write the anatomy network into the folder `root`, replacing one that is there, and load it.

    Raises:
        OptionError: `root` holds something that is no bundle.
    """
    described = _Contents(
        structures=tuple(s.name.lower() for s in Structure),
        spacing_mm=spacing_mm,
        architecture=architecture,
        extra=dict(extra or {}),
    )
    write_files(
        root,
        name=ANATOMY_NAME,
        contents={
            "model.onnx": onnx,
            "plan.json": (described.model_dump_json(indent=2) + "\n").encode(),
            "card.md": card.encode(),
        },
    )
    return AnatomyBundle.load(root)
