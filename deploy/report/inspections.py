"""What came of draws that were published (双随机、一公开): the answers to incidents of the vehicles and outlets that were drawn, as feedback has them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from streams.clock import LocalDays
from streams.errors import BadInput
from streams.files.text_files import open_lines
from streams.wire.answers import Answer, once, read_answer, standing
from streams.wire.decode import Malformed, decoded

Row = dict[str, Any]
RESULTS = ("acknowledged", "fined", "dismissed", "unanswered")


class _Drawn(msgspec.Struct):
    id: str
    inspector: str | None = None


class _List(msgspec.Struct):
    drawn: list[_Drawn]


class Draw(msgspec.Struct):
    """Of what ``yicheng report draw --publish`` wrote what results are told by."""

    city: str
    date: date
    seed: str
    vehicles: _List
    outlets: _List


_decode = msgspec.json.Decoder(Draw).decode


def read_draw(path: Path, city: str) -> Draw:
    """A draw as it was published; ``BadInput`` where it is none, or another city's."""
    try:
        draw = decoded(path.read_bytes(), _decode)
    except OSError as error:
        raise BadInput(f"--draw {path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"--draw {path} is not what ./yicheng report draw --publish writes: {error}") from None
    if draw.city != city:
        raise BadInput(f"--draw {path} is of {draw.city}, and the report of {city}")
    return draw


def read_answers(path: Path) -> list[Row]:
    """The answers of a file, one a line, each once; ``BadInput`` names the first line that is none."""
    found = []
    for number, line in enumerate(open_lines(str(path)), 1):
        try:
            found += [read_answer(line)] if line.strip() else []
        except Malformed as error:
            raise BadInput(f"--answers {path}:{number}: {error}") from None
    return list(map(msgspec.structs.asdict, once(found)))


def results(draws: Iterable[Draw], incidents: Sequence[Row], answers: Iterable[Row], days: LocalDays) -> Iterator[Row]:
    """A row for each vehicle and outlet that was drawn: its inspector, its incidents since that day, and how many were acknowledged, fined, dismissed or not answered."""
    answers_to: dict[str, list[Row]] = defaultdict(list)
    for row in answers:
        answers_to[row["incident_id"]].append(row)
    for draw in draws:
        since_ms = days.bounds_ms(draw.date.isoformat())[0]
        for kind, drawn in (("vehicle", draw.vehicles.drawn), ("outlet", draw.outlets.drawn)):
            for one in drawn:
                own = [data["incident_id"] for data in incidents if data.get(f"{kind}_id") == one.id and data["opened_at_ms"] >= since_ms]
                states = Counter(standing(Answer(**row) for row in answers_to[name]).state or "unanswered" for name in own)
                yield {
                    "date": draw.date.isoformat(), "seed": draw.seed, "kind": kind, "id": one.id, "inspector": one.inspector, "incidents": len(own), **{state: states[state] for state in RESULTS},
                }  # fmt: skip
