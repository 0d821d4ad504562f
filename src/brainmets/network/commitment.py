"""Storage commitment (PS3.4 J): a caller asks which images are safe, and is told in a report.

A request is on the disk before it is answered. The report goes to the caller's address where one
is known, else over the association that asked, while it is open.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

    from brainmets.network.inbox import Inbox
    from brainmets.network.options import NodeOptions, Target
    from brainmets.network.study_list import Request, StudyList

__all__ = ["COMMITMENT", "Commitment"]

COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model."""

INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP instance."""

ALL_SAFE, SOME_NOT = 1, 2
NO_SUCH_OBJECT = 0x0112
SUCCESS, NO_SUCH_ACTION, INVALID, FAILED = 0x0000, 0x0123, 0x0115, 0x0110

MOST_IMAGES = 20_000
POLL_S = 0.3
LONGEST_WAIT_S = 60.0
KEEP_TRYING_S = 24 * 3600.0
ANSWER_WITHIN_S = 30.0
PAUSE_WITHIN_S = 5.0

_log = logging.getLogger("brainmets.network")


class Commitment:
    """Takes requests and reports until it is stopped."""

    def __init__(self, options: NodeOptions, study_list: StudyList, inbox: Inbox) -> None:
        """Prepare; `run` reports."""
        self._aet = options.aet
        self._addresses = {one.aet: one for one in options.addresses}
        self._study_list = study_list
        self._inbox = inbox
        self._open: dict[str, Any] = {}
        """Associations that asked, by transaction."""

    def request(self, event: Any) -> tuple[int, None]:
        """Answer an N-ACTION: note which images the caller asks for."""
        if event.action_type != 1:
            return NO_SUCH_ACTION, None
        try:
            asked = event.action_information
            transaction = str(asked.TransactionUID)
            images = [
                (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
                for one in asked.ReferencedSOPSequence
            ]
        except Exception:  # noqa: BLE001 - whatever was sent, the node stays
            return INVALID, None
        if not images or len(images) > MOST_IMAGES or len(transaction) > 64:
            return INVALID, None
        caller = str(event.assoc.requestor.ae_title).strip()
        try:
            self._study_list.ask(transaction, caller, images)
        except Exception as error:  # noqa: BLE001 - such as a full disk
            _log.error("a storage commitment was refused: %s", type(error).__name__)
            return FAILED, None
        self._open[transaction] = event.assoc
        return SUCCESS, None

    def run(self, stop: threading.Event) -> None:
        """Report until `stop` is set."""
        while not stop.is_set():
            try:
                for request in self._study_list.asked(due=time.time()):
                    if stop.is_set():
                        return
                    self._report(request)
            except Exception as error:  # noqa: BLE001 - a dead thread would report nothing any more
                _log.error("storage commitment failed: %s", type(error).__name__)
            stop.wait(POLL_S)

    def _report(self, request: Request) -> None:
        safe = self._inbox.kept([uid for _, uid in request.images])
        association = self._open.get(request.transaction)
        address = self._addresses.get(request.caller)
        told = (address is not None and self._call(address, request, safe)) or (
            association is not None and _tell(association, request, safe)
        )
        lost = address is None and (association is None or not association.is_established)
        if told or lost or time.time() - request.made > KEEP_TRYING_S:
            self._open.pop(request.transaction, None)
            self._study_list.told(request)
            _log.log(
                logging.INFO if told else logging.WARNING,
                "storage commitment of %d of %d images %s",
                *(len(safe), len(request.images), "reported" if told else "could not be reported"),
            )
            return
        self._study_list.not_told(
            request, after_s=min(LONGEST_WAIT_S, 2.0 ** min(request.tries, 6))
        )

    def _call(self, address: Target, request: Request, safe: set[str]) -> bool:
        """Report over an association that the node opens."""
        from pynetdicom import AE, build_role

        ae = AE(ae_title=self._aet)
        ae.connection_timeout = ae.acse_timeout = 10.0
        ae.dimse_timeout = ae.network_timeout = ANSWER_WITHIN_S
        ae.add_requested_context(COMMITMENT)
        association = ae.associate(
            address.host,
            address.port,
            ae_title=address.aet,
            ext_neg=[build_role(COMMITMENT, scp_role=True)],
        )
        try:
            return association.is_established and _tell(association, request, safe)
        finally:
            if association.is_established:
                association.release()


def _tell(association: Any, request: Request, safe: set[str]) -> bool:
    """Send the report; return whether the caller has taken it."""
    checkpoint = association._reactor_checkpoint  # noqa: SLF001 - the library itself would
    checkpoint.clear()  # wait for ever for an association that ends meanwhile
    deadline = time.monotonic() + PAUSE_WITHIN_S
    while not association._is_paused:  # noqa: SLF001
        if not association.is_established or time.monotonic() > deadline:
            checkpoint.set()
            return False
        time.sleep(0.001)
    try:
        status, _ = association.send_n_event_report(
            _account(request, safe),
            ALL_SAFE if len(safe) == len({uid for _, uid in request.images}) else SOME_NOT,
            COMMITMENT,
            INSTANCE,
        )
    except (RuntimeError, ValueError, OSError):
        return False
    finally:
        checkpoint.set()
    return bool(status) and status.get("Status") == SUCCESS


def _account(request: Request, safe: set[str]) -> Any:
    from pydicom import Dataset

    def item(kind: str, uid: str) -> Dataset:
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = kind, uid
        if uid not in safe:
            one.FailureReason = NO_SUCH_OBJECT
        return one

    told = Dataset()
    told.TransactionUID = request.transaction
    items = [item(*image) for image in request.images]
    told.ReferencedSOPSequence = [one for one in items if "FailureReason" not in one]
    if failed := [one for one in items if "FailureReason" in one]:
        told.FailedSOPSequence = failed
    return told
