"""``yicheng policy new``: a pack to start from, with its zones and its test, and comments in Chinese and English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import msgspec

from streams.clock import Duration
from streams.errors import BadInput
from streams.policy.conditions import title_words
from streams.registry.figure_clauses import SECTIONS
from streams.registry.key_figures import TITLES
from streams.rules import RULES

ACTIVE = ("unregistered_vehicle", "restricted_hours", "unfiled_outlet")
"""The rules that a new pack judges by; all others stand in it as comments."""
ELSEWHERE = (110.0, 35.0)
"""Where the example zone lies if nobody says where."""
HALF_DEG = 0.02
LONGEST_NAME = 60
"""Characters of a city's name."""
_OWN_KEYS = {
    "nonstandard_vehicle": ["vehicles: {classes: [micro_van, light_van, truck]}", "allow: {body: [box]}"],
    "restricted_hours": [
        "vehicles: {classes: [light_van, truck]}",
        'permitted: [{days: mon-sun, from: "20:00", until: "07:00"}]',
        "exempt: # 每行是一种豁免情形，行内各条件须同时具备。A line is an alternative; all of its conditions must hold",
        "  - {passes: [green, temporary]} # 持有绿色或临时通行证 it holds such a pass",
        "  - {energy: [electric], body: [box]} # 纯电动且为厢式 battery-electric and box-bodied",
        "  - {calendars: [double_eleven]} # 上述日历期间 while the calendar is on",
    ],
    "speeding": ["vehicles: {classes: [e_tricycle]}", "limit_kmh: 15", "min_duration: 10s"],
    "forbidden_stop": ["min_duration: 30s"],
    "overstayed_stop": ["limit: 15m"],
    "blacklisted_enterprise": ["points: {unfiled_outlet: 2}", "black_at: 6"],
}
"""What a rule cannot do without, and what makes its example clear."""
_PACK = Template("""\
# $name_zh（$name_en）政策包，由 policy new 写出，供编写时使用。A policy pack to start from.
# 说明见 deploy/policy-guide.md。以 ## 开头的是说明；以 # 开头的条目删去 # 即生效。What begins with ## explains; entries that begin with # count once the # is gone.
# 编写后检查 then check it: ./yicheng policy check $slug.yaml
policy: "$slug" # 名称 the pack's name
city: {adcode: "$adcode", name_zh: $quoted_zh, name_en: $quoted_en, timezone: Asia/Shanghai}
document:
  title: 待填 # 文件标题 the document's title
  # number: 府办发〔2026〕1号 # 文号 its number
  file: document.txt # 文件全文（纯文本），与本文件放在一起，检查时逐条核对引文。Its text beside this file: every quote must stand in it
  # published: 2026-01-15 # 公布日期 published
  # in_force: {from: 2026-02-01, until: 2031-01-31} # 施行起止 in force
  # source: 文件落款日期 # 日期出自何处 from where the dates are known
  # assumed: [in_force] # 推定而非确知的日期 dates that are assumed
# valid_from: 2026-02-01 # 本包自何日起适用 from which day the pack is applied
# continued: {by: 市公安局, reason: 新文件制定中} # 文件期满后由谁、为何继续适用 who goes on beyond the document's end, and why
identifier: {pattern: "$letters-[0-9]{5}"} # 统一编号的样式，如 $letters-12345 the scheme of vehicle numbers
lateness: 10m # 迟到多久的定位仍计入 how late a fix may be
calendars:
  double_eleven: [{every_year: 11-01…11-20}] # 每年重复的日期 the same days of every year
  # trade_fair: [{from: 2026-06-12, until: 2026-06-18}] # 某一年的日期 days of one year
zones: $slug.geojson # 区域 the zones
rules:
## 每条规则 of every rule:
##   clause 条款，quote 原文逐字 its own words, word by word
##   severity: violation 违规 | warning 提醒
##   basis: stated 文件要求 | encouraged 文件鼓励 | illustrative 文件未要求，为示例；前两种须写 quote、duty_of。the first two need quote and duty_of
##   figures: illustrative 仅数值、区域或时段为示例 only the figures are ours
##   duty_of: authority 主管部门 | enterprise 企业 | driver 驾驶人 | others 其他
##   responsible: [责任单位 the authorities that the document names]
##   stands_in_for: 主管部门尚待制定的办法 rules that the authorities are still to make
$rules
targets: # 目标 targets: source: document 须有 clause needs clause | operator 运营方的目标 the operator's own
  electronic_waybill: {value: 0.90, source: operator}
  # locker_cells: {value: 1000, by: 2027-12-31, clause: 四（十二）, source: document, basis: stated, quote: 待填}
## 文件提到的主要指标，报告和控制台在指标旁引用 where the document speaks of key figures, as reports quote it beside them: $figures
# figure_clauses:
#   nev_share: {clause: 待填, quote: 待填}
""")
_ZONES = Template("""\
{"type": "FeatureCollection", "adcode": "$adcode", "features": [
{"type": "Feature", "properties": {"id": "example", "kind": "restricted", "name_zh": "示例区域（示意）", "name_en": "example zone (illustrative)", "illustrative": true},
 "geometry": {"type": "Polygon", "coordinates": [$ring]}}
]}
""")
_TEST = Template('''\
"""政策包的检查；在驿程目录中运行。The pack is checked; run it in Yicheng's folder: .venv/bin/python -m pytest $slug"""

from pathlib import Path

import pytest

from deploy.packs.applies import may
from deploy.packs.asked_vehicle import read_vehicle
from deploy.packs.explain import explain
from streams.policy.reader import load_policy

PACK = Path(__file__).with_name("$slug.yaml")
DOCUMENT = PACK.with_name("document.txt")
IN_ZONE = ($lon, $lat)  # 区域内的一点 a place inside the zone


def test_the_pack_is_read_and_its_quotes_stand_in_the_document():
    """政策包无误，引文与文件一致。"""
    load_policy(str(PACK), PACK.parent if DOCUMENT.exists() else None)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_rule_can_be_said_in_words(lang):
    """每条规则都能用文字说明。"""
    policy = load_policy(str(PACK))
    said = explain(policy, lang)
    assert all(rule.id in said for rule in policy.pack.rules)


@pytest.mark.parametrize(
    ("moment", "place", "vehicle", "answer"),
    [
        # 何时、何地、何车、可否：yes 可以，no 不可以，unless 除非豁免。When, where, which vehicle, and may it be there?
        ("2026-05-12T12:00", IN_ZONE, "轻型货车,燃油", "unless"),
        ("2026-05-12T12:00", IN_ZONE, "轻型货车,纯电动,厢式", "yes"),
        ("2026-05-12T12:00", IN_ZONE, "轻型货车,燃油,绿色通行证", "yes"),
        ("2026-05-12T21:00", IN_ZONE, "轻型货车,燃油", "yes"),
        ("2026-11-11T12:00", IN_ZONE, "轻型货车,燃油", "yes"),
    ],
)
def test_who_may_be_there(moment, place, vehicle, answer):
    """此时此地此车可否通行。"""
    assert may(load_policy(str(PACK)), moment, place, read_vehicle(vehicle)) == answer
''')


