"""The incidents that the console holds, as last revised, and what was answered to them: bounded, in order of time, with running sums. Pure."""

from __future__ import annotations

import sys
import zlib
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from consumers.incident_events import Reported, read_event
from streams.clock import MINUTE_MS
from streams.lifecycle import OPEN, RETRACTED
from streams.wire.answers import Answer, Standing, read_answer, standing
from streams.wire.decode import Malformed, decoded
from streams.wire.events import LAST_MS
from streams.wire.ids import is_id
from streams.words.basis import in_language
from streams.words.terms import LANGUAGES

MOST_INCIDENTS = 200_000
"""So many are held: of those that are over the oldest are let go of. An open one is held as long as it is open."""
MOST_ANSWERS, MOST_EARLY = 20, 100_000
"""Of one incident the last so many answers are shown; of so many incidents that are not held answers are kept, since those may be read first."""
MOST_LISTED = 5_000
"""So many, the newest, are handed to a page at first, and as many open ones that are older."""
SLOT_MS = 5 * MINUTE_MS
"""By such spans it is counted how many were opened: local days begin with one everywhere."""
DISMISSED = "dismissed"
UNFILED = "unfiled_outlet"
OBJECTED = "objected"
Order = tuple[int, str]
"""When an incident was opened (ms), and its id."""


class Evidence(msgspec.Struct):
    """A fix or scan that an incident rests on."""

    event_time_ms: int
    event_id: str | None = None
    lon: float | None = None
    lat: float | None = None
    speed_kmh: float | None = None


class Incident(Reported):
    """What the console says of an incident."""

    evidence: list[Evidence] = msgspec.field(default_factory=list)
    figures: str | None = None
    duty_of: str | None = None


class _Event(msgspec.Struct):
    data: Incident


class Held(msgspec.Struct, gc=False):
    """An incident as it is held: what lists show, its answer, whether an objection to it waits for a decision, and all the rest packed."""

    incident_id: str
    revision: int
    state: str
    rule: str
    rule_id: str
    clause: str
    severity: str
    basis: str | None
    city: str
    zone_id: str | None
    vehicle_id: str | None
    plate: str | None
    enterprise_id: str | None
    outlet_id: str | None
    line_id: str | None
    opened_at_ms: int
    last_seen_ms: int
    closed_at_ms: int | None
    lon: float | None
    lat: float | None
    reason_zh: str
    reason_en: str
    synthetic: bool
    answer: str | None
    objected: bool
    packed: bytes

    @property
    def is_open(self) -> bool:
        """Whether it goes on, for all that is known."""
        return self.state == OPEN

    @property
    def is_unanswered(self) -> bool:
        """Whether police have still to say something: nobody has, or an objection waits."""
        return self.answer is None or self.objected

    @property
    def order(self) -> Order:
        """Where it stands among others."""
        return self.opened_at_ms, self.incident_id


_decode_event = msgspec.json.Decoder(_Event).decode
_SUMMARY = Held.__struct_fields__[:-1]
_ITS_OWN = frozenset({"incident_id", "reason_zh", "reason_en"})
"""Texts that no two incidents have in common."""


