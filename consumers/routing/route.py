"""One route: of which incidents it decides, and until when it holds a notice. Pure: the time is an argument, in ms since 1970 UTC.

A notice is held as long as it must be (``debounce``, then ``digest_at`` or ``group_wait``, then ``mute``), and none is lost: what was held alike goes out together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

import msgspec

from consumers.incident_events import Reported
from consumers.messages.wording import Style
from consumers.routing.calendars import LONGEST_MS, Calendar, open_until_ms
from streams.clock import instant_ms, local_datetime
from streams.lifecycle import Kind

TRANSITIONS: tuple[Kind, ...] = get_args(Kind)
TOLD: tuple[Kind, ...] = ("opened", "closed", "retracted")
"""What a route tells unless it says otherwise: each new incident and how it ends, not every growth of it."""
OPERATOR = "operator"
"""The basis of a rule that claims nothing of a document."""
Field = Literal["city", "rule", "rule_id", "severity", "basis", "zone", "enterprise", "responsible", "synthetic"]
FIELDS: dict[str, Callable[[Reported], tuple[str, ...]]] = {
    "city": lambda incident: (incident.city,),
    "rule": lambda incident: (incident.rule,),
    "rule_id": lambda incident: (incident.rule_id,),
    "severity": lambda incident: (incident.severity,),
    "basis": lambda incident: (incident.basis or OPERATOR,),
    "zone": lambda incident: (incident.zone_id,) if incident.zone_id else (),
    "enterprise": lambda incident: (incident.enterprise_id,) if incident.enterprise_id else (),
    "responsible": lambda incident: tuple(incident.responsible),
    "synthetic": lambda incident: ("true" if incident.synthetic else "false",),
}
"""What a route can ask for, and what an incident has of it."""


class Roster(NamedTuple):
    """Who is on call: the people whose names the calendar's events have, by sink; ``otherwise``: where it names nobody."""

    calendar: Calendar
    people: dict[str, str]
    otherwise: str

    def sinks_at(self, at_ms: int) -> list[str]:
        """The sinks of those on duty at an instant."""
        return list(dict.fromkeys(self.people[span.name] for span in self.calendar.at(at_ms))) or [self.otherwise]


class Escalation(NamedTuple):
    """Who is told, and how long after the first notice, where nobody has answered."""

    after_ms: int
    to: tuple[str, ...]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route. ``wanted``: the values of each field of which an incident has to have one; ``mute``: calendars by name."""

    name: str
    to: tuple[str, ...]
    style: Style = Style()
    wanted: dict[str, frozenset[str]] = {}
    transitions: tuple[Kind, ...] = TOLD
    debounce_ms: int = 0
    group_by: tuple[str, ...] = ()
    group_wait_ms: int = 0
    digest_minutes: tuple[int, ...] = ()
    mute: dict[str, Calendar] = {}
    escalate: tuple[Escalation, ...] = ()
    acknowledgement_lasts_ms: int | None = None
    continues: bool = False

    def mismatch(self, incident: Reported) -> str | None:
        """The first field for which an incident is not this route's; None where it is."""
        return next((field for field, values in self.wanted.items() if values.isdisjoint(FIELDS[field](incident))), None)


class Hold(NamedTuple):
    """Until when a notice is held, with which others, and by what: names of keys of the route."""

    due_ms: int
    fold: str | None
    by: tuple[str, ...]

    @property
    def fixed(self) -> bool:
        """Whether it is a time of day until which it is held, however the clock is set meanwhile."""
        return "digest_at" in self.by or "mute" in self.by


def next_digest_ms(minutes: Sequence[int], from_ms: int, timezone: ZoneInfo) -> int:
    """The first of some local times of day (minutes) that is not before an instant."""
    today = local_datetime(from_ms, timezone).date()
    hours = (instant_ms(today + timedelta(days=days), minute, timezone) for days in range(3) for minute in minutes)
    return min(hour_ms for hour_ms in hours if hour_ms >= from_ms)


def hold(route: Route, incident: Reported, at_ms: int, kind: Kind | None, timezone: ZoneInfo) -> Hold:
    """How long a notice of a route is held that would go out now; ``kind`` is None for escalations and reminders, which only ``mute`` holds."""
    due_ms, by = at_ms, list[str]()
    fold = None
    if kind == "opened" and route.debounce_ms:
        due_ms += route.debounce_ms
        by.append("debounce")
    if kind and route.digest_minutes:
        due_ms, fold = next_digest_ms(route.digest_minutes, due_ms, timezone), _fold(route, incident)
        by.append("digest_at")
    elif kind and route.group_wait_ms:
        due_ms, fold = -(-due_ms // route.group_wait_ms) * route.group_wait_ms, _fold(route, incident)  # all of a span have its end in common
        by.append("group_wait")
    while end_ms := open_until_ms(tuple(route.mute.values()), due_ms):
        due_ms = next_digest_ms(route.digest_minutes, end_ms, timezone) if kind and route.digest_minutes else end_ms
        fold = fold if kind and route.digest_minutes else _fold(route, incident, "muted")
        by.append("mute")
        if due_ms > at_ms + LONGEST_MS:
            break
    return Hold(due_ms, fold, tuple(dict.fromkeys(by)))


def _fold(route: Route, incident: Reported, instead: str | None = None) -> str:
    """What has this in common goes out together; never a rehearsal with what is real."""
    groups = [instead] if instead else ["+".join(FIELDS[field](incident)) for field in route.group_by]
    return "|".join([route.name, *groups, *["synthetic"] * incident.synthetic])
