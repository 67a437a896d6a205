"""A pipeline under test: reference data, workers and a notifier over real topics, and its comparison with the oracle."""

import json
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

from as_published import (
    as_announced,
    black_lists,
    check_violations,
    events_of,
    low_days,
    newest,
    of_days,
    of_driving,
    of_vehicles,
    silences,
    standing,
    taken_back,
)
from conftest import get, wait_for, written_lines
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from make_day import SEED, VEHICLES
from oracle import Oracle

from deploy import published
from deploy.admin import publish_policy, publish_registry, read_topic
from deploy.ports import free_port
from deploy.up.ending import Ending, committed_to, ends, read_clock
from producers.traffic import write_sample_registry
from streams.files.text_files import open_lines
from streams.policy.reader import load_policy
from streams.registry.files import load_registry

PACK = Path(__file__).parent.parent / "streams" / "policies" / "hohhot-2019.yaml"


def in_order(gps, scans):
    """(topic, key field, line) of a day's fixes and scans in order of time; those that say none stay with the ones before them."""
    rows = []
    for topic, key, lines in (("courier.gps.v1", "vehicle_id", gps), ("courier.scan.v1", "waybill_id", scans)):
        reached_ms = 0
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                reached_ms = max(reached_ms, int(json.loads(line)["event_time_ms"]))
            rows.append((reached_ms, topic, key, line))
    return [row[1:] for row in sorted(rows, key=lambda row: row[0])]


def recorded_day():
    """The fixes and scans of the golden day in Hohhot, as lines."""
    folder = Path(__file__).parent / "golden" / "hohhot-2019"
    return {name: [line.strip() for line in open_lines(str(folder / f"{name}.jsonl.zst")) if line.strip()] for name in ("gps", "scans")}


