"""A node that listens with TLS: for senders that show a certificate, whoever else is silent."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from brainmets.api.audit import Audit
from brainmets.domain.errors import OptionError
from brainmets.network.commitment import Commitment
from brainmets.network.inbox import Inbox, open_state
from brainmets.network.options import NodeOptions, target_of
from brainmets.network.receiver import Receiver
from brainmets.network.study_list import StudyList

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# pynetdicom leaves the socket of a refused connection to be collected
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate that is its own authority."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("pem")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=node -keyout key.pem -out node.pem"
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return folder


def receiver(folder: Path, **tls: Path) -> tuple[Receiver, StudyList]:
    study_list = StudyList(folder / "network.sqlite")
    inbox = Inbox(folder / "node", open_state(folder / "node"), study_list, min_free_bytes=0)
    options = NodeOptions(
        port=0, targets=(target_of("PACS@127.0.0.1:104"),), state=folder / "node", **tls
    )
    commitment = Commitment(options, study_list, inbox)
    return Receiver(options, inbox, commitment, Audit(None)), study_list


@pytest.fixture(scope="module")
def node(pem: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    own, study_list = receiver(
        tmp_path_factory.mktemp("tls"),
        tls_certificate=pem / "node.pem",
        tls_key=pem / "key.pem",
        tls_authority=pem / "node.pem",
    )
    own.start()
    yield own
    own.stop()
    study_list.close()


def echo(port: int, context: ssl.SSLContext | None, *, within_s: float = 30.0) -> bool:
    ae = AE()
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = within_s
    ae.add_requested_context(Verification)
    tls = None if context is None else (context, "node")
    association = ae.associate("127.0.0.1", port, ae_title="BRAINMETS", tls_args=tls)
    if not association.is_established:
        return False
    status = association.send_c_echo().get("Status")
    association.release()
    return status == 0


def context_of(pem: Path, *, shown: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=pem / "node.pem")
    context.check_hostname = False
    if shown:
        context.load_cert_chain(pem / "node.pem", pem / "key.pem")
    return context


def test_sender_with_a_certificate_is_served_though_others_are_silent(
    node: Receiver, pem: Path
) -> None:
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(5)]
    try:
        assert echo(node.port, context_of(pem, shown=True))
    finally:
        for line in silent:
            line.close()


def test_sender_without_a_certificate_or_without_tls_is_not(node: Receiver, pem: Path) -> None:
    assert not echo(node.port, context_of(pem, shown=False), within_s=2.0)
    assert not echo(node.port, None, within_s=2.0)
    assert echo(node.port, context_of(pem, shown=True))


def test_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "node.pem").write_text("nonsense")
    own, study_list = receiver(tmp_path, tls_certificate=tmp_path / "node.pem")
    with pytest.raises(OptionError, match="--tls"):
        own.start()
    study_list.close()
