"""Debian's Orthanc, a PACS, on free ports of this computer in a folder that goes with the test."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STARTS_WITHIN_S = 120.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Orthanc:
    """One PACS; stopped and started again it has what it had."""

    def __init__(self, folder: Path) -> None:
        if PROGRAM is None or not PLUGIN.exists():
            pytest.skip("no Orthanc with DICOMweb: apt install orthanc orthanc-dicomweb")
        self.port, self.dicom_port = free_port(), free_port()
        self.folder = folder
        self._config = folder / "orthanc.json"
        self._process: subprocess.Popen[bytes] | None = None
        settings = {
            "Name": "tests",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": self.port,
            "DicomPort": self.dicom_port,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomModalitiesInDatabase": True,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        self._config.write_text(json.dumps(settings))
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=120, trust_env=False
        )

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    @property
    def target(self) -> str:
        return f"ORTHANC@127.0.0.1:{self.dicom_port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.http.close()

    def start(self) -> None:
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, self._config], stdout=log, stderr=log)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                self.http.get("/system").raise_for_status()
                return
            assert self._process.poll() is None, (self.folder / "orthanc.log").read_text()
            time.sleep(0.1)
        raise RuntimeError("Orthanc does not answer")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def keep(self, paths: list[Path]) -> None:
        for path in paths:
            self.http.post("/instances", content=path.read_bytes()).raise_for_status()

    def send_study(self, study_uid: str, aet: str, port: int) -> None:
        """Let it send a study to a node by C-STORE."""
        node = {"AET": aet, "Host": "127.0.0.1", "Port": port}
        self.http.put("/modalities/node", json=node).raise_for_status()
        wanted = {"Level": "Study", "Query": {"StudyInstanceUID": study_uid}}
        (found,) = self.http.post("/tools/find", json=wanted).raise_for_status().json()
        self.http.post("/modalities/node/store", json=[found]).raise_for_status()

    def qido(self, study_uid: str, modality: str) -> list[dict[str, Any]]:
        """The instances of a modality in a study, found by QIDO-RS."""
        query = {"StudyInstanceUID": study_uid, "Modality": modality}
        answer = self.http.get("/dicom-web/instances", params=query).raise_for_status()
        return answer.json() if answer.status_code == 200 else []

    def file(self, instance_uid: str) -> bytes:
        wanted = {"Level": "Instance", "Query": {"SOPInstanceUID": instance_uid}}
        (found,) = self.http.post("/tools/find", json=wanted).raise_for_status().json()
        return self.http.get(f"/instances/{found}/file").raise_for_status().content
