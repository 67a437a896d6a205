"""How far event time has come where several partitions and inputs feed one judgement (semantics 1). Pure.

The owner of an input partition says at every checkpoint, after what it covers, how far it has read (``Mark``) and which event
times it met (``newest``: second of arrival → largest event time, capped by arrival). All of it travels through the partials, so
that whoever reads them comes to the same watermark, whenever and how often.

    A     the smallest ``read_until`` of all input partitions: what arrived before it is judged, everywhere
    M(w)  the largest event time, capped by arrival, of what arrived until w, anywhere
    watermark = M(A − F): where no record arrives more than F after one of later event time, nothing older is still to come

No partition, vehicle or record can carry it on by a time in the future (the cap), nor hold it up by an old one (M is a maximum,
A goes by arrivals). A partition that nobody reads holds it up: ``Watermark.read_until_ms`` shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from streams.clock import BEGINNING_MS, END_MS
from streams.wire.topics import FEEDBACK, GPS, HEARTBEAT, SCAN

DISORDER_MS = 3_000
"""F: so much later than a record of later event time a record may arrive in ordered traffic."""
SECONDS_KEPT = 2_048
"""Seconds of arrival that are told apart while a backlog is worked off; beyond, neighbours are joined, as of the later one."""
CLOCKS_APART_MS = 10_000
"""The clocks of two brokers differ by no more."""
INPUTS = (GPS.name, SCAN.name, HEARTBEAT.name, FEEDBACK.name)
"""The topics that feed the city's judgements; each of their partitions must be read for time to go on."""

CLOCK_KEY = b"watermark"
"""Key of the record of ``courier.clock.v1`` that says how far time has come."""

Newest = dict[int, int]
"""Second of arrival → largest event time (ms), capped by arrival, of what arrived in it."""


class Mark(msgspec.Struct, array_like=True, frozen=True):
    """How far one of the ``partitions`` of an input topic has been judged: below ``next_offset``, and all that arrived before ``read_until_ms``.

    ``stream_time_ms``: of a fix partition, how far its vehicles' incidents have been closed.
    """

    topic: str
    partition: int
    partitions: int
    next_offset: int
    read_until_ms: int
    stream_time_ms: int = BEGINNING_MS


class Clock(msgspec.Struct, frozen=True):
    """How far time has come, for all workers: see ``Watermark``."""

    watermark_ms: int = BEGINNING_MS
    read_until_ms: int = BEGINNING_MS
    settled_ms: int = BEGINNING_MS


encode_clock = msgspec.json.Encoder().encode
decode_clock = msgspec.json.Decoder(Clock).decode


