"""The files of deploy/ are such that their programs would take them; no Docker runs here."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml

from brainmets.api.metrics import Metrics
from brainmets.api.settings import Settings
from brainmets.cli.app import app
from brainmets.network.metrics import NodeMetrics
from brainmets.network.options import NodeOptions, caller_of, target_of
from brainmets.network.study_list import StudyList

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]

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


def understood(words: list[str]) -> dict[str, Any]:
    """What a command line of brainmets says, read by the command itself but not run."""
    command = COMMANDS[words[0]]
    return command.make_context(words[0], list(words[1:])).params


@pytest.fixture
def compose(repository: Path) -> dict[str, Any]:
    return yaml.safe_load((repository / "deploy" / "compose.yml").read_text())


def test_every_command_of_compose_is_one_of_brainmets(compose: dict[str, Any]) -> None:
    told = {name: one.get("command") for name, one in compose["services"].items()}
    ours = {name: words for name, words in told.items() if words}
    assert set(ours) == {"service", "worker", "node"}
    for words in ours.values():
        understood(words)
    with pytest.raises(Exception, match="No such option"):
        understood([*ours["node"], "--sent-to=X"])


def test_compose_names_what_there_is(compose: dict[str, Any], repository: Path) -> None:
    services, volumes = compose["services"], compose["volumes"]
    exposed = set(re.findall(r"EXPOSE (.*)", (repository / "deploy" / "Dockerfile").read_text()))
    ports = {port for line in exposed for port in line.split()}
    for name, one in services.items():
        mounted = [volume.partition(":")[0] for volume in one.get("volumes", [])]
        assert set(mounted) <= set(volumes), name
        assert set(one.get("depends_on", {})) <= set(services), name
        for waited, how in one.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in services[waited]
        if name in {"service", "node"}:
            assert {port.rpartition(":")[2] for port in one["ports"]} <= ports
            state = one["environment"]["BRAINMETS_STATE_DIR"]
            assert f"VOLUME {state}" in (repository / "deploy" / "Dockerfile").read_text()
            assert any(volume.endswith(f":{state}") for volume in one["volumes"])


def test_node_and_orthanc_of_compose_know_each_other(compose: dict[str, Any]) -> None:
    services = compose["services"]
    told = understood(services["node"]["command"])
    orthanc = services["orthanc"]["environment"]
    (target,) = [target_of(text) for text in told["send_to"]]
    assert (target.aet, target.host) == (orthanc["ORTHANC__DICOM_AET"], "orthanc")
    assert f"{target.port}:{target.port}" in services["orthanc"]["ports"]
    assert [caller_of(text)[0] for text in told["callers"]] == [target.aet]
    fields = NodeOptions.model_fields
    (known,) = json.loads(orthanc["ORTHANC__DICOM_MODALITIES"]).values()
    assert known == [fields["aet"].default, "node", fields["port"].default]
    assert (told["aet"], told["port"]) == (known[0], known[2])
    assert f"{known[2]}:{known[2]}" in services["node"]["ports"]
    assert told["service"] == "http://service:8501/api"
    assert understood(services["service"]["command"])["port"] == 8501


def test_ohif_asks_the_address_at_which_orthanc_has_dicomweb(repository: Path) -> None:
    text = (repository / "deploy" / "ohif-app-config.js").read_text()
    roots = set(re.findall(r"(?:qidoRoot|wadoRoot|wadoUriRoot): \"([^\"]+)\"", text))
    assert roots == {"/dicom-web"}  # the plugin's own default, and that of tests.unit.orthanc
    named = re.findall(r"(?:sourceName|defaultDataSourceName): \"([^\"]+)\"", text)
    assert len(named) == 2
    assert len(set(named)) == 1
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")


def test_script_of_mercure_calls_commands_that_there_are(repository: Path) -> None:
    text = (repository / "deploy" / "mercure-module.sh").read_text()
    calls = [line for line in text.splitlines() if line.startswith("brainmets ")]
    told = [understood(shlex.split(line)[1:]) for line in calls]
    assert [shlex.split(line)[1] for line in calls] == ["segment", "export"]
    assert "sr" in str(told[1])
