"""Fused models: their mean, their disagreement, and that a bundle of several is one bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain.errors import BundleTampered, OptionError
from brainmets.inference import Bundle, OperatingPoint, Predictor, fuse_bundles, revise_bundle
from brainmets.inference.fusion import at_spacing, fused, on_grid_of
from brainmets.inference.rejector import FEATURES, Rejector
from brainmets.preprocessing import Plan
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Case
    from brainmets.preprocessing import Prepared


@pytest.fixture(scope="module")
def singles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    root = tmp_path_factory.mktemp("singles")
    plan = Plan(spacing_mm=1.0)
    return [
        random_bundle(root / "fine", widths=(4, 8), plan=plan, seed=1),
        random_bundle(
            root / "coarse", widths=(4, 8), plan=plan.model_copy(update={"spacing_mm": 1.5}), seed=2
        ),
    ]


@pytest.fixture(scope="module")
def pair(singles: list[Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("fused") / "pair"
    return fuse_bundles(singles, root, name="pair", weights=[3, 1])


@pytest.fixture(scope="module")
def ready(pair: Bundle, phantom_case: Case) -> Prepared:
    return pair.plan.apply(phantom_case)


def test_a_fused_model_answers_with_the_weighted_mean_logit(
    pair: Bundle, singles: list[Bundle], ready: Prepared
) -> None:
    probability, disagreement = Predictor(pair).predict_with_disagreement(ready)
    fine, coarse = (Predictor(bundle) for bundle in singles)
    second = on_grid_of(ready, coarse.predict(at_spacing(ready, 1.5)), 1.5)
    wanted, spread = fused([fine.predict(ready), second], [0.75, 0.25])
    np.testing.assert_allclose(probability, wanted, atol=1e-4)
    assert disagreement is not None
    np.testing.assert_allclose(disagreement, spread, atol=1e-4)
    assert disagreement.max() > 0.01
    assert fine.predict_with_disagreement(ready)[1] is None


def test_a_fused_bundle_keeps_its_members_when_it_is_revised(pair: Bundle, tmp_path: Path) -> None:
    revised = revise_bundle(pair, tmp_path / "again", card="# again")
    assert revised.members == pair.members
    assert [m.spacing_mm for m in revised.members] == [1.5]
    assert (
        revised.single(revised.members[0]).onnx_path.read_bytes()
        == (pair.root / "member-2.onnx").read_bytes()
    )


def test_a_point_that_a_rejector_gave_its_meaning_is_not_kept_without_it(
    singles: list[Bundle], tmp_path: Path
) -> None:
    point = OperatingPoint(threshold=0.05, peak=0.3)
    looked = Rejector.fit(np.eye(len(FEATURES)), np.arange(len(FEATURES)) < 3, grow=0.3)
    fine = revise_bundle(singles[0], tmp_path / "fine", operating_point=point)
    ranked = revise_bundle(fine, tmp_path / "ranked", rejector=looked)
    for first, expected in ((fine, point), (ranked, OperatingPoint())):
        made = fuse_bundles([first, singles[1]], tmp_path / "made", name="made")
        assert (made.operating_point, made.rejector) == (expected, None)


def test_a_member_file_that_was_changed_is_refused(singles: list[Bundle], tmp_path: Path) -> None:
    made = fuse_bundles(singles, tmp_path / "m", name="m")
    file = made.root / "member-2.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleTampered):
        Bundle.load(made.root)


def test_networks_that_read_other_inputs_are_not_fused(
    singles: list[Bundle], pair: Bundle, tmp_path: Path
) -> None:
    planar = random_bundle(tmp_path / "planar", dims=2, widths=(4, 8))
    for other in (planar, pair):
        with pytest.raises(OptionError):
            fuse_bundles([singles[0], other], tmp_path / "bad", name="bad")
    for weights in ([1.0], [1.0, 0.0]):
        with pytest.raises(OptionError):
            fuse_bundles(singles, tmp_path / "bad", name="bad", weights=weights)
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("spacing", [0.8, 1.5, 2.0, 3.0])
def test_a_smooth_map_comes_back_from_another_spacing(ready: Prepared, spacing: float) -> None:
    shape = ready.data.shape[1:]
    axes = np.meshgrid(*(np.linspace(0, np.pi, n) for n in shape), indexing="ij")
    smooth = (np.sin(axes[0]) * np.sin(axes[1]) * np.sin(axes[2])).astype(np.float32)
    coarse = at_spacing(ready, spacing)
    for axis in range(3):
        assert coarse.geometry.spacing_mm[axis] == pytest.approx(spacing, rel=0.02)
    for voxel in (0, -1):
        corner = np.array([0, 0, 0]) if voxel == 0 else np.array(coarse.geometry.shape) - 1
        fine = np.array([0, 0, 0]) if voxel == 0 else np.array(shape) - 1
        gap = coarse.geometry.to_ras_mm(corner) - ready.geometry.to_ras_mm(fine)
        assert np.abs(gap).max() <= spacing
    there = at_spacing(replace(ready, data=smooth[None]), spacing)
    back = on_grid_of(ready, there.data[0], spacing)
    assert back.shape == shape
    inner = (slice(4, -4),) * 3
    assert np.abs(back - smooth)[inner].max() < 0.06


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=2, max_size=5),
    st.integers(0, 2**31),
)
def test_the_mean_is_between_the_members_and_agreement_is_certain(
    values: list[float], seed: int
) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(values)))
    members = [np.full((2, 2, 2), v, dtype=np.float32) for v in values]
    probability, disagreement = fused(members, weights.tolist())
    assert min(values) - 1e-3 <= probability.max() <= max(values) + 1e-3
    assert 0 <= disagreement.max() <= 0.5 + 1e-6
    if max(values) == min(values):
        assert disagreement.max() < 1e-3
