"""Records of ../shared/field, and what else registries and clients hold: null, nothing, reserved words, seconds, dates at the ends of the calendar."""

import json
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from deploy.judge import judge_files
from deploy.packs.applies import answer
from streams import metrics
from streams.clock import DAY_MS, bound_ms
from streams.errors import BadInput
from streams.policy.policy import Policies
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.registry.records import decode_entry, decode_versions
from streams.registry.registry import Registry
from streams.runtime import reference as reference_module
from streams.runtime.reference import Reference
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.wire.events import Record
from streams.wire.ids import is_id
from streams.wire.topics import POLICY, REGISTRY

T = 1_715_054_400_000  # 2024-05-07 12:00 in Shanghai


@pytest.fixture
def field(shared):
    if not (shared / "field").exists():
        pytest.skip("no ../shared/field beside the checkout")
    return shared / "field"


@pytest.fixture
def judged(field, tmp_path):
    """What ``judge`` makes of files of that folder: summary, incidents, rates and rejects."""

    def judge(pack="base.yaml", registry="base.reg.jsonl", gps=(), scans=()):
        policy = load_policy(str(field / pack))
        known = load_registry(field / registry, policy.timezone)
        summary = judge_files(policy, known, [str(field / name) for name in gps], [str(field / name) for name in scans], tmp_path)
        rows = [[json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines()] for name in ("incidents", "rates", "rejects")]
        return summary, *rows

    return judge


def test_null_is_absent(judged):
    summary, _, _, rejects = judged(gps=["nulls.jsonl"])
    assert summary["fixes"]["accepted"] == 4 and rejects == []


def test_an_empty_outlet_is_none_and_accuses_nobody(judged):
    summary, incidents, rates, rejects = judged(pack="scans.yaml", scans=["empty_outlet_id.scans.jsonl"])
    assert [data["rule"] for data in incidents] == [] and rejects == []
    assert {row["enterprise_id"]: row["accepted"] for row in rates} == {"e1": 2, "*": 2}


def test_the_whole_city_is_no_enterprise(judged):
    _, _, rates, rejects = judged(pack="scans.yaml", scans=["enterprise_star.scans.jsonl"])
    assert {row["enterprise_id"]: row["accepted"] for row in rates} == {"sf": 1, "*": 1}
    assert [(row["reason"], row["event_id"]) for row in rejects] == [("malformed", "s1"), ("malformed", "s2")]


@pytest.mark.parametrize("registry", ["registry_9999.jsonl", "registry_compact_dates.jsonl"])
def test_dates_of_registries(judged, registry):
    _, incidents, _, _ = judged(registry=registry, gps=["compact_dates.jsonl"])
    unregistered = {data["vehicle_id"] for data in incidents if data["rule"] == "unregistered_vehicle"}
    assert unregistered == ({"BJ-0002"} if registry == "registry_9999.jsonl" else set())


def judge_lines(*fixes, registry=()):
    policy = load_policy("hohhot-2019")
    known = Registry(policy.timezone)
    known.add(decode_entry(json.dumps(record).encode()) for record in registry)
    engine, partition = Engine(Policies([policy]), known, b"k"), new_partition()
    return engine.judge(partition, [Record(json.dumps(fix).encode(), n, arrived) for n, (fix, arrived) in enumerate(fixes)])


def fix(number, event_time_ms=T, **fields):
    return {"event_id": f"e{number}", "event_time_ms": event_time_ms, "vehicle_id": "HH-12345", "lon": 111.6, "lat": 40.8, **fields}


