"""When a calendar is open and whose turn it is then: weekly hours as packs write them, or an iCalendar file (RFC 5545) with repeated events. Times in ms since 1970 UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import icalendar
from dateutil.rrule import rrule, rrulestr
from icalendar.timezone import tzp

from streams.clock import DAY_MS, local_datetime
from streams.errors import BadInput, closest
from streams.files.small_files import read_small
from streams.windows import Window
from streams.words.shown import shown

LONGEST_MS = 366 * DAY_MS
"""A calendar that is open for longer than that at a stretch is never closed."""
_CHUNK_MS = 28 * DAY_MS
_CHUNKS_KEPT = 64
_YEARS = range(1970, 2100)
_MOST_EVENTS, _MOST_REPEATED, _MOST_TIMES = 5_000, 100, 5_000
_ONCE = ("DTSTART", "DTEND", "DURATION", "RRULE", "RECURRENCE-ID", "SUMMARY")
_TIMES = ("DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE")
_WEEKLY_KEYS = {"FREQ", "INTERVAL", "BYDAY", "BYMONTH", "UNTIL", "COUNT", "WKST"}
_MONTHLY_KEYS = _WEEKLY_KEYS | {"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"}
_KEYS = {"DAILY": _WEEKLY_KEYS, "WEEKLY": _WEEKLY_KEYS, "MONTHLY": _MONTHLY_KEYS, "YEARLY": _MONTHLY_KEYS}
"""By how a rule repeats what else it may say: beyond that it could be looked for through ten thousand years, day by day, and never hold."""


class Span(NamedTuple):
    """A time in which a calendar is open, ``[from_ms, until_ms)``, and what its event is called."""

    from_ms: int
    until_ms: int
    name: str


class Calendar:
    """Answers by instant. ``spans(from_ms, until_ms)`` gives all that touch those bounds, in any order; they may overlap."""

    def __init__(self, spans: Callable[[int, int], Iterable[Span]]) -> None:
        self._spans = spans
        self._chunks: dict[int, list[Span]] = {}

    def at(self, at_ms: int) -> list[Span]:
        """The spans that are open at an instant, in order of their beginning."""
        return [span for span in self._chunk(at_ms // _CHUNK_MS) if span.from_ms <= at_ms < span.until_ms]

    def opens_within(self, from_ms: int, until_ms: int) -> bool:
        """Whether it is open at some time within bounds."""
        return any(True for _ in self._spans(from_ms, until_ms))

    def _chunk(self, number: int) -> list[Span]:
        if number not in self._chunks:
            if len(self._chunks) >= _CHUNKS_KEPT:
                self._chunks.clear()
            self._chunks[number] = sorted(self._spans(number * _CHUNK_MS, (number + 1) * _CHUNK_MS))
        return self._chunks[number]


def open_until_ms(calendars: Sequence[Calendar], at_ms: int) -> int | None:
    """When the last of several calendars that are open at an instant, or follow without a gap, closes; None where none is open.

    At most ``LONGEST_MS`` later: what is open longer is always open.
    """
    until_ms = at_ms
    while until_ms < at_ms + LONGEST_MS:
        following = [span.until_ms for calendar in calendars for span in calendar.at(until_ms)]
        if not following:
            break
        until_ms = max(following)
    return min(until_ms, at_ms + LONGEST_MS) if until_ms > at_ms else None


def weekly_hours(windows: Sequence[Window], timezone: ZoneInfo) -> Calendar:
    """Open in windows of local time, every week."""

    def spans(from_ms: int, until_ms: int) -> Iterator[Span]:
        day, last = (local_datetime(moment_ms, timezone).date() for moment_ms in (from_ms, until_ms))
        while day <= last + timedelta(days=1):
            for window in windows:
                yield from (Span(*interval, "") for interval in window.intervals_ms(day, timezone))
            day += timedelta(days=2)  # the intervals of a day are also those of the days beside it

    return Calendar(lambda from_ms, until_ms: {span for span in spans(from_ms, until_ms) if span.until_ms > from_ms and span.from_ms < until_ms})


class _Event(NamedTuple):
    """An event: when it begins, of local time without a zone; how long it lasts; how it is repeated, and without which beginnings."""

    name: str
    begins: list[datetime]
    length: timedelta
    zone: tzinfo
    repeated: rrule | None
    without: frozenset[datetime]

    def beginnings(self, after: datetime, before: datetime) -> Iterator[datetime]:
        """Local times from one until another."""
        found = {begin for begin in self.begins if after <= begin <= before}
        if self.repeated is not None:
            found.update(self.repeated.between(after, before, inc=True))
        yield from found - self.without

    def opens(self) -> bool:
        """Whether it takes place at all."""
        first = islice(self.repeated, len(self.without) + 1) if self.repeated is not None else ()
        return bool({*self.begins, *first} - self.without)

    def spans(self, from_ms: int, until_ms: int) -> Iterator[Span]:
        """Each time that it takes place within bounds (ms)."""
        after, before = (_local(datetime.fromtimestamp(moment_ms / 1000, UTC), self.zone) for moment_ms in (from_ms, until_ms))
        for begin in self.beginnings(after - self.length - timedelta(days=1), before + timedelta(days=1)):
            span = Span(_ms(begin, self.zone), _ms(begin + self.length, self.zone), self.name)
            if span.until_ms > from_ms and span.from_ms < until_ms:
                yield span


def read_icalendar(path: Path, otherwise: ZoneInfo, timezone: ZoneInfo | None = None) -> tuple[Calendar, dict[str, int]]:
    """The calendar of a file, and the names of its events with the line of the first of each. Times that name no zone are of ``timezone``, else of the file's ``X-WR-TIMEZONE``, else of ``otherwise``.

    ``BadInput`` tells file and line of an event that has no end, cannot be read, is of an unknown zone, or repeats oftener than daily.
    """
    tzp.use_default()  # which forgets the zones that files before this one described
    try:
        text = read_small(path)
        found = icalendar.Calendar.from_ical(text)
        if not isinstance(found, icalendar.Calendar):
            raise ValueError("not one VCALENDAR")  # noqa: TRY004 (told below)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BadInput(f"calendar {path}: not an iCalendar file that can be read ({shown(error)[:120]})") from None
    begins = [number for number, line in enumerate(text.splitlines(), 1) if line.strip().upper() == "BEGIN:VEVENT"]
    components = found.walk("VEVENT")
    if len(components) > _MOST_EVENTS or sum("RRULE" in component for component in components) > _MOST_REPEATED:
        raise BadInput(f"calendar {path}: more than {_MOST_EVENTS:,} events, or {_MOST_REPEATED} repeated ones")
    zone = timezone or _zone_of_file(path, found) or otherwise
    events, names, moved = [], dict[str, int](), dict[str, set[datetime]]()
    for line, component in zip(begins, components, strict=False):
        with _placed(path, line):
            _check(component)
            _note_moved(component, zone, moved)
    for line, component in zip(begins, components, strict=False):
        with _placed(path, line):
            event = _event(component, zone, moved)
        if str(component.get("STATUS", "")).upper() != "CANCELLED" and event.opens():
            events.append(event)
            names.setdefault(event.name, line)
    if not events:
        raise BadInput(f"calendar {path}:1: no event ever takes place; a calendar that never opens does nothing")
    return Calendar(lambda from_ms, until_ms: [span for event in events for span in event.spans(from_ms, until_ms)]), names


@contextmanager
def _placed(path: Path, line: int) -> Iterator[None]:
    """What is wrong with an event is told with its place."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BadInput(f"calendar {path}:{line}: this event {shown(error)[:220]}") from None


