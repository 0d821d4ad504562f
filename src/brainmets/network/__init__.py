"""The node in a hospital's network: receive studies, have them segmented, send results back."""

from __future__ import annotations

from brainmets.network.node import Node, fetch_study, listen_until_stopped, retry_all, unanswered
from brainmets.network.options import NodeOptions, SeriesRules, Target, read_rules, target_of

__all__ = [
    "Node",
    "NodeOptions",
    "SeriesRules",
    "Target",
    "fetch_study",
    "listen_until_stopped",
    "read_rules",
    "retry_all",
    "target_of",
    "unanswered",
]
