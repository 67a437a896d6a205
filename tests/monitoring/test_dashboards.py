"""The dashboards are what the code makes, Grafana's types know all that is in them, and they keep the rules of ``dashboard_lint``."""

import ast
import json
import re
import subprocess
import threading
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from conftest import ROOT
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from consumers.answers import waiting as answers
from deploy.dashboards import __main__ as writer
from deploy.dashboards import enforcement
from deploy.dashboards.boards import CITY_BOARD, ENFORCEMENT_BOARD, ENTERPRISES_BOARD, PIPELINE_BOARD
from monitoring import dashboard_lint as lint
from monitoring.promql import parsed
from monitoring.queries import Refused, ask, panels, queries, variables
from streams import metrics
from streams.counts import OTHER
from streams.wire.answers import ACTIONS, NO_ANSWERS

GRAFANA = ROOT / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DASHBOARDS = {file.stem: json.loads(file.read_text("utf-8")) for file in FILES}
RULES_FILE = ROOT / "deploy" / "prometheus" / "recording.yml"


@pytest.fixture(params=DASHBOARDS)
def dashboard(request):
    return deepcopy(DASHBOARDS[request.param])


def test_the_files_are_what_the_code_makes():
    made = writer.written()
    assert {file.stem for file in FILES} == set(made) == {"city", "enterprises", "enforcement", "pipeline"}
    assert [name for name, text in made.items() if (GRAFANA / "dashboards" / f"{name}.json").read_text("utf-8") != text] == [], "run .venv/bin/python -m deploy.dashboards"


def unplaced(dashboard):
    """The SDK puts links into a menu, whatever the file says; ours are in view."""
    for link in [*dashboard["links"], *(link for panel in panels(dashboard) for link in panel.get("links", ()))]:
        link.pop("placement", None)
    return dashboard


def read_by_the_sdk(dashboard):
    register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))


def test_grafanas_types_know_all_that_is_in_a_dashboard(dashboard):
    assert unplaced(read_by_the_sdk(deepcopy(dashboard))) == unplaced(dashboard)
    dashboard["panels"][1]["options"]["colour"] = "red"
    assert unplaced(read_by_the_sdk(deepcopy(dashboard))) != unplaced(dashboard), "it drops what it does not know"


@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.__name__)
def test_a_dashboard_keeps_the_rules(dashboard, rule):
    assert rule(dashboard) == []


def first(dashboard, kind="timeseries", place=0):
    return [panel for panel in panels(dashboard) if panel["type"] == kind][place]


def put(holder, key, value):
    holder[key] = value


def query(dashboard, expr, legend="x"):
    first(dashboard)["targets"][0] |= {"expr": expr, "legendFormat": legend}


