"""Runs, revisions and identity: the worked example of semantics 6, and what survives serialisation."""

import base64
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from streams.policy.policy import Policies
from streams.policy.reader import parse_policy
from streams.registry.registry import Registry
from streams.vehicles.codec import decode_vehicle, encode_vehicles
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.vehicles.store import VehicleStore
from streams.wire.events import Record
from streams.wire.state_records import VERSION, decode_header, header_of

PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
zones: z
rules:
  - {rule: restricted_hours, id: inside, clause: "1", severity: warning, zones: [z], permitted: []}
  - {rule: unregistered_vehicle, id: stranger, clause: "1", severity: warning}
"""
ZONE = """{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"id": "z"},
  "geometry": {"type": "Polygon", "coordinates": [[[0,0],[2,0],[2,2],[0,2],[0,0]]]}}]}"""
TEN = 1_700_000_000_000


@pytest.fixture
def engine():
    policy = parse_policy(PACK, "test", lambda _: ZONE)
    return Engine(Policies([policy]), Registry(policy.timezone), b"key")


def fix(event_id, seconds, *, inside=True, vehicle="v"):
    event = {"event_id": event_id, "event_time_ms": TEN + seconds * 1000, "vehicle_id": vehicle, "lon": 1.0 if inside else 3.0, "lat": 1.0}
    return msgspec.json.encode(event)


class Feed:
    """Feeds one record at a time and tells the transitions of the rule ``inside``."""

    def __init__(self, engine):
        self.engine, self.partition, self.offset = engine, new_partition(), 0

    def __call__(self, *values, rule="inside"):
        records = [Record(value, self.offset + n) for n, value in enumerate(values)]
        self.offset += len(records)
        verdict = self.engine.judge(self.partition, records)
        self.outcomes = verdict.outcomes
        return [
            (t.episode.opened_by, t.kind, t.revision, t.episode.last_id, t.episode.fix_count) for t in verdict.transitions if t.episode.offence.rule_id == rule
        ]


def test_late_fixes_update_split_and_keep_identity_as_in_the_worked_example(engine):
    feed = Feed(engine)
    assert feed(fix("a", 0)) == [("a", "opened", 1, "a", 1)]
    first_id = next(i.incident_id for i in feed.partition.vehicles["v"].incidents if i.episode.offence.rule_id == "inside")
    assert feed(fix("b", 30)) == []
    assert feed(fix("c", 60, inside=False)) == [("a", "closed", 2, "b", 2)]
    assert feed(fix("d", 15, inside=False)) == [("a", "updated", 3, "a", 1), ("b", "opened", 1, "b", 1), ("b", "closed", 2, "b", 1)]
    assert feed(fix("e", -10)) == [("e", "updated", 4, "a", 2)]
    ids = [i.incident_id for i in feed.partition.vehicles["v"].incidents if i.episode.offence.rule_id == "inside"]
    assert ids[0] == first_id
    assert feed(fix("f", 15)) == [("f", "updated", 3, "b", 2)]
    assert feed(fix("a", 0)) == []
    assert feed.outcomes["duplicate"] == 1


def test_a_late_fix_that_joins_two_incidents_retracts_the_later_one(engine):
    feed = Feed(engine)
    feed(fix("a", 0, vehicle="w"), fix("b", 200, vehicle="w"), rule="stranger")
    assert feed(fix("c", 100, vehicle="w"), rule="stranger") == [
        ("a", "updated", 3, "b", 3),
        ("b", "retracted", 2, "b", 1),
    ]
    kept, superseded = (i for i in feed.partition.vehicles["w"].incidents if i.episode.offence.rule_id == "stranger")
    assert superseded.superseded_by == kept.incident_id


def test_stream_time_of_the_partition_closes_an_incident_whose_vehicle_fell_silent(engine):
    feed = Feed(engine)
    assert feed(fix("a", 0), rule="stranger") == [("a", "opened", 1, "a", 1)]
    assert feed(fix("b", 120, vehicle="w"), rule="stranger") == [("b", "opened", 1, "b", 1)]
    assert ("a", "closed", 2, "a", 1) in feed(fix("c", 121, vehicle="w"), rule="stranger")


def test_a_fix_exactly_at_the_lateness_is_accepted_and_one_before_is_late(engine):
    feed = Feed(engine)
    feed(fix("a", 600), fix("b", 0))
    assert feed.outcomes["late"] == 0
    feed(msgspec.json.encode({"event_id": "c", "event_time_ms": TEN - 1, "vehicle_id": "v", "lon": 1, "lat": 1}))
    assert feed.outcomes["late"] == 1


@pytest.mark.parametrize("seed", range(20))
def test_state_survives_bytes_at_any_point(engine, seed):
    """Judging on with decoded state gives what judging on without a break gives."""
    rng = random.Random(seed)
    values = [fix(f"e{n}", rng.randrange(0, 900), inside=rng.random() < 0.6) for n in range(60)]
    whole, broken = Feed(engine), Feed(engine)
    cut = rng.randrange(60)
    expected = [whole(v) for v in values]
    before = [broken(v) for v in values[:cut]]
    columns = broken.partition.store
    broken.partition.store = VehicleStore()
    for name, value in encode_vehicles(columns, np.arange(len(columns.vehicles)), engine, header_of(0, cut, 0)):
        broken.partition.vehicles[name] = decode_vehicle(value, engine)
    after = [broken(v) for v in values[cut:]]
    assert before + after == expected, f"seed {seed}, cut {cut}"


def kept(feed):
    return len(feed.partition.store.history(feed.partition.vehicles["v"]))


@pytest.mark.parametrize(("version", "count"), [(2, 20), (3, 40), (4, 40), (5, 40), (6, 40)])
def test_state_written_by_earlier_versions_is_read(engine, version, count):
    """The files hold the trace of the first fixes as workers of those versions wrote it."""
    values = [fix(f"e{n:02}", 30 * n, inside=n % 7 < 4) for n in range(60)]
    whole, migrated = Feed(engine), Feed(engine)
    for value in values[:count]:
        whole(value)
    value = base64.b85decode((Path(__file__).parent.parent / "golden" / f"vehicle_state_version_{version}.b85").read_text().strip())
    assert decode_header(value).version == version and decode_header(value).age[0] == count
    migrated.partition.vehicles["v"] = decode_vehicle(value, engine)
    migrated.partition.stream_time_ms = whole.partition.stream_time_ms
    late = [fix("late", 30 * count - 569, inside=False), values[count - 15]]
    assert [migrated(v) for v in late + values[count:]] == [whole(v) for v in late + values[count:]]
    assert migrated.outcomes["accepted"] == 1 and kept(migrated) == kept(whole)


@pytest.mark.parametrize("version", [1, VERSION + 1])
def test_state_of_an_unknown_version_is_refused(engine, version):
    with pytest.raises(ValueError, match=f"version {version}"):
        decode_vehicle(msgspec.msgpack.encode((version, 0, 0, 0)), engine)


def test_identity_follows_the_hmac(engine):
    feed = Feed(engine)
    feed(fix("a", 0))
    name = feed.partition.vehicles["v"].incidents[0].incident_id
    assert len(name) == 26 and name.isalnum()
    other = Engine(engine.policies, Registry(engine.policies.newest.timezone), b"another key")
    feed_other = Feed(other)
    feed_other(fix("a", 0))
    assert feed_other.partition.vehicles["v"].incidents[0].incident_id != name
