"""The topics of interfaces.md and how each is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.clock import DAY_MS, MINUTE_MS


class Topic(NamedTuple):
    """A topic's name and configuration.

    ``partitioned``: as many partitions as the input topics, else one; ``state``: rewritten all the time, and read back whole;
    ``stamped``: the brokers write down when each record arrived (semantics 1), whatever time its producer gives.
    """

    name: str
    partitioned: bool = True
    compacted: bool = False
    state: bool = False
    retention_ms: int = 7 * DAY_MS
    stamped: bool = False


GPS = Topic("courier.gps.v1", stamped=True)
SCAN = Topic("courier.scan.v1", stamped=True)
HEARTBEAT = Topic("courier.heartbeat.v1", stamped=True)
REGISTRY = Topic("courier.registry.v1", partitioned=False, compacted=True, stamped=True)
POLICY = Topic("courier.policy.v1", partitioned=False, compacted=True, stamped=True)
PARTIALS = Topic("courier.partials.v1", stamped=True)
"""Internal: what each input partition has come to (city/contributions.py), keyed by city so that one worker sums a city.

Kept as long as the inputs: what a last checkpoint said is read at the next start, and nothing says it again.
"""
VEHICLE_STATE = Topic("courier.vehicle-state.v1", compacted=True, state=True, stamped=True)
PARCEL_STATE = Topic("courier.parcel-state.v1", compacted=True, state=True, stamped=True)
HEARTBEAT_STATE = Topic("courier.heartbeat-state.v1", compacted=True, state=True, stamped=True)
RATE_STATE = Topic("courier.rate-state.v1", compacted=True, state=True, stamped=True)
FEEDBACK_STATE = Topic("courier.feedback-state.v1", compacted=True, state=True, stamped=True)
"""Internal: the stages' state, partitioned as their input is; read back by whoever is assigned the partition next."""
CLOCK = Topic("courier.clock.v1", partitioned=False, compacted=True)
"""Internal: how far each fix partition's stream time has come, for those that have no traffic of their own."""
INCIDENTS = Topic("courier.incidents.v1", retention_ms=90 * DAY_MS)
RATES = Topic("courier.rates.v1", compacted=True)
FEEDBACK = Topic("courier.feedback.v1", retention_ms=90 * DAY_MS, stamped=True)
CREDIT = Topic("courier.credit.v1", compacted=True, stamped=True)
DEAD = Topic("courier.dead.v1")
LATE = Topic("courier.late.v1")
"""Letters about refused records, kept as long as those: they hold nothing of what the records say."""

ALL = (
    GPS, SCAN, HEARTBEAT, REGISTRY, POLICY, PARTIALS, VEHICLE_STATE, PARCEL_STATE, HEARTBEAT_STATE, RATE_STATE, FEEDBACK_STATE, CLOCK, INCIDENTS, RATES, FEEDBACK, CREDIT, DEAD,
    LATE,
)  # fmt: skip
STATE_OF = {GPS: VEHICLE_STATE, SCAN: PARCEL_STATE, HEARTBEAT: HEARTBEAT_STATE, FEEDBACK: FEEDBACK_STATE, PARTIALS: RATE_STATE}
"""The topics that workers judge, and where the state of each is kept: in the partition of the same number."""
DERIVED = (*STATE_OF.values(), PARTIALS, CLOCK)
"""What workers make again of what the other topics hold, should they have to begin anew."""
REFERENCE = (POLICY, REGISTRY, CREDIT, CLOCK)
"""What workers read whole, every partition of it, before they judge anything; then they follow it."""
STANDING = (POLICY, REGISTRY, CREDIT)
"""Of these a key's newest record stands, and nothing in it but its arrival tells which that is (``overtaken.py``)."""
CHUNKED = tuple(STATE_OF)
"""The topics whose records reach an agent in chunks."""


TIMESTAMP_TYPE, LOG_APPEND_TIME = "message.timestamp.type", "LogAppendTime"
"""The setting of a topic that says whose time its records carry, and its value where that is the brokers'."""
CLEANUP_POLICY, RETENTION_MS, COMPACTION_LAG_MS = "cleanup.policy", "retention.ms", "min.compaction.lag.ms"
"""The settings that say whether the latest record of each key stays, how long records stay, and for how long all of them do in any case."""
_AT_LEAST = (RETENTION_MS, COMPACTION_LAG_MS)
BY_BROKER = 1
"""What a record's ``timestamp_type`` is then; 0 where it is the producer's."""


def kafka_config(topic: Topic) -> dict[str, str]:
    """The topic's configuration in Kafka's words."""
    stamped = {TIMESTAMP_TYPE: LOG_APPEND_TIME} if topic.stamped else {}
    if topic.compacted:
        compact = {CLEANUP_POLICY: "compact", **stamped}
        if topic.state:  # five minutes for what a suspended worker may overwrite; then soon, since all of it is read at a restart
            compact |= {COMPACTION_LAG_MS: str(5 * MINUTE_MS), "segment.ms": str(10 * MINUTE_MS)}
            compact |= {"segment.bytes": str(32 * 2**20), "min.cleanable.dirty.ratio": "0.2"}
        return compact
    return {CLEANUP_POLICY: "delete", RETENTION_MS: str(topic.retention_ms), **stamped}


def lacking(topic: Topic, found: Mapping[str, str]) -> dict[str, str]:
    """The settings of a topic, which others may have made, that do not do, and what they should be; an operator may keep records for longer.

    >>> lacking(GPS, {"cleanup.policy": "delete", "retention.ms": "-1", "message.timestamp.type": "CreateTime"}), lacking(CLOCK, {"cleanup.policy": "delete"})
    ({'message.timestamp.type': 'LogAppendTime'}, {'cleanup.policy': 'compact'})
    """
    wanted = kafka_config(topic)
    if found[CLEANUP_POLICY] == wanted[CLEANUP_POLICY]:  # else nobody has thought of the rest either
        wanted = {name: value for name, value in wanted.items() if name in {TIMESTAMP_TYPE, *_AT_LEAST}}
    return {name: value for name, value in wanted.items() if not _does(name, found.get(name, ""), value)}


def _does(name: str, found: str, wanted: str) -> bool:
    is_longer = name in _AT_LEAST and found.lstrip("-").isdecimal() and (int(found) < 0 or int(found) >= int(wanted))  # negative: for ever
    return is_longer or found == wanted


METADATA_MAX_AGE_MS = 10_000
"""So soon does a client notice that a topic was made, made anew, or has got more partitions."""
ANSWERS_WITHIN_MS = 10_000
"""A broker that takes longer does not answer, for a command that somebody waits for."""
