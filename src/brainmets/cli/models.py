"""`brainmets models`: what is installed, and what it is."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainmets.cli.helptext import help_of
from brainmets.cli.measure import measure

if TYPE_CHECKING:
    from brainmets.inference import Bundle

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The installed models.")

AS_JSON = typer.Option("--json", help="Print JSON for machines.")


def list_models(*, as_json: Annotated[bool, AS_JSON] = False) -> None:
    r"""List the installed models; each is verified against its sha256.

    \b
    Example:
      brainmets models list

    BRAINMETS_MODELS names folders with further models.
    """
    from brainmets.domain.errors import ModelError
    from brainmets.inference import Bundle, list_bundles

    rows: list[dict[str, Any]] = []
    for name in list_bundles():
        try:
            rows.append(_summary(Bundle.load(name)))
        except ModelError as error:
            rows.append({"name": name, "error": str(error)})
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        if "error" in row:
            typer.echo(f"{row['name']:24} {row['error']}")
            continue
        typer.echo(
            f"{row['name']:24} {row['dims']}-D  {','.join(row['sequences']):8}"
            f" {row['parameters'] / 1e6:.1f} M parameters  {row['megabytes']:.0f} MB"
            f"  sha256 {row['sha256'][:12]}"
        )
    if not rows:
        typer.echo("No model is installed.", err=True)


def show(
    name: Annotated[str, typer.Argument(help="Name from `brainmets models list`, or a folder.")],
    *,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    r"""Show a model's card: training data, accuracy, limitations.

    \b
    Example:
      brainmets models show attention-unet-3d
    """
    from brainmets.inference import Bundle

    bundle = Bundle.load(name)
    if as_json:
        document = _summary(bundle) | {
            "plan": bundle.plan.model_dump(mode="json"),
            "architecture": bundle.architecture.model_dump(mode="json"),
            "extra": dict(bundle.extra),
            "card": bundle.card,
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    console.print(Markdown(bundle.card))
    point = bundle.operating_point
    console.print(
        f"\nOperating point: threshold {point.threshold:g}, peak {point.peak:g}, at least"
        f" {point.min_volume_mm3:g} mm³{_further(bundle)}\nsha256 {bundle.sha256}\n{bundle.root}"
    )


def fuse(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Two to nine models: names, or folders."),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the fused model.")],
    name: Annotated[str | None, typer.Option(help="Its name; the folder's by default.")] = None,
    weight: Annotated[
        list[float] | None,
        typer.Option(help="Share of each model in the mean, in order. Repeatable; equal."),
    ] = None,
) -> None:
    r"""Make one model that returns the mean logit of several.

    They may differ in network, weights and spacing; the result is on the grid of the first one.
    Choose its operating points afterwards with `brainmets tune`.

    \b
    Example:
      brainmets models fuse attention-unet-3d unet-plus-plus-3d --out fused
      brainmets segment head.nii.gz --model fused --probability --out results
    """
    from brainmets.inference import Bundle, fuse_bundles

    members = [Bundle.load(one) for one in bundles]
    made = fuse_bundles(members, out, name=name or out.resolve().name, weights=weight)
    typer.echo(f"{made.name}: {len(members)} networks, sha256 {made.sha256[:12]}")


app.command("list", help=help_of(list_models))(list_models)
app.command(help=help_of(show))(show)
app.command(help=help_of(measure))(measure)
app.command(help=help_of(fuse))(fuse)


def _further(bundle: Bundle) -> str:
    """Name the other operating points and the rejector, where there are any."""
    words = [f"{name}: peak {one.peak:g}" for name, one in bundle.points.items()]
    if bundle.rejector is not None:
        words.append(
            f"components, grown at {bundle.rejector.grow:g}, are looked at again by a rejector:"
            " their peak is how likely they are lesions"
        )
    return f"; {'; '.join(words)}" if words else ""


def _summary(bundle: Bundle) -> dict[str, Any]:
    size = sum(path.stat().st_size for path in bundle.root.iterdir())
    return {
        "name": bundle.name,
        "dims": bundle.plan.dims,
        "sequences": list(bundle.plan.sequences),
        "network": bundle.architecture.name,
        "parameters": bundle.footprint.parameters,
        "megabytes": round(size / 1e6, 1),
        "sha256": bundle.sha256,
        "operating_point": bundle.operating_point.model_dump(),
        "points": {name: one.model_dump() for name, one in bundle.points.items()},
    }
