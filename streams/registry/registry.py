"""The registry: vehicles, drivers, enterprises, outlets, passes and notices, each with its validity in time."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from streams.clock import BEGINNING_MS, END_MS, bound_ms
from streams.errors import BadInput
from streams.registry.cities import belongs
from streams.registry.interruptions import Interruption, NoticeTimes, first_uncovered, holding, interruptions, touching
from streams.registry.records import KINDS, AnyEntry, Driver, Enterprise, Line, Notice, Outlet, Pass, Standing, Vehicle
from streams.registry.texts import text_problem
from streams.wire.ids import is_id


class Subject(msgspec.Struct, gc=False):
    """All that the registry says about one vehicle at an instant, and the period in which it stays so."""

    vehicle_id: str
    vehicle: Vehicle | None
    enterprise: Enterprise | None
    passes: tuple[Pass, ...]
    from_ms: int
    until_ms: int
    registry: Registry | None = None

    def pass_zones(self, kinds: Iterable[str]) -> frozenset[str]:
        """Ids of the zones that its passes of such kinds cover (``*``: everywhere)."""
        return frozenset(zone for held in self.passes if held.pass_kind in kinds for zone in held.zones)

    def driver(self, driver_id: str, event_time_ms: int) -> Driver | None:
        """The driver's record valid at an instant."""
        driver = self.registry.at("driver", driver_id, event_time_ms) if self.registry else None
        assert driver is None or isinstance(driver, Driver)
        return driver

    def lasts(self, until: str | None, event_time_ms: int) -> bool:
        """Whether something that is good ``until`` a date or instant (None: never was) is still good."""
        return until is not None and self.registry is not None and event_time_ms < self.registry.bound_ms(until)


