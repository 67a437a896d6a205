"""Packs in words: one language at a time, nothing of the schema's own words, every clause with its quote, and answers to what officials ask."""

import re
from pathlib import Path
from typing import get_args

import pytest

from deploy.packs.applies import answer
from deploy.packs.asked_place import read_place, zones_in_part, zones_inside
from deploy.packs.asked_vehicle import read_vehicle
from deploy.packs.explain import explain
from streams.errors import BadInput
from streams.policy.checks import SHARES
from streams.policy.conditions import HOME_PLATE, identifier_words, parameter_words
from streams.policy.examples import example_of
from streams.policy.pack import Exemption, Pack, Rule, Target
from streams.policy.reader import load_policy, packs, parse_policy
from streams.policy.wording import rule_words, target_words
from streams.registry.key_figures import TITLES
from streams.registry.records import Body, Energy, PassKind, VehicleClass
from streams.rules import RULES
from streams.words.basis import in_language
from streams.words.terms import BODIES, CLASSES, ENERGIES, LANGUAGES, PASSES

WORDS = Path(__file__).parent / "words"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def schema_words():
    """Keys and values of the schema that are no words of a language: what has an underscore or a hyphen."""
    structs = [Pack, Rule, Target, *(module.Parameters for module in RULES.values())]
    keys = {name for struct in structs for name in struct.__struct_encode_fields__}
    values = {word for kind in (VehicleClass, Energy, Body, PassKind) for word in get_args(kind)}
    return {word for word in (*keys, *values, *RULES, *Exemption.__struct_encode_fields__, *SHARES, *TITLES, "mon-sun", "mon-fri") if re.search("[_-]", word)}


ZONES = """{"type": "FeatureCollection", "adcode": "1", "features": [
{"type": "Feature", "properties": {"id": "old", "kind": "restricted", "name_zh": "老城", "name_en": "old town"},
 "geometry": {"type": "Polygon", "coordinates": [[[111.6, 40.8], [111.7, 40.8], [111.7, 40.9], [111.6, 40.9], [111.6, 40.8]]]}},
{"type": "Feature", "properties": {"id": "bay", "kind": "loading", "name_zh": "装卸点", "name_en": "loading bay"},
 "geometry": {"type": "Polygon", "coordinates": [[[112.6, 40.8], [112.7, 40.8], [112.7, 40.9], [112.6, 40.9], [112.6, 40.8]]]}}]}"""
PACK = """
policy: made-up
city: {adcode: "1", name_zh: 甲市, name_en: A, timezone: Asia/Shanghai}
document: {title: 甲市办法, number: 甲〔2026〕1号, file: f.txt, published: 2026-01, in_force: {from: 2026-01-01, until: 2026-06-30}, assumed: [published], source: 原文 (its own words)}
continued: {by: 市公安局, reason: 修订中 (it is being revised)}
valid_from: 2026-01-01
identifier: {pattern: "(JA|JB)-[0-9]{4}[A-Z]"}
calendars: {双十一: [{every_year: 11-01…11-20}], trade_fair: [{from: 2026-06-12, until: 2026-06-18}]}
zones: z.json
rules:
  - {rule: malformed_identifier, id: a, clause: 一, severity: warning}
  - rule: restricted_hours
    id: b
    clause: 二
    quote: 合理确定时段
    severity: violation
    basis: stated
    figures: illustrative
    duty_of: authority
    responsible: [市公安局]
    stands_in_for: 通行办法
    zones: [old]
    vehicles: {classes: [light_van, truck], energy: [fuel]}
    permitted: [{days: mon-fri, from: "09:00", until: "11:00"}, {from: "20:00", until: "07:00"}]
    min_duration: 90s
    merge_gap: 5m
    exempt:
      - {passes: [green, temporary], unless_credit: black}
      - {marked: true, body: [box], basis: encouraged, quote: 放宽通行限制}
      - {calendars: [双十一]}
targets:
  locker_cells: {value: 130000, by: 2026-12-31, clause: 四, source: document, basis: stated, quote: 格口十三万}
  electronic_waybill: {value: 0.9, clause: 六, source: document, scope: primary_brands}
  narrow_tape: 0.9
"""