def test_seconds_are_refused_with_a_hint():
    verdict = judge_lines((fix(1, T // 1_000), None), (fix(2), None))
    assert [(reject.reason, reject.event_id) for reject in verdict.rejects] == [("invalid_time", "e1")]
    assert "milliseconds" in verdict.rejects[0].error and verdict.outcomes["accepted"] == 1


def test_a_record_without_a_timestamp_has_no_known_arrival():
    verdict = judge_lines((fix(1), -1), (fix(2, T + 1_000), T), (fix(3, T + 400_000), T))
    assert [(reject.reason, reject.event_id) for reject in verdict.rejects] == [("future", "e3")]


ENDS = ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "99991231", "9999-12-31T23:59:59.999999"]


@pytest.mark.parametrize("timezone", ["Asia/Shanghai", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("text", ENDS)
def test_the_ends_of_the_calendar_are_dates(text, timezone):
    first_ms, until_ms = (bound_ms(text, ZoneInfo(timezone), end=end) for end in (False, True))
    assert until_ms - first_ms == (0 if "T" in text else DAY_MS) or text.startswith("0001")
    assert abs(first_ms) < 2**53


@pytest.mark.parametrize("text", ["2024W192", "2024-W19-2", "２０２４-05-07", "2024-05", "10000-01-01", "0000-01-01", "2024-05-07T", "", "x" * 10, "9999-12-32"])
def test_what_is_no_date(text):
    with pytest.raises(BadInput, match="neither a date"):
        decode_and_add({"kind": "driver", "id": "d", "trained_until": text or " "})


def decode_and_add(record):
    registry = Registry(load_policy("hohhot-2019").timezone)
    registry.put(record["kind"], record["id"], decode_versions(json.dumps([record]).encode()))
    return registry


def test_notices_without_an_end_put_silences_off_for_ever():
    vehicle = {"kind": "vehicle", "id": "HH-12345", "enterprise_id": "e"}
    notice = {"kind": "notice", "id": "n", "subject": "vehicle/HH-12345", "from": "0001-01-01", "until": "9999-12-31"}
    day = [(fix(number, T + number * DAY_MS, ignition=True), None) for number in range(3)]
    silent = judge_lines(*day, registry=[vehicle]).transitions
    covered = judge_lines(*day, registry=[vehicle, notice]).transitions
    rules = [{t.episode.offence.rule for t in transitions} for transitions in (silent, covered)]
    assert "silent_vehicle" in rules[0] and "silent_vehicle" not in rules[1]


@pytest.mark.parametrize("change", [{"id": "*"}, {"id": "other"}, {"id": "a\u0000"}, {"id": "x" * 129}, {"id": ""}, {"valid_until": "never"}, {"valid_from": "2024-01-02", "valid_until": "2024-01-01"}, {"plate": 7}])
def test_a_registry_record_that_is_wrong_leaves_the_version_before_in_force(change):
    registry = decode_and_add({"kind": "vehicle", "id": "v", "plate": "before"})
    with pytest.raises((BadInput, ValueError)):
        registry.put("vehicle", "v", decode_versions(json.dumps([{"kind": "vehicle", "id": "v", **change}]).encode()))
    assert registry.at("vehicle", "v", T).plate == "before"


def test_a_record_under_anothers_key_is_refused():
    registry = decode_and_add({"kind": "vehicle", "id": "v", "plate": "before"})
    with pytest.raises(BadInput, match="vehicle/w"):
        registry.put("vehicle", "v", decode_versions(b'{"kind": "vehicle", "id": "w"}'))
    assert registry.at("vehicle", "v", T).plate == "before" and not registry.knows("vehicle", "w")


@pytest.mark.parametrize("moment", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59-12:00"])
def test_what_applies_at_the_ends_of_the_calendar_can_be_asked(moment):
    assert answer(load_policy("hohhot-2019"), moment, None).startswith("Hohhot (policy pack hohhot-2019), ")


ODD_REFERENCES = ["*", "other", "a\u0000", "a\u001b[2J", "\u202eb", "a\nb", "x" * 129, "京" * 43]


@pytest.mark.parametrize("name", ODD_REFERENCES)
@pytest.mark.parametrize(
    ("kind", "field"),
    [("vehicle", "enterprise_id"), ("vehicle", "plate"), ("vehicle", "city"), ("vehicle", "device_id"), ("vehicle", "driver_ids"), ("driver", "enterprise_id"), ("enterprise", "cities"), ("outlet", "enterprise_id"), ("outlet", "city"),
     ("outlet", "township"), ("pass", "vehicle_id"), ("pass", "enterprise_id"), ("pass", "zones"), ("facility", "enterprise_id"), ("line", "vehicle_ids"), ("line", "zones"), ("line", "city")],
)  # fmt: skip
def test_what_a_registry_record_names_is_an_id(kind, field, name):
    """``*`` and ``other`` mean something to us, except where a pass is for all zones."""
    record = {"kind": kind, "id": "v", **{"pass": {"pass_kind": "green"}, "facility": {"level": "hub"}, "line": {"zones": ["z"], "vehicle_ids": ["v"]}}.get(kind, {})}
    record[field] = ["usual", name] if field.endswith("s") else name
    if (kind, field, name) == ("pass", "zones", "*"):
        assert decode_and_add(record).at("pass", "v", T).zones == ["usual", "*"]
        return
    with pytest.raises(BadInput, match=f"{kind} v: {field} .* is not an id"):
        decode_and_add(record)


@pytest.mark.parametrize("text", ["a\u0000b", "\u0000"])
def test_no_text_of_a_registry_holds_a_nul(text):
    for record in ({"kind": "enterprise", "id": "e", "name_zh": text}, {"kind": "notice", "id": "n", "subject": "vehicle/v", "from": "2024-01-01", "until": "2024-01-02", "reason": text}):
        with pytest.raises(BadInput, match="holds a character that no text has"):
            decode_and_add(record)


def test_what_is_empty_in_a_registry_record_is_absent():
    vehicle = {"kind": "vehicle", "id": "HH-12345", "plate": "", "enterprise_id": "", "device_id": "", "city": "", "insured_until": "", "valid_until": ""}
    assert decode_and_add(vehicle).at("vehicle", "HH-12345", T) == decode_entry(b'{"kind": "vehicle", "id": "HH-12345"}')
    with pytest.raises(BadInput, match="neither a date"):
        decode_and_add({"kind": "notice", "id": "n", "subject": "vehicle/v", "from": "2024-01-01", "until": ""})


def test_null_is_absent_in_a_list_of_versions_too():
    versions = [{"kind": "vehicle", "id": "v", "marked": None, "plate": None, "driver_ids": None}, {"kind": "vehicle", "id": "v", "valid_from": "2024-01-02", "plate": "A"}]
    usual = [{"kind": "vehicle", "id": "v"}, versions[1]]
    assert decode_versions(json.dumps(versions).encode()) == [decode_entry(json.dumps(version).encode()) for version in usual]
    for wrong in (b"[", b"[1]", b"[{}]", b'[{"kind":"vehicle","id":"v","marked":7}]', b"[" * 5_000 + b"]" * 5_000, b'[{"kind":"vehicle","id":"\\ud800"}]'):
        with pytest.raises(BadInput):
            decode_versions(wrong)


def test_every_id_may_be_a_key_of_reference_data():
    """What may be published may come into force: spaces of other scripts, characters of private use and of tomorrow."""
    reference = Reference("nowhere:1", "hohhot-2019")
    reference._publish("hohhot-2019", [load_policy("hohhot-2019")])
    for name in ("京\u3000A/1", "a\u00a0b", "\ue000", "\U0003fffd"):
        record = SimpleNamespace(topic=REGISTRY.name, partition=0, offset=0, timestamp=0, key=f"vehicle/{name}".encode(), value=json.dumps([{"kind": "vehicle", "id": name}]).encode())
        assert is_id(name) and reference._apply(record) and reference.registry.at("vehicle", name, T) is not None
    for wrong in (b"", None, b"\xff", b"vehicle/a\n", "vehicle/\u202e".encode()):
        assert not reference._apply(SimpleNamespace(topic=REGISTRY.name, partition=0, offset=0, timestamp=0, key=wrong, value=None))


def test_reference_data_that_cannot_be_taken_over_end_nobody(monkeypatch):
    """Neither the tail of their topics nor those who come after it: it is counted, and the next change is taken over."""
    reference, told = Reference("nowhere:1", "hohhot-2019"), []
    reference._publish("hohhot-2019", [load_policy("hohhot-2019")])

    def refuse():
        told.append(1)
        raise KeyError("whatever")

    reference.on_change = refuse
    before = unreadable()
    reference._become_ready()
    assert reference.ready.is_set() and told == [1] and unreadable() == before + 1
    monkeypatch.setattr(reference_module, "measure_network", lambda *_: 1 / 0)
    reference._changed()
    assert told == [1, 1] and unreadable() == before + 3
    monkeypatch.undo()
    reference.on_change = lambda: told.append(2)
    reference._changed()
    assert told == [1, 1, 2] and unreadable() == before + 3


def unreadable():
    return metrics.UNREADABLE.labels(POLICY.name)._value.get()
