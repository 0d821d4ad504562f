"""The process that prepares an upload's other images: `python -m brainmets.api.sequencing`.

Its arguments are a job's folder and a limit on its memory in bytes, 0 for none; its input holds
the job's options and its view's meta as JSON. It writes `<folder>/sequences/list.json` and the
display copies next to it, all or nothing. Untrusted files are read here, never in the server.
"""

from __future__ import annotations

import gzip
import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.api.child import explained, limit_memory
from brainmets.api.display import pack_image
from brainmets.api.exporting import main_series
from brainmets.api.problems import problem_of
from brainmets.api.quiet import keep_quiet
from brainmets.api.schemas import JobOptions, ViewMeta
from brainmets.api.segmenting import input_path
from brainmets.api.sequence_schemas import SequencesView, SequenceView
from brainmets.api.staging import remove
from brainmets.domain import Geometry, Volume

if TYPE_CHECKING:
    from brainmets.workflows.other_sequences import OtherSequence

__all__ = ["LIST", "SEQUENCES", "prepare_sequences", "voxels_file"]

SEQUENCES, LIST = "sequences", "list.json"
TOP_LEVEL = 4095
NAMES = {"t1c": "T1 with contrast", "t1n": "T1 without contrast", "t2w": "T2", "t2f": "T2 FLAIR"}


def voxels_file(number: int) -> str:
    """Name the display copy of an image."""
    return f"{number}.u16.gz"


def prepare_sequences(job_dir: Path, options: JobOptions, meta: ViewMeta) -> SequencesView:
    """Write display copies of the other images of a job's upload; return what they are."""
    from brainmets.workflows.other_sequences import other_sequences

    source = input_path(job_dir / "input")
    draft = job_dir / f"{SEQUENCES}-{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        found = other_sequences(
            source,
            _segmented_image(job_dir, meta),
            segmented=main_series(source, options),
            named=options.sequences,
        )
        others = tuple(_save(one, number, draft) for number, one in enumerate(found, start=1))
        main = options.sequences[0] if len(options.sequences) == 1 else "t1c"
        view = SequencesView(segmented=NAMES[main], others=others)
        (draft / LIST).write_text(view.model_dump_json(), encoding="utf-8")
        remove(job_dir / SEQUENCES)
        draft.rename(job_dir / SEQUENCES)
    finally:
        remove(draft)
    return view


def _segmented_image(job_dir: Path, meta: ViewMeta) -> Volume:
    """The display copy as a volume: the grid that everything is shown on."""
    packed = gzip.decompress((job_dir / "view" / "image.u16.gz").read_bytes())
    low, high = meta.levels
    levels = np.frombuffer(packed, dtype="<u2").reshape(meta.shape, order="F")
    data = levels.astype(np.float32) * np.float32((high - low) / TOP_LEVEL) + np.float32(low)
    return Volume(data=data, geometry=Geometry(shape=meta.shape, affine=np.array(meta.affine)))


def _save(one: OtherSequence, number: int, folder: Path) -> SequenceView:
    name = NAMES[one.sequence] if one.sequence else _name(one)
    if one.volume is None:
        problem = None if one.problem is None else problem_of(one.problem)
        return SequenceView(number=number, name=name, sequence=one.sequence, problem=problem)
    packed, levels, window = pack_image(one.volume.data)
    (folder / voxels_file(number)).write_bytes(packed)
    return SequenceView(
        number=number,
        name=name,
        sequence=one.sequence,
        placing=one.placing,
        similarity=one.similarity,
        levels=levels,
        window=window,
    )


def _name(one: OtherSequence) -> str:
    return f"Image {one.info.index}" if one.info.number is None else f"Series {one.info.number}"


def main() -> None:
    """Prepare the images of the job named on the command line; print why not."""
    job_dir = Path(sys.argv[1])
    keep_quiet()
    limit_memory(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    task = json.loads(sys.stdin.read())
    options, meta = (
        JobOptions.model_validate(task["options"]),
        ViewMeta.model_validate(task["view"]),
    )
    try:
        prepare_sequences(job_dir, options, meta)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback to users
        folder = job_dir / SEQUENCES
        folder.mkdir(exist_ok=True)
        problem = problem_of(explained(error))
        failed = SequenceView(number=1, name="Other images", problem=problem)
        view = SequencesView(segmented=NAMES["t1c"], others=(failed,))
        (folder / LIST).write_text(view.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
