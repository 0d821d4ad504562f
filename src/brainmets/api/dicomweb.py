"""DICOMweb: fetch a study by its UID (QIDO-RS, WADO-RS), store an object (STOW-RS)."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import NoDicom, OptionError, ServiceUnreachable
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TOKEN_VARIABLE", "Unsent", "fetch", "store"]

TOKEN_VARIABLE = "BRAINMETS_PACS_TOKEN"  # noqa: S105 - its name, not a token
"""Environment variable: a bearer token for the DICOMweb service."""

TIMEOUT_S = 120


class Unsent(Exception):
    """A try in vain; `refused` says that the target was there and did not want the object."""

    def __init__(self, problem: str, *, refused: bool = False) -> None:
        """Say why, in words that name no patient."""
        super().__init__(problem)
        self.problem = problem
        self.refused = refused


def fetch(url: str, study_uid: str) -> Iterator[bytes]:
    """Yield every MR image of a study as a DICOM file.

    Raises:
        OptionError: the UID is none.
        NoDicom: the service has no MR series of that study.
        ServiceUnreachable: it gives no answer, or none that can be read.
    """
    if not study_uid or len(study_uid) > 64 or set(study_uid) - set("0123456789."):
        raise OptionError(
            "a study that is not named by a UID",
            expected="digits and dots, 64 at most",
            remedy="give the Study Instance UID",
        )
    client = _client(url)
    fault = ServiceUnreachable(
        "no readable answer from the DICOMweb service",
        expected="QIDO-RS and WADO-RS at that address",
        remedy=f"check the address, and {TOKEN_VARIABLE} where it wants a token",
    )
    with guarded(fault):
        series = client.search_for_series(study_uid, search_filters={"Modality": "MR"})
    if not series:
        raise NoDicom(
            "no MR series of that study",
            expected="a study that the service has",
            remedy="check the Study Instance UID",
        )
    for one in series:
        with guarded(fault):
            images = client.retrieve_series(study_uid, one["0020000E"]["Value"][0])
        for image in images:
            yield _encoded(image)


def store(url: str, file: Path | BytesIO) -> None:
    """Store one DICOM file.

    Raises:
        Unsent: it was not taken.
    """
    from pydicom import dcmread
    from requests import HTTPError

    try:
        answer = _client(url).store_instances([dcmread(file)])
    except HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        refused = 400 <= code < 500 and code not in {401, 403, 408, 429}
        raise Unsent(f"refused with HTTP status {code}", refused=refused) from None
    except Exception as error:  # noqa: BLE001 - whatever the network does, the object waits
        raise Unsent(f"no answer ({type(error).__name__})") from None
    if answer.get("FailedSOPSequence"):
        raise Unsent("the service did not keep the object", refused=True)


def _client(url: str) -> Any:
    from dicomweb_client import DICOMwebClient
    from dicomweb_client.session_utils import create_session

    session = create_session()
    session.trust_env = False  # the service is named outright: no proxy from the environment
    headers = {}
    if token := os.environ.get(TOKEN_VARIABLE):
        headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(url, session=session, headers=headers)
    client.set_http_retry_params(retry=False)
    return client


def _encoded(image: Any) -> bytes:
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
