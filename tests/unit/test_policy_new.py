"""``policy new``: the pack is accepted as written and with all that it holds as comments, its test passes, and it can be judged by."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from deploy.judge import judge_files
from deploy.packs.explain import explain
from deploy.packs.new_pack import ACTIVE, read_city, write_pack
from streams.errors import BadInput
from streams.policy.reader import load_policy
from streams.registry.records import Vehicle
from streams.registry.registry import Registry
from streams.rules import RULES

CITY = "鹤城区,He Cheng,431202"
NOON_MS = 1_778_558_400_000
"""2026-05-12 12:00 in China."""


@pytest.fixture
def written(tmp_path):
    pack, zones, test = write_pack(read_city(CITY), tmp_path / "made" / "here", (111.66, 40.81))
    assert [path.name for path in (pack, zones, test)] == ["he-cheng.yaml", "he-cheng.geojson", "test_he_cheng.py"]
    return pack, zones, test


def uncommented(text):
    """The pack with every entry switched on."""
    return re.sub(r"(?m)^( *)# (?= *(?:[a-z_]+:|- ))", r"\1", text)


def test_the_pack_is_accepted_as_written_and_claims_nothing(written):
    policy = load_policy(str(written[0]))
    assert [rule.rule for rule in policy.pack.rules] == list(ACTIVE) and {rule.basis for rule in policy.pack.rules} == {"illustrative"}
    assert not policy.warnings and policy.pack.city.name_en == "He Cheng"
    assert "示例区域（示意）" in explain(policy, "zh") and all(target.source == "operator" for target in policy.pack.targets.values())


def test_every_rule_is_in_it_and_can_be_switched_on(written):
    pack = written[0]
    text = pack.read_text("utf-8")
    pack.write_text(uncommented(text), "utf-8")
    policy = load_policy(str(pack))
    assert {rule.rule for rule in policy.pack.rules} == set(RULES)
    assert policy.pack.document.in_force.until == "2031-01-31" and policy.pack.continued.by == "市公安局" and policy.pack.targets["locker_cells"].by == "2027-12-31"
    zh, en = explain(policy, "zh"), explain(policy, "en")
    for rule in policy.pack.rules:
        zh, en = zh.replace(rule.id, ""), en.replace(rule.id, "")
    assert set(re.findall("[A-Za-z]+", zh)) <= {"he", "cheng", "HE", "mm", "A"} and "_" not in zh + en
    assert not re.search("[\u4e00-\u9fff]", re.sub("待填|市公安局|新文件制定中|府办发〔2026〕1号|文件落款日期|四（十二）|京|[《》]", "", en))


def test_its_comments_are_in_both_languages(written):
    for rule in RULES:
        assert f"  ## {RULES[rule].TITLE_ZH} · " in written[0].read_text("utf-8")


def test_its_test_passes_and_can_fail(written):
    pack, _, test = written
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(test)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "8 passed" in done.stdout, done.stdout
    pack.write_text(pack.read_text("utf-8").replace('from: "20:00", until: "07:00"', 'from: "22:00", until: "07:00"'), "utf-8")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "1 failed" in done.stdout, done.stdout


def test_it_can_be_judged_by(written, tmp_path):
    policy = load_policy(str(written[0]))
    registry = Registry(policy.timezone)
    registry.add([Vehicle(id="HE-12345", vehicle_class="truck", energy="fuel", body="box")])
    fixes = [{"event_id": str(n), "event_time_ms": NOON_MS + n * 60_000, "vehicle_id": "HE-12345", "lon": 111.66, "lat": 40.81, "speed_kmh": 20.0} for n in range(3)]
    (tmp_path / "fixes.jsonl").write_text("\n".join(map(json.dumps, fixes)), "utf-8")
    summary = judge_files(policy, registry, [str(tmp_path / "fixes.jsonl")], [], tmp_path / "judged")
    assert summary["incidents"] == {"restricted-hours": 1}


def test_nothing_is_overwritten(written):
    pack, zones, test = written
    pack.unlink()
    before = zones.read_text("utf-8")
    with pytest.raises(BadInput, match=r"he-cheng.geojson is there already and stays as it is; give another folder with --out"):
        write_pack(read_city(CITY), zones.parent, None)
    assert not pack.exists() and zones.read_text("utf-8") == before and test.exists()


@pytest.mark.parametrize(
    ("city", "message"),
    [
        ("鹤城区", "--city: '鹤城区' is not the city's name in Chinese, its name in English and its division code; say it as in 呼和浩特市,Hohhot,150100"),
        ("Hecheng,鹤城区,431202", "--city: 'Hecheng' is no name in Chinese"),
        ("鹤城区,鹤城,431202", "--city: '鹤城' is no name in Latin letters"),
        ("鹤城区,../x,431202", "--city: '../x' is no name in Latin letters"),
        ("鹤城区,Hecheng,4312", "--city: '4312' is no division code of six digits"),
    ],
)
def test_a_city_that_is_none_is_one_clear_line(city, message):
    with pytest.raises(BadInput) as caught:
        read_city(city)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_folder_that_is_none_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"^--out .*file: .*; give the name of a folder$"):
        write_pack(read_city(CITY), tmp_path / "file", None)


@pytest.mark.parametrize("name", ["null", "Null", "No", "yes", "y", "Off", "true"])
def test_a_city_may_be_called_as_yaml_calls_something_else(tmp_path, name):
    pack, *_ = write_pack(read_city(f"市{{,{name},110100"), tmp_path, None)
    assert load_policy(str(pack)).name == name.lower() == yaml.safe_load(pack.read_text("utf-8"))["policy"]


@pytest.mark.parametrize("city", ["市\nx: 1,Null,110100", "市\u2028x,Null,110100", f"市,{'a' * 129},110100", f"{'市' * 700},Null,110100"])
def test_a_name_that_would_break_the_pack_is_one_clear_line(city):
    with pytest.raises(BadInput, match="^--city: .* is longer than 60 characters, or not on one line; say it as in ") as caught:
        read_city(city)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("at", [(-180.0, -90.0), (180.0, 90.0), (-180.0, 0.0), (111.66, 90.0)])
def test_a_square_at_the_end_of_degrees_stays_on_earth(tmp_path, at):
    pack, zones, test = write_pack(read_city(CITY), tmp_path, at)
    policy = load_policy(str(pack))
    west, south, east, north = policy.pack.geometries["example"].bounds
    assert -180 <= west < east <= 180 and -90 <= south < north <= 90 and west <= at[0] <= east and south <= at[1] <= north
    inside = [float(text) for text in re.search(r"IN_ZONE = \((.*?)\)", test.read_text("utf-8"))[1].split(", ")]
    assert west < inside[0] < east and south < inside[1] < north and zones.exists()
