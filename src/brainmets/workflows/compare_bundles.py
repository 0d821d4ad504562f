"""Use case: bundles against bundles on one data set, several trainings of a network together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from brainmets.domain import RESEARCH_USE_ONLY, silent
from brainmets.domain.errors import OptionError, OutputExists
from brainmets.evaluation.claims import ATTENTION, NESTED, RULE, decide_claims
from brainmets.evaluation.networks import compare_networks
from brainmets.reporting.networks_report import networks_markdown, networks_pictures
from brainmets.workflows.bundle_scores import distinct, score_bundle
from brainmets.workflows.documents import csv_text, plain, write_files
from brainmets.workflows.evaluate import read_scores, write_scores
from brainmets.workflows.reference_cases import (
    dataset_cases,
    held_out,
    shared_sources,
    sources_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.evaluation.networks import NetworkComparison
    from brainmets.evaluation.records import ScoreRun
    from brainmets.inference import Bundle
    from brainmets.training.samples import Part
    from brainmets.workflows.reference_cases import ReferenceCase

__all__ = ["BundleData", "are_bundles", "compare_bundles", "compare_scores", "networks_document"]

SCHEMA = "brainmets-networks/1"

COLUMNS = (
    "by", "stratum", "figure", "lesions", "a", "a_low", "a_high", "b", "b_low", "b_high",
    "difference", "difference_low", "difference_high",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleData:
    """What bundles are compared on: held-out parts of their own recipes, or a data set.

    Attributes:
        held_out: Folder that recipes' paths start from; the cases of `part` are taken.
        part: `test`, or `validation` to choose by.
        recipe: Recipe that says what was held out, where bundles do not say so themselves.
        data: A data set instead, all of whose cases count.
        layout: Its layout.
        only: Patients to take; all if empty.
        engine: What runs the networks.
    """

    held_out: Path | None = None
    part: Part = "test"
    recipe: Path | None = None
    data: Path | None = None
    layout: str = "auto"
    only: tuple[str, ...] = ()
    engine: str = "openvino"

    def cases(self, bundles: Sequence[Bundle]) -> Iterator[ReferenceCase]:
        """Read the cases one after the other.

        Raises:
            OptionError: neither or both kinds of data were named, or bundles hold out different
                cases.
        """
        if (self.held_out is None) == (self.data is None):
            raise OptionError(
                "no data to compare bundles on" if self.data is None else "two kinds of data",
                expected="--held-out DATA_ROOT, or --data DIR",
                remedy="name the folder that recipes' paths start from, or a data set",
            )
        plan = bundles[0].plan
        if self.held_out is not None:
            sources = sources_for(bundles[0], shared_sources(bundles, self.recipe))
            return held_out(sources, self.held_out, self.part, plan)
        if self.data is None:
            raise TypeError("unreachable")
        return dataset_cases(self.data, plan, layout=self.layout, only=self.only)


def are_bundles(models: Sequence[Path]) -> bool:
    """Say whether models are networks, by name or folder, rather than folders of scores."""
    from brainmets.inference import list_bundles

    named = list_bundles()
    return all((one / "manifest.json").is_file() or str(one) in named for one in models)


def compare_bundles(
    bundles: Sequence[Bundle],
    out: Path,
    data: BundleData,
    *,
    names: Sequence[str] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Predict and score every bundle on the same cases, compare the two networks, test the claims.

    Bundles of one architecture are trainings (seeds) of one network. Writes `comparison.json`,
    `.md`, `.svg`, `.png`, `strata.csv`, and `scores/<name>/` for each bundle as `evaluate` writes
    them. Returns the document.

    Raises:
        OptionError: not two networks, or data that cannot be used.
        OutputExists: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists(
            f"{out.name} is a file", expected="a folder", remedy="name another folder"
        )
    labels = distinct(names or [bundle.name for bundle in bundles])
    groups = _groups([bundle.architecture.name for bundle in bundles], labels)
    held = list(_in_mm(data.cases(bundles), bundles[0])) if bundles[0].plan.dims == 2 else None
    runs: list[ScoreRun] = []
    for number, (bundle, label) in enumerate(zip(bundles, labels, strict=True)):
        # volumes are read again for each network: a hundred of them fit no memory
        cases = held or _in_mm(data.cases(bundles), bundles[0])
        scored = score_bundle(
            bundle,
            cases,
            count=None if held is None else len(held),
            engine=data.engine,
            progress=lambda stage, done, n=number: progress(stage, (n + done) / len(bundles)),
        )
        runs.append(scored.run)
        write_scores(scored.run, out / "scores" / label)
    slices = held is not None and all(case.case.kind == "slices" for case in held)
    return _finish(
        groups, runs, labels, out, slices=slices, notes=_budget_notes(bundles), where=_where(data)
    )


def compare_scores(
    folders: Sequence[Path],
    networks: Sequence[str],
    out: Path,
    *,
    names: Sequence[str] = (),
    slices: bool = False,
) -> dict[str, Any]:
    """Compare two networks from folders that `evaluate` wrote; one network's name a folder.

    `slices` sizes lesions by the disc of equal area instead of the longest diameter.

    Raises:
        OptionError: not one name a folder, or not two networks.
        InputError: as `read_scores`.
    """
    if len(networks) != len(folders):
        raise OptionError(
            f"{len(networks)} networks for {len(folders)} folders",
            expected="the network of every folder",
            remedy="list them in order, separated by commas",
        )
    labels = distinct(names or [folder.resolve().name for folder in folders])
    groups = _groups(networks, labels)
    runs = [read_scores(folder) for folder in folders]
    return _finish(groups, runs, labels, out, slices=slices, notes=[], where="folders of scores")


def networks_document(comparison: NetworkComparison) -> dict[str, Any]:
    """Return the comparison and the conclusions as a JSON document."""
    return plain(
        {
            "schema": SCHEMA,
            "notice": RESEARCH_USE_ONLY,
            "a": comparison.a,
            "b": comparison.b,
            "seeds": {
                comparison.a: list(comparison.seeds_a),
                comparison.b: list(comparison.seeds_b),
            },
            "size": comparison.size,
            "cases": comparison.cases,
            "patients": comparison.patients,
            "case_dice_by_seed": dict(comparison.by_seed),
            "rows": [asdict(row) for row in comparison.rows],
            "rule": RULE,
            "claims": [asdict(claim) for claim in decide_claims(comparison)],
        }
    )


def _finish(
    groups: dict[str, list[int]],
    runs: Sequence[ScoreRun],
    labels: Sequence[str],
    out: Path,
    *,
    slices: bool,
    notes: list[str],
    where: str,
) -> dict[str, Any]:
    (a, places_a), (b, places_b) = groups.items()
    comparison = compare_networks(
        (a, [(labels[n], runs[n]) for n in places_a]),
        (b, [(labels[n], runs[n]) for n in places_b]),
        size="equivalent_mm" if slices else "diameter_mm",
    )
    document: dict[str, Any] = networks_document(comparison)
    document |= {"notes": notes, "data": where}
    svg, png = networks_pictures(document)
    write_files(
        {
            "comparison.json": json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n",
            "comparison.md": networks_markdown(document).encode(),
            "comparison.svg": svg.encode(),
            "comparison.png": png,
            "strata.csv": csv_text(COLUMNS, [_flat(row) for row in document["rows"]]).encode(),
        },
        out,
    )
    return document


def _groups(networks: Sequence[str], labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of each network's trainings, Attention U-Net first."""
    places: dict[str, list[int]] = {}
    for number, network in enumerate(networks):
        places.setdefault(network, []).append(number)
    if len(places) == 1 and len(labels) == 2:  # such as one network with and without CLAHE
        return {label: [n] for n, label in enumerate(labels)}
    if len(places) != 2:
        raise OptionError(
            f"{len(places)} networks: {', '.join(places)}",
            expected="two networks, each with one training or more; or two bundles",
            remedy="compare two at a time",
        )
    first = sorted(places, key=lambda name: (name != ATTENTION, name == NESTED))
    return {name: places[name] for name in first}


