"""`brainmets.segment`: the lesions of a scan, by the same steps as the command of that name."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Literal

from brainmets.inference import Bundle, Predictor
from brainmets.python.in_memory import Placement
from brainmets.python.inputs import case_of
from brainmets.python.result import Segmentation
from brainmets.python.synthetic import SyntheticScan
from brainmets.workflows.segment import Segmenter, SegmentOptions, choose_model

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from collections.abc import Sequence as Several

    from numpy.typing import ArrayLike

    from brainmets.domain import Case, Sequence
    from brainmets.inference import Precision
    from brainmets.preprocessing import Prepared
    from brainmets.python.inputs import ScanLike

__all__ = ["prepare", "segment"]

_HELD = 2
"""Networks that stay ready between calls."""

_ready: OrderedDict[tuple[object, ...], Predictor] = OrderedDict()
_one_at_a_time = Lock()


def segment(
    x: ScanLike | SyntheticScan,
    *,
    model: str | os.PathLike[str] | None = None,
    point: Literal["sensitive", "balanced", "specific"] | None = None,
    threshold: float | None = None,
    peak: float | None = None,
    spacing: Several[float] | None = None,
    affine: ArrayLike | None = None,
    orientation: str | None = None,
    sequence: Sequence = "t1c",
    images: Mapping[Sequence, ScanLike] | None = None,
    series: str | None = None,
    channel: int | None = None,
    engine: str = "openvino",
    precision: Precision = "auto",
    threads: int | None = None,
    memory_bytes: int | None = None,
    depth: int | None = None,
    force: bool = False,
) -> Segmentation:
    """Find the brain metastases of a scan. Research use only.

    The result is on the scan's own grid. The same file gives the same mask as the command
    `brainmets segment`. The network stays in memory for the next call.

    Args:
        x: a T1 scan with contrast: a path (NIfTI, DICOM folder or zip, picture, folder of slices),
            a numpy array or PyTorch CPU tensor (i, j, k) with `spacing` or `affine`, a nibabel or
            SimpleITK image, or a scan from `brainmets.synthesize`.
        model: a name from `brainmets models list`, or a bundle's folder; chosen by the input.
        point: one of the model's operating points, if it was tuned.
        threshold: lowest probability of a marked voxel, 0…1, instead of the model's own.
        peak: lowest lesion probability that is reported, 0…1.
        spacing: voxel sizes in mm along the array's axes (i, j, k).
        affine: 4 × 4, (i, j, k, 1) to RAS+ mm, as nibabel has it.
        orientation: where the axes of an array with `spacing` point, such as "RAS" (the default)
            or "LPS"; SimpleITK's arrays (z, y, x) of an axial scan are "SPL".
        sequence: what `x` is: t1c, t1n, t2w or t2f.
        images: further sequences on the same grid, for a model that reads them.
        series: of a DICOM folder: number, UID or line:N.
        channel: of colour pictures, from 0.
        engine: openvino, onnxruntime or pytorch.
        precision: auto (bfloat16 if the processor has it) or float32.
        threads: processors to use; all by default.
        memory_bytes: most memory to use, in bytes; smaller windows are used if needed.
        depth: nested levels of a U-Net++ to use.
        force: segment what does not look like MR of a brain, with a warning.

    Returns:
        Mask (i, j, k), probability (i, j, k) in 0…1, and the lesions, largest first.

    Raises:
        InputError: the scan cannot be used; its subclasses and codes are in
            docs/reference/errors.md.
        ModelError, OptionError: the model, the engine or an argument cannot be used.
        ResourceError: too little memory.
    """
    if isinstance(x, SyntheticScan):
        x = x.volume
    case = case_of(
        x,
        Placement(spacing=spacing, affine=affine, orientation=orientation),
        sequence=sequence,
        images=images,
        series=series,
        channel=channel,
    )
    options = SegmentOptions(
        engine=engine, point=point, threshold=threshold, peak=peak, depth=depth, force=force
    )
    with _one_at_a_time:
        predictor = _predictor(
            _bundle_for(case, model),
            engine,
            precision=precision,
            threads=threads,
            memory_bytes=memory_bytes,
            depth=depth,
        )
        return Segmentation(Segmenter(options).report(case, predictor))


def prepare(
    x: ScanLike | SyntheticScan,
    *,
    model: str | os.PathLike[str] | None = None,
    spacing: Several[float] | None = None,
    affine: ArrayLike | None = None,
    orientation: str | None = None,
    sequence: Sequence = "t1c",
) -> Prepared:
    """Return a scan as a model's network reads it.

    The network of `AttentionUNet.from_pretrained` takes `.data[None]`, each edge padded with zeros
    to a multiple of its `stride`.

    Args:
        x: a scan, in any form that `segment` takes.
        model: a name from `brainmets models list`, or a bundle's folder; chosen by the input.
        spacing: voxel sizes in mm along the array's axes (i, j, k).
        affine: 4 × 4, (i, j, k, 1) to RAS+ mm, as nibabel has it.
        orientation: where the axes of an array with `spacing` point, such as "RAS" (the default).
        sequence: what `x` is: t1c, t1n, t2w or t2f.

    Returns:
        `.data` is (channels, i, j, k) float32 on the model's own grid; `.to_native(probability)`
        brings a map (i, j, k) on that grid back to the scan's own.

    Raises:
        InputError, ModelError, OptionError: as `segment`.
    """
    if isinstance(x, SyntheticScan):
        x = x.volume
    place = Placement(spacing=spacing, affine=affine, orientation=orientation)
    case = case_of(x, place, sequence=sequence)
    return _bundle_for(case, model).plan.apply(case)


def _bundle_for(case: Case, model: str | os.PathLike[str] | None) -> Bundle:
    """Load and verify a model; a name may not be a path that happens to exist."""
    if model is None:
        return Bundle.load(choose_model(case))
    from pathlib import Path

    return Bundle.load(model if isinstance(model, str) else Path(model))


def _predictor(
    bundle: Bundle,
    engine: str,
    *,
    precision: Precision,
    threads: int | None,
    memory_bytes: int | None,
    depth: int | None,
) -> Predictor:
    """Return the network, ready; verified again, kept by its content and its options."""
    key = (bundle.sha256, str(bundle.root), engine, precision, threads, memory_bytes, depth)
    if key not in _ready:
        while len(_ready) >= _HELD:
            _ready.popitem(last=False)
        _ready[key] = Predictor(
            bundle,
            engine,
            precision=precision,
            threads=threads,
            memory_bytes=memory_bytes,
            depth=depth,
        )
    _ready.move_to_end(key)
    return _ready[key]
