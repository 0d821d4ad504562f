"""The fault table: what happens, what the user sees, what recovers by itself, which test shows it.

`docs/reference/faults.md` is made of it by `make docs`. A row without a test does not exist.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAULTS", "Fault", "fault", "faults_page", "tests_in"]

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row; `shown_by` names tests as `path::function`."""

    fault: str
    user_sees: str
    recovery: str
    shown_by: tuple[str, ...]
    name: str = ""
    """What the test that compares the following two with a real server calls it."""
    answers: frozenset[str] = frozenset()
    """Status and code of every answer to what the fault concerns."""
    readiness: str = ""
    """Status and codes of `/readyz` meanwhile."""


WORKER = "tests/unit/test_api_worker.py"
DURABILITY = "tests/unit/test_api_durability.py"
GUARDS = "tests/unit/test_api_guards.py"
HOSTILE = "tests/unit/test_api_hostile_requests.py"
FILES = "tests/unit/test_api_damaged_files.py"
BODIES = "tests/unit/test_api_bodies.py"
WORLD = "tests/trials/test_faults.py"
STORAGE = "tests/unit/test_api_storage.py"

OF_THE_WORLD: tuple[Fault, ...] = (
    Fault(
        name="full disk",
        fault="The disk is full",
        user_sees="Nothing is taken in. The list, results and files are served. A job that finds"
        " no room for its result waits.",
        answers=frozenset({"507 E_DISK"}),
        readiness="503 E_DISK",
        recovery="Intake, readiness and jobs, as soon as there is room. A job that needs more than"
        " there is fails with `E_DISK`.",
        shown_by=(f"{WORLD}::test_a_full_disk",),
    ),
    Fault(
        name="read-only",
        fault="The data folder is read-only",
        user_sees="Nothing is taken in, reviewed or exported. The list, results and files are"
        " served. Running jobs wait.",
        answers=frozenset({"503 E_STORAGE"}),
        readiness="503 E_STORAGE",
        recovery="Everything, once it can be written again.",
        shown_by=(f"{WORLD}::test_a_read_only_data_folder",),
    ),
    Fault(
        name="removed",
        fault="The data folder is moved away or unmounted",
        user_sees="Every request about jobs is refused. Nothing is made in its place.",
        answers=frozenset({"503 E_STORE", "503 E_STORAGE"}),
        readiness="503 E_STORAGE E_STORE",
        recovery="Everything, once it is back: running jobs are computed again.",
        shown_by=(
            f"{WORLD}::test_a_removed_data_folder",
            f"{STORAGE}::test_an_emptied_folder_is_begun_anew",
        ),
    ),
    Fault(
        name="locked",
        fault="Another program locks the SQLite job list",
        user_sees="Nothing is taken in. The list and results are served.",
        answers=frozenset({"503 E_STORE"}),
        readiness="503 E_STORE",
        recovery="Everything, once the lock is gone.",
        shown_by=(f"{WORLD}::test_a_locked_job_list",),
    ),
    Fault(
        name="damaged list",
        fault="The SQLite job list is damaged",
        user_sees="Every request about jobs is refused; no result is touched.",
        answers=frozenset({"503 E_STORE", "201"}),
        readiness="503 E_STORE",
        recovery="Everything, once a backup is put in its place.",
        shown_by=(
            f"{WORLD}::test_a_damaged_job_list",
            f"{STORAGE}::test_a_damaged_list_is_named_until_its_backup_is_there",
        ),
    ),
    Fault(
        name="unreadable entry",
        fault="One entry of the job list cannot be read",
        user_sees="A failed job with this error. The rest of the list is served and computed.",
        answers=frozenset({"200 E_RECORD"}),
        readiness="200",
        recovery="Nothing needs to. Its owner deletes the job.",
        shown_by=(f"{WORLD}::test_an_unreadable_entry",),
    ),
    Fault(
        name="clock",
        fault="The clock jumps by a day, back or ahead",
        user_sees="Nothing, but the times in the list. Ahead, uploads that wait for their owner's"
        " word are over.",
        answers=frozenset({"202"}),
        readiness="200",
        recovery="Nothing needs to: no job waits by the clock.",
        shown_by=(f"{WORLD}::test_a_clock_that_jumps_a_day",),
    ),
    Fault(
        name="PostgreSQL",
        fault="PostgreSQL is dead for 60 s",
        user_sees="Every request about jobs is refused within seconds.",
        answers=frozenset({"503 E_STORE", "201"}),
        readiness="503 E_STORE",
        recovery="Everything, once it is back. A job that was running ends as it would have.",
        shown_by=(f"{WORLD}::test_a_dead_database",),
    ),
    Fault(
        name="no memory",
        fault="A worker gets no memory",
        user_sees="The job fails. Others go on.",
        answers=frozenset({"200 E_MEMORY"}),
        readiness="200",
        recovery="Nothing needs to.",
        shown_by=(f"{WORLD}::test_no_memory_for_a_worker",),
    ),
)
"""Each shown on a real server process whose disk, folder, list, clock or memory is really bad."""

