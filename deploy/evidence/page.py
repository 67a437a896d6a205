"""The page in an evidence file: one HTML file that needs nothing else, no script and no network, in Chinese and English."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from deploy.evidence.records import event_id_of
from deploy.report.atlas import FOOT, KM_PER_DEGREE, PATTERNS, View, bounds, corners_of, scale_bar, zone_shape
from deploy.report.network import zone_on_map
from deploy.report.plots import DARK, INK, LINE, WIDTH, picture, tag, text
from streams.policy.conditions import title_words
from streams.wire.answers import ACTION_WORDS
from streams.words.basis import Words, basis_words, stands_in_words
from streams.words.terms import STATES

if TYPE_CHECKING:
    from deploy.evidence.gathering import Case, TrackPoint

LEAST_DEGREES = 0.002
"""A map shows at least so much: some 200 m."""
_LEFT, _TOP, _HEIGHT, _FOOT = 46, 14, 170, 26


def evidence_page(case: Case, made_at: datetime, by: str | None) -> str:
    """The whole page."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    timezone = case.policy.timezone if case.policy else ZoneInfo("Asia/Shanghai")
    environment.filters |= {"local": lambda time_ms: local(time_ms, timezone), "action": lambda action: ACTION_WORDS.get(action, Words(action, action))}
    it = case.data
    zones = [zone_on_map(case.policy, it["zone_id"])] if case.policy and it["zone_id"] in case.policy.pack.geometries else []
    return environment.get_template("page.html").render(
        case=case, it=it, made_at=made_at.strftime("%Y-%m-%d %H:%M:%S UTC"), by=by, timezone=timezone.key, title=title_words(it["rule"]),
        basis=basis_words(it.get("basis"), it.get("figures"), it.get("duty_of"), it.get("responsible"), it.get("lead"), it.get("reading")), stands_in=stands_in_words(it.get("stands_in_for")), zones=zones, maps=maps(case.track, zones), speeds=speeds(case.track, timezone),
        states={name: words.zh for name, words in STATES.items()}, places={place: record for record in case.records if (place := event_id_of(record)) is not None},
    )  # fmt: skip


def local(time_ms: int, timezone: ZoneInfo) -> str:
    """A moment as clocks there show it."""
    return datetime.fromtimestamp(time_ms / 1000, timezone).strftime("%Y-%m-%d %H:%M:%S")


def maps(track: Sequence[TrackPoint], zones: Sequence[dict[str, Any]]) -> list[Markup]:
    """The way and its zone; and the way alone where it is small beside the zone."""
    points = [(point.lon, point.lat) for point in track]
    corners = corners_of(zones)
    if not points:
        return [_map(track, zones, corners)] if corners else []
    drawn = [_map(track, zones, [*points, *corners])]
    if corners and _span(points) * 4 < _span([*points, *corners]):
        drawn.append(_map(track, zones, points, clipped=True))
    return drawn


def _span(points: Sequence[tuple[float, float]]) -> float:
    west, south, east, north = bounds(points)
    return max(east - west, north - south, LEAST_DEGREES)


def _map(track: Sequence[TrackPoint], zones: Sequence[dict[str, Any]], shown: Sequence[tuple[float, float]], *, clipped: bool = False) -> Markup:
    west, south, east, north = bounds(shown)
    wide, high = (max(0.05 * (far - near), (LEAST_DEGREES - (far - near)) / 2) for near, far in ((west, east), (south, north)))
    view = View.of((west - wide, south - high, east + wide, north + high))
    frame: dict[str, Any] = {"x": 0.5, "y": 0.5, "width": WIDTH - 1, "height": view.height - 1}
    clip = f"frame{int(clipped)}"
    shapes = [zone_shape(zone, view.at) for zone in zones]
    places = [view.at(point.lon, point.lat) for point in track]
    way = tag("polyline", points=" ".join(f"{x},{y}" for x, y in places), fill="none", stroke=DARK, stroke_width=1.4)
    dots = [_dot(point, *place) for point, place in sorted(zip(track, places, strict=True), key=lambda each: each[0].evidence)]
    defs = Markup("") if clipped else PATTERNS
    inside = tag("g", Markup("").join([*shapes, way, *dots]), clip_path=f"url(#{clip})")
    parts = [defs, tag("clipPath", tag("rect", **frame), id=clip), tag("rect", **frame, fill="#fff", stroke=LINE), inside, scale_bar(view.scale / KM_PER_DEGREE, view.height + FOOT, "北 north")]
    return picture(WIDTH, view.height + FOOT, "行驶轨迹 the vehicle's way", *parts)


def _dot(point: TrackPoint, x: float, y: float) -> Markup:
    if point.evidence:
        return tag("circle", cx=x, cy=y, r=5, fill="#fff", stroke=INK, stroke_width=2.2)
    return tag("circle", cx=x, cy=y, r=1.8, fill=DARK)


def speeds(track: Sequence[TrackPoint], timezone: ZoneInfo) -> Markup | None:
    """Speed over time, with the evidence marked; None where no fix says how fast it was."""
    said = [(point, point.speed_kmh) for point in track if point.speed_kmh is not None]
    if not said:
        return None
    first_ms, last_ms = track[0].time_ms, max(track[-1].time_ms, track[0].time_ms + 1)
    step = next(step for step in (10, 20, 50, 100, 1_000_000) if max(speed for _, speed in said) <= 5 * step)

    def at(time_ms: int, speed: float) -> tuple[float, float]:
        return round(_LEFT + (WIDTH - _LEFT - 12) * (time_ms - first_ms) / (last_ms - first_ms), 1), round(_TOP + _HEIGHT * (1 - speed / (5 * step)), 1)

    parts = []
    for number in range(6):
        y = at(first_ms, number * step)[1]
        parts += [tag("line", x1=_LEFT, x2=WIDTH - 12, y1=y, y2=y, stroke=LINE, stroke_width=0.8), text(_LEFT - 6, y + 4, number * step, "end")]
    for number, anchor in ((0, "start"), (1, "middle"), (2, "end")):
        moment_ms = first_ms + (last_ms - first_ms) * number // 2
        parts.append(text(at(moment_ms, 0)[0], _TOP + _HEIGHT + 18, local(moment_ms, timezone)[11:], anchor))
    places = [at(point.time_ms, speed) for point, speed in said]
    parts.append(tag("polyline", points=" ".join(f"{x},{y}" for x, y in places), fill="none", stroke=DARK, stroke_width=1.6))
    parts += [_dot(point, *place) for (point, _), place in zip(said, places, strict=True)]
    parts.append(text(2, _TOP + _HEIGHT + 18, "km/h"))
    return picture(WIDTH, _TOP + _HEIGHT + _FOOT, "速度 speed", *parts)
