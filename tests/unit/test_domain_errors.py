"""The exception tree is the one drawn at the top of its module, and each error explains itself."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from brainmets.domain import errors
from brainmets.domain.errors import BrainmetsError, all_errors

CLASSES = [
    item
    for item in vars(errors).values()
    if inspect.isclass(item) and issubclass(item, BrainmetsError)
]
DRAWN = re.compile(r"^(?P<bars>[│├└─ ]*)(?P<name>[A-Z]\w+)\s*(?P<code>E_\w+)?", re.MULTILINE)


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """Read the module's docstring: class → (parent, code)."""
    tree: dict[str, tuple[str | None, str | None]] = {}
    parents: list[str] = []
    picture = (errors.__doc__ or "").split("\n\n", 1)[1]
    for line in DRAWN.finditer(picture):
        depth = len(line["bars"]) // 4
        del parents[depth:]
        tree[line["name"]] = (parents[-1] if parents else None, line["code"])
        parents.append(line["name"])
    return tree


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        kind.__name__: None if kind is BrainmetsError else kind.__bases__[0].__name__
        for kind in CLASSES
    }

    assert {name: parent for name, (parent, _) in drawn_tree().items()} == real


def test_drawn_codes_are_the_real_ones() -> None:
    drawn = {name: code for name, (_, code) in drawn_tree().items() if code}
    real = {kind.__name__: kind.code for kind in CLASSES if kind.__name__ in drawn}

    assert drawn == real
    leaves = {kind.__name__ for kind in CLASSES if not kind.__subclasses__()}
    assert leaves <= set(drawn), "every error that is raised shows its code in the drawing"


def test_every_code_is_unique_and_listed() -> None:
    codes = [kind.code for kind in CLASSES]

    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"E_[A-Z]+(_[A-Z]+)*", code) for code in codes)
    ours = {code: kind for code, kind in all_errors().items() if kind.__module__ == errors.__name__}
    assert ours == dict(zip(codes, CLASSES, strict=True))


def test_every_error_is_exported_and_defined_in_the_one_tree() -> None:
    assert {kind.__name__ for kind in CLASSES} | {"all_errors", "explained"} == set(errors.__all__)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_says_three_things_on_one_line_and_survives_pickling(
    kind: type[BrainmetsError],
) -> None:
    error = kind("a\nthing", expected="another", remedy="do this")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - bytes made above

    assert str(error) == f"{kind.code}: a thing; expected another; do this"
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert kind.__doc__
