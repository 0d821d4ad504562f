"""Images in and results out: every format behind one door, gates before readers.

NIfTI, DICOM (file, folder, zip; classic, enhanced, compressed) and slice images (PNG, JPEG, TIFF)
become a `Case`; masks and probabilities leave as NIfTI on the input's own grid, or as PNG for
slices. Not covered: 4-D NIfTI, .hdr/.img pairs, CT, PET, DICOM without positions.
"""

from brainmets.io.image_write import write_slice_mask
from brainmets.io.limits import DEFAULT_LIMITS, Limits, limits_table
from brainmets.io.nifti_write import Encoding, nifti_header_of, write_mask, write_volume
from brainmets.io.reading import list_series, read_case, read_mask, read_volume, whole_labels
from brainmets.io.sequences import guess_from_name
from brainmets.io.series import SeriesInfo
from brainmets.io.slice_images import CHANNELS

__all__ = [
    "CHANNELS",
    "DEFAULT_LIMITS",
    "Encoding",
    "Limits",
    "SeriesInfo",
    "guess_from_name",
    "limits_table",
    "list_series",
    "nifti_header_of",
    "read_case",
    "read_mask",
    "read_volume",
    "whole_labels",
    "write_mask",
    "write_slice_mask",
    "write_volume",
]