def records_of(bootstrap, topic):
    """All that a topic holds now, as it can be read, each partition in order."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, isolation_level="read_committed")
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        until = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < end for partition, end in until.items()):
            for records in consumer.poll(500).values():
                yield from records
    finally:
        consumer.close()


class Pipeline:
    """A worker or several and a notifier over fresh topics with the Hohhot pack and a sample registry."""

    def __init__(self, bootstrap, yicheng, home):
        self.bootstrap, self.yicheng, self.home = bootstrap, yicheng, home
        self.sink = home / "sink.jsonl"
        self.policy = load_policy("hohhot-2019")
        self.registry = home / "registry.jsonl"
        write_sample_registry(self.policy, VEHICLES, SEED, self.registry)
        publish_policy(bootstrap, self.policy)
        publish_registry(bootstrap, load_registry(self.registry, self.policy.timezone).grouped())
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5, max_block_ms=120_000)

    def start(self, *command, **environment):
        port = free_port()
        own = {
            "YICHENG_KAFKA_BOOTSTRAP": self.bootstrap, "YICHENG_METRICS_PORT": str(port), "YICHENG_SINK_FILE": str(self.sink),
            "YICHENG_STATE_DIR": str(self.home / f"state-{port}"), "YICHENG_CHECKPOINT_INTERVAL_S": "0.3",
        }  # fmt: skip
        child = self.yicheng.start(*command, **{name: value for name, value in {**own, **environment}.items() if value is not None})
        child.url = f"http://127.0.0.1:{port}"
        return child

    def start_ready(self, *command, **environment):
        child = self.start(*command, **environment)
        wait_for(f"{command[0]} to be ready", lambda: get(f"{child.url}/readyz"))
        return child

    def send(self, topic, key_field, lines):
        for line in lines:
            try:
                key = str(json.loads(line)[key_field])
            except (ValueError, KeyError, TypeError):
                key = "broken"
            self.producer.send(topic, line, key.encode())

    def committed(self):
        """Whether the group has committed every input partition to its end."""
        return all(committed_to(self.bootstrap, "yicheng", ends(self.bootstrap, topic)) for topic in ("courier.gps.v1", "courier.scan.v1"))

    def drained(self, timeout_s=120):
        """Until all that was sent is judged, up to the time that it has come to, and delivered."""
        wait_for("all input to be judged and committed", Ending(self.bootstrap, "yicheng").reached, timeout_s)
        published = {json.loads(value)["id"] for _, value in read_topic(self.bootstrap, "courier.incidents.v1")}

        wait_for("all incidents to reach the sink", lambda: {json.loads(line)["id"] for line in written_lines(self.sink)} >= published)

    def send_rows(self, rows):
        """Send what ``in_order`` gave."""
        for topic, key, line in rows:
            self.send(topic, key, [line])
        self.producer.flush()

    def check_alarms_stood(self, share=0.0):
        """No more than such a share of what was announced was ever taken back, and of vehicles only for a late fix of theirs; returns how many were announced."""
        events = events_of(self.sink)
        announced, rules = taken_back(events)
        assert len(rules) <= share * announced, Counter(rules)
        vehicles = {event["data"]["vehicle_id"] for event in events if event["type"] == "yicheng.incident.retracted.v1"} - {None}
        assert not vehicles or vehicles <= set(self.overtaken()), Counter(rules)
        return announced

    def overtaken(self):
        """The vehicles of fixes that arrived after a later one of theirs."""
        reached_ms = {}
        for record in records_of(self.bootstrap, "courier.gps.v1"):
            with suppress(ValueError, KeyError, TypeError):
                fix = json.loads(record.value)
                vehicle_id, time_ms = fix["vehicle_id"], int(fix["event_time_ms"])
                if time_ms < reached_ms.get(vehicle_id, 0):
                    yield vehicle_id
                reached_ms[vehicle_id] = max(reached_ms.get(vehicle_id, 0), time_ms)

    def check_fixes(self):
        """The sink's incidents equal the oracle's over each partition; returns how many there are."""
        self.oracle, self.by_partition = Oracle(PACK, self.registry), (by_partition := defaultdict(list))
        for record in records_of(self.bootstrap, "courier.gps.v1"):
            by_partition[record.partition].append(record.value)
        expected, refused = set(), Counter()
        watermark_ms = read_clock(self.bootstrap).watermark_ms
        for lines in by_partition.values():
            incidents, rejects = self.oracle.fixes(lines, watermark_ms)
            expected |= incidents
            refused += rejects
        assert of_vehicles(standing(events_of(self.sink))) == as_announced(expected)
        letters = dict(letter for topic in ("courier.dead.v1", "courier.late.v1") for letter in self.letters(topic))
        rows = newest((key, json.loads(value)) for key, value in read_topic(self.bootstrap, "courier.rates.v1")).values()
        self.check_driven(of_driving(rows), by_partition.values())
        return len(expected), refused, Counter(letters.values())

    def check_driven(self, rows, partitions):
        """How far vehicles drove is what the oracle makes of each partition's fixes, to the millimetre."""
        kinds, expected = ("empty_run", "known_run", "night_run", "run"), Counter()
        for lines in partitions:
            for date, driven in self.oracle.driven(lines).items():
                expected += Counter({(date, kind): mm for kind, mm in zip(kinds, driven, strict=True)})
        found = {(row["date"], kind): mm for row in rows for kind in kinds if (mm := round(row[f"{kind}_m"] * 1000))}
        assert found == expected

    def is_letter(self, headers):
        """Whether the worker wrote a dead letter with such headers."""
        return True

    def letters(self, topic):
        """Where each refused fix stood, and the reason; a crash may repeat some."""
        for headers in (dict(record.headers) for record in records_of(self.bootstrap, topic)):
            if self.is_letter(headers) and headers["topic"] == b"courier.gps.v1":
                yield (headers["partition"], headers["offset"]), headers["reason"].decode()

    def check_revisions(self):
        """Each (incident, revision) says one thing, and revisions have no gaps."""
        said = defaultdict(set)
        for _, value in read_topic(self.bootstrap, "courier.incidents.v1"):
            event = json.loads(value)
            said[event["data"]["incident_id"], event["data"]["revision"]].add(value)
        assert all(len(texts) == 1 for texts in said.values()), [texts for texts in said.values() if len(texts) > 1]
        highest = Counter()
        for incident_id, revision in said:
            highest[incident_id] = max(highest[incident_id], revision)
        every = {(incident_id, revision) for incident_id, top in highest.items() for revision in range(1, top + 1)}
        assert every == set(said), sorted(every ^ set(said))

    def check_rates(self, lines):
        oracle = self.oracle
        watermark_ms = read_clock(self.bootstrap).watermark_ms
        assert watermark_ms == oracle.watermark(self.by_partition.values(), [lines])
        expected, low = oracle.scans(lines, stream_time=watermark_ms, live=True)
        rows = newest((key, json.loads(value)) for key, value in read_topic(self.bootstrap, "courier.rates.v1"))
        counted = {(row["city"], row["enterprise_id"], row["date"]): (row["accepted"], row["electronic"], row["green"]) for row in of_days(rows.values())}
        assert counted == expected, sorted(counted.items() ^ expected.items())
        assert {"/".join(name) for name in counted} <= rows.keys() <= published.rates(self.bootstrap).keys()
        incidents = standing(events_of(self.sink))
        assert low_days(incidents) == oracle.low_bounds(low) and low
        assert silences(incidents) == oracle.intervals(oracle.heartbeats([lines])[0], watermark_ms) != set()
        assert black_lists(incidents) == oracle.black(incidents, watermark_ms, live=True)
        found = oracle.violations(lines)
        check_violations(incidents, found, oracle)
        assert found
