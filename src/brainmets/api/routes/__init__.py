"""The HTTP routes: `service` (models, health), `jobs` (submit, follow), `results` (files, view)."""

__all__ = ["dependencies", "jobs", "results", "service"]

from brainmets.api.routes import dependencies, jobs, results, service
