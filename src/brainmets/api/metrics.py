"""What the service counts, in Prometheus' text format; nothing names a patient, file or caller.

Counts are of this process since its start; gauges of jobs come from the job list, which
several servers may share.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from brainmets.api.schemas import JobResult

__all__ = ["CONTENT_TYPE", "Metrics", "RequestMeter"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LATENCY_S = (0.005, 0.025, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0)
JOB_S = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
MEMORY_BYTES = (0.5e9, 1e9, 1.5e9, 2e9, 2.5e9, 3e9, 4e9, 6e9, 8e9)

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        place = next((n for n, most in enumerate(self.bounds) if value <= most), len(self.bounds))
        self.counts[place] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        seen = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            seen += count
            yield f"{name}_bucket{_braces((*labels, ('le', _number(bound))))} {seen}"
        yield f"{name}_sum{_braces(labels)} {_number(self.total)}"
        yield f"{name}_count{_braces(labels)} {seen}"


class Metrics:
    """Counters and histograms, safe to use from several threads."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._lock = threading.Lock()
        self._requests: dict[Labels, int] = defaultdict(int)
        self._latency: dict[Labels, _Histogram] = defaultdict(lambda: _Histogram(LATENCY_S))
        self._endings: dict[Labels, int] = defaultdict(int)
        self._stages: dict[Labels, _Histogram] = defaultdict(lambda: _Histogram(JOB_S))
        self._memory = _Histogram(MEMORY_BYTES)
        self._lost: dict[Labels, int] = defaultdict(int)

    def answered(self, *, route: str, method: str, code: int, seconds: float) -> None:
        """Count a request by the route's template, never by its path."""
        where = (("route", route), ("method", method))
        with self._lock:
            self._requests[*where, ("code", str(code))] += 1
            self._latency[where].add(seconds)

    def finished(self, result: JobResult) -> None:
        """Count a job that is done, with the seconds of each stage and its worker's memory."""
        with self._lock:
            self._endings[("ending", "done"), ("code", "")] += 1
            for stage, seconds in result.timings.items():
                self._stages[(("stage", stage),)].add(seconds)
            if result.cost is not None and result.cost.peak_bytes:
                self._memory.add(result.cost.peak_bytes)

    def failed(self, code: str) -> None:
        """Count a job that failed, by its problem's code."""
        with self._lock:
            self._endings[("ending", "failed"), ("code", code)] += 1

    def lost(self, whose: str) -> None:
        """Count a job that lost its worker or its server."""
        with self._lock:
            self._lost[(("whose", whose),)] += 1

    def page(self, jobs: Mapping[str, int] | None) -> str:
        """Return everything; `jobs` are those in the list by state, None where it is away."""
        up = int(jobs is not None)
        lines = [
            *_head("brainmets_job_list_up", "gauge", "Whether the job list answers."),
            f"brainmets_job_list_up {up}",
        ]
        if jobs is not None:
            lines += _head("brainmets_jobs", "gauge", "Jobs in the list, by state.")
            lines += [f"brainmets_jobs{_braces((('state', s),))} {n}" for s, n in jobs.items()]
        with self._lock:
            for name, help_, counts in (
                ("brainmets_requests_total", "Requests by route and status.", self._requests),
                ("brainmets_jobs_ended_total", "Jobs ended here, by problem.", self._endings),
                ("brainmets_jobs_lost_total", "Jobs that lost worker or server.", self._lost),
            ):
                lines += _head(name, "counter", help_)
                lines += [f"{name}{_braces(labels)} {n}" for labels, n in counts.items()]
            for name, help_, histograms in (
                ("brainmets_request_seconds", "Time to the end of the answer.", self._latency),
                ("brainmets_job_seconds", "Time of done jobs, by stage.", self._stages),
                ("brainmets_job_peak_bytes", "Most memory of a worker.", {(): self._memory}),
            ):
                lines += _head(name, "histogram", help_)
                for labels, histogram in histograms.items():
                    lines += histogram.lines(name, labels)
        return "\n".join(lines) + "\n"


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


def _head(name: str, kind: str, help_: str) -> list[str]:
    return [f"# HELP {name} {help_}", f"# TYPE {name} {kind}"]


def _braces(labels: Labels) -> str:
    inner = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _number(value: float) -> str:
    return "+Inf" if math.isinf(value) else f"{value:.10g}"
