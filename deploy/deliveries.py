"""The delivery log of the notifier, in words: what went where, when, with what answer, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from consumers.outbox import DELIVERED, STATES, Delivery
from consumers.outbox_file import FILE
from consumers.outbox_log import again, failed, logged
from streams.errors import BadInput
from streams.settings import Settings
from streams.shown import shown

COLUMNS = "number\tmade\tincident\tsink\troute\tstep\tstate\ttries\ttook ms\tanswer"


def outbox_of(settings: Settings) -> Path:
    """The outbox of the notifier that has these settings."""
    return settings.state_dir / FILE


def lines(deliveries: Iterable[Delivery]) -> Iterator[str]:
    """One delivery a line, under a line of names; times are local."""
    yield COLUMNS
    for one in deliveries:
        made = datetime.fromtimestamp(one.made_ms / 1000).astimezone().isoformat(" ", "seconds")
        answer = one.reason or ("taken" if one.state == DELIVERED else "")
        fields = (one.no, made, f"{one.incident_id}/{one.revision}", one.sink, one.route, one.step, STATES[one.state], one.attempts, "" if one.took_ms is None else one.took_ms, answer)
        yield "\t".join(shown(str(field)) for field in fields)


def since_ms(text: str | None) -> int | None:
    """A local time such as 2026-11-30 or 2026-11-30T08:00, in ms since 1970; None where none is given."""
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise BadInput(f"{text!r} is no time such as 2026-11-30T08:00") from None


def chosen(path: Path, numbers: Sequence[int], *, every: bool, sink: str | None) -> list[int]:
    """The failed deliveries that are meant: those of the numbers, or all of them, or of one sink. ``BadInput`` where one is not among them."""
    known = {one.no: one for one in failed(path, sink=sink)}
    if bool(numbers) == (every or sink is not None):
        raise BadInput("name deliveries by their numbers (./yicheng notifier failed list shows them), or all of them by --all or --sink")
    for number in numbers:
        if number not in known:
            raise BadInput(f"{number} is no failed delivery; ./yicheng notifier failed list shows them")
    return list(numbers) or list(known)


def replayed(path: Path, *, incident_id: str | None, sink: str | None, from_ms: int | None, until_ms: int | None) -> int:
    """Deliver again what was delivered, dropped or given up: of an incident, or of a span of time. Returns how many."""
    if incident_id is None and from_ms is None:
        raise BadInput("say what is to be delivered again: --incident, or --since (and --until)")
    found = logged(path, sink=sink, incident_id=incident_id, since_ms=from_ms or 0, until_ms=until_ms)
    return again(path, [one.no for one in found if one.step == 0])
