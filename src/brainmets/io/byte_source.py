"""A file's bytes, unzipped where need be, read piece by piece to their very end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain.errors import Bomb, Truncated
from brainmets.io.gunzip import gunzipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brainmets.io.entries import Entry

__all__ = ["ByteSource", "content_of", "ends_early"]

TRAILING_BYTES = 2**20
"""Bytes after the last voxel that are let pass as padding."""


def content_of(entry: Entry, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Return a file's chunks, inflated if they are gzip."""
    return gunzipped(chunks, entry.name) if entry.kind == "gzip" else chunks


class ByteSource:
    """A chunk iterator read piece by piece, each byte once."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._waiting = bytearray()
        self._position = 0

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes without moving on; fewer only at the end."""
        while len(self._waiting) < count and (chunk := next(self._chunks, None)) is not None:
            self._waiting += chunk
        return bytes(self._waiting[:count])

    def skip_to(self, position: int) -> None:
        """Move on to an absolute position."""
        if len(self.peek(position - self._position)) < position - self._position:
            raise ends_early(self._name, self._position + len(self._waiting), position)
        del self._waiting[: position - self._position]
        self._position = position

    def take(self, count: int) -> bytearray:
        """Return exactly the next `count` bytes in a buffer of their own."""
        taken = bytearray(count)
        filled = min(count, len(self._waiting))
        taken[:filled] = self._waiting[:filled]
        del self._waiting[:filled]
        while filled < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ends_early(self._name, self._position + filled, self._position + count)
            used = min(count - filled, len(chunk))
            taken[filled : filled + used] = chunk[:used] if used < len(chunk) else chunk
            self._waiting += chunk[used:]
            filled += used
        self._position += count
        return taken

    def rest(self) -> Iterator[bytes]:
        """Yield all that is left, chunk by chunk."""
        waiting, self._waiting = bytes(self._waiting), bytearray()
        if waiting:
            yield waiting
        yield from self._chunks

    def drain(self) -> None:
        """Read to the end, so that checks at the end happen; refuse much more than padding."""
        extra = len(self._waiting)
        for chunk in self._chunks:
            extra += len(chunk)
            if extra > TRAILING_BYTES:
                break
        if extra > TRAILING_BYTES:
            raise Bomb(
                f"{self._name} goes on after the voxels its header declares",
                expected="nothing after the last voxel",
                remedy="give the original image",
            )


def ends_early(name: str, found: int, expected: int) -> Truncated:
    """Return the error of a file that is too short."""
    return Truncated(
        f"{name} ends after {found:,} bytes",
        expected=f"{expected:,} bytes, as its header declares",
        remedy="copy or download the file again",
    )
