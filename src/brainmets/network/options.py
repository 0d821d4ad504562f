"""Settings of a node: where it listens, what it takes, where results go, which series it wants."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path  # noqa: TC003 - pydantic reads it at run time
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from brainmets.domain import Sequence  # noqa: TC001 - pydantic reads it at run time
from brainmets.domain.errors import OptionError

__all__ = ["NodeOptions", "SeriesRules", "Target", "is_loopback", "read_rules", "target_of"]

AE_TITLE = r"[A-Za-z0-9 _.\-]{1,16}"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SeriesRules(_Options):
    """Which series of a study is segmented: the best that every rule allows.

    Of several the one with the finest slices is taken, then the one with the most.
    """

    sequences: tuple[Sequence, ...] = Field(
        default=("t1c",), description="What the series must be, by its header; the likeliest first."
    )
    description: str = Field(
        default="", description="A regular expression that its description must contain."
    )
    without: str = Field(
        default=r"\b(mip|mpr|sub|subtraction|screen|report)\b",
        description="A regular expression that its description must not contain.",
    )
    min_slices: int = Field(default=20, ge=3, description="Slices that it has at least.")
    max_slice_mm: float = Field(
        default=6.0, gt=0, le=15, description="Greatest distance between its voxels along an axis."
    )

    @field_validator("description", "without")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error:
            raise ValueError("no regular expression") from None
        return value


class _NodeRules(_Options):
    quiet_s: float = 30.0
    keep_hours: float = 24.0
    max_associations: int = 20
    max_object_bytes: int = 2**29
    min_free_bytes: int = 2**30


class _RulesFile(_Options):
    series: SeriesRules = SeriesRules()
    node: _NodeRules = _NodeRules()


class Target(_Options):
    """Where results are sent: a DICOM node, or the address of a DICOMweb service."""

    kind: Literal["dimse", "web"]
    aet: str = ""
    host: str = ""
    port: int = 0
    url: str = ""

    @property
    def text(self) -> str:
        """As it was given, without a user's name or password."""
        return self.url if self.kind == "web" else f"{self.aet}@{self.host}:{self.port}"


class NodeOptions(_Options):
    """How a node listens, waits, asks and sends."""

    aet: str = Field(default="BRAINMETS", pattern=rf"^{AE_TITLE}$")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    callers: tuple[str, ...] = ()
    targets: tuple[Target, ...] = Field(min_length=1)
    state: Path
    service: str = "http://127.0.0.1:8501/api"
    rules: SeriesRules = SeriesRules()
    quiet_s: float = Field(default=30.0, gt=0)
    keep_hours: float = Field(default=24.0, ge=0)
    max_associations: int = Field(default=20, ge=1, le=500)
    max_object_bytes: int = Field(default=2**29, gt=0)
    min_free_bytes: int = Field(default=2**30, ge=0)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_authority: Path | None = None


def target_of(text: str) -> Target:
    """Read `AET@host:port`, or the http(s) address of a DICOMweb service.

    Raises:
        OptionError: it is neither.
    """
    fault = OptionError(
        "a target that is no node and no address",
        expected="AET@host:port, or https://host/dicom-web",
        remedy="correct --send-to",
    )
    if text.startswith(("http://", "https://")):
        parts = urlsplit(text)
        if not parts.hostname or parts.username or parts.password or parts.query:
            raise fault
        return Target(kind="web", url=text.rstrip("/"))
    found = re.fullmatch(rf"({AE_TITLE})@(\[[0-9a-fA-F:]+\]|[^:@\s/]+):(\d{{1,5}})", text)
    if found is None or not 0 < int(found[3]) < 65536:
        raise fault
    return Target(kind="dimse", aet=found[1], host=found[2].strip("[]"), port=int(found[3]))


def read_rules(path: Path) -> dict[str, Any]:
    """Read a node's TOML file: `[series]` as `SeriesRules`, `[node]` as fields of `NodeOptions`.

    Raises:
        OptionError: it is not readable, or holds what nobody knows.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        read = _RulesFile.model_validate(document)
    except (OSError, ValueError, TypeError) as error:
        named = error.errors()[0]["loc"] if isinstance(error, ValidationError) else ()
        place = ".".join(str(part) for part in named)
        raise OptionError(
            f"a file of rules that cannot be used{f', at {place}' if place else ''}",
            expected="TOML with the tables [series] and [node] of docs/how-to/pacs.md",
            remedy="correct it",
        ) from None
    return {**read.node.model_dump(exclude_unset=True), "rules": read.series}


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer only."""
    return host in LOOPBACK or host.startswith("127.")
