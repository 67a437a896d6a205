"""What every stage of the worker keeps to: judged once, in whatever chunks, over restarts, beside poison."""

import asyncio
import base64
import json
import random
import re
from types import SimpleNamespace

import pytest
from conftest import ROOT
from simulation.cluster import STARTED_MS, Logged
from simulation.history import BASE_MS, CONFIRMED_ONLY, PACK, answered, city, day_events
from street.poison import raw_kinds
from time_passing import inputs_hold

from streams import app, metrics
from streams.city.contributions import Contribution, encode_contribution
from streams.clock import DAY_MS
from streams.counts import HOUR, MONTH
from streams.enterprises.credit import Charge
from streams.parcels.violations import ViolationKey, ViolationSummary
from streams.runtime.answer_stage import AnswerStage
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.fix_stage import FixStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.scan_stage import ScanStage
from streams.watermark import INPUTS, Mark
from streams.wire.state_records import COMMIT_MARKER
from streams.wire.topics import DEAD, FEEDBACK, GPS, HEARTBEAT, INCIDENTS, LATE, PARTIALS, SCAN, STATE_OF

STAGES = {GPS.name: FixStage, SCAN.name: ScanStage, HEARTBEAT.name: HeartbeatStage, FEEDBACK.name: AnswerStage, PARTIALS.name: CityStage}
ENDED_MS = BASE_MS + 20 * DAY_MS
POISON = [*sorted({value for value in raw_kinds(random.Random(1)).values() if value and len(value) < 20_000}), b"", None]
MOMENTARY = {"revision", "next_offset", "minutes"}


class Room:
    """A stage over one partition, without a broker: what it sends is kept, and what it saves can be restored by another."""

    def __init__(self, topic, saved=None):
        self.topic, self.sent, self.saved = topic, [], dict(saved or {})
        checkpoint = inputs_hold(Checkpoint(""))
        checkpoint.send, checkpoint.restore = self._send, self._restore
        reference = SimpleNamespace(**vars(city(CONFIRMED_ONLY if topic == FEEDBACK.name else PACK)[0]))
        keyed = STAGES[topic] in (FixStage, CityStage)
        self.stage = STAGES[topic](checkpoint, reference, *([b"key"] if keyed else []))
        if isinstance(self.stage, FixStage):
            self.stage.reference_changed()

    async def _send(self, topic, key, value, headers=(), partition=None):
        self.sent.append((topic, key, value, dict(headers)))

    async def _restore(self, topic, number):
        return dict(self.saved)

    def take(self, records, size=10**6):
        """Judge records in chunks of a size, and make what comes of it durable."""
        for start in range(0, len(records), size):
            asyncio.run(self.stage.process(records[start : start + size]))
        return self.checkpoint()

    def pass_over(self, next_offset):
        asyncio.run(self.stage.pass_over(0, next_offset))
        return self.checkpoint()

    def checkpoint(self):
        """What a checkpoint sends and saves."""
        self.sent += [(*row, {}) for row in self.stage.emit(0)]
        for change in self.stage.changes(0):
            if change.value is None:
                self.saved.pop(change.key, None)
            else:
                self.saved[change.key] = change.value
        return self

    def restarted(self):
        """Another worker that goes on from what this one has saved; what has been sent stays sent."""
        other = Room(self.topic, self.saved)
        other.sent = self.sent
        return other

    def incidents(self):
        """Every revision that was sent, in order of incidents, and revisions of each."""
        return sorted((json.loads(value)["id"], value) for topic, _, value, _ in self.sent if topic == INCIDENTS.name)

    def letters(self):
        return [(topic, headers["reason"]) for topic, *_, headers in self.sent if topic in {DEAD.name, LATE.name}]

    def said(self):
        """What stands at the end: revisions, letters, and the last of everything else, but for what is of the moment when it was said."""
        rest, heartbeats = {}, set()
        for topic, key, value, _ in self.sent:
            row = json.loads(value) if topic not in {INCIDENTS.name, DEAD.name, LATE.name} else {"window": HOUR}
            heartbeats |= row.pop("signs", {}).keys()
            row["answer"] = row.get("answer", [])[2:]  # without its place
            if row.get("window") not in {HOUR, MONTH}:
                what = [row.get(name) for name in ("window", "enterprise_id", "date", "finding", "answer")]
                rest[topic, key, *map(json.dumps, what)] = {name: given for name, given in row.items() if name not in MOMENTARY and not name.endswith("_forecast")}
        return self.incidents(), sorted(self.letters()), heartbeats, rest


