"""What an import would change, what a file does not say, and what the commands make of both."""

import json
import subprocess
import sys
from typing import get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from deploy import admin
from deploy.commands import registry as commands
from streams.errors import BadInput, YichengError
from streams.policy.conditions import title_words
from streams.policy.reader import load_policy
from streams.registry.changes import changes_of
from streams.registry.gaps import NEEDS, Gaps, figures_of, gaps, late_notices, missing, unknown_references
from streams.registry.key_figures import TITLES
from streams.registry.names import KEYS, NAMES, value_words
from streams.registry.records import KINDS, decode_entry, decode_versions
from streams.registry.registry import Registry
from streams.rules import RULES

ZONE = ZoneInfo("Asia/Shanghai")
NOW = 1_782_446_400_000  # 2026-06-26 12:00 in Shanghai


def titles(*rules):
    """What rules are called, as the commands pass them on."""
    return {rule: title_words(rule.partition(":")[0]) for rule in rules}


SAMPLE_RULES = titles("unmonitored_outlet", "unlicensed_enterprise", "offline_camera", "unmarked_vehicle", "unfiled_outlet", "untrained_driver", "nonstandard_vehicle", "nonstandard_vehicle:body")


def entry(kind, name, **keys):
    return decode_entry(json.dumps({"kind": kind, "id": name, **keys}).encode())


def registry(*entries):
    known = Registry(ZONE)
    known.add(entries)
    return known


# --- what an import changes ---


def changes(held, *given, replace=False):
    return changes_of(dict(registry(*held).grouped()), registry(*given), replace=replace)


def test_new_records_are_counted_by_kind_with_some_of_their_names():
    found = changes([], *(entry("vehicle", f"v{n}") for n in range(5)), entry("outlet", "o"))
    assert list(found.lines("en")) == ["+ new: 5 vehicles (v0, v1, v2, …)", "+ new: 1 outlet (o)"]
    assert list(found.lines("zh")) == ["+ 新增：车辆 5 辆（v0, v1, v2, …）", "+ 新增：网点 1 个（o）"]
    assert found.counts()[1] == "6 records published (6 new, 0 with a further version, 0 with versions replaced); 0 unchanged; 0 versions removed"
    assert found.counts(published=False) == (
        "将发布 6 条记录（新增 6，增加版本 0，替换版本 0）；未变 0；删除版本 0",
        "6 records would be published (6 new, 0 with a further version, 0 with versions replaced); 0 unchanged; 0 versions removed",
    )


def test_a_change_says_which_keys_from_what_to_what():
    held = [entry("vehicle", "v", plate="蒙A1", marked=False, driver_ids=["d"]), entry("vehicle", "same", plate="x")]
    found = changes(held, entry("vehicle", "v", plate="蒙A2", driver_ids=["d", "e"], city="150100", energy="electric"), entry("vehicle", "same", plate="x"))
    assert list(found.lines("en")) == ["~ changed: vehicle v: plate 蒙A1 → 蒙A2; city – → 150100; energy – → battery-electric; unified marking no → –; drivers d → d, e"]
    assert list(found.lines("zh")) == ["~ 变更：车辆 v：号牌 蒙A1 → 蒙A2；城市 – → 150100；能源类型 – → 纯电动；是否有统一标识 否 → –；驾驶人 d → d、e"]
    assert found.counts()[1] == "1 record published (0 new, 0 with a further version, 1 with versions replaced); 1 unchanged; 0 versions removed"


def test_a_further_version_is_compared_with_the_one_before_it():
    held = [entry("outlet", "o", filed=True, camera=False), entry("outlet", "o", filed=False, camera=False, valid_from="2025-01-01")]
    found = changes(held, entry("outlet", "o", filed=True, camera=True, valid_from="2024-05-07"))
    assert list(found.lines("en")) == ["+ further version: outlet o (from 2024-05-07 on): valid from – → 2024-05-07; camera no → yes"]
    assert list(found.lines("zh")) == ["+ 增加版本：网点 o（2024-05-07 起）：有效期自 – → 2024-05-07；是否设有视频监控 否 → 是"]
    assert [version.valid_from for version in found.records[0].versions] == [None, "2024-05-07", "2025-01-01"]
    assert "1 with a further version, 0 with versions replaced" in found.counts()[1]


