"""The parts of the DICOM node: what it keeps, how it names lesions, which series it takes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from brainmets.domain.errors import (
    DicomHeader,
    DiskFull,
    OptionError,
    OutOfMemory,
    UnknownSeries,
)
from brainmets.network import child as child_module
from brainmets.network.child import Child
from brainmets.network.inbox import CHOSEN, Inbox, open_state
from brainmets.network.node import DATABASE, Node
from brainmets.network.options import (
    NodeOptions,
    ObjectRules,
    SeriesRules,
    caller_of,
    read_rules,
    target_of,
)
from brainmets.network.pipeline import first_names, followed_names, tracking_uid
from brainmets.network.quota import Quota
from brainmets.network.study_list import Study, StudyList
from brainmets.network.tasks import choose
from brainmets.tracking import Sighting, TrackedLesion
from tests.unit.io_files import head, write_dicom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class View:
    """What `followed_names` reads of a follow-up."""

    def __init__(self, jobs: list[str], *lesions: list[Sighting]) -> None:
        self.scans = [type("Scan", (), {"job": job})() for job in jobs]
        self.lesions = tuple(
            TrackedLesion(id=n, target=True, place_ras_mm=(0, 0, 0), sightings=tuple(seen))
            for n, seen in enumerate(lesions, start=1)
        )


def study(key: str, **changes: Any) -> Study:
    fields = {"patient": "p", "state": "queued", "round": 1, "received": 1.0, **changes}
    return Study(key=key, **fields)


@pytest.fixture
def study_list(tmp_path: Path) -> Iterator[StudyList]:
    study_list = StudyList(tmp_path / "network.sqlite")
    yield study_list
    study_list.close()


@pytest.fixture
def inbox(tmp_path: Path, study_list: StudyList) -> Inbox:
    return Inbox(tmp_path / "node", open_state(tmp_path / "node"), study_list, min_free_bytes=0)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_dicom(tmp_path_factory.mktemp("images"), head())


def test_image_is_kept_once_and_late_ones_begin_another_round(
    inbox: Inbox, study_list: StudyList, images: list[Path]
) -> None:
    for path in (*images[:3], images[0]):
        key = inbox.store(path.read_bytes())
    folder = inbox.folder(key) / "images"

    assert len(list(folder.iterdir())) == 3
    (one,) = study_list.studies()
    assert not inbox.complete(one, quiet_s=3600)
    assert inbox.complete(one, quiet_s=0)
    inbox.store(images[0].read_bytes())
    assert study_list.study(key) == replace(one, state="complete")
    inbox.store(images[5].read_bytes())
    assert study_list.study(key) == replace(
        one, state="receiving", round=2, received=study_list.studies()[0].received
    )
    assert {path.stat().st_mode & 0o77 for path in (inbox.folder(key), folder)} == {0}


def test_full_disk_and_nameless_objects_leave_nothing_behind(
    tmp_path: Path, study_list: StudyList, images: list[Path]
) -> None:
    keys = open_state(tmp_path / "node")
    full = Inbox(tmp_path / "node", keys, study_list, min_free_bytes=2**62)
    with pytest.raises(DiskFull):
        full.store(images[0].read_bytes())
    with pytest.raises(DicomHeader):
        full.store(b"\0" * 128 + b"DICM" + b"nonsense")
    with pytest.raises(DicomHeader):
        full.store(images[0].read_bytes().replace(b"1.2.826.0.1.3680043.8.498.2", b"." * 27))

    assert study_list.studies() == []
    assert [p for p in (tmp_path / "node" / "studies").rglob("*") if p.is_file()] == []


def test_salt_stays_and_keys_differ_between_nodes(tmp_path: Path) -> None:
    one, again, other = (open_state(tmp_path / name) for name in ("a", "a", "b"))

    assert one.of("study", "1.2.3") == again.of("study", "1.2.3") != other.of("study", "1.2.3")
    assert one.of("study", "1.2.3") != one.of("image", "1.2.3")
    assert tracking_uid(one, "p", 1) == tracking_uid(again, "p", 1) != tracking_uid(other, "p", 1)
    assert (tmp_path / "a" / "salt").stat().st_mode & 0o77 == 0


def test_study_is_answered_by_the_last_of_its_objects(
    tmp_path: Path, study_list: StudyList
) -> None:
    study_list.receive("k", "p")
    (one,) = study_list.studies()
    assert study_list.dispatch(one, ["a.dcm", "b.dcm"], ["X@h:1"], names={1: 4}) is True
    assert study_list.dispatch(one, ["a.dcm"], ["X@h:1"]) is False  # no longer as it was
    first, second = study_list.parcels("waiting")
    study_list.sent(first)
    assert [s.state for s in study_list.studies()] == ["sending"]
    study_list.unsent(second, after_s=60, problem="away", dead=False)
    assert study_list.parcels("waiting", due=0.0) == []
    study_list.unsent(second, after_s=60, problem="refused", dead=True)
    assert study_list.retry() == 1
    study_list.sent(second)
    reopened = StudyList(tmp_path / "network.sqlite")
    assert [(s.state, s.names) for s in reopened.studies()] == [("answered", {1: 4})]
    reopened.close()


def test_state_moves_once_whoever_asks_twice(study_list: StudyList) -> None:
    study_list.receive("k", "p")
    (one,) = study_list.studies()

    assert study_list.move(one, "complete") is True
    assert study_list.move(one, "complete") is False
    (complete,) = study_list.studies("complete")
    assert study_list.move(complete, "failed", problem="E_X") is True
    assert study_list.retry() == 1
    assert [(s.state, s.round) for s in study_list.studies()] == [("complete", 2)]


def test_lesions_keep_their_numbers() -> None:
    here = study("now", job="new")
    last = study("last", job="old", names={1: 5, 2: 2, 3: 9})
    view = View(
        ["old", "new"],
        [Sighting(state="first", parts=(1,)), Sighting(state="growing", parts=(2,))],
        [Sighting(state="first", parts=(2,)), Sighting(state="gone")],
        [Sighting(state="first", parts=(3,)), Sighting(state="stable", parts=(3, 4))],
        [Sighting(state="absent"), Sighting(state="new", parts=(1,))],
    )

    names = followed_names(here, [1, 2, 3, 4, 5], view, [last], taken=9)

    assert names.numbers == {2: 5, 3: 9, 1: 10, 4: 11, 5: 12}
    assert names.gone == {2: "gone"}
    assert names.changes == {2: "growing", 3: "stable", 4: "stable", 1: "new"}
    assert first_names([3, 1], 4).numbers == {1: 5, 3: 6}


def test_lesion_that_returns_has_the_number_it_had() -> None:
    here = study("now", job="c")
    earlier = [study("b", job="b", names={1: 1}), study("a", job="a", names={1: 1, 2: 2})]
    view = View(
        ["a", "b", "c"],
        [
            Sighting(state="first", parts=(1,)),
            Sighting(state="stable", parts=(1,)),
            Sighting(state="gone"),
        ],
        [
            Sighting(state="first", parts=(2,)),
            Sighting(state="gone"),
            Sighting(state="returned", parts=(1,)),
        ],
    )

    names = followed_names(here, [1], view, earlier, taken=2)

    assert names.numbers == {1: 2}
    assert names.gone == {1: "gone"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PACS@pacs.example:104", ("PACS", "pacs.example", 104)),
        ("MY PACS@[::1]:11112", ("MY PACS", "::1", 11112)),
    ],
)
def test_target_is_read(text: str, told: tuple[str, str, int]) -> None:
    target = target_of(text)
    assert (target.aet, target.host, target.port) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PACS",
        "PACS@host",
        "PACS@host:0",
        "PACS@host:70000",
        "a" * 17 + "@host:104",
        "@host:1",
        "https://",
        "https://user:word@host/dicom-web",
        "ftp://host",
        "PACS@ho st:104",
    ],
)
def test_unusable_target_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(OptionError) as refusal:
        target_of(text)
    assert "word" not in str(refusal.value)


def test_sender_is_read_with_its_address_or_without() -> None:
    assert caller_of("MR 1") == ("MR 1", None)
    aet, address = caller_of("MR 1@mr.example:104")
    assert address is not None
    assert (aet, address.text) == ("MR 1", "MR 1@mr.example:104")
    for wrong in ("", "A" * 17, "MR@host", "MR@host:0", "https://pacs.example"):
        with pytest.raises(OptionError):
            caller_of(wrong)


def test_study_of_the_expected_count_is_complete_at_once_but_only_the_first_time(
    inbox: Inbox, study_list: StudyList, images: list[Path]
) -> None:
    for path in images[:2]:
        inbox.store(path.read_bytes())
    (one,) = study_list.studies()
    assert not inbox.complete(one, quiet_s=3600, images=3)
    inbox.store(images[2].read_bytes())
    assert inbox.complete(one, quiet_s=3600, images=3)
    inbox.store(images[3].read_bytes())
    (late,) = study_list.studies()
    assert late.round == 2
    assert not inbox.complete(late, quiet_s=3600, images=3)


def test_caller_that_is_too_fast_waits_and_one_that_sends_too_much_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("brainmets.network.quota.time.monotonic", lambda: now)
    quota = Quota(images_per_minute=60, bytes_per_hour=3600)
    waits = [quota.charge("A", 10) for _ in range(13)]
    assert waits == [0.0] * 10 + [1.0, 2.0, 3.0]
    assert quota.charge("B", 10) == 0.0  # each caller has its own
    assert quota.charge("B", 3591) is None
    assert quota.charge("B", 3590) == 0.0
    now += 10.0  # ten bytes and ten images later
    assert quota.charge("B", 11) is None
    assert quota.charge("B", 10) == 0.0
    assert quota.charge("A", 10) == 0.0
    for number in range(3000):
        quota.charge(f"caller {number}", 1)
    assert len(quota._accounts) <= 1000


def test_rules_are_read_and_wrong_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("[series]\nmin_slices = 50\n[node]\nquiet_s = 5.0\n")
    assert read_rules(path) == {
        "quiet_s": 5.0,
        "rules": SeriesRules(min_slices=50),
        "objects": ObjectRules(),
    }
    path.write_text('[objects]\nalso = ["captures"]\nseries_number = 700\n[node]\nimages = 3\n')
    told = read_rules(path)
    assert (told["objects"].also, told["objects"].series_number) == (("captures",), 700)
    assert told["images"] == 3
    for wrong in (
        '[objects]\nseries_description = "a\\\\b"',
        "[objects]\nseries_number = 0",
        '[objects]\nalso = ["pdf"]',
        "[node]\nmax_images_per_minute = 0",
        "[series]\nslices = 1",
        "[other]",
        "nonsense",
        '[series]\nwithout = "("',
    ):
        path.write_text(wrong)
        with pytest.raises(OptionError):
            read_rules(path)


def test_series_is_chosen_by_rules(tmp_path: Path) -> None:
    study_folder = tmp_path / "images"
    fine = head((30, 36, 24))
    write_dicom(study_folder / "a", head((20, 24, 22)), number=2)
    write_dicom(study_folder / "b", fine, number=3, SeriesDescription="T1 mprage post")
    write_dicom(study_folder / "c", fine, number=4, SeriesDescription="T1 mprage post SUB")
    write_dicom(study_folder / "d", fine, number=5, SeriesDescription="AX T2 FLAIR")
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(p for p in study_folder.rglob("*") if p.is_file()):
        shutil.copy(path, flat / f"{number}.dcm")
    rules = SeriesRules(max_slice_mm=10)

    told = choose(flat, tmp_path / "round", rules.model_copy(update={"description": "mprage"}))

    assert told == {"files": 24, "day": None}
    assert len(list((tmp_path / "round" / CHOSEN).iterdir())) == 24
    with pytest.raises(UnknownSeries):
        choose(flat, tmp_path / "round", rules.model_copy(update={"min_slices": 99}))


def test_child_that_dies_or_hangs_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = Child()
    task = {"task": "choose", "images": str(tmp_path / "no"), "round": str(tmp_path), "rules": {}}
    try:
        with pytest.raises(Exception, match="E_FILE_MISSING"):
            child.ask(**task)
        assert child._process is not None
        child._process.kill()
        child._process.wait()
        with pytest.raises(Exception, match="E_FILE_MISSING"):
            child.ask(**task)
        monkeypatch.setattr(child_module, "WITHIN_S", 0.0)
        with pytest.raises(OutOfMemory):
            child.ask(**task)
    finally:
        child.close()
    assert child._process is None


def test_child_is_started_before_its_first_task_and_once(tmp_path: Path) -> None:
    child = Child()
    try:
        child.prepare()
        assert child._process is not None
        begun = child._process.pid
        child.prepare()
        with pytest.raises(Exception, match="E_FILE_MISSING"):
            child.ask(task="choose", images=str(tmp_path / "no"), round=str(tmp_path), rules={})
        assert child._process.pid == begun
    finally:
        child.close()


def test_node_refuses_what_would_be_open_to_anybody(tmp_path: Path) -> None:
    options = NodeOptions(
        host="192.0.2.1", targets=(target_of("PACS@host:104"),), state=tmp_path / "node"
    )
    with pytest.raises(OptionError, match="--from"):
        Node(options)


def test_two_nodes_do_not_share_a_folder(tmp_path: Path) -> None:
    options = NodeOptions(port=0, targets=(target_of("PACS@host:104"),), state=tmp_path / "node")
    first = Node(options)
    try:
        with pytest.raises(OptionError, match="--state"):
            Node(options)
    finally:
        first.stop()
    Node(options).stop()


def test_command_lists_what_waits_and_begins_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from brainmets.cli.run import run

    node = tmp_path / "node"
    open_state(node)
    study_list = StudyList(node / DATABASE)
    study_list.receive("0123456789abcdef", "p")
    (one,) = study_list.studies()
    study_list.move(one, "failed", problem="E_SERIES_UNKNOWN")
    study_list.close()
    for words in (["--list"], ["--retry"], ["--list"]):
        with pytest.raises(SystemExit) as end:
            run(["listen", *words, "--state", str(node)])
        assert end.value.code == 0

    told = capsys.readouterr().out
    assert "study 01234567  failed  E_SERIES_UNKNOWN" in told
    assert "1 begun again" in told
    assert "study 01234567  complete\n" in told


@pytest.mark.parametrize(
    "words",
    [[], ["--send-to", "nobody"], ["--send-to", "PACS@h:1", "--aet", "LONGER THAN SIXTEEN"]],
)
def test_command_refuses_unusable_options(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from brainmets.cli.run import run

    with pytest.raises(SystemExit) as end:
        run(["listen", "--state", str(tmp_path / "node"), *words])

    assert end.value.code == 2
    assert "E_OPTION" in capsys.readouterr().err
