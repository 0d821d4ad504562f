"""How long a folder of DICOM files takes to list, against pydicom reading the same headers.

    python benchmarks/dicom_listing.py
    python benchmarks/dicom_listing.py FOLDER

Without a folder one is made: 7,355 slices in 40 series, each of about 450 elements as a scanner
writes them, private ones and sequences included. "pydicom" is `dcmread` of every file without its
pixels, for the elements that the listing needs. CPU seconds are of this process and are what a
quiet machine takes; elapsed seconds grow with whatever else runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.io import list_series

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

FILES, SERIES, ELEMENTS = 7_355, 40, 450
SIDE = 64
PLACE = "{:+012.5f}"
"""Decimal strings of one width, so that they are replaced in place."""


def main() -> None:
    """Print elapsed and CPU seconds of both, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="by default one that is made")
    parser.add_argument("--files", type=int, default=FILES)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        measure(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name), arguments.files)
        measure(Path(name))


def measure(folder: Path) -> None:
    """Print one line for the listing, one for pydicom."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    count = len(list_series(folder))  # the files are in memory from here on
    ours, ours_cpu = timed(lambda: list_series(folder))
    theirs, theirs_cpu = timed(lambda: read_headers(files))
    print(f"{len(files):,} files, {count} series")
    print("| | elapsed s | CPU s | ms a file |")
    print("|---|---|---|---|")
    for name, elapsed, cpu in (("listing", ours, ours_cpu), ("pydicom", theirs, theirs_cpu)):
        print(f"| {name} | {elapsed:.1f} | {cpu:.1f} | {1000 * cpu / len(files):.2f} |")
    print(f"The listing takes {ours_cpu / theirs_cpu:.2f} of pydicom's CPU time.")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return elapsed and CPU seconds."""
    start, start_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - start_cpu


def read_headers(files: list[Path]) -> None:
    """Read what a listing needs with pydicom alone."""
    from pydicom import dcmread

    from brainmets.io.dicom_scan import TAGS

    for path in files:
        dcmread(path, stop_before_pixels=True, specific_tags=TAGS)


def make_folder(folder: Path, count: int) -> None:
    """Write `count` slices in `SERIES` series."""
    for series in range(SERIES):
        first, last = series * count // SERIES, (series + 1) * count // SERIES
        content = template(series)
        (folder / f"s{series}").mkdir()
        for number in range(first, last):
            own = content.replace(PLACE.format(-1).encode(), PLACE.format(number - first).encode())
            own = own.replace(uid(0).encode(), uid(number + 1).encode())
            (folder / f"s{series}" / f"IM{number:06d}").write_bytes(own)


def uid(number: int) -> str:
    """An instance UID of one width."""
    return f"1.2.826.0.1.3680043.10.1.{10_000_000 + number}"


def template(series: int) -> bytes:
    """One slice as a scanner writes it, encoded."""
    from io import BytesIO

    buffer = BytesIO()
    slice_of(series).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def slice_of(series: int) -> FileDataset:
    """One slice: what a classic MR image has, then private elements up to `ELEMENTS`."""
    from pydicom import Dataset
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, uid(0)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, uid(0)
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", f"1.2.3.{series + 1}"
    data.SeriesNumber, data.Modality = series + 1, "MR"
    data.SeriesDescription, data.ProtocolName = "AX T1 POST", "t1_mprage"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    data.ScanningSequence, data.RepetitionTime, data.EchoTime = ["GR", "IR"], "1900", "2.5"
    data.InversionTime, data.EchoNumbers, data.AcquisitionNumber = "900", 1, 1
    data.ImagePositionPatient = ["-31.5", "-31.5", PLACE.format(-1)]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.Rows, data.Columns = ["1", "1"], SIDE, SIDE
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelData = b"\0" * 2 * SIDE * SIDE
    data["PixelData"].VR = "OW"
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113", "DCM", "made"
    data.ProcedureCodeSequence = [item]
    data["ProcedureCodeSequence"].is_undefined_length = True
    block = [data.private_block(group, "BRAINMETS MADE", create=True) for group in (0x2001, 0x2005)]
    for number in range(ELEMENTS - len(list(data.iterall()))):
        kind, value = (("DS", "1.25"), ("LO", "some text"), ("FL", 2.5), ("SH", "N"))[number % 4]
        block[number // 240].add_new(number % 240, kind, value)
    block[1].add_new(0xF0, "OB", b"\0" * 40_000)  # a scanner's own record
    return data


if __name__ == "__main__":
    main()
