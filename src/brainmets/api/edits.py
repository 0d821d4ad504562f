"""What a reader draws: lesion ids on the display grid, as they travel, are kept and are applied.

Between page and service they are little-endian uint16, x fastest, as gzip; in JSON as base64.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from typing import TYPE_CHECKING

import numpy as np

from brainmets.api.display import DisplayGrid
from brainmets.domain import Mask
from brainmets.domain.errors import BadRequest, OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DRAWN", "MOST_DRAWN", "apply_drawing", "pack_drawing", "unpack_drawing"]

DRAWN = "drawn.u16.gz"
"""Among the files of a review: every lesion, those too that it leaves out."""

MOST_DRAWN = 1_500_000
"""Voxels of all lesions together, as `rethreshold` allows; bounds memory and time."""

GZIP_WINDOW = 16 + zlib.MAX_WBITS


def unpack_drawing(text: str, shape: tuple[int, int, int]) -> NDArray[np.uint16]:
    """Return lesion ids (x, y, z) on a display grid of `shape` from what the page sent.

    Raises:
        BadRequest: it is not base64 of gzip of exactly that many ids.
    """
    wanted = 2 * int(np.prod(shape))
    try:
        stream = zlib.decompressobj(GZIP_WINDOW)
        raw = stream.decompress(base64.b64decode(text, validate=True), wanted + 1)
    except (binascii.Error, ValueError, zlib.error):
        raw = b""
    if len(raw) != wanted:
        raise BadRequest(
            "a drawing that does not fit the image",
            expected=f"{wanted} bytes of uint16 on the display grid, as gzip in base64",
            remedy="load the page again and repeat the last edit",
        )
    ids = np.frombuffer(raw, dtype="<u2").reshape(shape, order="F").astype(np.uint16)
    if np.count_nonzero(ids) > MOST_DRAWN:
        raise OptionError(
            "lesions that cover a large part of the image",
            expected=f"at most {MOST_DRAWN} voxels of them",
            remedy="erase what is no lesion",
        )
    return ids


def pack_drawing(ids: NDArray[np.uint16]) -> bytes:
    """Return lesion ids on the display grid as gzip."""
    return gzip.compress(ids.astype("<u2").tobytes(order="F"), 1, mtime=0)


def apply_drawing(drawn: NDArray[np.uint16], found: Mask) -> Mask:
    """Return the mask found with every display voxel that the reader changed as it was drawn.

    Where the display is coarser than the input, each of its voxels stands for a block of the
    input's; blocks that were not touched keep what was found there, voxel by voxel.
    """
    grid = DisplayGrid.of(found.geometry)
    before = found.data.astype(np.uint16)
    changed = drawn != grid.apply(before)
    touched = grid.restore(changed, found.geometry.shape)
    ids = np.where(touched, grid.restore(drawn, found.geometry.shape), before)
    return Mask(data=ids, geometry=found.geometry)
