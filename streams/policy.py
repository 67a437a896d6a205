"""Policy packs: a city's document as data, read strictly (every mistake names file, line and the nearest valid key)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from shapely.geometry.base import BaseGeometry

from streams.clock import BEGINNING_MS, END_MS, Duration, LocalDays, bound_ms, duration_ms, instant_ms, local_date, local_datetime
from streams.errors import BadInput, nearest
from streams.geo import ZoneIndex
from streams.pack_checks import is_share, list_problem, number_problem, pack_record, parameter_problems
from streams.patterns import compile_pattern
from streams.plain_yaml import read_yaml
from streams.registry import Body, Energy, PassKind, Subject, VehicleClass
from streams.rules import RULES, judged
from streams.small_files import read_beside, read_small
from streams.windows import MinuteOfDay, Weekdays, Window, minute_of_day, weekdays
from streams.zone_file import read_zones as read_zone_file

PACKS = Path(__file__).parent / "policies"


class LocalDate(str):
    """A local date ``YYYY-MM-DD``."""

    __slots__ = ()


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class City(_Strict, kw_only=True):
    """The city a pack is for; ``adcode`` is its administrative division code (GB/T 2260)."""

    adcode: str
    name_zh: str
    name_en: str
    timezone: str


class Document(_Strict, kw_only=True):
    """The published document that the pack encodes."""

    title: str
    number: str
    file: str


class Identifier(_Strict, kw_only=True):
    """The scheme of the unified vehicle number: a regular expression (RE2 syntax) that must match all of it."""

    pattern: str


class DateRange(_Strict, kw_only=True):
    """Local dates, both included."""

    from_: LocalDate = msgspec.field(name="from")
    until: LocalDate


class Selector(_Strict, kw_only=True):
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


class Exemption(_Strict, kw_only=True):
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


class ZoneKind(_Strict, kw_only=True):
    """All zones of a kind."""

    kind: str


class Rule(_Strict, kw_only=True):
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


class Pack(_Strict, kw_only=True):
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


class Settled(NamedTuple):
    """A period in which no window or calendar changes: the calendars that are on, the rules whose windows permit."""

    from_ms: int
    until_ms: int
    calendars: frozenset[str]
    permitted: frozenset[str]


class Policy:
    """A pack ready to be asked: zones indexed, windows and calendars resolved by instant."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.warnings: tuple[str, ...] = ()
        self.name = pack.policy
        self.timezone = ZoneInfo(pack.city.timezone)
        self.days = LocalDays(self.timezone)
        self.lateness_ms = int(pack.lateness)
        self.valid_from_ms = bound_ms(pack.valid_from, self.timezone, end=False) if pack.valid_from else BEGINNING_MS
        self.valid_until_ms = bound_ms(pack.valid_until, self.timezone, end=True) if pack.valid_until else END_MS
        rules: dict[str, list[Rule]] = {kind: [] for kind in ("fix", "scan", "day", "silence", "credit")}
        for rule in pack.rules:
            rules[judged(rule.rule)].append(rule)
        self.fix_rules, self.day_rules, self.silence_rules, self.credit_rules = rules["fix"], rules["day"], rules["silence"], rules["credit"]
        self.scan_rules = {kind: [rule for rule in rules["scan"] if kind == RULES[rule.rule].SCANS] for kind in ("accepted", "all")}
        self.rule_of_id = {rule.id: rule for rule in pack.rules}
        self.identifier = compile_pattern(pack.identifier.pattern) if pack.identifier else None
        self._periods: deque[Settled] = deque(maxlen=8)
        self._calendars = {
            name: [(bound_ms(r.from_, self.timezone, end=False), bound_ms(r.until, self.timezone, end=True)) for r in ranges]
            for name, ranges in pack.calendars.items()
        }

    @property
    def zone_kinds(self) -> dict[str, str]:
        """Each zone's kind by its id."""
        return self.pack.zone_kinds

    @cached_property
    def zone_index(self) -> ZoneIndex:
        """The index over the pack's zones."""
        return ZoneIndex(self.pack.geometries)

    def calendars_at(self, event_time_ms: int) -> frozenset[str]:
        """Names of the calendars that are on at an instant."""
        return self._settled(event_time_ms).calendars

    def permits(self, rule: Rule, event_time_ms: int) -> bool:
        """Whether an instant lies in one of the rule's permitted windows."""
        return rule.id in self.permitted_at(event_time_ms)

    def permitted_at(self, event_time_ms: int) -> frozenset[str]:
        """Ids of the rules of which an instant lies in a permitted window."""
        return self._settled(event_time_ms).permitted

    def period_ms(self, event_time_ms: int) -> tuple[int, int]:
        """The longest known ``[from, until)`` around an instant in which no window, calendar or validity changes."""
        settled = self._settled(event_time_ms)
        return settled.from_ms, settled.until_ms

    def _settled(self, event_time_ms: int) -> Settled:
        """What windows and calendars say around an instant; the last few answers are remembered."""
        for known in self._periods:
            if known.from_ms <= event_time_ms < known.until_ms:
                return known
        day = local_datetime(event_time_ms, self.timezone).date()
        bounds = {instant_ms(day, 0, self.timezone), instant_ms(day, 1440, self.timezone), self.valid_from_ms, self.valid_until_ms, BEGINNING_MS, END_MS}
        bounds.update(bound for ranges in self._calendars.values() for interval in ranges for bound in interval)
        permitted = set()
        for rule in self.fix_rules:
            for window in rule.permitted or ():
                for from_ms, until_ms in window.intervals_ms(day, self.timezone):
                    bounds |= {from_ms, until_ms}
                    if from_ms <= event_time_ms < until_ms:
                        permitted.add(rule.id)
        calendars = (n for n, ranges in self._calendars.items() if any(a <= event_time_ms < b for a, b in ranges))
        period = max(b for b in bounds if b <= event_time_ms), min(b for b in bounds if b > event_time_ms)
        self._periods.appendleft(Settled(*period, frozenset(calendars), frozenset(permitted)))
        return self._periods[0]

    def zone_name(self, zone_id: str | None) -> tuple[str, str]:
        """A zone's name in Chinese and English (its id where it has none)."""
        return self.pack.zone_names.get(zone_id or "", (zone_id or "", zone_id or ""))


