"""From the last image of a study to its segmentation in the PACS: seconds, and of the processor.

    python -m benchmarks.network

A 1 mm head of 176 × 216 × 180 voxels (or `--images`, a folder or zip file with one DICOM series, a
new study each time) is sent by C-STORE to a node that completes a study by its
number of images, with the real service behind it and a C-STORE receiver as the PACS, all on this
computer. The first study also starts a worker and reads the network. Where nothing was found
there is no segmentation: then it is the report that is waited for.

A second table says where the seconds go. `complete`: until the node takes the study to be whole;
`choose`: choosing the series and handing it to the service; `job`: from there to the result, and in
it what the worker reports of its stages; `objects`: writing segmentation and report; `send`: the
first of them. The load average counts what else the computer does: beyond its cores the seconds say
nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, SegmentationStorage
from tests.unit.io_files import write_dicom
from tests.unit.orthanc import free_port

from brainmets.domain import Geometry, HeadPhantom, PhantomLesion, Volume
from brainmets.network.node import Node
from brainmets.network.options import NodeOptions, target_of

if TYPE_CHECKING:
    from pydicom import Dataset

SHAPE = (176, 216, 180)
WITHIN_S = 1800.0
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a line for each study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2, help="How many, one after the other.")
    parser.add_argument("--images", type=Path, help="A DICOM series instead of the synthetic head.")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), told.studies, told.images)


def measure(folder: Path, studies: int, images: Path | None = None) -> None:
    """Start everything, send, wait, and stop everything."""
    received, port = {}, free_port()
    pacs = AE(ae_title="PACS")
    for kind in (SegmentationStorage, Comprehensive3DSRStorage):
        pacs.add_supported_context(kind)
    arrived = threading.Condition()

    def keep(event: Any) -> int:
        with arrived:
            received[event.dataset.StudyInstanceUID, event.dataset.Modality] = time.monotonic()
            arrived.notify_all()
        return 0

    server = pacs.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    service = subprocess.Popen(
        [str(Path(sys.executable).parent / "brainmets"), "serve", "--port", str(port)],
        env=os.environ | {"BRAINMETS_STATE_DIR": str(folder / "service")},
        stderr=subprocess.DEVNULL,
    )
    node = None
    try:
        _until_ready(f"http://127.0.0.1:{port}/api/readyz")
        options = NodeOptions(
            port=0,
            targets=(target_of(f"PACS@127.0.0.1:{server.server_address[1]}"),),
            state=folder / "node",
            service=f"http://127.0.0.1:{port}/api",
            images=SHAPE[2] if images is None else _count(images),
            min_free_bytes=0,
        )
        node = Node(options)
        node.start()
        print(
            "| study | images | seconds to the segmentation | of the processor | load |\n"
            "|---|---|---|---|---|"
        )
        parts: list[dict[str, float]] = []
        for number in range(1, studies + 1):
            study, paths = (
                _study(folder / str(number), number)
                if images is None
                else _copied(images, folder / str(number), number)
            )
            times = _Times(arrived)
            began = _send(paths, node.port)
            with arrived:
                arrived.wait_for(
                    lambda s=study, t=times: (s, "SR") in received or t.failed, timeout=WITHIN_S
                )
            if (study, "SR") not in received:
                raise SystemExit(f"study {number} was not answered: {times.failed or 'too slow'}")
            spent = _processor_s() - began[1]
            answered = received.get((study, "SEG"), received[study, "SR"])
            took = answered - began[0]
            load = os.getloadavg()[0]
            print(
                f"| {number} | {len(paths)} | {took:.1f} | {spent:.1f} | {load:.1f} |", flush=True
            )
            parts.append(times.parts(began[0], answered, options.service))
        _print_parts(parts)
    finally:
        if node is not None:
            node.stop()
        service.terminate()
        service.wait(timeout=60)
        server.shutdown()


class _Times(logging.Handler):
    """When the node logged each of its steps."""

    STEPS = (("complete", "complete"), ("choose", "job "), ("objects", "objects to send"))

    def __init__(self, news: threading.Condition) -> None:
        super().__init__(logging.INFO)
        self._news = news
        self.failed = ""
        self.lines: list[tuple[float, str]] = []
        log = logging.getLogger("brainmets.network")
        log.setLevel(logging.INFO)
        log.handlers = [self]
        log.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((time.monotonic(), record.getMessage()))
        if "failed with" in record.getMessage():
            with self._news:
                self.failed = record.getMessage()
                self._news.notify_all()

    def parts(self, began: float, ended: float, service: str) -> dict[str, float]:
        """Seconds of each step, and of the stages that the worker reports."""
        at = {
            step: next(when for when, line in self.lines if words in line.partition(": ")[2])
            for step, words in self.STEPS
        }
        line = next(line for _, line in self.lines if ": job " in line)
        job = httpx.get(f"{service}/v1/jobs/{line.split()[-1]}", trust_env=False).json()
        stages: dict[str, float] = job["result"]["timings"]
        waited = job["started"] - job["created"]
        worked = job["finished"] - job["started"]
        noticed = time.time() - (time.monotonic() - at["objects"]) - job["finished"]
        return {
            "complete": at["complete"] - began,
            "choose": at["choose"] - at["complete"],
            "job": waited + worked,
            "job: waiting": waited,
            **{f"job: {name}": seconds for name, seconds in stages.items() if name != "total"},
            "job: the rest": worked - stages["total"],
            "objects": noticed,
            "send": ended - at["objects"],
        }


def _print_parts(parts: list[dict[str, float]]) -> None:
    numbers = range(1, len(parts) + 1)
    print("\n| seconds of study | " + " | ".join(map(str, numbers)) + " |")
    print("|---|" + "---|" * len(parts))
    for name in parts[0]:
        print(f"| {name} | " + " | ".join(f"{one.get(name, 0.0):.1f}" for one in parts) + " |")


def _study(folder: Path, number: int) -> tuple[str, list[Path]]:
    place = (25.0 - 4.0 * number, 20.0, 15.0)
    lesion = PhantomLesion(centre_ras_mm=place, radii_mm=(9.0, 8.0, 7.0))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = [(SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2, -(SHAPE[2] - 1) / 2]
    head, _ = HeadPhantom(lesions=(lesion,)).render(Geometry(shape=SHAPE, affine=affine))
    image, study = Volume(data=np.rint(head.data), geometry=head.geometry), generate_uid()
    return study, write_dicom(folder, image, StudyInstanceUID=study, PatientID=f"bench-{number}")


def _datasets(images: Path) -> list[Dataset]:
    """The MR images among the files of a folder or a zip file."""
    if images.is_dir():
        found = [path.read_bytes() for path in sorted(images.rglob("*")) if path.is_file()]
    else:
        with zipfile.ZipFile(images) as archive:
            found = [archive.read(name) for name in archive.namelist() if not name.endswith("/")]
    read = [dcmread(BytesIO(content)) for content in found if content[128:132] == b"DICM"]
    return [one for one in read if one.SOPClassUID == MRImageStorage]


def _count(images: Path) -> int:
    return len(_datasets(images))


def _copied(images: Path, folder: Path, number: int) -> tuple[str, list[Path]]:
    """Write a series as a new study of a patient of its own, T1 with contrast by its header."""
    folder.mkdir()
    study, series, paths = generate_uid(), generate_uid(), list[Path]()
    for place, image in enumerate(_datasets(images)):
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.PatientID, image.SeriesDescription = f"bench-{number}", "T1 mprage post"
        image.ContrastBolusAgent = "as the trial wants it"
        if image.file_meta.TransferSyntaxUID.is_compressed:
            image.decompress()
        paths.append(folder / f"{place:05}.dcm")
        image.save_as(paths[-1])
    return study, paths


def _send(paths: list[Path], port: int) -> tuple[float, float]:
    """Send a study; return when its last image was answered, and the processor's seconds then."""
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="BRAINMETS")
    for path in paths:
        status = association.send_c_store(dcmread(path))
        assert status.Status == 0, status
    told = time.monotonic(), _processor_s()
    association.release()
    return told


def _processor_s() -> float:
    """Seconds of this process and of all that it started, those that have ended included."""
    spent, parents = dict[int, float](), dict[int, int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
        spent[int(path.parent.name)] = sum(map(int, fields[11:15])) / TICKS
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(spent[pid] for pid in ours if pid in spent)


def _until_ready(address: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        try:
            httpx.get(address, trust_env=False, timeout=30).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit("the service does not answer")


if __name__ == "__main__":
    main()
