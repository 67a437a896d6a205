"""Row by row: what each document says, by its clause, and what its pack must say and must not."""

from typing import NamedTuple

import pytest

from streams.policy.clauses import sections, stands_in
from streams.policy.reader import load_policy, packs
from streams.registry.records import Vehicle
from streams.registry.registry import Subject
from streams.rules import RULES

H, Z, S, Y, W = "hohhot-2019", "hezhou-2018", "shaoxing-2019", "yunnan-2018", "wulong-2019"


class Row(NamedTuple):
    """What a clause says, where, by which words, and a predicate of the pack that names and holds what follows."""

    says: str
    pack: str
    clause: str
    words: str
    holds: object


def rules(pack, name):
    return [rule for rule in pack.rules if rule.rule == name]


def rule(pack, name):
    (found,) = rules(pack, name)
    return found


def alternatives(pack):
    return [(each, alternative) for each in pack.rules for alternative in each.alternatives]


def all_encouraged(*names):
    return lambda pack: all(each.basis == "encouraged" for name in names for each in rules(pack, name))


def illustrative(*names):
    return lambda pack: all(each.basis == "illustrative" for name in names for each in rules(pack, name))


def stated_by(duty, *names):
    return lambda pack: all((each.basis, each.duty_of) == ("stated", duty) for name in names for each in rules(pack, name)) and all(rules(pack, name) for name in names)


