"""Poison of every kind on every topic that a process reads: nothing ends, nothing hangs, and all honest records around it are judged.

``YICHENG_SEED=7`` takes another seed.
"""

import asyncio
import json
import os
import random
from contextlib import suppress
from datetime import date
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import orjson
import pipeline as pipeline_module
import pytest
from aiokafka import AIOKafkaProducer
from as_published import events_of, standing
from conftest import get, wait_for
from pipeline import Pipeline, in_order, recorded_day, records_of
from poison import KEYS, LETTER, LETTERS, MARK, ODD_VALUES, TEMPLATES, TOPICS, T, kinds, records, with_raw

from consumers.console.city.city import City
from consumers.console.sources.feed import TOPICS as FOLLOWED
from consumers.console.sources.feed import KafkaFeed
from consumers.incident_events import read_event
from deploy.admin import read_topic
from deploy.dead import _read
from deploy.ports import free_port
from deploy.published import _answer, _rate, incident_in, rate_in
from deploy.report.content import Published, as_json, gather
from deploy.report.page import as_html
from deploy.report.tables import as_csv
from streams.city.contributions import decode_contribution
from streams.enterprises.confirmations import answered
from streams.errors import BadInput
from streams.policy.policy import Policies
from streams.policy.reader import decode_policy, load_policy
from streams.registry.records import decode_versions
from streams.registry.registry import Registry
from streams.settings import Settings
from streams.watermark import decode_clock
from streams.wire.decode import FIXES, HEARTBEATS, SCANS
from streams.wire.topics import BY_BROKER, POLICY, RATES

SEED = int(os.environ.get("YICHENG_SEED", "1"))


def test_there_are_kinds_enough_and_the_seed_tells_which():
    assert len(kinds(SEED)) >= 1_000 and kinds(SEED) == kinds(SEED) != kinds(SEED + 1)


