"""Synthetic parcels, cameras and feeds, with offences written down in the truth as they are committed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from heapq import merge
from typing import Any, NamedTuple

import msgspec

from producers.faults import Sent
from producers.handling import Handling
from producers.truth import TrueIncident, Truth
from streams.clock import END_MS, bound_ms
from streams.policy.policy import Policy
from streams.registry.records import Enterprise, Outlet
from streams.registry.registry import Registry
from streams.rules.blacklisted_enterprise import Terms
from streams.wire.events import Heartbeat, Packaging, Scan

ASKED_AT_ACCEPTANCE = {"unverified_sender": "real_name_verified", "uninspected_parcel": "inspected", "unscreened_parcel": "screened"}
"""Rules about what an accepted scan says ``false`` to, and the field."""


def parcels(policy: Policy, registry: Registry, truth: Truth, *, scans: int, end_ms: int, seed: int) -> list[Scan]:
    """About so many scans of parcels from the last closed local day until ``end_ms``, in order of time; fills the truth.

    Two enterprises fall short of the electronic-waybill target, two of the green-packaging target. Where the pack has rules
    about them, one parcel in a hundred comes from an outlet that is not on file, one is accepted without verifying the
    sender, one without inspection and one without screening; outlets that have no camera, and enterprises whose licence has
    ended, send parcels like others. Some parcels name no outlet. One enterprise's data stop for some hours.
    """
    offences = Offences(policy, registry, random.Random(f"outlets/{seed}"))
    closed = policy.days.date_of(policy.days.bounds_ms(policy.days.date_of(end_ms - policy.lateness_ms - 120_000))[0] - 1)
    enterprises = [e.id for e in registry.each("enterprise")] or ["unknown"]
    handling = Handling(policy, registry, seed)
    draw = Draw(enterprises, policy.days.bounds_ms(closed), end_ms, seed, handling)
    gap = _interruption(policy, enterprises, draw.from_ms)
    counts: dict[tuple[str, str], Counter[str]] = {}
    out: list[Scan] = []
    city = policy.pack.city.adcode
    while len(out) < scans:
        parcel = draw.parcel()
        enterprise, day = parcel.enterprise_id, policy.days.date_of(parcel.steps[0][1])
        wrongs = offences.draw(enterprise)
        if enterprise == gap.enterprise_id and any(gap.from_ms <= event_time_ms < gap.until_ms for _, event_time_ms, _ in parcel.steps):
            continue
        for subject in (enterprise, "*"):
            counts.setdefault((subject, day), Counter()).update(accepted=1, electronic=int(parcel.electronic), green=int(bool(parcel.packaging.green)))
        for step, scan in enumerate(parcel.scans(city=city, **wrongs)):
            if scan.event_time_ms <= end_ms:
                out.append(scan)
                offences.note(scan, is_acceptance=step == 0)
                handling.note(enterprise, parcel.steps[0][1], *parcel.steps[step])
    out.sort(key=lambda scan: (scan.event_time_ms, scan.event_id))
    for (subject, day), counted in sorted(counts.items()):
        truth.rates[f"{city}/{subject}/{day}"] = (counted["accepted"], counted["electronic"], counted["green"])
    truth.violations.update(offences.truth())
    truth.handled.update(handling.truth())
    _note_low_days(policy, registry, truth, counts, out[-1].event_time_ms if out else 0)
    return out


class Parcel(NamedTuple):
    """A parcel as it was drawn: its waybill, and what happens to it when (ms), and what that scan says, beginning with its acceptance."""

    seed: int
    number: int
    enterprise_id: str
    electronic: bool
    packaging: Packaging
    steps: list[tuple[str, int, dict[str, Any]]]

    def scans(self, **fields: Any) -> Iterator[Scan]:
        """A scan for each step; ``fields``: what else it says."""
        for step, (kind, event_time_ms, said) in enumerate(self.steps):
            yield Scan(
                f"{self.number}-{step}", event_time_ms, kind=kind,  # type: ignore[arg-type]
                waybill_id=f"W{self.seed}-{self.number:08}", enterprise_id=self.enterprise_id, synthetic=True,
                waybill_kind="electronic" if self.electronic else "paper", packaging=self.packaging, **fields, **said,
            )  # fmt: skip


class Draw:
    """Draws parcels: three in four accepted on the closed day, the others since then until ``end_ms``."""

    def __init__(self, enterprises: list[str], closed_day_ms: tuple[int, int], end_ms: int, seed: int, handling: Handling) -> None:
        self.enterprises, self.end_ms, self.seed = enterprises, end_ms, seed
        self.from_ms, self.closed_until_ms = closed_day_ms
        self.rng, self.handling = random.Random(f"parcels/{seed}"), handling
        self.number = 0
        self.electronic_share = {e: 0.80 if n in (1, 3) else 0.975 for n, e in enumerate(enterprises)}
        self.green_share = {e: 0.78 if n in (2, 4) else 0.97 for n, e in enumerate(enterprises)}

    def parcel(self) -> Parcel:
        """The next one."""
        rng = self.rng
        enterprise = rng.choice(self.enterprises)
        accepted_ms = rng.randrange(self.from_ms, self.closed_until_ms) if rng.random() < 0.75 else rng.randrange(self.closed_until_ms, self.end_ms)
        electronic, green = rng.random() < self.electronic_share[enterprise], rng.random() < self.green_share[enterprise]
        packaging = Packaging(green=green, tape_mm=rng.choice([38.0, 45.0, 60.0]), repackaged=False, reusable_bag=rng.random() < 0.9)
        steps: list[tuple[str, int, dict[str, Any]]] = [("accepted", accepted_ms, {})]
        steps.append(("departed", accepted_ms + rng.randrange(1_800_000, 7_200_000), self.handling.departure()))
        if rng.random() < 0.1:
            steps.append(("accepted", accepted_ms + rng.randrange(60_000, 600_000), {}))  # repeated; never counts again
        steps += self.handling.delivery(accepted_ms)
        self.number += 1
        return Parcel(self.seed, self.number - 1, enterprise, electronic, packaging, steps)


class Offences:
    """Which outlet each parcel comes from and what is wrong there; writes down what follows."""

    def __init__(self, policy: Policy, registry: Registry, rng: random.Random) -> None:
        self.policy, self.rng = policy, rng
        self.rules = {rule.rule: rule for rules in policy.scan_rules.values() for rule in rules}
        self.filed: dict[str, list[str]] = {}
        self.outlets: dict[str, list[str]] = {}
        self.unmonitored: set[str] = set()
        self.licensed_until_ms = {
            e.id: bound_ms(e.licensed_until, policy.timezone, end=True) for e in registry.each("enterprise") if isinstance(e, Enterprise) and e.licensed_until
        }
        for outlet in registry.each("outlet"):
            if isinstance(outlet, Outlet) and outlet.enterprise_id and outlet.valid_from is None and outlet.valid_until is None:
                (self.filed if outlet.filed else self.outlets).setdefault(outlet.enterprise_id, []).append(outlet.id)
                if outlet.filed and outlet.camera is False:
                    self.unmonitored.add(outlet.id)
        self.times: dict[str, list[int]] = {}

    def draw(self, enterprise_id: str) -> dict[str, Any]:
        """The scan fields that say where, and whether the sender was verified and the parcel inspected and screened."""
        filed = self.filed.get(enterprise_id)
        outlet = self.rng.choice(filed) if filed and self.rng.random() < 0.9 else None
        if "unfiled_outlet" in self.rules and self.rng.random() < 0.01:
            outlet = self.rng.choice(self.outlets.get(enterprise_id) or [f"{enterprise_id}-unknown"])
        asked = {field: rule not in self.rules or self.rng.random() >= 0.01 for rule, field in ASKED_AT_ACCEPTANCE.items()}
        return {"outlet_id": outlet, **asked}

    def note(self, scan: Scan, *, is_acceptance: bool) -> None:
        """Write a scan down where it is an offence."""
        outlet, enterprise = scan.outlet_id, f"enterprise/{scan.enterprise_id}"
        wrong = {
            "unfiled_outlet": outlet is not None and outlet not in self.filed.get(scan.enterprise_id, ()),
            "unmonitored_outlet": outlet in self.unmonitored,
            "unlicensed_enterprise": scan.event_time_ms >= self.licensed_until_ms.get(scan.enterprise_id, END_MS),
        }
        if is_acceptance:
            wrong |= {rule: getattr(scan, field) is False for rule, field in ASKED_AT_ACCEPTANCE.items()}
        for name, holds in wrong.items():
            if holds and name in self.rules:
                subject = f"outlet/{outlet}" if outlet and name != "unlicensed_enterprise" else enterprise
                key = f"{self.rules[name].id} {subject} {self.policy.days.date_of(scan.event_time_ms)}"
                self.times.setdefault(key, []).append(scan.event_time_ms)

    def truth(self) -> dict[str, tuple[int, int, int]]:
        """First and last scan, and how many, by ``rule id, subject, date``."""
        return {key: (min(times), max(times), len(times)) for key, times in sorted(self.times.items())}


def _of_primary_brands(policy: Policy, registry: Registry, counts: dict[tuple[str, str], Counter[str]]) -> dict[tuple[str, str], Counter[str]]:
    """The counts of primary brands, and their sum as the whole city's."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for (subject, day), counted in counts.items():
        if getattr(registry.at("enterprise", subject, policy.days.bounds_ms(day)[0]), "primary_brand", False):
            for name in (subject, "*"):
                found.setdefault((name, day), Counter()).update(counted)
    return found


