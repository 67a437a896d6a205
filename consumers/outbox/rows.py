"""What the outbox holds: entries that are put in, and deliveries as they stand in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from consumers.outbox.codec import Codec

PENDING, DELIVERED, FAILED, DROPPED = range(4)
STATES = ("pending", "delivered", "failed", "dropped")
DELIVERY = """SELECT d.no, i.incident_id, e.revision, d.sink, d.route, d.step, d.due_ms, d.fold, d.until_answered, d.state, d.attempts, d.done_ms, d.took_ms, d.reason, d.only_if_told, e.made_ms, d.answer, e.body
  FROM deliveries d JOIN events e USING(event_no) JOIN incidents i ON i.incident_no = d.incident_no"""


class Entry(NamedTuple):
    """One revision of an incident, or an alert: what is to be delivered, where it stood in Kafka (None: nowhere), and whether it takes back all before it.

    ``over``: the incident is closed, so nobody is reminded of it any more.

    ``topic`` tells a topic from one of the same name that was there before: what is said again in another is another thing. ``name``: the event's
    id where that is not made of incident and revision, as ours are: whoever may write to the topic cannot take an incident's place.
    """

    incident_id: str
    revision: int
    body: bytes
    partition: int | None = None
    offset: int | None = None
    takes_back: bool = False
    topic: str = ""
    name: str = ""
    over: bool = False


class Delivery(NamedTuple):
    """A delivery as it stands in the outbox. ``reason``: why it was not taken the last time; ``answer``: what its receiver said when it was."""

    no: int
    incident_id: str
    revision: int
    sink: str
    route: str
    step: int
    due_ms: int
    fold: str | None
    until_answered: int
    state: int
    attempts: int
    done_ms: int | None
    took_ms: int | None
    reason: str | None
    only_if_told: int
    made_ms: int
    answer: str | None
    body: bytes

    @property
    def outcome(self) -> str:
        """What its receiver answered, and before that; empty where nothing is known."""
        if self.state != DELIVERED:
            return self.reason or ""
        return (self.answer or "taken") + (f"; before that: {self.reason}" if self.reason else "")


def delivery_of(row: tuple[Any, ...], codec: Codec) -> Delivery:
    """A row of ``DELIVERY``."""
    return Delivery._make((*row[:-1], codec.decompressed(row[-1])))
