"""Makers of panels: lines, bars, tiles, gauges, tables, histories, timelines, heat maps. Each panel says in Chinese and English what it shows and why it may be empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from grafana_foundation_sdk.builders import bargauge, heatmap, stat, statetimeline, statushistory, table, timeseries
from grafana_foundation_sdk.builders.common import GraphThresholdsStyleConfig, ReduceDataOptions, StackingConfig, VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards.clauses import Words
from deploy.dashboards.queries import LINES_RUN, Query
from streams.registry.key_figures import TITLES
from streams.rules import RULES

Property = dashboard.DynamicConfigValue
Panel = timeseries.Panel | stat.Panel | table.Panel | bargauge.Panel | statushistory.Panel | statetimeline.Panel | heatmap.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel, table.Panel, bargauge.Panel, statushistory.Panel, statetimeline.Panel, heatmap.Panel)

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
NUMBER, SHARE, SECONDS, PER_SECOND, BYTES = "locale", "percentunit", "s", "cps", "bytes"
RED, ORANGE, GREEN, BLUE, GREY = "red", "orange", "green", "blue", "text"


class About(NamedTuple):
    """What a panel says of itself: title, explanation, unit, why it may be empty; and its size on the grid, which is 24 wide."""

    title: Words
    says: Words
    unit: str
    empty: Words
    width: int
    height: int = 8


def both(words: Words) -> str:
    """Chinese and English on one line."""
    return " · ".join(words)


def steps(base: str, *above: tuple[float, str]) -> ThresholdsConfig:
    """A colour, and those from which values on it gives way to others."""
    bounds: list[tuple[float | None, str]] = [(None, base), *above]
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([dashboard.Threshold(value=value, color=color) for value, color in bounds])


PLAIN, WORSE_FROM_ONE, BETTER_FROM_ZERO, BETTER_FROM_ONE = steps(BLUE), steps(GREEN, (1, RED)), steps(RED, (0, GREEN)), steps(RED, (1, GREEN))
"""Nothing to judge; any is bad; the distance from a target, met at zero; the share of a target that is reached, met at one."""
MOST_POINTS = 2_000
"""Columns that a panel shows at most; beyond that Grafana lets one stand for a longer time."""
MET = {"0": ("未达标 · below", RED), "1": ("达标 · within", GREEN)}


def shown_as(words: Mapping[str, tuple[str, str | None]]) -> dashboard.ValueMap:
    """Values as words, in colours of their own."""
    return dashboard.ValueMap({value: dashboard.ValueMappingResult(text=text, color=color, index=n) for n, (value, (text, color)) in enumerate(words.items())})


RULE_NAMES = {name: f"{module.TITLE_ZH} · {name}" for name, module in RULES.items()}
MEASURE_NAMES = {**{name: both(words) for name, words in TITLES.items()}, LINES_RUN: "今日运行的配送专线 · delivery lines driven today"}
TRANSITION_NAMES = {"opened": "成立 · opened", "updated": "更新 · updated", "closed": "结束 · closed", "retracted": "撤回 · retracted"}


def as_named(names: Mapping[str, str]) -> dashboard.ValueMap:
    """Identifiers as names, in the colour of all else."""
    return shown_as({name: (text, None) for name, text in names.items()})


def lines(about: About, *queries: Query, stacked: bool = False) -> timeseries.Panel:
    """Curves over time, with their last values in the legend."""
    panel = _panel(timeseries.Panel(), about, queries).line_width(2).fill_opacity(40 if stacked else 0).show_points(common.VisibilityMode.NEVER)
    panel.legend(_legend(["lastNotNull"] if stacked else ["min", "max", "lastNotNull"])).tooltip(_tooltip())
    return panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A")) if stacked else panel


def limited(panel: timeseries.Panel, limit: ThresholdsConfig) -> timeseries.Panel:
    """Curves with a line where an alert begins."""
    return panel.thresholds(limit).thresholds_style(GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE))


def bars(about: About, *queries: Query, each: str) -> timeseries.Panel:
    """Stacked columns, one for ``each`` such time at least."""
    panel = _panel(timeseries.Panel(), about, queries).draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).line_width(0).interval(each).max_data_points(MOST_POINTS)
    panel.legend(_legend(["sum"])).tooltip(_tooltip())
    return panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))


def tiles(about: About, *queries: Query, thresholds: ThresholdsConfig = PLAIN, words: Mapping[str, tuple[str, str | None]] | None = None, graph: bool = False) -> stat.Panel:
    """Large figures or words, one for each series; ``graph`` draws the time before behind them."""
    panel = _panel(stat.Panel(), about, queries, instant=not graph).thresholds(thresholds).color_mode(common.BigValueColorMode.BACKGROUND)
    panel.graph_mode(common.BigValueGraphMode.AREA if graph else common.BigValueGraphMode.NONE)
    panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME if any(query.legend for query in queries) else common.BigValueTextMode.VALUE)
    return panel.reduce_options(_last()).mappings([shown_as(words)] if words else [])


def gauges(about: About, *queries: Query, thresholds: ThresholdsConfig = PLAIN) -> bargauge.Panel:
    """A bar from zero for each series as it is now, one below the other."""
    panel = _panel(bargauge.Panel(), about, queries, instant=True).thresholds(thresholds).reduce_options(_last()).min(0)
    return panel.orientation(common.VizOrientation.HORIZONTAL).display_mode(common.BarGaugeDisplayMode.BASIC).name_placement(common.BarGaugeNamePlacement.LEFT)


def history(about: About, *queries: Query, each: str) -> statushistory.Panel:
    """A row for each series and a field for ``each`` such time, the warmer the more."""
    panel = _panel(statushistory.Panel(), about, queries).interval(each).max_data_points(MOST_POINTS).show_value(common.VisibilityMode.AUTO).legend(_legend([], shown=False))
    return panel.color_scheme(FieldColor().mode(dashboard.FieldColorModeId.CONTINUOUS_BL_YL_RD)).min(0)


def timeline(about: About, *queries: Query, words: Mapping[str, tuple[str, str | None]]) -> statetimeline.Panel:
    """A row for each series, coloured by what it was when."""
    return _panel(statetimeline.Panel(), about, queries).mappings([shown_as(words)]).legend(_legend([], shown=False)).show_value(common.VisibilityMode.NEVER).row_height(0.8)


def heat(about: About, query: Query, *, each: str, of: str) -> heatmap.Panel:
    """A histogram over time: which values (``of`` is their unit), when, how many."""
    panel = _panel(heatmap.Panel(), about, [query], form=PromQueryFormat.HEATMAP).interval(each).calculate(calculate=False)
    return panel.y_axis(heatmap.YAxisConfig().unit(of)).color(heatmap.HeatmapColorOptions().scheme("Blues").steps(64))


def grid(about: About, *queries: Query, columns: Mapping[str, Words], rows: str | None = None, across: str | None = None) -> table.Panel:
    """A table of labels and values as they are now. ``columns``: label or ``Value #A`` → heading, in their order; all others are left out.

    With ``rows`` and ``across``, two labels, the values of one query stand where these meet, and columns are values of the second.
    """
    panel = _panel(table.Panel(), about, queries, instant=True, form=PromQueryFormat.TABLE)
    panel.override_by_regexp(".*", [Property("noValue", "–")])  # in a cell; a table without rows says why
    if rows:
        panel.with_transformation(_transformation("groupingToMatrix", rowField=rows, columnField=across, valueField="Value", emptyValue="null"))
    else:
        panel.with_transformation(_transformation("merge"))
        panel.with_transformation(_transformation("filterFieldsByName", include={"names": list(columns)}))
    order = {name: place for place, name in enumerate(columns)}
    return panel.with_transformation(_transformation("organize", indexByName=order, renameByName={name: both(words) for name, words in columns.items()}, excludeByName={}))


def mapped(panel: table.Panel, heading: Words, names: Mapping[str, str]) -> table.Panel:
    """A column's identifiers become names."""
    return panel.override_by_name(both(heading), [Property("mappings", [as_named(names)])])


