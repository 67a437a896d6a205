"""A recorded day in place of Kafka: what ``judge`` made of it and its fixes, replayed in order of time into the same pages."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import structlog

from consumers.console.city.city import City
from consumers.console.city.day_rates import rate_of, read_row
from consumers.console.city.incidents import Incidents
from consumers.console.fleet.replay import Hour, WayCollector
from consumers.console.signs import REPLAYED
from consumers.console.sources.past_fixes import Past
from streams.clock import DAY_MS, HOUR_MS, is_local_date
from streams.errors import BadInput, YichengError
from streams.wire.decode import Malformed
from streams.wire.events import LATE, SYNTHETIC, TOO_MANY

log = structlog.get_logger()
T = TypeVar("T")

STEP_S = 0.2
SELDOM = 100
"""An hour with fewer fixes than a hundredth of the busiest is no hour of the day."""
LONGEST_PAUSE_MS = 30 * 60_000
"""Where nothing happens for longer than that the replay goes on at once."""
INCIDENTS, RATES, SUMMARY, REJECTS = "incidents.jsonl", "rates.jsonl", "summary.json", "rejects.jsonl"


class Happening(NamedTuple):
    """Something that comes to pass at an instant (ms): a fix, a revision of an incident, or the beginning of a day whose results are known."""

    at_ms: int
    kind: str
    value: bytes


def read_folder(folder: Path) -> tuple[str, list[dict[str, Any]], list[bytes]]:
    """The pack's name, incidents and rows of rates that ``judge`` wrote; ``BadInput`` where it is no such folder."""
    missing = [name for name in (INCIDENTS, RATES, SUMMARY) if not (folder / name).is_file()]
    if missing:
        raise BadInput(f"--demo {folder}: {missing[0]} is not there; give a folder that ./yicheng judge --out wrote")
    try:
        name = str(orjson.loads((folder / SUMMARY).read_bytes())["policy"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"--demo {folder / SUMMARY}: not what ./yicheng judge writes ({type(error).__name__}); judge the day again") from None
    incidents, rates = _each_line(folder / INCIDENTS, _incident), _each_line(folder / RATES, _rate)
    log.info("a recorded day is replayed", folder=str(folder), incidents=len(incidents))
    return name, incidents, rates


def _each_line(file: Path, read: Callable[[bytes], T]) -> list[T]:
    """What each line of a file says; ``BadInput`` names the first that cannot be read."""
    found = list[T]()
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            found.append(read(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadInput(f"--demo {file}, line {number}: not what ./yicheng judge writes ({type(error).__name__}: {error}); judge the day again") from None
    return found


def _incident(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(line)
    for happening in revisions([row]):
        Incidents().enter(happening.value)
    return row


def _rate(line: bytes) -> bytes:
    rate_of(read_row(line), None)
    return line


def refused_ids(folder: Path) -> frozenset[str]:
    """The ids of the events that ``judge`` refused for what came before them; those of duplicates are accepted ones' ids, too."""
    path = folder / REJECTS
    rows = (orjson.loads(line) for line in path.read_bytes().splitlines()) if path.is_file() else ()
    try:
        return frozenset(row["event_id"] for row in rows if row["reason"] in {LATE, TOO_MANY, SYNTHETIC} and row["event_id"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BadInput(f"--demo {folder}: {REJECTS} is not what ./yicheng judge writes ({type(error).__name__}); judge the day again") from None


def revisions(incidents: Iterable[dict[str, Any]]) -> Iterator[Happening]:
    """Each incident as it is opened, and as it ends."""
    for row in incidents:
        name = row["incident_id"]
        is_closed = row["state"] != "open"
        opened = {**row, "revision": 1, "state": "open", "closed_at_ms": None, "last_seen_ms": row["opened_at_ms"]} if is_closed else {**row, "revision": 1}
        yield Happening(row["opened_at_ms"], "incident", _event(f"{name}/1", "opened", opened))
        if is_closed:
            yield Happening(row.get("closed_at_ms") or row["last_seen_ms"], "incident", _event(f"{name}/2", "closed", {**row, "revision": 2}))


def _event(event_id: str, kind: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"specversion": "1.0", "id": event_id, "type": f"yicheng.incident.{kind}.v1", "data": data})


class DemoFeed:
    """Replays a day, ``speedup`` times as fast as it was, again and again until told to stop."""

    def __init__(
        self, city: City, prepare: Callable[[City], None], fixes: Callable[[], Iterable[tuple[int, bytes]]], incidents: list[dict[str, Any]], rates: list[bytes], speedup: float,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        self.city, self.prepare, self.fixes, self.rates, self.speedup = city, prepare, fixes, rates, speedup
        self.revisions = sorted(revisions(incidents), key=lambda happening: happening.at_ms)
        self._stopping = threading.Event()
        self.refused = refused
        self._span_ms: tuple[int, int] | None = None

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, daemon=True, name="console-demo").start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def answer(self, key: bytes, value: bytes) -> None:
        """Nobody would read it."""
        raise YichengError("this replays a recorded day; answers are not taken / 这是回放，不接受回复")

    def past_incident(self, incident_id: str) -> bytes | None:
        """There are none but those of the day."""
        return None

    def span_ms(self) -> tuple[int, int]:
        """The hours of the day; a time that hardly any fix has is a clock that was wrong."""
        if self._span_ms is None:
            hours = Counter(at_ms // HOUR_MS for at_ms, _ in self.fixes())
            busy = [hour for hour, number in hours.items() if number * SELDOM >= max(hours.values())] or [0]
            self._span_ms = min(busy) * HOUR_MS, (max(busy) + 1) * HOUR_MS
        return self._span_ms

    def hour(self, vehicle_ids: Collection[str], from_ms: int, is_stopping: Callable[[], bool]) -> Hour:
        """The ways of vehicles in the hour from an instant on, without the fixes that ``judge`` refused."""
        collector = WayCollector(vehicle_ids, from_ms, self.refused)
        for _, value in self.fixes():
            collector.enter(value, None)
            if is_stopping():
                break
        return Hour(from_ms, collector.ways(), [])

    def past(self, from_ms: int, until_ms: int) -> Past:
        """The recorded fixes between two instants; before the record begins those of its first day at the same hour."""
        found, moved_ms, first_ms = Past(until_ms, [], [], is_whole=True), 0, 0
        for at_ms, value in self.fixes():
            if not first_ms:
                first_ms = at_ms  # 0: what cannot be read has no time
                moved_ms = DAY_MS if until_ms < first_ms else 0
            if at_ms > until_ms + moved_ms:
                break
            if at_ms >= from_ms + moved_ms:
                found.values.append(value)
                found.arrived_ms.append(None)
        return found._replace(until_ms=until_ms + moved_ms)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._replay()
                self._stopping.wait(5.0)
        except YichengError as error:
            log.error("the replay cannot go on", error=str(error))  # its file is not what it was
            self.city.say({"zh": f"回放中断：{error}", "en": f"the replay has stopped: {error}"})
        except Exception as error:
            log.exception("the replay cannot go on")
            name = type(error).__name__
            self.city.say({"zh": f"回放因程序错误中断（{name}），详情见控制台日志。", "en": f"The replay has stopped because of an error ({name}); the console's log says more."})

    def _replay(self) -> None:
        self.city.begin_anew()
        self.prepare(self.city)
        self.city.replaying = True
        self.city.signs.not_counted(REPLAYED)
        self.city.say(None)
        self.city.history_is_read()
        reached_ms, began_s, due = 0, time.monotonic(), list[Happening]()
        for happening in self._in_order():
            if happening.at_ms - reached_ms > LONGEST_PAUSE_MS or not reached_ms:
                self._enter(due)
                due, began_s, reached_ms = [], time.monotonic(), happening.at_ms
            ahead_s = (happening.at_ms - reached_ms) / 1000 / self.speedup - (time.monotonic() - began_s)
            if ahead_s > 0:
                self._enter(due)
                due = []
                began_s, reached_ms = time.monotonic() + ahead_s, happening.at_ms
                if self._stopping.wait(max(ahead_s, STEP_S)):
                    return
            due.append(happening)
        self._enter(due)

    def _results(self) -> Iterator[Happening]:
        """The rows of each local day's rates as it begins: what is still to come is not shown."""
        policies = self.city.policies
        for row in self.rates:
            day = read_row(row)["date"]
            yield Happening(policies.newest.days.bounds_ms(day)[0] if policies and is_local_date(day) else 0, "rate", row)

    def _in_order(self) -> Iterator[Happening]:
        """Fixes and revisions by time; of an instant the fixes come first. Where a day and more is left out, what comes after the last of the day's hours is of a clock that was wrong."""
        waiting = iter(sorted([*self._results(), *self.revisions], key=lambda happening: happening.at_ms))
        revision, before_ms = next(waiting, None), 0
        for at_ms, value in self.fixes():
            if before_ms and at_ms > before_ms + DAY_MS and at_ms >= self.span_ms()[1]:
                continue
            before_ms = at_ms
            while revision is not None and revision.at_ms < at_ms:
                yield revision
                revision = next(waiting, None)
            yield Happening(at_ms, "fix", value)
        while revision is not None:
            yield revision
            revision = next(waiting, None)

    def _enter(self, due: list[Happening]) -> None:
        fixes = [happening for happening in due if happening.kind == "fix"]
        if fixes:
            self.city.enter_fixes([fix.value for fix in fixes], [None] * len(fixes), max(fix.at_ms for fix in fixes))
        for happening in due:
            if happening.kind == "rate":
                self.city.enter_rate(happening.value)
            elif happening.kind == "incident":
                try:
                    self.city.enter_incident(happening.value)
                except Malformed as error:
                    log.warning("an incident of the folder cannot be read and is left out", error=str(error))
