"""A case's probability map from its prepared input: padding, windows, memory, sigmoid."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import OutOfMemory, WrongModelKind
from brainmets.domain.progress import Progress, silent
from brainmets.inference.engines import make_engine
from brainmets.inference.footprint import measure_footprint
from brainmets.inference.fusion import at_spacing, fused, on_grid_of
from brainmets.inference.machine import free_memory, used_memory
from brainmets.inference.windows import Tiling, plan_tiling, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from brainmets.inference.bundle import Bundle
    from brainmets.inference.engines import Engine, Precision
    from brainmets.inference.footprint import Footprint
    from brainmets.preprocessing import Prepared

__all__ = ["Estimate", "Predictor"]

SAFE_SHARE = 0.8
"""Share of the free memory that is used without being told a limit."""

FEWEST_BYTES = 160 * 2**20
"""What an engine needs next to the network's values: its code, the weights, packed copies.
OpenVINO took 105 to 115 MB with each of the four shipped networks."""

BATCH_VOXELS = 2**19
"""Slices run together up to about this many pixels: larger batches only leave the cache."""

MOST_WORK = 2.5
"""Times the work of a whole pass from which windows make do with less context."""

LEAST_HALO = 24
"""Voxels of context that windows keep at least. Against a whole pass of met-00110 by the first
attention-unet-3d: 48 voxels no difference, 32 at most 0.007 in probability (mask Dice 0.9999),
24 at most 0.012 (0.9995), 16 up to 0.06; of mprage-dicom.zip: 40 at most 0.003 (1.0000), 24 at
most 0.036 (0.9991)."""

MIRRORINGS = ((), (0,), (1,), (0, 1))
"""In-plane axes that a slice is mirrored along, one pass each."""

EXPECTED_FLOPS = 250e9
"""Operations a second assumed for the progress of the first pass; two cores with AVX-512."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What predicting one case will take, known before it starts."""

    tiling: Tiling
    exact: bool
    """Whether the windows carry the network's whole receptive field as context."""
    batch: int
    bytes: int
    """Memory of the network's values on top of what the process holds."""
    peak_bytes: int
    """Most memory that the process is going to hold."""
    operations: float
    """Floating-point operations of all windows."""

    def __str__(self) -> str:
        """Say it to the user: windows and memory."""
        window = " × ".join(map(str, self.tiling.window))
        if self.batch > 1:
            passes = f"{self.batch} slices of {window} at a time"
        elif self.tiling.count == 1:
            passes = f"one pass over {window} voxels"
        else:
            passes = f"{self.tiling.count} windows of {window} voxels"
        return f"{passes}, at most {_gigabytes(self.peak_bytes)} of memory"


