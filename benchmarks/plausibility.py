"""How many pictures that are not T1c brain MR are noticed, and how many that are, are doubted.

    python -m benchmarks.plausibility [DATA] [--anatomy FOLDER] [--second] [--list]
    python -m benchmarks.plausibility [DATA] --slices

DATA (by default ../shared/data) holds what `benchmarks.plausibility_pictures` names. Every picture
runs through the anatomy network and `check_plausibility`. Thresholds were chosen on the first
half of the pictures; `--second` takes the other half. `--slices` checks slice images of heads
and the photographs and drawings that scikit-image brings along.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plausibility_pictures import pictures

from brainmets.domain import Case, Source
from brainmets.domain.errors import ConstantImage
from brainmets.inference.anatomy import AnatomyNetwork
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.io import read_case
from brainmets.workflows.plausibility import check_plausibility
from brainmets.workflows.slice_plausibility import doubts_of_slices

if TYPE_CHECKING:
    from brainmets.domain import Volume
    from brainmets.workflows.plausibility import Finding


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    options.add_argument(
        "--anatomy", type=Path, default=Path("src/brainmets/bundles/anatomy"), help="bundle"
    )
    options.add_argument("--second", action="store_true", help="the second half of the pictures")
    options.add_argument("--slices", action="store_true", help="slice images alone")
    options.add_argument("--list", action="store_true", help="print every picture")
    given = options.parse_args()
    if given.slices:
        check_slices(given.data)
        return
    network = AnatomyNetwork(AnatomyBundle.load(given.anatomy), threads=1)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    missed: list[str] = []
    seconds: list[float] = []
    for picture in pictures(given.data, second=given.second):
        case = case_of(picture.make())
        started = time.process_time()
        anatomy = network.locate(case.images["t1c"])
        between = time.process_time()
        found = check_plausibility(case, anatomy, network=network)
        seconds.append(time.process_time() - between)
        answer = answer_of(found)
        counts[picture.expected, picture.kind][answer] += 1
        wrong = (picture.expected == "stop") == (answer in {"passed", "hint"})
        said = "; ".join(f"{one.kind}: {one.text}" for one in found)
        if wrong:
            missed.append(f"{picture.name} ({picture.kind}): {answer}. {said}")
        if given.list or wrong:
            took = f"{between - started:.1f} + {seconds[-1]:.1f} s"
            print(f"{picture.name:36}{picture.kind:22}{answer:9}{took}  {said[:90]}")
    table(counts)
    print(f"check alone: median {sorted(seconds)[len(seconds) // 2]:.2f} CPU s")
    print(f"{len(missed)} misjudged:", *missed, sep="\n  ")


def check_slices(data: Path) -> None:
    """Print how many slices of heads are doubted, and which photographs are not."""
    import skimage

    for name, paths in {
        "heads, Cheng": sorted(data.glob("t1c-slices/images/*"))[4::16],
        "heads, BCBM": sorted(data.glob("bcbm/slices/images/*"))[1::3],
        "heads, LGG": [p for p in sorted(data.glob("lgg/*/*.tif")) if "mask" not in p.name][1::4],
        "photographs": [
            p
            for p in sorted((Path(skimage.__file__).parent / "data").iterdir())
            if p.suffix in {".png", ".jpg"}
        ],
    }.items():
        doubted: list[str] = []
        passed: list[str] = []
        for path in paths:
            try:
                volume = read_case(path).images["t1c"]
            except ConstantImage:
                continue
            (doubted if doubts_of_slices(volume) else passed).append(path.name)
        few = passed if name == "photographs" else doubted
        print(f"{name:14} {len(doubted)} of {len(doubted) + len(passed)} doubted;", *few)


def case_of(volume: Volume) -> Case:
    """Return a case as a reader would."""
    return Case(
        images={"t1c": volume},
        geometry=volume.geometry,
        source=Source(format="nifti", sha256="0" * 64),
        case_id="picture",
    )


def answer_of(found: tuple[Finding, ...]) -> str:
    """Return refused, warned, hint (T1 without contrast medium) or passed."""
    if any(one.certain for one in found):
        return "refused"
    kinds = {one.kind for one in found}
    return "passed" if not kinds else "hint" if kinds == {"native"} else "warned"


def table(counts: dict[tuple[str, str], Counter[str]]) -> None:
    """Print the answers by expectation and kind."""
    answers = ("refused", "warned", "hint", "passed")
    print(f"{'should':8}{'kind':24}" + "".join(f"{a:>9}" for a in answers))
    for wanted in ("stop", "pass", "hint"):
        total: Counter[str] = Counter()
        for (expected, kind), found in counts.items():
            if expected == wanted:
                total += found
                print(f"{wanted:8}{kind:24}" + "".join(f"{found[a]:9}" for a in answers))
        stopped = total["refused"] + total["warned"]
        print(f"{wanted:8}{'all':24}{stopped} of {total.total()} refused or warned")


if __name__ == "__main__":
    main()
