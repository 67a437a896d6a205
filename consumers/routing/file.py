"""Reads ``routes.yaml`` strictly, with its calendars and secrets: whole or not at all, and again when one of its files has changed.

Every mistake is one line with file and line. No secret is ever part of it: neither a value of ``sinks`` nor YAML's own words about one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import structlog

from consumers.answer_links import LinkMaker
from consumers.masking import MASKED
from consumers.messages.wording import Language
from consumers.routing.calendars import LONGEST_MS, Calendar, read_icalendar, weekly_hours
from consumers.routing.checks import NAME, always_muted, duration_problem, problems, shadowing, shared_end
from consumers.routing.origin import State, origin_of, state_of
from consumers.routing.route import FIELDS, TRANSITIONS, Roster, Route
from consumers.routing.routes import Routing, SinkConfig, simple_routing
from consumers.routing.schema import CalendarEntry, OnCallEntry, RoutesEntry, route_of
from consumers.sinks import KINDS
from streams.clock import DAY_MS, now_ms
from streams.errors import BadInput, nearest
from streams.files.small_files import read_small
from streams.files.typed_yaml import YamlSource
from streams.settings import Settings
from streams.words.shown import shown

log = structlog.get_logger()

_WORDS = {*get_args(Language), *MASKED, *FIELDS, *TRANSITIONS}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_PATHS = {"ca_file"}
"""Options that end in ``_file`` and are paths, as seen from the file of routes: of all others the file's text is the option."""
_NUMBERS = {"keep": int, "rotate_mb": float}
"""Options that are numbers; all others are text, however it looks: a token may be of digits."""
_MOST_ESCALATION_MS = 365 * DAY_MS
_OF_WEBHOOK = ("webhook_secret", "webhook_real", "webhook_private")
_ONE_WAY = ("sink_file", "webhook_url", *_OF_WEBHOOK)


def load_routing(path: Path, link: LinkMaker | None = None) -> Routing:
    """The routes of a file; ``BadInput`` says in one line what is wrong, where, and what was meant."""
    return _Reader(path, link).routing()


def refuse_two_ways(settings: Settings) -> None:
    """Sinks are named by a file of routes or by settings, not by both: one would contradict the other silently. ``BadInput`` names them."""
    if settings.routes is not None and (given := _given(settings, _ONE_WAY)):
        raise BadInput(f"YICHENG_ROUTES and {', '.join(given)} are both set; name all sinks in {settings.routes}, and leave the others out")


def _given(settings: Settings, names: Iterable[str]) -> list[str]:
    return [f"YICHENG_{name.upper()}" for name in names if getattr(settings, name)]


def configured(settings: Settings, link: LinkMaker | None = None) -> Routing:
    """The routing that settings ask for: that of their file of routes, else every incident to the sinks that they name."""
    refuse_two_ways(settings)
    if settings.routes is not None:
        return load_routing(settings.routes, link)
    sinks: dict[str, SinkConfig] = {}
    if settings.sink_file:
        sinks["file"] = SinkConfig("file", {"path": str(settings.sink_file)}, "YICHENG_SINK_FILE")
    if settings.webhook_url:
        if settings.webhook_secret is None:
            raise BadInput("YICHENG_WEBHOOK_URL is set without YICHENG_WEBHOOK_SECRET; webhooks are always signed")
        url, secret = settings.webhook_url.get_secret_value(), settings.webhook_secret.get_secret_value()
        sinks["webhook"] = SinkConfig("webhook", {"url": url, "secret": secret, "real": settings.webhook_real, "private": settings.webhook_private}, "YICHENG_WEBHOOK_URL")
    elif given := _given(settings, _OF_WEBHOOK):
        raise BadInput(f"{', '.join(given)} set without YICHENG_WEBHOOK_URL, so no webhook would get anything; set that, or leave the others out")
    if not sinks:
        raise BadInput("no sink is configured; set YICHENG_ROUTES, or YICHENG_SINK_FILE, or YICHENG_WEBHOOK_URL and YICHENG_WEBHOOK_SECRET")
    return simple_routing(sinks, link)


def in_force(settings: Settings, link: LinkMaker | None = None) -> Callable[[], Routing]:
    """Gives the routing that counts now; ``BadInput`` where the settings, or the file as it is at first, are wrong."""
    if settings.routes is not None:
        refuse_two_ways(settings)
        return RoutesFile(settings.routes, link).current
    routing = configured(settings, link)
    return lambda: routing


class RoutesFile:
    """A file of routes that is read again when it, or a file that it names, has changed. What is wrong then is logged once, and the old routes stay."""

    def __init__(self, path: Path, link: LinkMaker | None = None) -> None:
        self.path, self.link = path, link
        reader = _Reader(path, link)
        self._routing = reader.routing()
        reader.warn()
        self._states = reader.states

    def current(self) -> Routing:
        """The routes as of now."""
        if any(state_of(path) != known for path, known in self._states.items()):
            self._read_again()
        return self._routing

    def _read_again(self) -> None:
        reader = _Reader(self.path, self.link)
        try:
            self._routing = reader.routing()
        except BadInput as error:
            self._states = {path: state_of(path) for path in self._states} | reader.states
            log.error("the routes have a mistake; those read before stay in force", error=shown(error))
            return
        self._states = reader.states
        reader.warn()
        log.info("routes read again", file=str(self.path), routes=len(self._routing.routes), sinks=len(self._routing.sinks))


