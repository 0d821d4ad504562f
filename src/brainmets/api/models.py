"""Which networks a job uses, as their content says."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["digests_of"]


def digests_of(model: str | None) -> tuple[str, ...]:
    """Return the SHA-256 of the networks that a job with this model uses, the anatomy's last.

    Without a model they are those that a job may get by default. A network that cannot be read
    counts as absent: the job says what is wrong with it.
    """
    from brainmets.inference import bundle_file_states
    from brainmets.workflows.segment import DEFAULT_MODELS

    defaults = dict.fromkeys(name for names in DEFAULT_MODELS.values() for name in names)
    return _digests(tuple(defaults) if model is None else (model,), bundle_file_states())


@lru_cache(maxsize=32)
def _digests(names: tuple[str, ...], _files: object) -> tuple[str, ...]:
    """Read the networks; `_files` changes when a file of one does."""
    from brainmets.bundles import SHIPPED_ANATOMY
    from brainmets.domain.errors import ModelError
    from brainmets.inference import Bundle, list_bundles
    from brainmets.inference.anatomy_bundle import AnatomyBundle

    digests: list[str] = []
    installed = set(list_bundles())
    for name in names:
        try:
            digests.append(Bundle.load(name).sha256 if name in installed else "")
        except ModelError:
            digests.append("")
    try:
        digests.append(AnatomyBundle.load(SHIPPED_ANATOMY).sha256)
    except ModelError:
        digests.append("")
    return tuple(digests)
