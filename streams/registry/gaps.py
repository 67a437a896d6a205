"""What a registry does not say, and which key figures and rules suffer from it; what it refers to and does not hold; notices that come too late. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from streams.clock import DAY_MS, local_date
from streams.errors import closest
from streams.registry.cities import belongs
from streams.registry.doubts import Words, doubts, unknown_lines
from streams.registry.key_figures import SUBSIDISED, TITLES, active_vehicles, is_motor, network, served_townships, standardised_outlets
from streams.registry.names import NAMES, numbered
from streams.registry.records import Notice
from streams.registry.registry import Registry

Valid = Mapping[str, Sequence[Any]]
STANDINGS = (("primary_brand", "主要品牌", "primary brand"), ("key_enterprise", "重点企业", "key enterprise"))
"""Keys of enterprises that say no where they say nothing."""
BY_EMISSIONS = ("按排放标准统计的车辆", "vehicles by emission standard")
MOST_NAMED = 5


class Need(NamedTuple):
    """A key that figures and rules need: of which records, in words, and what becomes of those that lack it.

    ``rules`` cannot judge them, or hold it against them (``offends``); ``rule:key`` is a rule of which a parameter asks for it, ``exempt:key`` the exemptions that do.
    """

    key: str
    zh: str
    en: str
    records: Callable[[Valid], list[Any]]
    kind: str
    figures: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    counts_as_no: bool = False
    offends: bool = False


def _all(kind: str) -> Callable[[Valid], list[Any]]:
    return lambda valid: list(valid[kind])


def _motor(valid: Valid) -> list[Any]:
    return [vehicle for vehicle in active_vehicles(valid) if is_motor(vehicle)]


def _burning(valid: Valid) -> list[Any]:
    return [vehicle for vehicle in _motor(valid) if vehicle.energy in {"fuel", "hybrid", "plug_in_hybrid"}]


def _unserved(valid: Valid) -> list[Any]:
    served = served_townships(valid["outlet"])
    return [township for township in valid["township"] if township.id not in served]


def _pickup_points(valid: Valid) -> list[Any]:
    return [facility for facility in valid["facility"] if facility.level == "pickup_point"]


def _villages(valid: Valid) -> list[Any]:
    return [facility for facility in valid["facility"] if facility.level == "village"]


_EMISSIONS = ("emission_3", "emission_4", "emission_5", "emission_6", "emission_other")
NEEDS = (
    Need("camera", "是否设有视频监控", "whether they have a camera", _all("outlet"), "outlet", ("camera_outlet_share",), ("unmonitored_outlet", "offline_camera")),
    Need("filed", "是否备案", "whether they are on file", _all("outlet"), "outlet", ("filed_outlet_share",), ("unfiled_outlet",), counts_as_no=True, offends=True),
    Need("recycling_container", "是否设包装回收装置", "whether they have a recycling container", _all("outlet"), "outlet", ("recycling_outlet_share",)),
    Need("standardised", "是否为标准化网点", "whether they are standardised", _all("outlet"), "outlet", ("reusable_box_outlet_share",)),
    Need("reusable_boxes", "是否配置可回收利用包装箱", "whether they have reusable boxes", standardised_outlets, "outlet", ("reusable_box_outlet_share",)),
    Need("vehicle_class", "车型", "of which class they are", active_vehicles, "vehicle", ("nev_share", "e_bikes", "e_tricycles"), ("nonstandard_vehicle:classes",), offends=True),
    Need("body", "车厢形式", "whether they are boxed", active_vehicles, "vehicle", (), ("nonstandard_vehicle:body",), offends=True),
    Need("energy", "能源类型", "on what they run", _motor, "vehicle", ("nev_share",), ("nonstandard_vehicle:energy",), counts_as_no=True, offends=True),
    Need("driver_ids", "驾驶人", "who drives them", active_vehicles, "vehicle", (), ("untrained_driver", "uninsured_driver")),
    Need("trained_until", "培训有效期", "until when they are trained", _all("driver"), "driver", (), ("untrained_driver",), offends=True),
    Need("emission_standard", "排放标准", "which emission standard they meet", _burning, "vehicle", _EMISSIONS),
    Need("valid_from", "首次登记日期", "since when they are registered", _motor, "vehicle", (SUBSIDISED,)),
    Need("joint_delivery", "是否从事共同配送", "whether they deliver jointly", active_vehicles, "vehicle", ("joint_delivery_share",)),
    Need("marked", "是否有统一标识", "whether they bear the unified marking", active_vehicles, "vehicle", (), ("unmarked_vehicle", "exempt:marked")),
    Need("plate", "号牌", "which plate they bear", _motor, "vehicle", (), ("unmarked_vehicle",)),
    Need("licensed_until", "经营许可有效期", "until when they are licensed", _all("enterprise"), "enterprise", ("licensed_enterprise_share",), ("unlicensed_enterprise",)),
    Need("covered", "是否覆盖（也没有已备案网点服务）", "whether they are covered, and no outlet on file serves them", _unserved, "township", ("township_coverage",), (), counts_as_no=True),
    Need("locker_cells", "智能快件箱格口数", "how many locker cells they have", _all("township"), "township", ("locker_cells",)),
    Need("service_stations", "公共服务站数", "how many service stations they have", _all("township"), "township", ("service_stations",)),
    Need("villages", "行政村数", "how many villages they have", _all("township"), "township", ("village_coverage",)),
    Need("urban", "是否属于城区", "whether they are urban", _all("township"), "township", ("pickup_point_coverage",)),
    Need("township", "所在乡镇（街道）", "in which township they stand", _pickup_points, "facility", ("pickup_point_coverage",)),
    Need("village", "所服务的行政村", "which village they serve", _villages, "facility", ("village_coverage",)),
)  # fmt: skip
REFERENCES = (
    ("vehicle", "enterprise_id", "enterprise"), ("vehicle", "driver_ids", "driver"), ("driver", "enterprise_id", "enterprise"), ("outlet", "enterprise_id", "enterprise"),
    ("outlet", "township", "township"), ("pass", "vehicle_id", "vehicle"), ("pass", "enterprise_id", "enterprise"), ("facility", "enterprise_id", "enterprise"),
    ("facility", "township", "township"), ("line", "vehicle_ids", "vehicle"),
)  # fmt: skip
"""Kind, key, and the kind of the records that the key names."""


class Gaps(NamedTuple):
    """What there is, what is missing, which names lead nowhere, which notices come too late, and what is most likely not meant: each a sentence in both languages."""

    counts: Words
    missing: list[Words]
    unknown: list[Words]
    late: list[Words]
    doubtful: list[Words]

    def words(self) -> list[Words]:
        """All of it, the numbers of records first."""
        said = [*self.unknown, *self.doubtful, *self.late, *self.missing]
        return [self.counts, *said] if said else [self.counts, ("没有缺项", "nothing is missing")]


def gaps(registry: Registry, at_ms: int, rules: Mapping[str, Words], city: str, targets: Collection[str] = (), lines: Collection[str] = (), spoken: Collection[str] = (), subsidised: tuple[str, str] | None = None) -> Gaps:
    """What a registry says at an instant (ms), for these rules (what they and their exemptions are called) and delivery ``lines``, and the key figures of a city (adcode) of which its document has ``spoken`` and its targets."""
    numbers = {kind: sum(1 for _ in registry.each(kind)) for kind in NAMES}
    counts = (
        "，".join(f"{NAMES[kind][0]} {number:,} {NAMES[kind][1]}" for kind, number in numbers.items() if number) or "没有记录",
        ", ".join(numbered(kind, number) for kind, number in numbers.items() if number) or "no records",
    )
    unknown = [*unknown_references(registry), *unknown_lines(registry, lines)]
    return Gaps(counts, list(missing(registry, at_ms, rules, figures_of(spoken, targets), city, subsidised)), unknown, list(late_notices(registry)), [*of_other_cities(registry, city), *doubts(registry), *_contradictions(registry.valid(at_ms, city))])


def of_other_cities(registry: Registry, own: str) -> Iterator[Words]:
    """Records that say that they are of a city that does not belong to one's ``own`` (adcode)."""
    for kind in NAMES:
        found: dict[str, str] = {record.id: city for record in registry.each(kind) if (city := getattr(record, "city", None)) and not belongs(city, own)}
        if found:
            cities, number = _some(sorted(set(found.values()))), len(found)
            yield (
                f"{number:,} {NAMES[kind][1]}{NAMES[kind][0]}（{_some(list(found))}）填写的城市（city）为 {cities}，不属于 {own}：不计入 {own} 的主要指标",
                f"{numbered(kind, number)} ({_some(list(found))}) of another city than {own} (city: {cities}): counted in no key figure of {own}",
            )


