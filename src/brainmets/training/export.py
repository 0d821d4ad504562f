"""A trained network as a bundle: the network with its weights, plan, card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.inference import write_bundle
from brainmets.models.onnx_file import write_onnx
from brainmets.models.registry import build
from brainmets.synthesis import Surroundings
from brainmets.training.checkpoint import format_duration
from brainmets.training.sources import DatasetSource, SliceSource, SyntheticSource, VolumeSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue
    from torch import Tensor, nn

    from brainmets.inference import Bundle, OperatingPoint
    from brainmets.training.checkpoint import History
    from brainmets.training.config import Recipe
    from brainmets.training.sources import Source
    from brainmets.training.validation import CaseScore

__all__ = ["export_bundle", "finished_state", "network_to_train", "write_card"]


def network_to_train(recipe: Recipe) -> nn.Module:
    """Return a recipe's network with the head that training alone has, if its loss asks for it."""
    classes = len(Surroundings) if recipe.loss.surroundings_weight else 0
    return build(recipe.network, classes=classes)


def finished_state(recipe: Recipe, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what the finished network has of a trained state: not the head of surroundings."""
    kept = build(recipe.network).state_dict()
    return {name: value for name, value in state.items() if name in kept}


def export_bundle(
    root: Path,
    *,
    recipe: Recipe,
    state: Mapping[str, Tensor],
    operating_point: OperatingPoint,
    card: str,
    extra: Mapping[str, JsonValue],
) -> Bundle:
    """Write a state dictionary as the bundle `recipe.name` into the folder `root`."""
    network = build(recipe.network)
    network.load_state_dict(dict(state), strict=False)
    return write_bundle(
        root,
        name=recipe.name,
        onnx=write_onnx(network.eval(), recipe.network),
        plan=recipe.plan,
        architecture=recipe.network,
        operating_point=operating_point,
        card=card,
        extra=extra,
    )


TITLES = {"attention-unet": "Attention U-Net", "unet-plus-plus": "U-Net++ (Nested U-Net)"}


def write_card(
    recipe: Recipe,
    *,
    recipe_name: str,
    history: History,
    operating_point: OperatingPoint,
    scores: list[CaseScore],
    dice: float,
    interval: tuple[float, float],
    taken: str = "weights",
    notes: tuple[str, ...] = (),
) -> str:
    """Return the card in Markdown.

    `taken` names what the network has of the one it started from, `notes` are paragraphs for its
    section on tests.
    """
    network = recipe.network
    target = (
        "the tumour outline on a T1c slice"
        if network.dims == 2
        else "the tumour core (enhancing and necrotic) on a T1c volume"
    )
    what = (
        f"{TITLES[network.name]}, {network.dims}-D, widths {list(network.widths)}. "
        f"Output: probability of {target}."
    )
    how = (
        f"`brainmets train recipes/{recipe_name} --out runs/{recipe.name}`: {history.step} steps "
        f"of {_crops(recipe.optimiser.batch)} of "
        f"{' × '.join(str(n) for n in recipe.optimiser.patch)}, "
        f"{format_duration(history.seconds)} on {history.machine}"
    )
    if history.best > 0:
        how += f"; best validation Dice {history.best:.3f} at step {history.best_step}"
    how += "."
    if recipe.start_from is not None:
        how += f" It started from the {taken} of `{Path(recipe.start_from).name}`."
    lines = [
        f"# {recipe.name}",
        "",
        f"**{RESEARCH_USE_ONLY}**",
        "",
        what,
        "",
        "## Training",
        "",
        how,
        "",
        *[f"- {_describe(source)}" for source in recipe.sources],
        "",
        "## Held-out test",
        "",
        *_results(scores, dice, interval, operating_point),
        *[line for note in notes for line in ("", note)],
        "",
        "## Limits",
        "",
        recipe.limits,
        "",
    ]
    return "\n".join(lines)


def _crops(batch: int) -> str:
    return "one crop" if batch == 1 else f"{batch} crops"


def _describe(source: Source) -> str:
    if isinstance(source, SyntheticSource):
        return _describe_heads(source)
    about = source.about or f"`{source.root}`"
    if isinstance(source, SliceSource | VolumeSource) and source.fold is not None:
        kind = "slices" if isinstance(source, SliceSource) else "volumes with masks"
        return (
            f"{about}: {kind}, {source.folds} folds by patient: fold {source.fold} to test, the "
            "others to train"
        )
    if isinstance(source, SliceSource):
        return (
            f"{about}: slices, split by block: {list(source.test_blocks)} to test, "
            f"{list(source.validation_blocks)} to choose, the others to train"
        )
    if isinstance(source, DatasetSource):
        parts = (source.train_cases, source.validation_cases, source.test_cases)
        train, choose, test = (len(part or ()) for part in parts)
        return f"{about}: {train} scans to train, {choose} to choose, {test} to test, by patient"
    words = f"{about}: volumes with masks, labels {list(source.lesion_labels)}"
    for part, cases in (("choose", source.validation_cases), ("test", source.test_cases)):
        words += f"; to {part} {', '.join(cases)}" if cases else ""
    return words


def _describe_heads(source: SyntheticSource) -> str:
    made = f"synthesised from {len(source.maps)} label maps" if source.maps else "built in"
    about = source.about or (f"`{source.root}`" if source.maps else "formulas")
    held_out = ""
    if source.validation_heads or source.test_heads:
        held_out = f"; {source.validation_heads} further to choose, {source.test_heads} to test"
    return f"{about}: heads with metastases {made}{held_out}"


def _results(
    scores: list[CaseScore], dice: float, interval: tuple[float, float], point: OperatingPoint
) -> list[str]:
    with_lesion = [s for s in scores if s.lesion_voxels]
    if not with_lesion:
        return ["No held-out case with a mask."]
    groups = len({s.group for s in with_lesion})
    false = sum(s.false_components for s in scores) / len(scores)
    spread = (
        f"95 % interval {interval[0]:.3f}–{interval[1]:.3f}, bootstrap over {groups} groups"
        if groups > 1
        else "only one group, so no interval"
    )
    summary = (
        f"Mean Dice per case **{dice:.3f}** ({spread}), {_counted(len(with_lesion), 'case')}; "
        f"{sum(s.found for s in scores)} of "
        f"{_counted(sum(s.lesions for s in scores), 'lesion')} found; "
        f"{false:.2f} false components a case; {_worded(point)}."
    )
    lines = [summary]
    if len(scores) <= 40:
        lines += ["", "| case | Dice | components | false |", "|---|---|---|---|"]
        lines += [
            f"| {s.name} | {s.dice:.3f} | {s.components} | {s.false_components} |" for s in scores
        ]
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _worded(point: OperatingPoint) -> str:
    words = f"threshold {point.threshold:g}"
    if point.peak > point.threshold:
        words += f", peak {point.peak:g}"
    if point.min_volume_mm3:
        words += f", at least {point.min_volume_mm3:g} mm³"
    return words
