"""The report's map as inline SVG: zones, outlets and facilities in their shape on the ground; a detail of its own where zones fall together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from deploy.report.plots import DARK, INK, LIGHT, LINE, WIDTH, picture, tag, text
from deploy.report.words import ZONE_KINDS, Writer

Zone = dict[str, Any]
Numbered = tuple[int, Zone]
Bounds = tuple[float, float, float, float]
"""West, south, east, north."""
_HEIGHTS = 260, 560
_MARGIN, FOOT, _SMALL, _APART = 16, 22, 26, 20
"""Around what is shown, below the frame; how small a zone is that its number would cover, how near numbers may come (all in units of the picture)."""
KM_PER_DEGREE = 111.195
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
PATTERNS = Markup(
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0v5" stroke="#27476b" stroke-width="1.1"/></pattern>'
    '<pattern id="wide" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0v9" stroke="#8fa8c2" stroke-width="1.4"/></pattern>'
    '<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="2" cy="2" r="1" fill="#27476b"/></pattern></defs>'
)


class View(NamedTuple):
    """How degrees become places in a picture; longitude is shortened by latitude."""

    extent: Bounds
    shrink: float
    scale: float
    height: float

    @classmethod
    def of(cls, extent: Bounds) -> View:
        """As large as the page allows."""
        west, south, east, north = extent
        shrink = math.cos(math.radians((south + north) / 2))
        across, up = max((east - west) * shrink, 1e-6), max(north - south, 1e-6)
        height = min(max((WIDTH - 2 * _MARGIN) * up / across + 2 * _MARGIN, _HEIGHTS[0]), _HEIGHTS[1])
        return cls(extent, shrink, min((WIDTH - 2 * _MARGIN) / across, (height - 2 * _MARGIN) / up), height)

    def at(self, lon: float, lat: float) -> tuple[float, float]:
        """Where a position is."""
        west, south, east, north = self.extent
        left, top = (WIDTH - self.scale * self.shrink * (east - west)) / 2, (self.height - self.scale * (north - south)) / 2
        return round(left + (lon - west) * self.shrink * self.scale, 1), round(top + (north - lat) * self.scale, 1)

    def covers(self, place: dict[str, Any]) -> bool:
        """Whether a place lies in it."""
        west, south, east, north = self.extent
        return bool(west <= place["lon"] <= east and south <= place["lat"] <= north)


def maps(t: Writer, network: dict[str, Any]) -> list[tuple[str, Markup]]:
    """The map, and a detail (A, B, …) for each crowd of zones whose numbers would fall together; empty where there is no position.

    Zones are numbered in their order. Places far away from all zones (an error of record, mostly) are left out: ``outside``.
    """
    extent = _extent(network)
    if extent is None:
        return []
    whole, numbered = View.of(extent), list(enumerate(network["zones"], 1))
    crowds = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _crowds(whole, numbered), strict=False))
    crowded = {number for crowd in crowds.values() for number, _ in crowd}
    labels = [(str(number), [zone]) for number, zone in numbered if number not in crowded] + [(letter, [zone for _, zone in crowd]) for letter, crowd in crowds.items()]
    drawn = [("", _drawn(t, whole, network, network["zones"], labels, PATTERNS))]
    for letter, crowd in crowds.items():
        zones = [zone for _, zone in crowd]
        view = View.of(bounds(corners_of(zones)))
        drawn.append((letter, _drawn(t, view, network, zones, [(str(number), [zone]) for number, zone in crowd])))
    return drawn


def _drawn(t: Writer, view: View, network: dict[str, Any], zones: Sequence[Zone], labels: Iterable[tuple[str, list[Zone]]], *before: Markup) -> Markup:
    parts = [*before, tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=view.height - 1, fill="#fff", stroke=LINE)]
    parts += [zone_shape(zone, view.at) for zone in sorted(zones, key=lambda zone: zone["kind"] == "loading")]
    parts += _place_marks([place for place in network["places"] if view.covers(place)], view.at)
    parts += [_label(label, *_label_place(view, held)) for label, held in labels]
    parts.append(scale_bar(view.scale / KM_PER_DEGREE, view.height + FOOT, t.plain("north")))
    return picture(WIDTH, view.height + FOOT, t.plain("map_of"), *parts, css="plot map")


def outside(network: dict[str, Any]) -> int:
    """How many places lie beyond the map."""
    extent = _extent(network)
    return sum(not View.of(extent).covers(place) for place in network["places"]) if extent else 0


def _extent(network: dict[str, Any]) -> Bounds | None:
    """Of the zones, and of the places no farther from them than they reach; of all places where there are no zones."""
    corners = corners_of(network["zones"])
    places = [(place["lon"], place["lat"]) for place in network["places"]]
    if corners:
        west, south, east, north = bounds(corners)
        reach = max(east - west, north - south)
        corners += [(x, y) for x, y in places if west - reach <= x <= east + reach and south - reach <= y <= north + reach]
    points = corners or places
    return bounds(points) if points else None


def corners_of(zones: Iterable[Zone]) -> list[tuple[float, float]]:
    """All corners of some zones (lon, lat)."""
    return [point[:2] for zone in zones for ring in zone["rings"] for point in ring]


def bounds(points: Sequence[tuple[float, float]]) -> Bounds:
    """What encloses some positions."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _crowds(view: View, numbered: Sequence[Numbered]) -> list[list[Numbered]]:
    """The zones whose labels would touch, crowd by crowd; of all at once there is no better view."""
    crowds: list[list[Numbered]] = []
    for each in numbered:
        near = [crowd for crowd in crowds if any(math.dist(_label_place(view, [each[1]]), _label_place(view, [zone])) < _APART for _, zone in crowd)]
        crowds = [crowd for crowd in crowds if crowd not in near] + [sorted([each, *(held for crowd in near for held in crowd)], key=lambda held: held[0])]
    return [crowd for crowd in sorted(crowds, key=lambda crowd: crowd[0][0]) if 1 < len(crowd) < len(numbered)]


