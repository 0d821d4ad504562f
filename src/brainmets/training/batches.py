"""Batches that depend on the recipe and the step alone: the same after a restart."""

from __future__ import annotations

import time
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from brainmets.domain.progress import Progress, silent
from brainmets.training.augmentation import augment, draw_parameters
from brainmets.training.losses import IGNORE
from brainmets.training.making import InsertionMaker, SyntheticMaker
from brainmets.training.samples import Sample, read_slices, read_volumes
from brainmets.training.sources import SliceSource, SyntheticSource, VolumeSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from brainmets.training.config import Recipe

__all__ = ["Batches", "Pool", "crop"]


class Pool:
    """Samples to draw from: a fixed list, or synthetic heads renewed one at a time.

    At step t a synthetic pool of n slots renewed every r steps holds the heads with numbers
    t // r … t // r + n - 1, so what a step sees follows from its number.
    """

    def __init__(
        self,
        samples: list[Sample] | None = None,
        *,
        make: Callable[[int], Sample] | None = None,
        size: int = 0,
        renew_every: int = 1,
    ) -> None:
        """Hold `samples`, or `size` of what `make(number)` returns, made in a process beside."""
        self._fixed = samples
        self._make = make
        self._size = size
        self._renew_every = renew_every
        self._made: dict[int, Sample] = {}
        self._pending: dict[int, Future[Sample]] = {}
        self._worker: ProcessPoolExecutor | None = None
        self.waited_s = 0.0

    def at(self, step: int) -> list[Sample]:
        """Return the samples of a step, waiting for those still in the making."""
        if self._fixed is not None:
            return self._fixed
        first = step // self._renew_every
        wanted = range(first, first + self._size)
        for number in (*wanted, wanted.stop):  # one ahead
            self._request(number)
        for number in [n for n in self._made if n < first]:
            del self._made[number]
        started = time.monotonic()
        for number in wanted:
            if number not in self._made:
                self._made[number] = self._pending.pop(number).result()
        self.waited_s += time.monotonic() - started
        return [self._made[number] for number in wanted]

    def close(self) -> None:
        """Stop the process beside."""
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)

    def _request(self, number: int) -> None:
        if number in self._made or number in self._pending or self._make is None:
            return
        if self._worker is None:
            import multiprocessing

            self._worker = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._pending[number] = self._worker.submit(self._make, number)


class Batches:
    """Makes the batch of any step: crops centred on lesions or anywhere, augmented."""

    def __init__(self, recipe: Recipe, data_root: Path, progress: Progress = silent) -> None:
        """Read and prepare every training sample; synthetic ones follow as they are needed."""
        self._recipe = recipe
        self.pools = [_open(recipe, source, data_root, progress) for source in recipe.sources]
        weights = np.array([source.weight for source in recipe.sources])
        self._shares = weights / weights.sum()

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return data (B, C, S) float32 and target (B, 1, S) uint8 of a step."""
        rng = np.random.default_rng((self._recipe.seed, step))
        pools = [pool.at(step) for pool in self.pools]
        crops = [self._crop(pools, rng) for _ in range(self._recipe.optimiser.batch)]
        return torch.stack([data for data, _ in crops]), torch.stack([t for _, t in crops])

    @property
    def waited_s(self) -> float:
        """Seconds that steps have waited for synthesis."""
        return sum(pool.waited_s for pool in self.pools)

    def close(self) -> None:
        """Stop every process beside."""
        for pool in self.pools:
            pool.close()

    def _crop(self, pools: list[list[Sample]], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        recipe = self._recipe
        samples = pools[int(rng.choice(len(pools), p=self._shares))]
        sample = samples[int(rng.integers(len(samples)))]
        data, target = crop(sample, recipe.optimiser.patch, recipe.optimiser.lesion_share, rng)
        parameters = draw_parameters(recipe.augmentation, recipe.plan.dims, rng)
        return augment(
            torch.from_numpy(data),
            torch.from_numpy(target)[None],
            parameters,
            highest=recipe.plan.highest,
            clahe=recipe.plan.clahe is not None,
        )


def _open(recipe: Recipe, source: object, data_root: Path, progress: Progress) -> Pool:
    samples: list[Sample] = []
    if isinstance(source, SyntheticSource):
        maker = SyntheticMaker(recipe=recipe, source=source, data_root=data_root)
        return Pool(make=maker, size=source.pool, renew_every=source.renew_every)
    if isinstance(source, VolumeSource) and source.insertion is not None:
        maker = InsertionMaker(recipe=recipe, source=source, data_root=data_root)
        settings = source.insertion
        return Pool(make=maker, size=settings.pool, renew_every=settings.renew_every)
    if isinstance(source, SliceSource):
        reader = read_slices(data_root / source.root, source, recipe.plan, "train")
    elif isinstance(source, VolumeSource):
        reader = read_volumes(data_root / source.root, source, recipe.plan, "train")
    else:
        raise TypeError(type(source).__name__)
    for sample in reader:
        samples.append(sample)
        progress("prepare", 0.0)
    return Pool(samples)


def crop(
    sample: Sample, patch: tuple[int, ...], lesion_share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one patch; outside the image the data is air and the target IGNORE."""
    shape = sample.target.shape
    if len(sample.centres) and rng.random() < lesion_share:
        chosen = sample.centres[int(rng.integers(len(sample.centres)))]
        jitter = [rng.integers(-edge // 3, edge // 3 + 1) for edge in patch]
        start = [int(c - e // 2 + j) for c, e, j in zip(chosen, patch, jitter, strict=True)]
    else:
        start = [
            int(rng.integers(min(0, n - e), max(0, n - e) + 1))
            for n, e in zip(shape, patch, strict=True)
        ]
    start = [  # no further out than needed
        int(np.clip(s, min(0, n - e), max(0, n - e)))
        for s, n, e in zip(start, shape, patch, strict=True)
    ]
    data = np.empty((sample.data.shape[0], *patch), dtype=np.float32)
    for channel in range(data.shape[0]):
        data[channel] = sample.data[channel].min()
    target = np.full(patch, IGNORE, dtype=np.uint8)
    source, place = [], []
    for s, e, n in zip(start, patch, shape, strict=True):
        low, high = max(s, 0), min(s + e, n)
        source.append(slice(low, high))
        place.append(slice(low - s, high - s))
    data[(slice(None), *place)] = sample.data[(slice(None), *source)]
    target[tuple(place)] = sample.target[tuple(source)]
    return data, target
