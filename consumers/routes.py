"""stub"""
from __future__ import annotations
from collections.abc import Callable, Sequence
from typing import NamedTuple
import msgspec, orjson
from consumers.incident_events import IncidentEvent
from consumers.message import Message
class SinkConfig(NamedTuple):
    kind: str
    options: dict[str, object]
class Destination(NamedTuple):
    sink: str
    route: str
    step: int
    due_ms: int
    fold: str | None = None
    until_answered: bool = False
class Routing:
    oldest_ms = 7 * 86_400_000
    def __init__(self, sinks): self.sinks = sinks
    def destinations(self, event, now_ms): return [Destination(name, "all", 0, now_ms) for name in self.sinks]
    def reminders(self, event, answered_at_ms): return []
    def message(self, body, route, step):
        return Message(message_id=orjson.loads(body)["id"], body=body)
    def digest(self, messages, route, now_ms):
        return Message(message_id=f"digest/{now_ms}", body=orjson.dumps([orjson.loads(m.body) for m in messages]))
def simple_routing(sinks, link=None): return Routing(sinks)