def _contradictions(valid: Valid) -> Iterator[Words]:
    """Townships of which their own record and the outlets on file say the opposite: what either says counts as covered."""
    unserved = {township.id for township in _unserved(valid)}
    alone = [township.id for township in valid["township"] if township.covered and township.id in unserved]
    denied = [township.id for township in valid["township"] if township.covered is False and township.id not in unserved]
    if alone:
        yield (
            f"{len(alone):,} 个乡镇（{_some(alone)}）填为已覆盖（covered: true），却没有已备案网点（filed: true）填写该乡镇（township）：按其自填计入“{TITLES['township_coverage'][0]}”，请补填网点或核实",
            f"{numbered('township', len(alone))} ({_some(alone)}): covered is true, and no outlet on file (filed: true) names the township; covered by its own word alone, in “{TITLES['township_coverage'][1]}”: add the outlet's township, or correct covered",
        )
    if denied:
        yield (
            f"{len(denied):,} 个乡镇（{_some(denied)}）填为未覆盖（covered: false），却有已备案网点（filed: true）填写该乡镇（township）：按网点计入“{TITLES['township_coverage'][0]}”，请核实",
            f"{numbered('township', len(denied))} ({_some(denied)}): covered is false, and an outlet on file (filed: true) names the township; covered by the outlet, in “{TITLES['township_coverage'][1]}”: correct one of them",
        )


