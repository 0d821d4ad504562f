"""A bundle is read whole and unchanged, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from brainmets.domain.errors import (
    BundleIncomplete,
    BundleTampered,
    ModelError,
    OptionError,
    UnknownModel,
)
from brainmets.inference import Bundle, OperatingPoint, list_bundles, write_bundle
from tests.bundles import random_bundle

FILES = ("model.onnx", "plan.json", "card.md")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("models") / "tiny-net"
    return random_bundle(root, widths=(4, 8), point=OperatingPoint(threshold=0.25, peak=0.7))


@pytest.fixture
def root(written: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written.root, tmp_path / "models" / "tiny-net"))


def test_what_was_written_is_read(written: Bundle) -> None:
    again = Bundle.load(written.root)
    assert (again.name, again.sha256, again.card) == (written.name, written.sha256, written.card)
    assert again.plan == written.plan
    assert again.architecture == written.architecture
    assert again.operating_point == OperatingPoint(threshold=0.25, peak=0.7)
    assert again.footprint.parameters > 1000
    assert sorted(p.name for p in written.root.iterdir()) == sorted((*FILES, "manifest.json"))


@pytest.mark.parametrize("name", FILES)
def test_one_changed_bit_is_noticed_and_named(root: Path, name: str) -> None:
    data = bytearray((root / name).read_bytes())
    data[len(data) // 2] ^= 1
    (root / name).write_bytes(data)
    with pytest.raises(BundleTampered, match=f"E_BUNDLE_TAMPERED: {name} of the bundle tiny-net"):
        Bundle.load(root)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(BundleIncomplete, match=f"E_BUNDLE_INCOMPLETE: no readable {name}"):
        Bundle.load(root)


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b'{"name": "x", "files": {}}', b"\xff\xfe", b'{"name": "../x", "files": {}}'],
)
def test_a_broken_manifest_is_a_broken_bundle(root: Path, manifest: bytes) -> None:
    (root / "manifest.json").write_bytes(manifest)
    with pytest.raises(BundleIncomplete, match=r"manifest|model\.onnx"):
        Bundle.load(root)


def test_a_field_of_another_version_is_named(root: Path) -> None:
    contents = json.loads((root / "plan.json").read_text())
    contents["operating_point"]["sharpness"] = 3
    _rewrite(root, "plan.json", json.dumps(contents).encode())
    with pytest.raises(BundleIncomplete, match=r"plan\.json.*operating_point\.sharpness"):
        Bundle.load(root)


def test_bundles_are_found_by_name_under_the_variable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAINMETS_MODELS", str(root.parent))
    assert "tiny-net" in list_bundles()
    assert Bundle.load("tiny-net").root == root
    monkeypatch.delenv("BRAINMETS_MODELS")
    assert "tiny-net" not in list_bundles()
    with pytest.raises(UnknownModel, match="E_MODEL_UNKNOWN: no model named tiny-net"):
        Bundle.load("tiny-net")


def test_every_shipped_bundle_is_whole() -> None:
    for name in list_bundles():
        assert Bundle.load(name).name == name


def test_a_bundle_replaces_a_bundle_but_nothing_else(root: Path, tmp_path: Path) -> None:
    first = Bundle.load(root)
    again = random_bundle(root, widths=(4, 8), seed=1)
    assert again.sha256 != first.sha256
    assert [p.name for p in root.parent.iterdir()] == ["tiny-net"], "staging was left behind"
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter-1.txt").write_text("do not lose me")
    with pytest.raises(OptionError, match="not a bundle"):
        random_bundle(precious, widths=(4, 8))
    assert (precious / "chapter-1.txt").exists()


def test_a_name_is_checked_before_anything_is_written(written: Bundle, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="lower-case"):
        write_bundle(
            tmp_path / "out",
            name="../Escape",
            onnx=b"",
            plan=written.plan,
            architecture=written.architecture,
            operating_point=written.operating_point,
            card="",
        )
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_the_earlier_bundle(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Bundle.load(root)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_bundle(
            root,
            name="tiny-net",
            onnx=before.onnx_path.read_bytes(),
            plan=before.plan,
            architecture=before.architecture,
            operating_point=before.operating_point,
            card="",
        )
    monkeypatch.undo()
    assert Bundle.load(root).sha256 == before.sha256
    assert [p.name for p in root.parent.iterdir()] == ["tiny-net"]


def test_an_operating_point_is_consistent() -> None:
    with pytest.raises(ValueError, match="below threshold"):
        OperatingPoint(threshold=0.5, peak=0.4)
    point = OperatingPoint(threshold=0.25, peak=0.7, min_volume_mm3=4.0)
    assert point.overridden(threshold=None, peak=None) is point
    plain = point.overridden(threshold=0.4, peak=None)
    assert (plain.threshold, plain.peak, plain.min_volume_mm3) == (0.4, 0.4, 4.0)
    with pytest.raises(OptionError, match="threshold <= peak"):
        point.overridden(threshold=1.4, peak=None)


def test_every_bundle_error_is_a_model_error() -> None:
    assert issubclass(BundleTampered, ModelError)
    assert issubclass(BundleIncomplete, ModelError)


def _rewrite(root: Path, name: str, data: bytes) -> None:
    import hashlib

    (root / name).write_bytes(data)
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (root / "manifest.json").write_text(json.dumps(manifest))