def parse(text=PACK):
    return parse_policy(text, "pack.yaml", lambda _: ZONES)


def inside(words):
    """Words as they stand in a quotation."""
    return words.replace("“", "‘").replace("”", "’")


def in_the_original(policy, lang):
    """Texts of a pack that stand in both languages as they are: titles, numbers, clauses, quotes, authorities, ids, what matches patterns."""
    pack = policy.pack
    found = [pack.policy, pack.document.title, pack.document.number or "", pack.document.source, pack.city.adcode, "45 mm"]
    found += [in_language(text, lang) for text in (pack.document.source, *((pack.continued.by, pack.continued.reason) if pack.continued else ()))]
    found += [getattr(identifier_words(policy), lang)] if pack.identifier else []
    for rule in pack.rules:
        found += [rule.id, rule.clause, rule.quote, rule.stands_in_for or "", *rule.responsible, *(alternative.quote for alternative in rule.alternatives)]
        found += [words.en for name, words in parameter_words(rule).items() if name.endswith("_pattern")]
    found += [text for target in pack.targets.values() for text in (target.quote, target.clause or "")]
    found += [name for name in pack.calendars if CHINESE.search(name)] + [name_zh for name_zh, _ in pack.zone_names.values() if lang == "zh"]
    return [*found, *map(inside, found)]


def outputs(policy, lang):
    """All that is said of a pack, in several ways of asking."""
    shape = next(iter(policy.pack.geometries.values())).representative_point()
    yield explain(policy, lang)
    for moment in ("2020-11-11", "2026-05-12T09:00", "2026-11-11T21:30"):
        for place in (None, (shape.x, shape.y)):
            for asked in (None, *map(read_vehicle, ("light_van,electric,box", "truck,fuel,black", "light_van"))) if place else (None,):
                yield answer(policy, moment, place, lang, asked)


def policies():
    return [*map(load_policy, packs()), parse()]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("policy", policies(), ids=lambda policy: policy.name)
def test_one_language_at_a_time_and_no_word_of_the_schema(policy, lang):
    originals = sorted(filter(None, in_the_original(policy, lang)), key=len, reverse=True)
    for text in outputs(policy, lang):
        rest = text
        for original in originals:
            rest = rest.replace(original, "")
        assert not [word for word in schema_words() if re.search(rf"(?<![\w-]){word}(?![\w-])", rest)]
        strangers = re.findall("[A-Za-z]+", rest) if lang == "zh" else CHINESE.findall(rest)
        assert not strangers, (strangers, [line for line in rest.splitlines() if strangers[0] in line][0])
        assert not re.search(r"None|True|False|[{}\\]|\bnan\b|  +- ", rest) and "；；" not in rest and ".." not in rest and "。。" not in rest


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("policy", policies(), ids=lambda policy: policy.name)
def test_every_rule_has_its_clause_its_words_and_on_what_it_rests(policy, lang):
    said = explain(policy, lang)
    parts = re.split(r"\n\n(?=\d+\. )", said.split("\n\nII. " if lang == "en" else "\n\n二、")[0])[1:]
    assert len(parts) == len(policy.pack.rules)
    for rule, part in zip(policy.pack.rules, parts, strict=True):
        words = rule_words(rule, policy)
        assert rule.id in part and rule.clause in part and inside(rule.quote) in part and all(name in part for name in rule.responsible)
        assert all(inside(alternative.quote) in part for alternative in rule.alternatives) and (rule.stands_in_for or "") in part
        assert getattr(words.demand, lang) in part and getattr(words.basis, lang) in part and getattr(words.when, lang) in part
        assert all(policy.zone_name(zone)[lang == "en"] in part for zone in rule.zone_ids or ())
    for measure, target in policy.pack.targets.items():
        assert target_words(measure, target).line(lang) in said


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_pack_in_words(lang):
    said = explain(parse(), lang) + "\n\n" + answer(parse(), "2026-11-21T09:00", (111.66, 40.81), lang, read_vehicle("truck,fuel,box")).split("\n\n", 2)[1] + "\n"
    assert said == (WORDS / f"made-up.{lang}.txt").read_text("utf-8")


