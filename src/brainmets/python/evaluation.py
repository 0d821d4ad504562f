"""`brainmets.evaluate`: the scores of predicted masks, for files, folders and arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from brainmets.domain import silent
from brainmets.domain.extras import needing
from brainmets.evaluation import score_case, summarise
from brainmets.evaluation.records import ScoreRun, run_document, score_rows
from brainmets.python.in_memory import NOWHERE, Placement
from brainmets.python.inputs import mask_of, volume_of
from brainmets.python.result import Segmentation
from brainmets.python.synthetic import SyntheticScan
from brainmets.python.tables import Rows, html_table
from brainmets.workflows.evaluate import EvaluateOptions, write_scores
from brainmets.workflows.evaluate import evaluate as evaluate_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Several

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from brainmets.domain import Mask, Volume
    from brainmets.evaluation import EmptyPolicy, LesionScore, RegionScheme, ScorerName
    from brainmets.python.inputs import ScanLike

__all__ = ["Evaluation", "evaluate"]


def evaluate(
    reference: ScanLike | SyntheticScan,
    prediction: ScanLike | Segmentation,
    *,
    scorer: ScorerName = "brainmets",
    regions: RegionScheme | None = None,
    empty: EmptyPolicy = "official",
    probability: ScanLike | None = None,
    spacing: Several[float] | None = None,
    affine: ArrayLike | None = None,
    case_id: str = "case",
    jobs: int | None = None,
) -> Evaluation:
    """Score predicted masks against expert masks, lesion by lesion.

    Args:
        reference: the expert's mask, or a folder of masks: a path, an array or tensor (i, j, k) of
            labels, a nibabel or SimpleITK image, or a scan from `brainmets.synthesize`.
        prediction: the model's mask, in the same forms, or what `brainmets.segment` returned.
            Folders are paired by case.
        scorer: definition of the scores: brainmets, brats-2023, brats-2024 or brats-2026.
        regions: binary (any label) or brats (ET, TC, WT, RC by label); by default the scorer's own.
        empty: score of a region that is empty in both masks.
        probability: the model's probability map (i, j, k), 0…1, for the FROC curve (scorer
            brainmets only).
        spacing: voxel sizes (i, j, k) in mm, where both masks are arrays.
        affine: 4 × 4, voxels to RAS+ mm, where both masks are arrays; a single array is taken to
            be on the grid of the other mask.
        case_id: name of the case in tables, for masks in memory.
        jobs: processes for folders; by default one per core.

    Returns:
        Scores by case and region, every lesion, and means with 95 % intervals over patients.
        Distances are in mm, volumes in mm³, Dice and sensitivity in 0…1.

    Raises:
        InputError: a mask cannot be used; GridMismatch if the two have different voxel grids.
        OptionError: an argument cannot be used.
    """
    if isinstance(reference, (str, os.PathLike)) and isinstance(prediction, (str, os.PathLike)):
        options = EvaluateOptions(
            scorer=scorer,
            regions=regions,
            empty=empty,
            probability=None if probability is None else Path(cast("str", probability)),
            jobs=jobs,
        )
        return Evaluation(evaluate_files(Path(reference), Path(prediction), options, silent))
    options = EvaluateOptions(scorer=scorer, regions=regions, empty=empty)
    place = Placement(spacing=spacing, affine=affine, orientation=None)
    expert, found, likely = _masks(reference, prediction, probability, place)
    score = score_case(
        expert,
        found,
        case_id=case_id,
        scorer=options.scorer,
        regions=options.regions,
        empty=options.empty,
        probability=likely if scorer == "brainmets" else None,
    )
    settings = {"regions": options.scheme, "empty": empty}
    return Evaluation(ScoreRun(scorer=scorer, settings=settings, cases=(score,), failed={}))


def _masks(
    reference: ScanLike | SyntheticScan,
    prediction: ScanLike | Segmentation,
    probability: ScanLike | None,
    place: Placement,
) -> tuple[Mask, Mask, Volume | None]:
    """Return both masks and the probability on their grids; a bare array takes the other's."""
    given: Mask | None = None
    likely: Volume | None = None
    if isinstance(prediction, Segmentation):
        given = prediction.report.prediction.mask
        likely = prediction.report.prediction.probability
    expert_side = reference.truth if isinstance(reference, SyntheticScan) else reference
    if given is None:
        prediction = cast("ScanLike", prediction)
        if isinstance(reference, SyntheticScan) or not _is_array(expert_side):
            expert = mask_of(expert_side, NOWHERE)
            found = mask_of(prediction, _unless_own(prediction, place), grid=expert.geometry)
        elif _is_array(prediction):
            expert = mask_of(expert_side, place)
            found = mask_of(prediction, place)
        else:
            found = mask_of(prediction, NOWHERE)
            expert = mask_of(expert_side, place, grid=found.geometry)
    else:
        found = given
        expert = mask_of(expert_side, _unless_own(expert_side, place), grid=given.geometry)
    if probability is not None:
        own = Placement(affine=found.geometry.affine) if _is_array(probability) else NOWHERE
        likely = volume_of(probability, own)
    return expert, found, likely


