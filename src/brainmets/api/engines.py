"""What computes the jobs: the server alone, or several servers and workers by PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.api.supervisor import Supervisor

if TYPE_CHECKING:
    from brainmets.api.metrics import Metrics
    from brainmets.api.settings import Settings
    from brainmets.api.storage import Storage
    from brainmets.api.store import JobStore

__all__ = ["open_supervisor"]


def open_supervisor(
    settings: Settings, store: JobStore, metrics: Metrics, storage: Storage
) -> Supervisor:
    """Return what computes the jobs of this kind of list."""
    if not settings.database_url.startswith("postgres"):
        return Supervisor(settings, store, metrics, storage)
    from brainmets.api.cluster import ClusterSupervisor

    return ClusterSupervisor(settings, store, metrics, storage)
