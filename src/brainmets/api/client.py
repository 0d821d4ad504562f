"""A typed client for the service: what the page uses, and what a script may."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import httpx

from brainmets.api.problems import error_of
from brainmets.api.schemas import (
    FINISHED,
    JobFilter,
    JobList,
    JobView,
    ModelView,
    Problem,
    ServiceView,
)
from brainmets.domain.errors import JobNotFinished, NoDicom, ServiceUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from brainmets.api.schemas import ExportName, JobState
    from brainmets.domain.errors import BrainmetsError

__all__ = ["Client"]

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 120.0
"""An upload is hashed and flushed to disk before it is answered."""

ZIP_CHUNK_BYTES = 1024 * 1024


class Client:
    """One service at `base_url`, as the holder of `api_key`.

    Every method raises the same errors that the service explained, as the classes of
    `brainmets.domain.errors`, and `ServiceUnreachable` when there is no answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent yet."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.base_url,
            headers=headers,
            transport=transport,
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            trust_env=False,  # the service is named outright: no proxy from the environment
        )

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> ServiceView:
        """Ask whether the service answers."""
        return ServiceView.model_validate(self._json("GET", "/healthz"))

    def sign_in(self) -> str:
        """Exchange the key for a token that ends by itself; empty where none is needed."""
        return str(self._json("POST", "/v1/session")["token"])

    def models(self) -> tuple[ModelView, ...]:
        """List the models that a job may name."""
        return tuple(ModelView.model_validate(item) for item in self._json("GET", "/v1/models"))

    def submit(
        self,
        files: Sequence[tuple[str, BinaryIO | bytes]],
        *,
        model: str | None = None,
        threshold: float | None = None,
        series: str | None = None,
        sequences: Sequence[str] = (),
    ) -> JobView:
        """Send images by name and content; return the queued job."""
        data: dict[str, Any] = {
            name: value
            for name, value in (
                ("model", model),
                ("threshold", None if threshold is None else str(threshold)),
                ("series", series),
                ("sequences", list(sequences)),
            )
            if value
        }
        parts = [("files", (name, content)) for name, content in files]
        return JobView.model_validate(self._json("POST", "/v1/jobs", files=parts, data=data))

    def open_study(self, study_uid: str, *, model: str | None = None) -> JobView:
        """Queue the likeliest image of a study in the service's PACS.

        Raises:
            OptionError: the service has no PACS.
            NoDicom: the PACS has no MR image of that study that can be segmented.
        """
        upload = self._json("POST", "/v1/pacs/uploads", json={"study_uid": study_uid})["id"]
        found = self._json("GET", f"/v1/uploads/{upload}")["inspection"]
        likely = [one["index"] for one in found["images"] if one["likely"]]
        if not likely:
            raise NoDicom(
                "no image in the study that can be segmented",
                expected="a T1-weighted MR series with contrast",
                remedy="open the study on the page, which says why",
            )
        body = {"image": likely[0], "model": model}
        return JobView.model_validate(self._json("POST", f"/v1/uploads/{upload}/job", json=body))

    def store_result(self, job_id: str) -> None:
        """Store a result's segmentation and report in the service's PACS."""
        self._send("POST", f"/v1/jobs/{job_id}/pacs")

    def submit_sample(self) -> JobView:
        """Queue the built-in synthetic case."""
        return JobView.model_validate(self._json("POST", "/v1/jobs/sample"))

    def submit_again(
        self, job_id: str, *, model: str | None = None, threshold: float | None = None
    ) -> JobView:
        """Queue an earlier job's images with another model or threshold."""
        body = {"model": model, "threshold": threshold}
        return JobView.model_validate(self._json("POST", f"/v1/jobs/{job_id}/again", json=body))

    def jobs(
        self,
        *,
        text: str = "",
        state: JobState | None = None,
        model: str = "",
        since: float | None = None,
        before: float | None = None,
        limit: int = 200,
    ) -> tuple[JobView, ...]:
        """List the caller's jobs, newest first, as `GET /v1/jobs` filters them."""
        return self.job_list(
            JobFilter(text=text, state=state, model=model, since=since, before=before, limit=limit)
        ).jobs

    def job_list(self, wanted: JobFilter) -> JobList:
        """List jobs and say whether there are more."""
        query = wanted.model_dump(mode="json", exclude_defaults=True)
        return JobList.model_validate(self._json("GET", "/v1/jobs", params=query))

    def job(self, job_id: str) -> JobView:
        """Return the current state of a job."""
        return JobView.model_validate(self._json("GET", f"/v1/jobs/{job_id}"))

    def wait(self, job_id: str, *, timeout_s: float = 3600.0, every_s: float = 0.3) -> JobView:
        """Return a job once it is finished or needs a choice.

        Raises:
            JobNotFinished: it was neither in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if job.state in FINISHED or job.state == "needs_choice":
                return job
            time.sleep(every_s)
        raise JobNotFinished(
            f"a job still at work after {timeout_s:.0f} s",
            expected="a finished job",
            remedy="wait longer, or cancel it",
        )

    def choose_series(self, job_id: str, series: str) -> JobView:
        """Answer `needs_choice`."""
        body = {"series": series}
        return JobView.model_validate(self._json("POST", f"/v1/jobs/{job_id}/series", json=body))

    def follow(
        self,
        jobs: Sequence[str],
        *,
        dates: Sequence[str] = (),
        measurable_mm: float = 10.0,
        same_patient: bool = False,
    ) -> JobView:
        """Queue a follow-up of finished jobs of one patient; `dates` as 2024-01-31, or as days."""
        body = {
            "jobs": list(jobs),
            "dates": list(dates),
            "measurable_mm": measurable_mm,
            "same_patient": same_patient,
        }
        return JobView.model_validate(self._json("POST", "/v1/followups", json=body))

    def cancel(self, job_id: str) -> JobView:
        """Stop a job."""
        return JobView.model_validate(self._json("POST", f"/v1/jobs/{job_id}/cancel"))

    def delete(self, job_id: str) -> None:
        """Delete a job with its images and results."""
        self._send("DELETE", f"/v1/jobs/{job_id}")

    def file(self, job_id: str, name: str) -> bytes:
        """Return one result file, or `all.zip`."""
        return self._send("GET", f"/v1/jobs/{job_id}/files/{name}").content

    def export(self, job_id: str, name: ExportName) -> bytes:
        """Return a result in another format, made now or earlier.

        Raises:
            OptionError: the format needs DICOM images and the job has none, or cannot hold slices.
            NothingToExport: no lesion stands, and the format needs one.
        """
        return self._send("GET", f"/v1/jobs/{job_id}/exports/{name}").content

    def download(self, job_id: str, name: str, path: Path) -> None:
        """Write one result file to `path` without holding it in memory."""
        with self._http.stream("GET", f"/v1/jobs/{job_id}/files/{name}") as response:
            if response.is_error:
                response.read()
                raise _error_of(response)
            with path.open("wb") as sink:
                for chunk in response.iter_bytes(ZIP_CHUNK_BYTES):
                    sink.write(chunk)

    def events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Yield `{state, stage, done}` with each change until the job stops."""
        import json

        with self._http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
            if response.is_error:
                response.read()
                raise _error_of(response)
            for line in response.iter_lines():
                if line.startswith("data: {") and len(line) > len("data: {}"):
                    yield json.loads(line[len("data: ") :])

    def _json(self, method: str, path: str, **more: Any) -> Any:
        return self._send(method, path, **more).json()

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(
                f"no answer from {self.base_url} ({type(error).__name__})",
                expected="the brainmets service there",
                remedy="start it with `uvicorn app.main:app`, or set BRAINMETS_API_URL",
            ) from error
        if response.is_error:
            raise _error_of(response)
        return response


def _error_of(response: httpx.Response) -> BrainmetsError:
    """Return the error that the service explained, as the class with its code."""
    try:
        problem = Problem.model_validate(response.json())
    except ValueError:  # not ours: a proxy, or another program on that port
        return ServiceUnreachable(
            f"an answer {response.status_code} that is not from brainmets",
            expected="the brainmets service at this address",
            remedy="check BRAINMETS_API_URL",
        )
    return error_of(problem)
