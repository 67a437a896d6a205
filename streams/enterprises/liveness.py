"""Cameras and feeds that ought to give signs of life and fall silent. Pure.

Of a subject's signs only the spans without longer gaps are kept (``joined``). They come to the same whatever the order of
arrival, repeats or partitions, and the gaps between them are exactly the silences that a rule may object to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from streams.clock import BEGINNING_MS, DAY_MS, END_MS, local_datetime
from streams.enterprises.intervals import AnnouncedInterval, Interval
from streams.policy.pack import Rule
from streams.policy.policy import Policies, Policy
from streams.registry.cities import belongs
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.watermark import Arrivals
from streams.wire.decode import HEARTBEATS
from streams.wire.events import KNOWN_FOR_MS, Record, Reject, refused
from streams.wire.intake import read_new, refuse_event

ACTIVE_WITHIN_MS = 7 * DAY_MS
"""Nobody is expected to go on giving signs so long after the last one."""
SETTLED_MS = KNOWN_FOR_MS + 7 * DAY_MS
"""What is older than that is settled: no sign is accepted that late, even of a partition that lags as far as topics reach back."""
Span = tuple[int, int]
"""First and last sign (ms) of a time without a longer gap."""


def joined(spans: Iterable[Span], gap_ms: int) -> list[Span]:
    """Spans in order of time, those no further apart than ``gap_ms`` made one.

    >>> joined([(50, 60), (0, 10), (15, 20)], 10)
    [(0, 20), (50, 60)]
    """
    found: list[Span] = []
    for first_ms, last_ms in sorted(spans):
        if found and first_ms - found[-1][1] <= gap_ms:
            found[-1] = (found[-1][0], max(found[-1][1], last_ms))
        else:
            found.append((first_ms, last_ms))
    return found


def heartbeat_gap_ms(policies: Policies, kind: str) -> int | None:
    """The shortest silence of an ``outlet`` or ``enterprise`` that any version of the policy objects to; None: it minds none."""
    limits = (int(rule.parameters.limit) for policy in policies.versions for rule in policy.silence_rules if kind == RULES[rule.rule].SIGNS)
    return min(limits, default=None)


class Liveness(msgspec.Struct, array_like=True):
    """What is known of a subject: its spans since ``since_ms`` (and the last before it), and its incidents by rule and beginning."""

    spans: list[Span] = []
    since_ms: int = BEGINNING_MS
    announced: dict[str, dict[int, AnnouncedInterval]] = {}

    def observe(self, spans: Iterable[Span], gap_ms: int, watermark_ms: int) -> None:
        """Enter signs; what is settled is forgotten, but for its end."""
        self.spans = joined([*self.spans, *(span for span in spans if span[1] >= self.since_ms)], gap_ms)
        self.since_ms = max(self.since_ms, watermark_ms - SETTLED_MS)
        while len(self.spans) > 1 and self.spans[1][0] < self.since_ms:
            del self.spans[0]
        for announced in self.announced.values():
            for start_ms in [start_ms for start_ms in announced if start_ms < self.spans[0][0]]:
                del announced[start_ms]


def silences(policies: Policies, registry: Registry, rule_id: str, subject: str, spans: Sequence[Span], watermark_ms: int) -> tuple[list[Interval], int]:
    """A subject's silences that a rule instance objects to at a watermark, and the one after which they may be others.

    Signs beyond the watermark do not count yet: others, between them, may still be on their way.
    """
    intervals: list[Interval] = []
    for number, (first_ms, last_ms) in enumerate(spans):
        if first_ms > watermark_ms:
            return intervals, first_ms - 1
        due_ms = _due_ms(policies, registry, rule_id, subject, last_ms)
        next_ms = spans[number + 1][0] if number + 1 < len(spans) else END_MS
        if max(due_ms, last_ms) >= watermark_ms < next_ms:
            return intervals, min(due_ms, next_ms - 1)
        if next_ms > due_ms:
            intervals.append(Interval(last_ms, next_ms if next_ms <= watermark_ms else None))
    return intervals, END_MS


def _due_ms(policies: Policies, registry: Registry, rule_id: str, subject: str, last_ms: int) -> int:
    """The instant after which a silence since ``last_ms`` is an offence (``END_MS``: never).

    A notice puts it off until its end; where the rule has hours, the whole limit must lie in one of them.
    """
    policy = policies.at(last_ms)
    rule = policy.rule_of_id.get(rule_id) if policy else None
    kind, _, name = subject.partition("/")
    if policy is None or rule is None or not RULES[rule.rule].expects(registry.at(kind, name, last_ms)):
        return END_MS
    limit_ms = int(rule.parameters.limit)
    due_ms, earlier_ms = last_ms + limit_ms, BEGINNING_MS
    while due_ms != earlier_ms and due_ms <= last_ms + ACTIVE_WITHIN_MS:
        earlier_ms = due_ms
        due_ms = _within_hours(rule, policy, due_ms, limit_ms)
        due_ms = registry.unannounced_ms(kind, name, due_ms, last_ms)
    then = policies.at(due_ms)
    still = then is not None and rule_id in then.rule_of_id and RULES[rule.rule].expects(registry.at(kind, name, due_ms))
    return due_ms if still and due_ms <= last_ms + ACTIVE_WITHIN_MS else END_MS


def _within_hours(rule: Rule, policy: Policy, due_ms: int, limit_ms: int) -> int:
    """The first instant from ``due_ms`` on before which a whole limit lies in the rule's hours."""
    hours = getattr(rule.parameters, "hours", None)
    if not hours:
        return due_ms
    found = []
    for days in range(9):
        day = local_datetime(due_ms + days * DAY_MS, policy.timezone).date()
        found += [interval for window in hours for interval in window.intervals_ms(day, policy.timezone)]
    fitting = (max(due_ms, from_ms + limit_ms) for from_ms, until_ms in joined(found, 0) if max(due_ms, from_ms + limit_ms) <= until_ms)
    return next(fitting, END_MS)


