"""Which incident goes to which sink, when, and in whose words: all routes together. Pure: the time is an argument, in ms since 1970 UTC.

The first route that matches decides, unless it says ``continue``. What an incident was opened with is followed by how it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from consumers.answer_links import LinkMaker
from consumers.incident_events import IncidentEvent, Reported
from consumers.messages.facts import OBJECTION, OBJECTION_ESCALATES, REMINDER
from consumers.messages.message import Message
from consumers.messages.wording import Style, Writer
from consumers.routing.origin import Origin, State
from consumers.routing.route import TRANSITIONS, Roster, Route, hold
from consumers.routing.words import explained
from streams.clock import DAY_MS
from streams.lifecycle import OPEN, RETRACTED, Kind

ESCALATES_WITHIN_MS = 7 * DAY_MS
EVERY = "every incident"
"""The route where no file names any."""
DEFAULT_TIMEZONE = ZoneInfo("Asia/Shanghai")

class SinkConfig(NamedTuple):
    """A sink as it is configured, secrets put in; ``where`` is its file and line, for errors. ``files``: those that it reads itself, as they were: with another it is another sink."""

    kind: str
    options: dict[str, object]
    where: str = ""
    files: tuple[State, ...] = ()

    @property
    def real(self) -> bool:
        """Whether it reaches real police."""
        return self.options.get("real") is True


class Destination(NamedTuple):
    """One notice to one sink. ``step`` 0 is the first; 1, 2 … escalate; ``OBJECTION`` tells of one, after ``OBJECTION_ESCALATES`` it escalates, and from ``REMINDER`` on they are reminders.

    Not before ``due_ms``; those of one sink with the same ``fold`` that are due go out as one digest. ``until_answered``: dropped once somebody
    has answered. ``only_if_told``: dropped unless the sink was sent an earlier revision of the incident (it was escalated to).
    ``fixed``: ``due_ms`` is a time of day, which stays where the clock is set.
    """

    sink: str
    route: str
    step: int
    due_ms: int
    fold: str | None
    until_answered: bool
    only_if_told: bool = False
    fixed: bool = False


class Routing:
    """The sinks and routes of a file, and its ``origin``. ``oldest_ms``: incidents that were opened longer ago are not escalated."""

    def __init__(
        self, sinks: dict[str, SinkConfig], routes: Sequence[Route], rosters: dict[str, Roster] | None = None, *,
        timezone: ZoneInfo = DEFAULT_TIMEZONE, oldest_ms: int = ESCALATES_WITHIN_MS, link: LinkMaker | None = None, origin: Origin | None = None,
    ) -> None:  # fmt: skip
        self.sinks, self.routes, self.rosters = sinks, tuple(routes), rosters or {}
        self.timezone, self.oldest_ms, self.origin = timezone, oldest_ms, origin
        self.writer = Writer(timezone, link)
        self._styles = {route.name: route.style for route in routes}
        self._of_one_gone = Style(mask=frozenset().union(*(route.style.mask for route in routes)), audience="enterprise")

    def matching(self, incident: Reported) -> Iterator[Route]:
        """The routes that decide about an incident, in order."""
        for route in self.routes:
            if route.mismatch(incident) is None:
                yield route
                if not route.continues:
                    return

    def destinations(self, event: IncidentEvent, now_ms: int) -> list[Destination]:
        """Where an event goes and when; empty where nobody is told. No sink gets the same step of it twice."""
        found: dict[tuple[str, int], Destination] = {}
        for route in self.matching(event.incident):
            for destination in self.of_route(route, event, now_ms):
                found.setdefault((destination.sink, destination.step), destination)
        told = {sink for sink, step in found if step == 0}
        return [each for each in found.values() if not (each.only_if_told and each.sink in told)]

    def of_route(self, route: Route, event: IncidentEvent, now_ms: int) -> Iterator[Destination]:
        """Where one route sends an event. How an incident goes on is told to those it was escalated to as well."""
        kind, incident = event.kind, event.incident
        if kind not in route.transitions:
            return
        first = hold(route, incident, now_ms, kind, self.timezone)
        for sink in self._sinks(route.to, incident, kind, first.due_ms):
            yield Destination(sink, route.name, 0, first.due_ms, first.fold, until_answered=False, fixed=first.fixed)
        if kind == "opened":
            yield from self._escalation(route, incident, first.due_ms, 0, incident.opened_at_ms)
            return
        for step, escalation in enumerate(route.escalate, 1):
            for sink in self._sinks(escalation.to, incident, kind, first.due_ms):
                yield Destination(sink, route.name, step, first.due_ms, first.fold, until_answered=False, only_if_told=True, fixed=first.fixed)

    def _escalation(self, route: Route, incident: Reported, from_ms: int, before: int, began_ms: int) -> Iterator[Destination]:
        """Each step after ``before`` that is not too late for what began at ``began_ms``; what mutes the route holds it too."""
        for step, escalation in enumerate(route.escalate, before + 1):
            yield from self._later(route, incident, from_ms + escalation.after_ms, step, escalation.to, began_ms)

    def _later(self, route: Route, incident: Reported, at_ms: int, step: int, to: tuple[str, ...], began_ms: int) -> Iterator[Destination]:
        held = hold(route, incident, at_ms, None, self.timezone)
        due_ms, fold, _ = held
        if due_ms - began_ms <= self.oldest_ms:
            for sink in self._sinks(to, incident, "opened", due_ms):
                yield Destination(sink, route.name, step, due_ms, fold and f"{fold}|{step}", until_answered=True, fixed=held.fixed)

    def reminders(self, event: IncidentEvent, answered_at_ms: int) -> list[Destination]:
        """Whom to remind when an acknowledgement expires, and how that escalates again; nobody of what is over or was taken back."""
        found: dict[tuple[str, int], Destination] = {}
        for route in self.matching(event.incident) if event.incident.state == OPEN else ():
            if route.acknowledgement_lasts_ms is None:
                continue
            at_ms, began_ms = answered_at_ms + route.acknowledgement_lasts_ms, event.incident.opened_at_ms
            for each in (*self._later(route, event.incident, at_ms, REMINDER, route.to, began_ms), *self._escalation(route, event.incident, at_ms, REMINDER, began_ms)):
                found.setdefault((each.sink, each.step), each)
        return list(found.values())

    def objections(self, event: IncidentEvent, at_ms: int) -> list[Destination]:
        """Which police to tell that the enterprise objects to an incident, and how that escalates until they decide; nobody of what was taken back. What mutes a route holds it too."""
        incident, found = event.incident, dict[tuple[str, int], Destination]()
        for route in self.matching(incident) if incident.state != RETRACTED else ():
            if route.style.audience == "police":
                held = hold(route, incident, at_ms, None, self.timezone)
                due_ms, fold, _ = held
                for sink in self._sinks(route.to, incident, "opened", due_ms):
                    found.setdefault((sink, OBJECTION), Destination(sink, route.name, OBJECTION, due_ms, fold and f"{fold}|{OBJECTION}", until_answered=False, fixed=held.fixed))
                for each in self._escalation(route, incident, due_ms, OBJECTION_ESCALATES, at_ms):
                    found.setdefault((each.sink, each.step), each)
        return list(found.values())

    def _sinks(self, names: Sequence[str], incident: Reported, kind: Kind, due_ms: int) -> list[str]:
        """The sinks that names of a route mean. Who was on duty when an incident was opened hears how it ends, too. Nothing synthetic reaches real police."""
        found: dict[str, None] = {}
        for name in names:
            roster = self.rosters.get(name)
            moments = [due_ms] if kind == "opened" else [due_ms, incident.opened_at_ms]
            found.update(dict.fromkeys(sink for moment_ms in moments for sink in roster.sinks_at(moment_ms)) if roster else {name: None})
        return [sink for sink in found if not (incident.synthetic and self.sinks[sink].real)]

    def explain(self, event: IncidentEvent, now_ms: int) -> list[str]:
        """Lines in Chinese and English: which route an event takes or why not, where it goes, when, and what holds it back."""
        return list(explained(self, event, now_ms))

    def message(self, event: IncidentEvent, route: str, step: int, *, unanswered: bool = False) -> Message:
        """An event in a route's words; ``unanswered``: it is told because nobody has answered. A route that is gone since: in both languages, masked as strictly as any, with a link that decides nothing."""
        return self.writer.message(event, self._styles.get(route, self._of_one_gone), step, unanswered=unanswered)

    def digest(self, messages: Sequence[Message], route: str, now_ms: int, following: int = 0) -> Message:
        """Several messages of a route as one; ``following``: so many more at least go out after it."""
        return self.writer.digest(messages, self._styles.get(route, self._of_one_gone), route, now_ms, following)


def simple_routing(sinks: dict[str, SinkConfig], link: LinkMaker | None = None) -> Routing:
    """Every revision of every incident to each sink, at once, its body as it was published: what holds without a file of routes."""
    return Routing(sinks, [Route(name=EVERY, to=tuple(sinks), transitions=TRANSITIONS)], link=link)