class Registry:
    """Every version of every record; answers by validity at an instant. Later records of one id add versions."""

    def __init__(self, timezone: ZoneInfo) -> None:
        self.timezone = timezone
        self._versions: dict[tuple[str, str], list[tuple[int, int, AnyEntry]]] = {}
        self._passes_of: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._notices_of: dict[str, set[str]] = defaultdict(set)
        self._interruptions_of: dict[str, list[Interruption]] = {}
        self._line_ids: set[str] = set()
        self._credit: dict[str, list[tuple[int, str]]] = {}
        self._bounds_ms: dict[str, int] = {}
        self._named: Counter[tuple[str, str]] = Counter()

    def put(self, kind: str, entry_id: str, entries: Iterable[AnyEntry]) -> None:
        """Replace all versions of one record (none: it is deleted); ``BadInput``, and nothing changes, where one is wrong or another's."""
        key, entered = (kind, entry_id), [(entry, *validity_ms(entry, self.timezone)) for entry in entries]
        for entry, _, _ in entered:
            if (entry.__struct_config__.tag, entry.id) != key:
                raise BadInput(f"the record says that it is {entry.__struct_config__.tag}/{entry.id}, its key {kind}/{entry_id}")
        for _, _, old in self._versions.pop(key, ()):
            self._named.subtract(_names(old))
            for owner in _owners(old):
                self._passes_of[owner].discard(entry_id)
            if isinstance(old, Notice):
                self._notices_of[old.subject].discard(entry_id)
                self._interruptions_of.pop(old.subject, None)
        for entry, from_ms, until_ms in entered:
            self._enter(entry, from_ms, until_ms)

    def add(self, entries: Iterable[AnyEntry]) -> None:
        """Add versions; ``BadInput`` as of ``validity_ms``."""
        for entry in entries:
            self._enter(entry, *validity_ms(entry, self.timezone))

    def _enter(self, entry: AnyEntry, from_ms: int, until_ms: int) -> None:
        versions = self._versions.setdefault((str(type(entry).__struct_config__.tag), entry.id), [])
        versions.append((from_ms, until_ms, entry))
        versions.sort(key=lambda version: version[0])
        self._named.update(_names(entry))
        for owner in _owners(entry):
            self._passes_of[owner].add(entry.id)
        if isinstance(entry, Notice):
            self._notices_of[entry.subject].add(entry.id)
            for _, _, version in versions:  # a version ends the one before it, which may be about another subject
                self._interruptions_of.pop(getattr(version, "subject", ""), None)
        if isinstance(entry, Line):
            self._line_ids.add(entry.id)

    def at(self, kind: str, entry_id: str | None, event_time_ms: int) -> AnyEntry | None:
        """The record valid then; of several, the one with the latest ``valid_from``."""
        valid = None
        for from_ms, until_ms, entry in self._versions.get((kind, entry_id or ""), ()):
            if from_ms <= event_time_ms < until_ms:
                valid = entry
        return valid

    def outlet(self, outlet_id: str | None, event_time_ms: int) -> Outlet | None:
        """An outlet's record valid then."""
        outlet = self.at("outlet", outlet_id, event_time_ms)
        return outlet if isinstance(outlet, Outlet) else None

    def enter_credit(self, enterprise_id: str, standing: Standing) -> bool:
        """Take over what the ledger says of an enterprise; whether it changes which exemptions hold.

        It says since when which standing counts, and a newer one adds to that: who catches up after being away judges a fix by the list as it was
        at that fix's time, though the newest is read first. What the ledger had still to find out then is ``blacklisted_enterprise``'s affair.
        """
        found = [(from_ms, credit) for from_ms, credit in standing.effective if credit in {"black", "normal", "red"}]
        changed = found != self._credit.get(enterprise_id, [])
        self._credit[enterprise_id] = found
        return changed

    def enterprise(self, enterprise_id: str | None, event_time_ms: int) -> Enterprise | None:
        """An enterprise's record valid then, black if the ledger says so."""
        enterprise = self.at("enterprise", enterprise_id, event_time_ms)
        assert enterprise is None or isinstance(enterprise, Enterprise)
        standings = [credit for from_ms, credit in self._credit.get(enterprise_id or "", ()) if from_ms <= event_time_ms]
        if enterprise is not None and standings and standings[-1] == "black":
            return msgspec.structs.replace(enterprise, credit="black")
        return enterprise

    def is_primary_brand(self, enterprise_id: str, event_time_ms: int) -> bool:
        """Whether an enterprise is a primary brand then."""
        enterprise = self.at("enterprise", enterprise_id, event_time_ms)
        return isinstance(enterprise, Enterprise) and enterprise.primary_brand

    def subject(self, vehicle_id: str, event_time_ms: int) -> Subject:
        """Everything known about a vehicle at an instant."""
        vehicle = self.at("vehicle", vehicle_id, event_time_ms)
        assert vehicle is None or isinstance(vehicle, Vehicle)
        enterprise_id = vehicle.enterprise_id if vehicle else None
        enterprise = self.enterprise(enterprise_id, event_time_ms)
        pass_ids = self._passes_of.get(("vehicle", vehicle_id), set())
        if enterprise_id:
            pass_ids = pass_ids | self._passes_of.get(("enterprise", enterprise_id), set())
        keys = [("vehicle", vehicle_id), ("enterprise", enterprise_id or ""), *(("pass", p) for p in pass_ids)]
        passes = [self.at("pass", pass_id, event_time_ms) for pass_id in sorted(pass_ids)]
        keys += [("driver", driver_id) for driver_id in (vehicle.driver_ids if vehicle else ())]
        bounds = [from_ms for from_ms, _ in self._credit.get(enterprise_id or "", ())]
        for key in keys:
            for from_ms, until_ms, entry in self._versions.get(key, ()):
                bounds += (from_ms, until_ms)
                for name in _LAPSING:  # an insurance or a training
                    if until := getattr(entry, name, None):
                        bounds.append(self.bound_ms(until))
        return Subject(
            vehicle_id,
            vehicle,
            enterprise,
            tuple(p for p in passes if isinstance(p, Pass) and _covers(p, vehicle_id, enterprise_id)),
            max((b for b in bounds if b <= event_time_ms), default=BEGINNING_MS),
            min((b for b in bounds if b > event_time_ms), default=END_MS),
            self,
        )

    def bound_ms(self, until: str) -> int:
        """The end of a validity (ms), a bare date including its whole day; remembered, since few differ."""
        known = self._bounds_ms.get(until)
        if known is None:
            known = self._bounds_ms[until] = bound_ms(until, self.timezone, end=True)
        return known

    def notice_times(self, notice: Notice) -> NoticeTimes:
        """When a notice was filed, begins and ends."""
        from_ms = bound_ms(notice.from_, self.timezone, end=False)
        filed_ms = bound_ms(notice.filed_at, self.timezone, end=False) if notice.filed_at else from_ms
        return NoticeTimes(filed_ms, from_ms, self.bound_ms(notice.until))

    def unannounced_ms(self, kind: str, entry_id: str, due_ms: int, last_sign_ms: int) -> int:
        """From when on (ms) a silence that is due is an offence: a notice that counts for the vehicle, outlet or enterprise puts it off until its end, and whose notices count is asked again then."""
        while True:
            before_ms, due_ms = due_ms, self.after_notices(self.subjects_of(kind, entry_id, due_ms), due_ms, last_sign_ms, self._changes_ms(kind, entry_id, due_ms))
            if due_ms == before_ms:
                return due_ms

    def after_notices(self, subjects: Collection[str], event_time_ms: int, last_sign_ms: int, changes_ms: int = END_MS) -> int:
        """The first instant from this one on (ms) that no interruption of one of the subjects (``kind/id``) covers which was filed by the last sign; or one from ``changes_ms`` on."""
        found = [self._interruptions(subject) for subject in set(subjects) if subject in self._notices_of]
        return first_uncovered(heapq.merge(*found) if len(found) > 1 else found[0], event_time_ms, last_sign_ms, changes_ms) if found else event_time_ms

    def _changes_ms(self, kind: str, entry_id: str, event_time_ms: int) -> int:
        """When the record of this instant next begins or ends to be valid, or another of its versions does."""
        bounds = (bound for from_ms, until_ms, _ in self._versions.get((kind, entry_id), ()) for bound in (from_ms, until_ms))
        return min((bound for bound in bounds if bound > event_time_ms), default=END_MS)

    def _interruptions(self, subject: str) -> list[Interruption]:
        """What notices announce of a subject, in order of their beginnings; remembered until one of them changes."""
        known = self._interruptions_of.get(subject)
        if known is None:
            known = self._interruptions_of[subject] = sorted(one for name in self._notices_of[subject] for one in self._of_notice(subject, name))
        return known

    def _of_notice(self, subject: str, name: str) -> Iterator[Interruption]:
        """What the versions of one notice announce of a subject, while each of them counts."""
        held = holding(self._versions["notice", name])
        return interruptions((from_ms, until_ms, self.notice_times(notice)) for from_ms, until_ms, notice in held if isinstance(notice, Notice) and notice.subject == subject)

    def announced(self) -> Iterator[tuple[str, list[Interruption]]]:
        """Each subject (``kind/id``) with what one notice announces of it: an interruption, in stretches that touch where several versions of the notice say so."""
        for subject, names in self._notices_of.items():
            yield from ((subject, one) for name in names for one in touching(self._of_notice(subject, name)))

    def subjects_of(self, kind: str, entry_id: str, event_time_ms: int) -> tuple[str, str]:
        """Whose notices count for a vehicle or an outlet at an instant: its own and its enterprise's."""
        return f"{kind}/{entry_id}", f"enterprise/{getattr(self.at(kind, entry_id, event_time_ms), 'enterprise_id', None)}"

    def knows(self, kind: str, entry_id: str) -> bool:
        """Whether there is any version of a record."""
        return (kind, entry_id) in self._versions

    def names(self, kind: str, entry_id: str) -> bool:
        """Whether any record speaks of an ``enterprise`` or a ``city``, be it in passing."""
        return self._named[kind, entry_id] > 0

    def valid(self, event_time_ms: int, city: str | None = None) -> dict[str, list[Any]]:
        """The records valid at an instant by kind, one of each id; ``city``: only those that do not say that they are of another (adcode)."""
        found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        for kind, entry_id in self._versions:
            if (entry := self.at(kind, entry_id, event_time_ms)) and belongs(getattr(entry, "city", None), city):
                found[kind].append(entry)
        return found

    def each(self, kind: str) -> Iterator[AnyEntry]:
        """Every version of every record of a kind."""
        for (entry_kind, _), versions in self._versions.items():
            if entry_kind == kind:
                yield from (entry for _, _, entry in versions)

    def versions(self, kind: str, entry_id: str) -> list[AnyEntry]:
        """Every version of one record, the earliest ``valid_from`` first."""
        return [entry for _, _, entry in self._versions.get((kind, entry_id), ())]

    def lines(self) -> Iterator[Line]:
        """Every version of every delivery line, by id."""
        for line_id in sorted(self._line_ids):
            yield from (entry for _, _, entry in self._versions.get(("line", line_id), ()) if isinstance(entry, Line))

    def grouped(self) -> Iterator[tuple[str, list[AnyEntry]]]:
        """``kind/id`` and all its versions, as the registry topic holds them."""
        for (kind, entry_id), versions in self._versions.items():
            yield f"{kind}/{entry_id}", [entry for _, _, entry in versions]

    def __len__(self) -> int:
        return len(self._versions)


