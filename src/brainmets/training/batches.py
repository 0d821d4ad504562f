"""Batches that depend on the recipe and the step alone: the same after a restart."""

from __future__ import annotations

import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from brainmets.domain.errors import RecipeError
from brainmets.domain.progress import Progress, silent
from brainmets.inference.machine import count_processors
from brainmets.training.augmentation import AugmentationParameters, augment, draw_parameters
from brainmets.training.datasets import CaseReader, open_part
from brainmets.training.losses import IGNORE
from brainmets.training.making import InsertionMaker, SyntheticMaker
from brainmets.training.ranks import process_count, rank
from brainmets.training.samples import Sample, read_slices, read_volumes
from brainmets.training.sources import (
    DatasetSource,
    SliceSource,
    SyntheticSource,
    VolumeSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from brainmets.training.config import Recipe
    from brainmets.training.prepared import PreparedStore
    from brainmets.training.sources import Source

__all__ = ["Batches", "Drawn", "Pool", "crop", "cut", "open_pools", "place_crop"]

Making = list["Future[tuple[Tensor, Tensor]]"]
"""The crops of a batch, in the making."""


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
        """Hold `samples`, or `size` of what `make(number)` returns, made in a process next to."""
        self._fixed = samples
        self._make = make
        self._size = size
        self._renew_every = renew_every
        self._made: dict[int, Sample] = {}
        self._pending: dict[int, Future[Sample]] = {}
        self._worker: ProcessPoolExecutor | None = None

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
        for number in wanted:
            if number not in self._made:
                self._made[number] = self._pending.pop(number).result()
        return [self._made[number] for number in wanted]

    def close(self) -> None:
        """Stop the process next to."""
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)

    def _request(self, number: int) -> None:
        if number in self._made or number in self._pending or self._make is None:
            return
        if self._worker is None:
            import multiprocessing

            self._worker = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._pending[number] = self._worker.submit(self._make, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One crop of a batch before it is cut: everything that chance has decided."""

    sample: Sample
    start: tuple[int, ...]
    augmentation: AugmentationParameters


class Batches:
    """Makes the batch of any step: crops centred on lesions or anywhere, augmented.

    Where several processes train together each makes its own share of the batch. The next batch
    is made in threads while the present one is learnt from.
    """

    def __init__(self, recipe: Recipe, pools: Sequence[Pool]) -> None:
        """Draw from `pools`, one a source of the recipe.

        Raises:
            RecipeError: the batch cannot be shared evenly among the processes.
        """
        if recipe.optimiser.batch % process_count():
            raise RecipeError(
                f"optimiser.batch is {recipe.optimiser.batch}",
                expected=f"a multiple of the {process_count()} processes that train together",
                remedy="change the batch or the number of processes",
            )
        self._recipe = recipe
        self._pools = pools
        weights = np.array([source.weight for source in recipe.sources])
        self._shares = weights / weights.sum()
        self._drawer = ThreadPoolExecutor(1, "draw")  # alone asks the pools
        self._makers = ThreadPoolExecutor(_threads(), "batch", torch.set_num_threads, (1,))
        self._ahead: tuple[int, Future[Making]] | None = None
        self._waited_s = 0.0

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return data (B, C, S) float32 and target (B, 1, S) uint8 of a step."""
        started = time.monotonic()
        ahead = self._ahead
        present = ahead[1] if ahead and ahead[0] == step else self._begin(step)
        batch = _collected(present.result())
        self._waited_s += time.monotonic() - started
        if step + 1 < self._recipe.optimiser.steps:
            self._ahead = (step + 1, self._begin(step + 1))
        return batch

    def again(self, step: int, number: int) -> tuple[Tensor, Tensor]:
        """Return another batch, `number` from 1, of the samples that a step draws from."""
        return _collected(self._begin(step, number).result())

    def drawn(self, step: int, number: int = 0) -> list[Drawn]:
        """Return what chance decides for every crop of a step's batch."""
        seed = (self._recipe.seed, step, number) if number else (self._recipe.seed, step)
        rng = np.random.default_rng(seed)
        pools = [pool.at(step) for pool in self._pools]
        return [self._draw(pools, rng) for _ in range(self._recipe.optimiser.batch)]

    @property
    def waited_s(self) -> float:
        """Seconds that steps have waited for their batch."""
        return self._waited_s

    def close(self) -> None:
        """Stop every thread and every process next to."""
        self._drawer.shutdown(cancel_futures=True)
        self._makers.shutdown(cancel_futures=True)
        for pool in self._pools:
            pool.close()

    def _begin(self, step: int, number: int = 0) -> Future[Making]:
        def begin() -> Making:
            mine = self.drawn(step, number)[rank() :: process_count()]
            return [self._makers.submit(self._make, one) for one in mine]

        return self._drawer.submit(begin)

    def _draw(self, pools: list[list[Sample]], rng: np.random.Generator) -> Drawn:
        recipe = self._recipe
        samples = pools[int(rng.choice(len(pools), p=self._shares))]
        sample = samples[int(rng.integers(len(samples)))]
        start = place_crop(sample, recipe.optimiser.patch, recipe.optimiser.lesion_share, rng)
        parameters = draw_parameters(recipe.augmentation, recipe.plan.dims, rng)
        return Drawn(sample=sample, start=start, augmentation=parameters)

    def _make(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        recipe = self._recipe
        data, target = cut(drawn.sample, drawn.start, recipe.optimiser.patch)
        return augment(
            torch.from_numpy(data),
            torch.from_numpy(target)[None],
            drawn.augmentation,
            highest=recipe.plan.highest,
            clahe=recipe.plan.clahe is not None,
        )


def _threads() -> int:
    """Threads that make batches: a few where a graphics card learns, else one next to the loop."""
    return max(1, min(8, count_processors() // 2)) if torch.cuda.is_available() else 1


def _collected(making: Making) -> tuple[Tensor, Tensor]:
    crops = [future.result() for future in making]
    return torch.stack([data for data, _ in crops]), torch.stack([target for _, target in crops])


def open_pools(
    recipe: Recipe, data_root: Path, store: PreparedStore, progress: Progress = silent
) -> list[Pool]:
    """Read and prepare every training sample; made ones follow as they are needed.

    Those of whole data sets are kept in `store` and mapped from there; the others in memory.
    """
    return [_open(recipe, source, data_root, store, progress) for source in recipe.sources]


def _open(
    recipe: Recipe, source: Source, data_root: Path, store: PreparedStore, progress: Progress
) -> Pool:
    root, plan = data_root / source.root, recipe.plan
    if isinstance(source, SyntheticSource):
        maker = SyntheticMaker(recipe=recipe, source=source, data_root=data_root)
        return Pool(make=maker, size=source.pool, renew_every=source.renew_every)
    if isinstance(source, DatasetSource):
        part = open_part(source, plan, data_root, "train")
        readers = [
            CaseReader(dataset=part.dataset, case=case, labels=part.labels, plan=plan)
            for case in part.cases
        ]
        return Pool(store.samples(readers, progress))
    if isinstance(source, VolumeSource) and source.insertion is not None:
        maker = InsertionMaker(recipe=recipe, source=source, data_root=data_root)
        settings = source.insertion
        return Pool(make=maker, size=settings.pool, renew_every=settings.renew_every)
    if isinstance(source, SliceSource):
        reader = read_slices(root, source, plan, "train")
    else:
        reader = read_volumes(root, source, plan, "train")
    samples: list[Sample] = []
    for sample in reader:
        samples.append(sample)
        progress("prepare", 0.0)
    return Pool(samples)


def crop(
    sample: Sample, patch: tuple[int, ...], lesion_share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one patch; outside the image the data is air and the target IGNORE."""
    return cut(sample, place_crop(sample, patch, lesion_share, rng), patch)


def place_crop(
    sample: Sample, patch: tuple[int, ...], lesion_share: float, rng: np.random.Generator
) -> tuple[int, ...]:
    """Choose a patch's first voxel: near a lesion, each alike, or anywhere in the image.

    A patch of two edges in a volume is one of its slices.
    """
    shape = sample.target.shape
    edges = (*patch, *[1] * (len(shape) - len(patch)))
    if len(sample.centres) and rng.random() < lesion_share:
        chosen = sample.centres[int(rng.integers(len(sample.centres)))]
        jitter = [rng.integers(-edge // 3, edge // 3 + 1) if edge > 1 else 0 for edge in edges]
        start = [int(c - e // 2 + j) for c, e, j in zip(chosen, edges, jitter, strict=True)]
    else:
        start = [
            int(rng.integers(min(0, n - e), max(0, n - e) + 1))
            for n, e in zip(shape, edges, strict=True)
        ]
    return tuple(  # no further out than needed
        int(np.clip(s, min(0, n - e), max(0, n - e)))
        for s, n, e in zip(start, shape, edges, strict=True)
    )


def cut(
    sample: Sample, start: tuple[int, ...], patch: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the patch that begins at `start`: data (C, *patch) float32 and target (*patch)."""
    edges = (*patch, *[1] * (len(start) - len(patch)))
    data = np.empty((sample.data.shape[0], *edges), dtype=np.float32)
    target = np.full(edges, IGNORE, dtype=np.uint8)
    source, place = [], []
    for s, e, n in zip(start, edges, sample.target.shape, strict=True):
        low, high = max(s, 0), min(s + e, n)
        source.append(slice(low, high))
        place.append(slice(low - s, high - s))
    if any(part.stop - part.start < edge for part, edge in zip(place, edges, strict=True)):
        for channel, values in zip(data, sample.data, strict=True):
            channel[...] = values.min()
    data[(slice(None), *place)] = sample.data[(slice(None), *source)]
    target[tuple(place)] = sample.target[tuple(source)]
    return data.reshape(-1, *patch), target.reshape(patch)
