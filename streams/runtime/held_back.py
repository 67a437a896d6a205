"""Open transactions that hold records back: a gauge, and a line in the log when one lasts. Nothing to restart for."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from faust.types import TP

from streams import metrics

log = structlog.get_logger()


LASTS_S = 60.0
"""An open transaction is named in the log after so long; brokers abort one whose producer is gone after its timeout, a minute if not said otherwise."""


class HeldBack:
    """Follows where each partition's readable part ends, and since when it has ended there with more behind it."""

    def __init__(self) -> None:
        self._since: dict[TP, tuple[int, float, bool]] = {}

    def note(self, now_s: float, found: Iterable[tuple[TP, int, int]]) -> None:
        """``found``: per partition, where what can be read ends, and how many offsets are behind that."""
        found = list(found)
        metrics.show_only(metrics.RECORDS_HELD_BACK, {(tp.topic, str(tp.partition)): behind for tp, _, behind in found})
        for tp, readable, behind in found:
            known, since_s, logged = self._since.get(tp, (-1, now_s, False))
            if not behind or known != readable:
                self._since[tp] = (readable, now_s, False)
            elif now_s - since_s >= LASTS_S and not logged:
                self._since[tp] = (readable, since_s, True)
                log.warning(
                    "an open transaction holds records back; they are judged when its producer commits or aborts it, or Kafka does after its timeout",
                    topic=tp.topic, partition=tp.partition, offset=readable, records=behind, seconds=round(now_s - since_s),
                    hint=f"kafka-transactions.sh find-hanging --topic {tp.topic} --partition {tp.partition}",
                )  # fmt: skip
