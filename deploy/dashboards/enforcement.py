"""*Enforcement*: who has not answered, how long answers take, what is dismissed, and whether notifications arrive."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import boards, panels
from deploy.dashboards.panels import GREEN, NUMBER, ORANGE, RED, SECONDS, SHARE, WORSE_FROM_ONE, About
from deploy.dashboards.queries import CITY, RULE, Query, answers, chosen, latest, named, number_in, pending, quantile, unanswered
from streams import metrics
from streams.counts import OTHER
from streams.wire.answers import ACTION_WORDS, NO_ANSWERS

NO_ANSWER = ("尚无答复", "no answers yet")
NO_NOTIFIER = ("通知进程未运行", "no notifier is running")
NO_HAND_OVER = ("没有投递", "nothing was handed over")
AGES = {
    "under_15m": ("15 分钟内", "under 15 min"), "15m_to_1h": ("15 分钟至 1 小时", "15 min to 1 h"), "1h_to_4h": ("1 至 4 小时", "1 h to 4 h"),
    "4h_to_1d": ("4 小时至 1 天", "4 h to 1 day"), "over_1d": ("1 天以上", "over 1 day"),
}  # fmt: skip
"""The labels by which unanswered incidents are told apart, youngest first."""
OLDEST, DISMISSED = 'age="over_1d"', 'action="dismissed"'
ANSWERED = f'action!~"{"|".join([*sorted(NO_ANSWERS), OTHER])}"'
"""Notes and objections are counted with the answers; the incident still waits."""
ACTION_NAMES = {action: panels.both(words) for action, words in ACTION_WORDS.items()} | {OTHER: "其他 · other"}


def dashboard() -> Dashboard:
    """The whole dashboard."""
    return boards.board(
        boards.ENFORCEMENT_BOARD, ("执法", "Enforcement"),
        ("谁尚未答复，答复需时多久，驳回多少，通知是否送达。", "Who has not answered, how long answers take, what is dismissed, and whether notifications arrive."),
        [boards.cities(), boards.rules()],
        [
            boards.Section(("一览", "At a glance"), [_unanswered(), _oldest(), _time_now(0.5), _time_now(0.9), _dismissed_now(), _pending_now(), _failing_now()]),
            boards.Section(("未答复", "Unanswered"), [_by_age(), _by_rule_and_age(), _opened_and_answered(), _by_city_and_age()]),
            boards.Section(("答复", "Answers"), [_time_by_rule("p50_1d", ("中位数", "median")), _time_by_rule("p90_1d", ("90 分位", "90th percentile")), _times(), _answers(), _dismissals()]),
            boards.Section(("通知", "Notifications"), [_transitions(), _handed_over(), _hand_over_time(), _outbox(), _failing(), _alerts()]),
        ],
    )  # fmt: skip


def _unanswered() -> stat.Panel:
    about = About(("未答复", "Unanswered"), ("成立而无人确认或驳回的事件。", "Incidents that stand and that nobody has acknowledged or dismissed."), NUMBER, NO_NOTIFIER, 4, 5)
    return panels.tiles(about, Query(unanswered()))


def _oldest() -> stat.Panel:
    about = About(("超过一天未答复", "Unanswered for over a day"), ("成立超过一天而仍未答复的事件。", "Incidents that were opened over a day ago and are still unanswered."), NUMBER, NO_NOTIFIER, 4, 5)
    return panels.tiles(about, Query(unanswered(OLDEST)), thresholds=WORSE_FROM_ONE)


def _time_now(share: float) -> stat.Panel:
    chinese, english = ("中位数", "median") if share == 0.5 else ("90 分位", "90th percentile")
    about = About(
        (f"答复用时：{chinese}", f"Time to answer: {english}"),
        ("最近一天内得到首次答复的事件，从成立到答复的用时。", "From an incident's opening to its first answer, of those answered in the last day."), SECONDS, NO_ANSWER, 3, 5,
    )  # fmt: skip
    return panels.tiles(about, Query(quantile(share, metrics.ACKNOWLEDGE_SECONDS, CITY, RULE, over="1d")))


def _dismissed_now() -> stat.Panel:
    about = About(
        ("驳回占比", "Dismissed"), ("所选时间内的答复中驳回的占比：高则规则或数据有误。", "Share of dismissals among the answers of the time shown: where it is high, rules or data are wrong."), SHARE, NO_ANSWER, 4, 5,
    )  # fmt: skip
    return panels.tiles(about, Query(f"{answers('$__range', DISMISSED)} / ({answers('$__range', ANSWERED)} > 0)"))


def _pending_now() -> stat.Panel:
    about = About(("待通知", "Pending"), ("已发布而接收方尚未取走的事件变更。", "Incident transitions published that a sink has still to take."), NUMBER, NO_NOTIFIER, 3, 5)
    return panels.tiles(about, Query(f"sum({pending()})"), graph=True)


def _failing_now() -> stat.Panel:
    about = About(("故障接收方", "Sinks failing"), ("上次投递未成的接收方数目。", "Sinks whose last hand-over failed."), NUMBER, NO_NOTIFIER, 3, 5)
    return panels.tiles(about, Query(f"sum({latest(metrics.SINK_FAILING, by='namespace, sink')})"), thresholds=WORSE_FROM_ONE)


def _by_age() -> timeseries.Panel:
    about = About(("未答复，按时长", "Unanswered by age"), ("未答复的事件，按成立至今的时长叠加。", "Unanswered incidents, stacked by the time since they were opened."), NUMBER, NO_NOTIFIER, 9, 10)
    panel = panels.lines(about, Query(unanswered(by="age"), "{{age}}"), stacked=True)
    return panels.renamed(panel, {age: panels.both(words) for age, words in AGES.items()})


def _by_rule_and_age() -> table.Panel:
    about = About(("未答复，按规则与时长", "Unanswered by rule and age"), ("每条规则未答复的事件，按成立至今的时长。", "Unanswered incidents of each rule, by the time since they were opened."), NUMBER, NO_NOTIFIER, 9, 10)
    columns = {"rule\\age": ("规则", "Rule"), **AGES}
    panel = panels.grid(about, Query(unanswered(by="rule, age")), columns=columns, rows="rule", across="age")
    return panels.mapped(panel, ("规则", "Rule"), panels.RULE_NAMES)


def _by_city_and_age() -> table.Panel:
    about = About(("未答复，按城市与时长", "Unanswered by city and age"), ("哪个城市尚未答复：每个城市未答复的事件，按成立至今的时长。", "Who has not answered: unanswered incidents of each city, by the time since they were opened."), NUMBER, NO_NOTIFIER, 24, 7)
    return panels.grid(about, Query(named(f"({unanswered(by='city, age')})")), columns={"name\\age": ("城市", "City"), **AGES}, rows="name", across="age")


def _opened_and_answered() -> timeseries.Panel:
    about = About(
        ("新增与答复", "Opened and answered"), ("每小时新成立的事件与得到的答复：答复长期低于新增，积压即增长。", "Incidents opened and answers given in an hour: where answers stay below, what is unanswered grows."), NUMBER, NO_ANSWER, 6, 10,
    )  # fmt: skip
    return panels.lines(
        about,
        Query(f"sum({chosen('city_rule:courier_incidents_opened:increase1h', CITY, RULE)})", "新增 · opened"),
        Query(answers("1h", ANSWERED), "答复 · answers"),
    )


def _time_by_rule(recorded: str, words: tuple[str, str]) -> timeseries.Panel:
    about = About(
        (f"答复用时，按规则：{words[0]}", f"Time to answer by rule: {words[1]}"),
        ("最近一天内得到首次答复的事件，从成立到答复的用时；选择多个城市时取最慢者。", "From an incident's opening to its first answer, of those answered in the last day; of several cities that of the slowest."), SECONDS, NO_ANSWER, 12, 9,
    )  # fmt: skip
    return panels.renamed(panels.lines(about, Query(f"max by (rule) ({chosen(f'rule:courier_acknowledge_seconds:{recorded}', CITY, RULE)})", "{{rule}}")), panels.RULE_NAMES)


def _times() -> heatmap.Panel:
    about = About(("答复用时分布", "How long answers took"), ("每小时得到首次答复的事件，按用时分格。", "Incidents answered first in each hour, by how long that took."), NUMBER, NO_ANSWER, 8, 9)
    of_one = number_in("$__interval", metrics.ACKNOWLEDGE_SECONDS, CITY, RULE, by="instance, namespace, city, rule, le", part="_bucket")
    return panels.heat(about, Query(f"sum by (le) (max by (namespace, city, rule, le) ({of_one}))", "{{le}}"), each="1h", of=SECONDS)


def _answers() -> timeseries.Panel:
    about = About(
        ("答复", "Answers"), ("每小时的答复，按种类；备注与企业申诉不算答复，事件仍待处理。", "Answers in each hour, by kind. A note or an enterprise's objection is shown, too, but the incident still waits."), NUMBER, NO_ANSWER, 8, 9,
    )  # fmt: skip
    panel = panels.bars(about, Query(answers("$__interval", by="action"), "{{action}}"), each="1h")
    return panels.renamed(panel, ACTION_NAMES)


def _dismissals() -> bargauge.Panel:
    about = About(
        ("驳回占比，按规则", "Dismissed by rule"), ("所选时间内每条规则的答复中驳回的占比，高者在前。", "Share of dismissals among the answers to each rule in the time shown, greatest first."), SHARE, NO_ANSWER, 8, 9,
    )  # fmt: skip
    share = f"{answers('$__range', DISMISSED, by='rule')} / ({answers('$__range', ANSWERED, by='rule')} > 0)"
    return panels.renamed(panels.gauges(about, Query(f"sort_desc({share})", "{{rule}}")), panels.RULE_NAMES)


def _transitions() -> timeseries.Panel:
    about = About(
        ("事件变更", "Incident transitions"), ("已发布的事件变更：成立、更新、结束、撤回。撤回应极少。", "Transitions published: opened, updated, closed, retracted. Few should be retracted."), NUMBER, ("没有事件", "no incidents"), 8, 9,
    )  # fmt: skip
    panel = panels.bars(about, Query(number_in("$__interval", metrics.INCIDENTS, CITY, RULE, by="transition"), "{{transition}}"), each="5m")
    return panels.renamed(panel, panels.TRANSITION_NAMES)


def _handed_over() -> timeseries.Panel:
    about = About(
        ("通知，按接收方", "Notifications by sink"),
        ("交给各接收方的事件变更及其结果：delivered 送达、retried 重试、refused 拒收、synthetic 模拟数据不发、unreadable 不可读。",
         "Transitions handed to each sink and what became of them. Made-up ones (synthetic) are never sent to real receivers."),
        NUMBER, NO_HAND_OVER, 8, 9,
    )  # fmt: skip
    return panels.bars(about, Query(number_in("$__interval", metrics.NOTIFICATIONS, by="sink, outcome"), "{{sink}} {{outcome}}"), each="5m")


def _hand_over_time() -> timeseries.Panel:
    about = About(("投递用时", "Time of a hand-over"), ("最近五分钟内每次成功投递的用时，按接收方。", "How long a successful hand-over took in the last five minutes, by sink."), SECONDS, NO_HAND_OVER, 8, 9)
    return panels.lines(
        about,
        Query(quantile(0.5, metrics.NOTIFICATION_SECONDS, over="5m", by="sink"), "{{sink}} 50%", exemplar=True),
        Query(quantile(0.99, metrics.NOTIFICATION_SECONDS, over="5m", by="sink"), "{{sink}} 99%"),
    )


def _outbox() -> timeseries.Panel:
    about = About(("待通知，按接收方", "Pending by sink"), ("已发布而接收方尚未取走的事件变更：持续增长即有故障。", "Transitions published that a sink has still to take: something is wrong while it grows."), NUMBER, NO_NOTIFIER, 8, 8)
    return panels.lines(about, Query(pending(), "{{sink}}"))


def _failing() -> statetimeline.Panel:
    about = About(("接收方状态", "State of the sinks"), ("各接收方上次投递是否成功；连续五天失败即停用。", "Whether each sink took what it was handed last; after five days without success it is switched off."), "bool", NO_NOTIFIER, 8, 8)
    state = f"{latest(metrics.SINK_FAILING, by='sink')} + {latest(metrics.SINK_OFF, by='sink')}"
    return panels.timeline(about, Query(state, "{{sink}}"), words={"0": ("正常 · well", GREEN), "1": ("故障 · failing", RED), "2": ("停用 · off", RED)})


def _alerts() -> timeseries.Panel:
    about = About(
        ("收到的告警", "Alerts received"), ("Alertmanager 交给通知进程的告警，按状态：发出或解除。", "Alerts that Alertmanager handed to the notifier, by state: firing or resolved."), NUMBER, ("没有收到告警", "no alerts received"), 8, 8,
    )  # fmt: skip
    panel = panels.bars(about, Query(number_in("$__interval", metrics.ALERTS_RECEIVED, by="status"), "{{status}}"), each="5m")
    for status, color in (("firing", ORANGE), ("resolved", GREEN)):
        panel.override_by_name(status, [panels.Property("color", {"mode": "fixed", "fixedColor": color})])
    return panel
