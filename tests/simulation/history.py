"""One history: events, workers and faults drawn from a seed; and what must hold at its end (reliability, invariants)."""

import asyncio
import json
import random
import tempfile
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from unittest import mock
from zoneinfo import ZoneInfo

from oracle import Oracle
from simulation.cluster import INPUTS, PARTITIONS, SESSION_S, Died, VirtualLoop, Worker, World

from deploy.verdict import finding_differences
from streams.clock import BEGINNING_MS, LocalDays
from streams.counts import is_of_day
from streams.parcels import store as parcels
from streams.parcels import violating_scans as sightings
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.runtime import pieces, watchdog
from streams.runtime.cloudevents import subject_of
from streams.topics import DEAD, GPS, HEARTBEAT, INCIDENTS, LATE, PARTIALS, RATES, SCAN
from streams.vehicles.empty_run import is_about_driving
from streams.watermark import DISORDER_MS

BASE_MS = 1_700_020_800_000  # 2023-11-15 12:00 in Shanghai
PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
zones: zones.geojson
rules:
  - {rule: unregistered_vehicle, id: stranger, clause: "1", severity: warning}
  - {rule: restricted_hours, id: zone, clause: "1", severity: violation, zones: [z], permitted: []}
  - {rule: speeding, id: fast, clause: "1", severity: warning, limit_kmh: 60, min_duration: 15s, merge_gap: 30s}
  - {rule: silent_vehicle, id: silent, clause: "1", severity: warning, limit: 3m}
  - {rule: low_electronic_waybill_rate, id: paper, clause: "1", severity: warning, min_sample: 2}
  - {rule: low_green_packaging_rate, id: brown, clause: "1", severity: warning, min_sample: 2}
  - {rule: unfiled_outlet, id: unfiled, clause: "1", severity: warning}
  - {rule: unverified_sender, id: nameless, clause: "1", severity: warning}
  - {rule: offline_camera, id: camera, clause: "1", severity: warning, limit: 30m}
  - {rule: interrupted_feed, id: feed, clause: "1", severity: warning, limit: 5h, hours: [{days: mon-sat, from: "06:00", until: "23:00"}]}
  - {rule: blacklisted_enterprise, id: black, clause: "1", severity: warning, black_at: 4, points: {unfiled_outlet: 1, speeding: 2, low_electronic_waybill_rate: 3}}