def _note_low_days(policy: Policy, registry: Registry, truth: Truth, counts: dict[tuple[str, str], Counter[str]], stream_time_ms: int) -> None:
    """Write down the days that fall short, from the numbers just drawn."""
    for rule in policy.day_rules:
        field = "electronic" if rule.rule == "low_electronic_waybill_rate" else "green"
        concerned = _of_primary_brands(policy, registry, counts) if rule.parameters.primary_brands_only else counts
        for (subject, day), counted in sorted(concerned.items()):
            _, end_ms = policy.days.bounds_ms(day)
            if stream_time_ms < end_ms + policy.lateness_ms or counted["accepted"] < rule.parameters.min_sample:
                continue
            if counted[field] / counted["accepted"] < rule.parameters.target:
                truth.low_days.append((rule.id, subject, day))


class Interruption(NamedTuple):
    """An enterprise whose data stop, from when until when (ms)."""

    enterprise_id: str
    from_ms: int
    until_ms: int


def _interruption(policy: Policy, enterprises: list[str], day_ms: int) -> Interruption:
    """In the late morning of the day, for an hour longer than the rule allows; nobody's where the policy has no such rule."""
    limits = [int(rule.parameters.limit) for rule in policy.silence_rules if rule.rule == "interrupted_feed"]
    from_ms = day_ms + 10 * 3_600_000
    return Interruption(enterprises[5 % len(enterprises)] if limits else "", from_ms, from_ms + max(limits, default=0) + 3_600_000)


