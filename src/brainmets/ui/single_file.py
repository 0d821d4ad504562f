"""The process that writes a result as one HTML file: `python -m brainmets.ui.single_file`.

The file is the page's own viewer with the voxels inside: it opens in a browser without a server,
asks nobody anything, and nothing can be changed in it. Arguments and answers are those of
`brainmets.api.exporting`.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainmets.api.display import DisplayGrid, pack_labels
from brainmets.api.exporting import main as write_export
from brainmets.api.exporting import no_place
from brainmets.api.reviews import latest_review
from brainmets.reporting.stored import read_result
from brainmets.ui.component import LOOK, sources
from brainmets.ui.viewer import SCRIPTS

if TYPE_CHECKING:
    from brainmets.api.schemas import ExportName, JobOptions
    from brainmets.reporting.stored import StoredResult

__all__ = ["page_of", "write_page"]

_HERE = Path(__file__).parent
BOOT, FRAME = "browser/single_file.js", "browser/single_file.css"
MOUNT = "mount.js"
"""What Streamlit calls; `BOOT` is here in its place."""

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob:"
"""A browser keeps the file from asking anyone, whatever is in it."""


def write_page(job_dir: Path, name: ExportName, draft: Path, _options: JobOptions) -> Path:
    """Write a job's result, as reviewed, as one HTML file under `draft`.

    Raises:
        OptionError: it is of slice images.
    """
    result = read_result(job_dir / "out", review=latest_review(job_dir))
    if result.kind == "slices":
        raise no_place()
    view = job_dir / "view"
    parts = {
        "image.u16": (view / "image.u16.gz").read_bytes(),
        "probability.u8": (view / "probability.u8.gz").read_bytes(),
        "labels.u8": pack_labels(result.mask, DisplayGrid.of(result.mask.geometry)),
    }
    meta = json.loads((view / "meta.json").read_text(encoding="utf-8"))
    path = draft / name
    path.write_text(page_of(result, meta, parts), encoding="utf-8")
    return path


def page_of(result: StoredResult, meta: dict[str, Any], parts: dict[str, bytes]) -> str:
    """Return the file's text: viewer, numbers, and the display copies `parts` as gzip."""
    scripts = [path for path in sources("viewer", SCRIPTS) if path.name != MOUNT]
    styles = (LOOK, "viewer/bench.css", FRAME)
    data = {
        "base": "",
        "token": "",
        "job": result.provenance.input_sha256[:16],
        "model": result.provenance.model,
        "used": list(result.sequences),
        "other": None,
        "view": meta,
        "lesions": [asdict(lesion) for lesion in result.lesions],
        "review": None,
        "point": {
            key: result.provenance.settings[key]
            for key in ("threshold", "peak", "min_volume_mm3")
            if key in result.provenance.settings
        },
        "midline_x_mm": float(result.provenance.settings.get("midline_x_mm", 0.0)),
        "files": [],
        "exports": [],
    }
    readings = {
        str(number): {"label": label, "comment": comment}
        for number, (label, comment) in result.readings.items()
    }
    values = {
        "DATA": data,
        "READINGS": readings,
        "PARTS": {name: base64.b64encode(part).decode("ascii") for name, part in parts.items()},
    }
    told = f"{len(result.lesions)} lesion{'s' * (len(result.lesions) != 1)}"
    made = f"{result.provenance.model}, brainmets {result.provenance.code_version}"
    state = "as reviewed" if result.reviewed else "as found"
    style = "\n".join((_HERE / name).read_text("utf-8") for name in styles)
    script = "\n".join(path.read_text("utf-8") for path in (*scripts, _HERE / BOOT))
    constants = "\n".join(f"const {name} = {_embedded(value)};" for name, value in values.items())
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>brainmets: {told}</title>
<style>
{style}
</style>
<header><b>{told}</b> <span>{html.escape(made)} · {state}</span></header>
<main class="bench" aria-busy="true"></main>
<footer role="note">{html.escape(result.notice)}</footer>
<script type="module">
{constants}
{script}
</script>
</html>
"""


def _embedded(value: Any) -> str:
    """Return JSON that cannot end the script it stands in; what is not finite becomes null."""
    return json.dumps(_finite(value), ensure_ascii=False).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


if __name__ == "__main__":
    write_export(write_page)
