"""A reviewed result as a labelled case that a network can be trained on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from brainmets.domain import RESEARCH_USE_ONLY, Mask
from brainmets.domain.errors import OptionError
from brainmets.domain.regrid import turned_onto
from brainmets.io import write_mask, write_volume
from brainmets.reporting.stored import read_result
from brainmets.workflows.segmented_image import read_segmented

__all__ = ["not_reviewed", "write_training_case"]

CASE_DIGITS = 12
"""Of the SHA-256 of the input, which names the case: the same scan is the same case."""


def write_training_case(
    folder: Path, path: Path, *, source: Path, series: str | None = None, review: Path | None = None
) -> Path:
    """Write a zip of one folder with a scan and its reviewed mask, and return its path.

    Folders of several such zips together are a data set for `brainmets train` and `doctor`. The
    mask is 1 in every lesion that the review keeps. Nothing in it names patient or reader.

    Args:
        folder: a result that `segment` wrote.
        path: the zip to write.
        source: the images that were segmented.
        series: which series of them.
        review: folder of the saved review, by default `folder`.

    Raises:
        OptionError: nobody has reviewed the result, or it is of slice images.
        NotAResult: `folder` holds no result.
        InputError: `source` is not what was segmented.
    """
    result = read_result(folder, review=review)
    if result.kind == "slices":
        raise OptionError(
            "slice images for a training case",
            expected="a scan with position and orientation",
            remedy="train on slice images as docs/how-to/train-on-your-own-data.md describes",
        )
    if not result.reviewed:
        raise not_reviewed()
    image = read_segmented(result, source, series=series)
    drawn = turned_onto(result.mask, image.geometry)
    mask = Mask(data=(drawn.data > 0).astype(np.uint8), geometry=image.geometry)
    name = f"sub-{result.provenance.input_sha256[:CASE_DIGITS]}"
    sequence = "t1c" if "t1c" in result.sequences else result.sequences[0]
    about = {
        "notice": RESEARCH_USE_ONLY,
        "model": result.provenance.model,
        "model_sha256": result.provenance.model_sha256,
        "input_sha256": result.provenance.input_sha256,
        "lesions": len(result.lesions),
        "labels": {str(n): label for n, (label, _) in sorted(result.readings.items()) if label},
    }
    with TemporaryDirectory(dir=path.parent) as draft, zipfile.ZipFile(path, "w") as archive:
        made = [
            write_volume(image, Path(draft) / f"{sequence}.nii.gz"),
            write_mask(mask, Path(draft) / "mask.nii.gz", comment=RESEARCH_USE_ONLY),
        ]
        for one in made:
            archive.write(one, f"{name}/{one.name}")
        archive.writestr(f"{name}/review.json", json.dumps(about, indent=1))
    return path


def not_reviewed() -> OptionError:
    """Say that a network is not trained on what a network has found."""
    return OptionError(
        "a result that no reader has reviewed",
        expected="a saved review, so that the mask is a reader's and not the network's",
        remedy="correct and label the lesions in the page and save, then export again",
    )