def _is_array(x: object) -> bool:
    from brainmets.python.in_memory import is_bare

    return is_bare(x)


def _unless_own(x: object, place: Placement) -> Placement:
    return place if _is_array(x) else NOWHERE


class Evaluation:
    """Scores of one or many cases, from `brainmets.evaluate`."""

    def __init__(self, run: ScoreRun) -> None:
        """Wrap what a scorer returned.

        Args:
            run: every case, region and lesion.
        """
        self.run = run

    @property
    def scores(self) -> Mapping[str, float]:
        """Figures of the first region by name: of the one case, or means over patients.

        `dice`, `nsd_1mm`, `sensitivity`, `precision`, `f1` in 0…1, `hd95_mm` in mm, `fp` as a
        number of false positives, and more, depending on the scorer.
        """
        if len(self.run.cases) == 1:
            return dict(self.run.cases[0].regions[0].values)
        summary = summarise(self.run.cases)
        return {name: one.value for name, one in summary[0].means.items()} if summary else {}

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the scored regions."""
        return tuple(one.region for one in self.run.cases[0].regions) if self.run.cases else ()

    @property
    def lesions(self) -> Rows[LesionScore]:
        """Every reference lesion, found or missed, and every false positive, of all cases."""
        return Rows(
            lesion
            for case in self.run.cases
            for region in case.regions[:1]
            for lesion in region.lesions
        )

    @property
    def failed(self) -> Mapping[str, str]:
        """Cases that could not be scored, with the reason."""
        return self.run.failed

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the scores as plain values.

        Returns:
            One dictionary for each case and region, then the means over patients.
        """
        return score_rows(self.run)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the scores as a table.

        Returns:
            A pandas DataFrame: a row for each case and region, then the means over patients.

        Raises:
            EngineMissing: pandas is not installed (it comes with the extra `notebook`).
        """
        with needing("notebook"):
            import pandas as pd
        return pd.DataFrame(self.to_dicts())

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, with 95 % intervals.

        Returns:
            A document in the layout of scores.json.
        """
        return run_document(self.run)

    def save(self, folder: str | os.PathLike[str]) -> dict[str, Path]:
        """Write scores.json, scores.csv and lesions.csv, replacing earlier ones.

        Args:
            folder: created if it does not exist.

        Returns:
            The written files by kind.

        Raises:
            OutputExists: the path is a file.
        """
        return write_scores(self.run, Path(folder))

    def plot(self) -> Figure:
        """Draw the Dice of each lesion against its diameter in mm; missed lesions are at 0.

        Returns:
            A matplotlib figure.

        Raises:
            EngineMissing: matplotlib is not installed (it comes with the extra `notebook`).
        """
        with needing("notebook"):
            from brainmets.reporting.figures import draw_lesion_scores
        return draw_lesion_scores(self.lesions)

    def __repr__(self) -> str:
        cases = len(self.run.cases)
        shown = ", ".join(
            f"{name} {self.scores[name]:.3f}"
            for name in ("dice", "lesionwise_dice", "lesionwise_dsc_mean", "sensitivity", "fp")
            if name in self.scores
        )
        return f"Evaluation({cases} case{'' if cases == 1 else 's'}, {self.run.scorer}: {shown})"

    def _repr_html_(self) -> str:
        return html_table(self.to_dicts())
