"""Is this machine ready? Processor, memory, engines, models and a timed pass."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets import __version__
from brainmets.bundles import ANATOMY_NAME, SHIPPED_ANATOMY
from brainmets.domain.errors import BrainmetsError, ModelError
from brainmets.inference import ENGINES, Bundle, EngineName, list_bundles, make_engine
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.inference.engines import PACKAGES
from brainmets.inference.machine import count_processors, free_memory, peak_memory

if TYPE_CHECKING:
    from brainmets.inference import Precision

__all__ = ["Checkup", "EngineCheck", "ModelCheck", "check_machine"]

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
"""Processor features that decide how fast a network runs."""

TIMED_VOXELS = {2: (256, 256), 3: (64, 64, 64)}
ADVISED_BYTES = 3 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCheck:
    """One engine: its package's version, or None where it is not installed."""

    name: EngineName
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """One bundle: what verifying and timing it gave."""

    name: str
    sha256: str | None
    problem: str | None
    precision: str | None = None
    gigaflops: float | None = None
    """Network speed of the default engine, 10⁹ operations a second."""
    head_seconds: float | None = None
    """Network time of a head of 150 × 180 × 150 mm at the model's spacing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """Everything that decides whether and how fast brainmets runs here."""

    brainmets: str
    python: str
    system: str
    processors: int
    processor_flags: tuple[str, ...]
    free_bytes: int | None
    engines: tuple[EngineCheck, ...]
    models: tuple[ModelCheck, ...]
    peak_bytes: int
    problems: tuple[str, ...]
    """What keeps it from working well, each with a remedy; empty when all is well."""


def check_machine(*, timing: bool = True) -> Checkup:
    """Look at the machine, verify every model and, with `timing`, run each a moment."""
    engines = tuple(EngineCheck(name=name, version=_version(name)) for name in ENGINES)
    usable: EngineName | None = next((e.name for e in engines if e.version), None)
    models = (
        *(_check_model(name, usable if timing else None) for name in list_bundles()),
        _check_anatomy(),
    )
    free = free_memory()
    return Checkup(
        brainmets=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        processors=count_processors(),
        processor_flags=_flags(),
        free_bytes=free,
        engines=engines,
        models=models,
        peak_bytes=peak_memory(),
        problems=tuple(_problems(engines, models, free)),
    )


def _version(engine: EngineName) -> str | None:
    try:
        return version(PACKAGES[engine])
    except PackageNotFoundError:
        return None


def _flags() -> tuple[str, ...]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ()
    words = {
        word
        for line in text.splitlines()
        if line.lower().startswith(("flags", "features"))
        for word in line.split()
    }
    return tuple(flag for flag in FLAGS if flag in words)


def _check_anatomy() -> ModelCheck:
    """Verify the network that labels heads; it is too quick to be worth timing."""
    try:
        bundle = AnatomyBundle.load(SHIPPED_ANATOMY)
    except ModelError as error:
        return ModelCheck(name=ANATOMY_NAME, sha256=None, problem=str(error))
    return ModelCheck(name=ANATOMY_NAME, sha256=bundle.sha256, problem=None)


def _check_model(name: str, engine: EngineName | None) -> ModelCheck:
    try:
        bundle = Bundle.load(name)
    except ModelError as error:
        return ModelCheck(name=name, sha256=None, problem=str(error))
    if engine is None:
        return ModelCheck(name=name, sha256=bundle.sha256, problem=None)
    try:
        precision, gigaflops = _time(bundle, engine, "auto")
    except BrainmetsError as error:
        return ModelCheck(name=name, sha256=bundle.sha256, problem=str(error))
    voxels = 150 * 180 * (150 / bundle.plan.spacing_mm if bundle.plan.dims == 3 else 150)
    voxels /= bundle.plan.spacing_mm**2
    return ModelCheck(
        name=name,
        sha256=bundle.sha256,
        problem=None,
        precision=precision,
        gigaflops=round(gigaflops, 1),
        head_seconds=round(voxels * bundle.footprint.operations / (gigaflops * 1e9), 2),
    )


def _time(bundle: Bundle, engine: EngineName, precision: Precision) -> tuple[str, float]:
    """Return the precision used and the best of three passes in 10⁹ operations a second."""
    running = make_engine(engine, bundle, precision=precision)
    size = TIMED_VOXELS[bundle.plan.dims]
    x = np.zeros((1, bundle.plan.channels, *size), dtype=np.float32)
    seconds: list[float] = []
    for _ in range(4):  # the first compiles
        start = time.perf_counter()
        running.run(x)
        seconds.append(time.perf_counter() - start)
    operations = bundle.footprint.operations * float(np.prod(size))
    return running.precision, operations / min(seconds[1:]) / 1e9


def _problems(
    engines: tuple[EngineCheck, ...], models: tuple[ModelCheck, ...], free: int | None
) -> list[str]:
    found = [f"{m.name}: {m.problem}" for m in models if m.problem]
    if not any(e.version for e in engines):
        found.append("No engine is installed: run `pip install brainmets`.")
    if not models:
        found.append("No model is installed: reinstall brainmets or set BRAINMETS_MODELS.")
    if free is not None and free < ADVISED_BYTES:
        found.append(
            f"Only {free / 1e9:.1f} GB of memory is free: a 1 mm head may need windows and time."
        )
    return found
