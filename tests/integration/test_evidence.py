"""An evidence file from a real Kafka: records as they stand there, what is no longer retained said plainly, and a seal that breaks."""

import hashlib
import json
import shutil
import time
import zipfile

from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from deploy.admin import publish_policy, publish_registry, read_records
from deploy.evidence.gathering import TIMEZONE
from deploy.report.page import BROWSERS
from streams.clock import local_datetime
from streams.geo import wgs84_to_gcj02
from streams.policy.reader import load_policy
from streams.process.os_users import this_user
from streams.registry.records import decode_entry
from streams.wire.answers import made_answer, record_of
from streams.wire.cloudevents import cloudevent
from streams.wire.incident import Evidence, IncidentData
from streams.wire.topics import CREDIT, FEEDBACK, GPS, INCIDENTS, RATES, SCAN

NAME, VEHICLE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "车 HH-1"
FIXES = 20


def fill(kafka):
    """Twenty fixes of the vehicle and of another, of which the incident names three; two revisions, an answer, the registry, the pack. Returns when it began (ms)."""
    began_ms = time.time_ns() // 1_000_000 - 120_000
    policy = load_policy("hohhot-2019")
    zone = "core"
    lon, lat = policy.pack.geometries[zone].representative_point().coords[0]
    producer = KafkaProducer(bootstrap_servers=kafka)
    for number in range(FIXES):
        for vehicle in (VEHICLE, "HH-2"):
            shifted = wgs84_to_gcj02(lon + number / 5_000, lat)
            fix = {"event_id": f"{vehicle}-{number}", "event_time_ms": began_ms + 5_000 * number, "vehicle_id": vehicle, "lon": shifted[0], "lat": shifted[1], "coord_sys": "gcj02", "speed_kmh": 30 + number}
            producer.send(GPS.name, json.dumps(fix).encode(), vehicle.encode())  # its name is written in escapes
    producer.send(GPS.name, b"\xff no fix of HH-1", VEHICLE.encode())
    evidence = tuple(Evidence(f"{VEHICLE}-{number}", began_ms + 5_000 * number, lon + number / 5_000, lat, 30.0 + number) for number in (3, 4, 9))
    for revision, state in ((1, "open"), (2, "closed")):
        key, event = cloudevent("updated", IncidentData(
            incident_id=NAME, revision=revision, state=state, rule="restricted_hours", rule_id="r", policy=policy.name, clause="二（五）", severity="violation", city="150100", zone_id=zone, vehicle_id=VEHICLE,
            enterprise_id="sf", opened_at_ms=began_ms + 15_000, last_seen_ms=began_ms + 45_000, closed_at_ms=began_ms + 45_000 if state == "closed" else None, lon=lon, lat=lat, fix_count=3, evidence=evidence,
            reason_zh="驶入", reason_en="entered", synthetic=True, clause_text="禁止驶入",
        ))  # fmt: skip
        producer.send(INCIDENTS.name, event, key.encode())
    producer.send(FEEDBACK.name, record_of(made_answer(NAME, "fined", began_ms, by="王")), NAME.encode())
    producer.flush()
    entries = [{"kind": "vehicle", "id": VEHICLE, "plate": "蒙A12345", "enterprise_id": "sf", "driver_ids": ["d1"], "valid_from": "2020-01-01"}, {"kind": "vehicle", "id": VEHICLE, "plate": "蒙A99999", "valid_from": "2090-01-01"}]
    records = [(f"vehicle/{VEHICLE}", [decode_entry(json.dumps(entry).encode()) for entry in entries])]
    records += [("enterprise/sf", [decode_entry(b'{"kind":"enterprise","id":"sf","name_zh":"\xe9\xa1\xba\xe4\xb8\xb0"}')]), ("driver/d1", [decode_entry(b'{"kind":"driver","id":"d1"}')]), ("enterprise/other", [decode_entry(b'{"kind":"enterprise","id":"other"}')])]
    publish_registry(kafka, records)
    publish_policy(kafka, policy)
    return began_ms


