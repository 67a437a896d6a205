"""The keys of a file of routes, typed; ``routing/file.py`` reads it and ``routing/checks.py`` finds what types cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from consumers.answer_links import Audience
from consumers.masking import Masked
from consumers.messages.wording import Language, Style
from consumers.routing.calendars import Calendar
from consumers.routing.route import FIELDS, TOLD, Escalation, Field, Route
from streams.clock import Duration, duration_ms
from streams.lifecycle import Kind
from streams.windows import MinuteOfDay, Window

Values = str | list[str]
"""One, or several."""


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What knows all its keys."""


class MatchEntry(Strict, frozen=True):
    """Which incidents a route is for: those that have, of each field named here, one of the values."""

    city: Values | None = None
    rule: Values | None = None
    rule_id: Values | None = None
    severity: Values | None = None
    basis: Values | None = None
    zone: Values | None = None
    enterprise: Values | None = None
    responsible: Values | None = None
    synthetic: bool | None = None


class EscalationEntry(Strict, frozen=True):
    """Who else is told where nobody has answered so long after the notice."""

    after: Duration
    to: Values


class RouteEntry(Strict, frozen=True):
    """One route; ``to`` names sinks or rosters of ``on_call``; an ``audience`` of ``enterprise`` gets links by which it can object."""

    name: str
    to: Values
    match: MatchEntry = MatchEntry()
    audience: Audience = "police"
    language: Language = "both"
    mask: list[Masked] = []
    title: str | None = None
    text: str | None = None
    transitions: list[Kind] = msgspec.field(default_factory=lambda: list(TOLD))
    debounce: Duration | None = None
    group_by: list[Field] = []
    group_wait: Duration | None = None
    digest_at: list[MinuteOfDay] = []
    mute: list[str] = []
    escalate: list[EscalationEntry] = []
    acknowledgement_lasts: Duration | None = None
    continue_: bool = msgspec.field(default=False, name="continue")


class CalendarEntry(Strict, frozen=True):
    """Weekly hours, or an iCalendar file; ``timezone`` where it is another than the file's. Of an iCalendar file it is that of times without a zone, and goes before the file's ``X-WR-TIMEZONE``."""

    windows: list[Window] = []
    file: str | None = None
    timezone: str | None = None


class OnCallEntry(Strict, frozen=True):
    """Who is on call: an iCalendar file whose events are called as people are, their sinks, and the sink for when it names nobody."""

    calendar: str
    people: dict[str, str]
    otherwise: str


class RoutesEntry(Strict, frozen=True):
    """The whole file."""

    sinks: dict[str, Any]
    routes: list[RouteEntry]
    calendars: dict[str, CalendarEntry] = {}
    on_call: dict[str, OnCallEntry] = {}
    timezone: str = "Asia/Shanghai"
    escalate_within: Duration = Duration(duration_ms("7d"))


def several(given: Values) -> list[str]:
    """One value or several as a list."""
    return [given] if isinstance(given, str) else given


def route_of(entry: RouteEntry, calendars: Mapping[str, Calendar]) -> Route:
    """An entry whose keys are right as the route that it stands for."""
    wanted = {field: given for field in FIELDS if (given := getattr(entry.match, field)) is not None}
    return Route(
        name=entry.name,
        to=tuple(several(entry.to)),
        style=Style(entry.language, frozenset(entry.mask), entry.title, entry.text, entry.audience),
        wanted={field: frozenset([str(given).lower()] if isinstance(given, bool) else several(given)) for field, given in wanted.items()},
        transitions=tuple(entry.transitions),
        debounce_ms=entry.debounce or 0,
        group_by=tuple(entry.group_by),
        group_wait_ms=entry.group_wait or 0,
        digest_minutes=tuple(entry.digest_at),
        mute={name: calendars[name] for name in entry.mute},
        escalate=tuple(Escalation(step.after, tuple(several(step.to))) for step in entry.escalate),
        acknowledgement_lasts_ms=entry.acknowledgement_lasts,
        continues=entry.continue_,
    )
