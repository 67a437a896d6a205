"""The gauge of open incidents: those of the partitions that this worker has, restored ones included."""

from __future__ import annotations

from streams import metrics
from streams.lifecycle import OPEN


class OpenIncidents:
    """Follows incidents by their ids: what is said again after a crash counts once."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, str]] = {}

    def note(self, incident_id: str, city: str, rule: str, state: str) -> None:
        """An incident is in this state now."""
        if state == OPEN and incident_id not in self._open:
            self._open[incident_id] = (city, rule)
            metrics.INCIDENTS_OPEN.labels(city, rule).inc()
        elif state != OPEN and incident_id in self._open:
            metrics.INCIDENTS_OPEN.labels(*self._open.pop(incident_id)).dec()

    def clear(self) -> None:
        """The partitions are given up; whoever has them next counts theirs."""
        for city, rule in self._open.values():
            metrics.INCIDENTS_OPEN.labels(city, rule).dec()
        self._open.clear()