PART_BYTES = 100_000
"""So long, about, is a message of signs; of those that are more than that, the rest goes into others."""
SPAN_BYTES = 32


def in_parts(heartbeats: Mapping[str, list[Span]]) -> Iterator[dict[str, list[Span]]]:
    """Signs in parts that a message can hold."""
    part: dict[str, list[Span]] = {}
    most, size = PART_BYTES // SPAN_BYTES, 0
    for subject, spans in heartbeats.items():
        for start in range(0, len(spans), most):
            some = spans[start : start + most]
            needed = 6 * len(subject) + SPAN_BYTES * len(some)
            if part and size + needed > PART_BYTES:
                yield part
                part, size = {}, 0
            part[subject] = some
            size += needed
    if part:
        yield part


class HeartbeatPartition(msgspec.Struct):
    """How far a partition of heartbeats has come, and the signs of life that are still to be sent on, by subject.

    ``made_up``: the times of the synthetic ones, where somebody asks.
    """

    next_offset: int = 0
    saved_offset: int = 0
    stream_time_ms: int = BEGINNING_MS
    heartbeats: dict[str, list[Span]] = {}
    made_up: dict[str, set[int]] | None = None
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)


def take_heartbeats(
    partition: HeartbeatPartition, records: Sequence[Record], policies: Policies, *, refuses_synthetic: bool = False, taken: Counter[bool] | None = None
) -> list[Reject]:
    """Enter a chunk of heartbeats in offset order; the refused ones come back.

    ``taken`` counts the others: True those of the pack's city, False those of other cities, of which nothing is made.
    """
    city = policies.newest.pack.city.adcode
    beats, rejects = read_new(partition, records, HEARTBEATS)
    for record, beat in beats:
        if reason := refuse_event(partition, record, beat, refuses_synthetic=refuses_synthetic):
            rejects.append(refused(record, beat, reason))
            continue
        is_own = belongs(beat.city, city)
        if taken is not None:
            taken[is_own] += 1
        if is_own:
            partition.heartbeats.setdefault(beat.subject, []).append((beat.event_time_ms, beat.event_time_ms))
            if beat.synthetic and partition.made_up is not None:
                partition.made_up.setdefault(beat.subject, set()).add(beat.event_time_ms)
    gather(partition.heartbeats, lambda subject: heartbeat_gap_ms(policies, subject.partition("/")[0]))
    return rejects


def gather(heartbeats: dict[str, list[Span]], gap_ms_of: Callable[[str], int | None]) -> None:
    """Join each subject's signs, and drop those that no rule waits for."""
    for subject in list(heartbeats):
        gap_ms = gap_ms_of(subject)
        if gap_ms is None:
            del heartbeats[subject]
        else:
            heartbeats[subject] = joined(heartbeats[subject], gap_ms)
