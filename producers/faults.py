"""Faults that telemetry really has, injected into a stream of records: duplicates, disorder, late and broken records."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

import msgspec
import orjson

from streams.clock import duration_ms
from streams.errors import BadInput, nearest
from streams.wire.events import Fix, Scan


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of records that are sent twice, come too late, or are broken; how far (event time) records are shuffled."""

    dup: float = 0.0
    late: float = 0.0
    shuffle_ms: int = 0
    malformed: float = 0.0


def parse_faults(text: str) -> Faults:
    """Read ``dup=0.05,late=0.02,shuffle=30s,malformed=0.001``; ``BadInput`` says what is wrong."""
    given: dict[str, float | int] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in {"dup", "late", "shuffle", "malformed"}:
            raise BadInput(f"--faults: unknown fault {name!r}{nearest(name, ['dup', 'late', 'shuffle', 'malformed'])}")
        try:
            if name == "shuffle":
                given["shuffle_ms"] = duration_ms(value)
                continue
            given[name] = float(value)
        except ValueError:
            raise BadInput(f"--faults: {name}={value} is not a {'duration' if name == 'shuffle' else 'share from 0 to 1'}") from None
        if not 0 <= given[name] <= 1:
            raise BadInput(f"--faults: {name}={value} is not a share from 0 to 1")
    return Faults(**given)  # type: ignore[arg-type]


Sent = tuple[int, str, str, bytes]
"""When it is due (event time, ms), topic kind (``gps`` or ``scan``), key, and the record's bytes."""


def inject(events: Iterable[Fix | Scan], faults: Faults, seed: int, lateness_ms: int) -> Iterator[Sent]:
    """Encode events in order and add faults. No fault changes what the accepted events are, so the truth stays.

    Duplicates follow within the shuffle distance or 30 s; late records are additional, with their own event ids and
    event times before the lateness horizon; broken records are additional too.
    """
    rng = random.Random(f"faults/{seed}")
    held: list[tuple[int, int, Sent]] = []
    sequence = 0
    for event in events:
        due = event.event_time_ms
        is_fix = isinstance(event, Fix)
        kind, key = ("gps", event.vehicle_id) if isinstance(event, Fix) else ("scan", event.waybill_id)
        value = msgspec.json.encode(event)
        planned = [(due + (rng.randrange(faults.shuffle_ms) if faults.shuffle_ms else 0), value)]
        if faults.dup and rng.random() < faults.dup:
            planned.append((planned[0][0] + rng.randrange(max(faults.shuffle_ms, 30_000)), value))
        if faults.late and is_fix and rng.random() < faults.late:
            old = msgspec.structs.replace(event, event_id=f"{event.event_id}-late", event_time_ms=due - lateness_ms - faults.shuffle_ms - 60_000)
            planned.append((planned[0][0] + 1, msgspec.json.encode(old)))
        if faults.malformed and rng.random() < faults.malformed:
            planned.append((planned[0][0], rng.choice([value[: len(value) // 2], b"not json", orjson.dumps({"event_id": "x"})])))
        for when, record in planned:
            heappush(held, (when, sequence, (when, kind, key, record)))
            sequence += 1
        while held and held[0][0] <= due:
            yield heappop(held)[2]
    while held:
        yield heappop(held)[2]
