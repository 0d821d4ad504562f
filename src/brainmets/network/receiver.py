"""The node's DICOM side: C-ECHO and C-STORE from the nodes on a list, each within bounds.

An object is on the disk and in the list of studies before its C-STORE is answered. A sender's
error ends at most its own association: the size of a PDU and of an object, the time for a PDU,
and the number of associations are limited, as is what one caller sends in a minute and an hour.
"""

from __future__ import annotations

import logging
import ssl
import time
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import BrainmetsError, DiskFull, OptionError
from brainmets.network.commitment import COMMITMENT
from brainmets.network.quota import Quota

if TYPE_CHECKING:
    from brainmets.api.audit import Audit
    from brainmets.network.commitment import Commitment
    from brainmets.network.inbox import Inbox
    from brainmets.network.options import NodeOptions

__all__ = ["Receiver"]

LARGEST_PDU = 2**20
"""Offered are 16 KiB; some senders know better."""

PDU_WITHIN_S = 60.0
IDLE_S = 120.0
FIRST_REQUEST_WITHIN_S = 30.0

SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
"""Statuses of a C-STORE (DICOM PS3.4 B.2.3)."""

IMAGES = (
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image Storage
)
"""What is taken: other objects of a study are refused in the association's negotiation."""

SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit little endian
    "1.2.840.10008.1.2",  # implicit little endian
    "1.2.840.10008.1.2.2",  # explicit big endian
    "1.2.840.10008.1.2.4.70",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.5",  # RLE
)

_log = logging.getLogger("brainmets.network")


class Receiver:
    """Listens until it is stopped."""

    def __init__(
        self, options: NodeOptions, inbox: Inbox, commitment: Commitment, audit: Audit
    ) -> None:
        """Prepare; `start` listens."""
        self._options = options
        self._inbox = inbox
        self._commitment = commitment
        self._audit = audit
        self._quota = Quota(
            images_per_minute=options.max_images_per_minute,
            bytes_per_hour=options.max_bytes_per_hour,
        )
        self._server: Any = None
        self._ae: Any = None

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self._server.server_address[1])

    @property
    def associations(self) -> int:
        """How many senders are connected."""
        return len(self._server.active_associations)

    def start(self) -> None:
        """Listen.

        Raises:
            OptionError: the address cannot be used, or the TLS files cannot.
        """
        from pynetdicom import AE, _config, evt
        from pynetdicom.sop_class import Verification  # pyright: ignore[reportAttributeAccessIssue]

        _config.LOG_HANDLER_LEVEL = "none"  # its lines quote headers
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        options = self._options
        ae = self._ae = AE(ae_title=options.aet)
        ae.require_called_aet = True
        ae.require_calling_aet = list(options.callers)
        ae.maximum_associations = options.max_associations
        ae.network_timeout, ae.dimse_timeout = IDLE_S, IDLE_S
        ae.acse_timeout = FIRST_REQUEST_WITHIN_S
        ae.add_supported_context(Verification)
        ae.add_supported_context(COMMITMENT)
        for image in IMAGES:
            ae.add_supported_context(image, list(SYNTAXES))
        handlers = [
            (evt.EVT_CONN_OPEN, _bound_reading, [options.max_object_bytes]),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._commit),
            (evt.EVT_ABORTED, self._broken_off),
            (evt.EVT_CONN_CLOSE, self._left),
        ]
        try:
            self._server = ae.start_server(
                (options.host, options.port),
                block=False,
                ssl_context=_tls(options),
                evt_handlers=handlers,  # pyright: ignore[reportArgumentType]
            )
        except (OSError, ssl.SSLError) as error:
            raise OptionError(
                f"an address or a TLS file that cannot be used ({type(error).__name__})",
                expected="a free port of this computer, and PEM files where TLS is wanted",
                remedy="choose another --port or --host, or correct the --tls options",
            ) from error

    def stop(self) -> None:
        """Take no more associations and end those that are open."""
        if self._ae is not None:
            self._ae.shutdown()

    def _store(self, event: Any) -> int:
        """Answer a C-STORE once its object is safe."""
        guard = getattr(event.assoc, "brainmets_guard", None)
        if guard is not None:
            guard.begin_anew()
        try:
            content = event.encoded_dataset()
            wait_s = self._quota.charge(event.assoc.requestor.ae_title, len(content))
            if wait_s is None:
                _log.warning("an object was refused: its caller has sent too much in an hour")
                return OUT_OF_RESOURCES
            time.sleep(wait_s)
            key = self._inbox.store(content)
        except DiskFull as error:
            _log.error("an object was refused: %s", error.code)
            return OUT_OF_RESOURCES
        except BrainmetsError as error:
            _log.warning("an object was refused: %s", error.code)
            return CANNOT_UNDERSTAND
        except MemoryError:
            return OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 - whatever was sent, the node stays
            _log.error("an object was refused: %s", type(error).__name__)
            return CANNOT_UNDERSTAND
        keys: set[str] = event.assoc.__dict__.setdefault("brainmets_keys", set())
        keys.add(key)
        return SUCCESS

    def _commit(self, event: Any) -> tuple[int, None]:
        """Answer a request for storage commitment."""
        return self._commitment.request(event)

    def _broken_off(self, event: Any) -> None:
        """Let a study wait its whole quiet interval after its sender has left."""
        for key in event.assoc.__dict__.get("brainmets_keys", ()):
            self._inbox.hold(key)

    def _left(self, event: Any) -> None:
        self._broken_off(event)
        caller = str(event.assoc.requestor.ae_title).strip()
        for key in event.assoc.__dict__.get("brainmets_keys", ()):
            self._audit.note(caller, "received", study=key)
        event.assoc.brainmets_guard.close()


