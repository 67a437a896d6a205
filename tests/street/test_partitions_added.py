"""A topic of reference data is given more partitions: a key's further records go to another one, and the newest counts in whatever order they are read."""

import itertools
import json
from types import SimpleNamespace

import pytest

from consumers.console.city.city import City
from consumers.console.sources.feed import KafkaFeed
from deploy import admin, doctor
from streams.policy.checks import pack_record
from streams.policy.reader import load_policy
from streams.registry.records import Enterprise
from streams.runtime.reference import Reference
from streams.settings import Settings
from streams.wire.topics import CREDIT, INCIDENTS, POLICY, REGISTRY, STANDING, TIMESTAMP_TYPE, kafka_config

T = 1_782_446_400_000
NAME = "hohhot-2019"


def record(partition, offset, timestamp, plate, topic=REGISTRY.name, key=b"vehicle/v"):
    value = None if plate is None else json.dumps([{"kind": "vehicle", "id": "v", "plate": plate}]).encode()
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, timestamp=timestamp, key=key, value=value)


BEFORE = [record(0, 7, T, "of before"), record(0, 8, T + 1, "of later")]
"""With one partition."""
AFTER = {
    "a newer version": ([record(2, 0, T + 9, "newest")], "newest"), "a deletion": ([record(2, 0, T + 9, None)], None),
    "two": ([record(2, 0, T + 8, "soon over"), record(2, 1, T + 9, "newest")], "newest"), "in the same millisecond": ([record(1, 0, T + 1, "newest")], "newest"),
}  # fmt: skip


def orders(after):
    """Each partition in its order, one or the other read first, or both in turn."""
    records = [*BEFORE, *after]
    for order in set(itertools.permutations(range(len(records)))):
        turn = [records[place] for place in order]
        if all(a.offset < b.offset for a, b in itertools.combinations(turn, 2) if a.partition == b.partition):
            yield turn


def in_force(reading):
    """What a worker, the console and the commands say of the vehicle after reading so."""
    reference, city = Reference("nowhere:1", NAME), City(NAME)
    reference._publish(NAME, [load_policy(NAME)])
    for one in reading:
        reference._apply(one)
    KafkaFeed(Settings(kafka_bootstrap="127.0.0.1:9"), city)._enter(REGISTRY.name, reading)
    held = admin.registry_held("nowhere:1").get("vehicle/v", [])
    entries = (reference.registry.at("vehicle", "v", T), city.registry.at("vehicle", "v", T), next(iter(held), None))
    return [entry and entry.plate for entry in entries]


@pytest.mark.parametrize("kind", AFTER)
def test_the_newest_counts_in_whatever_order_partitions_are_read(kind, monkeypatch):
    after, right = AFTER[kind]
    for reading in orders(after):
        monkeypatch.setattr(admin, "read_records", lambda *_, reading=reading: reading)
        assert in_force(reading) == [right] * 3, [(one.partition, one.offset) for one in reading]


def test_what_cannot_be_read_overtakes_nothing():
    reference = Reference("nowhere:1", NAME)
    reference._publish(NAME, [load_policy(NAME)])
    rubbish = record(2, 0, T + 9, "x")
    rubbish.value = b"["
    for reading in ([rubbish, *BEFORE], [*BEFORE, rubbish]):
        for one in reading:
            reference._apply(one)
        assert reference.registry.at("vehicle", "v", T).plate == "of later"


def test_standings_and_packs_count_so_too_and_incidents_are_never_overtaken(monkeypatch):
    reference = Reference("nowhere:1", NAME)
    reference._publish(NAME, [load_policy(NAME)])
    reference.registry.add([Enterprise(id="e")])
    for partition, timestamp, credit in ((3, T + 9, "black"), (1, T, "normal")):
        reference._apply(SimpleNamespace(topic=CREDIT.name, partition=partition, offset=0, timestamp=timestamp, key=b"enterprise/e", value=json.dumps({"effective": [[T, credit]]}).encode()))
    assert reference.registry.enterprise("e", T).credit == "black"
    source = load_policy(NAME).pack.source
    for partition, timestamp, value in ((3, T + 9, None), (1, T, pack_record([{"yaml": source["yaml"], "geojson": source["geojson"]}]))):
        reference._apply(SimpleNamespace(topic=POLICY.name, partition=partition, offset=0, timestamp=timestamp, key=NAME.encode(), value=value))
    assert reference._packs[NAME] == [], "a deletion that is newer"
    records = [SimpleNamespace(topic=INCIDENTS.name, partition=partition, offset=0, timestamp=timestamp, key=b"vehicle/v", value=b"{}") for partition, timestamp in ((3, T + 9), (1, T))]
    monkeypatch.setattr(admin, "read_records", lambda *_: records)
    assert len(list(admin.readable("nowhere:1", INCIDENTS.name, lambda one: one.partition))) == 2


def test_brokers_write_down_when_what_counts_by_that_came():
    assert {kafka_config(topic)[TIMESTAMP_TYPE] for topic in STANDING} == {"LogAppendTime"}


def test_doctor_says_what_may_come_back_and_what_to_do(monkeypatch):
    monkeypatch.setattr(doctor, "lacking_topics", lambda _: {})
    for divided, fine in (({}, True), ({REGISTRY.name: 3}, False)):
        monkeypatch.setattr(doctor, "divided_topics", lambda _, divided=divided: divided)
        *_, (_, needed, is_fine, said, remedy) = doctor._topics(Settings())
        assert not needed and is_fine is fine and (fine or (f"{REGISTRY.name} has 3 partitions" in said and "已删除" in said and "registry export" in remedy and "导出" in remedy))
