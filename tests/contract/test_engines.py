"""What every engine must do: the same answer to the same input."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain.errors import BundleIncomplete, EngineMissing, OptionError
from brainmets.inference import ENGINES, Bundle, Predictor, list_bundles, make_engine
from brainmets.inference.engines.openvino import read_network
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Case
    from brainmets.models import ArchitectureName

KINDS: tuple[tuple[ArchitectureName, int], ...] = (
    ("attention-unet", 2),
    ("attention-unet", 3),
    ("unet-plus-plus", 2),
    ("unet-plus-plus", 3),
)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}d")
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    name, dims = request.param
    root = tmp_path_factory.mktemp("bundles") / f"{name}-{dims}d"
    return random_bundle(root, name=name, dims=dims)


@pytest.fixture
def x(bundle: Bundle) -> NDArray[np.float32]:
    size = (24, 32, 16)[: bundle.plan.dims]
    shape = (3 if bundle.plan.dims == 2 else 1, bundle.plan.channels, *size)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def probability(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.fixture
def expected(bundle: Bundle, x: NDArray[np.float32]) -> NDArray[np.float64]:
    return probability(make_engine("pytorch", bundle, precision="float32").run(x))


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree_at_float32(
    bundle: Bundle, x: NDArray[np.float32], expected: NDArray[np.float64], engine: str
) -> None:
    logits = make_engine(engine, bundle, precision="float32").run(x)
    assert logits.shape == (x.shape[0], 1, *x.shape[2:])
    assert logits.dtype == np.float32
    assert expected.std() > 0.01, "a constant network would agree with anything"
    np.testing.assert_allclose(probability(logits), expected, atol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_own_choice_of_precision_stays_near(
    bundle: Bundle, x: NDArray[np.float32], engine: str
) -> None:
    exact = make_engine("pytorch", bundle, precision="float32").run(x)
    logits = make_engine(engine, bundle).run(x)
    assert np.abs(logits - exact).mean() <= 0.02 * exact.std()  # bfloat16 keeps 8 bits


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_same_input_same_output_on_one_thread_or_two(
    bundle: Bundle, x: NDArray[np.float32], engine: str, precision: str
) -> None:
    one = make_engine(engine, bundle, precision=precision, threads=1)
    two = make_engine(engine, bundle, precision=precision, threads=2)
    first = one.run(x)
    np.testing.assert_array_equal(one.run(x), first)
    np.testing.assert_allclose(probability(two.run(x)), probability(first), atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_sizes_may_change_between_runs(bundle: Bundle, x: NDArray[np.float32], engine: str) -> None:
    running = make_engine(engine, bundle, precision="float32")
    first = running.run(x)
    for size in (8, 16, 24, 32):
        grown = np.zeros((1, x.shape[1], *(size,) * bundle.plan.dims), np.float32)
        assert running.run(grown).shape == (1, 1, *(size,) * bundle.plan.dims)
    np.testing.assert_array_equal(running.run(x), first)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tick_can_cancel_and_the_engine_lives_on(bundle: Bundle, engine: str) -> None:
    class Cancelled(Exception):
        pass

    def cancel() -> None:
        raise Cancelled

    running = make_engine(engine, bundle, precision="float32", threads=1)
    edge = 1024 if bundle.plan.dims == 2 else 128  # long enough to be interrupted
    long = np.zeros((1, bundle.plan.channels, *(edge,) * bundle.plan.dims), np.float32)
    with contextlib.suppress(Cancelled):
        running.run(long, cancel)
    small = np.zeros((1, bundle.plan.channels, *(16,) * bundle.plan.dims), np.float32)
    assert np.isfinite(running.run(small)).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_opens_a_connection(
    bundle: Bundle, x: NDArray[np.float32], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an engine tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert make_engine(engine, bundle).run(x).size


@pytest.mark.parametrize(
    ("engine", "package"),
    [("openvino", "openvino"), ("onnxruntime", "onnxruntime"), ("pytorch", "torch")],
)
def test_a_missing_package_is_named(
    bundle: Bundle, engine: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from brainmets.inference.engines import openvino as openvino_engine

    monkeypatch.setattr(openvino_engine, "_CORES", [])
    monkeypatch.delitem(sys.modules, f"brainmets.inference.engines.{engine}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineMissing, match=f"E_ENGINE_MISSING: the engine {engine} without"):
        make_engine(engine, bundle)


def test_an_unknown_engine_is_refused(bundle: Bundle) -> None:
    with pytest.raises(OptionError, match="openvino, onnxruntime, pytorch"):
        make_engine("tensorflow", bundle)
    with pytest.raises(OptionError, match="at least 1"):
        make_engine("openvino", bundle, threads=0)


@pytest.mark.parametrize("name", list_bundles())
def test_engines_agree_on_every_shipped_model(name: str, phantom_case: Case) -> None:
    bundle = Bundle.load(name)
    spacing = 3.0 if bundle.plan.dims == 3 else 1.5
    ready = bundle.plan.model_copy(update={"spacing_mm": spacing}).apply(phantom_case).data
    edge = bundle.architecture.stride * (2 if bundle.plan.dims == 2 else 4)
    start = [(n - edge) // 2 for n in ready.shape[1:]]
    if bundle.plan.dims == 2:
        middle = ready.shape[3] // 2
        x = ready[:, :edge, :edge, middle : middle + 2].transpose(3, 0, 1, 2)
    else:
        x = ready[(slice(None), *(slice(s, s + edge) for s in start))][None]
    found = {
        engine: probability(make_engine(engine, bundle, precision="float32").run(x))
        for engine in ENGINES
    }
    for engine, answer in found.items():
        np.testing.assert_allclose(answer, found["pytorch"], atol=1e-3, err_msg=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pruned_network_answers_alike_everywhere(tmp_path: Path, engine: str) -> None:
    bundle = random_bundle(tmp_path / "nested", name="unet-plus-plus", dims=2)
    x = np.random.default_rng(3).normal(size=(1, bundle.plan.channels, 24, 32)).astype(np.float32)
    whole, shallow = (
        probability(make_engine("pytorch", bundle, depth=depth).run(x)) for depth in (None, 1)
    )
    assert np.abs(whole - shallow).max() > 0.01
    for depth, expected in ((None, whole), (2, whole), (1, shallow)):
        answer = make_engine(engine, bundle, precision="float32", depth=depth).run(x)
        np.testing.assert_allclose(probability(answer), expected, atol=1e-3)


def test_a_pruned_network_costs_less_and_says_so(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "nested", name="unet-plus-plus", dims=2)
    whole, pruned = Predictor(bundle), Predictor(bundle, depth=1)
    assert pruned.footprint.operations < 0.7 * whole.footprint.operations
    shape = (480, 480, 40)
    assert pruned.estimate(shape).operations < 0.7 * whole.estimate(shape).operations
    assert pruned.estimate(shape).bytes < whole.estimate(shape).bytes


@pytest.mark.parametrize(
    ("name", "depth", "expected"),
    [("unet-plus-plus", 3, "1 to 2"), ("unet-plus-plus", 0, "1 to 2"), ("attention-unet", 1, "no")],
)
def test_a_depth_that_is_not_there_is_refused(
    tmp_path: Path, name: ArchitectureName, depth: int, expected: str
) -> None:
    bundle = random_bundle(tmp_path / "net", name=name, dims=2)
    with pytest.raises(OptionError, match=f"E_OPTION: depth {depth} for net.*expected {expected}"):
        make_engine("openvino", bundle, depth=depth)


def test_a_file_without_the_depth_is_refused(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "nested", name="attention-unet", dims=2)
    with pytest.raises(BundleIncomplete, match="logits_1"):
        read_network(bundle.onnx_path.read_bytes(), "logits_1")
