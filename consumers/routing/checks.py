"""What is wrong with routes though their keys are right: what can never be, would always be held, or gets into another's way. Each check gives a sentence, and the place within the route."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from consumers.incident_events import Reported
from consumers.messages.facts import OBJECTION_ESCALATES, TEXT_FIELDS
from consumers.messages.wording import wording_problem
from consumers.routing.calendars import LONGEST_MS, Calendar, open_until_ms
from consumers.routing.route import FIELDS, OPERATOR, Route, hold
from consumers.routing.routes import SinkConfig
from consumers.routing.schema import RouteEntry, several
from consumers.rule_names import RULE_NAMES
from consumers.sinks.file import MOST_KEPT
from streams.clock import DAY_MS
from streams.errors import nearest
from streams.words.basis import BASIS_WORDS
from streams.words.shown import shown
from streams.words.terms import SEVERITIES, duration_words

NAME = re.compile(r"[\w.-]{1,60}")
_CITY = re.compile(r"[0-9]{6}")
_CLOSED: dict[str, frozenset[str]] = {
    "rule": frozenset(RULE_NAMES), "severity": frozenset(SEVERITIES), "basis": frozenset({*BASIS_WORDS, OPERATOR}), "synthetic": frozenset({"true", "false"}),
}  # fmt: skip
"""Fields of which all values are known."""
_OTHER = "\0"
"""Any value that no route names."""
_LIMITS_MS = {"debounce": DAY_MS, "group_wait": DAY_MS, "after": 30 * DAY_MS, "acknowledgement_lasts": 30 * DAY_MS}
_SHORTEST_MS = {"after": 5_000, "acknowledgement_lasts": 5_000}
MOST_STEPS = OBJECTION_ESCALATES - 2
_MOST_BOXES = 10_000
_ROBOTS = {"wecom": "key", "dingtalk": "access_token", "feishu": "token"}
"""By which option a robot is known."""
Box = dict[str, frozenset[str]]
"""Incidents, as the values of each field that they may have."""


class Problem(NamedTuple):
    """Where in a route, and what."""

    path: tuple[Any, ...]
    text: str


def duration_problem(key: str, duration_ms: int, most_ms: int | None = None) -> str | None:
    """What is wrong with how long something is to last."""
    least_ms, most_ms = _SHORTEST_MS.get(key, 1), most_ms or _LIMITS_MS[key]
    if least_ms <= duration_ms <= most_ms:
        return None
    return f"{key}: {duration_words(duration_ms, 'en')} is too {'short' if duration_ms < least_ms else 'long'}; it is {duration_words(least_ms, 'en')} to {duration_words(most_ms, 'en')}"


def problems(entry: RouteEntry, within_ms: int, known: Mapping[str, bool], calendars: Mapping[str, Calendar]) -> Iterator[Problem]:
    """Of one route by itself. ``within_ms``: how long incidents escalate; ``known``: the sinks and rosters, and whether nothing of it takes what is synthetic."""
    if not NAME.fullmatch(entry.name):
        yield Problem(("name",), f"route name {shown(entry.name)[:60]!r} is not 1 to 60 letters, digits, dots, dashes and underscores")
    yield from _wanted(entry)
    yield from _told(entry, known)
    for name in entry.mute:
        if name not in calendars:
            yield Problem(("mute",), f"mute: calendar {shown(name)!r} is not defined{nearest(name, calendars)}")
    for key in ("title", "text"):
        if (given := getattr(entry, key)) is not None and not given.strip():
            yield Problem((key,), f"{key} is empty; leave it out for the usual one")
    if entry.title is not None and (problem := wording_problem(entry.title)):
        yield Problem(("title",), f"title: {problem}")
    if entry.text is not None and (problem := wording_problem(entry.text, TEXT_FIELDS)):
        yield Problem(("text",), f"text: {problem}")
    yield from _held(entry)
    yield from _escalated(entry, within_ms)
    yield from _of_enterprise(entry)


def _wanted(entry: RouteEntry) -> Iterator[Problem]:
    for field in FIELDS:
        given = getattr(entry.match, field)
        values = [] if given is None or isinstance(given, bool) else several(given)
        if given == []:
            yield Problem(("match", field), f"{field} is an empty list, so the route can never match; leave {field} out where it means all")
        for value in values:
            if field in _CLOSED and value not in _CLOSED[field]:
                yield Problem(("match", field), f"unknown {field} {shown(value)[:60]!r}{nearest(value, _CLOSED[field])}")
            elif field not in _CLOSED and (not value or value != value.strip()):
                yield Problem(("match", field), f"{field} {shown(value)[:60]!r} is empty, or begins or ends with a space, so it never matches")
            elif field == "city" and not _CITY.fullmatch(value):
                yield Problem(("match", field), f"city {shown(value)[:60]!r} is not the six digits of its code, such as 150100")


def _told(entry: RouteEntry, known: Mapping[str, bool]) -> Iterator[Problem]:
    named = [(("to",), several(entry.to)), *((("escalate", number, "to"), several(step.to)) for number, step in enumerate(entry.escalate))]
    for path, names in named:
        if not names:
            yield Problem(path, "to is empty, so the route tells nobody; name a sink")
        for name in names:
            if name not in known:
                yield Problem(path, f"unknown sink {shown(name)[:60]!r}{nearest(name, known)}")
            if names.count(name) > 1:
                yield Problem(path, f"sink {shown(name)[:60]!r} is named twice")
        if entry.match.synthetic and names and all(known.get(name) for name in names):
            yield Problem(path, f"it can never tell {', '.join(names)}: the route is for synthetic incidents, which never reach a sink with real: true")
    if not entry.transitions:
        yield Problem(("transitions",), "transitions is an empty list, so the route tells nothing; name some, or leave it out")


def _held(entry: RouteEntry) -> Iterator[Problem]:
    for key in ("debounce", "group_wait"):
        given = getattr(entry, key)
        if given is not None and (problem := duration_problem(key, given)):
            yield Problem((key,), problem)
    if entry.digest_at and entry.group_wait is not None:
        yield Problem(("group_wait",), "group_wait has no effect beside digest_at, which holds notices longer; leave one of them out")
    if entry.group_by and not entry.digest_at and entry.group_wait is None:
        yield Problem(("group_by",), "group_by needs group_wait or digest_at: until when is a group waited for?")
    if len({minute % 1440 for minute in entry.digest_at}) < len(entry.digest_at):
        yield Problem(("digest_at",), "digest_at names a time twice")
    if entry.debounce is not None and "opened" not in entry.transitions:
        yield Problem(("debounce",), "debounce holds what was opened, which this route does not tell (transitions)")


def _escalated(entry: RouteEntry, within_ms: int) -> Iterator[Problem]:
    before_ms = 0
    if len(entry.escalate) > MOST_STEPS:
        yield Problem(("escalate", MOST_STEPS), f"escalate has {len(entry.escalate)} steps, more than {MOST_STEPS}")
    for number, step in enumerate(entry.escalate):
        path = ("escalate", number, "after")
        if problem := duration_problem("after", step.after):
            yield Problem(path, problem)
        elif step.after <= before_ms:
            yield Problem(path, f"after {duration_words(step.after, 'en')} is not later than the step before it; steps count from the first notice")
        elif step.after >= within_ms:
            yield Problem(path, f"after {duration_words(step.after, 'en')} never comes: incidents escalate within {duration_words(within_ms, 'en')} (escalate_within)")
        before_ms = step.after
    if entry.escalate and "opened" not in entry.transitions:
        yield Problem(("escalate",), "escalate follows what was opened, which this route does not tell (transitions)")
    if entry.acknowledgement_lasts is not None:
        if problem := duration_problem("acknowledgement_lasts", entry.acknowledgement_lasts):
            yield Problem(("acknowledgement_lasts",), problem)
        elif entry.acknowledgement_lasts >= within_ms:
            yield Problem(("acknowledgement_lasts",), f"no reminder ever comes: incidents escalate within {duration_words(within_ms, 'en')} (escalate_within)")


def _of_enterprise(entry: RouteEntry) -> Iterator[Problem]:
    """An enterprise is told of its own incidents alone, and an objection is no answer."""
    if entry.audience == "police":
        return
    if entry.match.enterprise is None or len(several(entry.match.enterprise)) != 1:
        yield Problem(("audience",), "audience: enterprise needs match: {enterprise: ID}, one enterprise, which is told of its own incidents alone")
    for key in ("escalate", "acknowledgement_lasts"):
        if getattr(entry, key):
            yield Problem((key,), f"{key} waits for an answer of police; a route with audience: enterprise gets none")


def shared_end(name: str, sinks: Mapping[str, SinkConfig]) -> str | None:
    """What is wrong where a sink writes into the file, or posts by the robot, of one that is named before it."""
    ends = _ends(sinks[name])
    other = next(other for other in sinks if other == name or not ends.isdisjoint(_ends(sinks[other])))
    if other == name:
        return None
    if sinks[name].kind == "file":
        return f"sink {name} writes into the file of sink {other}, or into one that is set aside; give each a file of its own"
    return f"sink {name} is the robot of sink {other}, and its platform counts what both send; name one of them in the routes"


def _ends(config: SinkConfig) -> set[str]:
    """What no two sinks may have in common: a robot, or a file and those that are set aside for it."""
    options = {option: str(given) for option, given in config.options.items()}
    if (key := options.get(_ROBOTS.get(config.kind, ""))) is not None:
        return {f"{config.kind} {options.get('base_url', '').rstrip('/')} {key}"}
    if config.kind != "file" or "path" not in options:
        return set()
    path = os.path.realpath(options["path"])
    return {path, *(f"{path}.{number}" for number in range(1, MOST_KEPT + 1) if "rotate_mb" in options)}


def always_muted(route: Route, now_ms: int, timezone: ZoneInfo) -> str | None:
    """What is wrong where a route's mutes leave no time, or none of its hours of digests, from an instant on."""
    if hold(route, Reported("", 0, synthetic=False), now_ms, "updated", timezone).due_ms < now_ms + LONGEST_MS:
        return None
    names = ", ".join(route.mute)
    if (end_ms := open_until_ms(tuple(route.mute.values()), now_ms)) is not None and end_ms >= now_ms + LONGEST_MS:
        return f"mute: {names} covers all time, so the route never tells anything"
    return f"mute: {names} covers every hour of digest_at, so no digest ever goes out"


