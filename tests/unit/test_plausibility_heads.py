"""What a head's anatomy and brightness show: contrast, missing brain, wrong axes, no head."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from brainmets.domain import Case, Geometry, Source, Volume
from brainmets.domain.errors import NotBrainMr
from brainmets.domain.structures import BRAIN_STRUCTURES, Structure
from brainmets.inference.anatomy import Anatomy, close_brain
from brainmets.workflows.head_facts import head_facts
from brainmets.workflows.plausibility import (
    Finding,
    check_plausibility,
    has_no_contrast_medium,
    refuse_or_warn,
)
from tests.heads_with_anatomy import made_anatomy

if TYPE_CHECKING:
    from collections.abc import Callable

    from brainmets.inference.anatomy import AnatomyNetwork
    from brainmets.preprocessing.anatomy_input import AnatomyInput

    Change = Callable[[np.ndarray], np.ndarray]

CONTRASTS = {
    # white, cortex, deep grey, ventricles, cerebellum, outside
    "t1": (1.0, 0.85, 0.95, 0.3, 0.88, 1.2),
    "t2": (0.35, 0.52, 0.43, 1.0, 0.5, 0.5),
    "flair": (0.42, 0.55, 0.48, 0.1, 0.54, 0.6),
    "pd": (0.55, 0.70, 0.62, 0.75, 0.68, 0.6),
}


def head(*, stripped: bool = False) -> Anatomy:
    """Return a made-up anatomy of usual proportions, with a cortex."""
    made = coarse(made_anatomy(stripped=stripped))
    structures = made.structures.copy()
    depth = ndimage.distance_transform_edt(made.brain) * 4
    for white, cortex in (
        (Structure.LEFT_WHITE_MATTER, Structure.LEFT_CORTEX),
        (Structure.RIGHT_WHITE_MATTER, Structure.RIGHT_CORTEX),
    ):
        structures[(structures == white) & (depth < 8)] = cortex
    return replace(made, structures=structures)


def coarse(made: Anatomy) -> Anatomy:
    """Return an anatomy at 4 mm: tests stay quick."""
    affine = np.array(made.geometry.affine)
    affine[:3, :3] *= 2
    x, y, z = (n // 2 for n in made.brain.shape)
    thinned = {
        name: np.ascontiguousarray(getattr(made, name)[::2, ::2, ::2])
        for name in ("structures", "brain", "certainty", "image", "foreground")
    }
    return replace(made, **thinned, geometry=Geometry(shape=(x, y, z), affine=affine))


def image_of(anatomy: Anatomy, contrast: str, *, seed: int = 0, lesions: int = 0) -> Volume:
    """Paint the anatomy, with noise, a bias field and lesions."""
    rng = np.random.default_rng(seed)
    white, cortex, deep, ventricle, cerebellum, outside = CONTRASTS[contrast]
    table = np.zeros(len(Structure))
    table[Structure.OUTSIDE_BRAIN] = outside
    table[Structure.FLUID] = ventricle
    for structure in BRAIN_STRUCTURES:
        name = structure.name
        table[structure] = (
            white if "WHITE" in name or "STEM" in name
            else cortex if "CORTEX" in name
            else deep if "DEEP" in name
            else cerebellum if "CEREBELLUM" in name
            else ventricle
        )  # fmt: skip
    data = table[anatomy.structures]
    inside = np.argwhere(anatomy.brain)
    grid = np.indices(data.shape)
    for _ in range(lesions):
        centre, radius = inside[rng.integers(len(inside))], rng.uniform(1, 5)
        away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
        data[(away < radius) & anatomy.brain] = rng.uniform(0.1, 1.6)
    data = data + 0.03 * rng.standard_normal(data.shape) * (anatomy.structures > 0)
    bias = np.exp(0.25 * np.cos(grid[0] / 15 + seed) + 0.2 * np.sin(grid[2] / 20))
    return Volume(data=(900 * data * bias).astype(np.float32), geometry=anatomy.geometry)


def case(*, kind: str = "volume", **images: Volume) -> Case:
    geometry = next(iter(images.values())).geometry
    source = Source(format="nifti", sha256="0" * 64)
    return Case(images=images, geometry=geometry, source=source, case_id="x", kind=kind)


def kinds(found: tuple[Finding, ...]) -> list[str]:
    return [one.kind for one in found]


@pytest.mark.parametrize("lesions", [0, 8])
@pytest.mark.parametrize("seed", [1, 2])
def test_t1_passes_with_lesions_noise_and_bias(seed: int, lesions: int) -> None:
    anatomy = head()
    image = image_of(anatomy, "t1", seed=seed, lesions=lesions)
    assert check_plausibility(case(t1c=image), anatomy) == ()
    turned = Volume(data=image.data * 0.01 - 3, geometry=image.geometry)
    assert check_plausibility(case(t1c=turned), anatomy) == ()


@pytest.mark.parametrize("contrast", ["t2", "flair", "pd"])
@pytest.mark.parametrize("lesions", [0, 8])
def test_another_contrast_is_said(contrast: str, lesions: int) -> None:
    anatomy = head()
    image = image_of(anatomy, contrast, lesions=lesions)
    (found,) = check_plausibility(case(t1c=image), anatomy)
    assert found.kind == "contrast"
    assert not found.certain
    assert "does not look like T1" in found.text


def test_t1_taken_for_another_sequence_is_said() -> None:
    anatomy = head()
    image = image_of(anatomy, "t1")
    assert kinds(check_plausibility(case(t2f=image), anatomy, sequence="t2f")) == ["contrast"]
    flair = image_of(anatomy, "flair")
    assert check_plausibility(case(t2f=flair), anatomy, sequence="t2f") == ()


def test_no_bright_vessel_in_a_stripped_head_is_a_hint() -> None:
    anatomy = head(stripped=True)
    image = image_of(anatomy, "t1")
    assert kinds(check_plausibility(case(t1c=image), anatomy)) == ["native"]
    assert check_plausibility(case(t1n=image), anatomy, sequence="t1n") == ()
    vessels = image.data.copy()
    rim = np.argwhere(anatomy.brain)[::40]
    vessels[tuple(rim.T)] *= 2
    bright = Volume(data=vessels, geometry=image.geometry)
    assert check_plausibility(case(t1c=bright), anatomy) == ()


@pytest.mark.parametrize(
    ("axis", "low", "high"), [(2, 0.5, 1), (2, 0, 0.5), (1, 0, 0.45), (0, 0, 0.5)]
)
def test_half_a_brain_is_said(axis: int, low: float, high: float) -> None:
    whole = head()
    planes = np.flatnonzero(whole.brain.any(axis=tuple(a for a in range(3) if a != axis)))
    kept = np.zeros(whole.brain.shape, dtype=np.bool_)
    first, size = planes[0], len(planes)
    along = [slice(None)] * 3
    along[axis] = slice(first + round(low * size), first + round(high * size))
    kept[tuple(along)] = True
    structures = np.where(kept, whole.structures, np.uint8(0))
    brain = close_brain(np.isin(structures, BRAIN_STRUCTURES), whole.geometry.spacing_mm)
    half = replace(whole, structures=structures, brain=brain)
    (found, *_) = check_plausibility(case(t1c=image_of(half, "t1")), half)
    assert found.kind in {"cut off", "axes"}
    assert "mm" in found.text or "mL" in found.text


def test_noise_is_refused_and_bottles_and_small_brains_are_said() -> None:
    anatomy = head()
    image = image_of(anatomy, "t1")
    empty = coarse(made_anatomy(empty=True))
    flat = np.where(anatomy.structures > 0, 500, 0) + np.random.default_rng(1).normal(
        0, 3, image.data.shape
    )
    noise = np.random.default_rng(1).normal(0, 100, image.data.shape)
    for data, where, kind, certain in (
        (image.data, empty, "no brain", False),
        (flat, anatomy, "no structure", False),
        (noise, anatomy, "noise", True),
    ):
        volume = Volume(data=data.astype(np.float32), geometry=image.geometry)
        found = check_plausibility(case(t1c=volume), where)
        assert [(one.kind, one.certain) for one in found] == [(kind, certain)]
        assert refuse_or_warn(found, force=True) == (found[0].text,)
        if certain:
            with pytest.raises(NotBrainMr, match=r"E_NOT_BRAIN_MR.*expected an MR scan.*--force"):
                refuse_or_warn(found, force=False)
        else:
            assert refuse_or_warn(found, force=False) == (found[0].text,)


def test_doubts_are_warnings_with_and_without_force() -> None:
    doubt = Finding(kind="contrast", text="Looks like T2.")
    assert refuse_or_warn([doubt], force=False) == refuse_or_warn([doubt], force=True)


def test_too_large_and_of_another_shape_is_said() -> None:
    anatomy = head()
    image = image_of(anatomy, "t1")

    def scaled(*factors: float) -> tuple[Case, Anatomy]:
        affine = np.array(anatomy.geometry.affine) @ np.diag((*factors, 1.0))
        grid = Geometry(shape=image.data.shape, affine=affine)
        return case(t1c=Volume(data=image.data, geometry=grid)), replace(anatomy, geometry=grid)

    (found,) = check_plausibility(*scaled(1.35, 1.35, 1.35))
    assert (found.kind, found.certain) == ("size", True)
    (found,) = check_plausibility(*scaled(1.4, 0.9, 0.9))
    assert found.kind == "axes"


class _SureOfOne:
    """Stands for a network that is surest of the copy that looks like the head it knows."""

    def __init__(self, known: np.ndarray, anatomy: Anatomy) -> None:
        self.known, self.anatomy, self.calls = known, anatomy, 0

    def label(self, prepared: AnatomyInput) -> Anatomy:
        self.calls += 1
        alike = prepared.image.shape == self.known.shape and np.array_equal(
            prepared.image, self.known
        )
        brain = self.anatomy.brain if alike else np.ones(prepared.image.shape, dtype=np.bool_)
        certainty = np.full(brain.shape, 0.7 if alike else 0.55, dtype=np.float32)
        return replace(
            self.anatomy,
            brain=brain,
            certainty=certainty,
            geometry=prepared.geometry,
            structures=np.zeros(brain.shape, dtype=np.uint8),
        )


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda a: a[:, :, ::-1], "upside down"),
        (lambda a: a[:, ::-1], "front and back"),
        (lambda a: a[:, ::-1, ::-1], "turned over"),
        (lambda a: a.transpose(0, 2, 1), "length and its height"),
        (lambda a: a.transpose(1, 0, 2), "width and its length"),
    ],
)
def test_wrong_axes_are_said(turn: Change, words: str) -> None:
    upright = head()
    known = image_of(upright, "t1").data
    network: AnatomyNetwork = _SureOfOne(known, upright)  # type: ignore[assignment]
    wrong = replace(
        upright,
        image=np.ascontiguousarray(turn(known)),
        structures=np.ascontiguousarray(turn(upright.structures)),
        brain=np.ascontiguousarray(turn(upright.brain)),
        foreground=np.ascontiguousarray(turn(upright.foreground)),
        certainty=np.full(turn(known).shape, 0.55, dtype=np.float32),
        geometry=Geometry(shape=turn(known).shape, affine=np.diag((4.0, 4.0, 4.0, 1.0))),
    )
    volume = Volume(data=wrong.image, geometry=wrong.geometry)
    (found,) = check_plausibility(case(t1c=volume), wrong, network=network)
    assert found.kind == "axes"
    assert words in found.text
    assert not found.certain


def test_facts_do_not_depend_on_unit_offset_or_grid() -> None:
    anatomy = head()
    image = image_of(anatomy, "t1")
    facts = head_facts(anatomy, image)
    other = head_facts(anatomy, Volume(data=image.data * 7 + 40, geometry=image.geometry))
    assert facts.cortex is not None
    assert other.cortex == pytest.approx(facts.cortex, abs=0.01)
    fine = np.repeat(np.repeat(image.data, 2, axis=1), 2, axis=2)
    affine = np.array(image.geometry.affine)
    affine[:3, 3] += affine[:3, 1] * -0.25 + affine[:3, 2] * -0.25
    affine[:3, 1:3] /= 2
    grid = Geometry(shape=fine.shape, affine=affine)
    assert head_facts(anatomy, Volume(data=fine, geometry=grid)).cortex == pytest.approx(
        facts.cortex, abs=0.02
    )


def with_sinus(anatomy: Anatomy) -> Anatomy:
    """Return the head with a sagittal sinus over the brain."""
    structures = anatomy.structures.copy()
    over = (structures == Structure.FLUID) & (anatomy.from_brain_mm <= 8)
    middle = np.zeros(structures.shape, dtype=np.bool_)
    middle[structures.shape[0] // 2 - 2 : structures.shape[0] // 2 + 2, :, 20:] = True
    structures[over & middle] = Structure.VENOUS_SINUS
    assert np.count_nonzero(structures == Structure.VENOUS_SINUS) > 20
    return replace(anatomy, structures=structures)


@pytest.mark.parametrize(("sinuses", "native"), [(0.5, True), (0.9, True), (1.3, False)])
def test_dark_sinuses_tell_a_scan_without_contrast_medium(sinuses: float, native: bool) -> None:
    anatomy = with_sinus(head())
    image = image_of(anatomy, "t1")
    white = np.isin(anatomy.structures, (Structure.LEFT_WHITE_MATTER, Structure.RIGHT_WHITE_MATTER))
    there = anatomy.structures == Structure.VENOUS_SINUS
    data = np.array(image.data)
    data[there] = sinuses * float(np.median(image.data[white]))
    found = check_plausibility(
        case(t1c=Volume(data=data, geometry=image.geometry)), anatomy, network=None
    )
    assert has_no_contrast_medium(found) == native
    assert not any(finding.certain for finding in found)
