"""One history: events, workers and faults drawn from a seed; and what must hold at its end (reliability, invariants).

Of every eight, two have a policy and a registry that change meanwhile, and two go on the next day: one when enterprises that came on
the black list have lost their exemptions, one after police have answered, where only what they have confirmed costs points. One is a
backlog of days, which no worker was there for.
"""

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

from as_published import (
    as_announced,
    black_lists,
    check_violations,
    low_days,
    newest,
    of_days,
    of_driving,
    of_outlets,
    of_parcels,
    of_vehicles,
    silences,
    standing,
    told_apart,
)  # fmt: skip
from oracle import Oracle
from simulation.cluster import INPUTS, PARTITIONS, SESSION_S, STARTED_MS, TAIL_S, Died, VirtualLoop, Worker, World

from streams import watermark
from streams.clock import BEGINNING_MS
from streams.parcels import store as parcels
from streams.parcels import violating_scans
from streams.policy.policy import Policies
from streams.policy.reader import decode_policy, parse_policy
from streams.registry.records import decode_versions
from streams.registry.registry import Registry
from streams.runtime import pieces, watchdog
from streams.runtime import reference as reference_module
from streams.watermark import DISORDER_MS
from streams.wire.topics import CREDIT, DEAD, FEEDBACK, GPS, HEARTBEAT, INCIDENTS, LATE, PARTIALS, RATES, SCAN

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
  - {rule: unscreened_parcel, id: unscreened, clause: "1", severity: warning}
  - {rule: unmonitored_outlet, id: unseen, clause: "1", severity: warning}
  - {rule: unlicensed_enterprise, id: unlicensed, clause: "1", severity: warning}
  - {rule: offline_camera, id: camera, clause: "1", severity: warning, limit: 30m}
  - {rule: interrupted_feed, id: feed, clause: "1", severity: warning, limit: 5h, hours: [{days: mon-sat, from: "06:00", until: "23:00"}]}
  - {rule: missed_line, id: line, clause: "1", severity: warning}
  - {rule: blacklisted_enterprise, id: black, clause: "1", severity: warning, black_at: 4, points: {unfiled_outlet: 1, speeding: 2, low_electronic_waybill_rate: 3}, drivers: {points: {speeding: 2, restricted_hours: 1}, black_at: 4}}
"""
PRIVILEGE = """\
  - {rule: restricted_hours, id: privilege, clause: "1", severity: violation, zones: [z], permitted: [], vehicles: {energy: [electric]}, exempt: {energy: [electric], unless_credit: black}}
"""
CONFIRMED_ONLY = PACK.replace("black_at: 4, points", "black_at: 4, confirmed_only: true, points")
CHANGE = "2023-11-15T12:06:00"
LATER = PACK.replace("limit_kmh: 60", "limit_kmh: 5").replace("policy: p", f'policy: p\nvalid_from: "{CHANGE}+08:00"')
"""The version that is valid from then on."""
SQUARES = {"z": [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]], "y": [[2.5, 0], [3.5, 0], [3.5, 2], [2.5, 2], [2.5, 0]]}
ZONES = json.dumps({"type": "FeatureCollection", "features": [
    {"type": "Feature", "properties": {"id": name, "kind": "loading"}, "geometry": {"type": "Polygon", "coordinates": [ring]}} for name, ring in SQUARES.items()
]})  # fmt: skip
REGISTRY = [
    {"kind": "vehicle", "id": "v1", "enterprise_id": "e", "energy": "electric"}, {"kind": "vehicle", "id": "v2"},
    {"kind": "enterprise", "id": "e", "licensed_until": "2023-11-15T18:00"}, {"kind": "outlet", "id": "r", "filed": True, "camera": False},
    {"kind": "outlet", "id": "o", "enterprise_id": "e", "filed": True, "camera": True}, {"kind": "outlet", "id": "q", "camera": True},
    {"kind": "notice", "id": "n1", "subject": "outlet/q", "from": "2023-11-15T13:00", "until": "2023-11-15T15:30", "filed_at": "2023-11-15"},
    {"kind": "notice", "id": "n2", "subject": "enterprise/e", "from": "2023-11-16T08:00", "until": "2023-11-16T09:00"},
    {"kind": "driver", "id": "d1", "enterprise_id": "e"}, {"kind": "driver", "id": "d2"},
    {"kind": "line", "id": "l1", "zones": ["z", "y", "z"], "vehicle_ids": ["v1"]}, {"kind": "line", "id": "l2", "zones": ["y", "z", "y"], "vehicle_ids": ["v2", "v3"]},
    {"kind": "line", "id": "l3", "zones": ["z"], "vehicle_ids": ["v4"], "city": "1"},
]  # fmt: skip
NEWS = [
    {"kind": "vehicle", "id": "v2", "enterprise_id": "e", "valid_from": CHANGE}, {"kind": "vehicle", "id": "v3", "valid_from": CHANGE},
    {"kind": "outlet", "id": "p", "filed": True, "valid_from": CHANGE}, {"kind": "notice", "id": "n3", "subject": "outlet/o", "from": CHANGE, "until": "2023-11-15T14:00"},
]  # fmt: skip
"""Records and versions that the registry gets meanwhile."""
COSTLY = ("unfiled_outlet", "speeding", "low_electronic_waybill_rate", "restricted_hours")
DRIVERS = {"v1": "d1", "v2": "nobody on record", "v3": None}
"""Who drives first; then another takes over."""
CONTROL = 0.1
"""How often something stands in an input that is no record."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NEXT_DAY_MS = BASE_MS + DAY_MS
DAY_HOURS_MS = 11 * HOUR_MS


