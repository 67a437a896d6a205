"""The registry: validity, versions, passes, and mistakes with file and line."""

from zoneinfo import ZoneInfo

import pytest

from streams.clock import bound_ms
from streams.errors import BadInput
from streams.policy.reader import load_policy
from streams.registry.files import load_registry
from streams.registry.records import Vehicle, decode_entry
from streams.registry.registry import Registry

ZONE = ZoneInfo("Asia/Shanghai")


def at(text):
    return bound_ms(text, ZONE, end=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"kind": "vehicle", "id": "v", "marked": "yes"}', "vehicle v: Expected `bool`, got `str` at key `marked`"),
        ('{"kind": "vehicle", "id": "v", "platte": "x"}', "unknown key 'platte'; did you mean 'plate'?"),
        ('{"kind": "vehicel", "id": "v"}', "kind 'vehicel' is not a registry kind; did you mean 'vehicle'?"),
        ('{"kind": "vehicle", "id": ""}', "length >= 1"),
        ('{"kind": "vehicle", "id": "v", "energy": "steam"}', "Invalid enum value 'steam'"),
        ('{"kind": "vehicle"', "not a JSON record"),
        ('{"kind": "vehicle", "id": "v", "valid_from": "2019-13-01"}', "neither a date such as"),
        ('{"kind": "vehicle", "id": "v", "valid_from": "2019-02-01", "valid_until": "2019-01-01"}', "is before valid_from"),
        ('{"kind": "pass", "id": "p"}', "missing required field `pass_kind`"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(line, message, tmp_path):
    path = tmp_path / "registry.jsonl"
    path.write_text('{"kind": "enterprise", "id": "e"}\n\n' + line + "\n")
    with pytest.raises(BadInput) as caught:
        load_registry(path, ZONE)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}:3: ")


def test_a_pass_for_an_unknown_zone_is_refused_where_the_policy_is_known(tmp_path):
    path = tmp_path / "registry.jsonl"
    path.write_text('{"kind": "pass", "id": "p", "pass_kind": "green", "zones": ["*"]}\n{"kind": "pass", "id": "q", "pass_kind": "green", "zones": ["cor"]}\n')
    with pytest.raises(BadInput, match=r"registry.jsonl:2: pass q: zone 'cor' is not in the policy; did you mean 'core'\?"):
        load_registry(path, ZONE, {"core", "residential"})
    assert len(load_registry(path, ZONE)) == 2


def test_a_bare_date_is_a_whole_local_day():
    registry = Registry(ZONE)
    registry.add([Vehicle(id="v", valid_from="2019-11-01", valid_until="2019-11-02")])
    assert registry.at("vehicle", "v", at("2019-11-01") - 1) is None
    assert registry.at("vehicle", "v", at("2019-11-01")) is not None
    assert registry.at("vehicle", "v", at("2019-11-03") - 1) is not None
    assert registry.at("vehicle", "v", at("2019-11-03")) is None


def test_of_several_valid_versions_the_latest_from_counts():
    registry = Registry(ZONE)
    registry.add([Vehicle(id="v", plate="new", valid_from="2020-01-01"), Vehicle(id="v", plate="old")])
    assert registry.at("vehicle", "v", at("2019-06-01")).plate == "old"
    assert registry.at("vehicle", "v", at("2020-06-01")).plate == "new"


def test_a_subject_stays_true_for_its_whole_period():
    registry = Registry(ZONE)
    registry.add(
        decode_entry(line)
        for line in (
            b'{"kind": "vehicle", "id": "v", "enterprise_id": "e"}',
            b'{"kind": "enterprise", "id": "e", "credit": "black", "valid_from": "2019-05-01", "valid_until": "2019-05-31"}',
            b'{"kind": "pass", "id": "p", "pass_kind": "green", "enterprise_id": "e", "zones": ["core"], "valid_from": "2019-05-10"}',
        )
    )
    subject = registry.subject("v", at("2019-05-05"))
    assert (subject.from_ms, subject.until_ms) == (at("2019-05-01"), at("2019-05-10"))
    assert subject.enterprise.credit == "black" and not subject.passes
    later = registry.subject("v", at("2019-05-20"))
    assert later.pass_zones(["green"]) == {"core"} and not later.pass_zones(["temporary"])
    assert registry.subject("v", at("2019-06-20")).enterprise is None