def test_rules_without_a_sentence_of_their_own_are_known():
    assert {name for name, module in RULES.items() if not (hasattr(module, "ASKS_ZH") and hasattr(module, "ASKS_EN"))} == set()


def test_a_rule_without_a_sentence_is_said_by_its_title(monkeypatch):
    monkeypatch.delattr(RULES["malformed_identifier"], "ASKS_ZH")
    words = rule_words(parse().pack.rules[0], parse())
    assert words.demand.zh == "不得有下列情形：编号不符合规则。" and words.demand.en == "This must not be: a vehicle number that does not follow the city's scheme."


def test_a_rule_that_was_withdrawn_can_still_be_said():
    words = rule_words(Rule(rule="speeding", id="gone", clause="", severity="violation"), parse())
    assert words.lines("en") == ["This must not be: faster than the limit of a class or a zone.", "On the operator's own word; nothing is claimed of the document.", "The operator treats it as a violation."]


def test_every_word_of_the_schema_has_a_name():
    for terms, kind in ((CLASSES, VehicleClass), (ENERGIES, Energy), (BODIES, Body), (PASSES, PassKind)):
        assert set(terms) == set(get_args(kind)) and all(CHINESE.search(words.zh) and not CHINESE.search(words.en) for words in terms.values())
    assert all(measure in TITLES for name in packs() for measure in load_policy(name).pack.targets)


# --- answers


def outcome(moment, vehicle, lang="en", text=PACK):
    """Yes, no or what else is answered, and the reasons."""
    said = answer(parse(text), moment, (111.66, 40.81), lang, read_vehicle(vehicle)).split("\n\n")[1]
    first, *reasons = said.splitlines()
    return first.rsplit("答：" if lang == "zh" else "? ", 1)[1], reasons


@pytest.mark.parametrize(
    ("moment", "vehicle", "said"),
    [
        ("2026-05-12T12:00", "truck,fuel", "No, unless it is exempt as said here."),
        ("2026-05-12T12:00", "truck,electric", "Yes."),
        ("2026-05-12T12:00", "e_tricycle,fuel", "Yes."),
        ("2026-05-12T12:00", "truck", "That depends."),
        ("2026-05-12T12:00", "truck,fuel,marked,box", "Yes."),
        ("2026-05-12T12:00", "truck,fuel,marked,open", "No, unless it is exempt as said here."),
        ("2026-05-12T12:00", "truck,fuel,pass:green", "Yes."),
        ("2026-05-12T12:00", "truck,fuel,pass:green,black", "No, unless it is exempt as said here."),
        ("2026-05-12T10:00", "truck,fuel", "Yes."),
        ("2026-05-12", "truck,fuel", "Not all day, unless it is exempt as said here."),
        ("2026-05-16T10:00", "truck,fuel", "No, unless it is exempt as said here."),
        ("2026-11-11T12:00", "truck,fuel", "Yes."),
    ],
)
def test_whether_a_vehicle_may_be_there(moment, vehicle, said):
    assert outcome(moment, vehicle)[0] == said


STANDARD = "  - {rule: nonstandard_vehicle, id: s, clause: 五, severity: warning, vehicles: {classes: [truck]}, allow: {body: [box]}}\n"
MARKED = "  - {rule: unmarked_vehicle, id: m, clause: 六, severity: warning}\n"
SLOW = "  - {rule: speeding, id: t, clause: 七, severity: warning, vehicles: {classes: [e_tricycle]}, limit_kmh: 15}\n"