def test_replacing_says_which_versions_go_and_touches_no_other_record():
    held = [entry("outlet", "o", filed=True), entry("outlet", "o", valid_from="2024-01-01"), entry("outlet", "p")]
    found = changes(held, entry("outlet", "o", filed=True), replace=True)
    assert list(found.lines("en")) == ["- removed: outlet o (from 2024-01-01 on)"] and list(found.lines("zh")) == ["- 删除：网点 o（2024-01-01 起）"]
    assert found.counts()[1] == "1 record published (0 new, 0 with a further version, 1 with versions replaced); 0 unchanged; 1 version removed"
    beside = changes(held, entry("outlet", "o", filed=True))
    assert len(beside.records[0].versions) == 2 and beside.unchanged == 1 and not list(beside.lines("en"))


def test_the_same_instant_written_otherwise_is_the_same_version():
    found = changes([entry("outlet", "o", valid_from="2024-05-07")], entry("outlet", "o", valid_from="20240507", filed=True))
    assert len(found.records[0].versions) == 1 and list(found.lines("en")) == ["~ changed: outlet o (from 2024-05-07 on): valid from 2024-05-07 → 20240507; on file – → yes"]


def test_every_key_and_every_kind_has_a_name_and_every_word_of_the_schema_one_that_is_no_key():
    for kind, of in KINDS.items():
        assert kind in NAMES and set(of.__struct_encode_fields__) - {"id"} <= KEYS.keys()
        for field in msgspec.structs.fields(of):
            words = [word for option in (field.type, *get_args(field.type)) for word in get_args(option) if isinstance(word, str)]
            assert all(value_words(field.encode_name, word, "zh") != word for word in words)
    assert all(need.zh.startswith(KEYS[need.key].zh) for need in NEEDS if need.key != "valid_from"), "registry check has the same names"