BUGS = [
    (lint.asks_the_chosen_source, lambda d: put(first(d)["targets"][0]["datasource"], "uid", "prometheus")),
    (lint.asks_the_chosen_source, lambda d: first(d).pop("datasource")),
    (lint.asks_the_chosen_source, lambda d: put(variables(d)[1]["datasource"], "uid", "prometheus")),
    (lint.asks_the_chosen_source, lambda d: put(d["annotations"]["list"][0]["datasource"], "uid", "prometheus")),
    (lint.has_a_unit, lambda d: first(d)["fieldConfig"]["defaults"].pop("unit")),
    (lint.speaks_both_languages, lambda d: put(first(d), "title", "Rates")),
    (lint.speaks_both_languages, lambda d: put(d["panels"][0], "title", "一览")),
    (lint.speaks_both_languages, lambda d: put(first(d), "description", "比率")),
    (lint.speaks_both_languages, lambda d: first(d)["fieldConfig"]["defaults"].pop("noValue")),
    (lint.speaks_both_languages, lambda d: put(d, "title", "City")),
    (lint.has_legends, lambda d: first(d)["targets"][0].pop("legendFormat")),
    (lint.has_legends, lambda d: first(d, "stat")["targets"][0].pop("legendFormat")),
    (lint.has_no_absolute_time, lambda d: put(d["time"], "from", "2026-11-01T00:00:00Z")),
    (lint.has_no_absolute_time, lambda d: put(first(d), "timeFrom", "2026-11-01")),
    (lint.has_no_absolute_time, lambda d: query(d, "courier_nev_ratio @ 1609746000")),
    (lint.knows_its_series, lambda d: query(d, "sum(courier_nev_share)")),
    (lint.knows_its_series, lambda d: query(d, "rate(courier_fixes[5m])")),
    (lint.knows_its_series, lambda d: query(d, "sum(city:courier_fixes:rate1m)")),
    (lint.knows_its_labels, lambda d: query(d, 'courier_nev_ratio{enterprise="*"}')),
    (lint.knows_its_labels, lambda d: query(d, "sum by (zone) (courier_incidents_open)")),
    (lint.knows_its_labels, lambda d: query(d, "max by (city) (city:courier_fixes:rate5m) / on (rule) courier_nev_ratio")),
    (lint.knows_its_labels, lambda d: query(d, "sum by (city) (courier_incidents_open)", "{{rule}}")),
    (lint.knows_its_labels, lambda d: query(d, 'label_join(courier_nev_ratio, "name", "/", "towns")')),
    (lint.reckons_with_counters, lambda d: query(d, "sum(rate(courier_incidents_open[5m]))")),
    (lint.reckons_with_counters, lambda d: query(d, "sum(courier_fixes_total)")),
    (lint.reckons_with_counters, lambda d: query(d, "sum(increase(city:courier_fixes:rate5m[1h]))")),
    (lint.reckons_with_counters, lambda d: query(d, "max(delta(courier_incident_latency_seconds_bucket[1h]))")),
    (lint.takes_targets_from_the_policy, lambda d: query(d, 'courier_electronic_waybill_ratio{enterprise="*"} >= bool 0.9')),
    (lint.chooses_the_namespace, lambda d: query(d, 'courier_nev_ratio{city=~"$city"}')),
    (lint.shows_where_alerts_begin, lambda d: query(d, 'max(courier_watermark_age_seconds{namespace=~"$namespace"})')),
    (lint.fits_on_the_grid, lambda d: put(first(d)["gridPos"], "w", 25)),
    (lint.fits_on_the_grid, lambda d: put(first(d, place=1)["gridPos"], "x", 11)),
    (lint.has_unique_ids, lambda d: put(first(d), "id", 1)),
    (lint.has_unique_ids, lambda d: first(d).pop("id")),
    (lint.defines_its_variables, lambda d: query(d, 'courier_nev_ratio{city=~"$town"}')),
    (lint.defines_its_variables, lambda d: put(first(d, "stat", 3)["links"][0], "url", "/d/x?var-zone=${zone}")),
    (lint.defines_its_variables, lambda d: put(variables(d)[2], "name", "unused")),
]


@pytest.mark.parametrize(("rule", "plant"), BUGS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_finds_what_it_is_for(rule, plant):
    dashboard = deepcopy(DASHBOARDS["city"])
    assert rule(dashboard) == []
    plant(dashboard)
    assert rule(dashboard) != []


def test_every_rule_has_a_bug_to_find():
    assert {rule for rule, _ in BUGS} == set(lint.RULES)


def test_every_metric_is_on_a_dashboard():
    shown = {selector.name for dashboard in DASHBOARDS.values() for _, expr, _ in lint.expressions(dashboard) for selector in parsed(expr).selectors}
    behind_rules = {name.split(":")[1] for name in shown if ":" in name}  # what recording rules are made of
    families = [family for family in vars(metrics).values() if hasattr(family, "_documentation")]
    names = {lint.metric_name(family): family._name for family in families}
    assert len(names) > 40 and [name for name, base in names.items() if base not in behind_rules and not shown & {name, f"{name}_bucket", f"{name}_count"}] == []


def test_each_links_to_the_others_and_marks_alerts(dashboard):
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == ("dashboards", dashboard["tags"], True, True) and "placement" not in link
    assert [mark["expr"].split("{")[0] for mark in dashboard["annotations"]["list"]] == ["ALERTS"]
    targets = {link["url"].split("?")[0].removeprefix("/d/") for panel in panels(dashboard) for link in panel.get("links") or ()}
    assert targets <= {board["uid"] for board in DASHBOARDS.values()} == {CITY_BOARD, ENTERPRISES_BOARD, ENFORCEMENT_BOARD, PIPELINE_BOARD}


def test_all_can_be_chosen_and_cities_bear_their_names():
    for dashboard in DASHBOARDS.values():
        kinds = {variable["name"]: variable for variable in variables(dashboard)}
        assert kinds.pop("datasource")["type"] == "datasource" and "city" in kinds
        assert all(v["multi"] and v["includeAll"] and v["allValue"] == ".*" and v["current"]["value"] == "$__all" for v in kinds.values())
        found = re.search(kinds["city"]["regex"].strip("/").replace("(?<", "(?P<"), '{city="150100",name="呼和浩特市 · Hohhot"} 1 1795984022521')
        assert "courier_city_info" in kinds["city"]["query"] and found.groupdict() == {"value": "150100", "text": "呼和浩特市 · Hohhot"}


def check(promtool, tmp_path, exprs):
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": [{"record": f"a:b{number}", "expr": expr} for number, expr in enumerate(exprs)]}]}))
    return subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)


