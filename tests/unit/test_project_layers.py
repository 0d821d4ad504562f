"""Structure of the package: layers import downwards, files are short, exports are documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src" / "brainmets"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = sorted(
    file
    for folder in ("src", "app", "tests", "benchmarks")
    for file in REPOSITORY.glob(f"{folder}/**/*.py")
)

MOST_LINES = 450
"""A file of about 400 lines is a sign to look again; beyond this it is two files."""

ONE_LONG_LIST = {"src/brainmets/domain/errors.py"}
"""The exception tree is one list: a reader wants it whole."""

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

TORCH_ROOMS = ("models/", "training/", "synthesis/", "inference/engines/pytorch.py")

FOREIGN_MARKS = ("vendor", "third_party", "node_modules")

MOST_BYTES = 1_000_000
MOST_BUNDLE_BYTES = 16 * 2**20


def name_of(file: Path) -> str:
    return str(file.relative_to(REPOSITORY))


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def imported(tree: ast.AST) -> set[str]:
    """Top-level packages imported anywhere but under TYPE_CHECKING."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                waiting.extend(node.orelse)
                continue
            case ast.Import(names=aliases):
                found |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.partition(".")[0])
            case _:
                pass
        waiting.extend(ast.iter_child_nodes(node))
    return found


def test_layers_hold_and_every_room_is_in_one() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module_says_what_it_is_and_what_it_exports(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "no docstring"

    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value
        and "__all__" in {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    ]
    assert len(exported) == 1, "no `__all__`"
    (public,) = exported
    assert len(set(public)) == len(public)

    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                defined |= {alias.asname or alias.name for alias in aliases}
            case ast.Name(id=name, ctx=ast.Store()):
                defined.add(name)
            case _:
                pass
    lazily = _lazy_exports(tree)
    assert set(public) <= defined | lazily, "`__all__` names what is not there"


def _lazy_exports(tree: ast.Module) -> set[str]:
    """Names that a module's `__getattr__` finds in a literal mapping."""
    if not any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in tree.body):
        return set()
    return {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_torch_stays_in_its_rooms(module: Path) -> None:
    if module.relative_to(PACKAGE).as_posix().startswith(TORCH_ROOMS):
        return
    assert "torch" not in imported(ast.parse(module.read_text(encoding="utf-8")))


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_file_is_about_one_thing(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").count("\n")

    if name_of(source) not in ONE_LONG_LIST:
        assert lines <= MOST_LINES, f"{lines} lines: split it along what it is about"
    assert source.stem not in VAGUE_NAMES, "name it after what it does"


def test_nothing_foreign_or_large_is_tracked() -> None:
    files = tracked()
    bundles = [file for file in files if "bundles" in file.parts]
    others = [file for file in files if "bundles" not in file.parts]

    assert files
    assert not [name_of(file) for file in others if file.stat().st_size > MOST_BYTES]
    assert not [name_of(file) for file in files if set(file.parts) & set(FOREIGN_MARKS)]
    medical = (".nii", ".nii.gz", ".dcm", ".mha", ".nrrd", ".pt", ".pth", ".ckpt", ".pkl")
    assert not [name_of(file) for file in files if file.name.endswith(medical)]
    folders = {file.parent for file in bundles}
    for folder in folders:
        size = sum(file.stat().st_size for file in bundles if file.parent == folder)
        assert size <= MOST_BUNDLE_BYTES, f"{name_of(folder)}: {size / 2**20:.1f} MB"


def test_what_is_ignored_is_not_tracked() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == ""