class CityOracle(Oracle):
    """What changes meanwhile, by the time of events: the version of a rule, and who has lost exemptions since when."""

    changes_ms, black_since = None, {}

    def violates(self, rule, zone, fix):
        is_later = self.changes_ms is not None and fix["event_time_ms"] >= self.changes_ms
        return super().violates({**rule, "limit_kmh": "5"} if is_later and rule["id"] == "fast" else rule, zone, fix)

    def lookup(self, kind, record_id, t):
        found = super().lookup(kind, record_id, t)
        return {**found, "credit": "black"} if kind == "enterprise" and found and t >= self.black_since.get(record_id, t + 1) else found


@cache
def oracle_of(pack=PACK, *, news=False):
    """The oracle for a pack, with or without what changes meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pack.yaml").write_text(pack, "utf-8")
        (Path(folder) / "zones.geojson").write_text(ZONES)
        (Path(folder) / "registry.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*REGISTRY, *NEWS * news]))
        oracle = CityOracle(Path(folder) / "pack.yaml", Path(folder) / "registry.jsonl")
        oracle.changes_ms = oracle.bound(CHANGE, False) if news else None
        return oracle


@cache
def city(pack=PACK):
    """Reference data as a worker has them that nothing changes, and the oracle."""
    policy, registry = parse_policy(pack, "pack", lambda _: ZONES), Registry(ZoneInfo("Asia/Shanghai"))
    for name, versions in grouped(REGISTRY):
        registry.put(*name.split("/"), decode_versions(json.dumps(versions).encode()))
    return SimpleNamespace(policies=Policies([policy]), registry=registry, watermark_ms=BEGINNING_MS, on_change=None), oracle_of()


def grouped(records):
    """All versions of each record, by ``kind/id``."""
    found = defaultdict(list)
    for record in records:
        found[f"{record['kind']}/{record['id']}"].append(record)
    return found.items()


def day_events(rng, *, ordered=False, within_ms=None, from_ms=BASE_MS):
    """(topic, key, value) in order of arrival: fixes and scans, some late, repeated or broken, or all in order of time; all of one day, where its hours are given."""
    yesterday = {"event_id": "v4", "event_time_ms": BASE_MS - DAY_MS, "vehicle_id": "v4", "lon": 1.0, "lat": 1.0}
    sent = [(BASE_MS, GPS.name, "v4", json.dumps(yesterday).encode())] if from_ms == BASE_MS else []
    for vehicle in ("v1", "v2", "v3"):
        at_ms, inside, speed = from_ms, True, 10.0
        for number in range(rng.randrange(4, 16)):
            at_ms += rng.choice([1_000, 10_000, 10_000, 10_000, 60_000, 150_000, 200_000])
            inside, speed = rng.choice([inside, inside, not inside]), rng.choice([speed, 10.0, 70.0])
            fix = {"event_id": f"{vehicle}-{from_ms}-{number}", "event_time_ms": at_ms, "vehicle_id": vehicle, "lon": 1.0 if inside else 3.0, "lat": 1.0,
                   "speed_kmh": speed if number % 6 < 4 else 0.5, "ignition": rng.random() < 0.5, "load": rng.choice([None, "empty", "full"]),
                   "driver_id": DRIVERS[vehicle] if number < 8 else "d2"}  # fmt: skip
            sent.append((at_ms + rng.choice([0, 0, 0, 30_000, 300_000, 900_000]), GPS.name, vehicle, json.dumps(fix).encode()))
    for number in range(rng.randrange(2, 16)):
        at_ms = from_ms + (rng.randrange(-(10**8), 10**8) * rng.choice([1, 1, 3]) if within_ms is None else rng.randrange(within_ms))
        scan = {"event_id": f"s{from_ms}-{number}", "event_time_ms": at_ms, "waybill_id": f"w{rng.randrange(12)}", "enterprise_id": rng.choice("ef"), "city": "1",
                "kind": rng.choice(["accepted", "accepted", "arrived", "delivered"]), "outlet_id": rng.choice(["o", "p", "r", None]), "screened": rng.choice([True, True, False, None]),
                "mode": rng.choice([None, "road", "rail"]), "vehicle_id": rng.choice([None, "v1"]), "delivery_method": rng.choice([None, "door", "locker"]),
                "real_name_verified": rng.random() < 0.7, "waybill_kind": rng.choice(["electronic", "paper"]), "packaging": {"green": rng.random() < 0.5}}  # fmt: skip
        sent.append((BASE_MS + rng.randrange(2_000_000), SCAN.name, scan["waybill_id"], json.dumps(scan).encode()))
    for camera in ("outlet/o", "outlet/q", "enterprise/e"):
        at_ms = from_ms
        for number in range(rng.randrange(8)):
            at_ms += rng.choice([10, 10, 40, 200]) * 60_000
            if within_ms is not None and at_ms > from_ms + within_ms:
                break
            beat = {"event_id": f"{camera}-{from_ms}-{number}", "event_time_ms": at_ms, "subject": camera}
            sent.append((BASE_MS + rng.randrange(2_000_000), HEARTBEAT.name, camera, json.dumps(beat).encode()))
    sent += [(at + rng.randrange(10**6), topic, key, rng.choice([value, value[:-1]])) for at, topic, key, value in rng.sample(sent, 3)]
    if ordered:
        whole = [event for event in sent if event[3].count(b"{") == event[3].count(b"}")]
        sent = [(json.loads(value)["event_time_ms"], topic, key, value) for _, topic, key, value in whole]
    return [event[1:] for event in sorted(sent)]


def answered(rng, incident_ids):
    """Answers of all kinds to incidents, some repeated or broken."""
    sent = []
    for number in range(rng.randrange(6, 40)):
        incident_id = rng.choice([*incident_ids * 4, "unheard of"])
        answer = {"incident_id": incident_id, "action": rng.choice(["acknowledged", "acknowledged", "fined", "dismissed", "dismissed", "objected", "upheld", "rejected", "noted", "?"]), "time_ms": number, "by": None,
                  "reason": None, "answer_id": rng.choice([None, None, f"answer-{number}", "answer-1"]), "objection": rng.choice([None, None, "answer-1"])}  # fmt: skip
        value = json.dumps(answer).encode()
        sent.append((FEEDBACK.name, incident_id, value if rng.random() < 0.9 else value[:-1]))
    return sent


def with_answers(rng, sent, answers):
    """A day's events as they happen, each after the instant (ms) that clocks show by then, with answers in their midst, some from the evening before."""
    happening = [each for event in sent for each in (time_of(event), event)]
    places = sorted(rng.randrange(-5, len(happening)) for _ in answers)
    for place, answer in reversed(list(zip(places, answers, strict=True))):
        happening.insert(max(0, place), answer)
    return happening


