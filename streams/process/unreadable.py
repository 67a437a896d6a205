"""Records that cannot be read, of topics whose readers own no partition of them: passed over, counted, and named once in the log."""

from __future__ import annotations

from collections import Counter

import structlog

from streams import metrics
from streams.wire.topics import ALL, GPS, HEARTBEAT, SCAN

log = structlog.get_logger()

NAMED_MOST = 100
"""So many records of a topic are named; of a flood of them the rest are only counted."""
_named: Counter[str] = Counter()
for _topic in ALL:
    if _topic not in {GPS, SCAN, HEARTBEAT} and not _topic.state:
        metrics.UNREADABLE.labels(_topic.name)


def passed_over(topic: str, partition: int, offset: int, why: str) -> None:
    """Count a record that cannot be read, and name it: where it stands and why, nothing of what it says."""
    metrics.UNREADABLE.labels(topic).inc()
    _named[topic] += 1
    if _named[topic] <= NAMED_MOST:
        log.warning("record that cannot be read is passed over", topic=topic, partition=partition, offset=offset, why=why[:300])
    if _named[topic] == NAMED_MOST:
        log.warning("further records that cannot be read are only counted", topic=topic, metric="courier_unreadable_total")
