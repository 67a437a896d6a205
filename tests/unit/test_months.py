"""Green packaging from month to month: a closed month has to be above the one before, whatever arrives late."""

import asyncio
import json
import random
import shutil
from types import SimpleNamespace

import orjson
import pytest
from oracle import Oracle
from time_passing import inputs_hold, marks, said_ms
from time_passing import said as partial_record

from deploy.judge import judge_files
from streams.city.contributions import Contribution
from streams.city.ledger import CityLedger
from streams.city.rates import changed_rates
from streams.counts import CITY_WIDE, MONTH, Counts, DayKey
from streams.policy.policy import Policies
from streams.policy.reader import PACKS, load_policy
from streams.registry.files import load_registry
from streams.registry.registry import Registry
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage

DAY_MS = 86_400_000


@pytest.fixture
def policy():
    return load_policy("hohhot-2019")


def scan(number, at_ms, enterprise, green):
    return {
        "event_id": f"s{number}", "event_time_ms": at_ms, "waybill_id": f"w{number}", "enterprise_id": enterprise, "city": "150100", "kind": "accepted",
        "waybill_kind": "electronic", "packaging": {"green": green},
    }  # fmt: skip


def test_a_month_that_did_not_rise_is_found_as_the_oracle_finds_it(policy, tmp_path):
    """Three months of a falling, a rising, a level and a small enterprise, and whatever that makes of the whole city."""
    rng, scans = random.Random(3), []
    shares = {"falls": (0.95, 0.94, 0.91), "rises": (0.91, 0.93, 0.97), "level": (0.95, 0.95, 0.95), "small": (0.9, 0.2, 0.1), "full": (0.9, 1.0, 1.0)}
    for month, start in enumerate(("2026-01", "2026-02", "2026-03")):
        start_ms, end_ms = policy.days.bounds_ms(start)
        for enterprise, of_month in shares.items():
            count = 40 if enterprise == "small" else 200
            times = sorted(rng.randrange(start_ms, end_ms) for _ in range(count))
            scans += [scan(len(scans) + n, at_ms, enterprise, n < round(of_month[month] * count)) for n, at_ms in enumerate(times)]
    scans.sort(key=lambda s: s["event_time_ms"])
    lines = [json.dumps(s).encode() for s in [*scans, scan(10**6, policy.days.bounds_ms("2026-03")[1] + 700_000, "rises", True)]]
    (tmp_path / "scans.jsonl").write_bytes(b"\n".join(lines))
    judge_files(policy, Registry(policy.timezone), [], [str(tmp_path / "scans.jsonl")], tmp_path)
    rows = [orjson.loads(line) for line in (tmp_path / "incidents.jsonl").read_bytes().splitlines()]
    months = [row for row in rows if row["closed_at_ms"] and row["closed_at_ms"] - row["opened_at_ms"] > 27 * DAY_MS]
    found = {(row["rule_id"], row["enterprise_id"], policy.days.date_of(row["opened_at_ms"])[:7]) for row in months}
    _, low = Oracle(PACKS / "hohhot-2019.yaml", None).scans(lines)
    assert found == {row for row in low if len(row[2]) == 7}
    assert {row[1:] for row in found} >= {("falls", "2026-02"), ("falls", "2026-03"), ("level", "2026-02")} and not {"rises", "small", "full"} & {row[1] for row in found}
    falls = next(row for row in months if row["enterprise_id"] == "falls")
    assert falls["reason_en"] == "falls: green packaging rate 94.0% in 2026-02, not above that of the month before" and "未比上月提高" in falls["reason_zh"]