@pytest.mark.parametrize(
    ("vehicle", "said"),
    [
        ("truck,electric,open,unmarked", ["- But it is not as asked: Trucks must be box-bodied. Clause 五.", "- But it is not as asked: Courier vehicles must bear the unified marking"]),
        ("truck,electric", ["- But: Trucks must be box-bodied.", "- But: Courier vehicles must bear the unified marking"]),
        ("truck,electric,box,marked", []),
        ("light_van,electric,open,marked", []),
        ("e_tricycle,electric,marked", ["- But: Electric tricycles must not drive faster than 15 km/h."]),
        ("marked,electric", ["- But: Trucks must be box-bodied.", "- But: Electric tricycles must not drive faster than 15 km/h."]),
    ],
)
def test_where_it_may_be_there_it_is_said_what_else_is_asked_of_it(vehicle, said):
    answered, reasons = outcome("2026-05-12T12:00", vehicle, text=PACK.replace("targets:\n", STANDARD + MARKED + SLOW + "targets:\n"))
    others = [line for line in reasons if line.startswith("- But")]
    assert answered == "Yes." and len(others) == len(said) and all(line.startswith(begins) for line, begins in zip(others, said, strict=True))


def test_in_the_city_whose_vans_must_be_boxed():
    said = answer(load_policy("hohhot-2019"), "2026-05-12T21:00", (111.66, 40.81), "zh", read_vehicle("轻型货车、燃油、敞开式、无统一标识")).split("\n\n")[1]
    assert "答：可以。" in said and "但该车不符合要求：运营方要求：微型货车、轻型货车和大中型货车须为厢式。条款：三（十）" in said and said.count("不符合要求") == 2


@pytest.mark.parametrize(
    ("vehicle", "said"),
    [("truck,electric,box", "Yes."), ("truck,electric,open", "No."), ("truck,electric", "That depends."), ("light_van,electric,open", "Yes."), ("electric,open", "That depends."), ("electric,box", "Yes.")],
)
def test_a_standard_of_a_zone(vehicle, said):
    answered, reasons = outcome("2026-05-12T12:00", vehicle, text=PACK.replace("targets:\n", STANDARD.replace("id: s,", "id: s, zones: [old],") + "targets:\n"))
    assert answered == said and (vehicle != "truck,electric" or "Say the vehicle's body first: Trucks in “old town” must be box-bodied." in reasons[-1])


def test_an_answer_says_by_which_words():
    said, reasons = outcome("2026-05-12T12:00", "大中型货车、燃油、厢式，统一标识", "zh")
    assert said == "可以。" and "但该车豁免：车身为厢式，且车辆有统一标识（依据：文件鼓励或引导，并非强制；原文：“放宽通行限制”）。条款：二，原文：“合理确定时段”。" in reasons[0]
    assert "“双十一”期间所有车辆均免。" in answer(parse(), "2026-11-11", None, "zh")
    black = PACK.replace("- {calendars: [双十一]}", "- {calendars: [双十一], unless_credit: black}")
    assert outcome("2026-11-11T12:00", "truck,fuel", text=black)[0] == "Yes." and outcome("2026-11-11T12:00", "truck,fuel,black", text=black)[0].startswith("No")


def test_exemptions_that_are_withdrawn_and_those_of_new_energy():
    text = re.sub(r"exempt:\n(      - .*\n)+", "exempt: {energy: [fuel_cell, electric, plug_in_hybrid], joint_delivery: true, unless_credit: black}\n", PACK)
    words = rule_words(parse(text).pack.rules[1], parse(text)).exempt
    assert words.zh == "豁免：有下列情形之一的，不受此限：①车辆为新能源（燃料电池、纯电动或插电式混合动力）；②参加共同配送。列入黑名单的企业，其车辆不得豁免。"
    assert words.en.startswith("Exempt is a vehicle of which any of these is true: (1) it is new-energy (fuel-cell, battery-electric or plug-in hybrid);")
    assert words.en.endswith("Vehicles of an enterprise on the black list are not exempt.")


