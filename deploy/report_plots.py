"""The report's pictures as inline SVG: figures beside their targets, days, the map. No script, no request; readable without colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

from deploy.report_words import ZONE_KINDS, Writer
from streams.shares import percent, target_percent

INK, DARK, LIGHT, LINE = "#1a1d21", "#27476b", "#8fa8c2", "#c9ced6"
WIDTH = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 92, 30, 26
_PLOT_HEIGHT = 190
_POINTS_UP_TO_DAYS = 100
_MOST_LABELS = 10
_MAP_HEIGHTS = 260, 560
_MARGIN, _FOOT, _SMALL = 16, 22, 26
"""Around what is shown, below the frame, and how small a zone is that its number would cover."""
_KM_PER_DEGREE = 111.195
PLACES = {
    "hub": Markup('<rect x="-6" y="-6" width="12" height="12" fill="#1a1d21"/>'),
    "county": Markup('<path d="M0-7 6.5 5h-13z" fill="#1a1d21"/>'),
    "township": Markup('<path d="M0-5.5 5.5 0 0 5.5-5.5 0z" fill="#27476b"/>'),
    "village": Markup('<circle r="3.2" fill="#27476b"/>'),
    "pickup_point": Markup('<circle r="3" fill="#fff" stroke="#27476b" stroke-width="1.3"/>'),
    "outlet": Markup('<circle r="1.9" fill="#5d7896"/>'),
    "unfiled_outlet": Markup('<path d="M-3-3 3 3M-3 3 3-3" stroke="#1a1d21" stroke-width="1.5"/>'),
}
"""A mark of its own for each kind of place, largest first."""
_FILLS = {"restricted": "url(#hatch)", "residential": "url(#dots)", "loading": DARK, "main_road": LIGHT, "road": LIGHT, "corridor": "url(#wide)", "operating": "none"}
_PATTERNS = Markup(
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v5" stroke="#27476b" stroke-width="1.1"/></pattern>'
    '<pattern id="wide" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0v9" stroke="#8fa8c2" stroke-width="1.4"/></pattern>'
    '<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="2" cy="2" r="1" fill="#27476b"/></pattern></defs>'
)


def tag(name: str, content: str = "", **attributes: object) -> Markup:
    """An element; names are written with ``-`` for ``_``, values and text are escaped."""
    given = Markup("").join(Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Markup("<{}{}>{}</{}>").format(name, given, content, name)


def _text(x: float, y: float, content: object, anchor: str = "start") -> Markup:
    return tag("text", str(content), x=round(x, 1), y=round(y, 1), text_anchor=anchor)


def _picture(width: float, height: float, label: str, *parts: Markup, css: str = "plot") -> Markup:
    return tag("svg", Markup("").join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=css)


def bullet(value: float | None, target: float | None, label: str) -> Markup:
    """A share as a bar from nothing to all, with its target as an upright line; empty where nobody reports it."""
    parts = [tag("rect", x=0.5, y=3.5, width=99, height=7, fill="#fff", stroke=LINE)]
    if value is not None:
        parts.append(tag("rect", x=0.5, y=3.5, width=round(99 * min(1.0, max(0.0, value)), 2), height=7, fill=DARK))
    if target is not None:
        parts.append(tag("rect", x=round(99 * min(1.0, max(0.0, target)), 2), y=0, width=1.6, height=14, fill=INK))
    return _picture(101, 14, label, *parts, css="bullet")


def bar(part: float, most: float) -> Markup:
    """A number as a bar, as long as the greatest of its column."""
    width = round(100 * part / most, 2) if most else 0
    return tag("svg", tag("rect", width=width, height=6, fill=DARK), viewBox="0 0 100 6", preserveAspectRatio="none", class_="bar", aria_hidden="true")


Place = Callable[[float, float], tuple[float, float]]
"""Where in the picture a value (of a day, of a share), or a position (lon, lat), is."""
Series = tuple[str, dict[str, float], float | None]
"""A title, share by date, and the target."""


def days_plot(t: Writer, dates: Sequence[str], series: Sequence[Series]) -> Markup:
    """Shares day by day, lines with gaps where nobody reported, and their targets as dashed lines with their figures."""
    values = [value for _, by_date, target in series for value in (*by_date.values(), target) if value is not None]
    lowest = max(0.0, math.floor(min(values, default=0.0) * 10 - 0.5) / 10)
    height = _TOP + _PLOT_HEIGHT + _BOTTOM

    def at(index: float, value: float) -> tuple[float, float]:
        across = (index + 0.5) / len(dates)
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * across, 1), round(_TOP + _PLOT_HEIGHT * (1 - (value - lowest) / (1 - lowest)), 1)

    steps = range(round(lowest * 10), 11, 1 if lowest >= 0.5 else 2)
    parts = [tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at(0, s / 10)[1], y2=at(0, s / 10)[1], stroke=LINE, stroke_width=0.8) for s in steps]
    parts += [_text(_LEFT - 6, at(0, s / 10)[1] + 4, f"{s * 10}%", "end") for s in steps]
    parts += [_text(at(n, 0)[0], height - 8, dates[n][5:] if len(dates) < 360 else dates[n][:7], "middle") for n in _labelled(len(dates))]
    parts += _target_lines(t, [target for *_, target in series if target is not None], at)
    for number, (title, by_date, _) in enumerate(series):
        parts += [*_line(dates, by_date, number, at), *_legend(title, number, series)]
    return _picture(WIDTH, height, t.plain("days"), *parts)


def _labelled(number: int) -> list[int]:
    step = max(1, math.ceil(number / _MOST_LABELS))
    return list(range(0, number, step))


def _target_lines(t: Writer, targets: Iterable[float], at: Place) -> list[Markup]:
    parts = []
    for target in dict.fromkeys(targets):
        y = at(0, target)[1]
        parts.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, stroke=INK, stroke_width=1.2, stroke_dasharray="6 4"))
        parts.append(_text(WIDTH - _RIGHT + 5, y + 4, f"{t.plain('target')} {target_percent(target)}"))
    return parts


def _line(dates: Sequence[str], by_date: dict[str, float], number: int, at: Place) -> list[Markup]:
    colour = (DARK, LIGHT)[number % 2]
    runs: list[list[tuple[int, float]]] = [[]]
    for index, day in enumerate(dates):
        if day in by_date:
            runs[-1].append((index, by_date[day]))
        elif runs[-1]:
            runs.append([])
    lines = [" ".join(f"{x},{y}" for x, y in (at(*point) for point in run)) for run in runs if len(run) > 1]
    parts = [tag("polyline", points=points, fill="none", stroke=colour, stroke_width=1.8) for points in lines]
    if len(dates) > _POINTS_UP_TO_DAYS:
        return parts
    for index, value in (point for run in runs for point in run):
        parts.append(_mark(*at(index, value), number, title=f"{dates[index]} {percent(value)}"))
    return parts


def _mark(x: float, y: float, number: int, *, title: str = "") -> Markup:
    said = tag("title", title) if title else Markup("")
    if number % 2:
        return tag("rect", said, x=x - 3, y=y - 3, width=6, height=6, fill="#fff", stroke=INK, stroke_width=1.2)
    return tag("circle", said, cx=x, cy=y, r=3.3, fill=DARK)


def _legend(title: str, number: int, series: Sequence[Series]) -> list[Markup]:
    x = _LEFT + (WIDTH - _LEFT - _RIGHT) / len(series) * number
    return [tag("line", x1=x, x2=x + 20, y1=10, y2=10, stroke=(DARK, LIGHT)[number % 2], stroke_width=1.8), _mark(x + 10, 10, number), _text(x + 26, 14, title)]


# --- map ---
def map_of(t: Writer, network: dict[str, Any]) -> Markup | None:
    """Zones and places in their shape on the ground (longitude shortened by latitude), zones numbered as in ``zone_legend``; None where there is none.

    Places far away from all zones (an error of record, mostly) are left out; ``outside`` tells how many.
    """
    extent = _extent(network)
    if extent is None:
        return None
    west, south, east, north = extent
    shrink = math.cos(math.radians((south + north) / 2))
    span_x, span_y = max((east - west) * shrink, 1e-6), max(north - south, 1e-6)
    height = min(max((WIDTH - 2 * _MARGIN) * span_y / span_x + 2 * _MARGIN, _MAP_HEIGHTS[0]), _MAP_HEIGHTS[1])
    scale = min((WIDTH - 2 * _MARGIN) / span_x, (height - 2 * _MARGIN) / span_y)
    left, top = (WIDTH - scale * span_x) / 2, (height - scale * span_y) / 2

    def at(lon: float, lat: float) -> tuple[float, float]:
        return round(left + (lon - west) * shrink * scale, 1), round(top + (north - lat) * scale, 1)

    parts = [_PATTERNS, tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, fill="#fff", stroke=LINE)]
    parts += [_zone_shape(zone, at) for zone in sorted(network["zones"], key=lambda zone: zone["kind"] == "loading")]
    parts += _place_marks([place for place in network["places"] if _inside(place, extent)], at)
    parts += [_number(number, zone, at) for number, zone in enumerate(network["zones"], 1)]
    parts.append(_scale_bar(scale / _KM_PER_DEGREE, height + _FOOT, t.plain("north")))
    return _picture(WIDTH, height + _FOOT, t.plain("map_of"), *parts, css="plot map")


def outside(network: dict[str, Any]) -> int:
    """How many places lie beyond the map."""
    extent = _extent(network)
    return sum(not _inside(place, extent) for place in network["places"]) if extent else 0


def _extent(network: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """West, south, east, north: of the zones, and of the places no farther from them than they reach; of all places where there are no zones."""
    corners = [point for zone in network["zones"] for ring in zone["rings"] for point in ring]
    places = [(place["lon"], place["lat"]) for place in network["places"]]
    if corners:
        west, south, east, north = _bounds(corners)
        reach = max(east - west, north - south)
        corners += [(x, y) for x, y in places if west - reach <= x <= east + reach and south - reach <= y <= north + reach]
    points = corners or places
    return _bounds(points) if points else None


def _bounds(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    xs, ys = [x for x, *_ in points], [y for _, y, *_ in points]
    return min(xs), min(ys), max(xs), max(ys)


def _inside(place: dict[str, Any], extent: tuple[float, float, float, float]) -> bool:
    west, south, east, north = extent
    return bool(west <= place["lon"] <= east and south <= place["lat"] <= north)


def _zone_shape(zone: dict[str, Any], at: Place) -> Markup:
    path = "".join("M" + "L".join(f"{x} {y}" for x, y in (at(*point[:2]) for point in ring)) + "Z" for ring in zone["rings"])
    dashes = {"stroke_dasharray": "5 3"} if zone["illustrative"] else {}
    title = tag("title", f"{zone['name_zh']} {zone['name_en']}")
    return tag("path", title, d=path, fill=_FILLS.get(zone["kind"], "none"), fill_rule="evenodd", fill_opacity=0.55, stroke=DARK, stroke_width=1.1, **dashes)


def _place_marks(places: Sequence[dict[str, Any]], at: Place) -> list[Markup]:
    """The smallest first, so that hubs lie on top; of places that fall together one is drawn."""
    parts = []
    for kind in reversed(PLACES):
        spots = dict.fromkeys(at(place["lon"], place["lat"]) for place in places if place["kind"] == kind)
        parts += [tag("g", PLACES[kind], transform=f"translate({x} {y})") for x, y in spots]
    return parts


def _number(number: int, zone: dict[str, Any], at: Place) -> Markup:
    """A zone's number inside of it, or beside it where it would cover it."""
    west, south, east, north = _bounds([at(*point[:2]) for ring in zone["rings"] for point in ring])
    x, y = at(*zone["centre"])
    if max(east - west, north - south) < _SMALL:
        x, y = (east + 9 if east + 18 < WIDTH else west - 9), max(south - 5, 9)
    return tag("circle", cx=x, cy=y, r=8, fill="#fff", stroke=INK, stroke_width=0.9) + tag("text", str(number), x=x, y=y + 3.6, text_anchor="middle", class_="number")