def judged(panel: table.Panel, *headings: Words) -> table.Panel:
    """Columns of distances from targets: red below, green from the target on, and neither where there is no target."""
    nothing = dashboard.DashboardSpecialValueMapOptions(dashboard.SpecialValueMatch.NULL, dashboard.ValueMappingResult(text="–", color=GREY))
    coloured = [Property("custom.cellOptions", {"type": "color-text"}), Property("thresholds", BETTER_FROM_ZERO.build()), Property("mappings", [dashboard.SpecialValueMap(nothing)])]
    for heading in headings:
        panel.override_by_name(both(heading), coloured)
    return panel


def renamed(panel: P, names: Mapping[str, str]) -> P:
    """Series whose whole name is an identifier get a name for people."""
    for identifier, name in names.items():
        panel.override_by_name(identifier, [Property("displayName", name)])
    return panel


def drawn(panel: timeseries.Panel, **colours: str) -> timeseries.Panel:
    """The series of a query, by its letter, as a dashed line of one colour: targets and forecasts."""
    for letter, colour in colours.items():
        fixed = FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(colour).build()
        panel.override_by_query(letter, [Property("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}), Property("color", fixed)])
    return panel


def linked(panel: P, board: str, title: Words) -> P:
    """A way on to another dashboard, with the same choices."""
    link = DashboardLink(both(title)).type(dashboard.DashboardLinkType.LINK).url(f"/d/{board}?${{__url_time_range}}&${{__all_variables}}")
    return panel.links([in_view(link)])


def in_view(link: DashboardLink) -> DashboardLink:
    """A link where it can be seen; the SDK would put it into a menu."""
    link.build().placement = None  # type: ignore[assignment]
    return link


def _panel(panel: P, about: About, queries: Sequence[Query], *, instant: bool = False, form: PromQueryFormat = PromQueryFormat.TIME_SERIES) -> P:
    panel.title(both(about.title)).description("\n\n".join(about.says)).unit(about.unit).no_value(both(about.empty))
    panel.span(about.width).height(about.height).datasource(SOURCE)
    if about.unit == NUMBER:
        panel.decimals(0)  # increase() reckons with parts of what it counts
    return panel.targets([_target(query, chr(ord("A") + place), instant, form) for place, query in enumerate(queries)])


def _target(query: Query, letter: str, instant: bool, form: PromQueryFormat) -> Dataquery:
    target = Dataquery().expr(query.expr).ref_id(letter).datasource(SOURCE).format(form)
    target = target.legend_format(query.legend) if query.legend else target
    target = target.exemplar(exemplar=True) if query.exemplar else target
    return target.instant() if instant else target.range()


def _transformation(name: str, **options: Any) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(name, options=options)


def _legend(figures: list[str], *, shown: bool = True) -> VizLegendOptions:
    mode = common.LegendDisplayMode.TABLE if figures else common.LegendDisplayMode.LIST
    return VizLegendOptions().display_mode(mode).placement(common.LegendPlacement.BOTTOM).show_legend(shown).calcs(figures)


def _tooltip() -> VizTooltipOptions:
    return VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


def _last() -> ReduceDataOptions:
    return ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
