"""Which submissions are one job: equal content, settings, version and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import brainmets
from brainmets.api import intake
from brainmets.api.models import digests_of
from tests.bundles import random_bundle
from tests.unit.test_api_jobs import nifti, open_service, submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    import pytest

__all__ = ["nifti", "open_service"]


def test_another_version_or_network_segments_again(
    open_service: Callable[..., httpx.Client], nifti: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service(workers=0)
    first = submit(service, nifti)["id"]
    assert submit(service, nifti)["id"] == first
    monkeypatch.setattr(intake, "digests_of", lambda _model: ("another network",))
    second = submit(service, nifti)["id"]
    monkeypatch.setattr(brainmets, "__version__", "9.9.9")
    third = submit(service, nifti)["id"]
    assert len({first, second, third}) == 3
    assert submit(service, nifti)["id"] == third


def test_digests_follow_the_networks_that_a_job_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[tuple[str, ...]]:
        return [digests_of(model) for model in ("attention-unet-2d", "unet-plus-plus-2d", None)]

    before = found()
    random_bundle(tmp_path / "attention-unet-2d", dims=2)
    monkeypatch.setenv("BRAINMETS_MODELS", str(tmp_path))
    after = found()
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, False]
    assert before[0][-1] == after[0][-1], "the anatomy's network is the same"
