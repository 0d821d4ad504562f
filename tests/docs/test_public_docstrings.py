"""Every public name is documented with its arguments, result, shapes, units and errors."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import brainmets

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "python.md"
LISTED = re.compile(
    r"^::: (?P<name>[\w.]+)(?:\n    options:\n      members: \[(?P<members>[^\]]*)\])?",
    re.MULTILINE,
)
ARRAY = re.compile(r"NDArray|ArrayLike|Volume|Mask\b|Tensor|Nifti1Image|SimpleITK\.Image")
SHAPE = re.compile(
    r"\((?:i, j, k|X, Y, Z|x, y, z|…, 3|channels, i, j, k|1, i, j, k|B, 1, \*S)"
    r"|4 × 4|grid|shape|voxel grid"
)
NUMBER = re.compile(r"\b(?:float|_mm3?|bytes)\b")
UNIT = re.compile(r"\bmm³?|\b0…|bytes|pixels|number of|share|\bprobabilit|degrees|seconds")
"""What says in which unit a figure is, or that it has none."""


def public_functions() -> dict[str, Any]:
    """Every function, method and property that the reference page lists, by its full name."""
    names = [f"brainmets.{name}" for name in brainmets.__all__ if name != "__version__"]
    for found in LISTED.finditer(PAGE.read_text(encoding="utf-8")):
        members = [one.strip() for one in (found["members"] or "").split(",") if one.strip()]
        names += [f"{found['name']}.{one}" for one in members] or [found["name"]]
    functions: dict[str, Any] = {}
    for name in names:
        module, _, last = name.rpartition(".")
        thing = getattr(import_module(module), last)
        if not inspect.isclass(thing):
            functions[name] = thing
            continue
        for owner in thing.__mro__:
            if not owner.__module__.startswith("brainmets.python") and owner is not thing:
                continue
            for method, value in vars(owner).items():
                found_function = getattr(value, "__func__", value)
                if not method.startswith("_") and (
                    inspect.isfunction(found_function) or isinstance(value, property)
                ):
                    functions.setdefault(f"{name}.{method}", found_function)
    return functions


FUNCTIONS = public_functions()


def complaints(function: Any) -> list[str]:
    """What the docstring of a function or property lacks."""
    is_property = isinstance(function, property)
    code = function.fget if is_property else function
    text = inspect.getdoc(code) or ""
    if not text:
        return ["no docstring"]
    signature = inspect.signature(code)
    answer = str(signature.return_annotation)
    lacks: list[str] = []
    if not is_property:
        arguments = [name for name in signature.parameters if name not in {"self", "cls"}]
        described = re.search(r"^Args:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
        entries = re.findall(r"^ {4}(\w+):", described[1], re.MULTILINE) if described else []
        lacks += [f"Args: {name}" for name in arguments if name not in entries]
        lacks += [f"Args names an unknown {name}" for name in set(entries) - set(arguments)]
        if answer not in {"None", "Self"} and "\nReturns:\n" not in text:
            lacks.append("Returns:")
        if raises(code) and "\nRaises:\n" not in text:
            lacks.append("Raises:")
    if ARRAY.search(answer) and not SHAPE.search(text):
        lacks.append(f"the shape of {answer}")
    numbers = [answer, *(name for name in signature.parameters if NUMBER.search(f"_{name}"))]
    if any(NUMBER.search(one) for one in numbers) and not UNIT.search(text):
        lacks.append("a unit")
    return lacks


def raises(function: Any) -> bool:
    """Whether the function's own body raises, or imports what an extra brings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "needing")
        for node in ast.walk(tree)
    )


def test_the_page_lists_every_exported_name() -> None:
    assert len(FUNCTIONS) > 60
    listed = PAGE.read_text(encoding="utf-8")
    assert not [name for name in brainmets.__all__ if name != "__version__" and name not in listed]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_name_is_documented(name: str) -> None:
    assert complaints(FUNCTIONS[name]) == []


def test_a_poor_docstring_is_noticed() -> None:
    def poor(spacing_mm: float) -> float:
        """Return something."""
        if spacing_mm < 0:
            raise ValueError
        return spacing_mm

    assert complaints(poor) == ["Args: spacing_mm", "Returns:", "Raises:", "a unit"]
    assert complaints(lambda: None) == ["no docstring"]