def _scale_bar(pixels_per_km: float, height: float, north: str) -> Markup:
    """How long some kilometres are, and where north is, below the map."""
    most_km = 160 / pixels_per_km
    step = 10 ** math.floor(math.log10(most_km))
    km = next(n * step for n in (5, 2, 1) if n * step <= most_km)
    width, y = round(km * pixels_per_km, 1), height - 6
    bar_ = tag("path", d=f"M1 {y - 5}V{y}H{1 + width}V{y - 5}", fill="none", stroke=INK, stroke_width=1.2)
    return bar_ + _text(8 + width, y + 1, f"{km:g} km") + _text(WIDTH - 2, y + 1, f"↑ {north}", "end")


def zone_sample(kind: str, *, illustrative: bool) -> Markup:
    """A little of a kind of zone, for the legend."""
    dashes = {"stroke_dasharray": "5 3"} if illustrative else {}
    shape = tag("rect", x=1, y=1, width=24, height=12, fill=_FILLS.get(kind, "none"), fill_opacity=0.55, stroke=DARK, stroke_width=1.1, **dashes)
    return _picture(26, 14, kind, shape, css="sample")


def place_sample(kind: str) -> Markup:
    """A place's mark, for the legend."""
    return _picture(16, 16, kind, tag("g", PLACES[kind], transform="translate(8 8)"), css="sample")


def kind_words(kind: str) -> tuple[str, str]:
    """What a kind of zone is called."""
    return ZONE_KINDS.get(kind, (kind, kind))
