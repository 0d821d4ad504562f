"""Option values as users write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer

from brainmets.domain import Sequence
from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Cluster",
    "Part",
    "Resume",
    "parse_anatomy",
    "parse_images",
    "parse_memory",
    "parse_part",
    "parse_sequence",
]

Resume = Annotated[bool, typer.Option("--resume", help="Skip finished cases.")]
Part = Annotated[
    str | None,
    typer.Option(
        metavar="K/N",
        help="Work on the K-th of N shares, as an array job does.",
        show_default=False,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE",
        help="Work on Dask workers: local, local:4, tcp://host:8786 or a scheduler file.",
        show_default=False,
    ),
]

NO_ANATOMY = "none"

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def parse_anatomy(text: str) -> Path | Literal["shipped"] | None:
    """Return the folder of an anatomy network, "shipped", or None for `none`."""
    if text == NO_ANATOMY:
        return None
    return "shipped" if text == "shipped" else Path(text)


def parse_memory(text: str | None) -> int | None:
    """Return bytes from `2GB`, `800 MB` or `1.5g`.

    Raises:
        OptionError: the text is not a size.
    """
    if text is None:
        return None
    match = SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise OptionError(
            f"the memory size {text!r}",
            expected="a number with a unit",
            remedy="write it as 2GB or 800MB",
        )
    return int(float(match[1]) * UNITS[match[2].lower()])


def parse_part(text: str | None) -> tuple[int, int] | None:
    """Return (3, 8) from `3/8`.

    Raises:
        OptionError: the text is not a part.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise OptionError(
            f"the part {text!r}", expected="a part from 1 to N of N", remedy="write it as 3/8"
        )
    return int(match[1]), int(match[2])


def parse_sequence(name: str) -> Sequence:
    """Return one of t1c, t1n, t2w, t2f.

    Raises:
        OptionError: it is another name.
    """
    known = get_args(Sequence)
    if name.lower() not in known:
        raise OptionError(
            f"the sequence {name!r}", expected=", ".join(known), remedy="choose one of these"
        )
    return cast("Sequence", name.lower())


def parse_images(pairs: Iterable[str]) -> Mapping[Sequence, Path]:
    """Return images by sequence from `t1n=scan.nii.gz` pairs.

    Raises:
        OptionError: a pair is not of that form, or names a sequence twice.
    """
    images: dict[Sequence, Path] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator or not path:
            raise OptionError(
                "an --image without its sequence",
                expected="SEQUENCE=FILE",
                remedy="write it as t1n=native.nii.gz",
            )
        sequence = parse_sequence(name)
        if sequence in images:
            raise OptionError(
                f"two images for the sequence {sequence}",
                expected="one image a sequence",
                remedy="leave one of them out",
            )
        images[sequence] = Path(path)
    return images
