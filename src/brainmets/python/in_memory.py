"""Scans in memory and their grids: arrays, nibabel and SimpleITK images, PyTorch tensors.

They are checked by the same rules as a file: three dimensions, real finite voxels, an orientation,
voxel sizes that scans have. None of the libraries is imported unless an object comes from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from brainmets.domain import Geometry, Mask, Volume
from brainmets.domain.errors import (
    Dimensions,
    NonFinite,
    NoOrientation,
    OptionError,
    SingularAffine,
    Spacing,
    UnknownFormat,
    VoxelType,
)
from brainmets.domain.geometry import AXIS_CODES
from brainmets.io import DEFAULT_LIMITS
from brainmets.io.nifti_header import check_size, check_spacing, padded_shape, parse_header
from brainmets.python.exchange import affine_of_spacing, to_ras

if TYPE_CHECKING:
    from collections.abc import Sequence as Several

    from numpy.typing import ArrayLike, NDArray

__all__ = ["NOWHERE", "Held", "Placement", "has_its_own", "held_in_memory", "is_bare"]

KINDS = (
    "a path, a numpy array or torch tensor with spacing= or affine=, a nibabel image or a"
    " SimpleITK image"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placement:
    """Where an array without a header is in the patient: voxel sizes, or the whole matrix.

    `spacing` is in mm along the array's axes, which run as `orientation` says ("RAS": to the
    patient's right, front and top). `affine` maps (i, j, k, 1) to RAS+ millimetres.
    """

    spacing: Several[float] | None = None
    affine: ArrayLike | None = None
    orientation: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether the caller said anything at all."""
        return not (self.spacing is None and self.affine is None and self.orientation is None)


NOWHERE = Placement()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """Voxels (i, j, k) in memory, their grid, and what the user should know of it."""

    data: NDArray[np.generic]
    geometry: Geometry
    name: str
    notes: tuple[str, ...] = ()


def held_in_memory(x: object, place: Placement, *, min_slices: int) -> Held:
    """Return what is in memory with its grid, checked."""
    if isinstance(x, (Volume, Mask)):
        held = _own(x, place)
    elif isinstance(x, np.ndarray):
        held = _from_array(cast("NDArray[Any]", x), place, "the array", min_slices)
    elif _comes_from(x, "nibabel") and hasattr(x, "dataobj"):
        held = _from_nibabel(x, place, min_slices)
    elif _comes_from(x, "SimpleITK") and hasattr(x, "GetDirection"):
        held = _from_sitk(x, place, min_slices)
    elif _comes_from(x, "torch") and hasattr(x, "detach"):
        held = _from_tensor(x, place, min_slices)
    else:
        raise UnknownFormat(
            f"an object of type {type(x).__name__}",
            expected=KINDS,
            remedy="convert it to one of these",
        )
    _check_finite(held)
    return held


def _comes_from(x: object, package: str) -> bool:
    """Whether a class of the object is defined in a package, without importing it."""
    return any(kind.__module__.partition(".")[0] == package for kind in type(x).__mro__)


def _own(x: Volume | Mask, place: Placement) -> Held:
    if place.is_given:
        raise has_its_own("the scan")
    return Held(data=x.data, geometry=x.geometry, name="the scan")


def _from_array(
    data: NDArray[Any], place: Placement, name: str, min_slices: int, *, leading: bool = False
) -> Held:
    """Place an array; single leading (channel) or trailing (time) axes are dropped."""
    while data.ndim > 3 and data.shape[0 if leading else -1] == 1:
        data = data[0] if leading else data[..., 0]
    _check_type(data, name)
    shape = _checked_shape(data.shape, name, min_slices)
    check_size(shape, data.dtype, name, DEFAULT_LIMITS)
    affine, notes = _placed(place, shape, name)
    check_spacing(affine, name, DEFAULT_LIMITS)
    geometry = Geometry(shape=shape, affine=affine)
    return Held(data=data.reshape(shape), geometry=geometry, name=name, notes=notes)


