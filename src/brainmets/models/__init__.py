"""U-Net++ and Attention U-Net in two and three dimensions; only `registry` needs torch."""

from brainmets.models.architecture import Architecture, ArchitectureName

__all__ = ["Architecture", "ArchitectureName"]