def heartbeats(policy: Policy, registry: Registry, truth: Truth, scans: list[Scan], seed: int) -> list[Heartbeat]:
    """Signs of life of a few cameras and of every enterprise's feed while the scans last, in order of time; fills the truth.

    One camera goes offline for two hours, and the feed of the enterprise whose scans stop is silent, too.
    """
    if not scans or not policy.silence_rules:
        return []
    rng = random.Random(f"heartbeats/{seed}")
    from_ms, until_ms = policy.days.bounds_ms(policy.days.date_of(scans[0].event_time_ms))[0], scans[-1].event_time_ms
    enterprises = [e.id for e in registry.each("enterprise")] or ["unknown"]
    gap = _interruption(policy, enterprises, from_ms)
    beats: list[tuple[int, str]] = []
    for rule in policy.silence_rules:
        every_ms = int(rule.parameters.limit) // 3
        if rule.rule == "interrupted_feed":
            quiet = {f"enterprise/{gap.enterprise_id}": (gap.from_ms, gap.until_ms)}
            subjects = [f"enterprise/{name}" for name in enterprises]
        else:
            cameras = [f"outlet/{o.id}" for o in registry.each("outlet") if isinstance(o, Outlet) and o.camera and o.valid_from is None is o.valid_until]
            subjects = rng.sample(cameras, min(len(cameras), 5))
            quiet = dict.fromkeys(subjects[:1], (from_ms + 14 * 3600000, from_ms + 16 * 3600000))
        for subject in subjects:
            first, last = quiet.get(subject, (0, 0))
            beats += [(ms, subject) for ms in range(from_ms + rng.randrange(every_ms), until_ms, every_ms) if not first <= ms < last]
        for subject, (first, last) in quiet.items():
            heartbeats = [ms for ms, name in beats if name == subject]
            heartbeats += [scan.event_time_ms for scan in scans if f"enterprise/{scan.enterprise_id}" == subject]
            truth.intervals.append((rule.id, subject, max(ms for ms in heartbeats if ms < first), min(ms for ms in heartbeats if ms >= last)))
    return [Heartbeat(ms, subject, f"{subject}-{ms}", policy.pack.city.adcode, synthetic=True) for ms, subject in sorted(beats)]


