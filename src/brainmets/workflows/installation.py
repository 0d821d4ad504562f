"""What is installed here: version, models with their figures, engines, extras, machine."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from brainmets.bundles import SHIPPED_ANATOMY
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import ModelError
from brainmets.inference import Bundle, list_bundles
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.workflows.checkup import check_machine
from brainmets.workflows.model_quality import quality, tested_on

__all__ = ["SCHEMA", "describe_installation", "list_extras"]

SCHEMA = "brainmets-info/1"
"""Name and version of the layout; the number rises when a field changes."""

REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)[^;]*;\s*.*extra\s*==\s*['\"]([\w-]+)['\"]")

MEASURED = re.compile(r"^Mean Dice[^\n]*\*\*[^\n]*", re.MULTILINE)
FIGURE = re.compile(
    r"\*\*([0-9.]+)(?: \[([0-9.]+), ([0-9.]+)\]\*\*|\*\* \(95 % interval ([0-9.]+)–([0-9.]+))"
)
"""A mean Dice and its interval, in both spellings that cards use."""


def describe_installation() -> dict[str, Any]:
    """Return everything as plain values that JSON can hold; models are verified, not run."""
    machine = check_machine(timing=False)
    return {
        "schema": SCHEMA,
        "notice": RESEARCH_USE_ONLY,
        "version": machine.brainmets,
        "python": machine.python,
        "models": [_model(name) for name in list_bundles()],
        "anatomy": _anatomy(),
        "engines": {one.name: one.version for one in machine.engines},
        "extras": list_extras(),
        "machine": {
            "system": machine.system,
            "processors": machine.processors,
            "processor_flags": list(machine.processor_flags),
            "free_bytes": machine.free_bytes,
        },
    }


def list_extras() -> dict[str, dict[str, Any]]:
    """Return each extra with whether it is installed and which of its packages are missing."""
    try:
        lines = requires("brainmets") or []
    except PackageNotFoundError:  # run from its sources
        return {}
    packages: dict[str, list[str]] = {}
    for line in lines:
        if found := REQUIREMENT.match(line):
            packages.setdefault(found[2], []).append(found[1])
    missing = {
        extra: [name for name in names if not _is_installed(name)]
        for extra, names in packages.items()
    }
    return {
        extra: {"installed": not names, "missing": names}
        for extra, names in sorted(missing.items())
    }


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _anatomy() -> dict[str, Any]:
    """Return the network that every segmentation of a volume uses beside a model."""
    try:
        bundle = AnatomyBundle.load(SHIPPED_ANATOMY)
    except ModelError as error:
        return {"error": error.code}
    return {"sha256": bundle.sha256, "spacing_mm": bundle.spacing_mm}


def _model(name: str) -> dict[str, Any]:
    try:
        bundle = Bundle.load(name)
    except ModelError as error:
        return {"name": name, "error": error.code}
    return {
        "name": name,
        "dims": bundle.plan.dims,
        "network": bundle.architecture.name,
        "sequences": list(bundle.plan.sequences),
        "parameters": bundle.footprint.parameters,
        "sha256": bundle.sha256,
        "operating_points": {key: one.model_dump() for key, one in bundle.points.items()},
        "tested_on": list(tested_on(bundle)),
        "quality": quality(bundle),
        "measured": _measured(bundle.card),
    }


def _measured(card: str) -> list[dict[str, Any]]:
    """Return the sentences of a card that give a mean Dice on held-out cases, with its numbers."""
    found: list[dict[str, Any]] = []
    for sentence in MEASURED.findall(card):
        figures = FIGURE.search(sentence)
        if figures is None:
            continue
        dice, *limits = (float(part) for part in figures.groups() if part is not None)
        text = sentence.replace("**", "")
        found.append({"dice": dice, "interval_95": limits, "text": text})
    return found
