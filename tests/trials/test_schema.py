"""Requests made at random from the OpenAPI schema: no server error, no undocumented answer."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.trials.service import Service, head

if TYPE_CHECKING:
    from pathlib import Path

    from schemathesis.schemas import APIOperation

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

FATAL = {"delete_job", "delete_upload"}
"""What would take the known job or upload away from the others."""

MOSTLY = st.sampled_from((True, True, True, False))
"""Whether a request is about the job and the upload that are there."""


def things(url: str) -> dict[str, str]:
    """A finished job and an upload, so that not every answer is 404."""
    with httpx.Client(base_url=url, timeout=300) as client:
        files = [("files", ("head.nii", head()))]
        job = client.post("/v1/jobs", files=files).json()["id"]
        with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            assert '"done"' in list(stream.iter_lines())[-2]
        upload = client.post("/v1/uploads", files=files).json()["id"]
        client.get(f"/v1/uploads/{upload}").raise_for_status()
    return {"job_id": job, "upload_id": upload}


def try_out(
    operation: APIOperation[Any], known: dict[str, str], answers: Counter[str], *, examples: int
) -> list[str]:
    """Send requests that the schema allows, and as many that it does not; return what failed."""
    faults: list[str] = []
    name = operation.definition.raw["operationId"]

    def send(case: schemathesis.Case, *, to_known: bool) -> None:
        if to_known and name not in FATAL and isinstance(case.path_parameters, dict):
            chosen = {k: v for k, v in known.items() if k in case.path_parameters}
            case.path_parameters |= chosen
        response = case.call(timeout=600)
        answers[f"{name} {response.status_code}"] += 1
        case.validate_response(response, checks=CHECKS)

    for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
        bounded = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        nothing_to_negate = Unsatisfiable if mode is GenerationMode.NEGATIVE else ()
        with suppress(nothing_to_negate):
            strategy = operation.as_strategy(generation_mode=mode)
            try:
                bounded(given(case=strategy, to_known=MOSTLY)(send))()
            except FailureGroup as group:
                faults.append(f"{name}: {group.exceptions}")
    return faults


@pytest.mark.parametrize("examples", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_whatever_the_schema_allows_or_forbids_is_answered_as_documented(
    tmp_path: Path, examples: int
) -> None:
    answers: Counter[str] = Counter()
    with Service(tmp_path / "state", max_waiting=100_000, worker_memory_bytes=0) as service:
        known = things(service.url)
        schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        faults = [
            fault
            for operation in operations
            for fault in try_out(operation, known, answers, examples=examples)
        ]
        assert service.alive
        log = service.log.read_text()
    codes = Counter(answer.split()[1] for answer in answers.elements())
    print(f"\n{len(operations)} operations, {answers.total()} requests: {dict(codes)}")
    assert not faults, "\n".join(faults)
    assert len(operations) > 20
    assert not [answer for answer in answers if answer.split()[1] >= "500"]
    assert codes["200"] > 12 * examples // 2, "most answers are not about nothing"
    assert "Traceback" not in log