ROWS = [
    Row("the 90 % are of all primary brands together, without a date; judging each is ours", H, "六（十六）", "全市主要品牌快递企业电子运单使用率达到90%以上",
        lambda p: (p.targets["electronic_waybill"].scope, p.targets["electronic_waybill"].by, p.targets["electronic_waybill"].basis) == ("primary_brands", None, "encouraged")
        and (rule(p, "low_electronic_waybill_rate").figures, rule(p, "low_electronic_waybill_rate").parameters.primary_brands_only) == ("illustrative", True)
        and "90%为文件所定" in rule(p, "low_electronic_waybill_rate").reading),
    Row("nights are promoted, days are not forbidden, nights neither", H, "三（十一）", "推行夜间配送",
        lambda p: [each.id for each in rules(p, "restricted_hours")] == ["core-daytime"] and rule(p, "restricted_hours").basis == "illustrative"),
    Row("new energy is a preference, no exemption", H, "三（十）", "引导企业优先使用新能源全封闭轻型、微型配送车辆", lambda p: not any(a.energy or a.body for _, a in alternatives(p))),
    Row("the standards of packaging and tape are named; the rate keeps rising", H, "六（十七）", "快递绿色包材使用率不断提高",
        lambda p: rule(p, "low_green_packaging_rate").parameters.rising and p.targets["green_packaging"].source == "operator" and "narrow_tape" in p.figure_clauses),
    Row("all standardised outlets of primary brands have boxes", H, "六（十七）", "主要品牌标准化网点全部配置可回收利用包装箱",
        lambda p: (p.targets["reusable_box_outlet_share"].value, p.targets["reusable_box_outlet_share"].scope) == (1.0, "primary_brands")),
    Row("authorities make the rules of numbers and marking, for which the pack stands in", H, "三（十）", "制定全市快递服务车辆规范管理办法",
        lambda p: stated_by("authority", "unregistered_vehicle", "unmarked_vehicle")(p) and rule(p, "unmarked_vehicle").stands_in_for == "全市快递服务车辆规范管理办法"),
    Row("enterprises train their drivers", H, "三（十）", "督导企业建立快递服务车辆驾驶人安全管理和培训制度", stated_by("enterprise", "untrained_driver")),
    Row("in force thirty days after publication, for five years", H, "六（十八）", "本实施意见自公布之日起30日后执行,有效期五年,规范性文件统一编号为ZG-2019-9号",
        lambda p: (p.document.in_force.from_, p.document.in_force.until, p.document.number, p.valid_from) == ("2019-07-01", "2024-06-30", "ZG-2019-9", "2019-07-01") and p.continued),
    Row("insurance is supported", H, "三（十）", "支持快递企业为快递服务车辆统一购买交通意外险", all_encouraged("uninsured_driver")),
    Row("numbers, marking, types and insurance are encouraged", Z, "二（三）9", "鼓励对快递服务车辆实施统一编号和标识管理",
        all_encouraged("unregistered_vehicle", "unmarked_vehicle", "nonstandard_vehicle", "uninsured_driver", "untrained_driver")),
    Row("filing is explored", Z, "二（一）1", "探索对快递末端网点实施备案管理", all_encouraged("unfiled_outlet")),
    Row("enterprises and drivers have credit", Z, "二（三）9", "将快递企业和快递服务车辆驾驶人是否存在相关严重失信行为纳入征信评价体系",
        lambda p: rule(p, "blacklisted_enterprise").basis == "stated" and rule(p, "blacklisted_enterprise").parameters.drivers is not None),
    Row("passes and access are eased for boxed vehicles: passes, no exemption by body", Z, "二（三）10", "对专业化、标准化厢式快递服务车辆，在运货通行证的发放数量和道路准入的条件限制等方面给予适当放宽",
        lambda p: all(set(a.conditions) == {"passes"} for each, a in alternatives(p) if each.rule == "restricted_hours")),
    Row("temporary stops are protected", Z, "二（三）10", "依法保障快递服务车辆通行和临时停靠的权利", lambda p: not rules(p, "forbidden_stop")),
    Row("it says nothing of numbers and marking", S, "五", "依法规范快递服务车辆管理", illustrative("unregistered_vehicle", "unmarked_vehicle", "malformed_identifier", "cloned_identifier")),
    Row("the exchange of information is between authorities", S, "五", "建立信息日常沟通和执法检查联动机制", lambda p: rule(p, "silent_vehicle").basis == "illustrative"),
    Row("all enterprises and outlets are monitored, and linked", S, "七", "建设一套覆盖全市所有寄递企业和网点的监控视频系统，并联网接入视频共享总平台",
        lambda p: stated_by("authority", "unmonitored_outlet", "offline_camera")(p) and p.targets["camera_outlet_share"].value == 1.0),
    Row("marking eases access, and nobody is punished for lacking it", Y, "三（十一）", "对按要求喷涂统一专用标识的城区快递运输车辆放宽通行限制",
        lambda p: rule(p, "unmarked_vehicle").basis == "encouraged" and [(a.basis, a.figures) for _, a in alternatives(p) if a.marked] == [("stated", "illustrative")]),
    Row("registered non-motor vehicles may deliver", Y, "三（十）", "已办理注册登记的非机动车收投快件", lambda p: "e_bikes" in p.figure_clauses and not RULES["unrecognised_foreign_plate"].prepare(
            rule(p, "unrecognised_foreign_plate").parameters, Subject("v", Vehicle(id="v", plate="临A0001", plate_kind="non_motor"), None, (), 0, 1), None)),
    Row("fairs and 双十一 are named here only", Y, "三（十一）", "举行大型展会、重大活动或“双十一”等快递旺季期间",
        lambda p: p.calendars and not any(load_policy(other).pack.calendars for other in (H, Z, S, W)) and any(a.calendars for _, a in alternatives(p))),
    Row("stops by road segment are for the authorities to set", Y, "三（十一）", "根据不同路段确定允许临时停车时段、时长、车辆类型",
        lambda p: all((each.basis, each.figures, each.duty_of) == ("stated", "illustrative", "authority") for each in rules(p, "forbidden_stop"))),
    Row("GPS, inspection and video stand under 鼓励建设", Y, "一（四）", "鼓励建设智慧物流云服务平台", all_encouraged("uninspected_parcel", "offline_camera")),
    Row("recognition of plates is promoted, and is our reading", Y, "三（十二）", "推进跨境运输车辆牌证互认",
        lambda p: rule(p, "unrecognised_foreign_plate").basis == "encouraged" and rule(p, "unrecognised_foreign_plate").reading),
    Row("priority in getting a pass frees nobody by itself", W, "二（二）2", "优先为重点快递物流企业车辆和新能源车辆、共同配送车辆办理“绿色通行证”",
        lambda p: [(set(a.conditions), a.basis) for _, a in alternatives(p)] == [({"passes"}, "illustrative")]),
    Row("stops off main roads are permitted: what that forbids is not said, and no pass frees", W, "二（二）2", "可以在除城市快速路、主干道以外道路临时停靠装卸快件",
        lambda p: rule(p, "forbidden_stop").basis == "illustrative" and rule(p, "forbidden_stop").exempt is None),
    Row("what offices, firms and schools must do binds them, not couriers", W, "二（二）2", "机关、企业、学校、小区物业等应当为快递服务车辆临时停靠、装卸、充电等提供便利",
        lambda p: "约束的是这些单位，不是快递企业" in rule(p, "overstayed_stop").reading and not any(each.basis == "stated" for each in p.rules if each.clause == "二（二）2")),
    Row("what new estates must build binds others: nobody is judged by it", S, "一", "新建小区、楼宇、园区等应当根据实际情况建设快递服务场所、智能信报箱",
        lambda p: not any("应当" in each.quote or each.clause == "一" for each in (*p.rules, *p.targets.values()))),
    Row("the three systems are our reading", W, "三（七）", "督促企业落实好“三项制度”",
        lambda p: stated_by("enterprise", "unverified_sender", "uninspected_parcel", "unscreened_parcel")(p) and all(rule(p, n).reading for n in ("unverified_sender", "uninspected_parcel", "unscreened_parcel"))),
    Row("lists are published", W, "三（七）", "定期发布企业诚信“红黑榜”", lambda p: rule(p, "blacklisted_enterprise").basis == "stated"),
    Row("insurers are addressed", W, "二（二）1", "鼓励保险公司开发符合快递业特点的道路交通安全事故险等险种", lambda p: (rule(p, "uninsured_driver").basis, rule(p, "uninsured_driver").duty_of) == ("illustrative", "others")),
    *(Row("notice is given before data are interrupted", name, clause, "建立数据中断等风险评估、提前通知和事先报告制度", stated_by("enterprise", "interrupted_feed"))
      for name, clause in ((H, "二（八）"), (Y, "一（四）"), (W, "二（四）2"))),
]  # fmt: skip
TARGETS = {
    H: {
        "electronic_waybill": (0.9, None, "六（十六）", "encouraged", "primary_brands"), "township_coverage": (1.0, "2019-12-31", "一（三）", "encouraged", None),
        "village_coverage": (1.0, "2020-12-31", "一（一）", "stated", None), "hubs": (2, None, "一（四）", "stated", None), "county_centres": (5, None, "一（三）", "encouraged", None),
        "locker_cells": (130_000, "2019-12-31", "四（十二）", "encouraged", None), "service_stations": (300, "2019-12-31", "四（十三）", "stated", None),
        "reusable_box_outlet_share": (1.0, None, "六（十七）", "stated", "primary_brands"),
    },
    Z: {"township_coverage": (1.0, "2020-12-31", "一（二）", "stated", None), "served_parcels": (50_000_000, "2020-12-31", "一（二）", "stated", None)},
    S: {"camera_outlet_share": (1.0, None, "七", "stated", None)},
    Y: {},
    W: {
        "hubs": (1, None, "二（一）3", "stated", None), "township_stations": (10, None, "二（一）3", "stated", None), "village_points": (186, None, "二（一）3", "stated", None),
        "delivery_lines": (5, None, "二（一）3", "stated", None), "pickup_point_coverage": (1.0, "2020-12-31", "一", "stated", None),
        "township_coverage": (1.0, None, "二（三）2", "stated", None), "village_coverage": (1.0, None, "二（三）2", "stated", None),
    },
}  # fmt: skip


def text_of(pack, shared):
    folder = shared / "seeds"
    if not folder.exists():
        pytest.skip("no ../shared/seeds beside the checkout: the cities' documents are read from there")
    return (folder / pack.document.file).read_text("utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.pack} {row.clause} {row.says}")
def test_a_row(row, shared):
    pack = load_policy(row.pack).pack
    assert any(section.clause == row.clause and stands_in(row.words, section.text) for section in sections(text_of(pack, shared))), f"“{row.words}” is not in {row.clause}"
    assert row.holds(pack), row.says


@pytest.mark.parametrize("name", packs())
def test_the_targets_of_the_document_are_these_and_no_others(name):
    targets = {measure: target for measure, target in load_policy(name).pack.targets.items() if target.source == "document"}
    assert {measure: (t.value, t.by, t.clause, t.basis, t.scope) for measure, t in targets.items()} == TARGETS[name]


@pytest.mark.parametrize("name", packs())
def test_no_document_withdraws_an_exemption(name):
    assert all(alternative.basis == "illustrative" for _, alternative in alternatives(load_policy(name).pack) if alternative.unless_credit)