def _zone_of_file(path: Path, found: icalendar.Calendar) -> tzinfo | None:
    if not (name := found.get("X-WR-TIMEZONE")):
        return None
    if (zone := tzp.timezone(str(name))) is None:
        raise BadInput(f"calendar {path}: X-WR-TIMEZONE {shown(name)[:60]!r} is unknown; {_known_zone(str(name))}")
    return zone


def _known_zone(name: str) -> str:
    meant = closest(name, available_timezones())
    return f"did you mean {meant!r}?" if meant else "use one such as Asia/Shanghai, or describe it by a VTIMEZONE"


def _check(component: Any) -> None:
    """What an event says is read, said once, and of known zones; an error's text goes on after ``this event``."""
    for key, problem in component.errors:
        raise ValueError(f"cannot be read: {key}: {problem}")
    for key in _ONCE:
        if isinstance(component.get(key), list):
            raise ValueError(f"has more than one {key}")  # noqa: TRY004 (a mistake of the file)
    if "DTSTART" not in component:
        raise ValueError("has no beginning (DTSTART)")
    if "DTEND" in component and "DURATION" in component:
        raise ValueError("has both DTEND and DURATION; give it one of them")
    for value in (value for key in _TIMES for value in _each(component.get(key))):
        times = [entry.dt for entry in value.dts] if hasattr(value, "dts") else [value.dt]
        if (name := value.params.get("TZID")) and any(isinstance(time, datetime) and not time.tzinfo for time in times):
            raise ValueError(f"is of the time zone {name[:60]!r}, which is unknown; {_known_zone(name)}")


def _each(values: Any) -> list[Any]:
    """What stands once or several times, as a list."""
    return values if isinstance(values, list) else [] if values is None else [values]


