"""The schema of policy packs: a city's document as data."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from shapely.geometry.base import BaseGeometry

from streams.clock import Duration
from streams.registry.records import Body, Energy, PassKind, VehicleClass
from streams.registry.registry import Subject
from streams.rules import RULES
from streams.windows import Window


class LocalDate(str):
    """A local date ``YYYY-MM-DD``."""

    __slots__ = ()


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a pack: keys that it does not have are mistakes."""


class City(Strict, kw_only=True):
    """The city a pack is for; ``adcode`` is its administrative division code (GB/T 2260)."""

    adcode: str
    name_zh: str
    name_en: str
    timezone: str


class Document(Strict, kw_only=True):
    """The published document that the pack encodes."""

    title: str
    number: str
    file: str


class Identifier(Strict, kw_only=True):
    """The scheme of the unified vehicle number: a regular expression (RE2 syntax) that must match all of it."""

    pattern: str


class DateRange(Strict, kw_only=True):
    """Local dates, both included."""

    from_: LocalDate = msgspec.field(name="from")
    until: LocalDate


class Selector(Strict, kw_only=True):
    """Which vehicles a rule is about; all given conditions must hold, and an unknown vehicle matches none."""

    classes: list[VehicleClass] | None = None
    energy: list[Energy] | None = None
    body: list[Body] | None = None

    def matches(self, subject: Subject) -> bool:
        """Whether the rule is about this vehicle."""
        vehicle = subject.vehicle
        return (
            vehicle is not None
            and (self.classes is None or vehicle.vehicle_class in self.classes)
            and (self.energy is None or vehicle.energy in self.energy)
            and (self.body is None or vehicle.body in self.body)
        )


class Exemption(Strict, kw_only=True):
    """Any matching one means "not violating"; ``unless_credit: black`` withdraws them all from such enterprises."""

    passes: list[PassKind] = []
    energy: list[Energy] = []
    joint_delivery: bool = False
    calendars: list[str] = []
    unless_credit: Literal["black"] | None = None

    def freed_zones(self, subject: Subject, calendars: frozenset[str]) -> frozenset[str]:
        """Ids of the zones in which this vehicle is exempt while those calendars are on; ``*`` stands for everywhere."""
        vehicle = subject.vehicle
        if self.unless_credit and subject.enterprise and subject.enterprise.credit == self.unless_credit:
            return frozenset()
        if (
            (calendars and not calendars.isdisjoint(self.calendars))
            or (vehicle and vehicle.energy in self.energy)
            or (vehicle and self.joint_delivery and vehicle.joint_delivery)
        ):
            return frozenset("*")
        return subject.pass_zones(self.passes) if self.passes else frozenset()


class ZoneKind(Strict, kw_only=True):
    """All zones of a kind."""

    kind: str


class Rule(Strict, kw_only=True):
    """One rule instance of a pack; keys of its own are in ``parameters``."""

    rule: str
    id: str
    clause: str
    severity: Literal["violation", "warning"]
    quote: str = ""
    illustrative: bool = False
    min_duration: Duration = Duration(0)
    merge_gap: Duration = Duration(120_000)
    zones: list[str] | ZoneKind | None = None
    vehicles: Selector | None = None
    permitted: list[Window] | None = None
    exempt: Exemption | None = None
    parameters: Any = None

    @property
    def zone_ids(self) -> list[str] | None:
        """Its zones (None: not tied to any); a kind was replaced by the zones of that kind when the pack was read."""
        return self.zones if isinstance(self.zones, list) else None

    @property
    def minimum_ms(self) -> int:
        """How long a run must last to be an incident."""
        of_rule = getattr(RULES[self.rule], "minimum_ms", None)
        return int(max(self.min_duration, of_rule(self.parameters) if of_rule else 0))


class Pack(Strict, kw_only=True):
    """A policy pack; ``geometries`` holds its zones' polygons in file order, ``zone_names`` (zh, en) and ``zone_kinds`` by id."""

    policy: str
    city: City
    document: Document
    valid_from: str | None = None
    valid_until: str | None = None
    identifier: Identifier | None = None
    lateness: Duration = Duration(600_000)
    calendars: dict[str, list[DateRange]] = {}
    zones: str | None = None
    rules: list[Rule]
    targets: dict[str, float] = {}
    credit: dict[str, Any] = {}
    geometries: dict[str, BaseGeometry] = {}
    zone_names: dict[str, tuple[str, str]] = {}
    zone_kinds: dict[str, str] = {}
    source: dict[str, str] = {}
