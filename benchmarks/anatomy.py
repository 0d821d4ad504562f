"""The anatomy network: Dice on held-out label maps, real lesions kept, marks in real heads.

python -m benchmarks.anatomy synthetic      # brain and structures, maps 17-20
python -m benchmarks.anatomy lesions        # expert masks: what would be left out
python -m benchmarks.anatomy heads          # the default network on heads without tumour
python -m benchmarks.anatomy pictures OUT   # brain mask and structures over real heads
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from brainmets.bundles import SHIPPED_ANATOMY
from brainmets.domain import Geometry, Volume
from brainmets.domain.structures import Structure
from brainmets.evaluation.statistics import mean_interval
from brainmets.inference.anatomy import WITH_FLUID, AnatomyNetwork, largest_piece
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.inference.places import Places
from brainmets.io import read_case, read_mask
from brainmets.synthesis.anatomy_samples import draw_sample
from brainmets.training.anatomy import read_label_map
from brainmets.training.train import data_root
from brainmets.workflows.anatomy import GROWN_MM, main_sequence
from brainmets.workflows.benchmark_heads import benchmark_heads
from brainmets.workflows.segment import Segmenter, SegmentOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brainmets.inference.anatomy import Anatomy

HELD_OUT = (17, 18, 19, 20)
SYNTHETIC_MM = 2.0
LEAST_VOXELS = 60
BALL_MM = 4.0
S = Structure
GROUPS = {
    "left cerebrum": (S.LEFT_WHITE_MATTER, S.LEFT_CORTEX),
    "right cerebrum": (S.RIGHT_WHITE_MATTER, S.RIGHT_CORTEX),
    "left deep grey matter": (S.LEFT_DEEP_GREY,),
    "right deep grey matter": (S.RIGHT_DEEP_GREY,),
    "left lateral ventricle": (S.LEFT_VENTRICLE,),
    "right lateral ventricle": (S.RIGHT_VENTRICLE,),
    "left cerebellum": (S.LEFT_CEREBELLUM,),
    "right cerebellum": (S.RIGHT_CEREBELLUM,),
    "brain stem": (S.BRAIN_STEM,),
}
WITH_TUMOUR = ("pyradiomics", "fg6692")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("synthetic", "lesions", "heads", "pictures"))
    parser.add_argument("out", nargs="?", type=Path, default=Path("anatomy.png"))
    parser.add_argument("--bundle", type=Path, default=SHIPPED_ANATOMY)
    parser.add_argument("--each", type=int, default=5, help="synthetic heads a label map")
    options = parser.parse_args()
    network = AnatomyNetwork(AnatomyBundle.load(options.bundle), threads=1)
    if options.what == "synthetic":
        score_synthetic(network, options.each)
    elif options.what == "lesions":
        count_lesions_kept(network)
    elif options.what == "heads":
        count_marks(options.bundle)
    else:
        draw(network, options.out)


def score_synthetic(network: AnatomyNetwork, each: int) -> None:
    scores: dict[str, list[float]] = {"brain": [], **{name: [] for name in GROUPS}}
    seconds, places = [], []
    for number in HELD_OUT:
        labels = read_label_map(data_root() / "label-maps" / f"training_seg_{number}.nii.gz")
        for case in range(each):
            rng = np.random.default_rng((900, number, case))
            sample = draw_sample(labels, rng, spacing_mm=SYNTHETIC_MM)
            grid = Geometry(shape=sample.image.shape, affine=np.diag((*[SYNTHETIC_MM] * 3, 1.0)))
            started = time.process_time()
            found = network.locate(Volume(data=sample.image, geometry=grid))
            seconds.append(time.process_time() - started)
            truth = ndimage.binary_fill_holes(largest_piece(np.isin(sample.structures, WITH_FLUID)))
            scores["brain"].append(dice(found.brain_on(grid).data > 0, truth))
            structures = found.structures_on(grid).data
            places.extend(named_places(found, sample.structures, grid, rng))
            for name, members in GROUPS.items():
                there = np.isin(sample.structures, members)
                if np.count_nonzero(there) > LEAST_VOXELS:
                    scores[name].append(dice(np.isin(structures, members), there))
    for name, values in scores.items():
        mean = mean_interval(values)
        print(
            f"{name:24} Dice {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
            f" lowest {min(values):.3f}"
        )
    means = [float(np.mean(scores[name])) for name in GROUPS]
    print(f"structures, mean of {len(GROUPS)}: {np.mean(means):.3f}")
    wrong = Counter((name, told) for name, told, right in places if not right)
    named = len(places) - wrong.total()
    print(f"places: {named} of {len(places)} balls of {BALL_MM:.0f} mm named rightly")
    for (name, told), count in wrong.most_common():
        print(f"  {count} in {name}: {told!r}")
    print(f"{len(seconds)} heads, {np.median(seconds):.2f} CPU seconds each (median)")


def named_places(
    found: Anatomy, structures: np.ndarray, grid: Geometry, rng: np.random.Generator
) -> Iterator[tuple[str, str, bool]]:
    """Put a ball into each structure; yield where, what it is called, and if that is right.

    Of the cerebrum's lobes the side alone is compared.
    """
    places = Places(found)
    for name, members in GROUPS.items():
        inside = ndimage.binary_erosion(np.isin(structures, members))
        at = np.argwhere(inside)
        if not len(at):
            continue
        centre = grid.to_ras_mm(at[rng.integers(len(at))])
        offsets = rng.uniform(-BALL_MM, BALL_MM, (200, 3))
        ball = centre + offsets[np.linalg.norm(offsets, axis=1) <= BALL_MM]
        told = places.name(ball)
        side, _, structure = name.partition(" ")
        if structure == "cerebrum":
            yield name, told, told.startswith(side) and "lobe" in told
        else:
            yield name, told, told in {name, name.replace("cerebellum", "cerebellar hemisphere")}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b)))


def count_lesions_kept(network: AnatomyNetwork) -> None:
    """A lesion is lost whose centre lies beyond what `confine_to_brain` leaves."""
    lost = total = heads = unclear = 0
    for name, image, truth in cases_with_lesions():
        found = network.locate(image)
        heads += 1
        unclear += not found.has_brain
        applies = found.has_brain and not found.is_stripped
        labels, count = ndimage.label(truth, structure=np.ones((3, 3, 3)))
        centres = np.array(ndimage.center_of_mass(truth, labels, range(1, count + 1)))
        away = found.distance_mm(image.geometry.to_ras_mm(centres))
        total += count
        outside = int(np.count_nonzero(away > GROWN_MM))
        if outside:
            state = "would be lost" if applies else "outside, kept: no skull"
            print(f"{name}: {outside} of {count} {state} (up to {away.max():.1f} mm)")
        lost += outside * applies
    print(f"{heads} heads, {total} lesions: {lost} lost; no brain found in {unclear}")


def cases_with_lesions() -> Iterator[tuple[str, Volume, np.ndarray]]:
    for folder in sorted((data_root() / "bcbm" / "volumes").iterdir()):
        yield _case(folder.name, folder / "t1c.nii.gz", folder / "seg.nii.gz")
    for seg in sorted((data_root() / "gliomas").rglob("*seg*.nii.gz")):
        images = [p for p in seg.parent.glob("*.nii.gz") if "t1c" in p.name]
        if images:
            yield _case(seg.parent.name, images[0], seg)

    maps = [data_root() / "label-maps" / f"training_seg_{n}.nii.gz" for n in HELD_OUT]
    for head in benchmark_heads(maps):
        yield head.name, head.case.images["t1c"], head.lesions.data > 0


def _case(name: str, image: Path, seg: Path) -> tuple[str, Volume, np.ndarray]:
    case = read_case(image)
    return name, case.images[main_sequence(case)], read_mask(seg).foreground


def real_heads() -> list[Path]:
    heads = data_root() / "heads"
    found = [p for p in sorted(heads.rglob("*.nii.gz")) if "_t1" in p.name]
    return [*found, data_root() / "mprage-dicom.zip"]


def count_marks(bundle: Path) -> None:
    for anatomy in (None, bundle):
        segmenter, marks, heads, ml = Segmenter(SegmentOptions(anatomy=anatomy)), 0, 0, 0.0
        for path in real_heads():
            with tempfile.TemporaryDirectory() as out:
                report = segmenter.run(path, Path(out) / "result").report
            found = report.prediction.lesions
            tumour = path.name.startswith(WITH_TUMOUR)
            volumes = ", ".join(f"{x.volume_mm3 / 1000:.2f} mL {x.place}" for x in found)
            note = " (with tumour, not counted)" if tumour else ""
            print(f"  {path.name}{note}: {len(found)} marks {volumes}; {report.warnings}")
            if not tumour:
                heads, marks = heads + 1, marks + len(found)
                ml += sum(x.volume_mm3 for x in found) / 1000
        name = "without" if anatomy is None else "with"
        print(f"{name} the anatomy network: {marks} marks, {ml:.1f} mL, in {heads} heads")


def draw(network: AnatomyNetwork, out: Path) -> None:
    import matplotlib.pyplot as plt

    paths = real_heads()
    figure, rows = plt.subplots(len(paths), 6, figsize=(18, 3 * len(paths)), squeeze=False)
    for axes, path in zip(rows, paths, strict=True):
        case = read_case(path)
        found = network.locate(case.images[main_sequence(case)])
        for ax, view in zip(axes, _views(found), strict=True):
            image, structures, brain = (part.T for part in view)
            ax.imshow(image, cmap="gray", origin="lower")
            shown = np.ma.masked_less(structures, 2)
            ax.imshow(shown, cmap="tab20", vmin=0, vmax=17, alpha=0.45, origin="lower")
            ax.contour(brain, [0.5], colors="w", linewidths=1)
            ax.axis("off")
        stripped = ", skull removed" if found.is_stripped else ""
        axes[0].set_title(f"{path.name}: {found.brain_ml:.0f} mL{stripped}", fontsize=7)
        print(axes[0].get_title())
    figure.tight_layout()
    figure.savefig(out, dpi=60)


def _views(found: Anatomy) -> Iterator[tuple[np.ndarray, ...]]:
    volumes = (found.image, found.structures, found.brain)
    levels = np.flatnonzero(found.brain.any(axis=(0, 1)))
    levels = levels if levels.size else np.arange(found.brain.shape[2])
    for share in (0.15, 0.35, 0.6, 0.85):
        level = int(levels[int(share * (len(levels) - 1))])
        yield tuple(volume[:, :, level] for volume in volumes)
    x, y, _ = found.image.shape
    yield tuple(volume[x // 2 + 3] for volume in volumes)
    yield tuple(volume[:, y // 2] for volume in volumes)


if __name__ == "__main__":
    main()
