"""The heads of the synthetic benchmark, made once and kept on disk with their checksum."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Case, Geometry, Mask, Source, Volume, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Progress
    from brainmets.synthesis import SyntheticCase

__all__ = ["SyntheticHead", "benchmark_heads", "heads_sha256", "synthetic_heads"]

WHITE_LEVEL = 1000.0
"""Brightness that the brain's median gets: images are kept in whole numbers, as scanners do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticHead:
    """One synthetic head: its image, its lesions numbered 1…n, and the checksum of both.

    `sha256` covers the voxels as they are kept, so two people can tell whether they scored the
    same head.
    """

    name: str
    case: Case
    lesions: Mask
    sha256: str


def benchmark_heads(
    label_maps: Sequence[Path] = (), *, heads: int | None = None, progress: Progress = silent
) -> Iterator[SyntheticHead]:
    """Yield the heads of the fixed benchmark, from disk where they have been made before.

    The published figures use the label maps of `BENCHMARK_MAPS`, which no recipe trains on;
    without any, heads are made from formulas. Progress comes as stage "synthesize".
    """
    from brainmets.synthesis import BENCHMARK_HEADS, FIRST_SEED

    yield from synthetic_heads(
        label_maps, heads or BENCHMARK_HEADS, first_seed=FIRST_SEED, progress=progress
    )


def synthetic_heads(
    label_maps: Sequence[Path], heads: int, *, first_seed: int, progress: Progress = silent
) -> Iterator[SyntheticHead]:
    """Yield heads of the benchmark's kinds from `first_seed` on, the label maps taking turns."""
    for number in range(heads):
        progress("synthesize", number / heads)
        # shifted by one after each round, so that no label map is always whole or always stripped
        turn = number + number // max(len(label_maps), 1)
        label_map = label_maps[turn % len(label_maps)] if label_maps else None
        yield _head(label_map, first_seed + number)
    progress("synthesize", 1.0)


def heads_sha256(heads: Sequence[SyntheticHead]) -> str:
    """Return one checksum for all heads in order."""
    return hashlib.sha256("".join(head.sha256 for head in heads).encode()).hexdigest()


def _head(label_map: Path | None, seed: int) -> SyntheticHead:
    name = "formulas" if label_map is None else label_map.name.split(".")[0]
    folder = _folder()
    path = None if folder is None else folder / f"{_key(label_map, seed)}.npz"
    kept = None if path is None else _read(path)
    if kept is None:
        kept = _packed(_made(label_map, seed))
        if path is not None:
            with suppress(OSError):
                _write(path, kept)
    return _unpacked(f"{name}-{seed}", kept)


def _made(label_map: Path | None, seed: int) -> SyntheticCase:
    from brainmets.io import read_mask
    from brainmets.synthesis import (
        VALIDATION_SEED,
        anatomy_of,
        benchmark_config,
        sample_head,
        synthesize_head,
        validation_config,
    )

    config = (benchmark_config if seed < VALIDATION_SEED else validation_config)(seed)
    if label_map is None:
        return sample_head(seed, config)
    return synthesize_head(anatomy_of(read_mask(label_map)), config, seed)


def _packed(made: SyntheticCase) -> bytes:
    data = made.image.data
    level = float(np.median(data[data > 0.1 * data.max()]))
    image = np.clip(np.rint(data * np.float32(WHITE_LEVEL / level)), -32768, 32767)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        image=image.astype(np.int16),
        lesions=made.lesions.data.astype(np.uint8),
        affine=made.image.geometry.affine,
    )
    return buffer.getvalue()


def _unpacked(name: str, kept: bytes) -> SyntheticHead:
    with np.load(io.BytesIO(kept)) as held:
        image: NDArray[np.int16] = held["image"]
        lesions: NDArray[np.uint8] = held["lesions"]
        affine: NDArray[np.float64] = held["affine"]
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes())
    digest.update(np.ascontiguousarray(lesions).tobytes())
    x, y, z = image.shape
    geometry = Geometry(shape=(x, y, z), affine=affine)
    sha256 = digest.hexdigest()
    return SyntheticHead(
        name=name,
        case=Case(
            images={"t1c": Volume(data=image.astype(np.float32), geometry=geometry)},
            geometry=geometry,
            source=Source(format="nifti", sha256=sha256),
            case_id=name,
        ),
        lesions=Mask(data=lesions, geometry=geometry),
        sha256=sha256,
    )


def _folder() -> Path | None:
    from brainmets.synthesis.store import cache_folder

    anatomies = cache_folder()
    return None if anatomies is None else anatomies.parent / "benchmark"


def _key(label_map: Path | None, seed: int) -> str:
    """Name a head by all that decides it: label map, seed, and the code that makes it."""
    content = b"" if label_map is None else label_map.read_bytes()
    digest = hashlib.sha256(content)
    digest.update(f"{seed} {_code_sha256()}".encode())
    return digest.hexdigest()[:32]


@cache
def _code_sha256() -> str:
    import brainmets.synthesis

    digest = hashlib.sha256()
    for path in sorted(Path(brainmets.synthesis.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    """Return what is kept under a name; None where it is not there or not what was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        return path.read_bytes()
    except (OSError, zipfile.BadZipFile):
        return None


def _write(path: Path, kept: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(kept)
    Path(name).replace(path)