def _note_moved(component: Any, timezone: tzinfo, moved: dict[str, set[datetime]]) -> None:
    """Note, by the id of a repeated event, the one of its times that an event of its own replaces, as UTC."""
    if "RECURRENCE-ID" in component and "UID" in component:
        moved.setdefault(str(component["UID"]), set()).add(_utc(*_begin(component["RECURRENCE-ID"].dt, timezone)))


def _event(component: Any, timezone: tzinfo, moved: dict[str, set[datetime]]) -> _Event:
    """An event as the file has it; an error's text goes on after ``this event``."""
    begin, zone = _begin(component["DTSTART"].dt, timezone)
    if begin.year not in _YEARS:
        raise ValueError(f"begins in {begin.year}")
    length = _length(component, begin, zone, timezone)
    if length <= timedelta(0):
        raise ValueError("has no end after its beginning; give it DTEND or DURATION")
    repeated = _repeated(component.get("RRULE"), begin, zone)
    begins = [begin, *_dates(component.get("RDATE"), zone, timezone)]
    without = set(_dates(component.get("EXDATE"), zone, timezone))
    if repeated is not None and (count := component["RRULE"].get("COUNT")):
        if not 1 <= int(count[0]) <= _MOST_TIMES:
            raise ValueError(f"has a COUNT of {count[0]}; it is 1 to {_MOST_TIMES:,}, or left out")
        begins += islice(repeated, int(count[0]))
        repeated = None
    if replaced := moved.get(str(component.get("UID"))) if "RECURRENCE-ID" not in component else None:
        begins = [each for each in begins if _utc(each, zone) not in replaced]
        without |= {_local(moment, zone) for moment in replaced} if repeated is not None else set()
    return _Event(str(component.get("SUMMARY", "")).strip(), begins, length, zone, repeated, frozenset(without))


def _begin(value: date | datetime, timezone: tzinfo) -> tuple[datetime, tzinfo]:
    """A time of the file as local time, and of which zone; a date is its midnight."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time()), timezone
    return value.replace(tzinfo=None), value.tzinfo or timezone


def _length(component: Any, begin: datetime, zone: tzinfo, timezone: tzinfo) -> timedelta:
    if "DTEND" in component:
        return _in_zone(component["DTEND"].dt, zone, timezone) - begin
    if "DURATION" in component:
        return component["DURATION"].dt  # type: ignore[no-any-return]
    return timedelta(days=0 if isinstance(component["DTSTART"].dt, datetime) else 1)


def _repeated(rule: Any, begin: datetime, zone: tzinfo) -> rrule | None:
    """The rule by which an event is repeated; one that goes on for ever ends where ``_YEARS`` do."""
    if rule is None:
        return None
    often = str(rule.get("FREQ", [""])[0]).upper()
    if often not in _KEYS:
        raise ValueError("is repeated oftener than daily; give FREQ=DAILY, WEEKLY, MONTHLY or YEARLY")
    if foreign := sorted(key.upper() for key in rule.keys() - _KEYS[often]):
        raise ValueError(f"is repeated {often} with {foreign[0]}, which is not read here; give {', '.join(sorted(_KEYS[often] - {'FREQ', 'UNTIL', 'COUNT', 'WKST'}))}, or FREQ=MONTHLY")
    if int(rule.get("INTERVAL", [1])[0]) < 1:
        raise ValueError("has an INTERVAL of less than 1")
    last = datetime(_YEARS.stop, 1, 1)  # noqa: DTZ001 (local time)
    if until := rule.get("UNTIL"):
        last = _in_zone(until[0], zone, zone)
        if not isinstance(until[0], datetime):  # that day still counts
            last += timedelta(days=1, seconds=-1)
    text = ";".join(f"{key}={','.join(map(str, value))}" for key, value in rule.items() if key.upper() not in {"UNTIL", "COUNT"})
    return rrulestr(text, dtstart=begin, cache=True).replace(until=last)  # type: ignore[no-any-return]


def _dates(lists: Any, zone: tzinfo, timezone: tzinfo) -> Iterator[datetime]:
    """The times that EXDATE or RDATE lists."""
    for entries in _each(lists):
        for entry in entries.dts:
            if not isinstance(entry.dt, date):
                raise TypeError("has an RDATE with a PERIOD; give it as an event of its own")
            yield _in_zone(entry.dt, zone, timezone)


def _in_zone(value: date | datetime, zone: tzinfo, timezone: tzinfo) -> datetime:
    """A time of the file as local time of a zone; a date, and a time that names no zone, are of the file's."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time())
    return _local(value, zone) if value.tzinfo else value


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _utc(local: datetime, zone: tzinfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _ms(local: datetime, zone: tzinfo) -> int:
    return int(local.replace(tzinfo=zone).timestamp() * 1000)
