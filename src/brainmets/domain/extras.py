"""A clear word where a command needs an optional part that is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from brainmets.domain.errors import EngineMissing

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["missing_package", "needing", "require"]

EXTRAS = {
    "skimage": "analysis",
    "h5py": "matlab",
    "matplotlib": "report",
    "pynetdicom": "pacs",
    "dicomweb_client": "pacs",
    "pandas": "notebook",
    "SimpleITK": "notebook",
    "torch": "train",
}
"""The extra that brings a package, for commands that need it only at times."""


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
        raise missing_package(error, extra) or error from error


def require(extra: str, *packages: str) -> None:
    """Check, before any work, that the packages of an extra are installed.

    Raises:
        EngineMissing: one is not.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_package(ModuleNotFoundError(name=package), extra) or ModuleNotFoundError


def missing_package(error: ModuleNotFoundError, extra: str | None = None) -> EngineMissing | None:
    """Say which extra to install; None where no extra would bring the package."""
    package = (error.name or "").partition(".")[0]
    extra = extra or EXTRAS.get(package)
    if extra is None:
        return None
    return EngineMissing(
        f"the package {package} is not installed",
        expected=f"brainmets with its extra {extra}",
        remedy=f"run `pip install 'brainmets[{extra}]'`",
    )
