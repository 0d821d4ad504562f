"""What the service counts, and whether it says that it cannot work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.api.store import JobStore
from brainmets.domain.errors import StoreUnavailable
from tests.patience import comes_true
from tests.unit.test_api_jobs import PATIENCE_S, nifti, open_service, service, submit, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    import pytest

__all__ = ["nifti", "open_service", "service"]

SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:{(?P<labels>.*)})? (?P<value>[0-9.e+-]+|\+Inf)")
HEAD = re.compile(r"# (HELP [a-z_]+ [A-Z].*\.|TYPE [a-z_]+ (counter|gauge|histogram))")


def samples(client: httpx.Client) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, float] = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            assert HEAD.fullmatch(line), line
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        key = f"{sample['name']}{{{sample['labels'] or ''}}}"
        assert key not in found, "each series once"
        found[key] = float(sample["value"])
    return found


def test_requests_and_jobs_are_counted_without_names(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti, "SMITH.nii")["id"])
    assert job["state"] == "done"
    failed = wait(service, submit(service, nifti, "broken-SMITH.nii")["id"])
    service.get(f"/v1/jobs/{job['id']}/files/SMITH.nii")
    service.request("SMITH", "/v1/jobs")
    service.get("/SMITH")
    counted = samples(service)
    assert counted['brainmets_jobs{state="done"}'] == 1
    assert counted['brainmets_jobs{state="failed"}'] == 1
    assert counted["brainmets_job_list_up{}"] == 1
    code = failed["problem"]["code"]
    assert counted[f'brainmets_jobs_ended_total{{code="{code}",ending="failed"}}'] == 1
    assert counted['brainmets_jobs_ended_total{code="",ending="done"}'] == 1
    submitted = 'method="POST",route="/v1/jobs"'
    assert counted[f'brainmets_requests_total{{code="202",{submitted}}}'] == 2
    assert counted[f"brainmets_request_seconds_count{{{submitted}}}"] == 2
    infinite = counted[f'brainmets_request_seconds_bucket{{le="+Inf",{submitted}}}']
    assert infinite == 2
    missing = 'code="404",method="GET",route="/v1/jobs/{job_id}/files/{name}"'
    assert counted[f"brainmets_requests_total{{{missing}}}"] == 1
    assert counted['brainmets_requests_total{code="404",method="GET",route="other"}'] == 1
    assert counted['brainmets_job_seconds_count{stage="segment"}'] == 1
    assert counted["brainmets_job_peak_bytes_count{}"] == 1
    assert counted["brainmets_job_peak_bytes_sum{}"] > 1e6
    assert "SMITH" not in service.get("/metrics").text


def test_a_job_list_that_is_away_is_said_so_and_said_when_to_ask_again(
    service: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.get("/readyz").json()["status"] == "ok"

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("no answer", expected="one", remedy="wait")

    for name in ("counts", "check", "get", "jobs", "refuse_when_full"):
        monkeypatch.setattr(JobStore, name, away)
    ready = service.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert "E_STORE" in ready.json()["detail"]
    for answer in (
        ready,
        service.get("/v1/jobs"),
        service.get("/v1/jobs/0123456789abcdef"),
        service.post("/v1/jobs", files=[("files", ("a.nii", b"x"))]),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
    assert samples(service)["brainmets_job_list_up{}"] == 0
    assert service.get("/healthz").status_code == 200  # a restart would not help


def test_a_worker_without_memory_fails_the_job_and_not_the_service(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    client = open_service(worker_memory_bytes=3_000_000_000)
    job = wait(client, submit(client, nifti, "hungry.nii")["id"])
    assert (job["state"], job["problem"]["code"]) == ("failed", "E_MEMORY")
    assert job["problem"]["status"] == 507
    assert "smaller" in job["problem"]["remedy"]
    again = wait(client, submit(client, nifti, "modest.nii")["id"])
    assert again["state"] == "done"
    assert samples(client)['brainmets_jobs_ended_total{code="E_MEMORY",ending="failed"}'] == 1


def test_old_jobs_go_with_all_their_files(
    open_service: Callable[..., httpx.Client],
    nifti: bytes,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brainmets.api.supervisor.SWEEP_EVERY_S", 0.5)
    state = tmp_path_factory.mktemp("kept")
    client = open_service(state_dir=state, retention_hours=1 / 3600)
    path = f"/v1/jobs/{submit(client, nifti)['id']}"
    assert comes_true(lambda: client.get(path).status_code == 404, within_s=PATIENCE_S)
    assert client.get(path).json()["code"] == "E_JOB_UNKNOWN"
    assert client.get("/v1/jobs").json()["jobs"] == []
    assert comes_true(lambda: not any((state / "jobs").iterdir())), "its files are still there"
    assert samples(client)['brainmets_jobs_ended_total{code="",ending="done"}'] == 1
