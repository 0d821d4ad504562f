"""The OpenAPI schema: complete, with examples that hold, and true of every owner's door."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from brainmets.api.app import create_app
from brainmets.api.problems import RETRIED
from brainmets.api.settings import Settings
from brainmets.domain import errors
from tests.unit.api_server import serving
from tests.unit.test_api_jobs import STAND_IN, nifti, submit, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

__all__ = ["nifti"]

OPEN = {"get_health", "get_readiness"}
VALUES = {"index": "1", "number": "1", "part": "labels.u8", "name": "lesions.csv"}
"""Plausible values of path parameters that name no one's property."""

BODIES: dict[str, Any] = {
    "choose_series": {"series": "1.2.3"},
    "submit_again": {},
    "save_review": {},
    "measure_drawing": {"drawn": ""},
    "start_job": {"image": 1},
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(Settings(state_dir=tmp_path_factory.mktemp("schema"))).openapi()


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_answer_has_an_example_that_its_schema_allows(schema: dict[str, Any]) -> None:
    seen = 0
    for method, path, operation in operations(schema):
        assert operation["description"], (method, path)
        for status, answer in operation["responses"].items():
            assert answer["description"], (method, path, status)
            if status == "204":
                continue
            assert answer["content"], (method, path, status)
            for media_type, content in answer["content"].items():
                if content.get("schema", {}).get("format") == "binary":
                    continue
                values = [content["example"]] if "example" in content else []
                values += [one["value"] for one in content.get("examples", {}).values()]
                assert values, (method, path, status, media_type)
                for value in values:
                    seen += 1
                    described = content.get("schema") or content["itemSchema"]  # of a stream
                    allowed = described | {"components": schema["components"]}
                    jsonschema.validate(value, allowed)
    assert seen > 100


def test_every_refusal_is_documented_with_its_code_and_status(schema: dict[str, Any]) -> None:
    known = errors.all_errors()
    for method, path, operation in operations(schema):
        if operation["operationId"] in OPEN:
            continue
        refusals = {s: a for s, a in operation["responses"].items() if int(s) >= 400}
        assert {"401", "403", "500", "503"} <= set(refusals), (method, path)
        assert "HTTPValidationError" not in str(refusals), (method, path)
        if operation.get("parameters"):
            assert "E_REQUEST" in str(refusals["422"]), (method, path)
        if "requestBody" in operation:
            assert {"408", "413", "422"} <= set(refusals), (method, path)
        for status, answer in refusals.items():
            assert ("Retry-After" in answer.get("headers", {})) == (int(status) in RETRIED)
            for code, example in answer["content"]["application/problem+json"]["examples"].items():
                assert code in known, code
                assert example["value"]["code"] == code
                assert example["value"]["status"] == int(status)
                assert example["value"]["remedy"], code


@pytest.fixture
def guarded(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    keys = ",".join(
        f"{name}:{hashlib.sha256(key).hexdigest()}"
        for name, key in (("anna", b"a-key"), ("ben", b"b-key"))
    )
    settings = Settings(state_dir=tmp_path, runner=STAND_IN, min_free_bytes=0, api_keys_sha256=keys)
    with serving(create_app(settings)) as client:
        yield client


def test_no_route_opens_to_strangers_or_to_another_owner(
    guarded: httpx.Client, nifti: bytes
) -> None:
    guarded.headers["Authorization"] = "Bearer a-key"
    job = wait(guarded, submit(guarded, nifti)["id"])
    assert job["state"] == "done", job
    upload = guarded.post("/v1/uploads", files=[("files", ("a.nii", nifti))]).json()
    owned = {"job_id": job["id"], "upload_id": upload["id"]}
    schema = guarded.get("/openapi.json").json()
    shut, owned_routes, values = 0, 0, VALUES | owned
    for method, path, operation in operations(schema):
        name = operation["operationId"]
        filled = re.sub(r"{(\w+)}", lambda found: values.get(found[1], "0" * 16), path)
        body = {"json": BODIES[name]} if name in BODIES else {}
        guarded.headers["Authorization"] = "Bearer no-key"
        answer = guarded.request(method, filled, **body)
        assert (answer.status_code == 401) == (name not in OPEN), (name, answer.text)
        shut += answer.status_code == 401
        if not set(re.findall(r"{(\w+)}", path)) & set(owned):
            continue
        owned_routes += 1
        guarded.headers["Authorization"] = "Bearer b-key"
        answer = guarded.request(method, filled, **body)
        assert answer.status_code == 404, (name, answer.status_code, answer.text)
        assert answer.json()["code"] == "E_JOB_UNKNOWN"
    assert shut > 15
    assert owned_routes > 12
    guarded.headers["Authorization"] = "Bearer b-key"
    assert guarded.get("/v1/jobs").json()["jobs"] == []
    guarded.headers["Authorization"] = "Bearer a-key"
    assert guarded.get(f"/v1/jobs/{job['id']}").json()["state"] == "done"
    assert guarded.get(f"/v1/uploads/{upload['id']}").status_code == 200


def test_the_documentation_shows_every_operation_and_loads_nothing(guarded: httpx.Client) -> None:
    guarded.headers["Authorization"] = "Bearer a-key"
    schema = guarded.get("/openapi.json").json()
    answer = guarded.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for path, operations in schema["paths"].items():
        for method in operations:
            assert f"<b>{method.upper()} {path}</b>" in answer.text
    assert "not for clinical use" in answer.text
    assert not re.search(r"<script|<link|src=|https?://", answer.text)
