"""Makes dashboards: rows of panels, what can be chosen on top of them, the ways between them, and alerts as marks on the curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard, DashboardLink, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.clauses import Words
from deploy.dashboards.panels import SOURCE, Panel, both, in_view
from deploy.dashboards.queries import CITY, CITY_NAMES, EACH_ENTERPRISE, ELECTRONIC, FIRING, PROCESSES, series
from streams import metrics

TAG = "yicheng"
CITY_BOARD, ENTERPRISES_BOARD, ENFORCEMENT_BOARD, PIPELINE_BOARD = "yicheng-city", "yicheng-enterprises", "yicheng-enforcement", "yicheng-pipeline"


class Section(NamedTuple):
    """A row of panels under a title; where they take more than 24 columns they go on below."""

    title: Words
    panels: Sequence[Panel]


def board(uid: str, title: Words, says: Words, variables: Sequence[QueryVariable], sections: Sequence[Section], *, since: str = "now-24h") -> dashboard.Dashboard:
    """A whole dashboard; its panels are numbered from top to bottom."""
    made = Dashboard(f"驿程 Yicheng · {both(title)}").uid(uid).description("\n\n".join(says)).tags([TAG]).readonly()
    made.time(since, "now").timezone("browser").refresh("30s").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    made.variables([_source(), _namespaces(), *variables]).annotation(_alerts()).link(_others())
    for section in sections:
        made.with_row(Row(both(section.title)))
        for panel in section.panels:
            made.with_panel(panel)
    whole = made.build()
    for number, placed in enumerate(whole.panels or [], 1):
        placed.id_val = number
    return whole


def cities() -> QueryVariable:
    """Cities, by name; where none is known by name, by number."""
    by_number = f'label_replace({series(metrics.VEHICLES_ACTIVE)}, "name", "$1", "city", "(.+)")'
    expr = f"max by (city, name) ({CITY_NAMES}) or on (city) max by (city, name) ({by_number})"
    return _choice("city", ("城市", "City"), f"query_result({expr})").regex(r'/city="(?<value>[^"]+)".*name="(?<text>[^"]+)"/')


def enterprises() -> QueryVariable:
    """Enterprises of the chosen cities."""
    return _choice("enterprise", ("企业", "Enterprise"), f"label_values({series(ELECTRONIC.metric, CITY, EACH_ENTERPRISE)}, enterprise)")


def rules() -> QueryVariable:
    """Rules of the chosen cities' packs."""
    return _choice("rule", ("规则", "Rule"), f"label_values({series(metrics.INCIDENTS, CITY)}, rule)")


def _choice(name: str, label: Words, query: str) -> QueryVariable:
    everything = dashboard.VariableOption(selected=True, text="All", value="$__all")
    variable = QueryVariable(name).label(both(label)).query(query).definition(query).datasource(SOURCE).current(everything)
    variable.multi(multi=True).include_all(include_all=True).all_value(".*")
    return variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)


def _source() -> DatasourceVariable:
    return DatasourceVariable("datasource").label(both(("数据源", "Data source"))).type("prometheus")


def _namespaces() -> QueryVariable:
    """Systems of a Kubernetes cluster; elsewhere there is none to choose."""
    return _choice("namespace", ("命名空间", "Namespace"), f"label_values(up{{{PROCESSES}}}, namespace)")


def _alerts() -> AnnotationQuery:
    marks = AnnotationQuery().name(both(("告警", "Alerts"))).datasource(SOURCE).expr(FIRING).step("30s").enable(enable=True).icon_color("red")
    return marks.title_format("{{alertname}}").text_format("{{city}} {{enterprise}} {{rule}} {{topic}} {{sink}} {{instance}}").tag_keys("severity")


def _others() -> DashboardLink:
    """The other dashboards, with the same choices and time."""
    link = DashboardLink(both(("其他看板", "Dashboards"))).type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    return in_view(link.include_vars(include_vars=True).keep_time(keep_time=True))