def test_what_a_city_may_count_is_there_from_zero_on():
    number = Room(GPS.name).stage.city
    shown = {(s.labels["city"], s.labels["reason"]) for s in metrics.VEHICLES_FORGOTTEN.collect()[0].samples}
    assert {(number, "idle"), (number, "crowded")} <= shown
    assert (number, "late") in {(s.labels["city"], s.labels["outcome"]) for s in metrics.FIXES.collect()[0].samples}
    assert {"opened", "retracted"} <= {s.labels["transition"] for s in metrics.INCIDENTS.collect()[0].samples if s.labels["city"] == number}


def logged(topic, values, keys=()):
    return [Logged(topic, 0, offset, key, value, (), STARTED_MS + offset) for offset, (value, key) in enumerate(zip(values, keys or [None] * len(values), strict=True))]


def inputs(topic):
    """A history's records of an input topic: some late, repeated or broken."""
    events = [event for seed in (3, 4, 7) for event in (*day_events(random.Random(seed)), *answered(random.Random(seed), ["i", "j"]))]
    found = [event for event in events if event[0] == topic]
    return [value for _, _, value in found]


def time_comes_to(watermark_ms):
    """The contribution that carries the watermark on."""
    return Contribution(marks=[Mark(topic, 0, 1, 1, STARTED_MS, watermark_ms) for topic in INPUTS], newest={watermark_ms // 1_000: watermark_ms})


def history(topic):
    """Records of any topic; those of contributions are what the other stages make of theirs, and time that passes."""
    if topic != PARTIALS.name:
        return logged(topic, inputs(topic))
    sent = []
    for source in INPUTS:
        sent += [value for to, _, value, _ in Room(source).take(history(source), 7).sent if to == PARTIALS.name]
    steps = [encode_contribution(time_comes_to(BASE_MS + days * DAY_MS)) for days in (-4, -1, 1, 20)]
    third = len(sent) // 3 + 1
    return logged(topic, [*sent[:third], steps[0], *sent[third : 2 * third], steps[1], steps[2], *sent[2 * third :], steps[3]])


BEFORE = json.loads((ROOT / "tests" / "golden" / "state_version_7.json").read_text("utf-8"))
"""By input: what a worker of state version 7 had saved after half of a history, the other half, and the revisions that it published of that."""


@pytest.mark.parametrize("topic", BEFORE)
def test_a_worker_goes_on_from_the_state_of_the_version_before(topic):
    """As that worker would have: it publishes the same revisions of the same incidents."""
    before, binary = BEFORE[topic], base64.b85decode
    room = Room(topic, {key: binary(value) for key, value in before["saved"].items()})
    time_passes = lambda value: encode_contribution(time_comes_to(max(json.loads(value)["newest"].values())))  # noqa: E731 - of all inputs that there are now
    values = [binary(value) for value, _ in before["rest"]]
    rest = logged(topic, [time_passes(value) if b'"marks"' in value else value for value in values], [key and binary(key) for _, key in before["rest"]])
    room.take([record._replace(offset=record.offset + before["next_offset"]) for record in rest], 7)
    events = [json.loads(value) for to, _, value, _ in room.sent if to == INCIDENTS.name]
    fields = ("incident_id", "revision", "opened_at_ms", "last_seen_ms", "fix_count")
    assert sorted([event["type"].split(".")[2], *(event["data"][name] for name in fields)] for event in events) == before["incidents"]
    assert room.stage.partitions[0].next_offset == before["next_offset"] + len(rest)


@pytest.fixture(params=STAGES)
def topic(request):
    return request.param


EDGES = {source: set(sent.split(", ")) for source, sent in re.findall(r"(courier\S+) ─+▶ \w+ ─+▶ (.+)", app.__doc__)}
"""The topics that each input's agent writes to, as the page says."""


def test_a_stage_sends_to_the_topics_that_the_page_says(topic):
    """Over a history with records that are late or broken, and poison."""
    room = Room(topic).take(history(topic))
    room.take([record._replace(offset=record.offset + len(history(topic))) for record in logged(topic, POISON)])
    assert {to for to, *_ in room.sent} == EDGES[topic]


def test_every_stage_that_has_state_is_here():
    assert STAGES.keys() == {topic.name for topic in STATE_OF}


def test_something_comes_of_the_history(topic):
    room = Room(topic).take(history(topic))
    assert len(history(topic)) > 10
    assert len(room.sent) > 10 if topic in {GPS.name, PARTIALS.name} else any(row[0] == PARTIALS.name for row in room.sent)
    assert bool(room.incidents()) == (topic in {GPS.name, PARTIALS.name})
    assert COMMIT_MARKER in room.saved and room.stage.partitions[0].next_offset == len(history(topic))


def test_records_that_were_judged_are_not_judged_again(topic):
    room = Room(topic).take(history(topic))
    sent = len(room.sent)
    room.take(history(topic))
    room.take(history(topic)[-3:])
    assert room.sent[sent:] == [] and room.stage.partitions[0].next_offset == len(history(topic))


@pytest.mark.parametrize("size", [1, 3, 10])
def test_what_stands_at_the_end_does_not_depend_on_where_chunks_end(topic, size):
    assert Room(topic).take(history(topic), size).said() == Room(topic).take(history(topic)).said()


def test_an_empty_chunk_moves_the_offset_and_nothing_else(topic):
    records = history(topic)
    half, room = len(records) // 2, Room(topic)
    room.take(records[:half])
    sent = len(room.sent)
    room.pass_over(half)
    room.pass_over(half - 1)
    assert room.sent[sent:] == [] and room.stage.partitions[0].next_offset == half
    room.pass_over(len(records))
    assert room.sent[sent:] == [] and room.stage.partitions[0].next_offset == len(records)
    room.take(records)
    assert room.sent[sent:] == []


@pytest.mark.parametrize("tenths", [1, 5, 9])
def test_whoever_goes_on_from_what_was_saved_says_the_same(topic, tenths):
    records = history(topic)
    at = len(records) * tenths // 10
    whole = Room(topic).take(records[:at]).take(records[at:])
    after = Room(topic).take(records[:at]).restarted().take(records[at:])
    assert after.said() == whole.said()


def test_a_restart_says_nothing_of_itself(topic):
    room = Room(topic).take(history(topic))
    before, other = len(room.incidents()), room.restarted()
    other.pass_over(len(history(topic)))
    assert len(other.incidents()) == before and other.stage.partitions[0].next_offset == len(history(topic))


def test_poison_is_refused_and_all_else_judged_as_if_it_were_not_there(topic):
    honest = history(topic)
    values, rng = [record.value for record in honest], random.Random(2)
    for value in POISON:
        values.insert(rng.randrange(len(values)), value)
    room, clean = Room(topic).take(logged(topic, values), 10), Room(topic).take(honest, 10)
    incidents, letters, *rest = room.said()
    expected, refused, *expected_rest = clean.said()
    assert incidents == expected and rest == expected_rest
    assert len(letters) == len(refused) + (len(POISON) if topic not in {FEEDBACK.name, PARTIALS.name} else 0)  # of answers and contributions only the log tells


def scan(number, minutes, *, verified):
    event = {"event_id": f"s{number}", "event_time_ms": BASE_MS + minutes * 60_000, "waybill_id": "w", "enterprise_id": "e", "city": "1", "kind": "accepted",
             "outlet_id": "o", "real_name_verified": verified}  # fmt: skip
    return json.dumps(event).encode()


def fix(number, seconds, speed_kmh):
    event = {"event_id": f"f{number}", "event_time_ms": BASE_MS + seconds * 1_000, "vehicle_id": "v2", "lon": 3.0, "lat": 1.0, "speed_kmh": speed_kmh}
    return json.dumps(event).encode()


def beat(minutes):
    return json.dumps({"event_time_ms": BASE_MS + minutes * 60_000, "subject": "outlet/o"}).encode()


TAKEN_BACK = {
    GPS.name: [fix(1, 0, 70.0), fix(2, 10, 70.0), fix(3, 5, 70.0), fix(4, 7, 10.0), fix(5, 30, 10.0)],  # too fast for 15 s, but for a late fix that says otherwise
    SCAN.name: [scan(1, 10, verified=False), scan(2, 5, verified=True)],  # the earlier of two acceptances is what counts
    HEARTBEAT.name: [beat(0), beat(40), beat(20)],
    FEEDBACK.name: [json.dumps({"incident_id": "i", "action": action, "time_ms": 1}).encode() for action in ("fined", "dismissed")],
    PARTIALS.name: [
        encode_contribution(contribution)
        for contribution in (
            Contribution("1", SCAN.name, "", "2023-11-15", 0, 1, violation=ViolationKey("nameless", "outlet/o", "2023-11-15"), summary=ViolationSummary(0, 0, ())),
            Contribution("1", GPS.name, charge=Charge("e", "i", 3, "retracted", "speeding", "fast", BASE_MS)),
            time_comes_to(ENDED_MS),
        )
    ],
}


def test_what_is_taken_back_before_it_was_said_is_never_said(topic):
    """Alone, and by the city that hears of it."""
    room = Room(topic).take(logged(topic, TAKEN_BACK[topic]))
    assert room.incidents() == []
    if topic != PARTIALS.name:
        told = [value for to, _, value, _ in room.sent if to == PARTIALS.name]
        summed = Room(PARTIALS.name).take(logged(PARTIALS.name, [*told, encode_contribution(time_comes_to(BASE_MS + 45 * 60_000))]))
        assert summed.incidents() == []
