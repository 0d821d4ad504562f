"""Scans with known lesions: registered, matched and assessed; in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Mask, RigidMotion, Volume, silent
from brainmets.domain.errors import DifferentPatient, Mirrored, NotAligned
from brainmets.registration.resampled import resampled
from brainmets.reporting.followup_timeline import AlignedScan, Timeline
from brainmets.tracking import DEFAULT_RULES, TimePoint, follow
from brainmets.tracking.imaged import field_of, unseen_voxels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Progress
    from brainmets.registration import Alignment
    from brainmets.tracking import Followup, Rules
    from brainmets.workflows.followed_scan import FollowedScan

__all__ = ["follow_scans"]

TILTED_DEG = 30.0
"""Slices turned by more than this against the first scan's cut a lesion otherwise."""

THICKER = 1.5
"""How much thicker slices may be before sizes are said not to compare."""


def follow_scans(
    scans: Sequence[FollowedScan],
    days: Sequence[int | None],
    *,
    rules: Rules = DEFAULT_RULES,
    same_patient: bool = False,
    progress: Progress = silent,
) -> Timeline:
    """Follow all lesions over scans of one patient, the earliest first, in the first one's space.

    Args:
        scans: two or more.
        days: since the first, rising; all None where unknown.
        rules: what is called growing, and the rest.
        same_patient: believe the caller, not headers that name different patients.
        progress: told of registration.

    Raises:
        OptionError: there are fewer than two scans, or the days do not rise.
        DifferentPatient: the headers name different patients.
        NotAligned: a scan does not fit the first.
        Mirrored: a scan fits as its mirror image only.
    """
    _require_same_patient(scans, same_patient=same_patient)
    alignments = [None, *(_align(scans, n, progress) for n in range(1, len(scans)))]
    times = [
        TimePoint(
            mask=scan.mask,
            lesions=scan.lesions,
            motion=alignment.motion if alignment else RigidMotion.identity(),
            days=day,
            field=field_of(scan.image.data),
            unseen=unseen_voxels(scan.image.data, scan.image.geometry.voxel_volume_mm3),
            probability=scan.probability,
            suspicious=rules.suspicious * scan.threshold,
        )
        for scan, alignment, day in zip(scans, alignments, days, strict=True)
    ]
    followup = follow(times, rules)
    grid = scans[0].image.geometry
    aligned = tuple(
        _registered_scan(scan, time, alignment, _numbers(followup, place), grid)
        for place, (scan, time, alignment) in enumerate(zip(scans, times, alignments, strict=True))
    )
    return Timeline(
        scans=aligned, followup=followup, warnings=tuple(_warnings(scans, times, aligned))
    )


def _require_same_patient(scans: Sequence[FollowedScan], *, same_patient: bool) -> None:
    marks = {scan.patient for scan in scans} - {None}
    if len(marks) > 1 and not same_patient:
        raise DifferentPatient(
            f"scans whose headers name {len(marks)} patients",
            expected="scans of one patient",
            remedy="give that patient's; if it is one under several names, say --same-patient",
        )


def _align(scans: Sequence[FollowedScan], place: int, progress: Progress) -> Alignment:
    from brainmets.registration import align

    total = len(scans) - 1

    def part(stage: str, done: float, /) -> None:
        progress(stage, (place - 1 + done) / total)

    try:
        return align(scans[0].image, scans[place].image, part)
    except (NotAligned, Mirrored) as error:
        raise type(error)(
            f"scan {place + 1} next to the first: {error.found}",
            expected=error.expected,
            remedy=error.remedy,
        ) from None


def _numbers(followup: Followup, place: int) -> dict[int, int]:
    """Return the lasting number of each lesion of a scan, by its id there."""
    return {
        part: lesion.id for lesion in followup.lesions for part in lesion.sightings[place].parts
    }


def _registered_scan(
    scan: FollowedScan,
    time: TimePoint,
    alignment: Alignment | None,
    numbers: dict[int, int],
    grid: Geometry,
) -> AlignedScan:
    """Bring image and lesions onto the first scan's grid."""
    table = np.zeros(int(scan.mask.data.max(initial=0)) + 1, dtype=np.uint16)
    for lesion, number in numbers.items():
        table[lesion] = number
    image, labels = scan.image.data, table[scan.mask.data]
    if alignment is not None:
        own = scan.image.geometry
        image = np.asarray(resampled(image, own, time.motion, grid, order=1), dtype=np.float32)
        labels = np.asarray(resampled(labels, own, time.motion, grid, order=0), dtype=np.uint16)
    return AlignedScan(
        image=Volume(data=image, geometry=grid),
        labels=Mask(data=labels, geometry=grid),
        provenance=scan.provenance,
        motion=time.motion,
        similarity=alignment.similarity if alignment else None,
        shared=alignment.shared if alignment else None,
        error_mm=alignment.error_mm if alignment else None,
        spacing_mm=scan.image.geometry.spacing_mm,
        reviewed=scan.reviewed,
        warnings=scan.warnings,
    )


def _warnings(
    scans: Sequence[FollowedScan], times: Sequence[TimePoint], aligned: Sequence[AlignedScan]
) -> list[str]:
    """Sentences on how far to trust the comparison."""
    found: list[str] = []
    first = scans[0].image.geometry
    for number, (scan, time, laid) in enumerate(zip(scans, times, aligned, strict=True), start=1):
        if number == 1:
            continue
        if laid.doubtful:
            found.append(
                f"Scan {number} fits the first only loosely (similarity {laid.similarity:.2f}):"
                " look at both side by side before believing what has changed."
            )
        own = scan.image.geometry
        turned = time.motion.matrix[:3, :3].T @ _normal(own)
        if abs(float(turned @ _normal(first))) < np.cos(np.radians(TILTED_DEG)):
            found.append(
                f"Scan {number} was cut in another plane than the first: longest diameters in"
                " plane are not of the same section."
            )
        thickness = own.spacing_mm[own.slice_axis] / first.spacing_mm[first.slice_axis]
        if not 1 / THICKER <= thickness <= THICKER:
            found.append(
                f"Slices of scan {number} are {own.spacing_mm[own.slice_axis]:.1f} mm apart,"
                f" those of the first {first.spacing_mm[first.slice_axis]:.1f} mm: small lesions"
                " may come or go with that."
            )
    made = {(one.provenance.model_sha256, _point(one)) for one in scans}
    if len(made) > 1:
        found.append(
            "Not all scans were segmented by the same model with the same settings: changes may"
            " come from that."
        )
    if all(time.days is None for time in times):
        found.append("No dates are known: the scans stand in the order given.")
    return found


def _normal(geometry: Geometry) -> NDArray[np.float64]:
    """Return the unit normal of the acquired slices."""
    axes = [axis for axis in range(3) if axis != geometry.slice_axis]
    normal = np.cross(geometry.affine[:3, axes[0]], geometry.affine[:3, axes[1]])
    return normal / np.linalg.norm(normal)


def _point(scan: FollowedScan) -> tuple[object, ...]:
    """Return the settings that decide what is a lesion."""
    names = ("threshold", "peak", "min_volume_mm3", "sequence")
    return tuple(scan.provenance.settings.get(name) for name in names)