def test_the_whole_city_of_primary_brands_is_their_sum(tmp_path):
    """Of days and of months; the others sell more, and neither help nor harm."""
    text = (PACKS / "hohhot-2019.yaml").read_text("utf-8")
    text = text.replace("    rising: true\n", "    rising: true\n    primary_brands_only: true\n")
    assert text.count("primary_brands_only: true") == 2
    (tmp_path / "pack.yaml").write_text(text, "utf-8")
    shutil.copytree(PACKS / "zones", tmp_path / "zones")
    policy = load_policy(str(tmp_path / "pack.yaml"))
    brands = [{"kind": "enterprise", "id": name, "primary_brand": name != "other-one"} for name in ("a", "b", "other-one")]
    (tmp_path / "registry.jsonl").write_text("".join(json.dumps(brand) + "\n" for brand in brands))
    shares = {"a": (0.92, 0.93), "b": (0.93, 0.91), "other-one": (0.1, 0.99)}
    scans = []
    for month, start in enumerate(("2026-01", "2026-02")):
        start_ms, _ = policy.days.bounds_ms(start)
        for enterprise, of_month in shares.items():
            count = 600 if enterprise == "other-one" else 200
            scans += [{**scan(len(scans) + n, start_ms + n, enterprise, n < round(of_month[month] * count)), "waybill_kind": "electronic" if (n < count * 0.95) is (enterprise != "other-one") else "paper"} for n in range(count)]
    scans.append(scan(10**6, policy.days.bounds_ms("2026-02")[1] + 700_000, "a", True))
    lines = [json.dumps(s).encode() for s in sorted(scans, key=lambda s: s["event_time_ms"])]
    (tmp_path / "scans.jsonl").write_bytes(b"\n".join(lines))
    judge_files(policy, load_registry(tmp_path / "registry.jsonl", policy.timezone), [], [str(tmp_path / "scans.jsonl")], tmp_path)
    rows = [row for line in (tmp_path / "incidents.jsonl").read_bytes().splitlines() if (row := orjson.loads(line))["rule"].startswith("low_")]
    oracle = Oracle(tmp_path / "pack.yaml", tmp_path / "registry.jsonl")
    assert {(row["rule_id"], row["enterprise_id"], row["opened_at_ms"], row["closed_at_ms"]) for row in rows} == oracle.low_bounds(oracle.scans(lines)[1])
    whole = [row for row in rows if row["enterprise_id"] == "*"]
    assert [(row["fix_count"], row["reason_en"].partition(":")[0], row["reason_zh"][:13]) for row in whole] == [(400, "primary brands of Hohhot", "呼和浩特市主要品牌快递企业")]


def test_a_late_scan_changes_what_was_said_of_a_month_and_a_restart_says_nothing_again(policy, monkeypatch):
    policies = Policies([policy])
    stage = CityStage(inputs_hold(Checkpoint("")), SimpleNamespace(policies=policies, registry=Registry(policy.timezone)), b"k")
    said, offsets = [], iter(range(100))

    async def send(topic, key, value, *_, **__):
        if topic == "courier.incidents.v1" and (data := orjson.loads(value)["data"])["rule"].startswith("low_green"):
            said.append((data["enterprise_id"], policy.days.date_of(data["opened_at_ms"]), data["state"], data["revision"]))

    monkeypatch.setattr(stage.checkpoint, "send", send)
    stage.partitions[0] = stage.new_partition()
    close_ms = policy.days.bounds_ms("2026-02")[1] + policies.lateness_ms

    def take(date, next_offset, watermark_ms, green):
        counts = Counts(accepted=1_000, electronic=1_000, green=green)
        row = Contribution("150100", "courier.scan.v1", "e", date, 0, next_offset, counts=counts, **marks(watermark_ms))
        asyncio.run(stage.process([partial_record(next(offsets), row, said_ms(watermark_ms))]))
        return said[-2:] if len(said) > 1 else said

    for date, green in (("2026-01-20", 950), ("2026-02-03", 940)):
        take(date, 1, policy.days.bounds_ms(date)[1], green)
    assert not said
    february = [("e", "2026-02-01", "closed", 2), ("*", "2026-02-01", "closed", 2)]
    take("2026-02-28", 2, close_ms, 940)
    assert [row for row in said if row[2] == "closed"] == february
    changes = stage.changes(0)
    take("2026-02-28", 3, close_ms + 1, 970)
    assert said[-2:] == [("e", "2026-02-01", "retracted", 3), ("*", "2026-02-01", "retracted", 3)]
    restored = stage.partitions[0] = stage.new_partition()
    for change in changes[:-1]:
        stage.put(restored, change.key, change.value)
    restored.stream_time_ms, restored.next_offset, before = close_ms, 3, len(said)
    assert DayKey("150100", "e", "2026-02") in restored.months
    take("2026-02-28", 4, close_ms + 2, 970)
    assert said[before:] == [("e", "2026-02-01", "retracted", 3), ("*", "2026-02-01", "retracted", 3)]


def test_before_any_input_says_how_far_it_has_come_there_is_no_today(policy):
    """Once one does, the windows that end today are published, and so they are of every enterprise that was there before."""
    ledger, day = CityLedger(), DayKey("150100", "rises", "2026-03-05")
    counted = Contribution(city=day.city, enterprise_id=day.enterprise_id, date=day.date, partition=3, next_offset=7, counts=Counts(accepted=2))
    touched = set(ledger.enter_counts(counted))
    assert {(rate.day.date, rate.window) for rate in changed_rates(ledger, touched, policy.days)} == {(day.date, day.date)}
    ledger.watermark.newest_ms = policy.days.bounds_ms(day.date)[0] + 3_600_000
    windows = {(rate.day.enterprise_id, rate.day.date, rate.window) for rate in changed_rates(ledger, set(), policy.days)}
    assert windows == {(name, day.date, MONTH) for name in ("rises", CITY_WIDE)}
