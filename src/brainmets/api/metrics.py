"""What the service counts, in Prometheus' text format; nothing names a patient, file or caller.

Counts are of this process since its start; gauges of jobs come from the job list, which
several servers may share.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from brainmets.api.schemas import JobResult

__all__ = ["CONTENT_TYPE", "Metrics", "RequestMeter"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LATENCY_S = (0.005, 0.025, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0)
JOB_S = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
MEMORY_BYTES = (0.5e9, 1e9, 1.5e9, 2e9, 2.5e9, 3e9, 4e9, 6e9, 8e9)

disable_created_metrics()  # a series of its own for each counter, which nothing reads


class Metrics:
    """Counters and histograms of one app, in a registry of its own."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._registry = own = CollectorRegistry()
        where = ("route", "method")
        self._requests = Counter(
            "brainmets_requests", "Requests by route and status.", (*where, "code"), registry=own
        )
        self._latency = Histogram(
            "brainmets_request_seconds", "Time to the end of the answer.", where,
            registry=own, buckets=LATENCY_S,
        )  # fmt: skip
        self._endings = Counter(
            "brainmets_jobs_ended", "Jobs ended here, by problem.", ("ending", "code"), registry=own
        )
        self._stages = Histogram(
            "brainmets_job_seconds", "Time of done jobs, by stage.", ("stage",),
            registry=own, buckets=JOB_S,
        )  # fmt: skip
        self._memory = Histogram(
            "brainmets_job_peak_bytes", "Most memory of a worker.",
            registry=own, buckets=MEMORY_BYTES,
        )  # fmt: skip
        self._lost = Counter(
            "brainmets_jobs_lost", "Jobs that lost worker or server.", ("whose",), registry=own
        )

    def answered(self, *, route: str, method: str, code: int, seconds: float) -> None:
        """Count a request by the route's template, never by its path."""
        self._requests.labels(route, method, str(code)).inc()
        self._latency.labels(route, method).observe(seconds)

    def finished(self, result: JobResult) -> None:
        """Count a job that is done, with the seconds of each stage and its worker's memory."""
        self._endings.labels("done", "").inc()
        for stage, seconds in result.timings.items():
            self._stages.labels(stage).observe(seconds)
        if result.cost is not None and result.cost.peak_bytes:
            self._memory.observe(result.cost.peak_bytes)

    def failed(self, code: str) -> None:
        """Count a job that failed, by its problem's code."""
        self._endings.labels("failed", code).inc()

    def lost(self, whose: str) -> None:
        """Count a job that lost its worker or its server."""
        self._lost.labels(whose).inc()

    def page(self, jobs: Mapping[str, int] | None) -> str:
        """Return everything; `jobs` are those in the list by state, None where it is away."""
        now = CollectorRegistry()
        up = Gauge("brainmets_job_list_up", "Whether the job list answers.", registry=now)
        up.set(jobs is not None)
        if jobs is not None:
            states = Gauge(
                "brainmets_jobs", "Jobs in the list, by state.", ("state",), registry=now
            )
            for state, count in jobs.items():
                states.labels(state).set(count)
        return (generate_latest(now) + generate_latest(self._registry)).decode()


class RequestMeter:
    """Times every request and counts it by route and status."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        """Watch `app`."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, code = time.monotonic(), 500

        async def noting_send(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        finally:
            self._metrics.answered(
                route=getattr(scope.get("route"), "path", "other"),
                method=scope["method"] if scope["method"] in _METHODS else "other",
                code=code,
                seconds=time.monotonic() - started,
            )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""Anyone may send any word as a method; each would be a series of its own for ever."""