FAULTS: tuple[Fault, ...] = (
    *OF_THE_WORLD,
    Fault(
        fault="A worker is killed, or the system ends it for its memory",
        user_sees="The job finishes later; `attempts` counts. After three losses it fails with"
        " `E_POISON`, and other jobs go on.",
        recovery="A new worker takes the next attempt.",
        shown_by=(
            f"{WORKER}::test_a_killed_worker_is_noticed_while_its_descendant_holds_the_pipe",
            "tests/trials/test_kills.py::test_a_few_kills_lose_no_job",
        ),
    ),
    Fault(
        fault="A worker is stopped (SIGSTOP) or hangs",
        user_sees="The job finishes later, with one attempt more.",
        recovery="After `BRAINMETS_WORKER_SILENCE_S` the worker is ended; another takes over.",
        shown_by=(f"{WORKER}::test_a_stopped_worker_loses_its_job_to_another",),
    ),
    Fault(
        fault="A library in a worker forks and keeps its pipes open",
        user_sees="Nothing.",
        recovery="A worker is ended with all that it started.",
        shown_by=(
            f"{WORKER}::test_closing_a_worker_does_not_wait_for_what_it_has_forked",
            f"{WORKER}::test_a_job_that_is_cancelled_while_a_fork_holds_the_pipe_holds_up_nobody",
        ),
    ),
    Fault(
        fault="The threads that hand jobs to workers make no progress for 60 s",
        user_sees="`/readyz` answers 503 with `E_WORKERS`. Jobs are taken in and wait.",
        recovery="Readiness returns with the next step. Otherwise start the service again: no job"
        " is lost.",
        shown_by=(f"{WORKER}::test_readiness_says_that_no_thread_hands_out_jobs",),
    ),
    Fault(
        fault="An upload or a job is deleted while someone asks for it",
        user_sees="404 with `E_JOB_UNKNOWN`. A file that is already being sent comes whole.",
        recovery="Nothing needs to.",
        shown_by=(
            f"{HOSTILE}::test_an_upload_deleted_while_it_is_looked_into_is_unknown",
            f"{FILES}::test_a_job_deleted_before_its_file_is_opened_is_unknown",
            f"{FILES}::test_a_zip_of_a_job_that_is_deleted_meanwhile_is_whole",
        ),
    ),
    Fault(
        fault="A file of a result is damaged on the disk",
        user_sees="A damaged review: the result as found, with a warning; no follow-up of it"
        " (`E_RECORD`). A damaged probability: the sensitivity cannot be changed (`E_RECORD`).",
        recovery="Saving the review again. Masks and tables can still be downloaded.",
        shown_by=(f"{FILES}::test_a_damaged_file_of_a_result_is_named",),
    ),
    Fault(
        fault="An upload takes hours",
        user_sees="It is stored, as long as something comes every 60 s.",
        recovery="Nothing needs to.",
        shown_by=(
            f"{HOSTILE}::test_a_slow_upload_is_not_swept_however_old",
            f"{BODIES}::test_a_body_that_stops_coming_is_given_up",
        ),
    ),
    Fault(
        fault="Large or deep JSON, odd headers, paths or ranges",
        user_sees="4xx with the reason; a body over 1 MiB or 100,000 values is not parsed.",
        recovery="Nothing needs to.",
        shown_by=(
            f"{HOSTILE}::test_large_json_is_refused_before_it_is_parsed",
            f"{HOSTILE}::test_odd_hosts_and_origins_are_refused",
        ),
    ),
    Fault(
        fault="Someone guesses API keys, or leaves half a request open",
        user_sees="After ten wrong keys the guesser has one tried a second (`E_TRIES`). A request"
        " whose first lines do not come within 20 s is closed. Others notice nothing.",
        recovery="Wrong keys are forgotten after 5 minutes.",
        shown_by=(
            f"{GUARDS}::test_wrong_keys_are_slowed_after_the_tenth",
            f"{GUARDS}::test_half_open_requests_end",
        ),
    ),
    Fault(
        fault="A model is replaced while the server runs",
        user_sees="A damaged one: `/readyz` answers 503 and names it. A sound one: the next job"
        " uses it.",
        recovery="Readiness returns once the model is what its manifest says.",
        shown_by=(f"{GUARDS}::test_a_model_replaced_under_a_running_server_is_named_or_loaded",),
    ),
    Fault(
        fault="The server is killed",
        user_sees="No answer until it is started again; then every job that was acknowledged.",
        recovery="Jobs that were running are queued again and lose no attempt.",
        shown_by=(
            f"{DURABILITY}::test_no_job_is_lost_or_doubled_when_the_server_is_killed",
            "tests/trials/test_kills.py::test_a_few_kills_lose_no_job",
        ),
    ),
)


def fault(name: str) -> Fault:
    """Return the row of this name."""
    return next(row for row in FAULTS if row.name == name)


def tests_in(path: Path) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def faults_page() -> str:
    """The page, made of the rows whose tests exist.

    Raises:
        LookupError: a row names a test that is not there.
    """
    rows: list[str] = []
    for row in FAULTS:
        for test in row.shown_by:
            file, _, name = test.partition("::")
            if name not in tests_in(REPOSITORY / file):
                raise LookupError(f"{row.fault}: no test {test}")
        shown = ", ".join(
            f"[{test.partition('::')[2]}](../../{test.partition('::')[0]})" for test in row.shown_by
        )
        answers = "<br>".join(f"`{answer}`" for answer in sorted(row.answers)) or "–"
        ready = f"`{row.readiness}`" if row.readiness else "–"
        rows.append(
            f"| {row.fault} | {row.user_sees} | {answers} | {ready} | {row.recovery} | {shown} |"
        )
    head = (
        "| fault | the user sees | answers | `/readyz` | what recovers by itself | shown by |\n"
        "|---|---|---|---|---|---|\n"
    )
    text = (
        "What goes wrong around the service, what its users see then, and what needs no operator."
        " Answers and `/readyz` are compared with a real server by the tests in the last column."
    )
    made = "<!-- Made by `make docs` from tests/docs/faults.py: change it there. -->\n"
    return f"# Faults\n\n{made}\n{text}\n\n{head}" + "\n".join(rows) + "\n"
