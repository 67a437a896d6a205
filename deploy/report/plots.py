"""The report's plots as inline SVG: figures beside their targets, days. No script, no request; readable without colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from deploy.report.words import Writer
from streams.words.shares import percent, target_percent

INK, DARK, LIGHT, LINE = "#1a1d21", "#27476b", "#8fa8c2", "#c9ced6"
WIDTH = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 106, 30, 26
_PLOT_HEIGHT = 190
_POINTS_UP_TO_DAYS = 100
_MOST_LABELS, _DAYS_NAMED = 10, 62
_LINE = 13


def tag(name: str, content: str = "", **attributes: object) -> Markup:
    """An element; names are written with ``-`` for ``_``, values and text are escaped."""
    given = Markup("").join(Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Markup("<{}{}>{}</{}>").format(name, given, content, name)


def text(x: float, y: float, content: object, anchor: str = "start") -> Markup:
    """A line of text."""
    return tag("text", str(content), x=round(x, 1), y=round(y, 1), text_anchor=anchor)


def picture(width: float, height: float, label: str, *parts: Markup, css: str = "plot") -> Markup:
    """A whole picture, with what it is called for those who do not see it."""
    return tag("svg", Markup("").join(parts), viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=css)


def bullet(value: float | None, target: float | None, label: str) -> Markup:
    """A share as a bar from nothing to all, with its target as an upright line; empty where nobody reports it."""
    parts = [tag("rect", x=0.5, y=3.5, width=99, height=7, fill="#fff", stroke=LINE)]
    if value is not None:
        parts.append(tag("rect", x=0.5, y=3.5, width=round(99 * min(1.0, max(0.0, value)), 2), height=7, fill=DARK))
    if target is not None:
        parts.append(tag("rect", x=round(99 * min(1.0, max(0.0, target)), 2), y=0, width=1.6, height=14, fill=INK))
    return picture(101, 14, label, *parts, css="bullet")


def bar(part: float, most: float) -> Markup:
    """A number as a bar, as long as the greatest of its column."""
    width = round(100 * part / most, 2) if most else 0
    return tag("svg", tag("rect", width=width, height=6, fill=DARK), viewBox="0 0 100 6", preserveAspectRatio="none", class_="bar", aria_hidden="true")


Place = Callable[[float, float], tuple[float, float]]
"""Where in the picture a value (of a day, of a share), or a position (lon, lat), is."""
Series = tuple[str, dict[str, float], float | None]
"""A title, share by date or month, and the target."""


def shares_plot(t: Writer, name: str, dates: Sequence[str], series: Sequence[Series]) -> Markup:
    """Shares day by day (``YYYY-MM-DD``) or month by month (``YYYY-MM``): lines with gaps where nobody reported, and their targets as dashed lines with their figures."""
    values = [value for _, by_date, target in series for value in (*by_date.values(), target) if value is not None]
    lowest = max(0.0, math.floor(min(values, default=0.0) * 10 - 0.5) / 10)
    height = _TOP + _PLOT_HEIGHT + _BOTTOM

    def at(index: float, value: float) -> tuple[float, float]:
        across = (index + 0.5) / len(dates)
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * across, 1), round(_TOP + _PLOT_HEIGHT * (1 - (value - lowest) / (1 - lowest)), 1)

    steps = range(round(lowest * 10), 11, 1 if lowest >= 0.5 else 2)
    parts = [tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=at(0, s / 10)[1], y2=at(0, s / 10)[1], stroke=LINE, stroke_width=0.8) for s in steps]
    parts += [text(_LEFT - 6, at(0, s / 10)[1] + 4, f"{s * 10}%", "end") for s in steps]
    parts += [text(at(n, 0)[0], height - 8, label, "middle") for n, label in _labelled(dates)]
    parts += _target_lines(t, [target for *_, target in series if target is not None], at)
    for number, (title, by_date, _) in enumerate(series):
        parts += [*_line(dates, by_date, number, at), *_legend(title, number, series)]
    return picture(WIDTH, height, t.plain(name), *parts)


def _labelled(dates: Sequence[str]) -> list[tuple[int, str]]:
    """Which days or months are named below the plot, and how: some of them, or months where there are many days."""
    named = [(n, day[5:] if len(day) > len("YYYY-MM") else day) for n, day in enumerate(dates)]
    if len(dates) > _DAYS_NAMED:
        named = [(n, day[:7]) for n, day in enumerate(dates) if day.endswith("-01")]
    return named[:: max(1, math.ceil(len(named) / _MOST_LABELS))]


def _target_lines(t: Writer, targets: Iterable[float], at: Place) -> list[Markup]:
    """Dashed lines from the lowest up; their labels keep apart."""
    parts, above = [], math.inf
    for target in sorted(set(targets)):
        y = at(0, target)[1]
        above = min(y, above - _LINE)
        parts.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, stroke=INK, stroke_width=1.2, stroke_dasharray="6 4"))
        parts.append(text(WIDTH - _RIGHT + 5, above + 4, f"{t.plain('target')} {target_percent(target)}"))
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
    return [tag("line", x1=x, x2=x + 20, y1=10, y2=10, stroke=(DARK, LIGHT)[number % 2], stroke_width=1.8), _mark(x + 10, 10, number), text(x + 26, 14, title)]
