"""A PACS that speaks DICOMweb, as a source of uploads and a target of results.

`python -m brainmets.api.pacs fetch FOLDER` or `store FILE…` is the process that talks to it: what
it says is untrusted and is read there. The task on standard input is JSON; a problem is printed.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainmets.api.child import explained
from brainmets.api.dicomweb import Unsent, fetch, store
from brainmets.api.problems import error_of, problem_of
from brainmets.api.processes import run_module
from brainmets.api.quiet import keep_quiet
from brainmets.api.schemas import Problem
from brainmets.domain.errors import OptionError, ServiceUnreachable, UploadTooLarge

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from brainmets.api.settings import Settings

__all__ = ["fetched", "stored"]

WITHIN_S = 600.0
MODULE = "brainmets.api.pacs"


async def fetched(
    settings: Settings, study_uid: str, folder: Path, stopping: asyncio.Event
) -> None:
    """Fetch the MR images of a study into `folder`, a file each.

    Raises:
        OptionError: no PACS is configured, or the UID is none.
        NoDicom, ServiceUnreachable: as `brainmets.api.dicomweb.fetch`.
        UploadTooLarge: they are more than an upload may hold.
    """
    await _run(settings, "fetch", [folder], stopping, study=study_uid)


async def stored(settings: Settings, paths: Iterable[Path], stopping: asyncio.Event) -> None:
    """Store objects; a zip stands for the DICOM files in it.

    Raises:
        OptionError: no PACS is configured.
        ServiceUnreachable: one was not taken. Those before it were.
    """
    await _run(settings, "store", paths, stopping)


async def _run(
    settings: Settings, what: str, paths: Iterable[Path], stopping: asyncio.Event, **task: str
) -> None:
    if not settings.pacs_url:
        raise OptionError(
            "a service without a PACS",
            expected="the address of a DICOMweb service in BRAINMETS_PACS_URL",
            remedy="ask the administrator of this service, or upload the images",
        )
    limits = {"bytes": settings.max_upload_bytes, "files": settings.max_files}
    printed = await run_module(
        MODULE,
        *(what, *map(str, paths)),
        within_s=WITHIN_S,
        stopping=stopping,
        task=json.dumps({"url": settings.pacs_url, **limits, **task}),
    )
    if printed is None:
        raise ServiceUnreachable(
            "no end of the exchange with the PACS",
            expected=f"one that takes at most {WITHIN_S:.0f} s",
            remedy="try again when the PACS has less to do",
        )
    if printed:
        raise error_of(Problem.model_validate_json(printed))


def _fetch(task: dict[str, Any], folder: Path) -> None:
    size = 0
    for number, content in enumerate(fetch(task["url"], task["study"]), start=1):
        size += len(content)
        if number > task["files"] or size > task["bytes"]:
            raise UploadTooLarge(
                "a study of more images than an upload may hold",
                expected=f"at most {task['files']} images and {task['bytes']} bytes",
                remedy="upload the series that is to be segmented",
            )
        (folder / f"{number:05}.dcm").write_bytes(content)


def _store(task: dict[str, Any], paths: list[Path]) -> None:
    try:
        for path in paths:
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as packed:  # a segmentation before its report
                    for name in sorted(packed.namelist(), reverse=True):
                        store(task["url"], BytesIO(packed.read(name)))
            else:
                store(task["url"], path)
    except Unsent as fault:
        raise ServiceUnreachable(
            f"an object that the PACS did not take: {fault.problem}",
            expected="STOW-RS at that address",
            remedy="try again, or ask the administrator of the PACS",
        ) from None


def main() -> None:
    """Do what the command line says, or print why not."""
    what, paths = sys.argv[1], [Path(one) for one in sys.argv[2:]]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    keep_quiet()
    try:
        task = json.loads(sys.stdin.read())
        if what == "fetch":
            _fetch(task, paths[0])
        else:
            _store(task, paths)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback to users
        answers.write(problem_of(explained(error)).model_dump_json())
    answers.flush()


if __name__ == "__main__":
    main()
