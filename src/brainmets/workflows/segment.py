"""One examination in, its lesions out: read → prepare → segment → measure → write."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets import __version__
from brainmets.bundles import SHIPPED_ANATOMY
from brainmets.domain import Prediction, Progress, Provenance, Report, silent
from brainmets.domain.errors import UnknownModel
from brainmets.inference import Bundle, Predictor, find_lesions, list_bundles
from brainmets.inference.engines import PACKAGES
from brainmets.inference.machine import peak_memory
from brainmets.inference.places import (
    BOX_SETTING,
    HEAD_SETTING,
    BoxPlaces,
    fill_places,
    head_box,
    name_lesions,
)
from brainmets.io import read_case
from brainmets.reporting import check_results_folder, write_results
from brainmets.workflows.anatomy import (
    anatomy_settings,
    confine_to_brain,
    discarded_warnings,
    main_sequence,
)
from brainmets.workflows.plausibility import (
    check_plausibility,
    has_no_contrast_medium,
    refuse_or_warn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from brainmets.domain import Case, Sequence
    from brainmets.inference import Estimate, OperatingPoint, Precision
    from brainmets.inference.anatomy import Anatomy, AnatomyNetwork
    from brainmets.inference.operating_point import PointName
    from brainmets.preprocessing import Prepared
    from brainmets.workflows.plausibility import Finding

__all__ = [
    "DEFAULT_MODELS",
    "SegmentOptions",
    "SegmentResult",
    "Segmenter",
    "choose_model",
    "segment",
]

DEFAULT_MODELS = {
    "volume": (
        "attention-unet-3d",
        "unet-plus-plus-3d",
        "attention-unet-2d",
        "unet-plus-plus-2d",
    ),
    "slices": ("attention-unet-2d", "unet-plus-plus-2d"),
}
"""Models to use by default, the first that is installed; docs/performance.md says why."""

THICK_MM = 3.0
"""Slices further apart than this hide metastases that a 1 mm scan shows."""

COARSE_MM = 1.5
"""Pixels larger than this blur metastases of a few millimetres."""

MANY_LESIONS = 50
"""More than this many is rarely a patient and often an image unlike the training data."""

CAREFUL_WARNING = (
    "So only what the model is surest of is marked (its operating point 'specific'); ask for the"
    " point 'balanced' to see more."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """How to segment; the defaults are right for a T1c volume or T1c slices.

    `point` names one of the model's operating points (sensitive, balanced, specific); without
    one it is balanced, and specific where a scan shows no contrast medium.
    `threshold` alone means plain thresholding instead of the model's operating point. `images`
    gives further sequences on the same grid; if it names `sequence` too, that image is taken
    instead of the input path. `anatomy` is the folder of another anatomy network than the
    shipped one, which leaves out what lies outside the brain and names places; None has none.
    `brain_mask` writes its brain mask.
    `force` segments what does not look like MR of a brain, with a warning instead of a refusal.
    `memory_bytes` limits what the process may hold. `depth` prunes a U-Net++ to its outer nested
    levels.
    """

    model: str | None = None
    engine: str = "openvino"
    precision: Precision = "auto"
    point: str | None = None
    threshold: float | None = None
    peak: float | None = None
    probability: bool = False
    anatomy: Path | Literal["shipped"] | None = "shipped"
    brain_mask: bool = False
    series: str | None = None
    sequence: Sequence = "t1c"
    images: Mapping[Sequence, Path] | None = None
    channel: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None
    depth: int | None = None
    force: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentResult:
    """What was found, where it was written, and what it took.

    `timings` are seconds by stage, `total` and the network's own share `network`;
    `peak_bytes` is the most memory the process has held, 0 where the system does not tell.
    """

    report: Report
    files: Mapping[str, Path]
    timings: Mapping[str, float]
    peak_bytes: int


class Segmenter:
    """Segments many cases one after another through warm engines, a model loaded once."""

    def __init__(self, options: SegmentOptions | None = None) -> None:
        """Check the options as far as that goes without a case.

        Raises:
            ModelError: the chosen model or engine cannot be used.
            OptionError: an option cannot be used.
        """
        self.options = options or SegmentOptions()
        self._predictors: dict[str, Predictor] = {}
        self._anatomy: AnatomyNetwork | None = None
        if self.options.model is not None:
            self._point(self._predictor(self.options.model).bundle)

    def run(
        self,
        path: Path,
        out: Path,
        progress: Progress = silent,
        *,
        announce: Callable[[Estimate], None] | None = None,
    ) -> SegmentResult:
        """Segment the examination at `path` and write its results into `out`, all or nothing.

        `announce` is told what the network will take before it starts; what it raises ends the
        run.

        Raises:
            InputError: the input cannot be used.
            ModelError, OptionError: the model, engine or an option cannot be used.
            ResourceError: too little memory or disk, or `out` holds something else.
        """
        options = self.options
        stages = _Stages()
        with_main = dict(options.images or {})
        source = with_main.pop(options.sequence, path)
        with stages.timed("read"):
            progress("read", 0.0)
            case = read_case(
                source,
                series=options.series,
                sequence=options.sequence,
                images=with_main or None,
                channel=options.channel,
            )
            check_results_folder(out, input_sha256=case.source.sha256, overwrite=options.overwrite)
            predictor = self._predictor(options.model or choose_model(case))
            progress("read", 1.0)
        report = self.report(case, predictor, stages, progress, announce=announce)
        with stages.timed("write"):
            progress("write", 0.0)
            files = write_results(
                report,
                out,
                probability=options.probability,
                overwrite=options.overwrite,
                timings=stages.seconds,
            )
            progress("write", 1.0)
        return SegmentResult(
            report=report, files=files, timings=stages.finished(), peak_bytes=peak_memory()
        )

    def report(
        self,
        case: Case,
        predictor: Predictor,
        stages: _Stages | None = None,
        progress: Progress = silent,
        *,
        announce: Callable[[Estimate], None] | None = None,
    ) -> Report:
        """Segment a case that is already in memory, writing nothing."""
        stages = stages or _Stages()
        bundle = predictor.bundle
        anatomy = self._locate(case, stages)
        findings = check_plausibility(
            case, anatomy, network=self._anatomy, sequence=main_sequence(case)
        )
        doubts = refuse_or_warn(findings, force=self.options.force)
        careful = self._is_careful(bundle, findings)
        point = self._point(bundle, "specific" if careful else None)
        with stages.timed("prepare"):
            prepared = bundle.plan.apply(case, progress)
        with stages.timed("segment"):
            estimate = predictor.estimate(prepared.geometry.shape)
            if announce is not None:
                announce(estimate)
            probability, disagreement = predictor.predict_with_disagreement(
                prepared, progress, estimate=estimate
            )
        with stages.timed("measure"):
            progress("measure", 0.0)
            native = bundle.to_native(prepared, probability)
            midline_x_mm = _midline_x_mm(prepared)
            discarded = 0
            if anatomy is not None:
                confined = confine_to_brain(native, anatomy, point)
                native, discarded = confined.probability, confined.discarded
            mask, lesions = find_lesions(native, point, kind=case.kind, midline_x_mm=midline_x_mm)
            stripped = True
            if anatomy is not None and anatomy.has_brain:
                lesions = name_lesions(lesions, mask, anatomy)
                stripped = anatomy.is_stripped
            where = _where(prepared, stripped=stripped) if case.kind == "volume" else {}
            lesions = fill_places(lesions, where)
            progress("measure", 1.0)
        return Report(
            case=case,
            prediction=Prediction(
                probability=native,
                uncertainty=None if disagreement is None else prepared.to_native(disagreement),
                mask=mask,
                lesions=lesions,
                provenance=Provenance(
                    model=bundle.name,
                    model_sha256=bundle.sha256,
                    code_version=__version__,
                    engine=_engine_name(predictor),
                    input_sha256=case.source.sha256,
                    settings={
                        **point.model_dump(),
                        "precision": predictor.engine.precision,
                        "windows": estimate.tiling.count,
                        "exact_windows": estimate.exact,
                        "sequence": ",".join(sorted(case.images)),
                        "midline_x_mm": midline_x_mm,
                        **({} if self.options.depth is None else {"depth": self.options.depth}),
                        **where,
                        **anatomy_settings(anatomy, discarded),
                    },
                ),
            ),
            warnings=(
                *_warnings(case, bundle, len(lesions)),
                *doubts,
                *((CAREFUL_WARNING,) if careful else ()),
                *_window_warnings(estimate),
                *discarded_warnings(discarded),
            ),
            structures=anatomy,
            brain=anatomy.brain_on(case.geometry) if anatomy and self.options.brain_mask else None,
        )

    def _locate(self, case: Case, stages: _Stages) -> Anatomy | None:
        """Return the head's anatomy; None for slices, or where it is not asked for."""
        folder = self.options.anatomy
        if folder is None or case.kind != "volume" or case.geometry.units != "mm":
            return None
        from brainmets.inference.anatomy import AnatomyNetwork
        from brainmets.inference.anatomy_bundle import AnatomyBundle

        with stages.timed("anatomy"):
            if self._anatomy is None:
                self._anatomy = AnatomyNetwork(
                    AnatomyBundle.load(SHIPPED_ANATOMY if folder == "shipped" else folder),
                    engine=self.options.engine,
                    precision=self.options.precision,
                    threads=self.options.threads,
                )
            return self._anatomy.locate(case.images[main_sequence(case)])

    def _is_careful(self, bundle: Bundle, findings: tuple[Finding, ...]) -> bool:
        """Say whether the specific point is taken because no contrast medium is seen.

        What is bright on such a scan is rarely a metastasis; a point that was asked for stays.
        """
        options = self.options
        asked = (options.point, options.threshold, options.peak) != (None, None, None)
        return not asked and "specific" in bundle.points and has_no_contrast_medium(findings)

    def _predictor(self, name: str) -> Predictor:
        if name not in self._predictors:
            self._predictors[name] = Predictor(
                Bundle.load(name),
                self.options.engine,
                precision=self.options.precision,
                threads=self.options.threads,
                memory_bytes=self.options.memory_bytes,
                depth=self.options.depth,
            )
        return self._predictors[name]

    def _point(self, bundle: Bundle, unasked: PointName | None = None) -> OperatingPoint:
        named = self.options.point or unasked
        point = bundle.operating_point if named is None else bundle.point_named(named)
        return point.overridden(threshold=self.options.threshold, peak=self.options.peak)


