"""A trained model on disk: read, verified byte by byte, and written all or nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from brainmets.bundles import ANATOMY_NAME, SHIPPED_ANATOMY, SHIPPED_ROOT
from brainmets.domain.errors import BundleIncomplete, BundleTampered, OptionError, UnknownModel
from brainmets.inference.footprint import Footprint, measure_footprint
from brainmets.inference.fusion import Member  # noqa: TC001 - pydantic field
from brainmets.inference.operating_point import (
    OperatingPoint,
    PointName,
)
from brainmets.inference.rejector import Rejector  # noqa: TC001 - pydantic field
from brainmets.models.architecture import Architecture  # noqa: TC001 - pydantic field
from brainmets.preprocessing import Plan  # noqa: TC001 - pydantic field

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from brainmets.domain import Volume
    from brainmets.preprocessing import Prepared

__all__ = ["MODELS_VARIABLE", "Bundle", "bundle_file_states", "list_bundles", "write_bundle"]

MODELS_VARIABLE = "BRAINMETS_MODELS"
"""Environment variable: one or more folders of bundles of your own, like PATH."""

ONNX = "model.onnx"
FILES = (ONNX, "plan.json", "card.md")
MANIFEST = "manifest.json"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    name: str = Field(pattern=f"^{NAME.pattern}$")
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")], _Entry]


class _Contents(BaseModel):
    """What plan.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    plan: Plan
    architecture: Architecture
    operating_point: OperatingPoint
    points: dict[PointName, OperatingPoint] = {}
    rejector: Rejector | None = None
    footprint: Footprint
    members: tuple[Member, ...] = ()
    extra: dict[str, JsonValue] = {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A trained model: network, weights, preparation, operating points and card.

    `points` names further operating points than the default one; `rejector` looks at each
    component again before they apply. A fused model has `members` next to its first network.

    The folder holds `model.onnx`, `plan.json`, `card.md` and `manifest.json` with the sha256 of
    the others; nothing in it is ever executed or unpickled.
    `sha256` is that of the manifest, hence of everything.
    """

    name: str
    root: Path
    plan: Plan
    architecture: Architecture
    operating_point: OperatingPoint
    footprint: Footprint
    sha256: str
    card: str
    extra: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    points: Mapping[PointName, OperatingPoint] = field(
        default_factory=dict[PointName, OperatingPoint]
    )
    rejector: Rejector | None = None
    members: tuple[Member, ...] = ()
    onnx_file: str = ONNX

    def single(self, member: Member | None = None) -> Bundle:
        """Return one network of a fused model by itself.

        Args:
            member: one of `members`; by default the first network.

        Returns:
            A bundle without members.
        """
        if member is None:
            return replace(self, members=())
        return replace(
            self,
            plan=self.plan.model_copy(update={"spacing_mm": member.spacing_mm}),
            architecture=member.architecture,
            footprint=member.footprint,
            members=(),
            onnx_file=member.file,
        )

    def point_named(self, name: str) -> OperatingPoint:
        """Return one of the named operating points.

        Args:
            name: sensitive, balanced or specific.

        Returns:
            The operating point.

        Raises:
            OptionError: the model has no point of that name.
        """
        for known, point in self.points.items():
            if known == name:
                return point
        raise OptionError(
            f"the operating point {name!r} of {self.name}",
            expected=" | ".join(self.points) or "a model that was tuned",
            remedy="choose one of these, or run `brainmets tune` on the model first",
        )

    def to_native(self, prepared: Prepared, probability: NDArray[np.float32]) -> Volume:
        """Bring a probability map back to the scan's own grid.

        Args:
            prepared: the prepared scan that the map was predicted from.
            probability: map (x, y, z), 0…1, on the prepared grid.

        Returns:
            Probability (i, j, k), 0…1, to which the operating points apply. With a rejector the
            highest value of each candidate is the estimate that it is a lesion.
        """
        native = prepared.to_native(probability)
        if self.rejector is None:
            return native
        return self.rejector.temper(native, kind=prepared.kind)

    @property
    def onnx_path(self) -> Path:
        """The network with its whole state, (B, C, *S) float32 → logits (B, 1, *S)."""
        return self.root / self.onnx_file

    @classmethod
    def load(cls, name_or_path: str | Path) -> Bundle:
        """Find a bundle by name, or in a folder, and verify the sha256 of every file.

        Args:
            name_or_path: a name from `brainmets models list`, or a folder.

        Returns:
            The verified bundle.

        Raises:
            UnknownModel: there is no such bundle.
            BundleIncomplete: a file or a field is missing or malformed.
            BundleTampered: a file differs from the manifest.
        """
        root = _find(name_or_path)
        name, sha256, contents = read_verified(root)
        try:
            described = _Contents.model_validate_json(contents["plan.json"])
        except ValidationError as error:
            raise malformed(root, "plan.json", error) from error
        for member in described.members:
            if member.file not in contents:
                raise _incomplete(root, member.file)
        return cls(
            name=name,
            root=root,
            plan=described.plan,
            architecture=described.architecture,
            operating_point=described.operating_point,
            footprint=described.footprint,
            sha256=sha256,
            card=contents["card.md"].decode("utf-8"),
            extra=described.extra,
            points=described.points,
            rejector=described.rejector,
            members=described.members,
        )


def list_bundles() -> tuple[str, ...]:
    """List the installed models: those of the package and those in `$BRAINMETS_MODELS`.

    Returns:
        Their names, sorted.
    """
    return tuple(sorted(_named_roots()))


def bundle_file_states() -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes whenever a file of an installed bundle does: a cheap look at each."""
    found: list[tuple[str, int, int, int]] = []
    for root in (*_named_roots().values(), SHIPPED_ANATOMY):
        for name in (*FILES, MANIFEST):
            with suppress(OSError):
                status = (root / name).stat()
                found.append((str(root / name), status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def write_bundle(
    root: Path,
    *,
    name: str,
    onnx: bytes,
    plan: Plan,
    architecture: Architecture,
    operating_point: OperatingPoint,
    card: str,
    extra: Mapping[str, JsonValue] | None = None,
    points: Mapping[PointName, OperatingPoint] | None = None,
    rejector: Rejector | None = None,
    members: Mapping[Member, bytes] | None = None,
) -> Bundle:
    """Write a bundle into the folder `root`, replacing a bundle that is there, and load it.

    Args:
        root: the bundle's own folder; its parent is made where needed.
        name: lower case, digits, `.`, `_`, `-`; what `--model` takes.
        onnx: the network with dynamic batch and spatial sizes, logits out, in float32.
        plan: how a case is prepared for it.
        architecture: how PyTorch builds it.
        operating_point: where it is used by default.
        card: the model card in Markdown.
        extra: anything else worth keeping, such as training figures.
        points: further operating points by name.
        rejector: looks at each component again before they apply.
        members: further networks of a fused model, each with its ONNX file.

    Raises:
        OptionError: the name is not one, or `root` holds something that is no bundle.
    """
    if not NAME.fullmatch(name):
        raise OptionError(
            f"the bundle name {name!r}",
            expected="lower-case letters, digits, '.', '_' and '-'",
            remedy="choose a name such as attention-unet-3d",
        )
    described = _Contents(
        plan=plan,
        architecture=architecture,
        operating_point=operating_point,
        points=dict(points or {}),
        rejector=rejector,
        footprint=measure_footprint(
            onnx, dims=plan.dims, channels=plan.channels, stride=architecture.stride
        ),
        members=tuple(members or ()),
        extra=dict(extra or {}),
    )
    contents = {
        ONNX: onnx,
        **{member.file: data for member, data in (members or {}).items()},
        "plan.json": (described.model_dump_json(indent=2) + "\n").encode(),
        "card.md": card.encode(),
    }
    write_files(root, name=name, contents=contents)
    return Bundle.load(root)


def read_verified(root: Path) -> tuple[str, str, dict[str, bytes]]:
    """Return a bundle's name, the sha256 of its manifest, and its files checked against it.

    Raises:
        BundleIncomplete, BundleTampered: as `Bundle.load`.
    """
    raw = _read(root, MANIFEST)
    try:
        manifest = _Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise malformed(root, MANIFEST, error) from error
    contents: dict[str, bytes] = {}
    for name in FILES:
        if name not in manifest.files:
            raise _incomplete(root, name)
    for name, entry in manifest.files.items():
        contents[name] = _verified(root, name, entry)
    return manifest.name, hashlib.sha256(raw).hexdigest(), contents


def write_files(root: Path, *, name: str, contents: dict[str, bytes]) -> None:
    """Write a bundle's files and their manifest into `root`, all or nothing.

    Raises:
        OptionError: `root` holds something that is no bundle.
    """
    if root.exists() and any(root.iterdir()) and not (root / MANIFEST).is_file():
        raise OptionError(
            f"a folder {root.name} that is not a bundle",
            expected="no folder, an empty one or a bundle to replace",
            remedy="choose another folder",
        )
    manifest = _Manifest(
        name=name,
        files={
            file: _Entry(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            for file, data in contents.items()
        },
    )
    contents[MANIFEST] = (manifest.model_dump_json(indent=2) + "\n").encode()

    root.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        fresh = staging / "new"
        fresh.mkdir()
        for file, data in contents.items():
            (fresh / file).write_bytes(data)
        if root.exists():
            root.replace(staging / "old")
        try:
            fresh.replace(root)
        except OSError:
            if (staging / "old").exists():
                (staging / "old").replace(root)
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _named_roots() -> dict[str, Path]:
    """Bundle folders by name; the user's own come first, so that they can replace a shipped one."""
    named: dict[str, Path] = {}
    own = [Path(p) for p in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if p]
    for parent in (*own, SHIPPED_ROOT):
        if not parent.is_dir():
            continue
        for root in sorted(parent.iterdir()):
            if (root / MANIFEST).is_file() and root.name != ANATOMY_NAME:
                named.setdefault(root.name, root)
    return named


def _find(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, str) and NAME.fullmatch(name_or_path):
        named = _named_roots()
        if name_or_path in named:
            return named[name_or_path]
    root = Path(name_or_path)
    if not root.is_dir():
        raise UnknownModel(
            f"no model named {root.name}",
            expected=f"one of: {', '.join(list_bundles()) or 'none'}; or a bundle's folder",
            remedy=f"see `brainmets models list`, or set {MODELS_VARIABLE} to a folder of bundles",
        )
    return root


def _read(root: Path, name: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except OSError as error:
        raise BundleIncomplete(
            f"no readable {name} in the bundle {root.name}",
            expected=f"{MANIFEST}, {', '.join(FILES)}",
            remedy="export or download the bundle again",
        ) from error


def _incomplete(root: Path, name: str) -> BundleIncomplete:
    return BundleIncomplete(
        f"a manifest of {root.name} without {name}",
        expected="every file that its plan.json names",
        remedy="export or download the bundle again",
    )


def _verified(root: Path, name: str, entry: _Entry) -> bytes:
    data = _read(root, name)
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise BundleTampered(
            f"{name} of the bundle {root.name} with sha256 {found[:12]}…",
            expected=f"{entry.sha256[:12]}… as its manifest says",
            remedy="do not use it; export or download the bundle again",
        )
    return data


def malformed(root: Path, name: str, error: ValidationError) -> BundleIncomplete:
    """Say which field of a bundle's file is not as it must be."""
    first = cast("dict[str, object]", error.errors(include_url=False, include_input=False)[0])
    place = ".".join(str(part) for part in cast("tuple[object, ...]", first["loc"])) or "the file"
    return BundleIncomplete(
        f"{name} of the bundle {root.name}: {place}: {first['msg']}",
        expected="a bundle written by this version of brainmets",
        remedy="export or download the bundle again",
    )