class Incidents:
    """By id; a later revision takes an earlier one's place."""

    def __init__(self, most: int = MOST_INCIDENTS) -> None:
        self.most = most
        self.latest: dict[str, Held] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.open_of: Counter[str] = Counter()
        """Open incidents by vehicle: those that were dismissed do not count."""
        self.order: list[Order] = []
        """Those that were not retracted, the oldest first."""
        self.unfiled: Counter[tuple[str, str | None]] = Counter()
        """Those about outlets that are on no file, by outlet and enterprise."""
        self._retracted: dict[str, set[int]] = {}
        self._over: list[Order] = []
        self._open: set[str] = set()
        self._early: dict[str, None] = {}
        self._upheld_open = self._unanswered = 0
        self._first = b""
        self._opened: dict[int, Counter[str | None]] = {}

    def enter(self, value: bytes | None) -> Held | None:
        """Enter a revision; None where a later one is known, or it is over and too old to be held. ``Malformed`` where the record is no incident."""
        event = read_event(value)
        incident = decoded(event.body, _decode_event).data
        if not is_id(incident.incident_id) or not all(0 <= moment < LAST_MS for moment in (incident.opened_at_ms, incident.last_seen_ms)):
            raise Malformed("no incident of ours")
        known = self.latest.get(incident.incident_id)
        if known is not None and known.revision >= incident.revision:
            return None
        if incident.state == RETRACTED:
            self._retracted.setdefault(incident.incident_id, set()).add(incident.revision)
        held = _held(incident, self.said_of(incident.incident_id), self._pack(incident))
        if known is not None:
            self._take_out(known)
        self._put_in(held)
        if len(self.latest) > self.most and self._over:
            self._let_go(self.latest[self._over[0][1]])
        return held if held.incident_id in self.latest else None

    def _pack(self, incident: Incident) -> bytes:
        """All of an incident, packed by what it has in common with the first of all; ``Malformed`` where a number in it is none that JSON has everywhere."""
        try:
            plain = orjson.dumps(msgspec.to_builtins(incident))
        except TypeError:
            raise Malformed("a number is too large") from None
        self._first = self._first or plain
        packer = zlib.compressobj(1, zdict=self._first)
        return packer.compress(plain) + packer.flush()

    def _put_in(self, held: Held) -> None:
        self.latest[held.incident_id] = held
        self._early.pop(held.incident_id, None)
        if held.is_open:
            self._open.add(held.incident_id)
        else:
            insort(self._over, held.order)
        self._count(held, 1)
        if held.state != RETRACTED:
            insort(self.order, held.order)

    def _take_out(self, held: Held) -> None:
        self._open.discard(held.incident_id)
        if not held.is_open:
            del self._over[bisect_left(self._over, held.order)]
        self._count(held, -1)
        if held.state != RETRACTED:
            del self.order[bisect_left(self.order, held.order)]

    def _let_go(self, held: Held) -> None:
        self._take_out(held)
        del self.latest[held.incident_id]
        self.answers.pop(held.incident_id, None)
        self._retracted.pop(held.incident_id, None)

    def enter_answer(self, value: bytes | None) -> Answer:
        """Enter an answer, whether or not its incident is known. ``Malformed`` where the record is none."""
        answer = read_answer(value or b"")
        if not is_id(answer.incident_id) or not 0 <= answer.time_ms < LAST_MS:
            raise Malformed("no answer to an incident")
        said = self.answers.setdefault(answer.incident_id, [])
        if answer not in said and (answer.answer_id is None or all(known.answer_id != answer.answer_id for known in said)):
            said.append(answer)
            del said[:-MOST_ANSWERS]
        held = self.latest.get(answer.incident_id)
        if held is not None:
            self._count(held, -1)
            said_now = self.said_of(answer.incident_id)
            held.answer, held.objected = said_now.state, said_now.objection == OBJECTED
            self._count(held, 1)
        else:
            self._early[answer.incident_id] = None
            if len(self._early) > MOST_EARLY:
                forgotten = next(iter(self._early))
                del self._early[forgotten], self.answers[forgotten]
        return answer

    def said_of(self, incident_id: str) -> Standing:
        """What the answers to an incident come to; one to a revision that took it back changes nothing."""
        return standing(self.answers.get(incident_id, ()), self._retracted.get(incident_id, ()))

    @property
    def is_full(self) -> bool:
        """Whether a further one would take the place of another."""
        return len(self.latest) >= self.most

    def standing(self) -> Iterator[Held]:
        """Those that were not retracted."""
        return (held for held in self.latest.values() if held.state != RETRACTED)

    def upheld(self) -> list[Held]:
        """Those that were neither retracted nor dismissed."""
        return [held for held in self.standing() if held.answer != DISMISSED]

    def listed(self) -> list[Held]:
        """The newest, and older ones that are open, the newest first."""
        newest = self.order[-MOST_LISTED:]
        since = newest[0] if newest else (0, "")
        older = sorted(order for order in (self.latest[name].order for name in self._open) if order < since)[-MOST_LISTED:]
        return [self.latest[name] for _, name in reversed(older + newest)]

    def counts(self) -> dict[str, int]:
        """How many are open, without those that police dismissed (``courier_incidents_open`` has them, too: workers hear of no answers), and how many nobody has answered."""
        return {"open": self._upheld_open, "unanswered": self._unanswered}

    def opened(self, from_ms: int, until_ms: int, enterprise_id: str | None) -> dict[int, int]:
        """How many were opened in each slot (by its beginning, ms) between two instants; ``enterprise_id``: of one enterprise (None: of all)."""
        slots = (slot for slot in range(from_ms // SLOT_MS, until_ms // SLOT_MS) if slot in self._opened)
        return {slot * SLOT_MS: self._opened[slot].total() if enterprise_id is None else self._opened[slot][enterprise_id] for slot in slots}

    def summary(self, held: Held) -> dict[str, Any]:
        """A row of the list."""
        return {name: getattr(held, name) for name in _SUMMARY}

    def details(self, held: Held) -> dict[str, Any]:
        """All that there is to say of one."""
        found: dict[str, Any] = orjson.loads(zlib.decompressobj(zdict=self._first).decompress(held.packed))
        said = {name: {lang: in_language(found[name], lang) for lang in LANGUAGES} for name in ("reading", "continued_by") if found.get(name)}
        return {**found, **said, "answer": held.answer, "objected": held.objected, "objection": self.said_of(held.incident_id).objection_id, "answers": msgspec.to_builtins(self.answers.get(held.incident_id, []))}

    def of_vehicle(self, vehicle_id: str, since_ms: int) -> list[dict[str, Any]]:
        """Rows of a vehicle's incidents, the newest first."""
        found = [held for held in self.standing() if held.vehicle_id == vehicle_id and held.last_seen_ms >= since_ms]
        return [self.summary(held) for held in sorted(found, key=lambda held: -held.opened_at_ms)]

    def _count(self, held: Held, number: int) -> None:
        """Have an incident count, or not any more (-1)."""
        if held.state == RETRACTED:
            return
        self._unanswered += number * held.is_unanswered
        _add(self._opened.setdefault(held.opened_at_ms // SLOT_MS, Counter()), held.enterprise_id, number)
        if not self._opened[held.opened_at_ms // SLOT_MS]:
            del self._opened[held.opened_at_ms // SLOT_MS]
        if held.rule == UNFILED and held.outlet_id:
            _add(self.unfiled, (held.outlet_id, held.enterprise_id), number)
        if held.is_open and held.answer != DISMISSED:
            self._upheld_open += number
            if held.vehicle_id:
                _add(self.open_of, held.vehicle_id, number)


def _add(counter: Counter[Any], name: Any, number: int) -> None:
    counter[name] += number
    if counter[name] <= 0:
        del counter[name]


def _held(incident: Incident, answers: Standing, packed: bytes) -> Held:
    said: dict[str, Any] = {name: getattr(incident, name) for name in _SUMMARY if name not in {"answer", "objected"}}
    said |= {name: sys.intern(value) for name, value in said.items() if isinstance(value, str) and name not in _ITS_OWN}
    return Held(**said, answer=answers.state, objected=answers.objection == OBJECTED, packed=packed)