class _Reader:
    """One reading of a file; ``states``: each file that was looked at, as it was just before that; ``secret``: those of them that hold a secret; ``over``: calendars without an event that is still to come."""

    def __init__(self, path: Path, link: LinkMaker | None) -> None:
        self.path, self.link, self.states, self.secret = path, link, dict[Path, State](), set[Path]()
        self.over: list[Path] = []

    def warn(self) -> None:
        """Say what is no mistake, and hardly meant."""
        for file in self.over:
            log.warning("no event of this calendar takes place within a year: nobody is on call by it, and nothing is muted", file=str(file))

    def routing(self) -> Routing:
        try:
            text = read_small(self._seen(self.path))
        except ValueError as error:
            raise BadInput(f"routes {self.path}: {error}; YICHENG_ROUTES names a file such as deploy/routes.example.yaml") from None
        self.source = self._source(text)
        self._named_parts()
        entry: RoutesEntry = self.source.converted(self.source.data, RoutesEntry)
        self.timezone = self._zone(entry.timezone, ("timezone",))
        if problem := duration_problem("escalate_within", entry.escalate_within, _MOST_ESCALATION_MS):
            raise self.source.bad(("escalate_within",), problem)
        sinks = {name: self._sink(name, given) for name, given in entry.sinks.items()}
        for name in sinks:
            if shared := shared_end(name, sinks):
                raise self.source.bad(("sinks", name), shared)
        if not sinks or not entry.routes:
            raise self.source.bad(("routes",) if sinks else ("sinks",), f"no {'route' if sinks else 'sink'} is named, so nobody would be told anything")
        calendars = {name: self._calendar(name, given) for name, given in entry.calendars.items()}
        rosters = {name: self._roster(name, given, sinks) for name, given in entry.on_call.items()}
        routes = self._routes(entry, sinks, rosters, calendars)
        return Routing(sinks, routes, rosters, timezone=self.timezone, oldest_ms=entry.escalate_within, link=self.link, origin=origin_of({path: state for path, state in self.states.items() if path not in self.secret}))

    def _seen(self, path: Path) -> Path:
        self.states[path] = state_of(path)
        return path

    def _source(self, text: str) -> YamlSource:
        try:
            return YamlSource(text, str(self.path), RoutesEntry, "a file of routes", words=_WORDS)
        except BadInput as error:  # YAML's own words may repeat a secret
            place, found, _ = str(error).partition(": not YAML")
            raise BadInput(f"{place}{found}; write key: value, and a value with special characters in quotes") if found else error from None

    def _named_parts(self) -> None:
        """Read what stands below names one by one, so that the line of a mistake is known."""
        for key, kind in (("sinks", dict[str, Any]), ("calendars", CalendarEntry), ("on_call", OnCallEntry)):
            parts = self.source.data.get(key, {})
            if not isinstance(parts, dict):
                raise self.source.bad((key,), f"{key} is a mapping: a name, a colon, and below it what belongs to the name")
            for name, given in parts.items():
                self.source.converted(given, kind, (key, name))

    def _zone(self, name: str, path: tuple[Any, ...]) -> ZoneInfo:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise self.source.bad(path, f"timezone {shown(name)[:60]!r} is unknown; use Asia/Shanghai") from None

    def _sink(self, name: str, given: dict[str, Any]) -> SinkConfig:
        path = ("sinks", name)
        if not NAME.fullmatch(name):
            raise self.source.bad(path, "a sink's name is 1 to 60 letters, digits, dots, dashes and underscores")
        if not isinstance(given.get("kind"), str):
            raise self.source.bad(path, f"sink {name} needs the key 'kind': {', '.join(KINDS)}")
        if given["kind"] not in KINDS:
            raise self.source.bad((*path, "kind"), f"sink {name}: unknown kind{nearest(given['kind'], KINDS)}")
        options: dict[str, object] = {}
        for key, value in given.items():
            secret = key.endswith("_file") and key not in _PATHS
            option = key.removesuffix("_file") if secret else key
            if option in options:
                raise self.source.bad((*path, key), f"sink {name}: {option} is given twice, itself and as a file")
            options[option] = self._secret(value, (*path, key)) if secret else self._option(key, value, (*path, key))
        kind = str(options.pop("kind"))
        return SinkConfig(kind, options, f"{self.path}:{self.source.lines[path]}", tuple(self.states.get(Path(str(options[key]))) for key in _PATHS & options.keys()))

    def _option(self, key: str, value: Any, path: tuple[Any, ...]) -> object:
        """An option's value as what it is: a path, a number, or text."""
        if key in _PATHS and isinstance(value, str):
            return str(self._seen(self.path.parent / value))
        if key in _NUMBERS:
            try:
                return _NUMBERS[key](value)
            except (ValueError, TypeError):
                raise self.source.bad(path, f"{key} is a number") from None
        return self._substituted(value, path)

    def _secret(self, name: Any, path: tuple[Any, ...]) -> object:
        """The text of a file that a key names, or of each of several."""
        if isinstance(name, list):
            return [self._secret(one, (*path, number)) for number, one in enumerate(name)]
        try:
            self.secret.add(file := self._seen(self.path.parent / str(name)))
            text = read_small(file).strip()
        except ValueError as error:
            raise self.source.bad(path, f"{path[2]}: the file cannot be read ({error})") from None
        if not text:
            raise self.source.bad(path, f"{path[2]}: the file is empty")
        return text

    def _substituted(self, value: Any, path: tuple[Any, ...]) -> object:
        """A value with ``${NAME}`` of the environment put in; true and false are no text."""
        if isinstance(value, dict):
            return {key: self._substituted(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._substituted(inner, (*path, number)) for number, inner in enumerate(value)]
        if value in {"true", "false"}:
            return value == "true"
        return _VARIABLE.sub(lambda found: self._variable(found[1], path), value)

    def _variable(self, name: str, path: tuple[Any, ...]) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise self.source.bad(path, f"{path[2]}: ${{…}} names a variable of the environment: letters, digits and underscores")
        if not (value := os.environ.get(name)):
            raise self.source.bad(path, f"{path[2]}: the variable {name} is not set in the environment, or empty")
        return value

    def _calendar(self, name: str, entry: CalendarEntry) -> Calendar:
        path = ("calendars", name)
        timezone = self._zone(entry.timezone, (*path, "timezone")) if entry.timezone else None
        if (entry.file is None) == (not entry.windows):
            wrong = "has both; give it one of them" if entry.file else "never opens: it has neither"
            raise self.source.bad(path, f"calendar {name} is made of weekly windows or of a file, and {wrong}")
        return self._icalendar(entry.file, (*path, "file"), timezone)[0] if entry.file else weekly_hours(entry.windows, timezone or self.timezone)

    def _icalendar(self, name: str, path: tuple[Any, ...], timezone: ZoneInfo | None = None) -> tuple[Calendar, dict[str, int]]:
        file = self._seen(self.path.parent / name)
        if not file.is_file():
            raise self.source.bad(path, f"calendar file {shown(name)} is not there; its path is as seen from {self.path.parent}")
        calendar, names = read_icalendar(file, self.timezone, timezone)
        if not calendar.opens_within(now_ms(), now_ms() + LONGEST_MS):
            self.over.append(file)
        return calendar, names

    def _roster(self, name: str, entry: OnCallEntry, sinks: Mapping[str, SinkConfig]) -> Roster:
        path = ("on_call", name)
        if name in sinks or not NAME.fullmatch(name):
            raise self.source.bad(path, f"on_call {shown(name)[:60]} is also the name of a sink" if name in sinks else "a roster's name is 1 to 60 letters, digits, dots, dashes and underscores")
        for keys, sink in (*((("people", person), sink) for person, sink in entry.people.items()), (("otherwise",), entry.otherwise)):
            if sink not in sinks:
                raise self.source.bad((*path, *keys), f"unknown sink {shown(sink)[:60]!r}{nearest(sink, sinks)}")
        calendar, names = self._icalendar(entry.calendar, (*path, "calendar"))
        for person, line in names.items():
            if person not in entry.people:
                raise BadInput(f"calendar {self.path.parent / entry.calendar}:{line}: {shown(person)[:60]!r} is none of the people of on_call {name}{nearest(person, entry.people)}")
        return Roster(calendar, entry.people, entry.otherwise)

    def _routes(self, file: RoutesEntry, sinks: Mapping[str, SinkConfig], rosters: Mapping[str, Roster], calendars: Mapping[str, Calendar]) -> list[Route]:
        """All routes, each checked by itself and against those before it."""
        real = {name: config.real for name, config in sinks.items()}
        known = real | {name: all(real[sink] for sink in (*roster.people.values(), roster.otherwise)) for name, roster in rosters.items()}
        routes: list[Route] = []
        for number, entry in enumerate(file.routes):
            path = ("routes", number)
            for problem in problems(entry, file.escalate_within, known, calendars):
                raise self.source.bad((*path, *problem.path), problem.text)
            for before, other in enumerate(routes):
                if other.name == entry.name:
                    raise self.source.bad((*path, "name"), f"route name {entry.name!r} is used twice (first in line {self.source.lines['routes', before, 'name']})")
            route = route_of(entry, calendars)
            if muted := always_muted(route, now_ms(), self.timezone):
                raise self.source.bad((*path, "mute"), muted)
            if by := shadowing(route, routes):
                raise self.source.bad((*path, "match"), f"route {entry.name!r} can never match: all of it is taken before, by {', '.join(by)}; move it up, or give those continue: true")
            routes.append(route)
        return routes
