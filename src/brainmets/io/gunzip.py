"""Reading compressed bytes to their very end, in bounded memory, checking what gzip promises.

nibabel loads a file with a flipped bit and SimpleITK a truncated one, both in silence; here a
stream is handed on chunk by chunk and the last chunk only follows when CRC-32 and length agree.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, BinaryIO

from brainmets.domain.errors import ChecksumMismatch, Truncated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Digest(Protocol):
        """A running hash, as `hashlib` makes them."""

        def update(self, data: bytes, /) -> None:
            """Take in more bytes."""
            ...


__all__ = ["chunks_of", "gunzipped"]

READ_BYTES = 2**20
"""One read from disk."""

INFLATE_BYTES = 2**22
"""Most bytes inflated at once: what bounds memory whatever the ratio."""

GZIP_WRAPPER = 31
"""zlib's window bits for "a gzip member with its header, CRC and length"."""


def chunks_of(stream: BinaryIO, digest: Digest) -> Iterator[bytes]:
    """Yield a stream's bytes in chunks, each added to `digest` on its way."""
    while chunk := stream.read(READ_BYTES):
        digest.update(chunk)
        yield chunk


def gunzipped(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the content of gzip `chunks`, several members and zero padding allowed.

    Raises:
        Truncated: the stream ends inside a member.
        ChecksumMismatch: CRC, length or the deflate data itself are wrong, or other bytes follow.
    """
    member = zlib.decompressobj(GZIP_WRAPPER)
    finished = False
    for chunk in chunks:
        waiting = chunk
        while waiting:
            if finished:
                waiting = waiting.lstrip(b"\0")
                if not waiting:
                    break
                member, finished = zlib.decompressobj(GZIP_WRAPPER), False
            try:
                content = member.decompress(waiting, INFLATE_BYTES)
            except zlib.error as error:
                raise ChecksumMismatch(
                    f"{name} has damaged compressed content ({_reason(error)})",
                    expected="gzip data that matches its own CRC-32 and length",
                    remedy="copy or download the file again",
                ) from None
            if content:
                yield content
            finished = member.eof
            waiting = member.unused_data if finished else member.unconsumed_tail
    if not finished:
        raise Truncated(
            f"{name} stops in the middle of its compressed content",
            expected="a complete gzip file",
            remedy="copy or download the file again",
        )


def _reason(error: zlib.error) -> str:
    """Keep zlib's own words, "incorrect data check" and the like."""
    return str(error).rsplit(":", maxsplit=1)[-1].strip()
