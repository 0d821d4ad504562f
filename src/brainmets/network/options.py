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
from brainmets.io.dicom_stamp import MOST_SERIES_NUMBER, SERIES_DESCRIPTION, SERIES_NUMBER

__all__ = [
    "NodeOptions",
    "ObjectRules",
    "SeriesRules",
    "Target",
    "caller_of",
    "is_loopback",
    "read_rules",
    "target_of",
]

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


class ObjectRules(_Options):
    """What is sent back, and what its series are called."""

    also: tuple[Literal["rtstruct", "captures"], ...] = Field(
        default=(),
        description="Sent besides segmentation and report. rtstruct: regions, where there is a"
        " lesion; captures: pictures with outlines, for viewers that show no segmentation.",
    )
    series_number: int = Field(
        default=SERIES_NUMBER,
        ge=1,
        le=MOST_SERIES_NUMBER,
        description="Of the segmentation; regions, report and pictures have the next three.",
    )
    series_description: str = Field(
        default="",
        pattern=SERIES_DESCRIPTION,
        description="Of every series, before RESEARCH USE ONLY; the network's name by default.",
    )


class _Limits(_Options):
    """Limits that the table [node] of a rules file may set."""

    quiet_s: float = Field(default=30.0, gt=0)
    images: int = Field(
        default=0, ge=0, description="A study of so many images is complete at once; 0: never."
    )
    keep_hours: float = Field(default=24.0, ge=0)
    max_associations: int = Field(default=20, ge=1, le=500)
    max_object_bytes: int = Field(default=2**29, gt=0)
    max_images_per_minute: int = Field(
        default=12_000, ge=60, description="Of one caller; faster ones are slowed down."
    )
    max_bytes_per_hour: int = Field(
        default=2**36, gt=0, description="Of one caller; more is refused for a while."
    )
    min_free_bytes: int = Field(default=2**30, ge=0)


class _RulesFile(_Options):
    series: SeriesRules = SeriesRules()
    objects: ObjectRules = ObjectRules()
    node: _Limits = _Limits()


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


class NodeOptions(_Limits):
    """How a node listens, waits, asks and sends.

    `callers` are the AE titles that may send; `addresses` are those of callers that are told
    there what was stored, where they ask for it (storage commitment). Counts for Prometheus are at
    `metrics_port` of the loopback address, unless that is 0.
    """

    aet: str = Field(default="BRAINMETS", pattern=rf"^{AE_TITLE}$")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    callers: tuple[str, ...] = ()
    addresses: tuple[Target, ...] = ()
    targets: tuple[Target, ...] = Field(min_length=1)
    state: Path
    audit_file: Path | None = None
    metrics_port: int = Field(default=0, ge=0, le=65535)
    service: str = "http://127.0.0.1:8501/api"
    rules: SeriesRules = SeriesRules()
    objects: ObjectRules = ObjectRules()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_authority: Path | None = None


def caller_of(text: str) -> tuple[str, Target | None]:
    """Read who may send: an AE title, or `AET@host:port` where it listens too.

    Raises:
        OptionError: it is neither.
    """
    if re.fullmatch(AE_TITLE, text):
        return text, None
    target = None if "://" in text else _node_of(text)
    if target is None:
        raise OptionError(
            "a sender that is no AE title",
            expected="an AE title of 1 to 16 characters, or AET@host:port",
            remedy="correct --from",
        )
    return target.aet, target


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
    target = _node_of(text)
    if target is None:
        raise fault
    return target


def _node_of(text: str) -> Target | None:
    found = re.fullmatch(rf"({AE_TITLE})@(\[[0-9a-fA-F:]+\]|[^:@\s/]+):(\d{{1,5}})", text)
    if found is None or not 0 < int(found[3]) < 65536:
        return None
    return Target(kind="dimse", aet=found[1], host=found[2].strip("[]"), port=int(found[3]))


def read_rules(path: Path) -> dict[str, Any]:
    """Read a node's TOML file: `[series]`, `[objects]` and `[node]`, as fields of `NodeOptions`.

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
            expected="TOML with the tables [series], [objects] and [node] of docs/how-to/pacs.md",
            remedy="correct it",
        ) from None
    return {
        **read.node.model_dump(exclude_unset=True),
        "rules": read.series,
        "objects": read.objects,
    }


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer only."""
    return host in LOOPBACK or host.startswith("127.")
