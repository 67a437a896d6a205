"""What the dashboards ask Prometheus. Names of metrics come from ``streams.metrics``; targets are series like all else, never figures written here."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from deploy.dashboards.clauses import Words
from deploy.reference import metric_name
from streams import metrics
from streams.counts import CITY_WIDE
from streams.policy.checks import is_share
from streams.registry.key_figures import TITLES

NAMESPACE, CITY, ENTERPRISE, RULE = 'namespace=~"$namespace"', 'city=~"$city"', 'enterprise=~"$enterprise"', 'rule=~"$rule"'
"""What is chosen on top of a dashboard. A namespace is a system on Kubernetes; elsewhere series have none, which all namespaces (``.*``) take in."""
WHOLE_CITY, EACH_ENTERPRISE = f'enterprise="{CITY_WIDE}"', f'enterprise!="{CITY_WIDE}"'
COUNTS = "|".join(measure for measure in TITLES if not is_share(measure))
LINES_RUN = "delivery_lines_run"
"""What the lines that were driven today are called among the numbers."""
"""The key figures that are numbers of things; all others are shares."""
PROCESSES, WORKERS = 'job=~"yicheng-.*"', 'job="yicheng-worker"'
"""By the jobs of ``deploy/prometheus``. Every process shows every gauge without labels, as zero where it is none of its business."""
FIRING = f'ALERTS{{alertstate="firing", alertname!="DeadMansSwitch", {NAMESPACE}}}'
LOADED = f'ALERTS{{alertstate="firing", alertname="DeadMansSwitch", {NAMESPACE}}}'
"""What fires while rules are loaded."""


class Query(NamedTuple):
    """One query of a panel; ``legend`` may name labels, ``{{rule}}``. ``exemplar`` asks for examples of what was measured, too."""

    expr: str
    legend: str = ""
    exemplar: bool = False


class Rate(NamedTuple):
    """One of the two rates: its gauge, its name among targets and forecasts, and the rule that judges it."""

    metric: MetricWrapperBase
    measure: str
    hourly: str
    rule: str
    title: Words


ELECTRONIC = Rate(
    metrics.ELECTRONIC_RATIO, "electronic_waybill", "city_enterprise:courier_electronic_waybill:ratio1h", "low_electronic_waybill_rate", ("电子运单使用率", "Electronic waybills")
)
GREEN = Rate(metrics.GREEN_RATIO, "green_packaging", "city_enterprise:courier_green_packaging:ratio1h", "low_green_packaging_rate", ("绿色包装使用率", "Green packaging"))


def series(metric: MetricWrapperBase, *matchers: str, part: str = "") -> str:
    """A metric's series; ``part`` is what a histogram has several of.

    >>> series(metrics.DELIVERY, CITY, part="_bucket")
    'courier_delivery_seconds_bucket{city=~"$city", namespace=~"$namespace"}'
    """
    return chosen(metric_name(metric) + part, *matchers)


def chosen(name: str, *matchers: str) -> str:
    """The series of a name; for those that recording rules make, and Prometheus itself."""
    return f"{name}{{{', '.join((*matchers, NAMESPACE))}}}"


CITY_NAMES = f'label_join({series(metrics.CITY)}, "name", " · ", "name_zh", "name_en")'


def named(expr: str) -> str:
    """The same with the label ``name``, the city's in both languages. Cities that nobody registered have none and fall out."""
    return f"{expr} * on (city) group_left (name) max by (city, name) ({CITY_NAMES})"


def latest(metric: MetricWrapperBase, *matchers: str, by: str = "city") -> str:
    """A gauge, from whichever process shows it."""
    return f"max by ({by}) ({series(metric, *matchers)})"


def unanswered(*matchers: str, by: str = "") -> str:
    """Incidents that nobody has answered; every notifier knows all of them, so of several one counts."""
    return f"sum{f' by ({by}) ' if by else ''}({latest(metrics.UNANSWERED, CITY, RULE, *matchers, by='city, rule, age')})"


def pending() -> str:
    """What each sink has still to take; each notifier shows what waits in its own outbox and partitions."""
    return f"sum by (sink) ({series(metrics.OUTBOX_PENDING)})"


