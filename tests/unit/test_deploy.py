"""The files of deploy/ are such that their programs would take them; no Docker runs here."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import yaml

from brainmets.api.metrics import Metrics
from brainmets.api.settings import Settings
from brainmets.network.metrics import NodeMetrics
from brainmets.network.study_list import StudyList

if TYPE_CHECKING:
    from pathlib import Path

NAME = re.compile(r"brainmets_[a-z_]+")
VARIABLE = re.compile(r"\bBRAINMETS_[A-Z0-9_]+\b")
ENDINGS = ("_total", "_bucket", "_sum", "_count")


def names_of(folder: Path) -> set[str]:
    """Every series that service and node serve."""
    metrics = Metrics()
    study_list = StudyList(folder / "network.sqlite")
    text = metrics.page({"queued": 1})
    try:
        node = {one.name for one in NodeMetrics(study_list, 0).collect()}
    finally:
        study_list.close()
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) | node


def plain(name: str, known: set[str]) -> str:
    """A series without what Prometheus adds to a histogram's name."""
    for ending in ENDINGS:
        if name not in known and name.endswith(ending):
            return name.removesuffix(ending)
    return name


def test_every_alert_asks_for_a_series_that_there_is(repository: Path, tmp_path: Path) -> None:
    rules = yaml.safe_load((repository / "deploy" / "alerts.yml").read_text())
    known = names_of(tmp_path)
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 10
    asked = {name for rule in alerts for name in NAME.findall(rule["expr"])}
    assert len(asked) >= 7
    for name in asked:
        assert plain(name, known) in known or name in known, name
    for rule in alerts:
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["annotations"]["summary"]


def test_compose_has_two_workers_a_database_a_node_and_a_pacs(repository: Path) -> None:
    text = (repository / "deploy" / "compose.yml").read_text()
    services = yaml.safe_load(text)["services"]
    assert set(services) == {"database", "service", "worker", "node", "orthanc"}
    assert services["worker"]["deploy"]["replicas"] == 2
    for name in ("service", "worker", "node"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    known = {f"BRAINMETS_{field.upper()}" for field in Settings.model_fields}
    assert set(VARIABLE.findall(text)) <= known | {"BRAINMETS_API_KEY"}


def test_image_runs_as_nobody_in_particular_and_says_whether_it_is_well(repository: Path) -> None:
    text = (repository / "deploy" / "Dockerfile").read_text()
    lines = text.replace("\\\n", " ").splitlines()
    assert "USER 10001:10001" in lines
    assert lines.index("USER 10001:10001") > max(
        n for n, line in enumerate(lines) if line.startswith("RUN")
    )
    assert "/api/healthz" in next(line for line in text.splitlines() if "CMD" in line)
    recipe = (repository / "deploy" / "brainmets.def").read_text()
    install = next(line for line in lines if "pip install" in line)
    (wanted,) = re.findall(r"pip install [^&]*?\"\S+\"", install)
    assert wanted in recipe  # both hold the same


def test_module_of_mercure_is_one(repository: Path) -> None:
    module = json.loads((repository / "deploy" / "mercure-module.json").read_text())
    told = module["modules"]["brainmets"]
    entry = json.loads(told["docker_arguments"])["entrypoint"]
    assert entry in (repository / "deploy" / "Dockerfile").read_text()
    assert json.loads(told["environment"])
    subprocess.run(["sh", "-n", repository / "deploy" / "mercure-module.sh"], check=True)