class Predictor:
    """Runs one model on prepared cases; keeps its engine warm between them.

    The whole head goes in one pass where memory allows. Else windows carry the network's whole
    receptive field as context, and the answer is the same; where that would take over
    `MOST_WORK` times a whole pass, they carry less, and the estimate says `exact=False`.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str = "openvino",
        *,
        precision: Precision = "auto",
        threads: int | None = None,
        memory_bytes: int | None = None,
        depth: int | None = None,
    ) -> None:
        """Load the engine.

        Args:
            bundle: the model.
            engine: `openvino`, `onnxruntime` or `pytorch`.
            precision: `auto` or `float32`.
            threads: processors to use; all that the process may by default.
            memory_bytes: most memory the process may hold; by default most of what is free.
            depth: nested levels of a U-Net++ to use, from 1; all by default.

        Raises:
            EngineMissing: the engine's package is not installed.
            OptionError: an option cannot be used.
        """
        self.bundle = bundle
        self.memory_bytes = memory_bytes
        self.engine: Engine = make_engine(
            engine, bundle, precision=precision, threads=threads, depth=depth
        )
        self.footprint = bundle.footprint if depth is None else _footprint_at(bundle, depth)
        self._members = [
            Predictor(
                bundle.single(member),
                engine,
                precision=precision,
                threads=threads,
                memory_bytes=memory_bytes,
            )
            for member in bundle.members
        ]

    def estimate(self, shape: tuple[int, int, int]) -> Estimate:
        """Choose the windows for a prepared scan and compute their memory.

        Args:
            shape: voxels of the prepared grid (X, Y, Z).

        Returns:
            Windows, memory in bytes and number of operations.

        Raises:
            OutOfMemory: the smallest window needs more than the limit.
        """
        architecture = self.bundle.architecture
        dims, stride = architecture.dims, architecture.stride
        padded = tuple(round_up(n, stride) for n in shape[:dims])
        voxel_bytes = self._bytes_per_voxel()
        max_voxels = self._max_voxels(shape)
        tiling = _affordable_tiling(
            padded, halo=architecture.halo, stride=stride, max_voxels=max_voxels
        )
        if tiling is None:
            halo = min(architecture.halo, round_up(LEAST_HALO, stride))
            smallest = math.prod(min(n, 2 * halo + stride) for n in padded)
            raise OutOfMemory(
                f"{_gigabytes(self._limit_bytes())} of memory to use",
                expected=f"at least {_gigabytes(smallest * voxel_bytes + _overhead_bytes(shape))}"
                f" for the smallest window of {self.bundle.name}",
                remedy="close other programs, raise --memory or choose a smaller model",
            )
        slices = shape[2] if dims == 2 else 1
        window_voxels = math.prod(tiling.window)
        fitting = min(BATCH_VOXELS // window_voxels, int(max_voxels) // window_voxels)
        batch = min(slices, max(1, fitting))
        needed = int(batch * window_voxels * voxel_bytes) + _overhead_bytes(shape)
        return Estimate(
            tiling=tiling,
            exact=tiling.count == 1 or tiling.halo == architecture.halo,
            batch=batch,
            bytes=needed,
            peak_bytes=used_memory() + needed,
            operations=tiling.voxels
            * slices
            * len(self._mirrorings(slices))
            * self.footprint.operations,
        )

    def predict(
        self,
        prepared: Prepared,
        progress: Progress = silent,
        *,
        estimate: Estimate | None = None,
    ) -> NDArray[np.float32]:
        """Return the lesion probability (X, Y, Z) of a prepared case, 0…1.

        Args:
            prepared: the scan, prepared by the bundle's own plan.
            progress: called with a stage and the share of it that is done, 0…1.
            estimate: what `estimate` returned for this case; computed by default.

        Returns:
            Probability (X, Y, Z) float32, 0…1, on the prepared grid.

        Raises:
            WrongModelKind: the case was prepared for another network.
            OutOfMemory: the smallest window needs more than the limit.
        """
        return self.predict_with_disagreement(prepared, progress, estimate=estimate)[0]

    def predict_with_disagreement(
        self,
        prepared: Prepared,
        progress: Progress = silent,
        *,
        estimate: Estimate | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the probability as `predict`, and how far a fused model's members disagree.

        Args:
            prepared: as in `predict`.
            progress: as in `predict`.
            estimate: as in `predict`.

        Returns:
            The probability (X, Y, Z), 0…1, and the standard deviation of the members'
            probabilities (X, Y, Z), 0…0.5; None for a single network.

        Raises:
            WrongModelKind, OutOfMemory: as `predict`.
        """
        if not self._members:
            return self._predict(prepared, progress, estimate=estimate), None
        parts = 1 + len(self._members)

        def part(number: int) -> Progress:
            return lambda stage, done: progress(stage, (number + done) / parts)

        answers = [self._predict(prepared, part(0), estimate=estimate)]
        for number, member in enumerate(self._members, start=1):
            spacing = member.bundle.plan.spacing_mm
            seen = at_spacing(prepared, spacing)
            answers.append(on_grid_of(prepared, member.predict(seen, part(number)), spacing))
        shares = [member.weight for member in self.bundle.members]
        return fused(answers, [1 - sum(shares), *shares])

    def _predict(
        self, prepared: Prepared, progress: Progress, *, estimate: Estimate | None
    ) -> NDArray[np.float32]:
        channels, *shape = prepared.data.shape
        if channels != self.bundle.architecture.in_channels:
            raise WrongModelKind(
                f"a case prepared with {channels} channels",
                expected=f"{self.bundle.architecture.in_channels} for {self.bundle.name}",
                remedy="prepare the case with the plan of this model",
            )
        x, y, z = shape
        estimate = estimate or self.estimate((x, y, z))
        clock = _Clock(progress, operations=estimate.operations)
        progress("segment", 0.0)
        mirrorings = self._mirrorings(z)
        answers: list[NDArray[np.float32]] = []
        for axes in mirrorings:
            data = np.flip(prepared.data, tuple(axis + 1 for axis in axes))
            seen = self._pass(data, estimate, clock, share=1 / len(mirrorings))
            answers.append(np.flip(seen, axes))
        if self.memory_bytes is not None:
            self.engine.forget()  # or the next case would find the limit already taken
        progress("segment", 1.0)
        return answers[0] if len(answers) == 1 else np.stack(answers).mean(axis=0)

    def _mirrorings(self, slices: int) -> tuple[tuple[int, ...], ...]:
        """Return the axes to mirror before each pass; a volume's slices support each other."""
        return MIRRORINGS if self.bundle.plan.mirrored and slices == 1 else ((),)

    def _pass(
        self, data: NDArray[np.float32], estimate: Estimate, clock: _Clock, *, share: float
    ) -> NDArray[np.float32]:
        """Return the probability (X, Y, Z) of data (C, X, Y, Z), which is `share` of the work."""
        slices = data.shape[3]
        logits = np.empty(data.shape[1:], dtype=np.float32)
        padded = _pad(data, estimate.tiling.shape)
        share /= estimate.tiling.count * len(list(self._batches(slices, estimate.batch)))
        for part in self._batches(slices, estimate.batch):
            block, answer = padded[..., part], logits[..., part]
            for window in estimate.tiling.windows():
                clock.start(share)
                stacked = _to_batch(block[(slice(None), *window.read)], self._dims)
                kept = _from_batch(self.engine.run(stacked, clock.tick), self._dims)
                kept = kept[window.keep]
                target = answer[window.write]  # shorter than `kept` where the volume was padded
                target[...] = kept[tuple(slice(n) for n in target.shape)]
                clock.finish()
        return _sigmoid(logits)

    @property
    def _dims(self) -> int:
        return self.bundle.architecture.dims

    def _batches(self, slices: int, batch: int) -> Iterator[slice]:
        """Yield runs of slices for a 2-D network, everything at once for a 3-D one."""
        if self._dims == 3:
            yield slice(None)
            return
        for start in range(0, slices, batch):
            yield slice(start, min(start + batch, slices))

    def _bytes_per_voxel(self) -> float:
        live = self.footprint.live_values * self.engine.bytes_per_value
        edges = 4 * (self.bundle.architecture.in_channels + 1)  # input and logits in float32
        return live * self.engine.workspace + edges

    def _max_voxels(self, shape: tuple[int, int, int]) -> float:
        """Voxels of the largest window that memory allows."""
        return (self._limit_bytes() - _overhead_bytes(shape)) / self._bytes_per_voxel()

    def _limit_bytes(self) -> int:
        free = free_memory()
        if self.memory_bytes is not None:
            return self.memory_bytes - used_memory()
        return int(SAFE_SHARE * free) if free is not None else 2**32


