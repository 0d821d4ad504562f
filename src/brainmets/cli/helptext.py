"""Help pages made of docstrings."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["help_of"]


def help_of(command: Callable[..., None]) -> str:
    r"""Return a command's docstring as help; a line of `\b` keeps the lines after it as they are.

    Docstrings are raw, so that the mark is seen; Typer wants the character.
    """
    return (inspect.getdoc(command) or "").replace(r"\b", "\b")