class Policies:
    """The versions of one city's policy; the one that counts at an instant is the latest of those then valid (semantics 1)."""

    def __init__(self, versions: Sequence[Policy]) -> None:
        self.versions = sorted(versions, key=lambda policy: policy.valid_from_ms)
        self.newest = self.versions[-1]
        self.name = self.newest.name
        self.lateness_ms = max(policy.lateness_ms for policy in versions)

    def at(self, event_time_ms: int) -> Policy | None:
        """The version that is valid then."""
        valid = (p for p in reversed(self.versions) if p.valid_from_ms <= event_time_ms < p.valid_until_ms)
        return next(valid, None)

    def period_ms(self, event_time_ms: int) -> tuple[int, int]:
        """``[from, until)`` around an instant in which the same version holds and nothing in it changes."""
        policy = self.at(event_time_ms)
        bounds = [bound for p in self.versions for bound in (p.valid_from_ms, p.valid_until_ms)]
        bounds += policy.period_ms(event_time_ms) if policy else (BEGINNING_MS, END_MS)
        return max(b for b in bounds if b <= event_time_ms), min(b for b in bounds if b > event_time_ms)

    def locate(self, times: np.ndarray, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
        """For n fixes (ms, degrees) the numbers (see ``zones``) of the sets of zones each is inside, by the version valid at its time."""
        earliest_ms, latest_ms = int(times.min()), int(times.max())
        first = self.at(earliest_ms)
        if len(self.versions) == 1 or (first is self.at(latest_ms) and self.period_ms(earliest_ms) == self.period_ms(latest_ms)):
            return self._numbers(first or self.newest, lons, lats)
        numbers = np.zeros(len(times), np.int64)
        holders = [self.at(time_ms) for time_ms in times.tolist()]
        for policy in {id(p): p for p in holders if p is not None}.values():
            chosen = [index for index, holder in enumerate(holders) if holder is policy]
            numbers[chosen] = self._numbers(policy, lons[chosen], lats[chosen])
        return numbers

    def _numbers(self, policy: Policy, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
        numbers: np.ndarray = policy.zone_index.locate(lons, lats).astype(np.int64) * len(self.versions) + self.versions.index(policy)
        return numbers

    def zones(self, number: int) -> tuple[str, ...]:
        """The ids of a set of zones."""
        place, version = divmod(number, len(self.versions))
        return self.versions[version].zone_index.sets[place]

    def rule(self, rule_id: str, name: str, event_time_ms: int) -> tuple[Policy, Rule]:
        """A rule instance by its id, and the version it stands in: the one valid then, else the newest that has it.

        An incident may outlive a rule that was withdrawn; then only the rule's ``name`` is known.
        """
        for policy in (self.at(event_time_ms), *reversed(self.versions)):
            if policy is not None and rule_id in policy.rule_of_id:
                return policy, policy.rule_of_id[rule_id]
        return self.newest, Rule(rule=name, id=rule_id, clause="", severity="violation")


_ENUM_WORDS = {"violation", "warning", "black", *(word for kind in (VehicleClass, Energy, Body, PassKind) for word in get_args(kind))}


def packs() -> list[str]:
    """Names of the packs that come with Yicheng."""
    return sorted(path.stem for path in PACKS.glob("*.yaml"))


def load_policy(name_or_path: str) -> Policy:
    """Read a pack by name or path with its zones; ``BadInput`` names file, line, key and the nearest valid key."""
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        if name_or_path not in packs():
            raise BadInput(f"policy {name_or_path!r} is neither a path to a .yaml file nor a pack{nearest(name_or_path, packs())}")
        path = PACKS / f"{name_or_path}.yaml"
    try:
        text = read_small(path)
    except ValueError as error:
        raise BadInput(f"policy {path}: {error}; give the path of a policy pack") from None
    return parse_policy(text, str(path), lambda zones: read_beside(path, zones))


def decode_policy(value: bytes) -> list[Policy]:
    """The versions of a pack as the policy topic holds them: a list of YAML and GeoJSON texts (one alone need not be a list)."""
    found = msgspec.json.decode(value, type=list[dict[str, str]] | dict[str, str])
    sources = [{"geojson": "", **source} for source in (found if isinstance(found, list) else [found])]
    if any("yaml" not in source for source in sources):
        raise BadInput("published policy: no pack, which is a text of YAML and one of GeoJSON")
    return [parse_policy(source["yaml"], "published policy", lambda _, source=source: source["geojson"]) for source in sources]


def parse_policy(text: str, where: str, read_zones: Any) -> Policy:
    """A pack from its YAML text; ``read_zones(name)`` returns the GeoJSON text or raises ``ValueError``; ``where`` names it in errors."""
    source, warnings = _Source(text, where), list[str]()
    raw = source.data
    for index, entry in enumerate(raw["rules"] if isinstance(raw.get("rules"), list) else ()):
        if isinstance(entry, dict):
            raw["rules"][index] = source.split_rule(entry, index)
    try:
        pack: Pack = msgspec.convert(raw, Pack, strict=False, dec_hook=_read_scalar)
    except msgspec.ValidationError as error:
        raise source.explain(error) from None
    if pack.zones is not None:
        try:
            zones_text = read_zones(pack.zones)
        except ValueError as error:
            raise source.bad(("zones",), f"zones file {pack.zones!r} cannot be read ({error}); it stands beside the pack") from None
        zones = read_zone_file(zones_text, pack.zones)
        if zones.adcode not in {None, pack.city.adcode}:
            raise source.bad(("zones",), f"{pack.zones} holds the zones of adcode {zones.adcode}, but the pack is for {pack.city.adcode} {pack.city.name_en}")
        pack.geometries, pack.zone_names, pack.zone_kinds, warnings = zones.geometries, zones.names, zones.kinds, zones.warnings
        pack.source = {"yaml": text, "geojson": zones_text}
    else:
        pack.source = {"yaml": text}
    try:
        pack_record([pack.source])
    except BadInput as error:
        raise source.bad(("zones",), str(error)) from None
    source.check(pack)
    policy = Policy(pack)
    policy.warnings = tuple(warnings)
    return policy


def _read_scalar(kind: type, value: Any) -> Any:
    """Decode the scalar types that packs add to YAML's."""
    if kind is Duration:
        return Duration(duration_ms(str(value)))
    if kind is MinuteOfDay:
        return minute_of_day(str(value))
    if kind is Weekdays:
        return weekdays(str(value))
    if kind is LocalDate:
        try:
            day = local_date(str(value))
        except ValueError:
            day = None
        if day is None:
            raise ValueError(f"date {value!r} is not YYYY-MM-DD")
        return LocalDate(day.isoformat())
    raise NotImplementedError(kind)


class _Source:
    """The YAML text of a pack with the line of every key, so that each mistake can be pointed at."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        data, self.lines = read_yaml(text, where)
        self.data: dict[str, Any] = data if data is not None else {}
        if not isinstance(self.data, dict):
            raise BadInput(f"{where}:1: a policy pack is a mapping with the keys policy, city, document, rules, …")

    def bad(self, path: tuple[Any, ...], message: str) -> BadInput:
        while path and path not in self.lines:
            path = path[:-1]
        return BadInput(f"{self.where}:{self.lines.get(path, 1)}: {message}")

    def split_rule(self, entry: dict[str, Any], index: int) -> dict[str, Any]:
        """Move a rule's own keys into ``parameters``, typed by its module."""
        name = entry.get("rule")
        if name not in RULES:
            raise self.bad(("rules", index, "rule"), f"unknown rule {name!r}{nearest(str(name), RULES)}")
        module = RULES[str(name)]
        common = {field for field in Rule.__struct_encode_fields__ if field != "parameters"}
        uses = {key: getattr(module, key.upper(), "none") for key in ("zones", "permitted")}
        common -= {key for key, use in uses.items() if use == "none"}
        if judged(str(name)) != "fix":
            common -= {"vehicles", "exempt", "min_duration", "merge_gap"}
        own = set(module.Parameters.__struct_encode_fields__)
        for key in entry:
            if key not in common | own:
                raise self.bad(("rules", index, key), f"unknown key {key!r} in rule {name}{nearest(key, common | own)}")
        for key, use in uses.items():
            if use == "required" and key not in entry:
                raise self.bad(("rules", index), f"rule {name} needs the key {key!r}")
        try:
            given = {key: value for key, value in entry.items() if key in own}
            parameters = msgspec.convert(given, module.Parameters, strict=False, dec_hook=_read_scalar)
        except msgspec.ValidationError as error:
            raise self.explain(error, ("rules", index)) from None
        return {**{key: value for key, value in entry.items() if key in common}, "parameters": parameters}

    def explain(self, error: msgspec.ValidationError, prefix: tuple[Any, ...] = ()) -> BadInput:
        """Turn msgspec's path into a line, and an unknown key into the nearest valid one."""
        message, _, where = str(error).partition(" - at `$")
        steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", where.rstrip("`"))
        path = prefix + tuple(int(i) if i.isdigit() else name or i for name, i in steps)
        if unknown := re.search(r"unknown field `(.+?)`", message):
            known = _keys_at(Pack, path)
            return self.bad((*path, unknown[1]), f"unknown key {unknown[1]!r}{nearest(unknown[1], known)}")
        if missing := re.search(r"missing required field `(.+?)`", message):
            place = ".".join(str(step) for step in path) or "the pack"
            return self.bad(path, f"key {missing[1]!r} is missing in {place}")
        if wrong := re.search(r"[Ii]nvalid enum value '(.+?)'", message):
            message += nearest(wrong[1], _ENUM_WORDS)
        key = next((str(step) for step in reversed(path) if isinstance(step, str)), "the pack")
        return self.bad(path, f"{key}: {message[0].lower()}{message[1:]}")

    def check(self, pack: Pack) -> None:
        """What types cannot say: names that must exist, ids that must be unique, ranges that must run forward."""
        try:
            ZoneInfo(pack.city.timezone)
        except (KeyError, ValueError, OSError):
            raise self.bad(("city", "timezone"), f"timezone {pack.city.timezone!r} is unknown; use Asia/Shanghai") from None
        for key in ("valid_from", "valid_until"):
            try:
                if text := getattr(pack, key):
                    bound_ms(text, ZoneInfo(pack.city.timezone), end=False)
            except ValueError as error:
                raise self.bad((key,), f"{key}: {error}") from None
        timezone = ZoneInfo(pack.city.timezone)
        if pack.valid_from and pack.valid_until and bound_ms(pack.valid_until, timezone, end=True) <= bound_ms(pack.valid_from, timezone, end=False):
            raise self.bad(("valid_until",), f"valid_until {pack.valid_until} is before valid_from {pack.valid_from}")
        if pack.identifier:
            self._check_pattern(("identifier", "pattern"), pack.identifier.pattern)
        for name, ranges in pack.calendars.items():
            for index, range_ in enumerate(ranges):
                if range_.until < range_.from_:
                    raise self.bad(("calendars", name, index), f"calendar {name}: until {range_.until} is before from {range_.from_}")
        for key, target in pack.targets.items():
            if problem := number_problem(f"target {key}", target, share=is_share(key)):
                raise self.bad(("targets", key), problem)
        seen: dict[str, int] = {}
        for index, rule in enumerate(pack.rules):
            path = ("rules", index)
            if rule.id in seen:
                raise self.bad((*path, "id"), f"rule id {rule.id!r} is used twice (first in line {seen[rule.id]}); ids are unique in a pack")
            seen[rule.id] = self.lines[(*path, "id")]
            if isinstance(rule.zones, ZoneKind):
                wanted = rule.zones.kind
                rule.zones = [zone for zone, kind in pack.zone_kinds.items() if kind == wanted]
                if not rule.zones:
                    raise self.bad((*path, "zones"), f"no zone is of kind {wanted!r}{nearest(wanted, set(pack.zone_kinds.values()))}")
            if found := list_problem(rule):
                raise self.bad((*path, found[0]), found[1])
            for key, problem in parameter_problems(rule.parameters):
                raise self.bad((*path, key), problem)
            for zone in rule.zones or ():
                if zone not in pack.zone_kinds:
                    raise self.bad((*path, "zones"), f"zone {zone!r} is not in {pack.zones}{nearest(zone, pack.zone_kinds)}")
            for name in rule.exempt.calendars if rule.exempt else ():
                if name not in pack.calendars:
                    raise self.bad((*path, "exempt", "calendars"), f"calendar {name!r} is not defined{nearest(name, pack.calendars)}")
            if pattern := getattr(rule.parameters, "home_plate_pattern", None):
                self._check_pattern((*path, "home_plate_pattern"), pattern)
            for name, points in getattr(rule.parameters, "points", {}).items():
                if name not in RULES or judged(name) == "credit":
                    raise self.bad((*path, "points"), f"points: {name!r} is no rule that incidents come of{nearest(name, RULES)}")
                if points <= 0:
                    raise self.bad((*path, "points"), f"points: {name} must cost more than 0, not {points:g}")
            if judged(rule.rule) == "credit" and any(judged(other.rule) == "credit" for other in pack.rules[:index]):
                raise self.bad(path, f"rule {rule.rule} is given twice; a city keeps one ledger")
            if rule.rule == "malformed_identifier" and not pack.identifier:
                raise self.bad(path, "rule malformed_identifier needs the pack's identifier.pattern")

    def _check_pattern(self, path: tuple[Any, ...], pattern: str) -> None:
        try:
            compile_pattern(pattern)
        except ValueError as error:
            shortened = pattern if len(pattern) <= 80 else f"{pattern[:80]}…"
            raise self.bad(path, f"{path[-1]} {shortened!r} is {error}") from None


def _keys_at(struct: Any, path: tuple[Any, ...]) -> list[str]:
    """The valid keys of the struct that a path leads to."""
    for step in path:
        kinds = [struct]
        if isinstance(step, str) and hasattr(struct, "__struct_fields__"):
            names = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
            info = msgspec.inspect.type_info(struct)
            kinds = [field.type for field in getattr(info, "fields", ()) if field.name == names.get(step)]
        struct = _struct_in(kinds[0]) if kinds else struct
    return list(getattr(struct, "__struct_encode_fields__", ()))


def _struct_in(kind: Any) -> Any:
    """The struct inside lists, dicts and unions of msgspec's type descriptions."""
    for attribute in ("item_type", "value_type"):
        if inner := getattr(kind, attribute, None):
            return _struct_in(inner)
    for option in getattr(kind, "types", ()):
        if found := _struct_in(option):
            return found
    return getattr(kind, "cls", kind if hasattr(kind, "__struct_fields__") else None)
