"""What every dashboard must keep. Each rule takes a dashboard's JSON and says what is wrong with it, a line each; ``RULES`` names them all."""

import re
from itertools import combinations

from deploy.reference import metric_name
from monitoring.promql import Selector, parsed
from monitoring.queries import BUILT_IN, asked, panels, variables
from streams import metrics

SOURCE = "${datasource}"
RECORDED = [
    "city:courier_fixes:rate5m", "city_outcome:courier_fixes:rate5m", "city_kind:courier_scans:rate5m", "city_enterprise:courier_parcels_accepted:increase1h",
    "city_enterprise:courier_electronic_waybill:ratio1h", "city_enterprise:courier_green_packaging:ratio1h", "city_enterprise_measure:courier_target:ratio", "city_rule:courier_incidents_opened:increase1h",
    "city:courier_incidents_per_1000_fixes:ratio1h", "topic:courier_consumer_lag:sum", "topic:courier_dead:ratio15m", "job:courier_incident_latency_seconds:p50_5m",
    "job:courier_incident_latency_seconds:p99_5m", "job:courier_fix_age_seconds:p99_5m", "rule:courier_acknowledge_seconds:p50_1d", "rule:courier_acknowledge_seconds:p90_1d",
    "city:courier_vehicles_active:sum", "city:courier_feeds_interrupted:max", "city_enterprise_measure:courier_rate_below_target:ratio", "city_enterprise_measure:courier_forecast_below_target:ratio",
]  # fmt: skip
"""What recording rules make. The labels stand before the first colon."""
BY_CITY_TOO = dict.fromkeys(("rule:courier_acknowledge_seconds:p50_1d", "rule:courier_acknowledge_seconds:p90_1d"), ("city",))
"""Whose names are older than the label."""
INFO = {"name_zh", "name_en", "policy"}
SCRAPED = {"instance", "job", "namespace"}
OTHERS = {
    "up": ("gauge", SCRAPED), "ALERTS": ("gauge", {"alertname", "alertstate", "severity", "namespace"}), "process_cpu_seconds_total": ("counter", SCRAPED),
    "process_resident_memory_bytes": ("gauge", SCRAPED), "process_start_time_seconds": ("gauge", SCRAPED),
}  # fmt: skip
OF_COUNTERS = {"rate", "increase", "irate"}
LEGENDS = {"timeseries", "bargauge", "status-history", "state-timeline", "heatmap"}
HAN = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z]{2,}")


def known_series():
    """Name → (type, labels) of whatever a query may ask for."""
    known = dict(OTHERS)
    for family in vars(metrics).values():
        if not hasattr(family, "_documentation"):
            continue
        name, labels = metric_name(family), {*family._labelnames, *SCRAPED}
        if family._type == "histogram":
            known |= {f"{name}_bucket": ("counter", labels | {"le"}), f"{name}_sum": ("counter", labels), f"{name}_count": ("counter", labels)}
        else:
            known[name] = ("gauge", labels | INFO) if family._type == "info" else (family._type, labels)
    return known | {name: ("gauge", {"namespace", *name.split(":")[0].split("_"), *BY_CITY_TOO.get(name, ())}) for name in RECORDED}


KNOWN = known_series()


