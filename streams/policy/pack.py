"""The schema of policy packs: a city's document as data."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from shapely.geometry.base import BaseGeometry

from streams.basis import Basis, Duty, Figures
from streams.clock import Duration
from streams.registry.records import Body, Energy, PassKind, VehicleClass
from streams.registry.registry import Subject
from streams.rules import RULES
from streams.windows import Window


class LocalDate(str):
    """A local date ``YYYY-MM-DD``."""

    __slots__ = ()


class PublishedDate(str):
    """A local date, or only as much of it as is known: ``YYYY``, ``YYYY-MM``, ``YYYY-MM-DD``."""

    __slots__ = ()


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a pack: keys that it does not have are mistakes."""


class City(Strict, kw_only=True):
    """The city a pack is for; ``adcode`` is its administrative division code (GB/T 2260)."""

    adcode: str
    name_zh: str
    name_en: str
    timezone: str


class InForce(Strict, kw_only=True):
    """The local dates, both included, between which a document is in force; without ``until`` it names no end."""

    from_: LocalDate = msgspec.field(name="from")
    until: LocalDate | None = None


class Document(Strict, kw_only=True):
    """The published document that the pack encodes; ``source``: from where its dates are known, ``assumed``: those that are not known for sure."""

    title: str
    number: str | None = None
    file: str
    published: PublishedDate | None = None
    in_force: InForce | None = None
    source: str = ""
    assumed: list[Literal["published", "in_force"]] = []

    @property
    def shown_number(self) -> str:
        """Its number, or that it bears none."""
        return self.number or "（原文未载文号 not given）"


class Continued(Strict, kw_only=True):
    """Who judges by a document beyond its end, and why."""

    by: str
    reason: str


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
    """Any matching one means "not violating"; ``unless_credit: black`` withdraws them all from such enterprises.

    ``basis`` and ``quote``: what the document says of it (None: nothing is claimed).
    """

    passes: list[PassKind] = []
    energy: list[Energy] = []
    joint_delivery: bool = False
    calendars: list[str] = []
    unless_credit: Literal["black"] | None = None
    basis: Basis | None = None
    quote: str = ""

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
    """One rule instance of a pack; keys of its own are in ``parameters``.

    ``basis``: what the document says (None: nothing is claimed); ``stands_in_for``: rules that the document tells an authority to make.
    """

    rule: str
    id: str
    clause: str
    severity: Literal["violation", "warning"]
    quote: str = ""
    basis: Basis | None = None
    illustrative: bool | None = None
    figures: Figures | None = None
    duty_of: Duty | None = None
    responsible: list[str] = []
    stands_in_for: str | None = None
    min_duration: Duration = Duration(0)
    merge_gap: Duration = Duration(120_000)
    zones: list[str] | ZoneKind | None = None
    vehicles: Selector | None = None
    permitted: list[Window] | None = None
    exempt: Exemption | None = None
    parameters: Any = None

    def __post_init__(self) -> None:
        """Packs of before say ``illustrative: true`` instead of a basis."""
        if self.illustrative and self.basis is None:
            self.basis = "illustrative"

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
    continued: Continued | None = None
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
