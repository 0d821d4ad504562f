"""The follow-up page's logic, with the service played by a mock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from brainmets.ui import connection

if TYPE_CHECKING:
    from collections.abc import Callable

IDS = ("a" * 16, "b" * 16)
FOLLOWUP = "c" * 16
JOBS = [
    {"id": IDS[0], "state": "done", "created": 0.0, "label": "january.nii.gz"},
    {"id": IDS[1], "state": "done", "created": 9.0, "label": "april.nii.gz"},
    {"id": "d" * 16, "state": "failed", "created": 9.0, "label": "broken.nii.gz"},
    {
        "id": FOLLOWUP,
        "state": "done",
        "created": 9.0,
        "label": "an earlier follow-up",
        "options": {"followup": {"jobs": IDS, "days": [0, 62]}},
    },
]
PROBLEM = {
    "type": "urn:brainmets:E_PATIENT",
    "title": "t",
    "status": 422,
    "code": "E_PATIENT",
    "detail": "d",
    "found": "scans whose headers name 2 patients",
    "expected": "one",
    "remedy": "give that patient's",
}


def script() -> None:
    import streamlit as st

    from brainmets.ui.connection import make_client
    from brainmets.ui.followup_page import show_followups

    with make_client() as client:
        show_followups(client)
    st.caption("drawn")


@pytest.fixture
def open_page(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[AppTest, list[httpx.Request]]]:
    def start(answers: dict[str, Any], **query: str) -> tuple[AppTest, list[httpx.Request]]:
        asked: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(200, json=answers[f"{request.method} {request.url.path}"])

        for name in (connection.URL_VARIABLE, connection.BROWSER_VARIABLE):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(connection, "transport", httpx.MockTransport(answer))
        page = AppTest.from_function(script, default_timeout=60)
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page, asked

    return start


def posted(asked: list[httpx.Request]) -> dict[str, Any]:
    (request,) = (one for one in asked if one.method == "POST")
    return json.loads(request.content)


def test_it_says_what_it_needs(open_page: Any) -> None:
    page, _ = open_page({"GET /v1/jobs": {"jobs": JOBS[:1]}})
    assert "at least two finished results" in page.info[0].value
    assert not page.button


def test_finished_scans_are_offered_and_follow_ups_are_not(open_page: Any) -> None:
    page, _ = open_page({"GET /v1/jobs": {"jobs": JOBS}})
    offered = page.multiselect[0].options
    assert [text.split(" · ")[0] for text in offered] == ["january.nii.gz", "april.nii.gz"]
    assert page.button(key="follow").disabled


def test_the_choice_and_the_dates_reach_the_service(open_page: Any) -> None:
    running = {"id": FOLLOWUP, "state": "queued", "created": 0.0}
    answers = {
        "GET /v1/jobs": {"jobs": JOBS},
        "POST /v1/followups": running,
        f"GET /v1/jobs/{FOLLOWUP}": running,
    }
    page, asked = open_page(answers)
    page.multiselect[0].set_value([IDS[1], IDS[0]]).run()
    page.radio(key="dates").set_value("given").run()
    page.text_input(key=f"date-{IDS[1]}").set_value("2024-04-02")
    page.text_input(key=f"date-{IDS[0]}").set_value(" 2024-01-31 ")
    page.radio(key="measurable").set_value(5.0).run()
    page.button(key="follow").click().run()

    assert not page.exception
    assert posted(asked) == {
        "jobs": [IDS[1], IDS[0]],
        "dates": ["2024-04-02", "2024-01-31"],
        "measurable_mm": 5.0,
        "same_patient": False,
    }
    assert FOLLOWUP in page.query_params["job"]
    assert page.button(key="cancel")


def test_several_names_for_one_patient_can_be_overruled(open_page: Any) -> None:
    refused = {
        "id": FOLLOWUP,
        "state": "failed",
        "created": 0.0,
        "problem": PROBLEM,
        "options": {"followup": {"jobs": IDS, "days": [0, 62], "measurable_mm": 10.0}},
    }
    answers = {
        f"GET /v1/jobs/{FOLLOWUP}": refused,
        "POST /v1/followups": {"id": FOLLOWUP, "state": "queued", "created": 0.0},
    }
    page, asked = open_page(answers, job=FOLLOWUP)
    assert "E\\_PATIENT" in page.error[0].value
    page.button(key="despite").click().run()
    assert posted(asked) == {
        "jobs": list(IDS),
        "dates": ["0", "62"],
        "measurable_mm": 10.0,
        "same_patient": True,
    }


def test_a_cancelled_follow_up_says_so(open_page: Any) -> None:
    cancelled = {"id": FOLLOWUP, "state": "cancelled", "created": 0.0, "label": "x"}
    page, _ = open_page({f"GET /v1/jobs/{FOLLOWUP}": cancelled}, job=FOLLOWUP)
    assert "cancelled" in page.info[0].value
    page.button(key="another").click()