def test_what_the_changes_say_is_what_is_held_afterwards():
    """Versions of three ids at three times, held or given or both: afterwards each stands as a plain merge of the two has it."""
    starts = (None, "2024-01-01", "2025-01-01")
    for case in range(4**3):
        chosen = [(case // 4**n) % 4 for n in range(3)]  # nothing, held, given, both and different
        held = [entry("outlet", "o", valid_from=start) for start, how in zip(starts, chosen, strict=True) if how in {1, 3}]
        given = [entry("outlet", "o", valid_from=start, filed=True) for start, how in zip(starts, chosen, strict=True) if how in {2, 3}]
        for replace in (False, True):
            found = changes(held, *given, replace=replace)
            if not given:
                assert not found.records
                continue
            kept = {how: start for how, start in enumerate(starts) if chosen[how] == 1 and not replace}
            wanted = [(start, chosen[n] != 1) for n, start in enumerate(starts) if chosen[n] >= 2 or n in kept]
            record = found.records[0]
            assert [(version.valid_from, version.filed is True) for version in record.versions] == wanted
            assert (len(record.added), len(record.changed), len(record.removed)) == (chosen.count(2), chosen.count(3), chosen.count(1) if replace else 0)


# --- what a file does not say ---


def said(found):
    return [english for _, english in found]


def test_outlets_that_do_not_say_whether_they_have_a_camera():
    outlets = [entry("outlet", f"o{n}", camera=n < 50 if n < 63 else None, filed=True) for n in range(100)]
    known = registry(*outlets)
    found = list(missing(known, NOW, titles("unmonitored_outlet", "speeding"), {"camera_outlet_share"}))
    assert found[0] == (
        "网点 100 个中有 37 个未填是否设有视频监控（camera）：“设视频监控网点占比”只涵盖 63 个；规则“网点无监控”无法判断它们",
        "37 of 100 outlets do not say whether they have a camera (camera): “outlets with a camera, of those that say” of 63 outlets only; rule “Parcels scanned at an outlet that has no monitoring camera” cannot judge them",
    )
    assert len(found) == 1 and list(missing(known, NOW, titles("speeding"), {"nev_share"}))[0][1].startswith("there is no vehicle on record")


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([entry("vehicle", "v", vehicle_class="truck")], "1 of 1 vehicle does not say on what they run (energy): “new-energy vehicles among motor vehicles” unknown (–)"),
        ([entry("vehicle", "v", vehicle_class="truck"), entry("vehicle", "w", vehicle_class="truck", energy="fuel")], "1 of 2 vehicles does not say on what they run (energy): they count as no in “new-energy vehicles among motor vehicles”"),
        ([entry("enterprise", "e")], "1 of 1 enterprise does not say until when they are licensed (licensed_until): “enterprises with a valid licence, of those that say” unknown (–); rule “Parcels handled by an enterprise whose licence has ended” cannot judge them"),
        ([entry("township", "t", covered=True), entry("township", "u")], "1 of 2 townships does not say whether they are covered, and no outlet on file serves them (covered): they count as no in “townships covered”"),
        ([entry("township", "t"), entry("township", "u"), entry("outlet", "o", filed=True, township="u")], "1 of 1 township does not say whether they are covered, and no outlet on file serves them (covered): they count as no in “townships covered”"),
        ([entry("township", "t")], "1 of 1 township does not say whether they are covered, and no outlet on file serves them (covered): “townships covered” unknown (–)"),
        ([entry("facility", "f", level="village")], "1 of 1 facility does not say which village they serve (village): “villages with a delivery point” unknown (–)"),
        ([entry("facility", "f", level="pickup_point")], "1 of 1 facility does not say in which township they stand (township): “urban townships and subdistricts with a public pick-up point” unknown (–)"),
        ([entry("township", "t")], "1 of 1 township does not say whether they are urban (urban): “urban townships and subdistricts with a public pick-up point” unknown (–)"),
        ([entry("vehicle", "v", vehicle_class="truck", energy="fuel")], "1 of 1 vehicle does not say which emission standard they meet (emission_standard): “vehicles by emission standard” unknown (–)"),
        ([entry("vehicle", "v", vehicle_class="truck")], "1 of 1 vehicle does not say whether they are boxed (body): rule “A vehicle of a class, body or energy that the city's standard does not allow” counts them as offending"),
        ([entry("vehicle", "v", vehicle_class="truck")], "1 of 1 vehicle does not say who drives them (driver_ids): rule “A driver without valid safety training” cannot judge them"),
        ([entry("vehicle", "v")], "1 of 1 vehicle does not say of which class they are (vehicle_class): “new-energy vehicles among motor vehicles”, “e-bikes”, “e-tricycles” unknown (–)"),
        ([entry("driver", "d")], "1 of 1 driver does not say until when they are trained (trained_until): rule “A driver without valid safety training” counts them as offending"),
        ([entry("outlet", "o")], "1 of 1 outlet does not say whether they are on file (filed): “outlets on file” unknown (–); rule “Parcels scanned at an outlet that is not on file” counts them as offending"),
        ([entry("vehicle", "v", vehicle_class="truck", energy="electric", valid_from="2019-01-01"), entry("vehicle", "w", vehicle_class="truck", energy="electric")], "1 of 2 vehicles does not say since when they are registered (valid_from): “new-energy motor vehicles first registered while purchases of green ones are subsidised, which are read as these” of 1 vehicle only"),
        ([entry("vehicle", "v")], "1 of 1 vehicle does not say whether they bear the unified marking (marked): rule “A registered vehicle without the unified marking, or driving with another plate than the registered one” cannot judge them"),
        ([entry("outlet", "o", recycling_container=True), entry("outlet", "p")], "1 of 2 outlets does not say whether they have a recycling container (recycling_container): “outlets with a recycling container, of those that say” of 1 outlet only"),
        ([], "there is no township on record: “townships covered”, “smart-locker cells” unknown (–)"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_with_figure_and_rule(records, sentence):
    found = said(missing(registry(*records), NOW, SAMPLE_RULES, TITLES, "451100", ("2018-09-01", "2020-12-31")))
    assert sentence in found


def test_what_is_said_is_not_missing_and_old_records_do_not_count():
    full = [
        entry("outlet", "o", camera=False, filed=True, recycling_container=False, standardised=False), entry("outlet", "old", valid_until="2020-12-31"),
        entry("vehicle", "v", vehicle_class="e_bike", body="open", marked=False, driver_ids=["d"], joint_delivery=False, status="active"), entry("vehicle", "w", status="scrapped"),
    ]  # fmt: skip
    full += [entry("township", "t", urban=False, locker_cells=0, service_stations=0, villages=0), entry("outlet", "serves", camera=True, filed=True, recycling_container=True, standardised=False, township="t")]
    assert not [sentence for sentence in said(missing(registry(*full), NOW, SAMPLE_RULES, TITLES)) if "say" in sentence.split(":")[0]]


def test_names_that_lead_nowhere():
    known = registry(
        entry("enterprise", "qingcheng"), entry("vehicle", "v", enterprise_id="qingchen", driver_ids=["d"]), entry("vehicle", "w", enterprise_id="qingchen"), entry("driver", "d"),
        entry("line", "L1", zones=["core"], vehicle_ids=["v", "x", "y"]), entry("pass", "p", pass_kind="green", vehicle_id="v"),
        entry("notice", "n", subject="outlet/none", **{"from": "2026-01-01"}, until="2026-01-02"), entry("notice", "m", subject="v", **{"from": "2026-01-01"}, until="2026-01-02"),
        entry("notice", "dr", subject="driver/d", **{"from": "2026-01-01"}, until="2026-01-02"), entry("outlet", "o1", enterprise_id="qingchen"), entry("outlet", "o2", enterprise_id="zzz"),
        entry("notice", "k", subject="vehicle/v", **{"from": "2026-01-01"}, until="2026-01-02"),
    )  # fmt: skip
    found = list(unknown_references(known))
    assert said(found)[:3] == [
        "2 vehicles (v, w): enterprise_id names 1 enterprise not in the registry: qingchen; did you mean qingcheng?",
        "2 outlets (o1, o2): enterprise_id names 2 enterprises not in the registry: qingchen, zzz",
        "1 line (L1): vehicle_ids names 2 vehicles not in the registry: x, y",
    ]
    assert [sentence.split(":")[0] for sentence in said(found)[3:]] == ["notice n", "notice m", "notice dr"] and "专线记录（L1）" in found[2][0]
    assert not list(unknown_references(registry(entry("vehicle", "v", driver_ids=["d"]), entry("driver", "d", valid_until="2020-01-01")))) # whenever it is valid


@pytest.mark.parametrize(
    ("record", "sentence", "right"),
    [
        (entry("line", "L", zones=["a", "b"], vehicle_ids=[]), "line L has no vehicles (vehicle_ids), so it is missed every day", {"vehicle_ids": ["v"]}),
        (entry("line", "L", zones=["a", "a"], vehicle_ids=["v"]), "line L names one zone twice in a row (zones)", {"zones": ["a", "b", "a"]}),
        (entry("pass", "P", pass_kind="green"), "pass P names no vehicle (vehicle_id) and no enterprise (enterprise_id), so it frees nobody", {"enterprise_id": "e"}),
        (entry("pass", "P", pass_kind="green", vehicle_id="v", zones=[]), "pass P names no zones (zones), so it frees nobody anywhere", {"zones": ["*"]}),
        (entry("vehicle", "V", vehicle_class="truck", plate_kind="non_motor"), "vehicle V is of a motor vehicle's class (vehicle_class) and bears a plate of another kind (plate_kind)", {"vehicle_class": "e_tricycle"}),
    ],
)  # fmt: skip
def test_records_that_are_most_likely_not_meant_are_said(record, sentence, right):
    found = gaps(registry(record), NOW, {}, "150100")
    assert said(found.doubtful) == [sentence] and found.doubtful[0] in found.words() and not gaps(registry(msgspec.structs.replace(record, **right)), NOW, {}, "150100").doubtful


@pytest.mark.parametrize("kind", ["outlet", "facility"])
def test_a_place_that_is_nowhere_in_china_is_said(kind):
    place = {"level": "hub"} if kind == "facility" else {"filed": True}
    swapped, half, right = (entry(kind, name, **place, **where) for name, where in (("s", {"lon": 29.3, "lat": 77.7}), ("h", {"lon": 107.7}), ("r", {"lon": 107.7, "lat": 29.3})))
    assert said(gaps(registry(swapped, half, right), NOW, {}, "150100").doubtful) == [
        f"{kind} s stands at a longitude (lon) that is not above its latitude (lat), as no place in China does; are they swapped?", f"{kind} h gives only one of lon and lat, so it is on no map",
    ]  # fmt: skip


def test_two_vehicles_with_one_plate_or_terminal_are_said():
    held = [entry("vehicle", "a", plate="蒙A1", device_id="d"), entry("vehicle", "b", plate="蒙A1", device_id="d"), entry("vehicle", "c", device_id="d", status="scrapped")]
    assert said(gaps(registry(*held), NOW, {}, "150100").doubtful) == ["vehicles a and b have one plate at the same time, 蒙A1 (plate)", "vehicles a and b have one terminal at the same time, d (device_id)"]
    spelt = [entry("vehicle", "a", plate="蒙A·12345"), entry("vehicle", "b", plate="蒙a12345")]
    assert said(gaps(registry(*spelt), NOW, {}, "150100").doubtful) == ["vehicles a and b have one plate at the same time, 蒙A12345 (plate)"]
    passed_on = [entry("vehicle", "a", plate="蒙A1"), entry("vehicle", "a", plate="蒙A2", valid_from="2026-01-01"), entry("vehicle", "b", plate="蒙A1", valid_from="2026-01-01")]
    assert not gaps(registry(*passed_on), NOW, {}, "150100").doubtful


def test_a_township_and_its_outlets_that_say_the_opposite_are_said():
    towns = [entry("township", "own word", covered=True), entry("township", "denied", covered=False), entry("township", "t", covered=True), entry("township", "u", covered=False), entry("township", "v")]
    outlets = [
        entry("outlet", "1", filed=True, township="denied"), entry("outlet", "2", filed=True, township="t"), entry("outlet", "3", filed=False, township="u"),
        entry("outlet", "4", filed=True, township="own word", valid_until="2020-12-31"), entry("outlet", "5", filed=True, township="v"),
    ]  # fmt: skip
    assert said(gaps(registry(*towns, *outlets), NOW, {}, "150100").doubtful) == [
        "1 township (own word): covered is true, and no outlet on file (filed: true) names the township; covered by its own word alone, in “townships covered”: add the outlet's township, or correct covered",
        "1 township (denied): covered is false, and an outlet on file (filed: true) names the township; covered by the outlet, in “townships covered”: correct one of them",
    ]


def test_a_line_that_the_pack_judges_must_be_on_record():
    known = registry(entry("line", "L1", zones=["a"], vehicle_ids=[]))
    assert said(gaps(known, NOW, {}, "500156", lines=["L1", "Line-2"]).unknown) == ["line Line-2, which the pack judges, is not in the registry"]


def test_what_exempts_by_marking_needs_it_said():
    asking = {name: commands._asking(load_policy(name).pack) for name in ("yunnan-2018", "wulong-2019")}
    assert "exempt:marked" in asking["yunnan-2018"] and "exempt:marked" not in asking["wulong-2019"]
    sentence = said(missing(registry(entry("vehicle", "v")), NOW, {"exempt:marked": asking["yunnan-2018"]["exempt:marked"]}, {}))[0]
    assert sentence.endswith("(marked): rule “exemptions from: Inside a restricted zone outside the permitted hours” cannot judge them")


def test_who_is_a_primary_brand_or_a_key_enterprise_must_be_said():
    """Where nobody is said to be one, a rule or a target about them is about nobody."""
    asking = commands._asking(load_policy("hohhot-2019").pack)
    plain, brand = entry("enterprise", "e", licensed_until="2030-01-01"), entry("enterprise", "e", licensed_until="2030-01-01", primary_brand=True)
    (zh, en), *others = missing(registry(plain), NOW, asking, {})
    assert not others and en == (
        "no enterprise is a primary brand (primary_brand: true): rule “A day on which too few parcels had an electronic waybill” judges nobody; "
        "“electronic waybills” unknown (–); “standardised outlets of primary brands with reusable boxes” unknown (–)"
    )
    assert zh.startswith("没有企业填为主要品牌（primary_brand: true）：规则“") and "”不判断任何企业；“电子运单使用率”未知（–）" in zh
    assert not list(missing(registry(brand), NOW, asking, {}))
    exempting = {"exempt:key_enterprise": commands._asking(load_policy("yunnan-2018").pack)["exempt:marked"]}
    assert said(missing(registry(brand), NOW, exempting, {})) == ["no enterprise is a key enterprise (key_enterprise: true): “exemptions from: Inside a restricted zone outside the permitted hours” free nobody"]
    assert not list(missing(registry(entry("enterprise", "k", key_enterprise=True)), NOW, exempting, {}))


def test_a_notice_filed_after_it_began_is_said():
    def notice(name, filed_at, from_="2026-01-02T08:00", until="2026-01-03"):
        return entry("notice", name, subject="outlet/o", filed_at=filed_at, **{"from": from_}, until=until)

    known = registry(notice("early", "2026-01-02T07:59"), notice("at once", "2026-01-02T08:00"), notice("late", "2026-01-02T08:01"), notice("back", "2026-01-01", until="2026-01-01"))
    assert list(late_notices(known)) == [
        (
            "通知 late (outlet/o) 于 2026-01-02T08:01 报备，晚于其开始时间 2026-01-02T08:00：予以保留，但对报备前已开始的中断不算提前通知",
            "notice late (outlet/o) was filed at 2026-01-02T08:01, after it begins at 2026-01-02T08:00: it is kept, and does not count for an interruption that began before it was filed",
        ),
        ("通知 back (outlet/o) 的结束时间 2026-01-01 不晚于开始时间 2026-01-02T08:00：不涵盖任何时间", "notice back (outlet/o) ends at 2026-01-01, not after it begins at 2026-01-02T08:00: it covers no time"),
    ]


def test_a_notice_that_does_not_say_when_it_was_filed_counts_from_its_beginning_and_that_is_said():
    """Semantics 7: filed by the last sign, ``filed_at``, else ``from``."""
    silent, of_day, before = (entry("notice", name, subject="outlet/o", filed_at=filed_at, **{"from": "2026-01-02T08:00"}, until="2026-01-03") for name, filed_at in (("n", None), ("d", "2026-01-02"), ("b", "2026-01-01")))
    known = registry(silent, of_day, before)
    assert said(late_notices(known)) == [
        "notice n (outlet/o) does not say when it was filed (filed_at): it counts as filed when it begins, at 2026-01-02T08:00, and not for an interruption that began before",
        "notice d (outlet/o) was filed on the day it begins, 2026-01-02, and filed_at gives no time: it counts as filed when that day began; add the time",
    ]
    alone = registry(silent)
    begins_ms = alone.notice_times(silent).from_ms
    assert [alone.after_notices({"outlet/o"}, begins_ms + 60_000, last_ms) > begins_ms + 60_000 for last_ms in (begins_ms - 1, begins_ms)] == [False, True]


def test_the_tables_name_what_there_is():
    assert NAMES.keys() == KINDS.keys()
    assert {need.key for need in NEEDS} <= {key for kind in KINDS.values() for key in kind.__struct_encode_fields__}
    assert all(need.key in KINDS[need.kind].__struct_encode_fields__ for need in NEEDS) and {figure for need in NEEDS for figure in need.figures} <= TITLES.keys()
    assert {rule.partition(":")[0] for need in NEEDS for rule in need.rules} - {"exempt"} <= RULES.keys()
    assert figures_of({"subsidy_window_vehicles", "parking"}, {"mine"}) == {"subsidy_window_vehicles", "mine"}, "a section of the report is no figure"
    assert "subsidy_window_vehicles" not in figures_of((), ()) and figures_of({"parking"}, ()) == figures_of((), ()) >= {"reusable_box_outlet_share", "delivery_lines"}


# --- the commands ---

GOOD = """\
kind,id,enterprise_id,vehicle_class,energy,zones,vehicle_ids,level,licensed_until,camera,filed
enterprise,e,,,,,,,2035-12-31,,
vehicle,WL-10001,e,truck,electric,,,,,,
line,L1,,,,centre;main-furong,WL-10001,,,,
facility,F1,,,,,,hub,,,
outlet,O1,e,,,,,,,是,yes
"""


def run(*arguments, home):
    return subprocess.run([sys.executable, "-m", "deploy.cli", *map(str, arguments)], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": str(home)}, capture_output=True, text=True, timeout=120, check=False)


def test_check_says_what_is_missing_and_ends_well(tmp_path):
    (tmp_path / "r.csv").write_text(GOOD, "utf-8")
    done = run("registry", "check", tmp_path / "r.csv", "--policy", "wulong-2019", "--lang", "en", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "1 vehicle, 1 enterprise, 1 outlet, 1 facility, 1 line"
    assert "there is no township on record: “townships covered”, “smart-locker cells” unknown (–)" in done.stdout and "网点" not in done.stdout


def test_check_fails_where_names_lead_nowhere(tmp_path):
    (tmp_path / "r.csv").write_text(GOOD.replace("centre;main-furong,WL-10001", "centre,WL-10002"), "utf-8")
    done = run("registry", "check", tmp_path / "r.csv", "--policy", "wulong-2019", "--lang", "zh", home=tmp_path)
    assert done.returncode == 1 and "1 条专线记录（L1）的 vehicle_ids 引用了登记资料中没有的车辆：WL-10002" in done.stdout
    assert done.stderr.count("\n") == 1 and "names records that it does not hold" in done.stderr


def test_check_and_import_refuse_a_line_through_an_unknown_zone_with_one_line(tmp_path):
    (tmp_path / "r.csv").write_text(GOOD.replace("main-furong", "main-furon"), "utf-8")
    for command in ("check", "import"):
        done = run("registry", command, tmp_path / "r.csv", "--policy", "wulong-2019", home=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"yicheng: {tmp_path}/r.csv:4: line L1: zone 'main-furon' is not in the policy; did you mean 'main-furong'?\n"


@pytest.fixture
def kafka(monkeypatch):
    """What the registry topic holds, by key; nothing else of Kafka is there."""
    topic = {}
    monkeypatch.setattr(admin, "registry_held", lambda _: {key: decode_versions(value) for key, value in topic.items()})
    monkeypatch.setattr(admin, "produce", lambda bootstrap, name, records: topic.update({key.decode(): value for key, value in records}))
    return topic


def imported(tmp_path, text, *options):
    (tmp_path / "r.jsonl").write_text(text, "utf-8")
    done = CliRunner().invoke(commands.app, ["import", str(tmp_path / "r.jsonl"), "--policy", "wulong-2019", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_a_dry_run_says_what_the_import_then_does(tmp_path, kafka):
    first, second = '{"kind": "outlet", "id": "o", "camera": false}\n', '{"kind": "outlet", "id": "o", "camera": true}\n{"kind": "line", "id": "L1", "zones": ["centre"], "vehicle_ids": []}\n'
    assert imported(tmp_path, first)[-1] == "1 record published (1 new, 0 with a further version, 0 with versions replaced); 0 unchanged; 0 versions removed"
    before = dict(kafka)
    dry = imported(tmp_path, second, "--dry-run")
    assert kafka == before and dry == [
        "+ new: 1 line (L1)", "~ changed: outlet o: camera no → yes", "将发布 2 条记录（新增 1，增加版本 0，替换版本 1）；未变 0；删除版本 0",
        "2 records would be published (1 new, 0 with a further version, 1 with versions replaced); 0 unchanged; 0 versions removed",
    ]  # fmt: skip
    assert imported(tmp_path, second)[-1] == dry[-1].replace("would be published", "published") and json.loads(kafka["outlet/o"])[0]["camera"] is True
    assert imported(tmp_path, second, "--dry-run")[-1].startswith("0 records would be published") and len(kafka) == 2


def test_an_import_keeps_a_late_notice_and_says_that_it_does_not_count(tmp_path, kafka):
    said = imported(tmp_path, '{"kind": "notice", "id": "n", "subject": "outlet/o", "from": "2026-01-01T08:00", "until": "2026-01-02", "filed_at": "2026-01-01T09:00"}\n')
    assert "does not count for an interruption that began before it was filed" in said[1] and "notice/n" in kafka


def test_a_dry_run_of_what_is_too_large_is_refused_like_the_import(kafka):
    large = registry(*(entry("enterprise", "e", name_zh="x" * 256, valid_from=f"{year}-01-01") for year in range(1000, 5000)))
    for dry_run in (True, False):
        with pytest.raises(BadInput, match="more than the 1,000,000 that can be published"):
            admin.import_registry("", large, replace=False, dry_run=dry_run)
    assert not kafka and issubclass(BadInput, YichengError)


def test_a_sample_registry_names_nothing_that_it_does_not_hold(tmp_path):
    from producers.sample_registry import sample_registry

    for pack in ("wulong-2019", "hezhou-2018"):
        policy = load_policy(pack)
        found = gaps(registry(*sample_registry(policy, 120, 3)), NOW, SAMPLE_RULES, policy.pack.city.adcode, policy.pack.targets)
        assert not found.unknown and not found.late and found.missing and len(found.words()) == 1 + len(found.missing) + len(found.doubtful)
        assert not [sentence for sentence in said(found.doubtful) if "covered is" not in sentence]
    assert gaps(registry(), NOW, {}, "330600").words()[0] == ("没有记录", "no records")
    full = registry(entry("outlet", "o", filed=True, camera=True, township="t"), entry("township", "t", covered=True, locker_cells=1))
    assert not list(missing(full, NOW, SAMPLE_RULES, {"camera_outlet_share", "township_coverage", "locker_cells"}))
    assert Gaps(("a", "b"), [], [], [], []).words() == [("a", "b"), ("没有缺项", "nothing is missing")]


def test_what_changes_nothing_is_not_sent(kafka, monkeypatch):
    sent = []
    monkeypatch.setattr(admin, "produce", lambda bootstrap, topic, records: sent.append([key for key, _ in records]))
    kafka["outlet/o"] = b'[{"kind": "outlet", "id": "o", "filed": true}]'
    admin.import_registry("", registry(entry("outlet", "o", filed=True), entry("outlet", "p")), replace=False)
    assert sent == [[b"outlet/p"]]