def rate_of(rate: Rate, *matchers: str, window: str = "day", by: str = "city") -> str:
    """What a rate has come to in a window."""
    return latest(rate.metric, CITY, *matchers, f'window="{window}"', by=by)


def forecast_of(rate: Rate, *matchers: str, by: str = "city") -> str:
    """What a rate will have come to when the day ends."""
    return latest(metrics.FORECAST, CITY, *matchers, f'measure="{rate.measure}"', by=by)


def target_of(rate: Rate, *matchers: str, by: str = "city") -> str:
    """What a rate is held against, by whose it is: a target about some enterprises alone is not the others', nor the whole city's."""
    measure = f'measure="{rate.measure}"'
    return f"max by ({by}) ({chosen('city_enterprise_measure:courier_target:ratio', CITY, *matchers, measure)})"


def compared(expr: str, operator: str, rate: Rate, *matchers: str, by: str = "city") -> str:
    """A rate, or its forecast, against its target, where it has one: ``-`` is the distance from it, ``>= bool`` says whether it is met."""
    return f"({expr} {operator} on ({by}) {target_of(rate, *matchers, by=by)})"


def per_second(metric: MetricWrapperBase, *matchers: str, by: str, over: str = "$__rate_interval", part: str = "") -> str:
    """How fast a counter grows."""
    return f"sum by ({by}) (rate({series(metric, *matchers, part=part)}[{over}]))"


def number_in(over: str, metric: MetricWrapperBase, *matchers: str, by: str, part: str = "") -> str:
    """By how much a counter grew; ``$__interval`` is what one column of a panel stands for, ``$__range`` all that is shown."""
    return f"sum by ({by}) (increase({series(metric, *matchers, part=part)}[{over}]))"


def answers(over: str, *matchers: str, by: str = "") -> str:
    """How many answers were given; every notifier counts all of them, so of several one counts."""
    return f"sum{f' by ({by}) ' if by else ''}(max by (namespace, city, rule, action) (increase({series(metrics.ANSWERS, CITY, RULE, *matchers)}[{over}])))"


def quantile(share: float, metric: MetricWrapperBase, *matchers: str, over: str, by: str = "") -> str:
    """A quantile of what a histogram measured: 0.5 is the median. Where nothing was measured it is not a number, which no comparison lets through."""
    return f"(histogram_quantile({share:g}, {per_second(metric, *matchers, by=', '.join(filter(None, (by, 'le'))), over=over, part='_bucket')}) >= 0)"


def _measured(metric: MetricWrapperBase, measure: str, *matchers: str) -> str:
    return f'label_replace({latest(metric, CITY, *matchers)}, "measure", "{measure}", "", "")'


def key_shares(*, held: bool = False) -> str:
    """Every key figure that is a share, by city and measure: from the registry, from today's parcels, from today's driving.

    ``held``: without those of all parcels whose target is about some enterprises alone; what is on file is of these alone then, too.
    """
    others = f" unless on (city, measure) {latest(metrics.TARGET_SCOPE, CITY, by='city, measure')}" if held else ""
    parcels = [latest(metrics.MEASURE_RATIO, CITY, WHOLE_CITY, by="city, measure"), *(_measured(rate.metric, rate.measure, WHOLE_CITY, 'window="day"') for rate in (ELECTRONIC, GREEN))]
    return " or ".join([
        latest(metrics.NETWORK, CITY, f'measure!~"{COUNTS}"', by="city, measure"),
        *(share + others for share in parcels),
        _measured(metrics.EMPTY_RUN, "empty_run_ratio"),
        _measured(metrics.NIGHT_RUN, "night_run_ratio"),
    ])  # fmt: skip


def key_counts() -> str:
    """Every key figure that is a number of things, by city and measure."""
    on_file = latest(metrics.NETWORK, CITY, f'measure=~"{COUNTS}"', by="city, measure")
    return f"{on_file} or {_measured(metrics.LINES_RUN, LINES_RUN)}"


def key_targets(which: str) -> str:
    """The targets of such measures, with the date, the clause, the basis and whom they are about, as the pack in force has them."""
    said = latest(metrics.TARGET_INFO, CITY, which, by="city, measure, due, clause, basis, scope")
    return f"{said} * on (city, measure) group_left {latest(metrics.TARGET_RATIO, CITY, which, by='city, measure')}"