def test_replacing_and_deleting_a_record():
    registry = Registry(ZONE)
    registry.put("pass", "p", [decode_entry(b'{"kind": "pass", "id": "p", "pass_kind": "green", "vehicle_id": "v"}')])
    assert registry.subject("v", 0).passes
    registry.put("pass", "p", [])
    assert not registry.subject("v", 0).passes


def test_the_sample_is_seeded_and_big_enough(tmp_path):
    from producers.traffic import write_sample_registry

    policy = load_policy("hohhot-2019")
    files = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(files, (7, 7, 8), strict=True):
        write_sample_registry(policy, 2_400, seed, path)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    registry = load_registry(files[0], ZONE)
    numbers = {kind: sum(1 for _ in registry.each(kind)) for kind in ("vehicle", "enterprise", "driver", "outlet", "pass")}
    assert numbers["vehicle"] >= 2_000 and numbers["enterprise"] == 12 and min(numbers.values()) > 0


RECORDS = """\
{"kind": "enterprise", "id": "e", "primary_brand": true, "cities": ["150100", "341100"]}
{"kind": "vehicle", "id": "v", "plate": "蒙A1", "enterprise_id": "e", "marked": false, "driver_ids": ["d1", "d2"]}
{"kind": "outlet", "id": "o", "lon": 111.5, "lat": 40.8, "filed": true}
"""
AS_YAML = """\
- {kind: enterprise, id: e, primary_brand: true, cities: ["150100", 341100]}
- kind: vehicle
  id: v
  plate: 蒙A1
  enterprise_id: e
  marked: false
  driver_ids: [d1, d2]
- {kind: outlet, id: o, lon: 111.5, lat: 40.8, filed: true}
"""
AS_CSV = """\
kind,id,plate,enterprise_id,marked,driver_ids,primary_brand,cities,lon,lat,filed
enterprise,e,,,,,true,150100 341100,,,
vehicle,v,蒙A1,e,false,d1;d2,,,,,
outlet,o,,,,,,,111.5,40.8,true
"""


def test_yaml_and_csv_hold_the_same_records_as_jsonl(tmp_path):
    read = {}
    for name, text in (("r.jsonl", RECORDS), ("r.yaml", AS_YAML), ("r.csv", AS_CSV)):
        (tmp_path / name).write_text(text, "utf-8")
        read[name] = list(load_registry(tmp_path / name, ZONE).grouped())
    assert read["r.jsonl"] == read["r.yaml"] == read["r.csv"]
    assert len(read["r.jsonl"]) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.yaml", "- {kind: vehicle, id: v}\n- {kind: vehicle, id: w, marked: maybe}", ":2: vehicle w: Expected `bool`, got `str` at key `marked`"),
        ("r.yaml", "- {kind: vehicle, id: v}\n- {kind: vehicle, id: w, platte: x}", ":2: vehicle w: unknown key 'platte'; did you mean 'plate'?"),
        ("r.yaml", "kind: vehicle\nid: v", ":1: a YAML registry is a list of records"),
        ("r.yaml", "- [vehicle, v]", ":1: ['vehicle', 'v'] is not a record"),
        ("r.yaml", "- {kind: vehicle", ":1: not YAML"),
        ("r.csv", "kind,id,plate\nvehicle,v,1\nvehicle,w\n", ":3: the row has more or fewer cells than the header"),
        ("r.csv", "kind,id,platte\nvehicle,v,1\n", ":2: vehicle v: unknown key 'platte'; did you mean 'plate'?"),
        ("r.csv", "kind,id,lon\noutlet,o,east\n", "got `str` at key `lon`"),
    ],
)
def test_mistakes_in_yaml_and_csv_name_their_line(name, text, message, tmp_path):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(BadInput) as caught:
        load_registry(tmp_path / name, ZONE)
    assert message in str(caught.value)
