"""A clear word where a command needs an optional part that is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.domain.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["needing"]


@contextmanager
def needing(extra: str) -> Generator[None, None, None]:
    """Turn a missing package into an error that names the extra to install.

    Raises:
        EngineMissing: a package outside brainmets is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("brainmets"):
            raise
        raise EngineMissing(
            f"the package {error.name} is not installed",
            expected=f"brainmets with its extra {extra}",
            remedy=f"run `pip install 'brainmets[{extra}]'`",
        ) from error