def test_the_typical_question():
    said = answer(load_policy("hohhot-2019"), "2026-05-12T09:00", (111.66, 40.81), "zh")
    assert "此时此地的禁止和限制" in said and "轻型货车和大中型货车不得在“中心城区（示意）”内通行（每日20:00–次日07:00除外）。" in said and "豁免：" in said
    assert "扫描快件的网点须已备案。" in said and "电子运单使用率不得低于90%" in said
    assert "文件期满后仍继续适用" in said and "文件期满后" not in answer(load_policy("hohhot-2019"), "2020-05-12", None, "zh")


@pytest.mark.parametrize("named", ["core", "中心城区（示意）", "中心城区", "city core", "City core (illustrative)"])
def test_a_place_may_be_a_zone(named):
    """What an official knows of it is its name."""
    policy = load_policy("hohhot-2019")
    said = answer(policy, "2026-05-12T09:00", read_place(named, policy), "zh", read_vehicle("轻型货车,纯电动,厢式"))
    assert said.startswith("呼和浩特市（政策包 hohhot-2019），2026年5月12日（周二）09:00，在“中心城区（示意）”内：") and "答：不可以（所依规则为示例），除非另有所列的豁免情形。" in said


def test_of_a_zone_those_count_that_all_of_it_lies_in():
    inner, crossing = ("[[111.62, 40.82], [111.64, 40.82], [111.64, 40.84], [111.62, 40.84], [111.62, 40.82]]", "[[111.5, 40.82], [111.63, 40.82], [111.63, 40.84], [111.5, 40.84], [111.5, 40.82]]")
    more = "".join(f',\n{{"type": "Feature", "properties": {{"id": "{name}", "name_zh": "同名"}}, "geometry": {{"type": "Polygon", "coordinates": [{ring}]}}}}' for name, ring in (("inner", inner), ("crossing", crossing)))
    policy = parse_policy(PACK, "pack.yaml", lambda _: ZONES.removesuffix("]}") + more + "]}")
    assert zones_inside(read_place("inner", policy), policy) == ("old", "inner") and zones_in_part("inner", policy) == ("crossing",)
    assert "该区域有一部分还在“同名”内" in answer(policy, "2026-05-12", "inner", "zh") and "一部分" not in answer(policy, "2026-05-12", (111.63, 40.83), "zh")
    with pytest.raises(BadInput, match="several zones; say by its id which of them: inner, crossing"):
        read_place("同名", policy)


# --- examples of patterns


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("HH-[0-9]{5}", "HH-12345"),
        (r"(?i)x", None),
        (r"^(?:WL|XX)\d{2,4}[A-Z]?$", "WL12"),
        (r"[^0-9]{2}\.\x41", "京京.A"),
        (r"\p{Han}[[:upper:]]+-\w", "京A-1"),
        (r"a{0}b*c+?(?P<n>[xyz])", "cx"),
        ("[]a]", "a"),
        ("(ab){2}", "abab"),
        ("[a", None),
        ("a{200}", None),
        ("(((a{64}){64}){64}){64}", None),
        (r"\x{FFFFFFFFFFFF}", None),
        ("[一-\u9fff][A-Z][·.]?[A-Z0-9一-\u9fff]{5,6}", "京A12345"),
    ],
)
def test_an_example_of_a_pattern(pattern, example):
    assert example_of(pattern, prefer=HOME_PLATE) == example


def test_a_pattern_without_an_example_is_described():
    policy = parse(PACK.replace('"(JA|JB)-[0-9]{4}[A-Z]"', '"(?i)ja[0-9]"'))
    assert "本包所定的统一编号格式" in explain(policy, "zh") and "ja[0-9]" not in explain(policy, "zh") + explain(policy, "en")


# --- the command