def note_credit(policy: Policy, registry: Registry, truth: Truth, watermark_ms: int) -> None:
    """Write down who gets on the black list, and what drivers are charged, for what else the truth says, when time has come so far; to be called when that is complete."""
    for rule in policy.credit_rules:
        if rule.parameters.confirmed_only:
            continue  # nobody answers in made-up traffic
        if rule.parameters.drivers is not None:
            _note_drivers(policy, registry, truth, rule.parameters.drivers, watermark_ms)
        costs: dict[str, list[tuple[int, float]]] = {}
        for rule_id, subject, opened_ms, settled_ms in _settled(policy, truth):
            kind, _, name = subject.partition("/")
            enterprise = name if kind == "enterprise" else getattr(registry.at(kind, name, opened_ms), "enterprise_id", None) or name.removesuffix("-unknown")
            points = rule.parameters.points.get(policy.rule_of_id[rule_id].rule, 0.0)
            if points and registry.knows("enterprise", enterprise) and settled_ms < watermark_ms:
                costs.setdefault(enterprise, []).append((settled_ms, points))
        for enterprise, charged in sorted(costs.items()):
            total = 0.0
            for settled_ms, points in sorted(charged):
                total += points
                if total >= rule.parameters.black_at:
                    truth.intervals.append((rule.id, f"enterprise/{enterprise}", settled_ms, None))
                    break


def _note_drivers(policy: Policy, registry: Registry, truth: Truth, terms: Terms, watermark_ms: int) -> None:
    for incident in truth.incidents:
        points, driver_id = terms.points.get(policy.rule_of_id[incident.rule_id].rule, 0.0), incident.driver_id
        if points and driver_id and registry.knows("driver", driver_id) and _settled_ms(policy, incident) < watermark_ms:
            truth.driver_points[driver_id] = truth.driver_points.get(driver_id, 0.0) + points


def _settled_ms(policy: Policy, incident: TrueIncident) -> int:
    """When a vehicle's incident costs its points (semantics 9)."""
    return incident.last_seen_ms + max(policy.lateness_ms, int(policy.rule_of_id[incident.rule_id].merge_gap))


def _settled(policy: Policy, truth: Truth) -> Iterator[tuple[str, str, int, int]]:
    """Rule id, subject and beginning of every incident that ends, and when it costs its points (semantics 9)."""
    for incident in truth.incidents:
        yield incident.rule_id, f"vehicle/{incident.vehicle_id}", incident.opened_at_ms, _settled_ms(policy, incident)
    for rule_id, subject, from_ms, until_ms in truth.intervals:
        if until_ms is not None:
            yield rule_id, subject, from_ms, until_ms + policy.lateness_ms
    for rule_id, enterprise, date in truth.low_days:
        from_ms, until_ms = policy.days.bounds_ms(date)
        yield rule_id, f"enterprise/{enterprise}", from_ms, until_ms + policy.lateness_ms
    for name, (first_ms, _, _) in truth.violations.items():
        rule_id, subject, date = name.split()
        yield rule_id, subject, first_ms, policy.days.bounds_ms(date)[1] + policy.lateness_ms


def spread(scans: list[Scan], beats: list[Heartbeat]) -> Iterator[Sent]:
    """Each is due when it happens."""
    events: Iterator[Any] = merge(scans, beats, key=lambda event: event.event_time_ms)
    for event in events:
        kind, key = ("scan", event.waybill_id) if isinstance(event, Scan) else ("heartbeat", event.subject)
        yield event.event_time_ms, kind, key, msgspec.json.encode(event)
