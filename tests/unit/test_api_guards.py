"""Who guesses, lingers or has signed out is held off; nothing that was read reaches the log."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import logging
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from brainmets.api import bodies
from brainmets.api.limits import EVERY_S, FREE_TRIES, KeyGuard
from brainmets.api.quiet import strip_texts
from brainmets.api.segmenting import _warm_segmenter
from brainmets.api.sessions import COOKIE, Sessions
from brainmets.domain import plain_cell
from brainmets.domain.errors import TooManyTries
from brainmets.inference import bundle_file_states
from brainmets.workflows.documents import csv_text
from tests.bundles import random_bundle
from tests.patience import comes_true
from tests.unit.api_server import serving
from tests.unit.test_api_bodies import Wire
from tests.unit.test_api_jobs import open_service, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from starlette.types import Receive, Send

__all__ = ["open_service", "service"]

KEY = "a-good-key"
KEYS = f"reader:{hashlib.sha256(KEY.encode()).hexdigest()}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_signing_out_ends_the_token_wherever_it_was_copied_to(
    open_service: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    client = open_service(api_keys_sha256=KEYS)
    first, second = (
        client.post("/v1/session", headers=bearer(KEY)).json()["token"] for _ in range(2)
    )
    client.cookies.clear()
    assert client.get("/v1/session", headers=bearer(first)).status_code == 200
    assert client.delete("/v1/session", headers=bearer(first)).status_code == 204
    assert client.get("/v1/session", headers=bearer(first)).status_code == 401
    assert client.get("/v1/session", headers={"Cookie": f"{COOKIE}={first}"}).status_code == 401
    assert client.get("/v1/session", headers=bearer(second)).status_code == 200
    assert client.get("/v1/session", headers=bearer(KEY)).status_code == 200
    elsewhere = Sessions.of(tmp_path, {hashlib.sha256(KEY.encode()).hexdigest(): "reader"})
    assert elsewhere.owner(first) is None, "for every server of the state folder"
    assert elsewhere.owner(second) == "reader"
    elsewhere.revoke(second, now=time.time() + 10**6)
    lines = (tmp_path / "session.revoked").read_text().splitlines()
    assert len(lines) == 1, "those that would have ended by themselves are forgotten"


def test_wrong_keys_are_slowed_after_the_tenth() -> None:
    async def guess(guard: KeyGuard, address: str) -> str:
        try:
            await guard.admit(address, "wrong")
        except TooManyTries:
            return "refused"
        guard.note(address, "wrong", right=False)
        return "tried"

    async def attack() -> None:
        guard = KeyGuard()
        guard.note("reader's", "right", right=True)
        started = time.monotonic()
        first = [await guess(guard, "attacker's") for _ in range(FREE_TRIES)]
        assert first == ["tried"] * FREE_TRIES
        assert time.monotonic() - started < EVERY_S
        flood = await asyncio.gather(*(guess(guard, "attacker's") for _ in range(200)))
        took = time.monotonic() - started
        assert flood.count("tried") <= took / EVERY_S + 1
        assert flood.count("refused") >= 190
        for address in ("reader's", "another"):
            before = time.monotonic()
            await guard.admit(address, "right")
            assert time.monotonic() - before < EVERY_S, "others wait for nobody's guesses"

    asyncio.run(attack())


def test_a_right_key_is_known_from_an_address_that_guesses(
    open_service: Callable[..., httpx.Client],
) -> None:
    client = open_service(api_keys_sha256=KEYS)
    assert client.get("/v1/session", headers=bearer(KEY)).status_code == 200
    statuses = [client.get("/v1/session", headers=bearer("x")).status_code for _ in range(12)]
    assert set(statuses) <= {401, 429}
    started = time.monotonic()
    assert client.get("/v1/session", headers=bearer(KEY)).status_code == 200
    assert time.monotonic() - started < EVERY_S * 3


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127", b"POST"])
def test_half_open_requests_end(
    open_service: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(bodies, "REQUEST_WITHIN_S", 1.0)
    client = open_service()
    with Wire(str(client.base_url)) as wire, Wire(str(client.base_url)) as later:
        wire.socket.sendall(sent)
        later.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /he")
        wire.socket.settimeout(30)
        later.socket.settimeout(30)
        assert not wire.socket.recv(1000)
        assert later.socket.recv(65536).startswith(b"HTTP/1.1 200")
        while later.socket.recv(65536):
            pass  # the answer's rest, then the end


def test_an_answer_that_nobody_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_WITHIN_S", 1.0)
    bodies.close_half_open()
    ended: list[int] = []

    async def endless(_scope: object, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        leaving = asyncio.ensure_future(_left(receive))
        while not leaving.done():
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)
        ended.append(1)

    with serving(endless) as client, Wire(str(client.base_url)) as idle:
        idle.socket.sendall(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with client.stream("GET", "/") as reading:
            pieces = reading.iter_raw(65536)
            assert comes_true(lambda: next(pieces) and ended), "the idle one is closed"
            assert len(ended) == 1, "the one that reads is not"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1+1", "\uff0b1", "\uff20x")
BEFORE = (
    "",
    "\0",
    "\u200b",
    "\ufeff",
    "\x01\x02",
    "\t",
    " ",
    "\u00a0",
    "\u2060\u200e",
    "\x7f\u3000",
)


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_is_taken_for_a_formula(formula: str) -> None:
    for before in BEFORE:
        cell = plain_cell(before + formula)
        assert cell.startswith("'"), (before, cell)
        assert "\0" not in cell
        table = csv_text(("case",), [{"case": before + formula}])
        assert list(csv.reader(io.StringIO(table)))[1][0].startswith("'")
    for harmless in ("meningioma", "3 mm = small", "\u200bword", "naïve – fine"):
        assert not plain_cell(harmless).startswith("'")


def test_logged_exceptions_show_their_place_and_not_their_text() -> None:
    strip_texts()
    stream = io.StringIO()
    logger = logging.Logger("any library")  # noqa: LOG001 - one of its own, for this test
    logger.addHandler(logging.StreamHandler(stream))
    try:
        int("PATIENT^NAME")
    except ValueError:
        logger.exception("it failed with %s", "this")
    assert "PATIENT" not in stream.getvalue()
    assert "it failed with this: ValueError at test_api_guards.py:" in stream.getvalue()


CHATTY = """
import logging, os, sys, threading, warnings
from brainmets.api.quiet import keep_quiet
keep_quiet()
warnings.warn("PATIENT^NAME")
logging.getLogger("decoder").error("PATIENT^NAME")
print("PATIENT^NAME"); print("PATIENT^NAME", file=sys.stderr)
os.write(2, b"PATIENT^NAME")
threading.Thread(target=lambda: int("PATIENT^NAME")).start()
logging.getLogger("brainmets.worker").error("a line of the service")
int("PATIENT^NAME")
"""


def test_a_process_that_reads_files_logs_nothing_that_it_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHATTY], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "PATIENT" not in done.stdout + done.stderr
    assert "a line of the service" in done.stderr
    assert "ended by ValueError at" in done.stderr


def test_a_damaged_anatomy_network_is_named(
    open_service: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brainmets import bundles
    from brainmets.inference import bundle

    copy = tmp_path / "anatomy"
    shutil.copytree(bundles.SHIPPED_ANATOMY, copy)
    for module in (bundles, bundle):
        monkeypatch.setattr(module, "SHIPPED_ANATOMY", copy)
    client = open_service(workers=0)
    assert client.get("/readyz").status_code == 200
    whole = (copy / "model.onnx").read_bytes()
    (copy / "model.onnx").write_bytes(whole[:-1] + b"x")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "anatomy" in answer.json()["detail"]
    (copy / "model.onnx").write_bytes(whole)
    assert client.get("/readyz").status_code == 200


def test_a_model_replaced_under_a_running_server_is_named_or_loaded(
    open_service: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    monkeypatch.setenv("BRAINMETS_MODELS", str(models))
    random_bundle(models / "mine", dims=3, widths=(4, 8), seed=1)
    client = open_service(workers=0)
    assert client.get("/readyz").status_code == 200
    before, warm = bundle_file_states(), _warm_segmenter(bundle_file_states())
    assert _warm_segmenter(bundle_file_states()) is warm
    whole = (models / "mine" / "card.md").read_bytes()
    (models / "mine" / "card.md").write_bytes(whole + b"x")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "mine" in answer.json()["detail"]
    shutil.rmtree(models / "mine")
    random_bundle(models / "mine", dims=3, widths=(4, 8), seed=2)
    assert client.get("/readyz").status_code == 200
    assert bundle_file_states() != before
    assert _warm_segmenter(bundle_file_states()) is not warm, "the next job loads it"