def time_of(event):
    """When an event says that it was; long ago where it is broken."""
    try:
        return json.loads(event[2])["event_time_ms"]
    except ValueError:
        return BEGINNING_MS


def with_news(rng, sent, changes_ms):
    """Events with, in their midst, what changes (None): before all that it concerns, and after most others."""
    concerned = [event for event in sent if time_of(event) >= changes_ms]
    others = [event for event in sent if time_of(event) < changes_ms]
    early = len(others) - rng.randrange(len(others) // 3 + 1)
    rest = concerned + others[early:]
    order = sorted(rest, key=sent.index)  # as they would have come
    return [*others[:early], None, *order]


def run(seed, faults=4, failing_sends=0.0, *, ordered=None):
    """Play a history and check it; the assertion names the seed. Every third has all its records in order of time."""
    kind = KINDS[seed % len(KINDS)]
    ordered = (seed % 3 == 0 or kind == "backlog") if ordered is None else ordered
    loop = VirtualLoop()
    try:
        few = mock.patch.multiple(parcels, HOT=2, LARGEST=5)
        small = mock.patch.object(violating_scans, "PAGE", 2)
        cut = mock.patch.object(pieces, "PIECE_BYTES", random.Random(seed).choice([40, 200, 200_000]))
        packs = mock.patch.multiple(reference_module, decode_policy=_decode_policy, log=mock.Mock())
        seconds = mock.patch.multiple(watermark, SECONDS_KEPT=SECONDS), mock.patch.object(watermark.rising, "__defaults__", (SECONDS,))
        with small, cut, mock.patch.object(watchdog, "os", SimpleNamespace(_exit=_exit)), few, packs, seconds[0], seconds[1]:
            world = loop.run_until_complete(_play(seed, faults, failing_sends, ordered=ordered, kind=kind))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
    world.refuse_errors()
    check(world, f"seed {seed}")
    if ordered:
        taken_back = [json.loads(r.value) for n in range(PARTITIONS) for r in world.logs[INCIDENTS.name, n] if b"incident.retracted" in r.value]
        assert not taken_back, f"seed {seed}: all records came in order of time, but {taken_back} were taken back"
    return world


_decode_policy = cache(decode_policy)
KINDS = ("as it was", "news", "as it was", "next day", "backlog", "news", "answers", "as it was")
STARTS_MS = {"answers": BASE_MS + DAY_HOURS_MS, "backlog": BASE_MS - 4 * DAY_MS}
"""When the brokers' clocks show the time of events."""
SECONDS = 24
"""So few seconds of arrival are told apart, and so few does the broker take in a message."""


def _exit(code):
    raise Died(code)


async def _play(seed, faults, failing_sends, *, ordered, kind):
    rng = random.Random(seed)
    two_days = kind in {"next day", "answers"}
    world = World(seed, failing_sends, STARTS_MS.get(kind, STARTED_MS))
    world.faults, world.kind, names = Counter(), kind, iter(range(1_000))
    pack = CONFIRMED_ONLY if kind == "answers" else PACK + PRIVILEGE * (kind == "next day")
    pack = pack.replace("black_at: 4", "black_at: 2").replace("min_duration: 15s", "min_duration: 5s") if two_days else pack
    world.publish([(pack, ZONES)], grouped(REGISTRY))
    world.oracle = oracle_of(pack, news=kind == "news")

    def new_worker():
        return Worker(world, f"worker {next(names)}")

    if kind == "backlog":
        await _feed(world, with_answers(rng, day_events(rng, ordered=True), []))
    for _ in range(rng.randrange(1, 3)):
        new_worker()
    await world.rebalance()
    if two_days:
        await _pass(world, rng, day_events(rng, ordered=ordered, within_ms=DAY_HOURS_MS), faults, new_worker)
        world.failing_sends, world.night_ms = failing_sends, world.clock().settled_ms
        await asyncio.sleep(3 * TAIL_S)
        sent = day_events(rng, ordered=ordered, within_ms=DAY_HOURS_MS, from_ms=NEXT_DAY_MS)
        await _pass(world, rng, with_answers(rng, sent, answered(rng, costly(world))) if kind == "answers" else sent, faults, new_worker)
    else:
        sent = day_events(rng, ordered=ordered) if kind != "backlog" else []
        await _pass(world, rng, with_news(rng, sent, world.oracle.changes_ms) if kind == "news" else sent, faults, new_worker)
    return world


async def _pass(world, rng, sent, faults, new_worker):
    """Events come while faults happen, until all is judged."""
    feeding = asyncio.ensure_future(_feed(world, sent))
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
    await asyncio.gather(*(worker.awake for worker in world.workers if worker.suspended and not worker.dead))
    await asyncio.sleep(SESSION_S)
    for _ in range(20):
        if not any(not (m.dead or m.suspended) for m in world.members):
            new_worker()
        await world.rebalance()
        if await _all_judged(world):
            return
    world.refuse_errors()
    raise AssertionError(f"lag does not return to zero: {world.committed}, {world.clock()}")


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
    for event in sent:
        if isinstance(event, int):
            world.started_ms += max(0, event - world.now_ms())
            continue
        await asyncio.sleep(world.rng.random() * 0.4)
        if event is None:
            world.publish([(PACK, ZONES), (LATER, ZONES)], [(name, [r for r in (*REGISTRY, *NEWS) if f"{r['kind']}/{r['id']}" == name]) for name, _ in grouped(NEWS)])
            await asyncio.sleep(3 * TAIL_S)
        else:
            topic, key, value = event
            world.append(topic, None, key.encode(), value)
            if world.rng.random() < CONTROL:
                world.append_control(topic, world.rng.randrange(PARTITIONS))


def announced(world):
    """All revisions of incidents that were published."""
    return [record.value for n in range(PARTITIONS) for record in world.logs[INCIDENTS.name, n]]


def costly(world):
    """The incidents so far that cost somebody points."""
    said = [json.loads(value)["data"] for value in announced(world)]
    return sorted({data["incident_id"] for data in said if data["rule"] in COSTLY})


def answers_in(world):
    """What can be read of the answers, by incident: arrival, offset, action, id, objection that is decided."""
    found = defaultdict(list)
    for record in (record for n in range(PARTITIONS) for record in world.logs[FEEDBACK.name, n]):
        if record.value.endswith(b"}"):
            said = json.loads(record.value)
            found[said["incident_id"]].append((record.timestamp, record.offset, said["action"], said["answer_id"], said["objection"]))
    return found


def check(world, name):
    """Completeness, no phantoms, revisions that say one thing, rates, balance of input."""
    oracle = world.oracle
    said = defaultdict(set)
    for value in announced(world):
        data = json.loads(value)["data"]
        said[data["incident_id"], data["revision"]].add(value)
    for (incident_id, revision), texts in said.items():
        assert len(texts) == 1, f"{name}: revision {revision} of {incident_id} says {len(texts)} things: {texts}"
        assert revision == 1 or (incident_id, revision - 1) in said, f"{name}: {incident_id} has no revision {revision - 1}"
    left = standing([json.loads(value) for value in announced(world)])
    oracle.black_since = {}
    if world.kind == "next day":
        lists = oracle.black(left, world.night_ms + 1, live=True)
        oracle.black_since = {enterprise: oracle.bound("2023-11-16", False) for _, enterprise, _, until_ms in lists if until_ms is None}
    expected, refused = set(), Counter()
    driven_by, scanned, heard = ([[r.value for r in world.logs[topic.name, n] if not r.control] for n in range(PARTITIONS)] for topic in (GPS, SCAN, HEARTBEAT))
    stream_time_ms = oracle.watermark(driven_by, scanned, heard)
    for number in range(PARTITIONS):
        incidents, rejects = oracle.fixes(driven_by[number], stream_time_ms)
        expected |= incidents
        refused += rejects
    found, expected = of_vehicles(left), as_announced(expected)
    assert found == expected, f"{name}: {found ^ expected}"
    refused.pop("duplicate", None)
    letters = {(h["topic"], h["partition"], h["offset"]): h["reason"].decode()
               for topic in (DEAD.name, LATE.name) for n in range(PARTITIONS) for h in (dict(r.headers) for r in world.logs[topic, n])
               if h["topic"] == GPS.name.encode()}  # fmt: skip
    assert Counter(letters.values()) == refused, f"{name}: {letters} are not {refused}"
    heartbeats, _ = oracle.heartbeats(scanned, heard)
    rates, low = oracle.scans(*scanned, stream_time=stream_time_ms, live=True)
    rows = newest((r.key.decode(), json.loads(r.value)) for n in range(PARTITIONS) for r in world.logs[RATES.name, n])
    counted = {(row["city"], row["enterprise_id"], row["date"]): (row["accepted"], row["electronic"], row["green"]) for row in of_days(rows.values()) if row["accepted"]}
    check_fleet(oracle, rows, left, driven_by, stream_time_ms, name)
    parcels_said, parcels_told = of_parcels(rows.values()), told_apart(oracle.counted(*scanned, live=True))
    assert parcels_said == parcels_told, f"{name}: parcels {parcels_said}, not {parcels_told}"
    assert of_outlets(rows.values()) == oracle.last_seen(*scanned), f"{name}: outlets {of_outlets(rows.values())}"
    month = {key: row["accepted"] for key, row in rows.items() if row["window"] == "30d" and row["accepted"]}
    of_month = Counter()
    for (city_code, enterprise, _), row in rates.items():
        of_month[f"{city_code}/{enterprise}/30d"] += row[0]
    assert month == of_month, f"{name}: the last 30 days are {month}, not {of_month}"
    assert counted == rates and {"/".join(key) for key in counted} <= rows.keys(), f"{name}: rates {counted.items() ^ rates.items()}"
    assert low_days(left) == oracle.low_bounds(low), f"{name}: {low_days(left)} are not the low days {low}"
    intervals = oracle.intervals(heartbeats, stream_time_ms)
    assert silences(left) == intervals, f"{name}: silences {silences(left) ^ intervals}"
    answers = answers_in(world)
    black = oracle.black(left, stream_time_ms, live=True, answers=answers)
    assert black_lists(left) == black, f"{name}: black lists {black_lists(left) ^ black}"
    accounts = {key: (row["credit"], row["points"]) for key, row in newest((r.key.decode(), json.loads(r.value)) for n in range(PARTITIONS) for r in world.logs[CREDIT.name, n]).items()}
    drivers = {key.partition("/")[2]: row for key, row in accounts.items() if key.startswith("driver/") and row[1]}
    names = {(d["rule_id"], d["vehicle_id"], d["zone_id"], d["opened_at_ms"]): d["incident_id"] for d in left}
    driven = oracle.driver_credit(driven_by, stream_time_ms, lambda *incident: answers[names[incident]])
    assert drivers == driven, f"{name}: drivers' credit {drivers}, not {driven}"
    check_violations(left, oracle.violations(*scanned), oracle, name)
    world.confirmed = len(black) + len(driven) if world.kind == "answers" else 0


def check_fleet(oracle, rows, left, driven_by, stream_time_ms, name):
    """Distances, stays in loading zones and delivery lines, each summed over partitions; lines that nobody drove."""
    driven = {row["date"]: tuple(round(row[f"{kind}_m"] * 1000) for kind in ("empty_run", "known_run", "night_run", "run")) for row in of_driving(rows.values())}
    drove, parked = defaultdict(lambda: (0, 0, 0, 0)), defaultdict(lambda: (0, 0))
    for lines in driven_by:
        for sums, found in ((drove, oracle.driven(lines)), (parked, oracle.parked(lines))):
            for key, numbers in found.items():
                sums[key] = tuple(map(sum, zip(sums[key], numbers, strict=True)))
    assert driven == drove, f"{name}: driven {driven}, not {dict(drove)}"
    stays = {(row["date"], row["zone_id"]): (row["stops"], row["occupied_ms"]) for row in rows.values() if row["window"].startswith("parking ")}
    assert stays == parked, f"{name}: stays {stays}, not {dict(parked)}"
    of_lines = {row["date"]: (row["lines_run"], row["lines"]) for row in rows.values() if row["window"].startswith("lines ") and row["lines"] is not None}
    run = {date: (len(driven & lines), len(lines)) for date, (driven, lines) in oracle.lines_of(*driven_by).items()}
    assert of_lines == run, f"{name}: lines {of_lines}, not {run}"
    missed = {(data["rule_id"], data["line_id"], oracle.local(data["opened_at_ms"]).date().isoformat()) for data in left if data["rule"] == "missed_line"}
    expected = oracle.missed_lines(driven_by, stream_time_ms)
    assert missed == expected, f"{name}: missed lines {missed}, not {expected}"
