"""The pictures of `benchmarks.plausibility`: T1c brain MR, and what is not."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from brainmets.domain import Geometry, Volume
from brainmets.domain.errors import ConstantImage
from brainmets.io import read_case
from brainmets.preprocessing.plan import closest_ras, turn
from brainmets.synthesis.anatomy_contrasts import VARIANTS, draw_brightness
from brainmets.synthesis.anatomy_samples import structures_of
from brainmets.synthesis.labels import FREESURFER_TISSUES, HIGHEST_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Picture", "pictures"]

HELD_OUT = (17, 18, 19, 20)
"""Label maps that the anatomy network has not been trained on."""


class Picture(NamedTuple):
    """One picture; `expected` is pass (T1c), hint (T1 without contrast medium) or stop."""

    name: str
    expected: str
    kind: str
    make: Callable[[], Volume]


def pictures(data: Path, *, second: bool = False) -> Iterator[Picture]:
    """List the pictures of the first or the second half; each is made when it is asked for.

    Real T1c scans and drawn pictures of the halves differ, and so do most altered heads. The few
    other real sequences are in the half of their place in the list.
    """
    half = int(second)
    sources = list(_t1c(data))
    for name, make in sources[half::2]:
        yield Picture(name, "pass", "T1c, real", make)
    yield from _synthetic_heads(data, half)
    for name, make in list(_t1(data))[half::2]:
        yield Picture(name, "hint", "T1, real", make)
    for name, make in list(_other_sequences(data))[half::2]:
        yield Picture(name, "stop", "T2, FLAIR, EPI, real", make)
    for number in HELD_OUT[half::2]:
        path = data / f"label-maps/training_seg_{number}.nii.gz"
        yield Picture(f"CT {number}", "stop", "CT-like", partial(_ct, path))
        windowed = partial(_ct, path, window=(0.0, 80.0))
        yield Picture(f"CT window {number}", "stop", "CT-like", windowed)
    for name, make in _no_head(1 + half):
        yield Picture(f"{name} {1 + half}", "stop", "no head", make)
    whole = _whole(data)[half::2]
    yield from _altered([*whole, *sources[half + 4 :: 33]])
    for name, make in whole:
        yield Picture(f"{name} at 0.45", "stop", "animal", lambda m=make: _scaled(m(), 0.45))


def _synthetic_heads(data: Path, half: int) -> Iterator[Picture]:
    for number in HELD_OUT:
        yield _synthetic(data, number, 1 + half, "t1c", "pass")
        for contrast in ("t2", "flair", "pd"):
            yield _synthetic(data, number, 1 + half, contrast, "stop")
    for number in HELD_OUT[half::2]:
        yield _synthetic(data, number, 1 + half, "t1", "hint")


def _altered(heads: list[tuple[str, Callable[[], Volume]]]) -> Iterator[Picture]:
    for name, make in heads:
        for change, apply in AXES.items():
            altered = partial(_changed, make, apply)
            yield Picture(f"{name} {change}", "stop", "axes", altered)
    for number, (name, make) in enumerate(heads):
        for change in list(CROPS)[number % 2 :: 2]:
            altered = partial(_cropped, make, CROPS[change])
            yield Picture(f"{name} {change}", "stop", "half outside", altered)


def _t1c(data: Path) -> Iterator[tuple[str, Callable[[], Volume]]]:
    seen: set[str] = set()
    for path in sorted(data.glob("bcbm/volumes/*/t1c.nii.gz")):
        patient = path.parent.name.split("-")[0]
        if patient not in seen:
            seen.add(patient)
            yield f"bcbm {path.parent.name}", lambda p=path: _read(p)
    for path in (
        *sorted(data.glob("gliomas/*/*t1ce.nii.gz")),
        *sorted(data.glob("gliomas/*/T1c*.nii.gz")),
    ):
        yield path.parent.name, lambda p=path: _read(p)
    for path in (
        *data.glob("met-00110/*t1c.nii.gz"),
        *sorted(data.glob("heads/*/*_t1c.nii.gz")),
    ):
        yield path.name.split(".")[0], lambda p=path: _read(p)


def _t1(data: Path) -> Iterator[tuple[str, Callable[[], Volume]]]:
    for path in (
        data / "mprage-dicom.zip",
        *sorted(data.glob("heads/whole/*_t1.nii.gz")),
        *data.glob("met-00110/*t1n.nii.gz"),
        *data.glob("gliomas/*/*_t1.nii.gz"),
    ):
        yield path.name.split(".")[0], lambda p=path: _read(p)


def _other_sequences(data: Path) -> Iterator[tuple[str, Callable[[], Volume]]]:
    for path in (
        *sorted(data.glob("met-00110/*t2?.nii.gz")),
        *sorted(data.glob("gliomas/*/*_t2.nii.gz")),
        *sorted(data.glob("gliomas/*/*_flair.nii.gz")),
    ):
        yield path.name.split(".")[0], lambda p=path: _read(p)
    for folder in sorted(data.glob("lgg/*")):
        yield f"{folder.name} FLAIR", lambda f=folder: _stack(f, 1)
    yield "EPI (nibabel)", _epi


def _whole(data: Path) -> list[tuple[str, Callable[[], Volume]]]:
    names = ("fg6692_t1c", "seg3d_t1", "pyradiomics_brain1_t1c", "pyradiomics_brain2_t1c")
    found = [(n, data / f"heads/whole/{n}.nii.gz") for n in names]
    found[2:2] = [
        ("mprage", data / "mprage-dicom.zip"),
        ("ms04_t1", data / "heads/whole/ms04_t1.nii.gz"),
    ]
    return [(name, lambda p=path: _read(p)) for name, path in found]


@lru_cache(maxsize=2)
def _read(path: Path) -> Volume:
    return read_case(path).images["t1c"]


def _on(data: NDArray[np.generic], spacing: tuple[float, ...]) -> Volume:
    x, y, z = data.shape
    affine = np.diag((*spacing, 1.0))
    affine[:3, 3] = -(np.array(data.shape) - 1) / 2 * np.array(spacing)
    return Volume(data=data.astype(np.float32), geometry=Geometry(shape=(x, y, z), affine=affine))


def _stack(folder: Path, channel: int) -> Volume:
    """Slices of the LGG set as a volume: what the files say of pixel size is not known."""
    files = [p for p in folder.glob("*.tif") if "mask" not in p.name]
    files.sort(key=lambda p: int(p.stem.split("_")[-1]))
    planes: list[NDArray[np.float32]] = []
    for path in files:
        try:
            planes.append(read_case(path, channel=channel).images["t1c"].data[..., 0])
        except ConstantImage:
            planes.append(np.zeros_like(planes[-1] if planes else np.zeros((256, 256))))
    through = 130.0 / max(1, sum(plane.max() > 20 for plane in planes))
    data = np.stack(planes, axis=-1)[::-1, ::-1]
    return _on(data, (0.94, 0.94, through))


def _epi() -> Volume:
    from importlib.resources import files

    import nibabel as nib

    image = nib.load(str(files("nibabel") / "tests/data/example4d.nii.gz"))
    image = nib.as_closest_canonical(image)
    data = np.asarray(image.dataobj)[..., 0]
    spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
    return _on(data, spacing)


@lru_cache(maxsize=1)
def _labels(path: Path) -> NDArray[np.uint16]:
    import nibabel as nib

    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj).astype(np.uint16)[::2, ::2, ::2]


def _tissues(path: Path) -> NDArray[np.uint8]:
    table = np.zeros(HIGHEST_LABEL + 1, dtype=np.uint8)
    for label, tissue in FREESURFER_TISSUES.items():
        table[label] = tissue
    return table[np.minimum(_labels(path), HIGHEST_LABEL)]


def _synthetic(data: Path, number: int, seed: int, contrast: str, expected: str) -> Picture:
    path = data / f"label-maps/training_seg_{number}.nii.gz"

    def make() -> Volume:
        rng = np.random.default_rng((number, seed, 16))
        tissues = _tissues(path)
        means, spreads = draw_brightness(rng, contrast)
        kinds = ndimage.zoom(rng.integers(0, VARIANTS, (12, 12, 12)), 24, order=0)
        place = tissues.astype(np.int64) * VARIANTS
        place += kinds[tuple(slice(0, n) for n in tissues.shape)]
        image = means[place] + spreads[place] * rng.standard_normal(tissues.shape)
        image = ndimage.gaussian_filter(image, 0.5)
        for axis, strength in enumerate(rng.normal(0, 0.15, 3)):
            shape = [1, 1, 1]
            shape[axis] = tissues.shape[axis]
            image *= np.exp(strength * np.linspace(-1, 1, tissues.shape[axis])).reshape(shape)
        noise = rng.normal(0, 0.02, (2, *image.shape))
        return _on(np.hypot(image + noise[0], noise[1]), (2.0, 2.0, 2.0))

    return Picture(
        f"synthetic {contrast} {number}/{seed}", expected, f"{contrast}, synthetic", make
    )


def _ct(path: Path, window: tuple[float, float] | None = None) -> Volume:
    labels = _labels(path)
    structures = structures_of(labels)
    table = np.full(17, 34.0)
    table[[0, 1, 2, 9, 10, 11, 16]] = (-1000, 40, 8, 6, 6, 6, 10)
    table[[3, 4]] = 29
    table[15] = 55
    image = table[structures]
    head = structures > 0
    brain = ndimage.binary_dilation(structures > 1, iterations=1)
    skull = ndimage.binary_dilation(brain, iterations=4) & ~brain & head
    image[skull] = 900
    rng = np.random.default_rng(1)
    image += rng.normal(0, 6, image.shape)
    if window is not None:
        image = np.clip(image, *window)
    return _on(image, (2.0, 2.0, 2.0))


def _no_head(  # noqa: C901 - one function a body
    seed: int,
) -> Iterator[tuple[str, Callable[[], Volume]]]:
    shape = (128, 144, 128)
    grid = np.indices(shape, dtype=np.float32)
    places = [(g - (n - 1) / 2) * 1.6 for g, n in zip(grid, shape, strict=True)]

    def rng() -> np.random.Generator:
        return np.random.default_rng(seed)

    def ball(centre: tuple[float, ...], radii: tuple[float, ...]) -> NDArray[np.bool_]:
        parts = zip(places, centre, radii, strict=True)
        return sum(((p - c) / r) ** 2 for p, c, r in parts) <= 1

    def seen(image: NDArray[np.floating]) -> Volume:
        soft = ndimage.gaussian_filter(image.astype(np.float32), 0.8)
        noise = rng().normal(0, 12, image.shape)
        return _on(np.abs(soft + noise), (1.6, 1.6, 1.6))

    def bottle() -> Volume:
        inside = (np.hypot(places[0], places[1]) < 55 + 15 * seed) & (abs(places[2]) < 90)
        return seen(700.0 * inside)

    def water_ball() -> Volume:
        return seen(700.0 * ball((0, 0, 0), (85, 85, 85)))

    def noise() -> Volume:
        return _on(np.abs(rng().normal(0, 100, shape)), (1.6, 1.6, 1.6))

    def clouds() -> Volume:
        field = ndimage.gaussian_filter(rng().normal(0, 1, shape), 4.0 * seed)
        return _on((field - field.min()) * 1000, (1.6, 1.6, 1.6))

    def abdomen() -> Volume:
        draw = rng()
        image = 250.0 * ball((0, 0, 0), (98, 80, 400))
        image[ball((0, 0, 0), (88, 70, 400))] = 400
        image[ball((45, 10, 30), (50, 45, 70))] = 620
        for side in (-1, 1):
            image[ball((side * 50, -35, -20), (22, 18, 50))] = 750
        image[ball((-45, -5, 50), (30, 28, 35))] = 550
        image[(np.hypot(places[0], places[1] + 50) < 18)] = 300
        image[(np.hypot(places[0], places[1] + 50) < 8)] = 800
        for _ in range(30):
            at = draw.uniform(-60, 60, 3) * (1, 0.8, 1.4)
            image[ball(tuple(at), tuple(draw.uniform(6, 16, 3)))] = draw.uniform(100, 900)
        image[~ball((0, 0, 0), (98, 80, 400))] = 0
        return seen(image)

    def thighs() -> Volume:
        image = np.zeros(shape)
        for side in (-50, 50):
            away = np.hypot(places[0] - side, places[1])
            image[away < 46] = 900
            image[away < 38] = 400 + 30 * seed
            image[away < 14] = 60
            image[away < 8] = 800
        return seen(image)

    def knee() -> Volume:
        image = 350.0 * (np.hypot(places[0], places[1]) < 62)
        image[(np.hypot(places[0], places[1] - 5) < 40) & (abs(places[2]) > 6)] = 750
        image[ball((0, 55, 10), (18, 8, 20))] = 700
        return seen(image)

    for make in (bottle, water_ball, noise, clouds, abdomen, thighs, knee):
        yield make.__name__.replace("_", " "), make


def _ras(volume: Volume) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    axes, flips = closest_ras(volume.geometry)
    oriented = volume.geometry.permuted(axes, flips)
    return turn(volume.data, axes, flips), oriented.spacing_mm


def _flip(*axes: int) -> Callable[..., tuple[NDArray[np.float32], tuple[float, ...]]]:
    return lambda data, spacing: (np.flip(data, axes), spacing)


def _swap(one: int, two: int) -> Callable[..., tuple[NDArray[np.float32], tuple[float, ...]]]:
    def swapped(
        data: NDArray[np.float32], spacing: tuple[float, ...]
    ) -> tuple[NDArray[np.float32], tuple[float, ...]]:
        order = [0, 1, 2]
        order[one], order[two] = two, one
        return data.transpose(order), tuple(spacing[a] for a in order)

    return swapped


AXES = {
    "upside down": _flip(2),
    "front to back": _flip(1),
    "turned over": _flip(1, 2),
    "y and z exchanged": _swap(1, 2),
    "x and y exchanged": _swap(0, 1),
}
"""What is wrong with the axes."""

CROPS: dict[str, tuple[int, float, float]] = {
    "lower half": (2, 0.0, 0.5),
    "upper half": (2, 0.5, 1.0),
    "front half": (1, 0.5, 1.0),
    "one side": (0, 0.0, 0.5),
    "slab": (2, 0.55, 0.8),
    "back half": (1, 0.0, 0.5),
}
"""Part of the brain's extent, by axis, that is kept; what lies beyond on that side goes too."""


def _changed(
    make: Callable[[], Volume],
    change: Callable[..., tuple[NDArray[np.float32], tuple[float, ...]]],
) -> Volume:
    data, spacing = change(*_ras(make()))
    return _on(data, spacing)


def _cropped(make: Callable[[], Volume], cut: tuple[int, float, float]) -> Volume:
    """Cut the highest 140 mm of the head, in which the brain is."""
    axis, low, high = cut
    data, spacing = _ras(make())
    others = tuple(a for a in range(3) if a != axis)
    bright = data > np.percentile(data, 60)
    planes = np.flatnonzero(bright.mean(axis=others) > 0.05)
    first, last = int(planes[0]), int(planes[-1]) + 1
    if axis == 2:
        first = max(first, last - round(140 / spacing[2]))
    start, stop = (round(first + q * (last - first)) for q in (low, high))
    if low == 0 and axis != 2:
        start = 0
    if high == 1:
        stop = data.shape[axis]
    kept = np.take(data, range(start, stop), axis=axis)
    return _on(kept, spacing)


def _scaled(volume: Volume, factor: float) -> Volume:
    data, spacing = _ras(volume)
    return _on(data, tuple(s * factor for s in spacing))
