"""The schema of policy packs: a city's document as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from shapely.geometry.base import BaseGeometry

from streams.clock import Duration
from streams.policy.dates import Bound, DateRange, LocalDate, PublishedDate
from streams.registry.key_figures import SUBSIDISED
from streams.registry.records import Body, Energy, PassKind, VehicleClass
from streams.registry.registry import Subject
from streams.rules import RULES
from streams.windows import Window
from streams.words.basis import Basis, Duty, Figures


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
    """The published document that the pack encodes; ``source``: from where its dates are known, ``assumed``: those that are not known for sure.

    ``lead_first``: whether the first of the authorities that it names after a sentence leads the others.
    """

    title: str
    number: str | None = None
    file: str
    published: PublishedDate | None = None
    in_force: InForce | None = None
    source: str = ""
    assumed: list[Literal["published", "in_force"]] = []
    lead_first: bool = False

    def lead_of(self, responsible: Sequence[str]) -> str | None:
        """Who leads of the authorities that it names after a sentence; None where it does not say."""
        return responsible[0] if self.lead_first and responsible else None

    def has_ended(self, day: str) -> bool:
        """Whether it is over on a local date (``YYYY-MM-DD``)."""
        return self.in_force is not None and self.in_force.until is not None and day > self.in_force.until

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
    """Conditions under which a rule is not violated. Written as a mapping, any of them frees; as one of a list of alternatives, all of its own must hold.

    ``unless_credit: black`` withdraws it from such enterprises. ``basis`` and ``quote``: what the document says of it (None: nothing is claimed),
    ``figures``: where its extent is an example.
    """

    passes: list[PassKind] = []
    energy: list[Energy] = []
    classes: list[VehicleClass] = []
    body: list[Body] = []
    marked: bool = False
    key_enterprise: bool = False
    joint_delivery: bool = False
    calendars: list[str] = []
    unless_credit: Literal["black"] | None = None
    basis: Basis | None = None
    figures: Figures | None = None
    quote: str = ""

    @property
    def conditions(self) -> dict[str, Any]:
        """Those of its keys that ask for something."""
        return {key: value for key in CONDITIONS if (value := getattr(self, key))}

    def each_alone(self) -> list[Exemption]:
        """One alternative for each condition: what it means as a mapping."""
        bare = Exemption(unless_credit=self.unless_credit, basis=self.basis, figures=self.figures, quote=self.quote)
        return [msgspec.structs.replace(bare, **{key: value}) for key, value in self.conditions.items()]

    def freed_zones(self, subject: Subject, calendars: frozenset[str]) -> frozenset[str]:
        """Ids of the zones in which this vehicle is exempt, all conditions holding, while those calendars are on; ``*`` stands for everywhere."""
        vehicle, enterprise = subject.vehicle, subject.enterprise
        if self.unless_credit and enterprise and enterprise.credit == self.unless_credit:
            return frozenset()
        holds = (
            (not self.calendars or not calendars.isdisjoint(self.calendars))
            and (not self.energy or (vehicle is not None and vehicle.energy in self.energy))
            and (not self.classes or (vehicle is not None and vehicle.vehicle_class in self.classes))
            and (not self.body or (vehicle is not None and vehicle.body in self.body))
            and (not self.marked or (vehicle is not None and vehicle.marked))
            and (not self.key_enterprise or (enterprise is not None and enterprise.key_enterprise))
            and (not self.joint_delivery or (vehicle is not None and vehicle.joint_delivery))
        )
        if not holds:
            return frozenset()
        return subject.pass_zones(self.passes) if self.passes else frozenset("*")


CONDITIONS = tuple(name for name in Exemption.__struct_fields__ if name not in {"unless_credit", "basis", "figures", "quote"})


class Target(Strict, kw_only=True):
    """A figure that is to be reached: a share from 0 to 1, or a number of things; ``by`` a local date, both of a ``document`` or of the ``operator`` (``source``).

    Without ``by`` it is never missed. ``scope``: of which enterprises. A document's target names its ``clause``; ``quote`` holds the clause's words, ``reading`` how they are read.
    """

    value: float
    source: Literal["document", "operator"]
    by: LocalDate | None = None
    clause: str | None = None
    quote: str = ""
    basis: Literal["stated", "encouraged"] | None = None
    reading: str = ""
    scope: Literal["primary_brands"] | None = None

    def is_due(self, day: str) -> bool:
        """Whether it should have been reached by a local date (``YYYY-MM-DD``)."""
        return self.by is not None and day >= self.by


class FigureClause(Strict, kw_only=True):
    """The clause of the document that speaks of a key figure, or of a section of the report, and its words.

    ``window``: of ``subsidy_window_vehicles``, the dates on which purchases are subsidised.
    """

    clause: str
    quote: str
    window: DateRange | None = None


class ZoneKind(Strict, kw_only=True):
    """All zones of a kind."""

    kind: str


class Rule(Strict, kw_only=True):
    """One rule instance of a pack; keys of its own are in ``parameters``.

    ``basis``: what the document says (None: nothing is claimed); ``reading``: how its words are read here, and what of the judging is the pack's own;
    ``stands_in_for``: rules that the document tells an authority to make.
    """

    rule: str
    id: str
    clause: str
    severity: Literal["violation", "warning"]
    quote: str = ""
    basis: Basis | None = None
    illustrative: bool | None = None
    figures: Figures | None = None
    reading: str = ""
    duty_of: Duty | None = None
    responsible: list[str] = []
    stands_in_for: str | None = None
    min_duration: Duration = Duration(0)
    merge_gap: Duration = Duration(120_000)
    zones: list[str] | ZoneKind | None = None
    vehicles: Selector | None = None
    permitted: list[Window] | None = None
    exempt: Exemption | list[Exemption] | None = None
    parameters: Any = None

    def __post_init__(self) -> None:
        """Packs of before say ``illustrative: true`` instead of a basis."""
        if self.illustrative and self.basis is None:
            self.basis = "illustrative"

    @property
    def alternatives(self) -> list[Exemption]:
        """Its exemptions; a vehicle of which one holds does not violate the rule."""
        return self.exempt.each_alone() if isinstance(self.exempt, Exemption) else self.exempt or []

    def freed_zones(self, subject: Subject, calendars: frozenset[str]) -> frozenset[str]:
        """Ids of the zones in which this vehicle is exempt while those calendars are on; ``*`` stands for everywhere."""
        return frozenset[str]().union(*(alternative.freed_zones(subject, calendars) for alternative in self.alternatives))

    @property
    def zone_ids(self) -> list[str] | None:
        """Its zones (None: not tied to any); a kind was replaced by the zones of that kind when the pack was read."""
        return self.zones if isinstance(self.zones, list) else None

    @property
    def minimum_ms(self) -> int:
        """How long a run must last to be an incident."""
        of_rule = getattr(RULES[self.rule], "minimum_ms", None)
        return int(max(self.min_duration, of_rule(self.parameters) if of_rule else 0))


class WrittenPack(Strict, kw_only=True):
    """The keys of a policy pack as its YAML gives them."""

    policy: str
    city: City
    document: Document
    valid_from: Bound | None = None
    valid_until: Bound | None = None
    continued: Continued | None = None
    identifier: Identifier | None = None
    lateness: Duration = Duration(600_000)
    calendars: dict[str, list[DateRange]] = {}
    zones: str | None = None
    rules: list[Rule]
    stated_targets: dict[str, Target | float] = msgspec.field(name="targets", default_factory=dict)
    figure_clauses: dict[str, FigureClause] = {}
    credit: dict[str, Any] | None = None
    """Packs of before may have it; nothing is made of it."""


class Pack(WrittenPack, kw_only=True):
    """A policy pack with its zones: ``geometries`` holds polygons in file order, ``zone_names`` (zh, en) and ``zone_kinds`` by id, ``illustrative_zones`` those that are examples.

    ``source``: the texts (``yaml``, ``geojson``) that it was read from.
    """

    geometries: dict[str, BaseGeometry] = {}
    zone_names: dict[str, tuple[str, str]] = {}
    zone_kinds: dict[str, str] = {}
    illustrative_zones: frozenset[str] = frozenset()
    source: dict[str, str] = {}

    @property
    def targets(self) -> dict[str, Target]:
        """Its targets by measure; a plain number is the operator's."""
        return {measure: target if isinstance(target, Target) else Target(value=target, source="operator") for measure, target in self.stated_targets.items()}

    @property
    def subsidised(self) -> tuple[str, str] | None:
        """First and last local date on which the purchase of green vehicles is subsidised; None where the document names none."""
        spoken = self.figure_clauses.get(SUBSIDISED)
        return (spoken.window.from_, spoken.window.until) if spoken and spoken.window and spoken.window.from_ and spoken.window.until else None

    def target_of(self, measure: str) -> float | None:
        """The value that a measure is to reach; None where none is set."""
        target = self.targets.get(measure)
        return target.value if target else None