def segment(
    path: Path,
    out: Path,
    options: SegmentOptions | None = None,
    progress: Progress = silent,
) -> SegmentResult:
    """Segment one examination and write its results into `out`, all or nothing.

    Raises:
        BrainmetsError: as `Segmenter.run`.
    """
    return Segmenter(options).run(path, out, progress)


def choose_model(case: Case) -> str:
    """Return the default model for a case: 3-D for volumes, 2-D for slices.

    Raises:
        UnknownModel: no model that fits is installed.
    """
    there = set(list_bundles())
    for name in DEFAULT_MODELS[case.kind]:
        if name in there:
            return name
    raise UnknownModel(
        f"no model for a {'volume' if case.kind == 'volume' else 'slice image'}",
        expected=f"one of {', '.join(DEFAULT_MODELS[case.kind])}",
        remedy="name another with --model, or reinstall brainmets",
    )


class _Stages:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def timed(self, stage: str) -> Generator[None, None, None]:
        """Time a `with` block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start

    def finished(self) -> dict[str, float]:
        """All stages and the total."""
        return {**self.seconds, "total": time.perf_counter() - self._start}


def _window_warnings(estimate: Estimate) -> tuple[str, ...]:
    if estimate.exact:
        return ()
    warning = (
        f"Memory allowed only windows with {estimate.tiling.halo} voxels of context:"
        " probabilities may differ by a few hundredths from those of a whole pass."
    )
    return (warning,)


def _midline_x_mm(prepared: Prepared) -> float:
    """RAS x of the middle of the head: the prepared grid is the box around it.

    The origin does not tell: atlas files have it at a corner, scanners at the magnet's centre.
    """
    middle = (np.array(prepared.geometry.shape) - 1) / 2
    return round(float(prepared.geometry.to_ras_mm(middle)[0]), 3)


def _where(prepared: Prepared, *, stripped: bool) -> dict[str, str]:
    """Write down the head's box, and the brain's of a stripped head: they name places."""
    foreground = prepared.data[0] > 0
    box = BoxPlaces.of(foreground, prepared.geometry) if stripped else None
    where = {HEAD_SETTING: head_box(foreground, prepared.geometry)}
    return where if box is None else where | {BOX_SETTING: str(box)}


def _engine_name(predictor: Predictor) -> str:
    name = predictor.engine.name
    try:
        return f"{name} {version(PACKAGES[name])}"
    except PackageNotFoundError:
        return name


def _warnings(case: Case, bundle: Bundle, lesions: int) -> tuple[str, ...]:
    """Sentences on how far to trust this result."""
    found = list(case.source.notes)
    geometry = case.geometry
    if geometry.units == "px":
        found.append("The image has no pixel spacing: every length and area is in pixels.")
    elif case.kind == "volume":
        spacing = sorted(geometry.spacing_mm)
        if spacing[2] > THICK_MM:
            found.append(
                f"Slices are {spacing[2]:.1f} mm apart: metastases smaller than that may be missed."
            )
        if spacing[1] > COARSE_MM:
            found.append(f"Pixels are {spacing[1]:.1f} mm wide: small metastases may be missed.")
    if case.kind == "volume" and bundle.plan.dims == 2:
        found.append(f"{bundle.name} looks at each slice by itself: expect more false positives.")
    if lesions > MANY_LESIONS:
        found.append(
            f"{lesions} lesions are unusually many: is this a T1-weighted scan after contrast?"
        )
    return tuple(found)
