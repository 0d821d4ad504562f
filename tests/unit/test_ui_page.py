"""The page's logic, with the service played by a mock: what it asks, shows and says."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from brainmets.api.schemas import JobView
from brainmets.api.settings import Settings
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import OptionError
from brainmets.ui import connection, work
from brainmets.ui.progress import overall
from brainmets.ui.server import page_config, serve
from brainmets.ui.start import DEMO_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JOB = {"id": "j1", "state": "done", "created": 0.0, "label": "SMITH_*head*.nii"}
MODELS = [{"name": "attention-unet-3d", "dims": 3}]
LESION = {
    "id": 1,
    "voxels": 10,
    "volume_mm3": 10.0,
    "diameter_in_plane_mm": 3.0,
    "perpendicular_mm": 2.0,
    "diameter_3d_mm": 3.0,
    "centroid_ras_mm": [1.0, 2.0, 3.0],
    "centroid_voxel": [1.0, 2.0, 3.0],
    "slice_index": 3,
    "side": "right",
    "peak_probability": 0.9,
    "mean_probability": 0.8,
}
RESULT = {
    "kind": "volume",
    "lesions": [LESION],
    "warnings": ["The head is cut off at the top"],
    "provenance": {
        "model": "attention-unet-3d",
        "model_sha256": "a" * 64,
        "code_version": "0",
        "engine": "openvino",
        "input_sha256": "b" * 64,
    },
    "view": {
        "shape": [4, 4, 4],
        "spacing_mm": [1, 1, 1],
        "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        "levels": [0, 1],
        "window": [0, 4095],
        "native_shape": [4, 4, 4],
        "kind": "volume",
    },
    "operating_point": {"threshold": 0.4, "peak": 0.6},
}
FILES = [
    {"name": "mask.nii.gz", "size": 1234, "media_type": "application/gzip"},
    {"name": "lesions.csv", "size": 99, "media_type": "text/csv"},
]
Answers = dict[tuple[str, str], Any]


def problem(code: str, status: int) -> httpx.Response:
    body = {
        "type": f"urn:brainmets:{code}",
        "title": "t",
        "status": status,
        "code": code,
        "detail": "d",
        "found": "a text file",
        "expected": "an image",
        "remedy": "export it again",
    }
    return httpx.Response(status, content=json.dumps(body))


@pytest.fixture
def open_page(
    monkeypatch: pytest.MonkeyPatch, repository: Path
) -> Callable[..., tuple[AppTest, list[httpx.Request]]]:
    def start(answers: Answers, **query: str) -> tuple[AppTest, list[httpx.Request]]:
        asked: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            found = answers.get((request.method, request.url.path))
            if isinstance(found, Exception):
                raise found
            if isinstance(found, httpx.Response):
                return found
            return httpx.Response(200, json=found) if found is not None else problem("E_JOB", 500)

        for name in (connection.URL_VARIABLE, connection.BROWSER_VARIABLE):
            monkeypatch.delenv(name, raising=False)  # a server of an earlier test sets them
        monkeypatch.setattr(connection, "transport", httpx.MockTransport(answer))
        page = AppTest.from_file(repository / "src/brainmets/ui/page.py", default_timeout=30)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page, asked

    return start


def texts(page: AppTest) -> str:
    kinds = (page.markdown, page.error, page.warning, page.info, page.caption, page.code)
    html = [block.proto.body for block in page.get("html")]
    return "\n".join([*(item.value for kind in kinds for item in kind), *html])


def test_the_start_offers_the_sample_and_the_models(open_page: Any) -> None:
    page, asked = open_page(
        {("GET", "/v1/models"): MODELS, ("POST", "/v1/jobs/sample"): JOB | {"state": "queued"}}
        | {("GET", "/v1/jobs/j1"): JOB | {"state": "queued"}}
    )
    assert RESEARCH_USE_ONLY in texts(page)
    page.button(key="sample").click().run()
    assert page.query_params["job"] == "j1"
    assert ("POST", "/v1/jobs/sample") in {(r.method, r.url.path) for r in asked}
    assert "Queued" in str(page.get("progress")[0].proto)


def test_without_the_service_the_page_says_what_to_type(open_page: Any) -> None:
    page, _ = open_page({("GET", "/v1/models"): httpx.ConnectError("refused")})
    assert "E\\_SERVICE" in page.error[0].value
    assert "uvicorn app.main:app" in texts(page)
    assert RESEARCH_USE_ONLY in texts(page)


def test_where_a_key_is_asked_for_the_page_asks_instead_of_complaining(open_page: Any) -> None:
    page, asked = open_page({("GET", "/v1/models"): problem("E_UNAUTHORISED", 401)})
    assert not page.error
    assert [request.url.path for request in asked] == ["/v1/models"]
    assert RESEARCH_USE_ONLY in texts(page)


def test_a_stranger_on_the_port_is_not_taken_for_the_service(open_page: Any) -> None:
    page, _ = open_page({("GET", "/v1/models"): httpx.Response(502, text="<html>")})
    assert "not from brainmets" in page.error[0].value


def test_a_result_comes_back_with_its_address(open_page: Any) -> None:
    job = JOB | {"result": RESULT, "files": FILES}
    page, _ = open_page({("GET", "/v1/jobs/j1"): job}, job="j1")
    shown = texts(page)
    assert "SMITH_*head*.nii" in shown
    assert "The head is cut off at the top" in shown
    assert "attention" in shown


def test_the_workbench_is_told_numbers_and_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "browser_access", lambda: {"base": "/api", "token": ""})
    job = JobView.model_validate(JOB | {"result": RESULT, "files": FILES})
    assert job.result is not None
    told = work.workbench_data(job, job.result)
    assert told["files"] == ["mask.nii.gz", "lesions.csv"]
    assert told["lesions"][0]["volume_mm3"] == 10.0
    assert "SMITH" not in json.dumps(told)


def test_another_model_is_asked_and_shown_beside(open_page: Any) -> None:
    job = JOB | {"result": RESULT, "files": FILES}
    other = job | {"id": "j2"}
    page, asked = open_page(
        {
            ("GET", "/v1/jobs/j1"): job,
            ("GET", "/v1/jobs/j2"): other,
            ("GET", "/v1/models"): [*MODELS, {"name": "unet-plus-plus-3d", "dims": 3}],
            ("POST", "/v1/jobs/j1/again"): other | {"state": "queued"},
        },
        job="j1",
    )
    page.button(key="compare").click().run()
    assert page.query_params["with"] == "j2"
    (sent,) = [request for request in asked if request.method == "POST"]
    assert json.loads(sent.content)["model"] == "unet-plus-plus-3d"
    page.button(key="stop-comparing").click().run()
    assert "with" not in page.query_params


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_without_result_says_why(open_page: Any, state: str) -> None:
    why = json.loads(problem("E_NOT_NIFTI", 422).content) if state == "failed" else None
    page, _ = open_page({("GET", "/v1/jobs/j1"): JOB | {"state": state, "problem": why}}, job="j1")
    if state == "failed":
        assert page.error[0].value.startswith("**E\\_NOT\\_NIFTI**")
        assert "export it again." in page.error[0].value
    else:
        assert "cancelled" in page.info[0].value
    page.button(key="another").click()


def test_the_series_question_is_answered(open_page: Any) -> None:
    series = [
        {"uid": "1.1", "description": "MR 3 slices", "slices": 3, "number": 1},
        {"uid": "1.2", "description": "MR 180 slices", "slices": 180, "number": 2, "guess": "t1c"},
    ]
    waiting = JOB | {"state": "needs_choice", "series": series}
    page, asked = open_page(
        {("GET", "/v1/jobs/j1"): waiting, ("POST", "/v1/jobs/j1/series"): waiting}, job="j1"
    )
    assert page.radio(key="series").value == "1.2"
    page.radio(key="series").set_value("1.1")
    page.button[0].click().run()
    (sent,) = [r for r in asked if r.method == "POST"]
    assert json.loads(sent.content) == {"series": "1.1"}


def test_an_unknown_job_leads_back_to_the_start(open_page: Any) -> None:
    page, _ = open_page(
        {("GET", "/v1/jobs/j1"): problem("E_JOB_UNKNOWN", 404), ("GET", "/v1/models"): MODELS},
        job="j1",
    )
    assert "E\\_JOB\\_UNKNOWN" in page.error[0].value
    page.button[0].click().run()
    assert "job" not in page.query_params
    assert page.button(key="sample")


def test_demo_opens_on_the_sample_once(open_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEMO_VARIABLE, "1")
    job = JOB | {"result": RESULT, "files": FILES}
    page, _ = open_page(
        {
            ("POST", "/v1/jobs/sample"): job,
            ("GET", "/v1/jobs/j1"): job,
            ("GET", "/v1/models"): MODELS,
        }
    )
    assert page.query_params["job"] == "j1"
    page.button(key="another").click().run()
    assert page.button(key="sample")


def test_the_bar_only_moves_forward() -> None:
    stages = [
        (s, d) for s in ("read", "prepare", "segment", "measure", "write") for d in (0, 0.5, 1)
    ]
    shares = [overall(stage, done) for stage, done in stages]
    assert shares == sorted(shares)
    assert (shares[0], round(shares[-1], 6)) == (0, 1)


def test_one_process_keeps_the_look_and_the_limits() -> None:
    config = page_config()
    assert config["theme.dark.primaryColor"].startswith("#")
    assert config["server.maxUploadSize"] == 2048
    assert config["browser.gatherUsageStats"] is False


@pytest.mark.parametrize("host", ["192.0.2.7", "example.org"])
def test_others_are_not_served_without_keys(host: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no API key"):
        serve(host, 0, settings=Settings(state_dir=tmp_path))


def test_a_taken_port_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OptionError, match="--port"):
            serve(port=taken.getsockname()[1], settings=Settings(state_dir=tmp_path))


def test_both_front_doors_have_the_same_look(repository: Path) -> None:
    beside_script = repository / "app" / ".streamlit" / "config.toml"
    in_package = repository / "src" / "brainmets" / "ui" / ".streamlit" / "config.toml"
    assert beside_script.read_text() == in_package.read_text()
    assert "gatherUsageStats = false" in in_package.read_text()
