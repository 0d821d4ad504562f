"""From the last image of a study to its segmentation in the PACS: seconds, and of the processor.

    python -m benchmarks.network

A 1 mm head of 176 × 216 × 180 voxels is sent by C-STORE to a node that completes a study by its
number of images, with the real service behind it and a C-STORE receiver as the PACS, all on this
computer. The first study also starts a worker and reads the network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

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

SHAPE = (176, 216, 180)
WITHIN_S = 1800.0
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a line for each study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=2, help="How many, one after the other.")
    studies = parser.parse_args().studies
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), studies)


def measure(folder: Path, studies: int) -> None:
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
            images=SHAPE[2],
            min_free_bytes=0,
        )
        node = Node(options)
        node.start()
        print(
            "| study | images | seconds to the segmentation | of the processor |\n|---|---|---|---|"
        )
        for number in range(1, studies + 1):
            study, paths = _study(folder / str(number), number)
            began = _send(paths, node.port)
            with arrived:
                done = arrived.wait_for(lambda s=study: (s, "SEG") in received, timeout=WITHIN_S)
            took = received[study, "SEG"] - began[0] if done else float("nan")
            spent = _processor_s() - began[1]
            print(f"| {number} | {len(paths)} | {took:.1f} | {spent:.1f} |", flush=True)
    finally:
        if node is not None:
            node.stop()
        service.terminate()
        service.wait(timeout=60)
        server.shutdown()


def _study(folder: Path, number: int) -> tuple[str, list[Path]]:
    place = (25.0 - 4.0 * number, 20.0, 15.0)
    lesion = PhantomLesion(centre_ras_mm=place, radii_mm=(9.0, 8.0, 7.0))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = [(SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2, -(SHAPE[2] - 1) / 2]
    head, _ = HeadPhantom(lesions=(lesion,)).render(Geometry(shape=SHAPE, affine=affine))
    image, study = Volume(data=np.rint(head.data), geometry=head.geometry), generate_uid()
    return study, write_dicom(folder, image, StudyInstanceUID=study, PatientID=f"bench-{number}")


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
