"""What `brainmets.segment` returns: mask, probability and lesions on the scan's own grid."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from brainmets.domain.extras import needing
from brainmets.python.exchange import to_nibabel, to_sitk
from brainmets.python.tables import Rows

if TYPE_CHECKING:
    import os

    import SimpleITK
    from matplotlib.figure import Figure
    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray
    from PIL.Image import Image

    from brainmets.domain import Geometry, Lesion, Provenance, Report

    MapName = Literal["mask", "probability", "image"]

__all__ = ["Segmentation", "titled"]


class Segmentation:
    """The lesions of one scan, on the scan's own grid.

    Slice images (PNG, JPEG, TIFF) are at [column, row, slice], so that a picture of 512 × 384
    pixels has a mask of shape (512, 384, 1), and without a pixel spacing every "mm" is a pixel.
    """

    def __init__(self, report: Report) -> None:
        """Wrap a report.

        Args:
            report: everything that the command line writes.
        """
        self.report = report

    @property
    def mask(self) -> NDArray[Any]:
        """Lesion numbers (i, j, k): 0 is background, 1 the largest lesion; unsigned integers."""
        return self.report.prediction.mask.data

    @property
    def probability(self) -> NDArray[Any]:
        """Probability of lesion (i, j, k), 0…1, float32."""
        return self.report.prediction.probability.data

    @property
    def uncertainty(self) -> NDArray[Any] | None:
        """Standard deviation of a fused model's members (i, j, k), 0…0.5; else None."""
        found = self.report.prediction.uncertainty
        return None if found is None else found.data

    @property
    def image(self) -> NDArray[Any]:
        """The scan itself (i, j, k), float32; the T1 with contrast where there are several."""
        images = self.report.case.images
        return images["t1c" if "t1c" in images else min(images)].data

    @property
    def lesions(self) -> Rows[Lesion]:
        """The lesions, largest first: volume in mm³, diameters in mm, centre, place, probability.

        `.to_dataframe()` gives a pandas DataFrame.
        """
        return Rows(self.report.prediction.lesions)

    @property
    def geometry(self) -> Geometry:
        """The scan's voxel grid."""
        return self.report.case.geometry

    @property
    def affine(self) -> NDArray[Any]:
        """4 × 4: (i, j, k, 1) to RAS+ millimetres."""
        return self.geometry.affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel sizes along i, j, k in mm; in pixels where nothing said otherwise."""
        return self.geometry.spacing_mm

    @property
    def volume_mm3(self) -> float:
        """Volume of all lesions together; of slice images without a spacing in pixels."""
        return float(sum(lesion.volume_mm3 for lesion in self.lesions))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on how far to trust this result."""
        return self.report.warnings

    @property
    def provenance(self) -> Provenance:
        """Model, engine, versions, hashes and settings that gave this result."""
        return self.report.prediction.provenance

    @property
    def notice(self) -> str:
        """The research notice: what the result may be used for."""
        return self.report.notice

    def save(
        self, folder: str | os.PathLike[str], *, probability: bool = False, overwrite: bool = False
    ) -> dict[str, Path]:
        """Write mask, lesions.csv, report.json and overlay.png as `brainmets segment` does.

        Args:
            folder: created if it does not exist.
            probability: also write the probability map (i, j, k), 0…1.
            overwrite: replace what the folder has.

        Returns:
            The written files by kind: "mask", "lesions", "report", "overlay" and others.

        Raises:
            OutputExists: the folder has something else; `overwrite` replaces it.
            DiskFull, OutputDiffers: the files could not be written correctly.
        """
        from brainmets.reporting import write_results

        return write_results(
            self.report, Path(folder), probability=probability, overwrite=overwrite
        )

    def to_nibabel(self, what: MapName = "mask") -> Nifti1Image:
        """Return a map as a nibabel NIfTI image on the scan's grid (i, j, k), RAS+ mm.

        Args:
            what: "mask", "probability" or "image".

        Returns:
            A `nibabel.Nifti1Image`.
        """
        return to_nibabel(self._map(what), self.geometry)

    def to_sitk(self, what: MapName = "mask") -> SimpleITK.Image:
        """Return a map as a SimpleITK image on the scan's grid, LPS mm.

        Args:
            what: "mask", "probability" or "image".

        Returns:
            A `SimpleITK.Image` of size (i, j, k).

        Raises:
            EngineMissing: SimpleITK is not installed (it comes with the extra `notebook`).
        """
        return to_sitk(self._map(what), self.geometry)

    def picture(self) -> Image:
        """Draw the overview of the largest lesions, as in overlay.png.

        Returns:
            A Pillow image in RGB.
        """
        from brainmets.reporting.overlay import draw_overlay

        return draw_overlay(self.report)

    def plot(self) -> Figure:
        """Draw up to three lesions in three planes, axes in mm.

        Returns:
            A matplotlib figure.

        Raises:
            EngineMissing: matplotlib is not installed (it comes with the extra `notebook`).
        """
        with needing("notebook"):
            from brainmets.reporting.figures import draw_lesions
        case = self.report.case
        return draw_lesions(
            case.images["t1c" if "t1c" in case.images else min(case.images)],
            self.report.prediction.mask,
            [(lesion.id, titled(lesion, case.geometry.units)) for lesion in self.lesions],
            is_slices=case.kind == "slices",
            notice=self.notice,
        )

    def _map(self, what: MapName) -> NDArray[Any]:
        return {"mask": self.mask, "probability": self.probability, "image": self.image}[what]

    def __len__(self) -> int:
        return len(self.lesions)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.geometry.shape))
        volume = f", {self.volume_mm3 / 1000:.2f} mL" if self.geometry.units == "mm" else ""
        count = len(self)
        return (
            f"Segmentation({count} lesion{'' if count == 1 else 's'}{volume},"
            f" {shape}, {self.provenance.model})"
        )

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.picture().quantize(256).save(buffer, "PNG", optimize=True)  # a fifth of the bytes
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self._repr_png_()).decode("ascii")
        return (
            f'<img alt="Overview of the lesions" style="max-width:100%"'
            f' src="data:image/png;base64,{data}"><p>{self.notice}</p>'
        )


def titled(lesion: Lesion, units: str) -> str:
    """Name a lesion in one line, with its size."""
    volume = (
        f"{lesion.volume_mm3 / 1000:.3g} mL" if units == "mm" else f"{lesion.volume_mm3:.0f} px"
    )
    across = f"{lesion.diameter_in_plane_mm:.0f} × {lesion.perpendicular_mm:.0f} {units}"
    return f"{lesion.id}: {volume}, {across}{', ' * bool(lesion.where)}{lesion.where}"
