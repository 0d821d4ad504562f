"""`brainmets.synthesize`: a head with metastases and everything that is true about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from brainmets.domain.errors import OptionError
from brainmets.domain.extras import needing
from brainmets.python.exchange import to_nibabel, to_sitk
from brainmets.python.tables import Rows

if TYPE_CHECKING:
    import os

    import SimpleITK
    from matplotlib.figure import Figure
    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Mask, Volume
    from brainmets.python.inputs import ScanLike
    from brainmets.synthesis import PlacedLesion, SynthesisConfig, SyntheticCase

    SyntheticMap = Literal["image", "mask", "classes"]

__all__ = ["SyntheticScan", "config_of", "synthesize"]


def synthesize(
    seed: int = 0,
    *,
    label_map: ScanLike | None = None,
    config: SynthesisConfig | None = None,
    **settings: Any,
) -> SyntheticScan:
    """Make a T1c scan with metastases whose number, place and outlines are known.

    The same seed gives the same voxels. Without `label_map` the head is made from formulas: no
    file is needed, and no person's anatomy is in it. Use it to learn, test and train. Figures
    measured on it do not apply to patients.

    Args:
        seed: random seed of everything that varies.
        label_map: a path or an image (i, j, k) of FreeSurfer label numbers at 1 mm; without it the
            built-in head is used.
        config: what may vary, and how far.
        settings: single fields of the configuration to change, such as `diameters_mm=(12, 5)` or
            `stripped_share=1.0` (docs/reference/recipes.md, SynthesisConfig).

    Returns:
        The scan with its reference mask, on a 1 mm grid.

    Raises:
        OptionError: a setting does not exist or has a value that it cannot have.
        DatasetLayout: the label map is not one of a head at 1 mm.
        EngineMissing: scipy is not installed (it comes with the extra `notebook`).
    """
    with needing("notebook"):
        from brainmets.synthesis import sample_head, synthesize_head
        from brainmets.synthesis.phantom import SAMPLE
    if label_map is None:
        chosen = config_of(config or SAMPLE, settings)
        return SyntheticScan(sample_head(seed, chosen), chosen)
    from brainmets.python.inputs import mask_of
    from brainmets.synthesis import SynthesisConfig

    chosen = config_of(config or SynthesisConfig(), settings)
    return SyntheticScan(synthesize_head(mask_of(label_map), chosen, seed), chosen)


def config_of(config: SynthesisConfig, settings: dict[str, Any]) -> SynthesisConfig:
    """Return a configuration with some of its fields changed, checked.

    Raises:
        OptionError: a setting does not exist or has a value that it cannot have.
    """
    from pydantic import ValidationError

    if not settings:
        return config
    try:
        return type(config).model_validate({**config.model_dump(), **settings})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the settings"
        raise OptionError(
            f"the synthesis setting {name}: {first['msg']}",
            expected="a field of SynthesisConfig with a value in its range",
            remedy="see SynthesisConfig in docs/reference/recipes.md",
        ) from None


class SyntheticScan:
    """A synthetic scan, the mask of its lesions and how it was made, all on one 1 mm grid."""

    def __init__(self, case: SyntheticCase, config: SynthesisConfig) -> None:
        """Wrap a synthetic case.

        Args:
            case: image, masks and parameters.
            config: the configuration that the parameters were drawn from.
        """
        self.case = case
        self.config = config

    @property
    def image(self) -> NDArray[Any]:
        """Grey values (i, j, k), float32, as of a T1 scan with contrast."""
        return self.case.image.data

    @property
    def mask(self) -> NDArray[Any]:
        """Lesion numbers (i, j, k), 1…n as in `lesions`: enhancing and necrotic tumour."""
        return self.case.lesions.data

    @property
    def classes(self) -> NDArray[Any]:
        """1 necrosis, 2 oedema, 3 enhancing tumour (i, j, k)."""
        return self.case.classes.data

    @property
    def lesions(self) -> Rows[PlacedLesion]:
        """The placed lesions: centre in voxels, diameter in mm, volume in mm³ of the mask."""
        return Rows(self.case.placed)

    @property
    def geometry(self) -> Geometry:
        """The voxel grid."""
        return self.case.image.geometry

    @property
    def affine(self) -> NDArray[Any]:
        """4 × 4: (i, j, k, 1) to RAS+ millimetres."""
        return self.geometry.affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel sizes along i, j, k in mm."""
        return self.geometry.spacing_mm

    @property
    def parameters(self) -> dict[str, Any]:
        """Every number that the scan was made from, as JSON can hold them."""
        return self.case.parameters.model_dump(mode="json")

    @property
    def volume(self) -> Volume:
        """The image with its grid, as `brainmets.segment` takes it."""
        return self.case.image

    @property
    def truth(self) -> Mask:
        """The lesions with their grid, as `brainmets.evaluate` takes them."""
        return self.case.lesions

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write t1c.nii.gz, lesions.nii.gz, classes.nii.gz and parameters.json into a new folder.

        Args:
            folder: must not exist.

        Returns:
            The folder.

        Raises:
            OutputExists: the folder is there already.
        """
        from brainmets.domain.errors import OutputExists
        from brainmets.workflows.synthesize import write_case

        path = Path(folder)
        if path.exists():
            raise OutputExists(
                f"a folder {path.name}",
                expected="a name that is free",
                remedy="choose another folder",
            )
        return write_case(self.case, path)

    def to_nibabel(self, what: SyntheticMap = "image") -> Nifti1Image:
        """Return a map as a nibabel NIfTI image (i, j, k), RAS+ mm.

        Args:
            what: "image", "mask" or "classes".

        Returns:
            A `nibabel.Nifti1Image`.
        """
        return to_nibabel(self._map(what), self.geometry)

    def to_sitk(self, what: SyntheticMap = "image") -> SimpleITK.Image:
        """Return a map as a SimpleITK image, LPS mm.

        Args:
            what: "image", "mask" or "classes".

        Returns:
            A `SimpleITK.Image` of size (i, j, k).

        Raises:
            EngineMissing: SimpleITK is not installed (it comes with the extra `notebook`).
        """
        return to_sitk(self._map(what), self.geometry)

    def plot(self) -> Figure:
        """Draw the three largest lesions in three planes, axes in mm.

        Returns:
            A matplotlib figure.

        Raises:
            EngineMissing: matplotlib is not installed (it comes with the extra `notebook`).
        """
        with needing("notebook"):
            from brainmets.reporting.figures import draw_lesions
        largest = sorted(self.lesions, key=lambda one: -one.volume_mm3)
        captions = [(one.id, f"{one.id}: {one.volume_mm3 / 1000:.3g} mL") for one in largest]
        notice = "Synthetic scan, made by brainmets. Not a person."
        return draw_lesions(self.case.image, self.case.lesions, captions, notice=notice)

    def _map(self, what: SyntheticMap) -> NDArray[Any]:
        return {"image": self.image, "mask": self.mask, "classes": self.classes}[what]

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.geometry.shape))
        count = len(self.lesions)
        seed = self.parameters.get("seed")
        return f"SyntheticScan({count} lesion{'' if count == 1 else 's'}, {shape}, seed {seed})"
