"""The few elements of a DICOM file that a listing needs, cut out of all the others.

A header has hundreds of elements, most of them a vendor's own. They are stepped over here, and
what is left is a small DICOM file for the real parser. Whatever is out of the ordinary is left to
that parser as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct, error
from typing import BinaryIO, NamedTuple

__all__ = ["Skimmed", "skim"]

FIRST_BLOCK, LARGEST_BLOCK = 1 << 16, 1 << 24
"""Bytes read at once; the block grows until the pixels begin."""

PREAMBLE = 132
DEEPEST = 16
"""How far sequences may lie within each other."""

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED = 0xFFFFFFFF
PIXELS = (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00", b"\xe0\x7f\x10\x00")
META_GROUP, COMMAND_GROUP = b"\x02\x00", b"\x00\x00"
SYNTAX, META_KEPT = b"\x02\x00\x10\x00", (b"\x02\x00\x02\x00", b"\x02\x00\x10\x00")
INSTANCE_UID, POSITION, FRAMES = b"\x08\x00\x18\x00", b"\x20\x00\x32\x00", b"\x00\x52\x30\x92"
"""Tags as little-endian files hold them."""

OWN = (INSTANCE_UID, POSITION)
"""What every slice of a series has of its own."""

STOPS = frozenset((*PIXELS, ITEM, ITEM_END, SEQUENCE_END))

SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations with lengths of two and of four bytes (PS3.5 7.1.2)."""

