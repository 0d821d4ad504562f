"""`brainmets listen`, `brainmets fetch` and `brainmets send`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from brainmets.network.study_list import Parcel, Study

__all__ = ["fetch", "listen", "send"]

State = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="The node's own folder; by default `network` in BRAINMETS_STATE_DIR or"
        " ~/.local/state/brainmets.",
        show_default=False,
    ),
]


def listen(
    *,
    aet: Annotated[str, typer.Option(help="AE title to be called by.")] = "BRAINMETS",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 11112,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine needs --from.")
    ] = "127.0.0.1",
    send_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Where results go: AET@host:port, or the address of a DICOMweb service."
            " Repeatable.",
            show_default=False,
        ),
    ] = None,
    callers: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="AET",
            help="AE title that may send; without one, any may. AET@host:port gets a report"
            " there of which images are safe, when it asks (storage commitment). Repeatable.",
            show_default=False,
        ),
    ] = None,
    quiet_s: Annotated[
        float | None,
        typer.Option(
            "--quiet",
            min=0.1,
            metavar="SECONDS",
            help="A study is complete when no image came for so long; 30 by default.",
            show_default=False,
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML",
            help="Which series to segment, which objects to send, and limits.",
            show_default=False,
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The service that computes; by default BRAINMETS_API_URL or"
            " http://127.0.0.1:8501/api. Its key is in BRAINMETS_API_KEY.",
            show_default=False,
        ),
    ] = None,
    state: State = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Listen with TLS, with this certificate."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The certificate's key.")
    ] = None,
    tls_authority: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Senders must show a certificate of this authority."),
    ] = None,
    metrics_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Serve counts for Prometheus at this port of 127.0.0.1; 0: no."
        ),
    ] = 0,
    show: Annotated[
        bool, typer.Option("--list", help="List what is not answered or sent yet, and leave.")
    ] = False,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Begin again with what failed or was given up, and leave."),
    ] = False,
) -> None:
    r"""Receive studies from a PACS, have them segmented, and send the results back.

    A DICOM node: it takes MR images by C-STORE, chooses the T1 series with contrast of each
    study, gives it to the service of `brainmets serve`, where it appears on the page, and sends
    a segmentation and a measurement report back. An earlier study of the same patient is found
    by a salted hash of its identifier, and lesions keep their numbers.

    A received image is on the disk before it is answered. What cannot be sent is tried again for
    three days; --list shows what waits or was given up.

    \b
    Examples:
      brainmets serve
      brainmets listen --send-to ORTHANC@127.0.0.1:4242
      brainmets listen --host 0.0.0.0 --from MRSCANNER --send-to PACS@pacs.example:104
      brainmets listen --send-to https://pacs.example/dicom-web --rules series.toml
      brainmets listen --list

    Research use only. Not a medical device; not for clinical use.
    """
    from brainmets.domain.extras import needing

    folder = _state(state)
    with needing("pacs"):
        from brainmets.network.node import listen_until_stopped, retry_all, unanswered
        from brainmets.network.options import NodeOptions, caller_of, read_rules, target_of

        if show:
            _print(*unanswered(folder))
            return
        if retry:
            typer.echo(f"{retry_all(folder)} begun again")
            return
        told: dict[str, Any] = {} if rules is None else read_rules(rules)
        if quiet_s is not None:
            told["quiet_s"] = quiet_s
        senders = [caller_of(text) for text in callers or ()]
        options = _checked(
            NodeOptions,
            told
            | {
                "aet": aet,
                "port": port,
                "host": host,
                "targets": tuple(target_of(text) for text in send_to or ()),
                "callers": tuple(aet for aet, _ in senders),
                "addresses": tuple(address for _, address in senders if address is not None),
                "service": service
                or os.environ.get("BRAINMETS_API_URL", "http://127.0.0.1:8501/api"),
                "state": folder,
                "metrics_port": metrics_port,
                "audit_file": os.environ.get("BRAINMETS_AUDIT_FILE") or None,
                "tls_certificate": tls_certificate,
                "tls_key": tls_key,
                "tls_authority": tls_authority,
            },
        )
        listen_until_stopped(options, api_key=os.environ.get("BRAINMETS_API_KEY"))


def fetch(
    study: Annotated[
        str, typer.Argument(metavar="UID", help="Study Instance UID.", show_default=False)
    ],
    *,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="URL", help="Address of the DICOMweb service.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Write the images here and hand them to no node.",
            show_default=False,
        ),
    ] = None,
    state: State = None,
) -> None:
    r"""Fetch a study by DICOMweb and hand it to the node that listens with the same folder.

    The node treats it like a study that was sent. With --out the MR images are only written. A
    service that wants a token finds it in BRAINMETS_PACS_TOKEN.

    \b
    Examples:
      brainmets fetch 1.2.840.113619.2.5 --from https://pacs.example/dicom-web
      brainmets fetch 1.2.840.113619.2.5 --from https://pacs.example/dicom-web --out study

    Research use only. Not a medical device; not for clinical use.
    """
    from brainmets.domain.extras import needing

    with needing("pacs"):
        from brainmets.network.node import fetch_into, fetch_study

        address = source.rstrip("/")
        if out is not None:
            typer.echo(f"{fetch_into(out, address, study)} images")
        else:
            typer.echo(f"{fetch_study(address, study, _state(state))} images")


def send(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="DICOM objects, or folders.", show_default=False),
    ],
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            help="AET@host:port, or the address of a DICOMweb service.",
            show_default=False,
        ),
    ],
    aet: Annotated[str, typer.Option(help="AE title to send as.")] = "BRAINMETS",
) -> None:
    r"""Send exported DICOM objects to a PACS, by C-STORE or STOW-RS.

    A DICOMweb service that wants a token finds it in BRAINMETS_PACS_TOKEN.

    \b
    Example:
      brainmets fetch 1.2.840.113619.2.5 --from https://pacs.example/dicom-web --out study
      brainmets segment study --out result
      brainmets export result --format sr --source study --out objects
      brainmets send objects --to https://pacs.example/dicom-web

    Research use only. Not a medical device; not for clinical use.
    """
    from brainmets.domain.extras import needing

    with needing("pacs"):
        from brainmets.network.options import target_of
        from brainmets.network.sender import objects_among, send_files

        found = objects_among(files)
        send_files(found, target_of(to), aet=aet)
        typer.echo(f"{len(found)} objects sent")


def _checked(kind: Any, values: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from brainmets.domain.errors import OptionError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        named = sorted({str(one["loc"][0]) for one in error.errors()})
        raise OptionError(
            f"unusable values for {', '.join(named)}",
            expected="an AE title of 1 to 16 letters, at least one --send-to, limits above 0",
            remedy="correct them; `brainmets listen --help` describes each",
        ) from None


def _state(given: Path | None) -> Path:
    if given is not None:
        return given
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(os.environ.get("BRAINMETS_STATE_DIR") or Path(base) / "brainmets") / "network"


def _print(studies: list[Study], parcels: list[Parcel]) -> None:
    for one in studies:
        typer.echo(f"study {one.key[:8]}  {one.state}  {one.problem}".rstrip())
    for one in parcels:
        state = "given up" if one.state == "dead" else one.state
        typer.echo(f"  {one.study[:8]} {one.file} to {one.target}: {state}, {one.problem}")
    typer.echo(f"{len(studies)} studies not answered, {len(parcels)} objects not sent")