def expressions(dashboard):
    """(where, expression, legend) of all that Prometheus is asked."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"], target.get("legendFormat", "")
    for mark in dashboard["annotations"]["list"]:
        yield f"annotation {mark['name']}", mark["expr"], ""
    for variable in variables(dashboard):
        if variable["type"] == "query":
            yield f"variable {variable['name']}", asked(variable["query"]), ""


def asks_the_chosen_source(dashboard):
    asking = [*panels(dashboard), *(target for panel in panels(dashboard) for target in panel.get("targets", ())), *dashboard["annotations"]["list"]]
    asking += [variable for variable in variables(dashboard) if variable["type"] == "query"]
    return [f"another data source: {one.get('title') or one.get('name') or one.get('expr')}" for one in asking if one.get("datasource", {}).get("uid") != SOURCE]


def has_a_unit(dashboard):
    return [f"no unit: {panel['title']}" for panel in panels(dashboard) if not panel["fieldConfig"]["defaults"].get("unit")]


def speaks_both_languages(dashboard):
    found = [f"title in one language: {panel['title']}" for panel in dashboard["panels"] if not in_both(panel["title"].split(" · ", 1))]
    for panel in panels(dashboard):
        if not in_both(panel.get("description", "").split("\n\n", 1)):
            found.append(f"description in one language: {panel['title']}")
        if not in_both(panel["fieldConfig"]["defaults"].get("noValue", "").split(" · ", 1)):
            found.append(f"does not say in both languages why it may be empty: {panel['title']}")
    return found + [f"{what} in one language" for what, text in (("title", dashboard["title"]), ("description", dashboard["description"])) if not (HAN.search(text) and LATIN.search(text))]


def in_both(parts):
    """Chinese first, then English."""
    return len(parts) == 2 and bool(HAN.search(parts[0])) and bool(LATIN.search(parts[1])) and not parts[1].isspace()


def has_legends(dashboard):
    found = []
    for panel in panels(dashboard):
        targets = panel.get("targets", ())
        if panel["type"] in LEGENDS or (panel["type"] == "stat" and len(targets) > 1):
            found += [f"no legend: {panel['title']} {target['refId']}" for target in targets if not target.get("legendFormat")]
    return found


def has_no_absolute_time(dashboard):
    found = [f"the dashboard's time: {time}" for time in dashboard["time"].values() if not time.startswith("now")]
    found += [f"{panel['title']}: {panel[key]}" for panel in panels(dashboard) for key in ("timeFrom", "timeShift") if re.search(r"\d{4}-|^\d{9,}", panel.get(key) or "")]
    return found + [f"@ in {where}" for where, expr, _ in expressions(dashboard) if "@" in parsed(expr).signs]


def knows_its_series(dashboard):
    return [f"no such metric in {where}: {selector.name}" for where, expr, _ in expressions(dashboard) for selector in parsed(expr).selectors if selector.name not in KNOWN]


def knows_its_labels(dashboard):
    found = []
    for where, expr, legend in expressions(dashboard):
        query = parsed(expr)
        for selector in query.selectors:
            found += [f"{selector.name} has no label {label}, in {where}" for label in selector.labels - labels_of(selector)]
        there = query.created.union(*map(labels_of, query.selectors))
        kept = query.kept if query.aggregates else there
        found += [f"no label {label} in {where}" for label in query.used - there]
        found += [f"the legend names {label}, which is not in the result of {where}" for label in set(re.findall(r"\{\{(\w+)\}\}", legend)) - kept]
    return found


def labels_of(selector: Selector):
    return KNOWN.get(selector.name, ("", set()))[1]


def reckons_with_counters(dashboard):
    """rate() and increase() are for what only grows; what only grows says nothing without them."""
    found = []
    for where, expr, _ in expressions(dashboard):
        for selector in parsed(expr).selectors:
            counts, of_counter = KNOWN.get(selector.name, ("",))[0] == "counter", selector.function in OF_COUNTERS
            if counts != of_counter and not where.startswith("variable"):
                found.append(f"{selector.name} ({'counter' if counts else 'no counter'}) in {selector.function or 'no function'}: {where}")
    return found


def takes_targets_from_the_policy(dashboard):
    """No share stands in a comparison: targets are series."""
    return [f"a literal target in {where}" for where, expr, _ in expressions(dashboard) if re.search(r"(>=|<=|[<>-])\s*(bool\s+)?(0?\.\d+|1\.0)\b", expr)]


def chooses_the_namespace(dashboard):
    """Several systems on one Prometheus are told apart in every panel."""
    return [f"no namespace in {where}: {selector.name}" for where, expr, _ in expressions(dashboard) for selector in parsed(expr).selectors if "namespace" not in selector.labels and where != "variable namespace"]


def shows_where_alerts_begin(dashboard):
    """A panel of what an alert compares with a number has that number among its thresholds."""
    found = []
    for panel in panels(dashboard):
        names = {selector.name for target in panel.get("targets", ()) for selector in parsed(target["expr"]).selectors}
        steps = {step.get("value") for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())}
        if panel["type"] in {"timeseries", "stat"}:
            found += [f"no line at {limit:g} of {name}: {panel['title']}" for name, limit in LIMITS.items() if name in names and limit not in steps]
    return found


LIMITS = {"courier_watermark_age_seconds": 30, "courier_checkpoint_age_seconds": 30, "topic:courier_dead:ratio15m": 0.01, "courier_refused_ratio": 0.5}
"""What alerts compare with a number; a test holds these against the alerts."""


def fits_on_the_grid(dashboard):
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]
    found = [f"beyond the grid: {title}" for title, place in places if not (place["w"] > 0 and place["h"] > 0 and place["x"] >= 0 and place["x"] + place["w"] <= 24)]
    return found + [f"one above the other: {one} and {other}" for (one, a), (other, b) in combinations(places, 2) if overlap(a, b)]


def overlap(a, b):
    return all(a[at] < b[at] + b[size] and b[at] < a[at] + a[size] for at, size in (("x", "w"), ("y", "h")))


def has_unique_ids(dashboard):
    ids = [panel.get("id") for panel in dashboard["panels"]]
    return [f"id of several, or none: {number}" for number in set(ids) if not number or ids.count(number) > 1]


def defines_its_variables(dashboard):
    defined = {variable["name"] for variable in variables(dashboard)}
    texts = [*(text for _, expr, legend in expressions(dashboard) for text in (expr, legend)), *(link["url"] for panel in panels(dashboard) for link in panel.get("links") or ())]
    used = {name for text in texts for name in re.findall(r"\$\{?([A-Za-z_]\w*)", text)} | {"datasource"}
    return [f"not defined: {name}" for name in used - defined - BUILT_IN.keys() - {"__url_time_range", "__all_variables"}] + [f"not used: {name}" for name in defined - used]


RULES = [
    asks_the_chosen_source, has_a_unit, speaks_both_languages, has_legends, has_no_absolute_time, knows_its_series, knows_its_labels, reckons_with_counters,
    takes_targets_from_the_policy, chooses_the_namespace, shows_where_alerts_begin, fits_on_the_grid, has_unique_ids, defines_its_variables,
]  # fmt: skip
