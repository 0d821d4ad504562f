"""Studies from four senders while node, service and workers are killed and the PACS is away.

BRAINMETS_TRIAL_STUDIES=100 BRAINMETS_TRIAL_KILLS=20 make the whole trial; by default
a short one runs.
"""

from __future__ import annotations

import gc
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE

from brainmets.domain import Geometry, HeadPhantom, PhantomLesion, Volume
from brainmets.network.node import unanswered
from tests.patience import comes_true
from tests.trials.service import REPOSITORY, Service
from tests.unit.io_files import write_dicom
from tests.unit.orthanc import Orthanc

if TYPE_CHECKING:
    from pathlib import Path

STUDIES = int(os.environ.get("BRAINMETS_TRIAL_STUDIES", "12"))
KILLS = int(os.environ.get("BRAINMETS_TRIAL_KILLS", "6"))
SENDERS = 4
AWAY_S = 20.0 if STUDIES < 50 else 60.0
QUIET_S = 8.0
WITHIN_S = 600.0 + 60.0 * STUDIES
SHAPE = (40, 48, 24)


class ListeningNode:
    """`brainmets listen` in a process that can be killed."""

    def __init__(self, folder: Path, service: Service, pacs: Orthanc) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.state = folder / "node"
        self.log = folder / "node.log"
        self._command = [
            *(sys.executable, "-c", "from brainmets.cli import main; main()", "listen"),
            *("--port", str(self.port), "--send-to", pacs.target, "--quiet", str(QUIET_S)),
            *("--service", service.url, "--state", str(self.state)),
            *("--rules", str(folder / "rules.toml")),
        ]
        (folder / "rules.toml").write_text(
            "[series]\nmax_slice_mm = 10.0\n[node]\nmin_free_bytes = 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=os.environ | {"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
                stdout=log,
                stderr=log,
            )
        assert comes_true(lambda: listens(self.port), within_s=120), self.log.read_text()[-2000:]

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60)

    @property
    def memory_kib(self) -> int:
        assert self._process is not None
        with open(f"/proc/{self._process.pid}/status", encoding="ascii") as status:  # noqa: PTH123
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def make_study(folder: Path, number: int) -> tuple[str, list[Path]]:
    """One patient's head with one lesion somewhere."""
    place = np.random.default_rng(number).uniform(-25, 25, 3)
    lesion = PhantomLesion(centre_ras_mm=tuple(place.tolist()), radii_mm=(14.0, 14.0, 14.0))
    affine = np.diag([-5.0, -5.0, 7.0, 1.0])
    affine[:3, 3] = (97.0, 118.0, -80.0)
    head, _ = HeadPhantom(lesions=(lesion,), noise=0.0).render(Geometry(shape=SHAPE, affine=affine))
    study = generate_uid()
    image = Volume(data=np.rint(head.data), geometry=head.geometry)
    paths = write_dicom(
        folder / str(number), image, StudyInstanceUID=study, PatientID=f"trial-{number}"
    )
    return study, paths


def send(paths: list[Path], port: int) -> None:
    """Send what is left until every image was answered, as a scanner does."""
    left = list(paths)
    while left:
        if listens(port):  # the library leaves the socket of a refused connection open
            _send_some(left, port)
        if left:
            time.sleep(1.0)


def _send_some(left: list[Path], port: int) -> None:
    """Send until something fails; take out of the list what was answered."""
    ae = AE(ae_title="SENDER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title="BRAINMETS")
    stream = association.dul.socket
    line = None if stream is None else stream.socket
    try:
        for path in list(left) if association.is_established else []:
            status = None
            with suppress(RuntimeError, OSError):
                status = association.send_c_store(dcmread(path))
            if not status or status.get("Status") != 0:
                break
            left.remove(path)
        if association.is_established:
            association.release()
    finally:
        if line is not None:
            line.close()  # the library leaves it open where the node was killed


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_study_is_answered_exactly_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    waiting: queue.SimpleQueue[list[Path]] = queue.SimpleQueue()
    studies = []
    for number in range(STUDIES):
        study, paths = make_study(tmp_path / "images", number)
        studies.append(study)
        waiting.put(paths)

    with (
        Orthanc(tmp_path) as pacs,
        Service(
            tmp_path / "service",
            runner="tests.unit.followup_stand_in:segment",
            max_waiting=200,
            max_attempts=50,
        ) as service,
    ):
        node = ListeningNode(tmp_path, service, pacs)
        node.start()

        def work() -> None:
            with suppress(queue.Empty):
                while True:
                    send(waiting.get_nowait(), node.port)

        senders = [threading.Thread(target=work, daemon=True) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        killed: Counter[str] = Counter()
        memory: list[int] = []
        for number in range(KILLS):
            time.sleep(chance.uniform(4.0, 12.0))
            memory.append(node.memory_kib)
            victim = ("node", "worker", "service")[number % 3]
            killed[victim] += 1
            if victim == "node":
                node.kill()
                node.start()
            elif victim == "worker":
                service.signal_all(signal.SIGKILL, service.workers())
            else:
                service.kill()
                service.start()
            if number == KILLS // 2:
                pacs.stop()
                time.sleep(AWAY_S)
                pacs.start()
        for sender in senders:
            sender.join(timeout=WITHIN_S)
        assert not any(sender.is_alive() for sender in senders)
        assert comes_true(lambda: unanswered(node.state) == ([], []), within_s=WITHIN_S), (
            unanswered(node.state)
        )
        memory.append(node.memory_kib)
        node.stop()
        answers = Counter(
            (len(pacs.qido(study, "SEG")), len(pacs.qido(study, "SR"))) for study in studies
        )
    print(f"\n{STUDIES} studies, kills {dict(killed)}, answers {dict(answers)}")
    print(f"memory of the node in MiB: {[round(kib / 1024) for kib in memory]}")
    gc.collect()  # pynetdicom leaves the sockets of refused connections to be collected
    assert answers == {(1, 1): STUDIES}
    assert max(memory) < 400 * 1024
