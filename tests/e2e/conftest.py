"""The application as a user starts it, with networks that find whatever is bright."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import nibabel
import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from brainmets.domain import Geometry, HeadPhantom, PhantomLesion
from brainmets.inference import OperatingPoint, write_bundle
from brainmets.models import Architecture
from brainmets.preprocessing import Plan
from tests.e2e.dicom import dicom_zip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)
BRIGHTEST = "zz-brightest-3d"
"""Finds only what is brighter than any tissue; the last in every list of models."""

STARTS_WITHIN_S = 180.0
PATIENCE_MS = 180_000
expect.set_options(timeout=60_000)  # the machine is often busy with other work
LESIONS = (
    PhantomLesion(centre_ras_mm=(34.0, 22.0, 18.0), radii_mm=(9.0, 8.0, 8.0)),
    PhantomLesion(centre_ras_mm=(-38.0, -30.0, 10.0), radii_mm=(6.0, 6.0, 6.0)),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


def write_bright_finder(root: Path, dims: int, *, above: float = 1.6) -> None:
    """A network of one weight: its logits rise where the image is brighter than `above`."""
    axes = ["n", "c", *"xyz"[:dims]]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, axes)
    kernel = [1] * (2 + dims)
    constants = [
        helper.make_tensor("weight", TensorProto.FLOAT, kernel, [8.0]),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [-8.0 * above]),
    ]
    nodes = [helper.make_node("Conv", ["x", "weight", "bias"], ["logits"])]
    graph = helper.make_graph(nodes, "bright", [given], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    write_bundle(
        root,
        name=root.name,
        onnx=model.SerializeToString(),
        plan=Plan(dims=dims, spacing_mm=2.0, clahe=None),
        architecture=Architecture(name="attention-unet", dims=dims, in_channels=1, widths=(4, 8)),
        operating_point=OperatingPoint(threshold=0.5, peak=0.6),
        card="# Finds what is bright\n\nFor tests.\n",
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bright_finder(folder / "attention-unet-3d", 3)
    write_bright_finder(folder / "attention-unet-2d", 2)
    write_bright_finder(folder / "unet-plus-plus-3d", 3)
    write_bright_finder(folder / BRIGHTEST, 3, above=3.6)
    return folder


@pytest.fixture(scope="session")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(models, tmp_path_factory.mktemp("service")) as url:
        yield url


@contextmanager
def served(
    models: Path, folder: Path, *, under: Sequence[str] = (), **settings: str
) -> Iterator[str]:
    """What `brainmets serve` runs, on a free port, with its state and log in `folder`.

    `under` goes before the command, such as a tracer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "BRAINMETS_MODELS": str(models),
        "BRAINMETS_STATE_DIR": str(folder / "state"),
        "BRAINMETS_MIN_FREE_BYTES": "0",
        **settings,
    }
    start = f"from brainmets.ui.server import serve; serve(port={port})"
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [*under, sys.executable, "-c", start], env=environment, stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/api/healthz", process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail("the server stopped")
        try:
            httpx.get(url, timeout=5)
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("the server does not answer")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no /usr/bin/chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def refused() -> list[str]:
    """Parts of addresses whose refusal a test provokes: the browser logs each as an error."""
    return []


@pytest.fixture
def page(browser: Browser, address: str, refused: list[str]) -> Iterator[Page]:
    """A fresh page that must not complain on its console nor ask anyone outside."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    trouble: list[str] = []
    watch(context, address, trouble, refused)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()
    assert trouble == []


def watch(context: BrowserContext, address: str, trouble: list[str], refused: list[str]) -> None:
    """Note every error on a console and every request that leaves the machine."""

    def console(message: ConsoleMessage) -> None:
        wanted = any(part in message.location.get("url", "") for part in refused)
        if message.type == "error" and not wanted:
            trouble.append(f"{message.text} ({message.location.get('url')})")

    context.on("console", console)
    context.on("weberror", lambda error: trouble.append(str(error.error)))
    context.on("request", lambda request: _note_outside(request.url, address, trouble))


def _note_outside(url: str, address: str, trouble: list[str]) -> None:
    inside = (address, address.replace("http", "ws", 1), "data:", "blob:")
    if not url.startswith(inside):
        trouble.append(f"a request left the machine: {url}")


@pytest.fixture(scope="session")
def head() -> tuple[np.ndarray, Geometry]:
    geometry = Geometry.isotropic((90, 108, 96), spacing_mm=2.0)
    image, _ = HeadPhantom(lesions=LESIONS).render(geometry)
    return np.rint(image.data).astype(np.int16), geometry


@pytest.fixture
def nifti(head: tuple[np.ndarray, Geometry], tmp_path: Path) -> Path:
    """The head as an upload of this test alone: another's saved review would come with the job."""
    data, geometry = head
    image = nibabel.Nifti1Image(data, geometry.affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = tmp_path.name.encode()[:79]
    path = tmp_path / "head_t1c.nii.gz"
    nibabel.save(image, path)
    return path


@pytest.fixture(scope="session")
def dicom(head: tuple[np.ndarray, Geometry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dicom") / "series.zip"
    path.write_bytes(dicom_zip(*head))
    return path


@pytest.fixture(scope="session")
def two_series(dicom: Path, head: tuple[np.ndarray, Geometry]) -> Path:
    path = dicom.with_name("two.zip")
    merged = io.BytesIO(dicom.read_bytes())
    data, geometry = head
    with zipfile.ZipFile(merged, "a") as archive:
        other = zipfile.ZipFile(io.BytesIO(dicom_zip(data[::-1] // 2, geometry, number=2)))
        for name in other.namelist():
            archive.writestr(f"other/{name}", other.read(name))
    path.write_bytes(merged.getvalue())
    return path


@pytest.fixture(scope="session")
def png(head: tuple[np.ndarray, Geometry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, geometry = head
    k = round(float(geometry.to_voxel((0.0, 0.0, 14.0))[2]))
    rows = np.flip(data[:, :, k], (0, 1)).T  # as displayed: the patient's right on the left
    path = tmp_path_factory.mktemp("png") / "slice.png"
    Image.fromarray(np.clip(rows / 4, 0, 255).astype(np.uint8)).resize((360, 432)).save(path)
    return path
