"""How many of an input's records are refused: a line in the log where most are, and only where an operator asks for it the end of the worker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import structlog

from streams import metrics
from streams.errors import TooManyRefused
from streams.wire.events import DUPLICATE, EXPLAINED, LATE

log = structlog.get_logger()

SAID_EVERY_S = 60.0
"""So often at most is it said of an input."""
NO_REFUSALS = {DUPLICATE, LATE}
"""Terminals send again, and networks hold up: neither says that something is wrong with what is sent."""


class RefusedShare:
    """Counts the records of each input topic, so many (``least_records``) at a time, and how many of them were refused, by reason.

    Where that is more than a ``share`` (0 to 1) of them the log says so; with ``stops`` the worker ends with ``TooManyRefused``.
    """

    def __init__(self, share: float = 0.5, least_records: int = 1_000, *, stops: bool = False) -> None:
        self.share = share
        self.least_records = least_records
        self.stops = stops
        self._records: Counter[str] = Counter()
        self._refused: dict[str, Counter[str]] = {}
        self._said_s: dict[str, float] = {}

    def note(self, topic: str, records: int, reasons: Iterable[str]) -> None:
        """So many records of a topic were judged, and some of them refused for these reasons."""
        self._records[topic] += records
        refused = self._refused.setdefault(topic, Counter())
        refused.update(reason for reason in reasons if reason not in NO_REFUSALS)
        if self._records[topic] < self.least_records:
            return
        count = self._records.pop(topic)
        del self._refused[topic]
        metrics.REFUSED_RATIO.labels(topic).set(refused.total() / count)
        if refused.total() > self.share * count:
            self._say(topic, count, refused)

    def _say(self, topic: str, count: int, refused: Counter[str]) -> None:
        if self.stops:
            reason, _ = refused.most_common(1)[0]
            raise TooManyRefused(
                f"{topic}: {refused.total():,} of the last {count:,} records are refused, most as {reason} ({EXPLAINED[reason]}), and YICHENG_REFUSED_SHARE_STOPS"
                " is on: the worker ends here, and starts from its last checkpoint; to judge what can be judged, start it with that setting off"
            )
        now_s = time.monotonic()
        if now_s - self._said_s.get(topic, float("-inf")) >= SAID_EVERY_S:
            self._said_s[topic] = now_s
            log.warning(
                "most records of an input are refused: has a producer changed?",
                topic=topic, records=count, refused=refused.total(), reasons=dict(refused.most_common(3)), hint="yicheng dead list",
            )  # fmt: skip
