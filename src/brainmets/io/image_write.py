"""Writing the mask of one slice as a picture of the same pixel shape."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GridMismatch, OutputDiffers
from brainmets.io.nifti_write import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

__all__ = ["write_slice_mask"]


def write_slice_mask(mask: ArrayLike, path: Path) -> Path:
    """Write one slice `mask.data[:, :, k]` (column, row) as a PNG of 0 and 255 (row, column).

    Raises:
        GridMismatch: the mask is not two-dimensional.
        OutputExists, DiskFull: the folder does not take the file.
        OutputDiffers: the picture does not read back the same.
    """
    from PIL import Image

    foreground = np.asarray(mask) > 0
    if foreground.ndim != 2:
        raise GridMismatch(
            f"a mask of {foreground.ndim} dimensions for one slice image",
            expected="two dimensions, column and row",
            remedy="write each slice of a stack to its own file",
        )
    pixels = np.ascontiguousarray(foreground.T).astype(np.uint8) * 255
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    with Image.open(BytesIO(buffer.getvalue()), formats=("PNG",)) as written:
        if not np.array_equal(np.asarray(written), pixels):
            raise OutputDiffers(
                "a mask picture that does not read back as it was drawn",
                expected="the same pixels",
                remedy="report this; nothing was written",
            )
    return write_atomically(path, buffer.getvalue())
