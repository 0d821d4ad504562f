"""What the node counts, in Prometheus' text format; nothing names a patient, study or caller."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brainmets.network.study_list import StudyList

__all__ = ["NodeMetrics"]

STUDIES = ("receiving", "complete", "queued", "following", "sending", "answered", "failed")
OBJECTS = ("waiting", "sent", "dead")


class NodeMetrics:
    """Serves the counts at a port of the loopback address; at port 0 none."""

    def __init__(self, study_list: StudyList, port: int) -> None:
        """Prepare; `start` serves."""
        self._study_list = study_list
        self._port = port
        self._server: Any = None

    def start(self) -> None:
        """Serve.

        Raises:
            OptionError: the port is taken.
        """
        if not self._port:
            return
        from prometheus_client import CollectorRegistry, start_http_server

        registry = CollectorRegistry()
        registry.register(self)  # pyright: ignore[reportArgumentType] - it has what is needed
        try:
            self._server, _ = start_http_server(self._port, addr="127.0.0.1", registry=registry)
        except OSError:
            raise OptionError(
                "a port for metrics that cannot be used",
                expected="a free port of this computer",
                remedy="choose another --metrics-port",
            ) from None

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def collect(self) -> Iterator[Any]:
        """Yield the counts of this moment, as prometheus_client asks for them."""
        from prometheus_client.core import GaugeMetricFamily

        studies, now = self._study_list.studies(), time.time()
        yield _gauge(
            "brainmets_node_studies",
            "Studies, by state.",
            {state: sum(one.state == state for one in studies) for state in STUDIES},
        )
        parcels = self._study_list.parcels()
        yield _gauge(
            "brainmets_node_objects",
            "Objects to send, by state.",
            {state: sum(one.state == state for one in parcels) for state in OBJECTS},
        )
        waiting = [one.received for one in studies if one.state not in {"answered", "failed"}]
        yield GaugeMetricFamily(
            "brainmets_node_oldest_study_seconds",
            "Age of the oldest study that is not answered.",
            value=now - min(waiting, default=now),
        )


def _gauge(name: str, text: str, counts: dict[str, int]) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
