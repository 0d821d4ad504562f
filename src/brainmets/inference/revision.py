"""A bundle with the same network and another card, operating point or rejector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.inference.bundle import Bundle, write_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue

    from brainmets.inference.operating_point import OperatingPoint, PointName
    from brainmets.inference.rejector import Rejector

__all__ = ["revise_bundle"]


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
    )
