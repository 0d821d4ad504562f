"""The job list, in SQLite by default and in PostgreSQL by URL, under one contract."""

__all__ = ["RETRY_AFTER_S", "JobStore", "StoredJob", "open_store", "unknown_job"]

from brainmets.api.store.jobs import RETRY_AFTER_S, JobStore, unknown_job
from brainmets.api.store.opening import open_store
from brainmets.api.store.records import StoredJob