def _some(names: Sequence[str]) -> str:
    """The first few names."""
    return f"{', '.join(names[:MOST_NAMED])}{', …' if len(names) > MOST_NAMED else ''}"


def figures_of(spoken: Collection[str], targets: Collection[str]) -> set[str]:
    """The key figures that matter to a city: those of which its document has ``spoken``, or all where it says of none where, and its targets."""
    return (TITLES.keys() & set(spoken) or TITLES.keys() - {SUBSIDISED}) | set(targets)


def missing(registry: Registry, at_ms: int, rules: Mapping[str, Words], figures: Collection[str], city: str | None = None, subsidised: tuple[str, str] | None = None) -> Iterator[Words]:
    """What the records valid at an instant (ms) do not say, of what these figures and the ``rules`` of a pack need."""
    valid, known = registry.valid(at_ms, city), network(registry, at_ms, city, subsidised)
    for need in NEEDS:
        records = need.records(valid)
        silent = sum(getattr(record, need.key) in (None, []) for record in records)
        shown, broken = [f for f in need.figures if f in figures], [rules[rule] for rule in need.rules if rule in rules]
        if silent and (shown or broken):
            yield _said(need, silent, len(records), shown, broken, is_known=any(figure in known for figure in need.figures))
    for kind, needing in (("vehicle", ("nev_share",)), ("outlet", ("filed_outlet_share", "camera_outlet_share")), ("facility", ("hubs", "village_points")),
                          ("township", ("township_coverage", "locker_cells")), ("line", ("delivery_lines",)), ("enterprise", ("licensed_enterprise_share",))):  # fmt: skip
        wanting = [figure for figure in needing if figure in figures]
        if wanting and not valid[kind]:
            yield f"没有任何{NAMES[kind][0]}记录：{_titles(wanting, 0)}未知（–）", f"there is no {NAMES[kind][2]} on record: {_titles(wanting, 1)} unknown (–)"
    for key, zh, en in STANDINGS:
        if not any(getattr(enterprise, key) for enterprise in valid["enterprise"]) and (effects := list(_without(key, rules))):
            yield f"没有企业填为{zh}（{key}: true）：{'；'.join(said for said, _ in effects)}", f"no enterprise is a {en} ({key}: true): {'; '.join(said for _, said in effects)}"


def _without(key: str, asking: Mapping[str, Words]) -> Iterator[Words]:
    """What becomes of the figures, rules and exemptions that are about enterprises of a standing only (``name:key``), where there is none."""
    for name, (zh, en) in asking.items():
        about, _, asked = name.partition(":")
        if asked == key:
            yield (
                (f"“{zh}”未知（–）", f"“{en}” unknown (–)") if about in TITLES
                else (f"“{zh}”对谁都不起作用", f"“{en}” free nobody") if about == "exempt"
                else (f"规则“{zh}”不判断任何企业", f"rule “{en}” judges nobody")
            )  # fmt: skip


def _said(need: Need, silent: int, whole: int, figures: list[str], rules: list[Words], *, is_known: bool) -> Words:
    word = NAMES[need.kind][1]
    zh = f"{NAMES[need.kind][0]} {whole:,} {word}中有 {silent:,} {word}未填{need.zh}（{need.key}）"
    en = f"{silent:,} of {numbered(need.kind, whole)} {'does' if silent == 1 else 'do'} not say {need.en} ({need.key})"
    effects: list[Words] = []
    if figures:
        titles = _titles(figures, 0), _titles(figures, 1)
        if not is_known:
            effects.append((f"{titles[0]}未知（–）", f"{titles[1]} unknown (–)"))
        elif need.counts_as_no:
            effects.append((f"在{titles[0]}中按“否”计", f"they count as no in {titles[1]}"))
        else:
            effects.append((f"{titles[0]}只涵盖 {whole - silent:,} {word}", f"{titles[1]} of {numbered(need.kind, whole - silent)} only"))
    if rules:
        zh_effect, en_effect = ("将其按违规处理", "counts them as offending") if need.offends else ("无法判断它们", "cannot judge them")
        effects.append((f"规则{'、'.join(f'“{rule[0]}”' for rule in rules)}{zh_effect}", f"{'rule' if len(rules) == 1 else 'rules'} {', '.join(f'“{rule[1]}”' for rule in rules)} {en_effect}"))
    return f"{zh}：{'；'.join(effect[0] for effect in effects)}", f"{en}: {'; '.join(effect[1] for effect in effects)}"


