"""Every setting of the service, read from `BRAINMETS_…` environment variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["SEGMENT", "Settings"]

SEGMENT = "brainmets.api.segmenting:segment"
"""The function that a job's child process calls."""


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "brainmets"


class Settings(BaseSettings):
    """How the service stores, limits and runs jobs.

    Each field is read from the environment variable `BRAINMETS_<FIELD>`, upper case.
    """

    model_config = SettingsConfigDict(env_prefix="BRAINMETS_", frozen=True, extra="ignore")

    state_dir: Path = Field(
        default_factory=_default_state_dir,
        description="Folder for the job list, uploads and results.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="Job list: `postgresql://user:password@host/name` for servers on several "
        "machines; by default an SQLite file in the state folder.",
    )
    max_upload_bytes: int = Field(
        default=2 * 1024**3, gt=0, description="Largest request body, in bytes."
    )
    max_files: int = Field(default=4000, gt=0, description="Most files in one upload.")
    max_waiting: int = Field(default=32, gt=0, description="Most jobs queued at once, else 429.")
    workers: int = Field(
        default=1, ge=0, description="Child processes computing at once; 0 only takes jobs in."
    )
    max_attempts: int = Field(
        default=3, gt=0, description="How often a job may lose its worker before E_POISON."
    )
    retry_after_s: float = Field(
        default=5.0,
        ge=0,
        description="Pause before the second attempt at a job that lost its worker; twice that"
        " before the third.",
    )
    job_timeout_s: float = Field(
        default=3600.0, gt=0, description="Longest time one attempt may take."
    )
    worker_silence_s: float = Field(
        default=60.0,
        ge=5,
        description="A worker that gives no sign of life for so long, such as a stopped one, is"
        " ended; its job loses one attempt.",
    )
    worker_memory_bytes: int = Field(
        default=0, ge=0, description="Address-space limit of a worker; 0 sets none."
    )
    worker_jobs: int = Field(
        default=25, gt=0, description="Jobs a worker serves before a fresh one takes over."
    )
    retention_hours: float = Field(
        default=0.0, ge=0, description="Finished jobs older than this are deleted; 0 keeps all."
    )
    min_free_bytes: int = Field(
        default=1024**3, ge=0, description="Refuse uploads (507) below this much free disk."
    )
    api_keys_sha256: str = Field(
        default="",
        description="Comma-separated `name:sha256-of-key`; with none, only loopback is served.",
    )
    page_origins: str = Field(
        default="",
        description="Comma-separated origins, such as `https://page.example:8501`, of pages that"
        " run next to the service and not on this computer.",
    )
    audit_file: Path | None = Field(
        default=None,
        description="File to which a line is added for every change and every download: who, what,"
        " which job, when.",
    )
    pacs_url: str = Field(
        default="",
        pattern=r"^(https?://[^/@\s]+(/[^?#\s]*)?)?$",
        description="Address of a DICOMweb service, such as `https://pacs.example/dicom-web`: the"
        " page then opens studies from it. A bearer token is in BRAINMETS_PACS_TOKEN. Every caller"
        " may open every study.",
    )
    show_patient: Literal["none", "id", "name"] = Field(
        default="none",
        description="What the page and its PDF show of the patient whom a DICOM upload names:"
        " nothing, the PatientID, or the PatientName. Date and description of the series are"
        " shown to the upload's owner anyway.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least weight of the lines on standard error."
    )
    runner: str = Field(
        default=SEGMENT, description="`module:function` that segments one upload; for tests."
    )

    @property
    def keys(self) -> dict[str, str]:
        """Caller names by the SHA-256 of their key."""
        pairs = (pair.strip() for pair in self.api_keys_sha256.split(",") if pair.strip())
        split = (pair.rpartition(":") for pair in pairs)
        return {digest.lower(): name or "key" for name, _, digest in split}

    @property
    def origins(self) -> list[str]:
        """Origins of pages elsewhere that may read answers."""
        return [origin.strip() for origin in self.page_origins.split(",") if origin.strip()]

    @property
    def jobs_dir(self) -> Path:
        """One folder per job."""
        return self.state_dir / "jobs"

    def result_dir(self, job_id: str, ticket: int) -> Path:
        """Folder of one attempt at a job; of a finished job's ticket, what it has found.

        Ticket 0 is a job of an early version, which has its results next to its input.
        """
        job_dir = self.jobs_dir / job_id
        return job_dir / f"attempt-{ticket}" if ticket else job_dir

    @property
    def staging_dir(self) -> Path:
        """Uploads on their way in; swept at start."""
        return self.state_dir / "staging"

    @property
    def job_list(self) -> str:
        """The job list's URL."""
        return (
            self.database_url or f"sqlite://{quote(str(self.state_dir.resolve() / 'jobs.sqlite'))}"
        )
