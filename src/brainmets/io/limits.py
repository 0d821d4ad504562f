"""What brainmets agrees to read: every bound on size, number and spacing, in one table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

__all__ = ["DEFAULT_LIMITS", "Limits", "limits_table"]

MIB = 2**20
GIB = 2**30


def _limit(value: float, meaning: str) -> float:
    return field(default=value, metadata={"meaning": meaning})


def _count(value: int, meaning: str) -> int:
    return field(default=value, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds checked before the bytes they guard are read, decoded or allocated.

    A real head stays far below every one of them: 512 × 512 × 400 voxels of 16 bits are 200 MiB.
    """

    max_voxels: int = _count(2**27, "Voxels of one volume (512 × 512 × 512)")
    max_volume_bytes: int = _count(GIB, "Bytes of one volume's voxels as stored, uncompressed")
    max_file_bytes: int = _count(2 * GIB, "Bytes of one file or archive member, uncompressed")
    max_archive_bytes: int = _count(4 * GIB, "Bytes of all archive members, uncompressed")
    max_ratio: int = _count(400, "Bytes for each compressed one, above `ratio_floor_bytes`")
    ratio_floor_bytes: int = _count(128 * MIB, "Bytes below which the ratio is not looked at")
    max_files: int = _count(20_000, "Files in one folder or archive")
    max_header_bytes: int = _count(16 * MIB, "Bytes of a header with its extensions")
    max_slices: int = _count(4_096, "Slices of one series or stack")
    min_slices: int = _count(3, "Slices along the shortest axis of a volume")
    max_image_pixels: int = _count(2**26, "Pixels of one slice image (8192 × 8192)")
    min_spacing_mm: float = _limit(0.05, "Voxel spacing in mm, least")
    max_spacing_mm: float = _limit(15.0, "Voxel spacing in mm, greatest")


DEFAULT_LIMITS = Limits()
"""The limits used unless a caller gives others."""


def limits_table(limits: Limits = DEFAULT_LIMITS) -> str:
    """Return the limits as a Markdown table: name, value, meaning."""
    rows = [
        f"| `{one.name}` | {getattr(limits, one.name):,} | {one.metadata['meaning']} |"
        for one in fields(limits)
    ]
    return "\n".join(["| Limit | Value | Meaning |", "|---|---:|---|", *rows])