def _label_place(view: View, zones: Sequence[Zone]) -> tuple[float, float]:
    """Inside of a zone, or beside it, or beside several, where it would cover what it names."""
    corners = [view.at(*point) for point in corners_of(zones)]
    west, south, east, north = bounds(corners)
    if len(zones) == 1 and max(east - west, north - south) >= _SMALL:
        return view.at(*zones[0]["centre"])
    return (east + 9 if east + 18 < WIDTH else west - 9), max(south - 5, 9)


def _label(label: str, x: float, y: float) -> Markup:
    return tag("circle", cx=x, cy=y, r=8, fill="#fff", stroke=INK, stroke_width=0.9) + tag("text", label, x=x, y=y + 3.6, text_anchor="middle", class_="number")


def zone_shape(zone: dict[str, Any], at: Callable[[float, float], tuple[float, float]]) -> Markup:
    """A zone filled as its kind is, with its name for those who point at it."""
    path = "".join("M" + "L".join(f"{x} {y}" for x, y in (at(*point[:2]) for point in ring)) + "Z" for ring in zone["rings"])
    dashes = {"stroke_dasharray": "5 3"} if zone["illustrative"] else {}
    title = tag("title", f"{zone['name_zh']} {zone['name_en']}")
    return tag("path", title, d=path, fill=_FILLS.get(zone["kind"], "none"), fill_rule="evenodd", fill_opacity=0.55, stroke=DARK, stroke_width=1.1, **dashes)


def _place_marks(places: Sequence[dict[str, Any]], at: Callable[[float, float], tuple[float, float]]) -> list[Markup]:
    """The smallest first, so that hubs lie on top; of places that fall together one is drawn."""
    parts = []
    for kind in reversed(PLACES):
        spots = dict.fromkeys(at(place["lon"], place["lat"]) for place in places if place["kind"] == kind)
        parts += [tag("g", PLACES[kind], transform=f"translate({x} {y})") for x, y in spots]
    return parts


def scale_bar(pixels_per_km: float, height: float, north: str) -> Markup:
    """How long some kilometres are, and where north is, below the map."""
    most_km = 160 / pixels_per_km
    step = 10 ** math.floor(math.log10(most_km))
    km = next(n * step for n in (5, 2, 1) if n * step <= most_km)
    width, y = round(km * pixels_per_km, 1), height - 6
    bar_ = tag("path", d=f"M1 {y - 5}V{y}H{1 + width}V{y - 5}", fill="none", stroke=INK, stroke_width=1.2)
    return bar_ + text(8 + width, y + 1, f"{km:g} km") + text(WIDTH - 2, y + 1, f"↑ {north}", "end")


def zone_sample(kind: str, *, illustrative: bool) -> Markup:
    """A little of a kind of zone, for the legend."""
    dashes = {"stroke_dasharray": "5 3"} if illustrative else {}
    shape = tag("rect", x=1, y=1, width=24, height=12, fill=_FILLS.get(kind, "none"), fill_opacity=0.55, stroke=DARK, stroke_width=1.1, **dashes)
    return picture(26, 14, kind, shape, css="sample")


def place_sample(kind: str) -> Markup:
    """A place's mark, for the legend."""
    return picture(16, 16, kind, tag("g", PLACES[kind], transform="translate(8 8)"), css="sample")


def kind_words(kind: str) -> tuple[str, str]:
    """What a kind of zone is called."""
    return ZONE_KINDS.get(kind, (kind, kind))
