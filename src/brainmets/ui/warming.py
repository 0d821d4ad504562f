"""The first visit made by the server itself, so that no reader waits for what loads only once."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urljoin

import httpx

__all__ = ["visit"]

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
