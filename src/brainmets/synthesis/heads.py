"""Synthetic heads as a PyTorch data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from brainmets.domain.errors import OptionError
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.head import synthesize_head
from brainmets.synthesis.phantom import sample_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brainmets.domain.volume import Mask

__all__ = ["SyntheticHead", "SyntheticHeads"]


class SyntheticHead(TypedDict):
    """One head: image (1, i, j, k) float32, mask (1, i, j, k) uint8, affine (4, 4) to RAS+ mm."""

    image: torch.Tensor
    mask: torch.Tensor
    affine: torch.Tensor
    seed: int


class SyntheticHeads(Dataset[SyntheticHead]):
    """A `torch.utils.data.Dataset` of T1c heads with metastases, each made when it is asked for.

    Head `n` is the one of seed `seed + n`: the same in every epoch, worker and computer. A head
    takes a few seconds; give `DataLoader` several workers, or keep what you have made. The mask is
    1 where there is enhancing or necrotic tumour. Heads differ in shape unless `label_maps` have
    one: crop them in `transform` before batching.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int = 0,
        label_maps: Sequence[Mask] = (),
        config: SynthesisConfig | None = None,
        transform: Callable[[SyntheticHead], SyntheticHead] | None = None,
    ) -> None:
        """Say how many heads there are and what may vary.

        Args:
            count: heads in the data set.
            seed: of the first.
            label_maps: FreeSurfer label numbers at 1 mm, taken in turn; none for built-in heads.
            config: what may vary, and how far.
            transform: what is done to each head before it is returned.

        Raises:
            OptionError: fewer than one head.
        """
        if count < 1:
            raise OptionError(
                f"a data set of {count} heads",
                expected="at least one",
                remedy="give count=100, for instance",
            )
        self.count = count
        self.seed = seed
        self.label_maps = tuple(label_maps)
        self.config = config or SynthesisConfig()
        self.transform = transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SyntheticHead:
        """Make one head.

        Raises:
            IndexError: there is no such head.
        """
        number = index + self.count if index < 0 else index
        if not 0 <= number < self.count:
            message = f"head {index} of {self.count}"
            raise IndexError(message)
        seed = self.seed + number
        if self.label_maps:
            labels = self.label_maps[number % len(self.label_maps)]
            case = synthesize_head(labels, self.config, seed)
        else:
            case = sample_head(seed, self.config)
        made = SyntheticHead(
            image=torch.from_numpy(np.ascontiguousarray(case.image.data))[None],
            mask=torch.from_numpy((case.lesions.data > 0).astype(np.uint8))[None],
            affine=torch.from_numpy(np.array(case.image.geometry.affine)),
            seed=seed,
        )
        return made if self.transform is None else self.transform(made)

    def __repr__(self) -> str:
        return f"SyntheticHeads({self.count} heads from seed {self.seed})"
