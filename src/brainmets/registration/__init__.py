"""Where the same head is in another scan: rigid, and sure of itself or not."""

from brainmets.registration.align import (
    SIMILARITY_DOUBTFUL,
    SIMILARITY_NEEDED,
    Alignment,
    align,
    is_doubtful,
)

__all__ = ["SIMILARITY_DOUBTFUL", "SIMILARITY_NEEDED", "Alignment", "align", "is_doubtful"]
