"""How many pictures that are not T1c brain MR are noticed, and how many that are, are doubted.

    python -m benchmarks.plausibility [DATA] [--anatomy FOLDER] [--second] [--list]

DATA (by default ../shared/data) holds what `benchmarks.plausibility_pictures` names. Every picture
runs through the anatomy network and `check_plausibility`. Thresholds were chosen on the first
half of the pictures; `--second` takes the other half.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plausibility_pictures import pictures

from brainmets.domain import Case, Source
from brainmets.inference.anatomy import AnatomyNetwork
from brainmets.inference.anatomy_bundle import AnatomyBundle
from brainmets.workflows.plausibility import check_plausibility

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
    options.add_argument("--list", action="store_true", help="print every picture")
    given = options.parse_args()
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