def shadowing(route: Route, earlier: Sequence[Route]) -> list[str]:
    """The earlier routes that together take every incident that a route is for, so that it can never match; none where it can."""
    takers = [other for other in earlier if not other.continues]
    values: Box = {
        field: _CLOSED.get(field) or frozenset({_OTHER}.union(*(each.wanted.get(field, ()) for each in (route, *takers)))) for field in FIELDS
    }  # fmt: skip
    left = [_box(route, values)]
    if alone := next((other.name for other in takers if not any(_minus(left[0], _box(other, values)))), None):
        return [alone]
    by = []
    for other in takers:
        taken = _box(other, values)
        remaining = [rest for box in left for rest in _minus(box, taken)]
        if remaining != left:
            by.append(other.name)
        left = remaining
        if len(left) > _MOST_BOXES:  # no file that people keep by hand
            return []
    return [] if left else by


def _box(route: Route, values: Box) -> Box:
    return {field: route.wanted.get(field, every) for field, every in values.items()}


def _minus(box: Box, taken: Box) -> Iterator[Box]:
    """What is left of a box without another: boxes that do not overlap."""
    if any(box[field].isdisjoint(taken[field]) for field in box):
        yield box
        return
    inside = dict(box)
    for field in box:
        if outside := inside[field] - taken[field]:
            yield {**inside, field: outside}
        inside[field] &= taken[field]