def _placed(
    place: Placement, shape: tuple[int, int, int], name: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if place.affine is not None:
        if place.spacing is not None or place.orientation is not None:
            raise OptionError(
                "affine together with spacing or orientation",
                expected="one of them",
                remedy="leave spacing and orientation out: the affine holds both",
            )
        return _matrix(place.affine), ()
    if place.spacing is None:
        raise Spacing(
            f"{name} without spacing or affine",
            expected="spacing=(x, y, z) in mm, or the 4 x 4 affine= to RAS+ mm",
            remedy="give one of them, or give the image itself (nibabel, SimpleITK or a path)",
        )
    affine = affine_of_spacing(_sizes(place.spacing), _codes(place.orientation), shape)
    if place.orientation is not None:
        return affine, ()
    note = (
        "The array was given without orientation=: its axes were read as running to the patient's"
        " right, front and top (RAS)."
    )
    return affine, (note,)


def _matrix(affine: ArrayLike) -> NDArray[np.float64]:
    try:
        matrix = np.asarray(affine, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (4, 4):
        raise SingularAffine(
            f"an affine of shape {matrix.shape}",
            expected="4 x 4 numbers, (i, j, k, 1) to RAS+ millimetres",
            remedy="give the image's own affine, such as image.affine of nibabel",
        )
    return matrix


def _sizes(spacing: Several[float]) -> tuple[float, float, float]:
    try:
        sizes = np.asarray(spacing, dtype=np.float64)
    except (TypeError, ValueError):
        sizes = np.empty(0)
    if sizes.shape != (3,) or not np.isfinite(sizes).all() or sizes.min() <= 0:
        raise Spacing(
            f"a spacing of {sizes.size} values"
            f"{'' if sizes.shape != (3,) else ', some not positive'}",
            expected="three positive numbers, the voxel sizes in mm along the array's axes",
            remedy="give spacing=(1.0, 1.0, 1.0), or affine=",
        )
    return float(sizes[0]), float(sizes[1]), float(sizes[2])


def _codes(orientation: str | None) -> str:
    codes = "RAS" if orientation is None else str(orientation).upper()
    found = [axis for code in codes for axis, letters in enumerate(AXIS_CODES) if code in letters]
    if len(codes) != 3 or sorted(found) != [0, 1, 2]:
        raise OptionError(
            f"the orientation {codes[:12]}",
            expected="three letters, one each of R/L, A/P and S/I, such as RAS or LPS",
            remedy="say where each axis of the array points",
        )
    return codes


def _from_nibabel(x: Any, place: Placement, min_slices: int) -> Held:
    """Take voxels and grid; a NIfTI header is judged as if it came from a file."""
    if place.is_given:
        raise has_its_own("a nibabel image")
    name = "the nibabel image"
    shape = tuple(int(n) for n in x.shape)
    if x.affine is None or type(x).__name__ == "AnalyzeImage":
        raise NoOrientation(
            f"{name} has no affine",
            expected="an image with an orientation",
            remedy="give its voxels as an array with affine=",
        )
    if type(x).__name__ in {"Nifti1Image", "Nifti2Image"} and shape == x.header.get_data_shape():
        header = parse_header(
            bytes(x.header.binaryblock), name, DEFAULT_LIMITS, min_slices=min_slices
        )
        geometry, notes = header.geometry, header.notes
    else:
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        padded = _checked_shape(shape, name, min_slices)
        check_spacing(_matrix(x.affine), name, DEFAULT_LIMITS)
        geometry, notes = Geometry(shape=padded, affine=_matrix(x.affine)), ()
    data = np.asanyarray(x.dataobj)
    _check_type(data, name)
    check_size(geometry.shape, data.dtype, name, DEFAULT_LIMITS)
    return Held(data=data.reshape(geometry.shape), geometry=geometry, name=name, notes=notes)


def _from_sitk(x: Any, place: Placement, min_slices: int) -> Held:
    """Take voxels as (x, y, z) and the grid turned from LPS to RAS."""
    if place.is_given:
        raise has_its_own("a SimpleITK image")
    import SimpleITK as sitk  # noqa: N813 - as its users write it

    name = "the SimpleITK image"
    if x.GetNumberOfComponentsPerPixel() != 1:
        raise VoxelType(
            f"{name} has {x.GetNumberOfComponentsPerPixel()} components a voxel",
            expected="real, grey-valued voxels",
            remedy="choose one with SimpleITK.VectorIndexSelectionCast",
        )
    if x.GetDimension() != 3:
        _checked_shape(tuple(x.GetSize()), name, min_slices)
        raise Dimensions(
            f"{name} has {x.GetDimension()} dimensions",
            expected="one 3-D image",
            remedy="choose one volume with SimpleITK.Extract",
        )
    data = sitk.GetArrayFromImage(x).transpose(2, 1, 0)
    affine = to_ras(x.GetDirection(), x.GetSpacing(), x.GetOrigin())
    return _from_array(data, Placement(affine=affine), name, min_slices)


def _from_tensor(x: Any, place: Placement, min_slices: int) -> Held:
    """Take a tensor (i, j, k), single channel and batch axes before it dropped."""
    if x.device.type != "cpu":
        raise OptionError(
            f"a tensor on the device {x.device.type}",
            expected="a tensor in the computer's own memory",
            remedy="call .cpu() on it; engine= says what the network runs on",
        )
    if x.is_sparse or x.dtype.is_complex:
        raise VoxelType(
            "a sparse or complex tensor",
            expected="a dense tensor of real numbers",
            remedy="convert it with .to_dense() or .abs()",
        )
    own = getattr(x, "affine", None)  # MONAI's MetaTensor
    if own is not None and not place.is_given:
        place = Placement(affine=np.asarray(own, dtype=np.float64))
    tensor = x.detach()
    data = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return _from_array(np.asarray(data), place, "the tensor", min_slices, leading=True)


def _checked_shape(sizes: tuple[int, ...], name: str, min_slices: int) -> tuple[int, int, int]:
    if len(sizes) < 2 or min(sizes) < 1:
        raise Dimensions(
            f"{name} has a shape of {sizes}",
            expected="three positive dimensions",
            remedy="give a single 3-D image",
        )
    return padded_shape(sizes, name, min_slices)


def _check_type(data: NDArray[Any], name: str) -> None:
    if data.dtype.kind not in "buif":
        raise VoxelType(
            f"{name} holds {data.dtype.name} voxels",
            expected="real, grey-valued voxels",
            remedy="convert it, for instance with .astype(numpy.float32)",
        )


def _check_finite(held: Held) -> None:
    if held.data.dtype.kind != "f" or np.isfinite(held.data).all():
        return
    wrong = int(np.count_nonzero(~np.isfinite(held.data)))
    raise NonFinite(
        f"{held.name} has {wrong:,} voxels that are NaN or infinite",
        expected="finite voxels",
        remedy="replace them, for instance with numpy.nan_to_num",
    )


def is_bare(x: object) -> bool:
    """Whether it is an array or tensor that says nothing of where it is."""
    return isinstance(x, np.ndarray) or _comes_from(x, "torch")


def has_its_own(what: str) -> OptionError:
    """Return the error for a placement of something that has one already."""
    return OptionError(
        f"spacing, affine or orientation for {what}",
        expected=f"none of them: {what} has its own",
        remedy="leave them out, or give the voxels as an array",
    )
