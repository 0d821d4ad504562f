"""Results as BIDS derivatives (BIDS 1.10, "Imaging derivatives: segmentations")."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from brainmets import __version__
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["bids_stem", "write_bids"]

BIDS_VERSION = "1.10.0"
ENTITY = re.compile(r"(sub|ses|acq|ce|rec|dir|run)-([a-zA-Z0-9]+)")


def bids_stem(case: str) -> str:
    """Return `sub-01[_ses-1][_run-2]` from a case's name; any other name becomes a subject."""
    entities = dict(reversed(ENTITY.findall(case)))
    if "sub" not in entities:
        return f"sub-{re.sub('[^a-zA-Z0-9]', '', case) or 'unnamed'}"
    order = ("sub", "ses", "acq", "ce", "rec", "dir", "run")
    return "_".join(f"{name}-{entities[name]}" for name in order if name in entities)


def write_bids(results: Mapping[str, Path], out: Path, *, sources: Mapping[str, str]) -> list[Path]:
    """Write `sub-*/[ses-*/]anat/…_desc-lesions_dseg.nii.gz` with its table and description.

    Args:
        results: result folders by case; slice images, which BIDS has no place for, are left out.
        out: the derivative data set, usually `derivatives/brainmets`.
        sources: name of the input by case.

    Masks are hard links where the disk allows, so that they take no room twice. Returns the masks.

    Raises:
        OptionError: two cases get one BIDS name.
    """
    stems = {case: bids_stem(case) for case in results}
    if len(set(stems.values())) < len(stems):
        double = next(stem for stem in stems.values() if list(stems.values()).count(stem) > 1)
        raise OptionError(
            f"two cases that are {double} in BIDS",
            expected="names that differ in letters and digits, or sub-…_ses-… names",
            remedy="rename one of the inputs",
        )
    out.mkdir(parents=True, exist_ok=True)
    _write_json(
        out / "dataset_description.json",
        {
            "Name": "brainmets: brain metastases",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "brainmets", "Version": __version__}],
            "HowToAcknowledge": RESEARCH_USE_ONLY,
        },
    )
    masks: list[Path] = []
    for case, folder in results.items():
        if (folder / "mask.nii.gz").is_file():
            masks.append(_write_case(stems[case], folder, out, sources[case]))
    return masks


def _write_case(stem: str, folder: Path, out: Path, source: str) -> Path:
    parts = [part for part in stem.split("_") if part.startswith(("sub-", "ses-"))]
    anat = out.joinpath(*parts, "anat")
    anat.mkdir(parents=True, exist_ok=True)
    base = anat / f"{stem}_desc-lesions"
    mask = _linked(folder / "mask.nii.gz", base.with_name(f"{base.name}_dseg.nii.gz"))
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    about = {
        "Description": "0 background, 1 the largest lesion, 2 the next",
        "SpatialReference": "orig",
        "InputName": source,
        "Provenance": report["provenance"],
        "Warnings": report["warnings"],
        "Notice": report["notice"],
    }
    _write_json(base.with_name(f"{base.name}_dseg.json"), about)
    _write_lesions(base.with_name(f"{base.name}_dseg.tsv"), report["lesions"])
    probability = folder / "probability.nii.gz"
    if probability.is_file():
        _linked(probability, anat / f"{stem}_label-lesion_probseg.nii.gz")
        _write_json(anat / f"{stem}_label-lesion_probseg.json", about)
    return mask


def _write_lesions(path: Path, lesions: Sequence[Mapping[str, Any]]) -> None:
    columns = [name for name in (lesions[0] if lesions else ()) if name != "id"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["index", "name", *columns])
        for one in lesions:
            values = [
                ",".join(map(str, value)) if isinstance(value := one[name], list) else value
                for name in columns
            ]
            writer.writerow([one["id"], f"lesion {one['id']}", *values])


def _linked(source: Path, target: Path) -> Path:
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.replace(target)
    return target


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