class _Guard:
    """Reads from a sender's socket within bounds; more than that ends the association."""

    def __init__(self, stream: Any, max_object_bytes: int) -> None:
        self._connection = stream.socket
        self._most = max_object_bytes
        self._received = 0

    def begin_anew(self) -> None:
        """Count from the next object on."""
        self._received = 0

    def close(self) -> None:
        """Close the socket, which the library leaves open where the sender has left first."""
        self._connection.close()

    def recv(self, wanted: int) -> bytearray:
        """Read so many bytes, or what there is where the sender has left.

        Raises:
            OSError: it is too much, or takes too long.
        """
        self._received += wanted
        if wanted > LARGEST_PDU or self._received > self._most:
            _log.warning("a sender was cut off: too large")
            raise OSError("too large")
        connection, data = self._connection, bytearray()
        before, deadline = connection.gettimeout(), time.monotonic() + PDU_WITHIN_S
        try:
            while len(data) < wanted:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                piece = connection.recv(min(wanted - len(data), 65536))
                if not piece:
                    break
                data += piece
        finally:
            connection.settimeout(before)
        return data


def _bound_reading(event: Any, max_object_bytes: int) -> None:
    """Put a guard before a sender's socket, and close it where its message makes no sense."""
    stream, machine = event.assoc.dul.socket, event.assoc.dul.state_machine
    event.assoc.brainmets_guard = guard = _Guard(stream, max_object_bytes)
    stream.recv = guard.recv
    act = machine.do_action

    def act_or_close(name: str) -> None:
        try:
            act(name)
        except Exception as error:  # noqa: BLE001 - the library's thread would die with the socket open
            _log.warning("a sender was cut off: %s", type(error).__name__)
            stream.close()
            guard.close()

    machine.do_action = act_or_close


class _Patient(ssl.SSLContext):
    """Shakes hands in the association's own thread: a silent client delays no other."""

    def wrap_socket(self, sock: Any, *args: Any, **more: Any) -> ssl.SSLSocket:
        more["do_handshake_on_connect"] = False
        return super().wrap_socket(sock, *args, **more)


def _tls(options: NodeOptions) -> ssl.SSLContext | None:
    """Return what TLS needs; with an authority a sender must show a certificate of its."""
    if options.tls_certificate is None:
        return None
    context = _Patient(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_certificate, options.tls_key)
    if options.tls_authority is not None:
        context.load_verify_locations(options.tls_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
