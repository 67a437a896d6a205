"""*City*: are the cities within their targets, will they be tonight, and which rule is broken where and when."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, stat, statushistory, table, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import boards, panels
from deploy.dashboards.clauses import clauses, readings
from deploy.dashboards.panels import BETTER_FROM_ZERO, MET, NUMBER, SECONDS, SHARE, WORSE_FROM_ONE, About
from deploy.dashboards.queries import (
    CITY,
    COUNTS,
    ELECTRONIC,
    FIRING,
    GREEN,
    LOADED,
    RULE,
    WHOLE_CITY,
    Query,
    Rate,
    chosen,
    compared,
    forecast_of,
    key_counts,
    key_shares,
    key_targets,
    latest,
    named,
    quantile,
    rate_of,
    series,
    target_of,
    unanswered,
)
from streams import metrics
from streams.words.basis import MARKS
from streams.words.terms import SCOPES

NO_RATE = ("今日尚未收寄快件", "no parcels accepted yet today")
NOT_HELD = ("今日尚未收寄快件，或目标不针对全市", "no parcels accepted yet today, or no target of the whole city")
NO_WORKER = ("没有工作进程在运行", "no worker is running")
NO_INCIDENT = ("没有事件", "no incidents")
OLDER_THAN_AN_HOUR = 'age=~"1h_to_4h|4h_to_1d|over_1d"'
CITY_HEADING, FIGURE, VALUE, TARGET, DISTANCE = ("城市", "City"), ("指标", "Figure"), ("数值", "Value"), ("目标", "Target"), ("与目标之差", "Distance")
DUE, CLAUSE, BASIS, SCOPE = ("期限", "Due"), ("条款", "Clause"), ("依据", "Basis"), ("对象", "About")
BASES: dict[str, str] = {basis or "operator": panels.both(words) for basis, words in MARKS.items()}


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return boards.board(
        boards.CITY_BOARD, ("城市", "City"),
        ("城市是否达标，今晚能否达标，哪条规则在何时何地被违反。", "Are the cities within their targets, will they be tonight, and which rule is broken where and when."),
        [boards.cities(), boards.rules()],
        [
            boards.Section(("一览", "At a glance"), [_met_now(), _met_tonight(), _open(), _unanswered(), _alerts(), _traffic()]),
            boards.Section(("比率与目标", "Rates and targets"), [_rate(ELECTRONIC), _rate(GREEN), _distance(ELECTRONIC), _distance(GREEN)]),
            boards.Section(("事件", "Incidents"), [_by_hour(), _when(), _open_by_rule(), _by_city(), _per_thousand()]),
            boards.Section(("车队与时限", "Fleet and delivery times"), [_fleet(), _new_energy(), _empty_runs(), _delivery(), _loading_zones()]),
            boards.Section(("主要指标", "Key figures"), [_shares(), _counts()]),
        ],
    )  # fmt: skip


def _legend(rate: Rate) -> str:
    return "{{name}} " + panels.both(rate.title)


def _met_now() -> stat.Panel:
    about = About(
        ("今日是否达标", "Within target today"),
        (f"全市今日收寄快件的两项比率是否达到政策包规定的目标；只针对主要品牌的目标不用于全市，见“企业”看板。{clauses(ELECTRONIC.rule, GREEN.rule)[0]}",
         f"Whether the two rates of all parcels accepted in the city today reach the targets that its policy sets. A target of primary brands alone is not held against the whole city: Enterprises has it. {clauses(ELECTRONIC.rule, GREEN.rule)[1]}"),
        "bool", NOT_HELD, 6, 6,
    )  # fmt: skip
    return panels.tiles(about, *(Query(named(compared(rate_of(rate, WHOLE_CITY), ">= bool", rate, WHOLE_CITY)), _legend(rate)) for rate in (ELECTRONIC, GREEN)), words=MET)


def _met_tonight() -> stat.Panel:
    about = About(
        ("今晚能否达标", "Within target tonight"),
        ("按最近一小时的进度推算，今日结束时两项比率能否达标。", "Whether the two rates will reach their targets when the day ends, if it goes on as in the last hour."),
        "bool", NOT_HELD, 6, 6,
    )  # fmt: skip
    return panels.tiles(about, *(Query(named(compared(forecast_of(rate, WHOLE_CITY), ">= bool", rate, WHOLE_CITY)), _legend(rate)) for rate in (ELECTRONIC, GREEN)), words=MET)


def _open() -> stat.Panel:
    about = About(("未结事件", "Open now"), ("此刻仍在持续的事件数。", "Incidents that go on at this moment."), NUMBER, NO_WORKER, 3, 6)
    return panels.tiles(about, Query(f"sum({series(metrics.INCIDENTS_OPEN, CITY, RULE)})"))


def _unanswered() -> stat.Panel:
    about = About(
        ("超过一小时未答复", "Unanswered for over an hour"),
        ("成立一小时以上而无人确认或驳回的事件数。详见“执法”看板。", "Incidents that stand, were opened over an hour ago, and that nobody has acknowledged or dismissed. More on Enforcement."),
        NUMBER, ("通知进程未运行", "no notifier is running"), 3, 6,
    )  # fmt: skip
    panel = panels.tiles(about, Query(unanswered(OLDER_THAN_AN_HOUR)), thresholds=WORSE_FROM_ONE)
    return panels.linked(panel, boards.ENFORCEMENT_BOARD, ("执法", "Enforcement"))


def _alerts() -> stat.Panel:
    about = About(
        ("正在告警", "Alerts firing"),
        ("Prometheus 正在发出的告警数，不含常发的心跳告警 DeadMansSwitch。详见“流水线”看板。", "Alerts that Prometheus is firing, without DeadMansSwitch, which always does. More on Pipeline."),
        NUMBER, ("告警规则未加载", "the alert rules are not loaded"), 3, 6,
    )  # fmt: skip
    panel = panels.tiles(about, Query(f"count({FIRING}) or 0 * count({LOADED})"), thresholds=WORSE_FROM_ONE)
    return panels.linked(panel, boards.PIPELINE_BOARD, ("流水线", "Pipeline"))


def _traffic() -> stat.Panel:
    about = About(("每秒轨迹点", "Fixes per second"), ("最近五分钟内平均每秒判定的轨迹点。", "Position reports judged per second, mean of the last five minutes."), panels.PER_SECOND, NO_WORKER, 3, 6)
    return panels.tiles(about, Query(f"sum({chosen('city:courier_fixes:rate5m', CITY)})"), graph=True)


def _rate(rate: Rate) -> timeseries.Panel:
    chinese, english = clauses(rate.rule)
    about = About(
        rate.title,
        (f"全市收寄快件中的占比：今日、最近一小时、最近三十天，以及按最近一小时推算的今日终值；虚线为预测与全市的目标。{chinese}",
         f"Share of the parcels accepted in the city: today, in the last 60 minutes, in the last 30 days, and what today will end with at the pace of the last hour. The forecast and a target of the whole city are dashed. {english}"),
        SHARE, NO_RATE, 12, 10,
    )  # fmt: skip
    panel = panels.lines(
        about,
        Query(named(rate_of(rate, WHOLE_CITY)), "{{name}} 今日 · today"),
        Query(named(rate_of(rate, WHOLE_CITY, window="hour")), "{{name}} 一小时 · hour"),
        Query(named(rate_of(rate, WHOLE_CITY, window="30d")), "{{name}} 三十天 · 30 days"),
        Query(named(forecast_of(rate, WHOLE_CITY)), "{{name}} 预测 · forecast"),
        Query(named(target_of(rate, WHOLE_CITY)), "{{name}} 目标 · target"),
    )
    return panels.drawn(panel, D=panels.ORANGE, E=panels.RED).axis_soft_max(1)


def _distance(rate: Rate) -> stat.Panel:
    chinese, english = rate.title
    about = About(
        (f"{chinese}与目标之差", f"{english}: distance from target"),
        ("比率减目标，百分点：零及以上（绿色）为达标。", "Rate less target, in percentage points: from zero on (green) the target is met."), SHARE, NOT_HELD, 12, 5,
    )  # fmt: skip
    return panels.tiles(
        about,
        Query(named(compared(rate_of(rate, WHOLE_CITY), "-", rate, WHOLE_CITY)), "{{name}} 今日 · today"),
        Query(named(compared(forecast_of(rate, WHOLE_CITY), "-", rate, WHOLE_CITY)), "{{name}} 预测 · forecast"),
        Query(named(compared(rate_of(rate, WHOLE_CITY, window="30d"), "-", rate, WHOLE_CITY)), "{{name}} 三十天 · 30 days"),
        thresholds=BETTER_FROM_ZERO,
    )


def _hourly(by: str) -> str:
    return f"sum by ({by}) ({chosen('city_rule:courier_incidents_opened:increase1h', CITY, RULE)})"


def _by_hour() -> timeseries.Panel:
    about = About(("每小时新增事件", "Incidents opened by hour"), ("每小时新成立的事件，按规则。", "Incidents opened in each hour, by rule."), NUMBER, NO_INCIDENT, 12, 10)
    return panels.renamed(panels.bars(about, Query(_hourly("rule"), "{{rule}}"), each="1h"), panels.RULE_NAMES)


def _when() -> statushistory.Panel:
    about = About(
        ("哪条规则，何时", "Which rule, when"), ("每条规则每小时新成立的事件数，颜色越暖越多。各规则的条款见参考手册的规则表。", "Incidents opened by rule and hour: the warmer, the more. The reference has each rule's clauses."), NUMBER, NO_INCIDENT, 12, 10,
    )  # fmt: skip
    return panels.renamed(panels.history(about, Query(f"{_hourly('rule')} > 0", "{{rule}}"), each="1h"), panels.RULE_NAMES)


def _open_by_rule() -> bargauge.Panel:
    about = About(("未结事件，按规则", "Open by rule"), ("此刻仍在持续的事件，按规则，多者在前。", "Incidents that go on now, by rule, most first."), NUMBER, NO_INCIDENT, 8, 10)
    return panels.renamed(panels.gauges(about, Query(f"sort_desc(sum by (rule) ({series(metrics.INCIDENTS_OPEN, CITY, RULE)}) > 0)", "{{rule}}")), panels.RULE_NAMES)


def _by_city() -> table.Panel:
    about = About(
        ("哪条规则，何地", "Which rule, where"),
        ("各城市各规则：未结、未答复、最近一小时新增。具体地点与证据见 ./yicheng incidents list。",
         "By city and rule: open now, unanswered, opened in the last hour. ./yicheng incidents list shows the places and the evidence."),
        NUMBER, NO_INCIDENT, 10, 10,
    )  # fmt: skip
    columns = {"name": CITY_HEADING, "rule": ("规则", "Rule"), "Value #A": ("未结", "Open"), "Value #B": ("未答复", "Unanswered"), "Value #C": ("一小时新增", "Last hour")}
    panel = panels.grid(
        about,
        Query(named(f"(sum by (city, rule) ({series(metrics.INCIDENTS_OPEN, CITY, RULE)}) > 0)")),
        Query(named(f"({unanswered(by='city, rule')} > 0)")),
        Query(named(f"({_hourly('city, rule')} > 0)")),
        columns=columns,
    )
    return panels.mapped(panel, columns["rule"], panels.RULE_NAMES)


def _per_thousand() -> timeseries.Panel:
    about = About(
        ("每千轨迹点事件数", "Incidents per 1,000 fixes"),
        ("最近一小时每千个轨迹点新成立的事件：车多车少时均可比较。", "Incidents opened for every 1,000 fixes of the last hour: comparable whether few or many vehicles report."), "short", NO_INCIDENT, 6, 10,
    )  # fmt: skip
    return panels.lines(about, Query(named(f"max by (city) ({chosen('city:courier_incidents_per_1000_fixes:ratio1h', CITY)})"), "{{name}}"))


def _fleet() -> timeseries.Panel:
    chinese, english = clauses("unregistered_vehicle")
    about = About(
        ("在用车辆", "Active vehicles"), (f"登记在册且状态为在用的车辆，按能源类型。{chinese}", f"Vehicles on file that are active, by energy. {english}"), NUMBER, NO_WORKER, 6, 9,
    )  # fmt: skip
    panel = panels.lines(about, Query(f"sum by (energy) ({latest(metrics.VEHICLES_ACTIVE, CITY, by='city, energy')})", "{{energy}}"), stacked=True)
    return panels.renamed(panel, {"electric": "纯电动 · electric", "plug_in_hybrid": "插电式混合动力 · plug-in hybrid", "fuel_cell": "燃料电池 · fuel cell", "hybrid": "混合动力 · hybrid", "fuel": "燃油 · fuel"})


def _new_energy() -> timeseries.Panel:
    about = About(
        ("新能源车辆占比", "New-energy vehicles"),
        ("在用登记机动车中新能源车辆（纯电动、插电式混合动力、燃料电池）的占比。五份文件均写明逐步提高其使用比例（如贺州 二（六）17）：武隆为要求，其余为鼓励。",
         "Share of new-energy vehicles (electric, plug-in hybrid, fuel cell) among the active registered motor vehicles. All five documents speak of a growing share (Hezhou 二（六）17): Wulong's states it, the others encourage it."),
        SHARE, NO_WORKER, 6, 9,
    )  # fmt: skip
    return panels.lines(about, Query(named(latest(metrics.NEV_RATIO, CITY)), "{{name}}")).min(0)


def _empty_runs() -> timeseries.Panel:
    about = About(
        ("空驶率", "Empty runs"),
        ("今日已知载货状态的行驶里程中空驶的占比。五份文件均鼓励企业减少空驶（如贺州 二（六）17）。",
         "Share driven empty of the distance driven today with a load that is known. All five documents encourage enterprises to run empty less (Hezhou 二（六）17)."),
        SHARE, ("今日没有已知载货状态的行驶", "nothing driven today with a load that is known"), 6, 9,
    )  # fmt: skip
    return panels.lines(about, Query(named(latest(metrics.EMPTY_RUN, CITY)), "{{name}}")).min(0)


def _loading_zones() -> table.Panel:
    about = About(
        ("装卸停车区", "Loading zones"),
        ("每个装卸停车区今日的停车次数与合计占用小时。呼和浩特、贺州、绍兴、云南的文件要求主管部门提高停车设施利用率，未定数值。",
         "By loading zone: stops today, and how many hours vehicles stood there, all together. The documents of Hohhot, Hezhou, Shaoxing and Yunnan tell the authorities to have parking places used better, and give no figure."),
        NUMBER, ("今日没有车辆在装卸停车区停留", "no vehicle has stood in a loading zone today"), 24, 8,
    )  # fmt: skip
    columns = {"name": CITY_HEADING, "zone": ("装卸停车区", "Loading zone"), "Value #A": ("停车次数", "Stops"), "Value #B": ("占用小时", "Hours occupied")}
    stops, occupied_s = (latest(metric, CITY, by="city, zone") for metric in (metrics.PARKING_STOPS, metrics.PARKING_OCCUPIED))
    return panels.grid(about, Query(named(f"({stops})")), Query(named(f"({occupied_s} / 3600)")), columns=columns)


def _delivery() -> timeseries.Panel:
    about = About(
        ("收寄到投递用时", "From acceptance to delivery"),
        ("最近一小时投递的快件从收寄到投递的用时：中位数与 90 分位。", "Time from acceptance to delivery of the parcels delivered in the last hour: median and 90th percentile."),
        SECONDS, ("最近一小时没有投递", "no deliveries in the last hour"), 6, 9,
    )  # fmt: skip
    return panels.lines(
        about,
        Query(named(quantile(0.5, metrics.DELIVERY, CITY, over="1h", by="city")), "{{name}} 50%"),
        Query(named(quantile(0.9, metrics.DELIVERY, CITY, over="1h", by="city")), "{{name}} 90%"),
    )


def _key_figures(about: About, values: str, targets: str, held: str, comparable: str) -> table.Panel:
    columns = {"name": CITY_HEADING, "measure": FIGURE, "Value #A": VALUE, "Value #B": TARGET, "Value #C": DISTANCE, "due": DUE, "clause": CLAUSE, "basis": BASIS, "scope": SCOPE}
    distance = f"(({held}) - on (city, measure) {latest(metrics.TARGET_RATIO, CITY, comparable, by='city, measure')})"
    panel = panels.grid(about, Query(named(f"({values})")), Query(named(f"({targets})")), Query(named(distance)), columns=columns)
    for heading, names in ((FIGURE, panels.MEASURE_NAMES), (BASIS, BASES), (SCOPE, {scope: panels.both(words) for scope, words in SCOPES.items()})):
        panels.mapped(panel, heading, names)
    return panels.judged(panel, DISTANCE)


def _shares() -> table.Panel:
    zh, en = readings(shares=True)
    about = About(
        ("主要指标：占比", "Key figures: shares"),
        ("登记资料、今日收寄与今日行驶得出的占比，及政策包的目标。“期限”中“–”：文件未定期限；“运营方自定”：文件未规定。空驶率越低越好，不计距离；只针对主要品牌的目标，不与全部快件的占比相比。" + zh,
         "Shares from the registry, from today's parcels and from today's driving, with the policy's targets. A dash for a date: the document sets none; “the operator's own”: the document sets no such target. Of empty runs less is better: no distance is shown; nor between a target of primary brands and a share of all parcels." + " " + en),
        SHARE, NO_WORKER, 14, 13,
    )  # fmt: skip
    return _key_figures(about, key_shares(), key_targets(f'measure!~"{COUNTS}"'), key_shares(held=True), f'measure!~"{COUNTS}|empty_run_ratio"')


def _counts() -> table.Panel:
    zh, en = readings(shares=False)
    about = About(
        ("主要指标：数量", "Key figures: numbers"),
        ("登记资料中各级设施、配送专线、车辆、智能快件箱格口与快递公共服务站的数量，以及今日运行的配送专线。" + zh, "Facilities of each level, delivery lines, vehicles, smart-locker cells and public service stations on file; the lines driven today. " + en),
        NUMBER, ("登记资料中没有这些数量", "none of these on file"), 10, 13,
    )  # fmt: skip
    return _key_figures(about, key_counts(), key_targets(f'measure=~"{COUNTS}"'), key_counts(), f'measure=~"{COUNTS}"')