class City(NamedTuple):
    """A city as ``--city`` names it."""

    name_zh: str
    name_en: str
    adcode: str

    @property
    def slug(self) -> str:
        """Its English name as files are named by it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name_en.lower()).strip("-")


def read_city(text: str) -> City:
    """``呼和浩特市,Hohhot,150100``; ``BadInput`` says what is wrong with it."""
    parts = [part.strip() for part in text.replace("，", ",").split(",")]
    example = "; say it as in 呼和浩特市,Hohhot,150100"
    if len(parts) != len(City._fields):
        raise BadInput(f"--city: {text!r} is not the city's name in Chinese, its name in English and its division code{example}")
    city = City(*parts)
    for part in parts:
        if len(part) > LONGEST_NAME or not part.isprintable():
            raise BadInput(f"--city: {part[:LONGEST_NAME]!r} is longer than {LONGEST_NAME} characters, or not on one line{example}")
    if not re.search("[\u4e00-\u9fff]", city.name_zh):
        raise BadInput(f"--city: {city.name_zh!r} is no name in Chinese{example}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z' .-]*", city.name_en):
        raise BadInput(f"--city: {city.name_en!r} is no name in Latin letters{example}")
    if not re.fullmatch(r"[1-9][0-9]{5}", city.adcode):
        raise BadInput(f"--city: {city.adcode!r} is no division code of six digits (GB/T 2260){example}")
    return city


def write_pack(city: City, out: Path, centre: tuple[float, float] | None) -> list[Path]:
    """The pack, its zones and its test in a folder, which is made; ``BadInput`` where one of them is there already, and none is written."""
    lon, lat = _inside(*(centre or ELSEWHERE))
    values = {"slug": city.slug, "adcode": city.adcode, "name_zh": city.name_zh, "name_en": city.name_en, "lon": f"{lon:g}", "lat": f"{lat:g}"}
    values |= {"quoted_zh": _quoted(city.name_zh), "quoted_en": _quoted(city.name_en), "letters": re.sub("[^A-Z]", "", city.name_en.upper())[:2], "ring": _ring(lon, lat)}
    values["rules"] = "\n".join(_rules())
    values["figures"] = ", ".join((*(name for name in TITLES if not name.endswith("_unknown_share")), *SECTIONS))
    texts = {f"{city.slug}.yaml": _PACK, f"{city.slug}.geojson": _ZONES, f"test_{city.slug.replace('-', '_')}.py": _TEST}
    there = [out / name for name in texts if (out / name).exists()]
    if there:
        raise BadInput(f"{there[0]} is there already and stays as it is; give another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, template in texts.items():
            (out / name).write_text(template.substitute(values), "utf-8")
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give the name of a folder") from None
    return [out / name for name in texts]


def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _inside(lon: float, lat: float) -> tuple[float, float]:
    """The centre of the square that a place is in, moved where the square would go beyond the end of degrees."""
    return min(max(lon, HALF_DEG - 180), 180 - HALF_DEG), min(max(lat, HALF_DEG - 90), 90 - HALF_DEG)


def _ring(lon: float, lat: float) -> str:
    """A square around a place."""
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    return f"[{', '.join(f'[{lon + east * HALF_DEG:.6g}, {lat + north * HALF_DEG:.6g}]' for east, north in corners)}]"


def _rules() -> Iterator[str]:
    """Every rule, those in use first."""
    for rule in (*ACTIVE, *(rule for rule in RULES if rule not in ACTIVE)):
        words = title_words(rule)
        yield f"\n  ## {words.zh} · {words.en}"
        lead = "  " if rule in ACTIVE else "  # "
        for number, line in enumerate(_entry(rule)):
            yield f"{lead}{'  ' if number else ''}{line}"


def _entry(rule: str) -> Iterator[str]:
    module = RULES[rule]
    yield f"- rule: {rule}"
    yield f"id: {rule.replace('_', '-')}"
    yield "clause: 待填"
    yield "severity: warning"
    yield "basis: illustrative"
    if getattr(module, "ZONES", "none") in {"required", "outside"}:
        yield "zones: [example]"
    own = _OWN_KEYS.get(rule, [])
    yield from own
    said = {line.partition(":")[0] for line in own}
    for field in msgspec.structs.fields(module.Parameters):
        if field.name not in said and (value := _written(field)) is not None:
            yield f"{field.name}: {value}"


def _written(field: Any) -> str | None:
    """The default of a parameter as a pack writes it; None where there is no number to say."""
    value = field.default
    if isinstance(value, Duration):
        return f"{value // 60_000}m" if value % 60_000 == 0 else f"{value}ms"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else None
