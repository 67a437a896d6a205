"""All that the console knows of a city, put together from records of whatever source: a feed enters, pages ask. One lock guards it."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import orjson

from consumers.console.city.course import FEATURES, NO_COURSE, NO_MINUTES, DayCourse
from consumers.console.city.day_rates import DayRates, rate_of, read_row
from consumers.console.city.history import EventLog
from consumers.console.city.in_force import nothing_judged, shown_policy, still_to_come
from consumers.console.city.incidents import OBJECTED, Incidents
from consumers.console.city.network import Network
from consumers.console.city.papers import papers_of
from consumers.console.city.views import city_rate, outlets_view, policy_view, rates_view
from consumers.console.city.zones import NO_ZONES, rule_titles, zone_shapes, zone_states
from consumers.console.fleet.basemap import Basemap
from consumers.console.fleet.fixes import read_fixes
from consumers.console.fleet.positions import Fleet, Leg
from consumers.console.fleet.tracks import Tracks
from consumers.console.signs import Signs
from streams.clock import DAY_MS, HOUR_MS, now_ms
from streams.counts import CITY_WIDE
from streams.policy.policy import Policies, Policy
from streams.policy.reader import decode_policy
from streams.registry.records import Enterprise, decode_versions
from streams.registry.registry import Registry
from streams.watermark import capped
from streams.wire.events import LAST_MS, Fix
from streams.words.basis import BASIS_WORDS, DUTY_WORDS, FIGURES_WORDS

RATE_OVER_S = 10.0
REDRAWN_EVERY_S = 20.0
ASKING_EVERY_S = 5.0
"""So often, while a registry or rates come, viewers are told of them, since each then asks for all plates or for a view."""
FIRST_REDRAWN_S = 3.0
"""The base map of a console that has just begun is drawn sooner."""


class City:
    """Vehicles, incidents, answers, rates, zones and the base map of the city that a pack is for."""

    def __init__(self, policy_name: str, basemap_file: Path | None = None) -> None:
        self.policy_name = policy_name
        self.lock = threading.RLock()
        self.basemap = Basemap(basemap_file)
        self.status: dict[str, str] | None = {"zh": "正在连接 Kafka …", "en": "connecting to Kafka …"}
        self.replaying = False
        self.signs = Signs()
        self.log = EventLog(secrets.randbits(31))
        self._redrawn_s = time.monotonic()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything but the base map: a feed reads it all again, and viewers are told nothing until it has."""
        with self.lock:
            self.reading_history = True
            self.log.begin_anew(secrets.randbits(31))
            self.fleet, self.tracks = Fleet(self.log.epoch), Tracks()
            self.incidents, self.rates = Incidents(), DayRates()
            self.course = DayCourse()
            self.policies: Policies | None = None
            self.registry = Registry(ZoneInfo("Asia/Shanghai"))
            self.stream_ms = 0
            self.followed_from_ms = 0
            """The stream time at which the first fixes came (0: none has); of before that the feed is asked."""
            self.version = 0
            self._legs: list[Leg] = []
            self._fixes: deque[tuple[float, int]] = deque()
            self._entered = self._registry_records = 0
            self._network = Network()

    def history_is_read(self) -> None:
        """From now on viewers are told what comes; those who have looked meanwhile start afresh."""
        with self.lock:
            self.reading_history = False
            self.log.begin_anew(secrets.randbits(31))

    # --- what feeds enter ---
    def enter_fixes(self, values: Sequence[bytes | None], arrived_ms: Sequence[int | None], until_ms: int = LAST_MS) -> int:
        """Take over fixes as they travel (fixes.py says what the times are); returns how many cannot be read or are implausible."""
        read = read_fixes(values, arrived_ms, until_ms)
        refused = read.unreadable + read.implausible
        with self.lock:
            for fix in read.plausible:
                self._enter_fix(fix)
            self.followed_from_ms = self.followed_from_ms or self.stream_ms
            self._fixes.append((time.monotonic(), len(values) - read.unreadable))
            self.signs.entered(len(values), refused, now_ms())
        return refused

    def _enter_fix(self, fix: Fix) -> None:
        self.stream_ms = max(self.stream_ms, capped(fix.event_time_ms, fix.arrival_time_ms))
        leg = self.fleet.enter(fix)
        if leg is not None:
            self._legs.append(leg)
            self.tracks.enter(leg)

    def enter_incident(self, value: bytes | None) -> None:
        """Take over a revision of an incident; ``Malformed`` where the record is none."""
        with self.lock:
            incident = self.incidents.enter(value)
            if incident is not None:
                self._entered += 1
                self._tell("incident", self.incidents.summary(incident))

    def enter_past_incident(self, value: bytes) -> None:
        """Take over a revision of long ago; viewers are told of an open one alone. ``Malformed`` where the record is none."""
        with self.lock:
            incident = self.incidents.enter(value)
            self._entered += 1
            if incident is not None and incident.is_open:
                self._tell("incident", self.incidents.summary(incident))

    def enter_answer(self, value: bytes | None) -> None:
        """Take over an answer; ``Malformed`` where the record is none."""
        with self.lock:
            answer = self.incidents.enter_answer(value)
            self._entered += 1
            said = self.incidents.said_of(answer.incident_id)
            self._tell("answer", {**msgspec.to_builtins(answer), "answer": said.state, "objected": said.objection == OBJECTED})

    def enter_rate(self, value: bytes | None, sent_ms: int | None = None) -> None:
        """Take over a row of a local day's rates that was ``sent_ms``; others are passed over. ``Malformed`` where the record is no row."""
        read = read_row(value)
        row = rate_of(read, sent_ms)
        with self.lock:
            self._entered += 1
            if row is None:
                self.rates.enter_scanned(read)
            if row is None or not self.rates.enter(row):
                return
            at_ms = min((moment for moment in (self.stream_ms, sent_ms) if moment), default=None)  # a row of before a restart is of when it was sent
            if (policy := self._policy()) and at_ms:
                self.course.enter(row, at_ms, policy.days)

    def enter_registry(self, key: bytes | None, value: bytes | None) -> None:
        """Take over all versions of a registry record; ``BadInput`` or ``ValueError`` where it cannot be read."""
        kind, _, name = (key or b"").decode().partition("/")
        entries = decode_versions(value) if value else []
        with self.lock:
            self.registry.put(kind, name, entries)
            self._registry_records += 1
            self._entered += 1
            self.version += kind in {"vehicle", "enterprise"}

    def enter_policy(self, key: bytes | None, value: bytes | None) -> None:
        """Take over the versions of the pack, if it is this city's; ``BadInput`` or ``ValueError`` where it cannot be read."""
        if (key or b"").decode() == self.policy_name and value:
            versions = decode_policy(value)
            with self.lock:
                self.policies = Policies(versions)
                self.registry.timezone = self.policies.newest.timezone
                self.version += 1

    # --- as time goes on ---
    def tick(self) -> int:
        """Settle what a second has brought: positions, base map, figures, zones; returns the number of the positions' frame."""
        with self.lock:
            legs, self._legs = self._legs, []
            self.basemap.enter(legs)
            frame = self.fleet.tick(self.stream_ms, self.incidents.open_of)
            self._tell_changed("header", self.header())
            self._tell_changed("zones", self.zones())
            self._tell_changed("registry", {"version": self.version}, ASKING_EVERY_S)
            self._tell_changed("views", {"version": [self.version, self._entered, self._now_ms() // HOUR_MS]}, ASKING_EVERY_S)
            now_s = time.monotonic()
            if legs and now_s - self._redrawn_s > (FIRST_REDRAWN_S if self.basemap.version < 3 else REDRAWN_EVERY_S):
                self._redrawn_s = now_s
                self._tell("basemap", {"version": self.basemap.redraw()})
            return frame

    def say(self, status: dict[str, str] | None) -> None:
        """Something that viewers ought to know, in both languages; None: all is well."""
        with self.lock:
            self.status = status

    def _tell(self, kind: str, data: Mapping[str, Any]) -> None:
        if not self.reading_history:
            self.log.tell(kind, orjson.dumps(data))

    def _tell_changed(self, kind: str, data: Any, every_s: float = 0.0) -> None:
        if not self.reading_history:
            self.log.tell_changed(kind, orjson.dumps(data), time.monotonic(), every_s)

    # --- what pages ask ---
    def header(self) -> dict[str, Any]:
        """The figures above every page."""
        return {
            "stream_ms": self.stream_ms // 1000 * 1000, "fixes_per_s": self._fixes_per_s(), "vehicles": len(self.fleet), **self.incidents.counts(),
            "rates": {name: city_rate(self.rates.newest(), name, self._policy()) for name in FEATURES}, "status": self._status(), "lag": self.signs.lag(),
        }  # fmt: skip

    def _status(self) -> dict[str, str] | None:
        if self.status is not None:
            return self.status
        if self.reading_history:
            return {"zh": "正在读取历史记录 …", "en": "reading the history …"}
        return self._nothing_judged() or self.signs.warning() or self.fleet.problem or self.basemap.problem or self.basemap.warning

    def _nothing_judged(self) -> dict[str, str] | None:
        return nothing_judged(self.policies, self.policy_name, self._now_ms())

    def _policy(self) -> Policy | None:
        """The version of the pack by which pages speak."""
        return shown_policy(self.policies, self._now_ms())

    def _fixes_per_s(self) -> float:
        since_s = time.monotonic() - RATE_OVER_S
        while self._fixes and self._fixes[0][0] < since_s:
            self._fixes.popleft()
        return round(sum(number for _, number in self._fixes) / RATE_OVER_S, 1)

    def zones(self) -> list[dict[str, Any]]:
        """What each zone forbids at stream time (or, without traffic, now)."""
        return zone_states(self.policies, self._now_ms()) if self.policies else []

    def _now_ms(self) -> int:
        return self.stream_ms or now_ms()

    def state(self) -> dict[str, Any]:
        """All that a page begins with, and after which event it goes on."""
        with self.lock:
            listed = self.incidents.listed()
            pack = policy.pack if (policy := self._policy()) else None
            return {
                "after": self.log.newest_id, "epoch": self.log.epoch, "replaying": self.replaying,
                "city": {"zh": pack.city.name_zh, "en": pack.city.name_en, "adcode": pack.city.adcode, "timezone": pack.city.timezone} if pack else None,
                "document": {"title": pack.document.title, "number": pack.document.number} if pack else None,
                "header": self.header(), "zones": self.zones(), "no_zones": self._nothing_judged() or NO_ZONES, "shapes": zone_shapes(self.policies, self._now_ms()) if self.policies else None,
                "incidents": [self.incidents.summary(incident) for incident in listed], "older": len(self.incidents.order) - len(listed),
                "enterprises": {entry.id: {"zh": entry.name_zh or entry.id, "en": entry.name_en or entry.name_zh or entry.id} for entry in self.registry.each("enterprise") if isinstance(entry, Enterprise)},
                "titles": rule_titles(), "basis": {name: words._asdict() for name, words in BASIS_WORDS.items()}, "duty": {name: words._asdict() for name, words in DUTY_WORDS.items()},
                "figures": FIGURES_WORDS._asdict(), "basemap": self.basemap.version,
            }  # fmt: skip

    def views(self, enterprise_id: str = CITY_WIDE) -> dict[str, Any]:
        """What the views of rates (with the day's course of one enterprise, or the city's), outlets and the policy show."""
        with self.lock:
            policy, course, now_ms = self._policy(), self._course(enterprise_id), self._now_ms()
            known, active = self._network.at(now_ms, self.registry, self._registry_records, policy, self.rates.scanned)
            rates = rates_view(self.rates.rows, policy, now_ms, enterprise_id, known, active, partial(self.registry.is_primary_brand, event_time_ms=now_ms))
            note = None if course else NO_MINUTES if self.replaying else NO_COURSE
            return {
                "rates": {**rates, "course": course, "course_note": note},
                "outlets": outlets_view(self.registry, list(self.incidents.unfiled), now_ms, policy.pack.city.adcode if policy else None),
                "policy": policy_view(policy, still_to_come(self.policies, now_ms) if self.policies else []),
            }

    def _course(self, enterprise_id: str) -> dict[str, Any] | None:
        policy = self._policy()
        if policy is None or self.replaying:
            return None
        opened = partial(self.incidents.opened, enterprise_id=None if enterprise_id == CITY_WIDE else enterprise_id)
        return self.course.of(enterprise_id, self.rates.rows.get((enterprise_id, self.course.date), {}), opened, policy.days)

    def vehicle_table(self, since: int) -> dict[str, Any]:
        """Ids, plates and enterprises of the vehicles from a number on."""
        with self.lock:
            records = (self.registry.at("vehicle", name, self._now_ms()) for name in self.fleet.ids[since:])
            rows = [(name, getattr(record, "plate", None) or plate, getattr(record, "enterprise_id", None))
                    for name, plate, record in zip(self.fleet.ids[since:], self.fleet.plates[since:], records, strict=True)]  # fmt: skip
            return {"epoch": self.fleet.epoch, "since": since, "rows": rows}

    def vehicle(self, vehicle_id: str) -> dict[str, Any] | None:
        """What is known of a vehicle: its papers, its track of the last hour, its incidents of the last day."""
        with self.lock:
            now_ms = self._now_ms()
            record, about = self.registry.at("vehicle", vehicle_id, now_ms), self.fleet.about(vehicle_id)
            found = self.incidents.of_vehicle(vehicle_id, now_ms - DAY_MS)
            if record is None and about is None and not found:
                return None
            number = self.fleet.numbers.get(vehicle_id)
            track = self.tracks.of(number, now_ms) if number is not None else []
            return {"vehicle_id": vehicle_id, "now": about, "record": papers_of(record, self.registry, now_ms), "incidents": found, "track": track, "hour_ms": HOUR_MS}

    def incident(self, incident_id: str) -> dict[str, Any] | None:
        """All that is known of an incident."""
        with self.lock:
            incident = self.incidents.latest.get(incident_id)
            return self.incidents.details(incident) if incident is not None else None

    def past_incident(self, value: bytes) -> dict[str, Any] | None:
        """All that a revision of long ago says, and what was answered to it; ``Malformed`` where the record is none."""
        with self.lock:
            alone = Incidents()
            alone.answers = self.incidents.answers
            incident = alone.enter(value)
            return alone.details(incident) if incident is not None else None
