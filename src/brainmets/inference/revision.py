"""Bundles made from bundles: another card, operating point or rejector, or several in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain.errors import OptionError
from brainmets.inference.bundle import Bundle, write_bundle
from brainmets.inference.fusion import Member, check_members
from brainmets.inference.operating_point import OperatingPoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from brainmets.inference.operating_point import PointName
    from brainmets.inference.rejector import Rejector

__all__ = ["fuse_bundles", "revise_bundle"]


def revise_bundle(
    bundle: Bundle,
    root: Path,
    *,
    operating_point: OperatingPoint | None = None,
    points: Mapping[PointName, OperatingPoint] | None = None,
    rejector: Rejector | None = None,
    card: str | None = None,
    extra: Mapping[str, JsonValue] | None = None,
) -> Bundle:
    """Write a bundle again into `root` with what is given changed; weights stay as they are.

    `root` may be the bundle's own folder, which is then replaced whole or not at all. A
    `rejector` of None takes an earlier one away; `extra` is added to what was there.

    Raises:
        OptionError: `root` holds something that is no bundle.
    """
    return write_bundle(
        root,
        name=bundle.name,
        onnx=bundle.onnx_path.read_bytes(),
        plan=bundle.plan,
        architecture=bundle.architecture,
        operating_point=operating_point or bundle.operating_point,
        card=bundle.card if card is None else card,
        extra={**bundle.extra, **(extra or {})},
        points=bundle.points if points is None else points,
        rejector=rejector,
        members={member: (bundle.root / member.file).read_bytes() for member in bundle.members},
    )


def fuse_bundles(
    bundles: Sequence[Bundle], root: Path, *, name: str, weights: Sequence[float] | None = None
) -> Bundle:
    """Write one model into `root` that answers with the mean logit of several.

    The first bundle gives the plan, the grid of the answer and the operating point; tune the
    result before it is used. Its rejector is left out, as it was fitted to other probabilities;
    where it has one its point means what that makes of them, and the fused model's is plain ½.

    Args:
        bundles: two to nine 3-D models that differ in spacing, network and weights alone.
        root: the bundle's own folder.
        name: of the fused model.
        weights: share of each in the mean; equal by default, scaled to a sum of 1.

    Raises:
        OptionError: they cannot answer as one, or `root` holds something that is no bundle.
    """
    first, *others = bundles
    check_members(first, others)
    shares = list(weights or [1.0] * len(bundles))
    if not 2 <= len(bundles) <= 9 or len(shares) != len(bundles) or min(shares) <= 0:
        raise OptionError(
            f"{len(bundles)} models with {len(shares)} weights",
            expected="two to nine models, a weight above 0 for each",
            remedy="name each model once and give as many weights, or none",
        )
    members = {
        Member(
            file=f"member-{number}.onnx",
            name=bundle.name,
            sha256=bundle.sha256,
            architecture=bundle.architecture,
            spacing_mm=bundle.plan.spacing_mm,
            weight=share / sum(shares),
            footprint=bundle.footprint,
        ): bundle.onnx_path.read_bytes()
        for number, (bundle, share) in enumerate(zip(others, shares[1:], strict=True), start=2)
    }
    cards = "\n".join(f"- `{one.name}` ({one.plan.spacing_mm:g} mm)" for one in bundles)
    card = f"# {name}\n\nThe mean logit of {len(bundles)} networks:\n\n{cards}\n\n{first.card}"
    return write_bundle(
        root,
        name=name,
        onnx=first.onnx_path.read_bytes(),
        plan=first.plan,
        architecture=first.architecture,
        operating_point=first.operating_point if first.rejector is None else OperatingPoint(),
        card=card,
        extra={"recipe": first.extra.get("recipe"), "fused": [one.name for one in bundles]},
        members=members,
    )