LOCALES = [({"LC_ALL": "zh_CN.UTF-8"}, "zh"), ({"LANG": "zh_CN.UTF-8"}, "zh"), ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"), ({"LC_MESSAGES": "zh_TW"}, "zh"), ({}, "en")]


@pytest.mark.parametrize(("environment", "lang"), LOCALES)
def test_the_language_of_the_system(monkeypatch, environment, lang):
    from deploy.commands.policy import language_of

    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language_of(None) == lang and language_of("zh") == "zh" and language_of("en") == "en"


def test_the_command_speaks_the_language_of_the_system(yicheng):
    for locale, first in (("zh_CN.UTF-8", "呼和浩特市（政策包"), ("en_GB.UTF-8", "Hohhot (policy pack")):
        done = yicheng.run("policy", "check", "hohhot-2019", "--date", "2026-05-12T09:00", "--at", "111.66,40.81", "--vehicle", "轻型货车", LC_ALL=locale, PYTHONUTF8="1")
        assert done.returncode == 0 and done.stdout.startswith(first) and not done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lang": "fr"}, "--lang: 'fr' is neither zh (中文) nor en (English)"),
        ({"date": "12 May"}, "--date: '12 May' is neither a date such as 2019-11-01 nor an instant"),
        ({"date": "2026-13-01"}, "--date: '2026-13-01' is neither a date"),
        ({"at": "Hohhot"}, "--at: 'Hohhot' is not longitude,latitude such as 111.66,40.81"),
        ({"at": "40.81,111.66"}, "--at: '40.81,111.66' is no place on earth; longitude comes first"),
        ({"at": "nan,1"}, "--at: 'nan,1' is no place on earth"),
        ({"at": ""}, "--at: '' is not longitude,latitude"),
        ({"at": "中心城去"}, "--at: '中心城去' is not longitude,latitude such as 111.66,40.81, nor a zone of the pack; did you mean '中心城区'?"),
        ({"at": "city cor"}, "--at: 'city cor' is not longitude,latitude such as 111.66,40.81, nor a zone of the pack; did you mean 'city core'?"),
        ({"vehicle": "light_vna"}, "--vehicle: 'light_vna' is not known; did you mean 'light_van'?"),
        ({"vehicle": "轻型货柜车"}, "--vehicle: '轻型货柜车' is not known; did you mean '轻型货车'?"),
        ({"vehicle": "electric,fuel"}, "--vehicle: 'electric' and 'fuel' cannot both be"),
        ({"vehicle": "marked,无统一标识"}, "--vehicle: marked (统一标识) and unmarked (无统一标识) cannot both be"),
        ({"vehicle": ""}, "--vehicle: nothing is said of it"),
        ({"vehicle": "truck"}, "--vehicle: say where it would be, with --at"),
    ],
)
def test_wrong_options_are_one_clear_line(options, message):
    from deploy.commands.policy import policy_check

    with pytest.raises(BadInput) as caught:
        policy_check("hohhot-2019", **{"date": None, "at": None, "vehicle": None, "lang": None, "documents": None} | options)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("clause: 四, source: document", "clause: 四", "key 'source' is missing in targets.locker_cells; say source: document (with its clause) or source: operator"),
        ("source: document, basis: stated", "source: documnet, basis: stated", "source: invalid enum value 'documnet'; did you mean 'document'?"),
        ("basis: stated\n", "basis: asked\n", "basis: invalid enum value 'asked'"),
        ("- {calendars: [双十一]}", "- {basis: illustrative}", "an alternative without a condition exempts everybody; name whom"),
    ],
)
def test_a_mistake_in_a_pack_names_its_line(right, wrong, message):
    assert right in PACK
    text = PACK.replace(right, wrong)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if wrong.strip().removeprefix("- ") in line)
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert str(caught.value).startswith(f"pack.yaml:{number}: ") and message in str(caught.value) and "\n" not in str(caught.value)