def _in_mm(cases: Iterable[ReferenceCase], bundle: Bundle) -> Iterator[ReferenceCase]:
    """Give slices without spacing the pixels that the network takes them to have."""
    from brainmets.domain import Geometry, Mask

    plan = bundle.plan
    for case in cases:
        geometry = case.truth.geometry
        if geometry.units == "px":
            pixel = plan.spacing_mm * plan.canvas / max(geometry.shape[:2])
            affine = geometry.affine.copy()
            affine[:3, :2] *= pixel
            in_mm = Geometry(shape=geometry.shape, affine=affine, units="px")
            case = replace(case, truth=Mask(data=case.truth.data, geometry=in_mm))  # noqa: PLW2901
        yield case


def _budget_notes(bundles: Sequence[Bundle]) -> list[str]:
    """Say where trainings differ in more than the network and the seed."""
    differing: set[str] = set()
    recipes = [bundle.extra.get("recipe") for bundle in bundles]
    if any(not isinstance(one, dict) for one in recipes):
        return ["Not every bundle says how it was trained: budgets may differ."]
    first = recipes[0]
    for other in recipes[1:]:
        if isinstance(first, dict) and isinstance(other, dict):
            apart = {k for k in {*first, *other} if first.get(k) != other.get(k)}
            differing |= apart - {"name", "seed", "network", "limits"}
    steps = {str(bundle.extra.get("steps")) for bundle in bundles}
    notes = []
    if differing:
        notes.append(f"Recipes differ in {', '.join(sorted(differing))}: not the same budget.")
    if len(steps) > 1:
        notes.append(f"Trained for {', '.join(sorted(steps))} steps: not the same budget.")
    return notes


def _where(data: BundleData) -> str:
    if data.held_out is not None:
        return f"{data.part} part of the networks' own recipes"
    return "" if data.data is None else data.data.name


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {name: row[name] for name in ("by", "stratum", "figure", "lesions")}
    for name in ("a", "b", "difference"):
        one = row[name]
        flat |= {name: one["value"], f"{name}_low": one["low"], f"{name}_high": one["high"]}
    return flat
