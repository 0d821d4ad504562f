"""The process that looks into an upload: `python -m brainmets.api.inspecting <folder>`.

It reads `<folder>/input` and writes `<folder>/inspection.json` and `thumbnail-<index>.png`.
Untrusted files are parsed here and in a job's worker, never in the server.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.api.child import explained, limit_memory
from brainmets.api.problems import problem_of
from brainmets.api.quiet import keep_quiet
from brainmets.api.segmenting import input_path
from brainmets.api.uploads import INSPECTION, EstimateView, ImageView, InspectionView

if TYPE_CHECKING:
    from brainmets.workflows.inspection import Cost, FoundImage

__all__ = ["inspect_upload"]


def inspect_upload(folder: Path) -> InspectionView:
    """Look into an upload; whatever is wrong with it becomes part of the answer."""
    from brainmets.workflows.inspection import default_model, inspect_input

    try:
        found = inspect_input(input_path(folder / "input"))
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback to users
        return InspectionView(problem=problem_of(explained(error)))
    kind = found[0].kind
    return InspectionView(
        images=tuple(_view(image, folder) for image in found), default_model=default_model(kind)
    )


def _view(image: FoundImage, folder: Path) -> ImageView:
    info = image.info
    if image.thumbnail is not None:
        from PIL import Image

        Image.fromarray(image.thumbnail).save(folder / f"thumbnail-{info.index}.png")
    return ImageView(
        index=info.index,
        name=info.uid if info.number is None else "",
        number=info.number,
        description=info.description,
        modality=info.modality,
        slices=info.slices,
        shape=info.shape,
        spacing_mm=info.spacing_mm,
        guess=info.guess,
        kind=image.kind,
        likely=image.likely,
        thumbnail=image.thumbnail is not None,
        notes=image.notes,
        problem=None if image.problem is None else problem_of(image.problem),
        estimates=tuple(_estimate(cost) for cost in image.costs),
    )


def _estimate(cost: Cost) -> EstimateView:
    problem = None if cost.problem is None else problem_of(cost.problem)
    return EstimateView(
        model=cost.model, seconds=cost.seconds, bytes=cost.bytes, jobs=0, problem=problem
    )


def main() -> None:
    """Look into the upload named on the command line."""
    folder = Path(sys.argv[1])
    keep_quiet()
    limit_memory(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    draft = folder / f".{INSPECTION}"
    draft.write_text(inspect_upload(folder).model_dump_json(), encoding="utf-8")
    draft.replace(folder / INSPECTION)


if __name__ == "__main__":
    main()
