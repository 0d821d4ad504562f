"""Predictions as files: mask, table, JSON, picture."""

from brainmets.reporting.documents import SCHEMA, lesions_csv, report_document, report_json
from brainmets.reporting.overlay import draw_overlay
from brainmets.reporting.results import check_results_folder, write_results

__all__ = [
    "SCHEMA",
    "check_results_folder",
    "draw_overlay",
    "lesions_csv",
    "report_document",
    "report_json",
    "write_results",
]