IMPLICIT = b"1.2.840.10008.1.2"
EXPLICIT = (b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.5")
"""Uncompressed; compressed by run lengths."""

COMPRESSED = b"1.2.840.10008.1.2.4."

HEAD = Struct("<4sL")
EXPLICIT_HEAD = Struct("<4s2sH")
LENGTH = Struct("<L")

PLAIN_UID = re.compile(rb"[0-9.]{1,64}\0?")
PLAIN_POSITION = re.compile(rb"(?: *[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)? *(?:\\|$)){3}")


class _Odd(Exception):
    """What is left to the real parser."""


class _Element(NamedTuple):
    tag: bytes
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skimmed:
    """A small file with the same elements of interest.

    `content` ends with the head of the pixel data; in the file itself the pixels begin at byte
    `at`. `alike` is equal for files that differ in nothing but `at`, `instance_uid` and
    `position` (LPS mm); None where these have to be parsed.
    """

    content: bytes
    at: int
    alike: bytes | None
    instance_uid: str
    position: tuple[float, ...]


def skim(stream: BinaryIO, wanted: frozenset[bytes]) -> Skimmed | None:
    """Cut the `wanted` tags out of a DICOM file; None where the parser must have all of it.

    Specific Character Set comes along.
    """
    size, block = FIRST_BLOCK, b""
    while size <= LARGEST_BLOCK:
        more = stream.read(size - len(block))
        if not more:
            return None  # it ends before the pixels
        block += more
        try:
            return _skimmed(block, wanted)
        except (error, IndexError):  # the block is too short
            size *= 4
        except _Odd:
            return None
    return None


def _skimmed(block: bytes, wanted: frozenset[bytes]) -> Skimmed:
    if block[128:PREAMBLE] != b"DICM":
        raise _Odd
    meta, at = _meta(block)
    implicit = _is_implicit(meta.get(SYNTAX, b""), block[at + 4 : at + 6])
    elements, pixels = _elements(block, at, wanted, implicit=implicit)
    parts = [b"\0" * 128, b"DICM", *meta.values()]
    same = list(parts)
    own: dict[bytes, bytes] = {}
    plain = True
    for tag, start, value, end in elements:
        content = block[start:end]
        parts.append(content)
        if tag in OWN:
            plain = plain and tag not in own
            own[tag] = block[value:end]
            content = content[: 4 if implicit else 6]
        elif tag == FRAMES:
            plain = False
        same.append(content)
    at = pixels + (8 if implicit else 12)
    head = block[pixels:at]
    if len(block) < at:
        raise IndexError
    parts.append(head)
    same.append(head[:4])
    uid, position = own.get(INSTANCE_UID, b""), own.get(POSITION, b"")
    if plain and PLAIN_UID.fullmatch(uid) and PLAIN_POSITION.fullmatch(position):
        alike, numbers = b"".join(same), tuple(map(float, position.split(b"\\")))
    else:
        alike, numbers = None, ()
    return Skimmed(
        content=b"".join(parts),
        at=at,
        alike=alike,
        instance_uid=uid.rstrip(b"\0").decode("ascii") if alike else "",
        position=numbers,
    )


def _meta(block: bytes) -> tuple[dict[bytes, bytes], int]:
    """Return the kept elements of the file meta group, and where the data set begins."""
    kept: dict[bytes, bytes] = {}
    at = PREAMBLE
    while block[at : at + 2] == META_GROUP:
        tag, kind, length = EXPLICIT_HEAD.unpack_from(block, at)
        end = at + 8 + length
        if kind not in SHORT:
            end = at + 12 + _long(block, at, kind)
        if tag in META_KEPT:
            if tag in kept:
                raise _Odd
            kept[tag] = block[at:end]
        at = end
    if block[at : at + 2] == COMMAND_GROUP:
        raise _Odd
    return kept, at


def _long(block: bytes, at: int, kind: bytes) -> int:
    """Return the length of an element at `at` whose length has four bytes."""
    if kind not in LONG:
        raise _Odd
    (length,) = LENGTH.unpack_from(block, at + 8)
    return length


def _is_implicit(syntax: bytes, first_kind: bytes) -> bool:
    """Whether lengths follow tags at once, by the transfer syntax element."""
    name = syntax[8:].rstrip(b"\0 ")
    if name == IMPLICIT:
        if first_kind.isalpha():
            raise _Odd  # declared implicit, but explicit
        return True
    if name not in EXPLICIT and not name.startswith(COMPRESSED):
        raise _Odd
    return False


def _elements(
    block: bytes, at: int, wanted: frozenset[bytes], *, implicit: bool
) -> tuple[list[_Element], int]:
    """Return the wanted elements, and where the pixel data begins."""
    found: list[_Element] = []
    unpack = EXPLICIT_HEAD.unpack_from
    while True:
        tag, kind, length = unpack(block, at)
        value = at + 8
        if implicit:
            (length,) = LENGTH.unpack_from(block, at + 4)
        elif kind not in SHORT:
            length = _long(block, at, kind)
            value += 4
        if tag in STOPS:
            return found, _checked(tag, at)
        end = value + length
        if length == UNDEFINED:
            end = _after_sequence(block, value, DEEPEST, kind, implicit=implicit)
        if tag in wanted:
            if end > len(block):
                raise IndexError
            found.append(_Element(tag, at, value, end))
        at = end


def _checked(tag: bytes, at: int) -> int:
    """Return `at` where the pixels begin there."""
    if tag not in PIXELS:
        raise _Odd
    return at


def _after_sequence(block: bytes, at: int, depth: int, kind: bytes, *, implicit: bool) -> int:
    """Step over the items of a sequence of undefined length."""
    if depth == 0 or not (implicit or kind == b"SQ"):
        raise _Odd
    while True:
        tag, length = HEAD.unpack_from(block, at)
        at += 8
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM:
            raise _Odd
        at = (
            _after_item(block, at, depth, implicit=implicit) if length == UNDEFINED else at + length
        )


def _after_item(block: bytes, at: int, depth: int, *, implicit: bool) -> int:
    while True:
        tag, kind, length = EXPLICIT_HEAD.unpack_from(block, at)
        if tag == ITEM_END:
            return at + 8
        if tag in STOPS:
            raise _Odd
        value = at + 8
        if implicit:
            (length,) = LENGTH.unpack_from(block, at + 4)
        elif kind not in SHORT:
            length = _long(block, at, kind)
            value += 4
        at = value + length
        if length == UNDEFINED:
            at = _after_sequence(block, value, depth - 1, kind, implicit=implicit)
