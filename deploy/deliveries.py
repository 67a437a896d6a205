"""The delivery log of the notifier, in words: what went where, when, with what answer, and what failed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from consumers.outbox.file import FILE, connect
from consumers.outbox.log import MOST_SHOWN, Again, again, failed, logged, numbers
from consumers.outbox.rows import PENDING, STATES, Delivery
from consumers.routing.file import configured
from streams.errors import BadInput, YichengError, closest
from streams.settings import Settings
from streams.words.shown import shown
from streams.words.terms import duration_words

COLUMNS = "number\tmade\tdue\tended\tincident\tsink\troute\tstep\tstate\ttries\ttook ms\tanswer"


def outbox_of(settings: Settings) -> Path:
    """The outbox of the notifier that has these settings."""
    return settings.state_dir / FILE


def need_sink(settings: Settings, sink: str | None) -> None:
    """``BadInput`` where a sink is none: neither the outbox nor the routes know it."""
    path = outbox_of(settings)
    if sink is None or not path.exists() or _asked(path, "SELECT 1 FROM deliveries WHERE sink = ? LIMIT 1", sink):
        return
    known = {name for (name,) in _asked(path, "SELECT sink FROM deliveries UNION SELECT sink FROM sinks")}
    with suppress(YichengError):  # then only the outbox says
        known |= configured(settings).sinks.keys()
    if sink not in known:
        meant = f", did you mean {near!r}" if (near := closest(sink, known)) else ""
        raise BadInput(f"unknown sink {shown(sink)[:60]!r}{meant}; known: {', '.join(sorted(known)) or 'none'}")


def lines(deliveries: Iterable[Delivery], waits: Mapping[str, str]) -> Iterator[str]:
    """One delivery a line, under a line of names; times are local. ``waits``: why sinks take nothing now."""
    yield COLUMNS
    for one in deliveries:
        made, due, ended = ("" if ms is None else datetime.fromtimestamp(ms / 1000).astimezone().isoformat(" ", "seconds") for ms in (one.made_ms, one.due_ms, one.done_ms))
        answer = "; ".join(filter(None, (waits.get(one.sink) if one.state == PENDING else None, one.outcome)))
        fields = (one.no, made, due, ended, f"{one.incident_id}/{one.revision}", one.sink, one.route, one.step, STATES[one.state], one.attempts, "" if one.took_ms is None else one.took_ms, answer)
        yield "\t".join(shown(str(field)) for field in fields)


def why_they_wait(path: Path) -> dict[str, str]:
    """Why sinks take nothing now, as far as the outbox knows."""
    failing = _asked(path, "SELECT sink, failing_s, off FROM sinks WHERE failing_s > 0 OR off")
    return {sink: "the sink is switched off" if off else f"the sink has taken nothing for {duration_words(int(failing_s * 1000), 'en')}" for sink, failing_s, off in failing}


def _asked(path: Path, question: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of an outbox; none of one that cannot be read, which is told by those who list or change it."""
    with suppress(sqlite3.DatabaseError, UnicodeEncodeError), closing(connect(path)) as db:
        return db.execute(question, values).fetchall()
    return []


def since_ms(text: str | None) -> int | None:
    """A local time such as 2026-11-30 or 2026-11-30T08:00, in ms since 1970; None where none is given."""
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise BadInput(f"{text!r} is no time such as 2026-11-30T08:00") from None


def chosen(path: Path, named: Sequence[int], *, every: bool, sink: str | None) -> list[int]:
    """The failed deliveries that are meant: those of some numbers, or all of them, or of one sink. ``BadInput`` where one is not among them."""
    known = {one.no: one for one in failed(path, sink=sink)}
    if bool(named) == (every or sink is not None):
        raise BadInput("name deliveries by their numbers (./yicheng notifier failed list shows them), or all of them by --all or --sink")
    for number in named:
        if number not in known:
            raise BadInput(f"{number} is no failed delivery; ./yicheng notifier failed list shows them")
    return list(named) or list(known)


def said(done: Again) -> str:
    """What was set to be delivered again, and what was not, in words."""
    left_out = f"; {done.answered} left out, since somebody has answered / 条已有答复，未重新投递" if done.answered else ""
    return f"{done.again} to be delivered again / 条将重新投递{left_out}"


def replayed(path: Path, *, incident_id: str | None, sink: str | None, from_ms: int | None, until_ms: int | None) -> Again:
    """Deliver again what was delivered, dropped or given up: of an incident, or of a span of time."""
    if incident_id is None and from_ms is None:
        raise BadInput("say what is to be delivered again: --incident, or --since (and --until)")
    return again(path, numbers(path, sink=sink, incident_id=incident_id, since_ms=from_ms or 0, until_ms=until_ms))


def listed(path: Path, *, incident_id: str | None, sink: str | None, from_ms: int | None, until_ms: int | None) -> Iterator[str]:
    """The delivery log, and at its end how much of it is not listed, if there is more."""
    found = logged(path, sink=sink, incident_id=incident_id, since_ms=from_ms or 0, until_ms=until_ms, most=MOST_SHOWN + 1)
    yield from lines(found[:MOST_SHOWN], why_they_wait(path))
    if len(found) > MOST_SHOWN:
        yield f"only the first {MOST_SHOWN:,} are listed; --sink, --incident, --since and --until narrow it / 仅列出前 {MOST_SHOWN:,} 条，请用上述选项缩小范围"