READERS = {
    "fixes": FIXES.read_one, "scans": SCANS.read_one, "heartbeats": HEARTBEATS.read_one, "partials": decode_contribution, "policy": decode_policy, "clock": decode_clock, "incidents for sinks": read_event, "incidents for people": incident_in,
    "registry": lambda value: Registry(ZoneInfo("Asia/Shanghai")).put("vehicle", "poison", decode_versions(value)),
    "rates": lambda value: _rate(SimpleNamespace(key=value, value=value)), "answers": lambda value: _answer(SimpleNamespace(key=value, value=value)),
    "dead letters": lambda value: [_read(SimpleNamespace(headers=headers, value=value)) for headers in (list(LETTER.items()), [*LETTER.items(), ("x", None)])],
    "answers for accounts": lambda value: answered(value, None, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_it_or_says_that_it_cannot(name):
    for seed in range(SEED, SEED + 3):
        for value in kinds(seed).values():
            with suppress(ValueError, BadInput, RecursionError):
                READERS[name](value or b"")


def fed(topic, values, keys=(b"poison",)):
    """A console's city that has read records of a topic: none of them has its feed begin anew."""
    city = City("hohhot-2019")
    city.policies = Policies([load_policy("hohhot-2019")])
    city.history_is_read()
    records = [SimpleNamespace(topic=topic, partition=0, offset=0, key=key, value=value, timestamp=T, timestamp_type=BY_BROKER) for value in values for key in keys]
    KafkaFeed(Settings(kafka_bootstrap="127.0.0.1:9"), city)._enter(topic, records)
    return city


@pytest.mark.parametrize("topic", [topic.name for topic in FOLLOWED])
def test_the_console_shows_a_city_whatever_it_reads(topic):
    values = [value for seed in range(SEED, SEED + 3) for value in kinds(seed).values()]
    city = fed(topic, values, KEYS if topic == POLICY.name else [b"vehicle/poison"])
    city.tick()
    assert orjson.dumps([city.state(), city.views(), city.views("poison"), city.vehicle_table(0), city.vehicle("poison"), [city.incident(name) for name in city.incidents.latest]])


@pytest.mark.parametrize("name", ODD_VALUES)
def test_no_share_in_a_row_of_rates_has_the_console_read_all_again(name):
    day = {**TEMPLATES["day of rates"], "enterprise_id": "*"}
    values = [with_raw(day, field, ODD_VALUES[name]) for field in ("electronic_rate", "electronic_forecast", "accepted")]
    assert fed(RATES.name, [*values, json.dumps({**day, "date": "2026-06-26", "window": "2026-06-26"}).encode()]).header()["rates"]["electronic"]["rate"] == 1.0


def test_a_report_can_be_made_of_whatever_is_read():
    """A row of rates or an incident that is read is one of which every figure, table and page can be made."""
    rows, incidents = [], []
    for seed in range(SEED, SEED + 3):
        for value in kinds(seed).values():
            for held, read in ((rows, rate_in), (incidents, incident_in)):
                with suppress(ValueError, RecursionError):
                    held.append(read(value))
    policy = load_policy("hohhot-2019")
    made = gather(policy, Registry(policy.timezone), Published([*rows, *({**row, "enterprise_id": "*"} for row in rows)], [{**data, "city": "150100"} for data in incidents]), date(2026, 6, 25), date(2026, 6, 26))
    assert len(rows) > 300 and len(incidents) > 50 and made["days"] and made["parking"] and made["transit"]
    assert as_json(made) and as_csv(made) and as_html(made)


@pytest.mark.parametrize("value", [b"", b"{}", b"[", b"\xff", None])
def test_a_dead_letter_is_read_or_said_to_be_none(value):
    for headers in [*LETTERS, *([(name, None if name == field else text) for name, text in LETTER.items()] for field in LETTER)]:
        with suppress(ValueError):
            _read(SimpleNamespace(headers=headers, value=value))


def honest(bootstrap, topic):
    """What of a topic is not poison, nor made of it: a vehicle that stands in several partitions, the contributions of a city."""
    for key, value in read_topic(bootstrap, topic):
        try:
            said = json.loads(value or b"")
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and b"poison" not in value and MARK.encode() not in value and ("specversion" in said or key == "/".join(str(said.get(name)) for name in ("city", "enterprise_id", "window"))):
            yield key, value


class Poisoned(Pipeline):
    def is_letter(self, headers):
        return "topic" in headers and headers.get("error") != MARK.encode()


@pytest.fixture
def pipeline(kafka, yicheng, tmp_path, monkeypatch):
    made = Poisoned(kafka, yicheng, tmp_path)
    monkeypatch.setattr(pipeline_module, "read_topic", honest)
    yield made
    made.producer.close()


def shown_by(page, honest):
    """What a console shows of these incidents: ids and revisions. Of the others some are well formed, so it shows them, too."""
    return {(incident["incident_id"], incident["revision"]) for incident in json.loads(get(f"{page}/api/state"))["incidents"] if incident["incident_id"] in honest}


def send_poison(pipeline, batch):
    for topic, partition, key, value, headers in batch:
        pipeline.producer.send(topic, value, key, partition=partition, headers=headers)


async def send_what_others_can(bootstrap):
    """What this client of Kafka refuses to send: three megabytes that are packed small, and headers without a value."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="lz4", max_request_size=8_000_000) as producer:
        for topic in TOPICS:
            for value in (b"x" * 3_000_000, b'{"city": "' + b"x" * 3_000_000 + b'"}'):
                await producer.send_and_wait(topic, value, b"poison", partition=0)
            await producer.send_and_wait(topic, b"{}", b"poison", partition=0, headers=[("reason", None), ("topic", None), ("", None)])


def test_poison_on_every_topic_ends_nothing_and_changes_nothing(pipeline):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    gps, scans = recorded_day().values()
    rows = in_order(gps[: len(gps) // 4], scans)
    poison = list(records(SEED))
    rng.shuffle(poison)
    third = len(poison) // 3
    send_poison(pipeline, [record for record in poison[:third] if record[0] not in {"courier.gps.v1", "courier.scan.v1"}])
    pipeline.producer.flush()
    page = f"http://127.0.0.1:{(console_port := free_port())}"
    worker, notifier, console = pipeline.start("worker"), pipeline.start("notifier"), pipeline.start("console", YICHENG_CONSOLE_PORT=str(console_port))
    for child in (worker, notifier, console):
        wait_for("readiness", lambda child=child: get(f"{child.url}/readyz"))
    send_poison(pipeline, [record for record in poison[:third] if record[0] in {"courier.gps.v1", "courier.scan.v1"}])
    asyncio.run(send_what_others_can(pipeline.bootstrap))
    half = len(rows) // 2
    pipeline.send_rows(rows[:half])
    send_poison(pipeline, poison[third : 2 * third])
    pipeline.send_rows(rows[half:])
    send_poison(pipeline, poison[2 * third :])
    pipeline.producer.flush()
    pipeline.drained()
    for child in (worker, notifier, console):
        assert child.poll() is None and "Traceback" not in child.log(), child.log()[-3_000:]
    assert "not followed" not in console.log(), "a record has had the console begin anew"
    sink = pipeline.sink
    pipeline.sink = sink.with_name("honest.jsonl")
    pipeline.sink.write_bytes(b"".join(line for line in sink.read_bytes().splitlines(keepends=True) if MARK.encode() not in line))
    incidents, refused, letters = pipeline.check_fixes()
    assert incidents > 5
    refused.pop("duplicate")
    assert letters == refused and refused["malformed"] > 500
    pipeline.check_rates([record.value for record in records_of(pipeline.bootstrap, "courier.scan.v1")])
    pipeline.check_revisions()
    assert pipeline.check_alarms_stood() > 5
    honest_now = {(data["incident_id"], data["revision"]) for data in standing(events_of(pipeline.sink))}
    honest = {incident_id for incident_id, _ in honest_now}
    wait_for(lambda: f"the console to show the same: {sorted(shown_by(page, honest) ^ honest_now)[:5]}", lambda: shown_by(page, honest) == honest_now)
    assert all(json.loads(get(f"{page}{path}")) for path in ("/api/views", "/api/vehicles?since=0", "/api/incidents"))
    for topic in ("registry", "policy", "credit", "partials", "clock"):
        assert f'courier_unreadable_total{{topic="courier.{topic}.v1"}}' in get(f"{worker.url}/metrics")
    for child in (notifier, console):
        assert 'courier_unreadable_total{topic="courier.incidents.v1"}' in get(f"{child.url}/metrics")
    environment = {"YICHENG_KAFKA_BOOTSTRAP": pipeline.bootstrap}
    commands = (
        ["report", "--from", "2026-06-25", "--until", "2026-06-26", "--format", "csv"], ["incidents", "list"], ["dead", "list"], ["registry", "export"],
        ["dead", "redrive", "--reason", "invalid_position"],
    )  # fmt: skip
    for command in commands:
        done = pipeline.yicheng.run(*command, **environment)
        assert done.returncode == 0 and "Traceback" not in done.stderr and done.stdout, (command, done.stderr[-2_000:])
        assert all(line.startswith("yicheng: courier.") for line in done.stderr.splitlines()), done.stderr