def unpacked(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_evidence_file_holds_what_kafka_holds_and_says_what_it_holds_no_more(kafka, yicheng):
    fill(kafka)
    own, home = {"YICHENG_KAFKA_BOOTSTRAP": kafka}, yicheng.home
    assert yicheng.run("secrets", "signing-key", home / "key").returncode == 0
    done = yicheng.run("incidents", "evidence", NAME, "--out", home / "e.zip", "--key", home / "key", "--by", "王", **own)
    assert done.returncode == 0 and "3 of 3 pieces of evidence" in done.stdout, done.stderr
    files = unpacked(home / "e.zip")
    assert list(files) == ["index.html", "records.jsonl", "registry.json", "manifest.json", "manifest.sig"]

    held = {(topic, record.partition, record.offset): record.value for topic in (GPS.name, INCIDENTS.name, FEEDBACK.name, "courier.registry.v1", "courier.policy.v1") for record in read_records(kafka, topic)}
    kept = [json.loads(line) for line in files["records.jsonl"].splitlines()]
    for row in kept:
        raw = held[row["topic"], row["partition"], row["offset"]]
        assert hashlib.sha256(raw).hexdigest() == row["sha256"] and row["value"].encode() == raw
    by_topic = {topic: sum(row["topic"] == topic for row in kept) for topic in {row["topic"] for row in kept}}
    assert by_topic == {GPS.name: FIXES, INCIDENTS.name: 2, FEEDBACK.name: 1, "courier.registry.v1": 3, "courier.policy.v1": 1}
    entries = json.loads(files["registry.json"])["entries"]
    assert entries[f"vehicle/{VEHICLE}"]["plate"] == "蒙A12345" and set(entries) == {f"vehicle/{VEHICLE}", "enterprise/sf", "driver/d1"}
    page = files["index.html"].decode()
    assert page.count("<svg") >= 2 and "禁止驶入" in page and "已处罚" in page and 'id="gone"' not in page and "蒙A12345" in page

    checked = yicheng.run("incidents", "verify", home / "e.zip", "--key", home / "key.pub")
    assert checked.returncode == 0 and "signature fits" in checked.stdout, checked.stderr
    with zipfile.ZipFile(home / "x.zip", "w") as archive:
        for name, content in {**files, "registry.json": files["registry.json"].replace("蒙A12345".encode(), "蒙A54321".encode())}.items():
            archive.writestr(name, content)
    checked = yicheng.run("incidents", "verify", home / "x.zip", "--key", home / "key.pub")
    assert checked.returncode == 1 and "registry.json does not fit" in checked.stderr and len(checked.stderr.splitlines()) == 1

    admin = KafkaAdminClient(bootstrap_servers=kafka)
    partition = next(TopicPartition(*place[:2]) for place, raw in held.items() if place[0] == GPS.name and raw.startswith(b'{"event_id": "\\u8f66 HH-1-'))
    of_vehicle = sorted(offset for (topic, number, offset), raw in held.items() if (topic, number) == partition and raw.startswith(b'{"event_id": "\\u8f66 HH-1-'))
    admin.delete_records({partition: of_vehicle[4]})  # the first four are gone, one of them is evidence
    admin.close()
    done = yicheng.run("incidents", "evidence", NAME, "--out", home / "later.zip", **own)
    assert done.returncode == 0 and f"no longer retained by Kafka / 已过保存期: {VEHICLE}-3\n" in done.stdout and "not signed" in done.stdout, done.stderr
    later = unpacked(home / "later.zip")
    page = later["index.html"].decode()
    assert 'id="gone"' in page and f"{VEHICLE}-3" in page and "may have gaps" in page and later["records.jsonl"].count(GPS.name.encode()) == FIXES - 4
    assert yicheng.run("incidents", "verify", home / "later.zip").returncode == 0

    for arguments, said in ((["NONE", "--out", home / "n.zip"], "no incident"), ([NAME, "--out", home / "e.zip"], "never overwritten"), ([NAME, "--out", home / "n.zip", "--key", home / "key.pub"], "no Ed25519 private key")):
        done = yicheng.run("incidents", "evidence", *arguments, **own)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (home / "n.zip").exists()
    log = [json.loads(line) for line in (home / "audit.jsonl").read_bytes().splitlines()]
    assert [(line["action"], line["by"], line["about"]["incident_id"]) for line in log] == [("exported", "王", NAME), ("exported", this_user(), NAME)]


def incident(name, rule, **more):
    data = {
        "incident_id": name, "revision": 1, "state": "closed", "rule": rule, "rule_id": rule, "policy": "hohhot-2019", "clause": "二", "severity": "violation", "city": "150100", "zone_id": None, "vehicle_id": None,
        "enterprise_id": "sf", "lon": None, "lat": None, "fix_count": 0, "evidence": (), "reason_zh": "因", "reason_en": "for", "synthetic": True,
    }  # fmt: skip
    return cloudevent("closed", IncidentData(**{**data, **more}))


def test_an_evidence_file_has_the_sums_and_signs_that_an_incident_rests_on(kafka, yicheng):
    """A day's rates, a silence and points name no fix and no scan."""
    own, home = {"YICHENG_KAFKA_BOOTSTRAP": kafka}, yicheng.home
    now_ms = time.time_ns() // 1_000_000
    began_ms, ended_ms = now_ms - 60_000, now_ms - 20_000
    date = local_datetime(began_ms, TIMEZONE).date()
    producer = KafkaProducer(bootstrap_servers=kafka)
    span = {"opened_at_ms": began_ms, "last_seen_ms": ended_ms, "closed_at_ms": ended_ms}
    for name, rule, more in (("DAY", "low_electronic_waybill_rate", span), ("SILENCE", "interrupted_feed", span), ("POINTS", "blacklisted_enterprise", {**span, "opened_at_ms": ended_ms + 5, "policy": "hezhou-2018"}),
                             ("COST", "cloned_identifier", {**span, "vehicle_id": "v"}), ("FREE", "cloned_identifier", {**span, "vehicle_id": "v", "enterprise_id": "yto"})):  # fmt: skip
        key, event = incident(name, rule, **more)
        producer.send(INCIDENTS.name, event, key.encode())
    producer.send(RATES.name, b'{"of": "the day"}', f"150100/sf/{date}".encode())
    producer.send(RATES.name, b'{"of": "the hour"}', b"150100/sf/1h")
    for number, at_ms in enumerate((began_ms - 5_000, began_ms, ended_ms, ended_ms + 5_000)):
        scan = {"event_id": f"s{number}", "event_time_ms": at_ms, "waybill_id": f"W{number}", "enterprise_id": "sf", "city": "150100", "kind": "accepted"}
        producer.send(SCAN.name, json.dumps(scan).replace('"sf"', '"s\\u0066"').encode(), b"W")  # its enterprise is written in escapes
    producer.send(CREDIT.name, b'{"subject": "enterprise/sf"}', b"enterprise/sf")  # keys are as interfaces have them
    producer.flush()

    def inputs(name):
        done = yicheng.run("incidents", "evidence", name, "--out", home / f"{name}.zip", *pdf, **own)
        assert done.returncode == 0, done.stderr
        files = unpacked(home / f"{name}.zip")
        rows = [json.loads(line) for line in files["records.jsonl"].splitlines()]
        page = files["index.html"].decode()
        assert all(row["sha256"] in page for row in rows if row["topic"] in {RATES.name, SCAN.name, CREDIT.name})
        return [(row["topic"], row["value"]) for row in rows], page

    pdf = ["--pdf"] if any(map(shutil.which, BROWSERS)) else []
    rows, page = inputs("DAY")
    if pdf:
        assert unpacked(home / "DAY.zip")["index.pdf"].startswith(b"%PDF-") and yicheng.run("incidents", "verify", home / "DAY.zip").returncode == 0
    pdf = []
    assert (RATES.name, '{"of": "the day"}') in rows and [topic for topic, _ in rows].count(RATES.name) == 1 and "Judged from a day" in page
    rows, page = inputs("SILENCE")
    assert sorted(json.loads(value)["event_id"] for topic, value in rows if topic == SCAN.name) == ["s1", "s2"] and "Of the time in between there are none" in page
    rows, page = inputs("POINTS")
    charged = {json.loads(value)["data"]["incident_id"] for topic, value in rows if topic == INCIDENTS.name}
    assert charged == {"POINTS", "COST"} and (CREDIT.name, '{"subject": "enterprise/sf"}') in rows
