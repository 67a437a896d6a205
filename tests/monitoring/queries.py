"""The queries of a dashboard as Grafana would send them, and a way to ask a real Prometheus.

    for title, expr in queries(json.loads(file.read_text())): ...
    answers = run("http://127.0.0.1:9090", dashboard)        # raises where Prometheus refuses one
    empty = [answer for answer in answers if not answer.series]
"""  # fmt: skip

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple

BUILT_IN = {"__rate_interval": "1m", "__range": "1h", "__interval": "15s", "__range_s": "3600"}
LABEL_VALUES = re.compile(r"label_values\((.*), *(\w+)\)", re.DOTALL)
QUERY_RESULT = re.compile(r"query_result\((.*)\)", re.DOTALL)


class Refused(Exception):
    """Prometheus did not answer a query with success."""


class Answer(NamedTuple):
    """What Prometheus said to a panel's query: the series of now and, from ``query_range``, of the time before."""

    panel: str
    expr: str
    now: list
    before: list

    @property
    def series(self):
        return self.now or self.before


def panels(dashboard):
    """All panels but the titles of rows; those of closed rows, too."""
    for panel in dashboard["panels"]:
        yield from panel.get("panels", ()) if panel["type"] == "row" else [panel]


def queries(dashboard, **chosen):
    """(title, expression) of every query: of panels, alerts on curves, and variables. What is not ``chosen`` of the variables is all (``.*``)."""
    found = [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel.get("targets", ())]
    found += [(f"annotation {mark['name']}", mark["expr"]) for mark in dashboard["annotations"]["list"] if mark.get("expr")]
    found += [(f"variable {variable['name']}", asked(variable["query"])) for variable in variables(dashboard) if variable["type"] == "query"]
    return [(title, replaced(expr, chosen)) for title, expr in found]


def variables(dashboard):
    return dashboard["templating"]["list"]


def asked(query):
    """What a variable asks, as an expression that Prometheus understands.

    >>> asked("label_values(up{job='a'}, instance)"), asked("query_result(count(up))")
    ("group by (instance) (up{job='a'})", 'count(up)')
    """
    if found := LABEL_VALUES.fullmatch(query):
        return f"group by ({found[2]}) ({found[1]})"
    if found := QUERY_RESULT.fullmatch(query):
        return found[1]
    raise ValueError(f"no kind of query that is known here: {query}")


def replaced(expr, chosen):
    """An expression without variables.

    >>> replaced('rate(a_total{city=~"$city", rule=~"${rule}"}[$__rate_interval])', {"city": "150100"})
    'rate(a_total{city=~"150100", rule=~".*"}[1m])'
    """
    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", lambda found: value_of(found[1] or found[2], chosen), drop_back_references(expr)).replace(MARK, "$")


MARK = "\0"


def drop_back_references(expr):
    """``$1`` in ``label_replace`` is no variable."""
    return re.sub(r"\$(?=\d)", MARK, expr)


def value_of(name, chosen):
    return BUILT_IN.get(name) or chosen.get(name, ".*")


def run(prometheus_url, dashboard, *, seconds=600, step_s=15, **chosen):
    """Ask a Prometheus every query of a dashboard, for now and for the last ``seconds``. Raises ``Refused`` at the first it does not answer."""
    return [ask(prometheus_url, title, expr, seconds, step_s) for title, expr in queries(dashboard, **chosen)]


def ask(prometheus_url, title, expr, seconds=600, step_s=15):
    """One query, both ways."""
    end = time.time()
    now = result(prometheus_url, "query", query=expr, time=end)
    before = result(prometheus_url, "query_range", query=expr, start=end - seconds, end=end, step=step_s)
    return Answer(title, expr, now, before)


def result(prometheus_url, page, **parameters):
    """The series in Prometheus's answer."""
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(f"{prometheus_url}/api/v1/{page}", data=body, timeout=30) as reply:
            said = json.load(reply)
    except urllib.error.HTTPError as error:
        raise Refused(f"{page} {parameters['query']}: {error.read().decode()}") from None
    if said["status"] != "success" or said.get("warnings"):
        raise Refused(f"{page} {parameters['query']}: {said.get('error') or said['warnings']}")
    return said["data"]["result"]
