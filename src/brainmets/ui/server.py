"""Page and service in one process, on one port: what `brainmets serve` runs.

The server makes the first visit itself, so that no reader waits for what loads only once.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
import tomllib
import webbrowser
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx

from brainmets.api.client import Client
from brainmets.api.settings import Settings
from brainmets.domain.errors import BrainmetsError, OptionError
from brainmets.ui.addresses import API_PATH, not_found, service_routes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "PAGE", "page_config", "serve"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8501
DEMO_VARIABLE = "BRAINMETS_DEMO"
"""Read by `brainmets.ui.start`, which cannot be imported here: the server starts without it."""

PAGE = Path(__file__).parent / "page.py"
PATIENCE_S = 600.0


def serve(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    demo: bool = False,
    settings: Settings | None = None,
) -> None:
    """Serve until interrupted.

    The service answers at its documented addresses and under `/api`. The address is printed once
    the page is loaded and answers at once. With `demo` the sample is segmented at once, and the
    page opens on its result.

    Port 0 takes any free one.

    Raises:
        OptionError: the host is beyond this computer and no API key is configured, or the port
            is taken.
    """
    settings = settings or Settings()
    local = host in {"127.0.0.1", "localhost", "::1"}
    if not local and not settings.keys:
        raise OptionError(
            f"the address {host}, which others can reach, and no API key",
            expected="127.0.0.1, or keys in BRAINMETS_API_KEYS_SHA256",
            remedy="leave --host out, or configure keys first",
        )
    port = _free_port(host, port)
    near = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    os.environ["BRAINMETS_API_URL"] = f"http://{_bracketed(near)}:{port}{API_PATH}"
    os.environ["BRAINMETS_BROWSER_API"] = API_PATH
    app = _page_and_service(settings)
    if demo:
        os.environ[DEMO_VARIABLE] = "1"
    first = threading.Thread(target=_open, args=(near, host, port, demo), daemon=True)
    first.start()
    ours = {"server.address": host, "server.port": port, "logger.hideWelcomeMessage": True}
    app.run(config=page_config() | ours)


def page_config() -> dict[str, Any]:
    """Return the page's own settings by dotted name.

    Streamlit looks for them next to the program that was started, which is not ours.
    """
    with (PAGE.parent / ".streamlit" / "config.toml").open("rb") as file:
        return _flat(tomllib.load(file))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return flat


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
            trial.bind((host, port))
            return int(trial.getsockname()[1])
    except OSError as error:
        raise OptionError(
            f"port {port} at {host}, which cannot be listened at",
            expected="a free port at an address of this computer",
            remedy="stop the program that has it, or choose another with --port",
        ) from error


def _page_and_service(settings: Settings) -> Any:
    import streamlit as st

    from brainmets.api.app import create_app
    from brainmets.api.journal import RequestLog

    stay_offline()
    service = create_app(settings)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncGenerator[None]:
        async with service.router.lifespan_context(service):  # a mount's own is never run
            yield

    routes = service_routes(RequestLog(service))
    return st.App(PAGE, lifespan=lifespan, routes=routes, middleware=[not_found()])


def _open(near: str, host: str, port: int, demo: bool) -> None:  # noqa: FBT001
    """Wait until the service answers, load the page, and say where it is; start the demo."""
    own, address = f"http://{_bracketed(near)}:{port}", f"http://{_bracketed(host)}:{port}"
    deadline = time.monotonic() + PATIENCE_S
    while not _answers(own):
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    job = _submit_demo() if demo else None
    visit(own)
    sys.stderr.write(f"\n  brainmets is ready: open {address}\n")
    sys.stderr.write(f"  API: {address}/docs · stop with Ctrl+C\n\n")
    if job is not None:
        _show_demo(address, job)


def _answers(address: str) -> bool:
    with Client(address) as client:
        try:
            client.health()
        except BrainmetsError:
            return False
        return True


def _submit_demo() -> str | None:
    with Client(os.environ["BRAINMETS_API_URL"]) as client:
        try:
            return client.submit_sample().id
        except BrainmetsError as error:
            sys.stderr.write(f"\n  {error}\n\n")
            return None


def _show_demo(address: str, job_id: str) -> None:
    if _has_desktop():
        webbrowser.open(address)
    with Client(os.environ["BRAINMETS_API_URL"]) as client:
        try:
            client.wait(job_id)
            sys.stderr.write(f"  The sample is segmented: open {address}\n\n")
        except BrainmetsError as error:
            sys.stderr.write(f"\n  {error}\n\n")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _has_desktop() -> bool:
    """Say whether a browser would be seen; on a bare server one may open in the terminal."""
    windows = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in windows)


LOOPBACK = "127.0.0.1"


def stay_offline() -> None:
    """Send no usage statistics and look up no address of this computer, whatever its settings.

    Streamlit asks checkip.amazonaws.com for the address under which others see this computer, to
    print it at the start and whenever a page elsewhere tries to connect. Pages of the same host
    are let in before that; other pages are refused all the same.
    """
    from streamlit import config, net_util

    for cached in ("_internal_ip", "_external_ip"):
        setattr(net_util, cached, LOOPBACK)
    config.set_option("browser.gatherUsageStats", False)  # noqa: FBT003 - takes it by position


ANSWERS_WITHIN_S = 60.0
_ASSETS = re.compile(r'(?:src|href)="(\./static/[^"]+)"')


def visit(address: str) -> None:
    """Load the page at `address` once as a browser does: its files, then one run of its script.

    A server that does not answer as expected is left to its first reader.
    """
    with suppress(Exception):
        with httpx.Client(timeout=ANSWERS_WITHIN_S, trust_env=False) as client:
            client.get(f"{address}/readyz")  # reads every model once
            page = client.get(f"{address}/", headers={"Accept": "text/html"}).text
            for asset in _ASSETS.findall(page):
                client.get(urljoin(f"{address}/", asset))
        _run_script(address)


def _run_script(address: str) -> None:
    """Open a session, ask for one run of the script, and wait for its end."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    wanted = BackMsg()
    wanted.rerun_script.query_string = ""
    stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
    with connect(stream, open_timeout=ANSWERS_WITHIN_S, max_size=None) as socket:
        socket.send(wanted.SerializeToString())
        while data := socket.recv(timeout=ANSWERS_WITHIN_S):
            told = ForwardMsg()
            told.ParseFromString(data if isinstance(data, bytes) else data.encode())
            if told.WhichOneof("type") == "script_finished":
                return
