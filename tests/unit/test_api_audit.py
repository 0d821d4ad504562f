"""The audit file: who did what with which job, and when; nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from brainmets.api.app import create_app
from brainmets.api.audit import Audit
from brainmets.api.settings import Settings
from tests.unit.api_server import serving

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KEY = "a key of the radiology department"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_line_is_appended_and_the_file_may_be_rotated_or_fail(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.note("radiology", "submit_job", job="0123456789abcdef")
    path.rename(tmp_path / "audit.1")
    audit.note("node", "sent", study="ab", to="PACS@host:104")
    (first,), (second,) = lines(tmp_path / "audit.1"), lines(path)
    assert (first["who"], first["what"], first["job"]) == (
        "radiology",
        "submit_job",
        "0123456789abcdef",
    )
    assert second["when"].endswith("+00:00")
    assert path.stat().st_mode & 0o77 == 0
    Audit(tmp_path / "no folder" / "audit").note("node", "sent")
    Audit(None).note("node", "sent")


def test_changes_downloads_and_refused_keys_are_noted_and_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{repository / 'src'}:{repository}")
    path = tmp_path / "audit.jsonl"
    settings = Settings(
        state_dir=tmp_path / "state",
        runner="tests.unit.api_stand_in:segment",
        min_free_bytes=0,
        audit_file=path,
        api_keys_sha256=f"radiology:{hashlib.sha256(KEY.encode()).hexdigest()}",
    )
    with serving(create_app(settings)) as http:
        headers = {"Authorization": f"Bearer {KEY}"}
        files = {"files": ("MUSTERFRAU.nii", b"4711-secret")}
        job = http.post("/v1/jobs", files=files, headers=headers).json()["id"]
        http.get(f"/v1/jobs/{job}", headers=headers)
        http.get("/healthz")
        http.get(f"/v1/jobs/{job}/files/mask.nii.gz", headers=headers)
        http.get("/v1/jobs?text=MUSTERFRAU", headers=headers)
        http.delete(f"/v1/jobs/{job}", headers=headers)
        assert http.delete(f"/v1/jobs/{job}", headers={"Authorization": "Bearer x"}).is_error

    noted = [(one["who"], one["what"], one.get("job")) for one in lines(path)]
    assert noted[0][:2] == ("radiology", "submit_job")
    assert [one[:2] for one in noted] == [
        ("radiology", "submit_job"),
        ("radiology", "get_file"),
        ("radiology", "delete_job"),
        ("-", "refused"),
    ]
    assert noted[2][2] == job
    for secret in ("MUSTERFRAU", "4711", KEY):
        assert secret not in path.read_text()