class Arrivals(msgspec.Struct):
    """What an input partition's judged records say of arrival and event time since the last mark.

    ``until_ms``: the arrival of the last one; ``undated_ms``: the largest event time of those whose arrival is not known.
    """

    until_ms: int = BEGINNING_MS
    newest: Newest = {}
    undated_ms: int = BEGINNING_MS

    def read_until(self, arrived_ms: int | None) -> None:
        """A record was judged that arrived then."""
        if arrived_ms is not None:
            self.until_ms = max(self.until_ms, arrived_ms)

    def note(self, arrived_ms: int | None, event_time_ms: int) -> None:
        """An accepted record."""
        if arrived_ms is None:
            self.undated_ms = max(self.undated_ms, event_time_ms)
        else:
            second = arrived_ms // 1_000
            self.newest[second] = max(self.newest.get(second, BEGINNING_MS), min(event_time_ms, arrived_ms))

    def note_all(self, arrived_ms: np.ndarray, stream_times_ms: np.ndarray) -> None:
        """N accepted records, their times capped by arrival already; an arrival of ``END_MS`` is not known."""
        if not arrived_ms.size:
            return
        seconds = arrived_ms // 1_000
        starts = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
        for second, time_ms in zip(seconds[starts].tolist(), np.maximum.reduceat(stream_times_ms, starts).tolist(), strict=True):
            self.note(None if second == END_MS // 1_000 else second * 1_000 + 999, time_ms)

    def take_newest(self, now_ms: int) -> Newest:
        """What was noted since the last call; what is not dated has arrived by now."""
        self.note(now_ms, self.undated_ms)
        newest, self.newest, self.undated_ms = rising(self.newest), {}, BEGINNING_MS
        return newest


def capped(event_time_ms: int, arrived_ms: int | None) -> int:
    """How far a record carries its partition's stream time: to its event time, but not beyond its arrival."""
    return event_time_ms if arrived_ms is None else min(event_time_ms, arrived_ms)


def rising(newest: Mapping[int, int], limit: int = SECONDS_KEPT) -> Newest:
    """Only the seconds that go beyond all before them, at most so many: joined neighbours count as of the later one.

    >>> rising({5: 50, 3: 30, 4: 20}), rising({1: 10, 2: 20, 3: 30}, 2)
    ({3: 30, 5: 50}, {2: 20, 3: 30})
    """
    found: Newest = {}
    reached_ms = BEGINNING_MS
    for second in sorted(newest):
        if newest[second] > reached_ms:
            found[second] = reached_ms = newest[second]
    while len(found) > limit:
        seconds = list(found)
        found = {second: found[second] for number, second in enumerate(seconds) if number % 2 == 1 or number == len(seconds) - 1}
    return found


class Watermark(msgspec.Struct):
    """What the partials have said so far: the newest mark of each input partition, and event times by second of arrival.

    ``ms``: the watermark, which never falls; ``newest_ms``: the largest event time met so far, capped by arrival;
    ``partitions``: how many each input topic has.
    """

    marks: dict[str, Mark] = {}
    newest: Newest = {}
    ms: int = BEGINNING_MS
    newest_ms: int = BEGINNING_MS
    partitions: dict[str, int] = {}

    def enter(self, marks: Iterable[Mark], newest: Mapping[int, int], said_ms: int) -> None:
        """Take in what was said at an instant (``said_ms``: the broker's time): nothing can have been read before it arrived."""
        for mark in marks:
            if mark.topic in INPUTS and 0 <= mark.partition < mark.partitions:
                self.partitions[mark.topic] = mark.partitions
                name = _name(mark.topic, mark.partition)
                known = self.marks.get(name, mark)
                until_ms, time_ms = min(mark.read_until_ms, said_ms), max(known.stream_time_ms, mark.stream_time_ms)
                self.marks[name] = msgspec.structs.replace(mark, read_until_ms=max(known.read_until_ms, until_ms), stream_time_ms=time_ms)
        for second, event_time_ms in newest.items():
            if second * 1_000 <= said_ms + CLOCKS_APART_MS and event_time_ms < (second + 1) * 1_000:
                self.newest[second] = max(self.newest.get(second, BEGINNING_MS), event_time_ms)
                self.newest_ms = max(self.newest_ms, event_time_ms)
        self._advance()

    def _advance(self) -> None:
        """M(A − F): seconds that are over by then have said what they had to."""
        until_ms = self.read_until_ms - DISORDER_MS
        over = [second for second in self.newest if (second + 1) * 1_000 <= until_ms]
        self.ms = max([self.ms, *(self.newest.pop(second) for second in over)])
        if len(self.newest) > SECONDS_KEPT:
            self.newest = rising(self.newest)

    @property
    def read_until_ms(self) -> int:
        """A: what arrived before it has been judged, in every input partition; ``BEGINNING_MS`` while one has said nothing."""
        return min(self._read_until_ms(name) for name in self._inputs())

    @property
    def settled_ms(self) -> int:
        """Up to here every incident of a vehicle that time closes has been published, and the watermark has passed."""
        marks = [self.marks.get(_name(GPS.name, number)) for number in range(self.partitions.get(GPS.name, 1))]
        return min(self.ms, *(BEGINNING_MS if mark is None else mark.stream_time_ms - 1 for mark in marks))

    @property
    def behind(self) -> str:
        """The input partition that was read least far, ``topic/partition``."""
        return min(self._inputs(), key=self._read_until_ms)

    def _inputs(self) -> list[str]:
        return [_name(topic, number) for topic in INPUTS for number in range(self.partitions.get(topic, 1))]

    def _read_until_ms(self, name: str) -> int:
        return self.marks[name].read_until_ms if name in self.marks else BEGINNING_MS


def _name(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"