def _titles(figures: Iterable[str], language: int) -> str:
    titles = dict.fromkeys(BY_EMISSIONS[language] if figure.startswith("emission_") else TITLES[figure][language] for figure in figures)
    return "、".join(f"“{title}”" for title in titles) if language == 0 else ", ".join(f"“{title}”" for title in titles)


def unknown_references(registry: Registry) -> Iterator[Words]:
    """What records name and the registry does not hold, whenever it is valid."""
    for kind, key, target in REFERENCES:
        names: dict[str, set[str]] = {}
        for entry in registry.each(kind):
            value = getattr(entry, key)
            for name in value if isinstance(value, list) else [value] if value else []:
                if not registry.knows(target, name):
                    names.setdefault(name, set()).add(entry.id)
        if names:
            yield _unknown(registry, kind, key, target, names)
    for notice in registry.each("notice"):
        assert isinstance(notice, Notice)
        about, _, name = notice.subject.partition("/")
        if about not in {"vehicle", "outlet", "enterprise"} or not registry.knows(about, name):
            yield (
                f"通知 {notice.id} 的对象 {notice.subject} 不在登记资料中，或不是 vehicle/编号、outlet/编号、enterprise/编号：该通知对谁都不起作用",
                f"notice {notice.id}: its subject {notice.subject} is not in the registry, or not vehicle/ID, outlet/ID or enterprise/ID: it counts for nobody",
            )


def _unknown(registry: Registry, kind: str, key: str, target: str, names: Mapping[str, set[str]]) -> Words:
    naming = sorted(set().union(*names.values()))
    some = _some(sorted(names))
    meant = closest(next(iter(sorted(names))), [entry.id for entry in registry.each(target)], 0.8)
    guess = (f"；是否为 {meant}？", f"; did you mean {meant}?") if meant and len(names) == 1 else ("", "")
    owners = _some(naming)
    return (
        f"{len(naming):,} 条{NAMES[kind][0]}记录（{owners}）的 {key} 引用了登记资料中没有的{NAMES[target][0]}：{some}{guess[0]}",
        f"{numbered(kind, len(naming))} ({owners}): {key} names {numbered(target, len(names))} not in the registry: {some}{guess[1]}",
    )


def late_notices(registry: Registry) -> Iterator[Words]:
    """Notices that were filed after they begin, or do not say when, or that end before they begin (semantics 7): they are kept, and what they do not count for."""
    for notice in registry.each("notice"):
        assert isinstance(notice, Notice)
        filed_ms, from_ms, until_ms = registry.notice_times(notice)
        named = f"{notice.id} ({notice.subject})"
        if filed_ms > from_ms:
            yield (
                f"通知 {named} 于 {notice.filed_at} 报备，晚于其开始时间 {notice.from_}：予以保留，但对报备前已开始的中断不算提前通知",
                f"notice {named} was filed at {notice.filed_at}, after it begins at {notice.from_}: it is kept, and does not count for an interruption that began before it was filed",
            )
        if not notice.filed_at:
            yield (
                f"通知 {named} 未填报备时间（filed_at）：按开始时间 {notice.from_} 报备计，对此前已开始的中断不算提前通知",
                f"notice {named} does not say when it was filed (filed_at): it counts as filed when it begins, at {notice.from_}, and not for an interruption that began before",
            )
        elif local_date(notice.filed_at) and filed_ms <= from_ms < filed_ms + DAY_MS:
            yield (
                f"通知 {named} 于开始当日 {notice.filed_at} 报备，报备时间（filed_at）未填时刻：按当日零时计，请补填时刻",
                f"notice {named} was filed on the day it begins, {notice.filed_at}, and filed_at gives no time: it counts as filed when that day began; add the time",
            )
        if until_ms <= from_ms:
            yield f"通知 {named} 的结束时间 {notice.until} 不晚于开始时间 {notice.from_}：不涵盖任何时间", f"notice {named} ends at {notice.until}, not after it begins at {notice.from_}: it covers no time"
