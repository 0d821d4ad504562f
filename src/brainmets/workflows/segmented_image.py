"""The image behind a result, found again among what the user gives, and recognised as that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain.errors import GridMismatch, InputError, SeveralSeries, SourceDiffers
from brainmets.io import list_series, read_case

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brainmets.domain import Case, Sequence, Volume
    from brainmets.reporting.stored import StoredResult

__all__ = ["read_segmented"]


def read_segmented(result: StoredResult, source: Path, *, series: str | None = None) -> Volume:
    """Read the image that a result was made from; of several series, the one that was.

    An input of one image is recognised by the hash of its content. Of several sequences, whose
    hash is a joint one, the image given must be on the result's grid.

    Raises:
        SourceDiffers: the image, or every series, is another one.
        GridMismatch: the image lies elsewhere than the mask.
        InputError: as `read_case`.
    """
    grid = result.mask.geometry
    refusal: InputError | None = None
    for case in _cases(result, source, series):
        if isinstance(case, InputError):
            refusal = refusal or case
        elif result.input_sha256 not in {None, case.source.sha256}:
            refusal = SourceDiffers(
                f"images in {source.name} that are not those segmented",
                expected="the file, folder or zip that the result was made from",
                remedy="give that one",
            )
        elif case.geometry.same_grid(grid, tolerance_mm=0.1 * min(grid.spacing_mm)):
            return next(iter(case.images.values()))
        else:
            refusal = GridMismatch(
                f"an image in {source.name} on another grid than the mask",
                expected="the image that was segmented",
                remedy="give that one",
            )
    raise refusal or SourceDiffers(
        f"no image in {source.name}",
        expected="the file, folder or zip that the result was made from",
        remedy="give that one",
    )


def _cases(result: StoredResult, source: Path, series: str | None) -> Iterator[Case | InputError]:
    """Read what was asked for, or one series after the other where there are several."""
    sequence: Sequence = "t1c" if "t1c" in result.sequences else result.sequences[0]
    try:
        yield read_case(source, series=series, sequence=sequence)
    except SeveralSeries:
        size = sorted(result.mask.geometry.shape)
        for one in list_series(source):
            if sorted(one.shape) == size:
                try:
                    yield read_case(source, series=one.choice, sequence=sequence)
                except InputError as error:  # of a neighbour in the same study
                    yield error