_LAPSING = ("insured_until", "trained_until")
_DATES = ("valid_from", "valid_until", *_LAPSING, "licensed_until", "from_", "until", "filed_at")


def _names(entry: AnyEntry) -> list[tuple[str, str]]:
    """The enterprises and cities that a record speaks of."""
    enterprises = [entry.id] if isinstance(entry, Enterprise) else [getattr(entry, "enterprise_id", None)]
    cities = [getattr(entry, "city", None), *getattr(entry, "cities", ())]
    return [(kind, name) for kind, found in (("enterprise", enterprises), ("city", cities)) for name in found if name]


def _owners(entry: AnyEntry) -> list[tuple[str, str]]:
    if not isinstance(entry, Pass):
        return []
    return [(kind, owner) for kind, owner in (("vehicle", entry.vehicle_id), ("enterprise", entry.enterprise_id)) if owner]


def _covers(held: Pass, vehicle_id: str, enterprise_id: str | None) -> bool:
    return held.vehicle_id == vehicle_id or (enterprise_id is not None and held.enterprise_id == enterprise_id)


def validity_ms(entry: AnyEntry, timezone: ZoneInfo) -> tuple[int, int]:
    """``[from, until)`` of a record in ms; ``BadInput`` where a bound is no date, they are reversed, or one of its texts cannot be."""
    if problem := text_problem(entry):
        raise BadInput(f"{type(entry).__name__.lower()}{f' {entry.id}' if is_id(entry.id) else ''}: {problem}")
    for name in _DATES:
        try:
            if (text := getattr(entry, name, None)) is not None:
                bound_ms(text, timezone, end=True)
        except ValueError as error:
            raise BadInput(f"{type(entry).__name__.lower()} {entry.id}: {name.rstrip('_')} {error}") from None
    from_ms = bound_ms(entry.valid_from, timezone, end=False) if entry.valid_from else BEGINNING_MS
    until_ms = bound_ms(entry.valid_until, timezone, end=True) if entry.valid_until else END_MS
    if until_ms <= from_ms:
        raise BadInput(f"{type(entry).__name__.lower()} {entry.id}: valid_until {entry.valid_until} is before valid_from {entry.valid_from}")
    return from_ms, until_ms