def _footprint_at(bundle: Bundle, depth: int) -> Footprint:
    architecture = bundle.architecture
    return measure_footprint(
        bundle.onnx_path.read_bytes(),
        dims=architecture.dims,
        channels=architecture.in_channels,
        stride=architecture.stride,
        output=architecture.output_at(depth),
    )


def _affordable_tiling(
    shape: tuple[int, ...], *, halo: int, stride: int, max_voxels: float
) -> Tiling | None:
    """Return the tiling with the most context whose work is bounded, else the least work."""
    least = min(halo, round_up(LEAST_HALO, stride))
    best: Tiling | None = None
    for context in range(halo, least - 1, -stride):
        tiling = plan_tiling(shape, halo=context, stride=stride, max_voxels=max_voxels)
        if tiling is None:
            continue
        if tiling.voxels <= MOST_WORK * math.prod(shape):
            return tiling
        if best is None or tiling.voxels < best.voxels:
            best = tiling
    return best


class _Clock:
    """Progress between windows: time passes toward the window's share, and never past it."""

    def __init__(self, progress: Progress, *, operations: float) -> None:
        self._progress = progress
        self._expected_s = max(operations / EXPECTED_FLOPS, 0.05)
        self._done = 0.0
        self._share = 0.0
        self._started = 0.0

    def start(self, share: float) -> None:
        self._share = share
        self._started = time.perf_counter()

    def tick(self) -> None:
        elapsed = (time.perf_counter() - self._started) / (self._expected_s * self._share)
        self._progress("segment", self._done + self._share * (1 - math.exp(-1.5 * elapsed)))

    def finish(self) -> None:
        elapsed = time.perf_counter() - self._started
        self._expected_s = max(elapsed / self._share, 0.05)
        self._done = min(self._done + self._share, 1.0)
        self._progress("segment", self._done)


def _pad(data: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Continue the far borders up to `shape`; background stays background."""
    wanted = (data.shape[0], *shape, *data.shape[1 + len(shape) :])
    if data.shape == wanted:
        return data
    return np.pad(data, [(0, w - n) for w, n in zip(wanted, data.shape, strict=True)], mode="edge")


def _to_batch(x: NDArray[np.float32], dims: int) -> NDArray[np.float32]:
    """(C, X, Y, N) → (N, C, X, Y) for 2-D, (C, X, Y, Z) → (1, C, X, Y, Z) for 3-D."""
    return (
        np.ascontiguousarray(np.moveaxis(x, -1, 0)) if dims == 2 else np.ascontiguousarray(x)[None]
    )


def _from_batch(logits: NDArray[np.float32], dims: int) -> NDArray[np.float32]:
    return np.moveaxis(logits[:, 0], 0, -1) if dims == 2 else logits[0, 0]


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + e^-x), computed in place."""
    np.clip(logits, -80.0, 80.0, out=logits)  # e^80 still is a float32
    np.negative(logits, out=logits)
    np.exp(logits, out=logits)
    logits += 1.0
    return np.reciprocal(logits, out=logits)


def _overhead_bytes(shape: tuple[int, int, int]) -> int:
    """Memory whatever the window: the engine, and two maps of the whole grid."""
    return FEWEST_BYTES + 8 * math.prod(shape)


def _gigabytes(count: float) -> str:
    return f"{max(count, 0) / 1e9:.2f} GB"