def test_prometheus_can_read_every_query(promtool, tmp_path):
    exprs = [expr for dashboard in DASHBOARDS.values() for _, expr in queries(dashboard, city="150100")]
    assert len(exprs) > 100 and not any("$__" in expr or "$city" in expr for expr in exprs)
    said = check(promtool, tmp_path, exprs)
    assert said.returncode == 0, said.stderr
    assert check(promtool, tmp_path, ["sum by (city (up)"]).returncode != 0


@pytest.mark.skipif(not RULES_FILE.exists(), reason="no recording rules here")
def test_the_recorded_names_are_those_of_the_rules():
    made = {rule["record"] for group in yaml.safe_load(RULES_FILE.read_text("utf-8"))["groups"] for rule in group["rules"]}
    assert made == set(lint.RECORDED)


def test_the_limits_of_panels_are_those_of_the_alerts():
    exprs = [rule["expr"] for group in yaml.safe_load(RULES_FILE.with_name("alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]]
    for name, limit in lint.LIMITS.items():
        (expr,) = (expr for expr in exprs if name in expr)
        assert float(re.search(r">\s*([\d.]+)", expr)[1]) == limit, name


def test_nothing_that_runs_imports_the_dashboards():
    modules = [path for folder in ("streams", "producers", "consumers", "deploy") for path in (ROOT / folder).rglob("*.py") if "dashboards" not in path.parts]
    assert len(modules) > 100 and [path for path in modules if imported(path) & {"deploy.dashboards", "grafana_foundation_sdk"}] == []
    assert "grafana_foundation_sdk" in imported(ROOT / "deploy" / "dashboards" / "panels.py")


def imported(path):
    """The packages that a module imports, by their first names; of ``deploy`` by two."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names |= {module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)}
    return {".".join(name.split(".")[: 2 if name.startswith("deploy.") else 1]) for name in names}


def test_grafana_finds_what_is_provisioned():
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "yicheng.yaml").read_text())["providers"]
    readme = (GRAFANA / "README.md").read_text("utf-8")
    assert source["type"] == "prometheus" and source["url"] == "$PROMETHEUS_URL" and "PROMETHEUS_URL" in readme
    assert provider["type"] == "file" and provider["options"]["path"] in readme


def test_a_query_that_prometheus_refuses_is_told():
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            body = b'{"status": "error", "error": "many-to-many"}'
            self.send_response(422)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(Refused, match="many-to-many"):
            ask(f"http://127.0.0.1:{server.server_port}", "title", "up * up")
    finally:
        server.shutdown()
        server.server_close()


def test_ages_are_those_that_the_notifier_shows():
    assert list(enforcement.AGES) == [*answers.AGES_S, answers.OLDEST]


def test_every_kind_of_answer_has_its_name_and_only_answers_of_the_police_are_counted_as_such():
    assert list(enforcement.ACTION_NAMES) == [*ACTIONS, OTHER]
    panel = next(panel for panel in panels(DASHBOARDS["enforcement"]) if panel["title"] == "答复 · Answers")
    assert [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]] == [*ACTIONS, OTHER]
    none = f'action!~"{"|".join([*sorted(NO_ANSWERS), OTHER])}"'
    (alert,) = (rule for group in yaml.safe_load(RULES_FILE.with_name("alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"] if rule["alert"] == "NobodyAnswers")
    assert alert["expr"].count("courier_answers_total") == alert["expr"].count(none) == 3
    shown = [expr for dashboard in DASHBOARDS.values() for title, expr, _ in lint.expressions(dashboard) if "courier_answers_total" in expr and "sum by (action)" not in expr]
    assert len(shown) == 3 and all(none in expr for expr in shown)