"""
ZONE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
REGISTRY = [
    {"kind": "vehicle", "id": "v1", "enterprise_id": "e"}, {"kind": "vehicle", "id": "v2"}, {"kind": "enterprise", "id": "e"},
    {"kind": "outlet", "id": "o", "enterprise_id": "e", "filed": True, "camera": True}, {"kind": "outlet", "id": "q", "camera": True},
    {"kind": "notice", "id": "n1", "subject": "outlet/q", "from": "2023-11-15T13:00", "until": "2023-11-15T15:30", "filed_at": "2023-11-15"},
    {"kind": "notice", "id": "n2", "subject": "enterprise/e", "from": "2023-11-16T08:00", "until": "2023-11-16T09:00"},
]  # fmt: skip
DAYS = LocalDays(ZoneInfo("Asia/Shanghai"))
FIELDS = ("rule", "rule_id", "vehicle_id", "zone_id", "opened_at_ms", "last_seen_ms", "fix_count", "state")


@cache
def city():
    """Reference data and the oracle, from the same files."""
    with tempfile.TemporaryDirectory() as folder:
        pack, registry = Path(folder) / "pack.yaml", Path(folder) / "registry.jsonl"
        pack.write_text(PACK, "utf-8")
        features = [{"type": "Feature", "properties": {"id": "z"}, "geometry": ZONE}]
        (Path(folder) / "zones.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        registry.write_text("".join(json.dumps(record) + "\n" for record in REGISTRY))
        policy = load_policy(str(pack))
        reference = SimpleNamespace(policies=Policies([policy]), registry=load_registry(registry, policy.timezone), watermark_ms=BEGINNING_MS, on_change=None)
        return reference, Oracle(pack, registry)


def events(rng, *, ordered=False):
    """(topic, key, value) in order of arrival: fixes and scans, some late, repeated or broken, or all in order of time."""
    sent = []
    for vehicle in ("v1", "v2", "v3"):
        at_ms, inside, speed = BASE_MS, True, 10.0
        for number in range(rng.randrange(4, 16)):
            at_ms += rng.choice([1_000, 10_000, 10_000, 10_000, 60_000, 150_000, 200_000])
            inside, speed = rng.choice([inside, inside, not inside]), rng.choice([speed, 10.0, 70.0])
            fix = {"event_id": f"{vehicle}-{number}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": 1.0 if inside else 3.0, "lat": 1.0,
                   "speed_kmh": speed, "ignition": rng.random() < 0.5, "load": rng.choice([None, "empty", "full"])}  # fmt: skip
            sent.append((at_ms + rng.choice([0, 0, 0, 30_000, 300_000, 900_000]), GPS.name, vehicle, json.dumps(fix).encode()))
    for number in range(rng.randrange(2, 16)):
        at_ms = BASE_MS + rng.randrange(-(10**8), 10**8) * rng.choice([1, 1, 3])
        scan = {"event_id": f"s{number}", "event_time_ms": at_ms, "waybill_id": f"w{rng.randrange(12)}", "enterprise_id": rng.choice("ef"), "city": "1",
                "kind": rng.choice(["accepted", "accepted", "arrived"]), "outlet_id": rng.choice(["o", "p", None]),
                "real_name_verified": rng.random() < 0.7, "waybill_kind": rng.choice(["electronic", "paper"]), "packaging": {"green": rng.random() < 0.5}}  # fmt: skip
        sent.append((BASE_MS + rng.randrange(2_000_000), SCAN.name, scan["waybill_id"], json.dumps(scan).encode()))
    for camera in ("outlet/o", "outlet/q", "enterprise/e"):
        at_ms = BASE_MS
        for number in range(rng.randrange(8)):
            at_ms += rng.choice([10, 10, 40, 200]) * 60_000
            beat = {"event_id": f"{camera}-{number}", "event_time_ms": at_ms, "subject": camera}
            sent.append((BASE_MS + rng.randrange(2_000_000), HEARTBEAT.name, camera, json.dumps(beat).encode()))
    sent += [(at + rng.randrange(10**6), topic, key, rng.choice([value, value[:-1]])) for at, topic, key, value in rng.sample(sent, 3)]
    if ordered:
        whole = [event for event in sent if event[3].count(b"{") == event[3].count(b"}")]
        sent = [(json.loads(value)["event_time_ms"], topic, key, value) for _, topic, key, value in whole]
    return [event[1:] for event in sorted(sent)]


def run(seed, faults=4, failing_sends=0.0, *, ordered=None):
    """Play a history and check it; the assertion names the seed. Every third has all its records in order of time."""
    ordered = seed % 3 == 0 if ordered is None else ordered
    loop = VirtualLoop()
    try:
        few = mock.patch.multiple(parcels, HOT=2, LARGEST=5)
        small = mock.patch.object(sightings, "PAGE", 2)
        cut = mock.patch.object(pieces, "PIECE_BYTES", random.Random(seed).choice([40, 200, 200_000]))
        with small, cut, mock.patch.object(watchdog, "os", SimpleNamespace(_exit=_exit)), few:
            world = loop.run_until_complete(_play(seed, faults, failing_sends, ordered=ordered))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
    check(world, f"seed {seed}")
    if ordered:
        taken_back = [json.loads(r.value) for n in range(PARTITIONS) for r in world.logs[INCIDENTS.name, n] if b"incident.retracted" in r.value]
        assert not taken_back, f"seed {seed}: all records came in order of time, but {taken_back} were taken back"
    return world


def _exit(code):
    raise Died(code)


async def _play(seed, faults, failing_sends, *, ordered):
    rng = random.Random(seed)
    world = World(seed, failing_sends)
    reference, _ = city()
    names = iter(range(1_000))

    def new_worker():
        return Worker(world, f"worker {next(names)}", reference)

    for _ in range(rng.randrange(1, 3)):
        new_worker()
    await world.rebalance()
    feeding = asyncio.ensure_future(_feed(world, events(rng, ordered=ordered)))
    world.faults = Counter()
    for _ in range(rng.randrange(faults + 1)):
        await asyncio.sleep(rng.random() * 3)
        victim = rng.choice(world.members) if world.members else None
        fault = rng.choice(["kill", "kill", "suspend", "suspend", "join", "leave"])
        world.faults[fault] += any(victim.consumer.chunks.delivered.values()) if victim else 0
        if fault == "kill" and victim:
            victim.kill()
        elif fault == "suspend" and victim:
            victim.suspend()
            world.loop.call_later(rng.random() * 3 * SESSION_S, victim.resume)
        elif fault == "leave" and victim and not victim.suspended:
            victim.start(victim.checkpoint.close())
            await asyncio.sleep(1)
            victim.kill()
        if fault in {"kill", "suspend"}:
            await asyncio.sleep(rng.choice([0.5, SESSION_S]))
        if fault != "suspend" or rng.random() < 0.5:
            new_worker()
        await world.rebalance()
    await feeding
    world.failing_sends = 0.0
    await asyncio.sleep(4 * SESSION_S)
    for _ in range(20):
        if not any(not (m.dead or m.suspended) for m in world.members):
            new_worker()
        await world.rebalance()
        if await _all_judged(world):
            return world
    raise AssertionError(f"seed {seed}: lag does not return to zero: {world.committed}, {world.clock()}")


async def _all_judged(world):
    """Whether all input is judged, time has come to its end, and all that follows from both is committed."""
    ended_ms, ends = world.now_ms(), None
    for _ in range(30):
        await asyncio.sleep(4)
        inputs = {(topic, n): len(world.logs[topic, n]) for topic in INPUTS for n in range(PARTITIONS) if topic != PARTIALS.name}
        clock = world.clock()
        if ends is None and clock.read_until_ms > ended_ms + 2 * DISORDER_MS and clock.settled_ms >= clock.watermark_ms - 1:
            ends = inputs | {(PARTIALS.name, n): len(world.logs[PARTIALS.name, n]) for n in range(PARTITIONS)}
        if ends is not None and all(world.committed.get(tp, 0) >= end for tp, end in ends.items()):
            return True
    return False


async def _feed(world, sent):
    for topic, key, value in sent:
        await asyncio.sleep(world.rng.random() * 0.4)
        world.append(topic, None, key.encode(), value)


def check(world, name):
    """Completeness, no phantoms, revisions that say one thing, rates, balance of input."""
    _, oracle = city()
    said, latest = defaultdict(set), {}
    for log in (world.logs[INCIDENTS.name, n] for n in range(PARTITIONS)):
        for record in log:
            data = json.loads(record.value)["data"]
            said[data["incident_id"], data["revision"]].add(record.value)
            if data["incident_id"] not in latest or latest[data["incident_id"]]["revision"] < data["revision"]:
                latest[data["incident_id"]] = data
    for (incident_id, revision), texts in said.items():
        assert len(texts) == 1, f"{name}: revision {revision} of {incident_id} says {len(texts)} things: {texts}"
        assert revision == 1 or (incident_id, revision - 1) in said, f"{name}: {incident_id} has no revision {revision - 1}"
    expected, refused = set(), Counter()
    driven_by, scanned, heard = ([[r.value for r in world.logs[topic.name, n]] for n in range(PARTITIONS)] for topic in (GPS, SCAN, HEARTBEAT))
    stream_time_ms = oracle.watermark(driven_by, scanned, heard)
    for number in range(PARTITIONS):
        incidents, rejects = oracle.fixes(driven_by[number], stream_time_ms)
        expected |= incidents
        refused += rejects
    standing = [data for data in latest.values() if data["state"] != "retracted"]
    found = {tuple(data[f] for f in FIELDS) for data in standing if data["vehicle_id"]}
    shorten = lambda rows: {row[:5] if row[7] == "open" else row for row in rows}  # noqa: E731
    assert shorten(found) == shorten(expected), f"{name}: {shorten(found) ^ shorten(expected)}"
    refused.pop("duplicate", None)
    letters = {(h["topic"], h["partition"], h["offset"]): h["reason"].decode()
               for topic in (DEAD.name, LATE.name) for n in range(PARTITIONS) for h in (dict(r.headers) for r in world.logs[topic, n])
               if h["topic"] == GPS.name.encode()}  # fmt: skip
    assert Counter(letters.values()) == refused, f"{name}: {letters} are not {refused}"
    signs, _ = oracle.signs(scanned, heard)
    rates, low = oracle.scans(*scanned, stream_time=stream_time_ms, live=True)
    published = sorted((json.loads(r.value)["revision"], r.key.decode(), r.value) for n in range(PARTITIONS) for r in world.logs[RATES.name, n])
    newest = {key: json.loads(value) for _, key, value in published}
    counted = {key: (row["accepted"], row["electronic"], row["green"]) for key, row in newest.items() if is_of_day(row) and row["accepted"]}
    driven = {row["date"]: (round(row["empty_run_m"] * 1000), round(row["known_run_m"] * 1000)) for row in newest.values() if is_about_driving(row)}
    drove = defaultdict(lambda: (0, 0))
    for number in range(PARTITIONS):
        for date, mm in oracle.driven(driven_by[number]).items():
            drove[date] = tuple(map(sum, zip(drove[date], mm, strict=True)))
    assert driven == drove, f"{name}: driven {driven}, not {dict(drove)}"
    month = {key: row["accepted"] for key, row in newest.items() if row["window"] == "30d" and row["accepted"]}
    of_month = Counter()
    for (city_code, enterprise, _), row in rates.items():
        of_month[f"{city_code}/{enterprise}/30d"] += row[0]
    assert month == of_month, f"{name}: the last 30 days are {month}, not {of_month}"
    expected_rates = {"/".join(key): value for key, value in rates.items()}
    assert counted == expected_rates, f"{name}: rates {counted.items() ^ expected_rates.items()}"
    days = {(d["rule_id"], d["enterprise_id"]) for d in standing if d["rule"].startswith("low_")}
    assert days == {row[:2] for row in low}, f"{name}: {days} are not the low days {low}"
    spells = {(d["rule_id"], subject_of(d), d["opened_at_ms"], d["closed_at_ms"]) for d in standing if d["rule"] in ("offline_camera", "interrupted_feed")}
    assert spells == oracle.spells(signs, stream_time_ms), f"{name}: silences {spells ^ oracle.spells(signs, stream_time_ms)}"
    black = {(d["rule_id"], d["enterprise_id"], d["opened_at_ms"], d["closed_at_ms"]) for d in standing if d["rule"] == "blacklisted_enterprise"}
    expected = oracle.black(standing, stream_time_ms, live=True)
    assert black == expected, f"{name}: black lists {black ^ expected}"
    wrong = finding_differences({" ".join(row[:3]): row[3:] for row in oracle.findings(*scanned)}, standing, DAYS)
    assert not wrong, f"{name}: {wrong}"
