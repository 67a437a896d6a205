"""The semantics a second time, naively: read whole files, sort everything, scan. Shares no code with the engine.

Reads the policy pack, the zones, the registry and the events from their files by itself and returns plain tuples.
"""

from __future__ import annotations

import bisect
import calendar
import datetime as dt
import functools
import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import shapely
import yaml
from shapely.geometry import Point, shape


def _duration(text):
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    return sum(int(float(n) * units[u]) for n, u in re.findall(r"([\d.]+)(ms|s|m|h|d)", str(text)))


def _refuse(word):
    raise ValueError(word)


_read_json = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 1_000 else math.inf, parse_constant=_refuse).decode

ACCEPTED_WITHOUT = {"unverified_sender": "real_name_verified", "uninspected_parcel": "inspected", "unscreened_parcel": "screened"}
ANY_SCAN = ("unfiled_outlet", "unmonitored_outlet", "unlicensed_enterprise")
SCAN_RULES = (*ACCEPTED_WITHOUT, *ANY_SCAN)
OTHER_RULES = ("offline_camera", "interrupted_feed", "blacklisted_enterprise", "missed_line")
NAME, SUBJECT, TEXT, NUMBER, TIME, FLAG = "a name", "whose sign", "a text", "a number", "a time", "yes or no"
FIX = {
    "event_id": NAME, "event_time_ms": TIME, "vehicle_id": NAME, "lon": NUMBER, "lat": NUMBER, "device_id": NAME, "plate": NAME,
    "coord_sys": ("wgs84", "gcj02", "bd09"), "speed_kmh": NUMBER, "heading_deg": NUMBER, "altitude_m": NUMBER, "accuracy_m": NUMBER, "ignition": FLAG,
    "load": ("empty", "partial", "full"), "driver_id": NAME, "backfill": FLAG, "source": TEXT, "synthetic": FLAG, "arrival_time_ms": TIME,
}  # fmt: skip
SCAN = {
    "event_id": NAME, "event_time_ms": TIME, "waybill_id": NAME, "enterprise_id": NAME, "city": NAME,
    "kind": ("accepted", "departed", "arrived", "out_for_delivery", "delivered", "returned"), "outlet_id": NAME, "district": TEXT,
    "waybill_kind": ("electronic", "paper"), "packaging": {"green": FLAG, "tape_mm": NUMBER, "repackaged": FLAG, "reusable_bag": FLAG},
    "real_name_verified": FLAG, "inspected": FLAG, "screened": FLAG, "courier_id": NAME, "vehicle_id": NAME,
    "delivery_method": ("door", "locker", "station"), "mode": ("road", "rail", "air"), "synthetic": FLAG, "arrival_time_ms": TIME,
}  # fmt: skip
SAID = ("unless_credit", "basis", "figures", "quote")
BEAT = {"event_time_ms": TIME, "subject": SUBJECT, "event_id": NAME, "city": NAME, "synthetic": FLAG, "arrival_time_ms": TIME}
YEAR_2000, NO_CALENDAR = 946_684_800_000, 2**47
HOME = "[\u4e00-\u9fff][A-Z][A-Z0-9\u4e00-\u9fff]{5,6}|使[0-9]{6}|WJ[\u4e00-\u9fff]?[A-Z0-9]{5,7}"


def letters_and_digits(plate):
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", plate).upper())


def haversine(a, b):
    f, g = math.radians(a["lat"]), math.radians(b["lat"])
    h = math.sin((g - f) / 2) ** 2 + math.cos(f) * math.cos(g) * math.sin(math.radians(b["lon"] - a["lon"]) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(h))


class Oracle:
    """One case: ``fixes(lines)`` and ``scans(lines)`` take raw JSON lines in arrival order."""

    def __init__(self, policy: Path, registry: Path | None):
        self.pack = yaml.load(policy.read_text("utf-8"), getattr(yaml, "CBaseLoader", yaml.BaseLoader))
        self.tz = ZoneInfo(self.pack["city"]["timezone"])
        self.lateness = _duration(self.pack.get("lateness", "10m"))
        self.most_a_second = 10
        zones = self.pack.get("zones")
        features = json.loads((policy.parent / zones).read_text("utf-8"))["features"] if zones else []
        self.zones = {f["properties"]["id"]: shape(f["geometry"]) for f in features}
        self.kinds = {f["properties"]["id"]: f["properties"].get("kind") for f in features}
        self.records, self.versions = defaultdict(list), defaultdict(list)
        for line in registry.read_text("utf-8").splitlines() if registry else ():
            record = json.loads(line)
            self.records[record["kind"]].append(record)
            self.versions[record["kind"], record["id"]].append(record)
        # the same questions are asked again and again
        self.bound, self.on_file, self.known = functools.cache(self.bound), functools.cache(self.on_file), {}
        self.spans, self.opened, self.is_in = functools.cache(self.spans), functools.cache(self.opened), functools.cache(self.is_in)
        self.accepted, self.taken = functools.lru_cache(32)(self.accepted), functools.lru_cache(32)(self.taken)

    # --- time and validity ---
    def local(self, t):
        return dt.datetime.fromtimestamp(t / 1000, self.tz)

    def bound(self, text, end):
        if text is None:
            return None
        if "T" not in text and ":" not in text:
            day = dt.date(*self.ymd(text))
            if end and day == dt.date.max:
                return dt.datetime.combine(day, dt.time(), self.tz).timestamp() * 1000 + 86_400_000
            return dt.datetime.combine(day + dt.timedelta(days=1 if end else 0), dt.time(), self.tz).timestamp() * 1000
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.tz)).timestamp() * 1000

    def ymd(self, text):
        """Year, month, day of a bare date, with or without something between them."""
        parts = [int(p) for p in re.findall("[0-9]+", text)]
        return parts if len(parts) == 3 else (parts[0] // 10_000, parts[0] // 100 % 100, parts[0] % 100)

    def spans(self, kind, record_id):
        """Every version of a record, with when it begins and ends; the one that begins last comes first."""
        spans = [
            (r, self.bound(r.get("valid_from"), False) or float("-inf"), float("inf") if r.get("valid_until") is None else self.bound(r["valid_until"], True))
            for r in self.versions.get((kind, record_id), ())
        ]
        return sorted(spans, key=lambda span: -span[1])

    def lookup(self, kind, record_id, t):
        for record, start, end in self.spans(kind, record_id):
            if start <= t < end:
                return record
        return None

    def is_in(self, zone, lon, lat):
        return bool(shapely.intersects_xy(self.zones[zone], lon, lat))

    def counts(self, record, t):
        """Whether it is, of the records of its id, the one that counts at an instant."""
        return self.lookup(record["kind"], record["id"], t) is record

    # --- one fix against one rule ---
    def permitted(self, rule, t):
        now = self.local(t)
        names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        for window in rule.get("permitted", ()):
            days = set()
            for part in window.get("days", "mon-sun").split(","):
                first, _, last = part.strip().partition("-")
                i = names.index(first)
                while True:
                    days.add(i)
                    if names[i] == (last or first):
                        break
                    i = (i + 1) % 7
            start, end = (int(window[k][:2]) * 60 + int(window[k][3:]) for k in ("from", "until"))
            minute, today, yesterday = now.hour * 60 + now.minute, now.weekday() in days, (now.weekday() - 1) % 7 in days
            if (today and start <= minute < end) if start < end else (today and minute >= start) or (yesterday and max(0, start - 1440) <= minute < end):
                return True
        return False

    def exempt(self, rule, vehicle, zone, t):
        exempt = rule.get("exempt")
        if isinstance(exempt, list):  # alternatives: of each all keys must hold
            return any(
                all(self.frees({key: value, "unless_credit": each.get("unless_credit")}, vehicle, zone, t) for key, value in each.items() if key not in SAID and value not in ([], "false"))
                for each in exempt
            )
        return bool(exempt) and self.frees(exempt, vehicle, zone, t)

    def frees(self, exempt, vehicle, zone, t):
        """Whether any condition of an exemption holds."""
        enterprise = self.lookup("enterprise", vehicle["enterprise_id"], t) if vehicle and vehicle.get("enterprise_id") else None
        if exempt.get("unless_credit") and enterprise and enterprise.get("credit") == exempt["unless_credit"]:
            return False
        today = self.local(t).date()
        for name in exempt.get("calendars", ()):
            if any(self.is_on(dates, today) for dates in self.pack["calendars"][name]):
                return True
        if vehicle and vehicle.get("energy") in exempt.get("energy", ()):
            return True
        if vehicle and exempt.get("joint_delivery") == "true" and vehicle.get("joint_delivery"):
            return True
        if vehicle and (vehicle.get("vehicle_class") in exempt.get("classes", ()) or vehicle.get("body") in exempt.get("body", ())):
            return True
        if vehicle and exempt.get("marked") == "true" and vehicle.get("marked") is True:
            return True
        if enterprise and exempt.get("key_enterprise") == "true" and enterprise.get("key_enterprise"):
            return True
        for p in self.records["pass"]:
            mine = self.holds(p, self.current, vehicle)
            covers = "*" in p.get("zones", ["*"]) or zone in p.get("zones", ["*"])
            if mine and covers and p["pass_kind"] in exempt.get("passes", ()) and self.counts(p, t):
                return True
        return False

    def is_on(self, dates, today):
        """Whether a calendar's dates, or days of every year, include a date."""
        if "every_year" not in dates:
            return dt.date(*self.ymd(dates["from"])) <= today <= dt.date(*self.ymd(dates["until"]))
        first, last = (tuple(map(int, bound.split("-"))) for bound in dates["every_year"].split("…"))
        now = (today.month, today.day)
        if now == (2, 28) and not calendar.isleap(today.year) and (first == (2, 29) or last == (2, 29)):
            return True
        return first <= now <= last if first <= last else now >= first or now <= last

    def predicate(self, rule, fix, vehicle):
        kind = rule["rule"]
        if kind == "unregistered_vehicle":
            return vehicle is None or vehicle.get("status", "active") != "active"
        if kind == "malformed_identifier":
            return re.fullmatch(self.pack["identifier"]["pattern"], fix["vehicle_id"]) is None
        if kind == "unmarked_vehicle":
            if vehicle is None:
                return False
            differs = fix.get("plate") and vehicle.get("plate") and letters_and_digits(fix["plate"]) != letters_and_digits(vehicle["plate"])
            return vehicle.get("marked") is False or bool(differs)
        if kind in ("restricted_hours", "silent_vehicle"):
            return True
        if kind == "overstayed_stop":
            return fix.get("speed_kmh") is not None and fix["speed_kmh"] <= float(rule.get("stopped_below_kmh", 1.0))
        if kind == "forbidden_stop":
            return fix.get("speed_kmh") is not None and fix["speed_kmh"] <= float(rule.get("stopped_below_kmh", 1.0))
        if kind == "speeding":
            return fix.get("speed_kmh") is not None and fix["speed_kmh"] > float(rule["limit_kmh"])
        if kind == "nonstandard_vehicle":
            names = {"classes": "vehicle_class", "body": "body", "energy": "energy"}
            return vehicle is not None and any(vehicle.get(names[k]) not in allowed for k, allowed in rule["allow"].items())
        if kind == "outside_operating_area":
            return not any(self.is_in(z, fix["lon"], fix["lat"]) for z in self.zones_of(rule))
        if kind in ("untrained_driver", "uninsured_driver"):
            return self.unqualified(kind, fix, vehicle)
        if kind == "unrecognised_foreign_plate":
            plate = fix.get("plate")
            if not plate or (vehicle or {}).get("plate_kind") == "non_motor":
                return False
            if any(re.fullmatch(rule.get("home_plate_pattern", HOME), text) for text in (plate, letters_and_digits(plate))):
                return False
            for p in self.records["pass"]:
                if p["pass_kind"] == "cross_border" and self.counts(p, fix["event_time_ms"]) and self.holds(p, fix, vehicle):
                    zones = p.get("zones", ["*"])
                    if "*" in zones or any(z in self.zones and self.is_in(z, fix["lon"], fix["lat"]) for z in zones):
                        return False
            return True
        if kind == "cloned_identifier":
            before = self.before
            if before is None:
                return False
            metres = haversine(before, fix)
            ms = fix["event_time_ms"] - before["event_time_ms"]
            if metres < float(rule.get("min_distance_m", 1000)):
                return False
            return ms == 0 or metres / 1000 / (ms / 3_600_000) > float(rule.get("max_speed_kmh", 200))
        raise NotImplementedError(kind)

    def unqualified(self, kind, fix, vehicle):
        t, until = fix["event_time_ms"], "trained_until" if kind == "untrained_driver" else "insured_until"

        def good(record):
            return record is not None and record.get(until) is not None and t < self.bound(record[until], True)

        if kind == "uninsured_driver" and good(vehicle):
            return False
        if fix.get("driver_id") is not None:
            return not good(self.lookup("driver", fix["driver_id"], t))
        drivers = (vehicle or {}).get("driver_ids") or []
        return bool(drivers) and not any(good(self.lookup("driver", d, t)) for d in drivers)

    def holds(self, p, fix, vehicle):
        return p.get("vehicle_id") == fix["vehicle_id"] or bool(
            vehicle and vehicle.get("enterprise_id") and p.get("enterprise_id") == vehicle["enterprise_id"]
        )

    def zones_of(self, rule):
        zones = rule.get("zones", [None])
        return [z for z, kind in self.kinds.items() if kind == zones["kind"]] if isinstance(zones, dict) else zones

    def violates(self, rule, zone, fix):
        t = fix["event_time_ms"]
        self.current = fix
        if rule["rule"] != "outside_operating_area" and zone is not None and not self.is_in(zone, fix["lon"], fix["lat"]):
            return False
        start, end = self.bound(self.pack.get("valid_from"), False), self.bound(self.pack.get("valid_until"), True)
        if (start is not None and t < start) or (end is not None and t >= end):
            return False
        vehicle = self.lookup("vehicle", fix["vehicle_id"], t)
        selector = rule.get("vehicles")
        if selector is not None:
            pairs = (("classes", "vehicle_class"), ("energy", "energy"), ("body", "body"))
            if vehicle is None or any(k in selector and vehicle.get(a) not in selector[k] for k, a in pairs):
                return False
        if "permitted" in rule and self.permitted(rule, t):
            return False
        return self.predicate(rule, fix, vehicle) and not self.exempt(rule, vehicle, zone, t)

    # --- fixes ---
    @staticmethod
    def fits(value, wanted):
        """Whether a field's value is what it should be."""
        if isinstance(wanted, tuple):
            return value in wanted
        if isinstance(wanted, dict):
            return isinstance(value, dict) and all(value.get(k) is None or Oracle.fits(value[k], w) for k, w in wanted.items())
        if wanted == FLAG:
            return value is True or value is False
        if wanted == TIME:
            return type(value) is int and -(2**62) <= value <= 2**62
        if wanted == NUMBER:
            return type(value) in (int, float) and abs(value) < 1.7976931348623158e308
        if not isinstance(value, str):
            return False
        if wanted == SUBJECT:
            kind, _, name = value.partition("/")
            return value == "clock" or (kind in ("outlet", "enterprise") and Oracle.fits(name, NAME))
        if wanted == TEXT:
            return len(value.encode()) <= 256
        is_strange = not value.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in value)
        return 1 <= len(value.encode()) <= 128 and not is_strange and value not in ("*", "other")

    def read(self, line, fields, needed):
        """As ``parse``, which looks at each line once."""
        if (line, needed) not in self.known:
            self.known[line, needed] = self.parse(line, fields, needed)
        event = self.known[line, needed]
        return None if event is None else dict(event)

    def parse(self, line, fields, needed):
        """The fields of a record that are given, or None where it is malformed; the first so many are needed."""
        try:
            text = bytes(line or b"").decode()
            event = _read_json(text)
            if "\\u" in text:  # only so can half a character come in
                json.dumps(event, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return None
        if not isinstance(event, dict) or self.depth(event) > 300:
            return None
        for place, (field, wanted) in enumerate(fields.items()):
            if place >= needed and (event.get(field) is None or (wanted == NAME and event[field] == "")):
                event.pop(field, None)
            elif not self.fits(event.get(field), wanted):
                return None
        return event

    def depth(self, value):
        levels, layer = 0, [value]
        while layer := [found for found in layer if isinstance(found, dict | list)]:
            levels += 1
            layer = [inner for found in layer for inner in (found.values() if isinstance(found, dict) else found)]
        return levels

    def accept(self, lines):
        """Fixes accepted, in arrival order, and the rejects by reason."""
        accepted, rejects = self.accepted(tuple(lines), self.most_a_second)
        return list(accepted), Counter(rejects)

    def accepted(self, lines, most_a_second):
        """As ``accept``, which is asked about the same lines several times."""
        rejects, accepted, high, seen, times = Counter(), [], {}, set(), defaultdict(list)
        most = max(1, int(self.lateness / 1000 * most_a_second))
        for line in lines:
            fix = self.read(line, FIX, 5)
            if fix is None:
                rejects["malformed"] += 1
                continue
            v, t, speed = fix["vehicle_id"], fix["event_time_ms"], fix.get("speed_kmh")
            if not (-180 <= fix["lon"] <= 180 and -90 <= fix["lat"] <= 90) or fix["lon"] == fix["lat"] == 0:
                rejects["invalid_position"] += 1
            elif not YEAR_2000 <= t < NO_CALENDAR:
                rejects["invalid_time"] += 1
            elif fix.get("arrival_time_ms") is not None and t > fix["arrival_time_ms"] + 300_000:
                rejects["future"] += 1
            elif speed is not None and not 0 <= speed <= 500:
                rejects["invalid_speed"] += 1
            elif (v, t, fix["event_id"]) in seen and t >= high[v] - self.lateness:
                rejects["duplicate"] += 1
            elif len(times[v]) - bisect.bisect_left(times[v], max(high.get(v, t), t) - self.lateness) >= most:
                rejects["too_many"] += 1  # the newest counts where it would move the horizon: a vehicle is never shut out for good
            elif v in high and t < high[v] - self.lateness:
                rejects["late"] += 1
            else:
                bisect.insort(times[v], t)
                seen.add((v, t, fix["event_id"]))
                high[v] = max(high.get(v, t), t)
                accepted.append(fix)
        return accepted, rejects

    def fixes(self, lines, watermark=0):
        """Set of final incidents (rule, rule id, vehicle, zone, opened, last seen, fixes, state), and rejects; a partition without work goes by the watermark."""
        found, rejects = self.incidents(lines, watermark)
        return {incident for incident, _ in found}, rejects

    def told(self, lines):
        """How often each incident (as in ``fixes``) is told with which plate, as synthetic or not, with which highest speed (km/h), and with which driver."""
        return Counter((*incident, *self.words(own)) for incident, own in self.incidents(lines)[0])

    def words(self, own):
        registered = (self.lookup("vehicle", own[0]["vehicle_id"], own[0]["event_time_ms"]) or {}).get("plate")
        plates = [fix["plate"] for fix in own if fix.get("plate")]
        speeds = [fix["speed_kmh"] for fix in own if fix.get("speed_kmh") is not None]
        drivers = [fix["driver_id"] for fix in own if fix.get("driver_id")]
        return (plates[0] if plates else registered), any(fix.get("synthetic") is True for fix in own), max(speeds, default=0.0), drivers[0] if drivers else None

    def incidents(self, lines, watermark=0):
        """Every final incident with its own fixes in order, and rejects."""
        accepted, rejects = self.accept(lines)
        stream_time = max((self.carries(f) for f in accepted), default=watermark)
        stream_time = max(stream_time, watermark)
        by_vehicle = defaultdict(list)
        for fix in accepted:
            by_vehicle[fix["vehicle_id"]].append(fix)
        found = []
        for vehicle, track in by_vehicle.items():
            track.sort(key=lambda f: (f["event_time_ms"], f["event_id"]))
            for rule in self.pack["rules"]:
                if rule["rule"].startswith("low_") or rule["rule"] in SCAN_RULES + OTHER_RULES:
                    continue
                if rule["rule"] == "silent_vehicle":
                    found += self.silences(vehicle, rule, track, stream_time)
                    continue
                for zone in [None] if rule["rule"] == "outside_operating_area" else self.zones_of(rule):
                    flags = []
                    self.before = None
                    for f in track:
                        flags.append(self.violates(rule, zone, f))
                        self.before = f
                    found += self.runs(vehicle, rule, zone, track, flags, stream_time)
        return found, rejects

    def driven(self, lines):
        """Local date -> mm driven (empty, with a load that is known, from fix to fix by night, at all), between fixes at most five minutes apart."""
        found = defaultdict(lambda: (0, 0, 0, 0))
        for track in self.tracks(lines).values():
            for a, b in zip(track, track[1:], strict=False):
                if b["event_time_ms"] - a["event_time_ms"] <= 300_000:
                    night = all(not 7 <= self.local(fix["event_time_ms"]).hour < 20 for fix in (a, b))
                    date, length = self.local(b["event_time_ms"]).date().isoformat(), round(haversine(a, b) * 1000)
                    counted = (a.get("load") == "empty", bool(a.get("load")), night, True)
                    found[date] = tuple(mm + length * counts for mm, counts in zip(found[date], counted, strict=True))
        return dict(found)

    def tracks(self, lines):
        """Each vehicle's accepted fixes in order."""
        by_vehicle = defaultdict(list)
        for fix in self.accept(lines)[0]:
            by_vehicle[fix["vehicle_id"]].append(fix)
        return {vehicle: sorted(fixes, key=lambda f: (f["event_time_ms"], f["event_id"])) for vehicle, fixes in by_vehicle.items()}

    def parked(self, lines):
        """(local date, loading zone) -> (stops, ms stood there): fixes that stand inside, one stop while at most five minutes apart, and no longer than the day."""
        found = defaultdict(lambda: [0, 0])
        for track in self.tracks(lines).values():
            for zone in (zone for zone, kind in self.kinds.items() if kind == "loading"):
                last = None
                for fix in track:
                    t, speed = fix["event_time_ms"], fix.get("speed_kmh")
                    if speed is None or speed > 1.0 or not self.is_in(zone, fix["lon"], fix["lat"]):
                        last = None
                        continue
                    date = self.local(t).date().isoformat()
                    if last is None or t - last > 300_000:
                        found[date, zone][0] += 1
                    else:
                        midnight = max(last, min(t, int(self.bound(date, False))))
                        if midnight > last:  # it stood there since yesterday
                            found[self.local(last).date().isoformat(), zone][1] += midnight - last
                            found[date, zone][0] += 1
                        found[date, zone][1] += t - midnight
                    last = t
        return {key: tuple(numbers) for key, numbers in found.items()}

    # --- cities ---
    def is_here(self, city):
        """Whether a code is the city's or, by the pairs of digits of GB/T 2260, of a place in it; what names no city is here."""
        own = self.pack["city"]["adcode"]
        if city is None or city == own:
            return True
        pairs, others = ([code[n : n + 2] for n in (0, 2, 4)] for code in (own, city))
        level = 1 if pairs[1:] == ["00", "00"] else 2 if pairs[2] == "00" else 3
        return len(own) == len(city) == 6 and level < 3 and pairs[:level] == others[:level]

    # --- delivery lines ---
    def lines_on(self, date):
        """The lines that count on a local day, by id: on file when it begins, of this city, and with zones that all are in the pack."""
        t = self.bound(date, False)
        start, end = self.bound(self.pack.get("valid_from"), False), self.bound(self.pack.get("valid_until"), True)
        if (start is not None and t < start) or (end is not None and t >= end):
            return {}
        found = {record["id"]: self.lookup("line", record["id"], t) for record in self.records["line"]}
        return {name: line for name, line in found.items() if line and line["zones"] and self.is_here(line.get("city")) and all(z in self.zones for z in line["zones"])}

    def fleet_days(self, *partitions):
        """Local date on which any fix was accepted -> the ids of the lines that a vehicle drove on it."""
        found = defaultdict(set)
        for lines in partitions:
            for vehicle, track in self.tracks(lines).items():
                for date in {self.local(fix["event_time_ms"]).date().isoformat() for fix in track}:
                    own = {name: line["zones"] for name, line in self.lines_on(date).items() if vehicle in line["vehicle_ids"]}
                    places = [Point(fix["lon"], fix["lat"]) for fix in track if own and self.local(fix["event_time_ms"]).date().isoformat() == date]
                    found[date] |= {name for name, zones in own.items() if self.in_order(zones, places)}
        return dict(found)

    def in_order(self, zones, places):
        """Whether there are places, one after another or the same, of which each lies in the next of the zones."""
        at = 0
        for zone in zones:
            at = next((number for number in range(at, len(places)) if self.zones[zone].intersects(places[number])), None)
            if at is None:
                return False
        return True

    def lines_of(self, *partitions):
        """Local date -> (lines driven, lines that count), where the day before, or another of the seven, was heard of as well."""
        heard = self.fleet_days(*partitions)
        before = {date: [(dt.date.fromisoformat(date) - dt.timedelta(days=n)).isoformat() for n in range(1, 8)] for date in heard}
        return {date: (driven, set(self.lines_on(date))) for date, driven in heard.items() if any(day in heard for day in before[date])}

    def missed_lines(self, partitions, stream_time):
        """(rule id, line, local date) of closed days on which nobody drove a line."""
        found = set()
        for date, (driven, lines) in self.lines_of(*partitions).items():
            if stream_time >= self.bound(date, True) + self.lateness:
                for rule in self.pack["rules"]:
                    if rule["rule"] == "missed_line":
                        found |= {(rule["id"], line, date) for line in lines - driven if line in rule.get("lines", [line])}
        return found

    def silences(self, vehicle, rule, track, stream_time):
        """From each fix with the ignition on to the next, or to the end: too long, and not announced."""
        found = []
        for number, fix in enumerate(track):
            if fix.get("ignition") is not True:
                continue
            t = fix["event_time_ms"]
            due = t + _duration(rule.get("limit", "30m"))
            while True:
                subjects = {f"vehicle/{vehicle}", f"enterprise/{(self.lookup('vehicle', vehicle, due) or {}).get('enterprise_id')}"}
                later = [
                    self.bound(n["until"], True)
                    for n in self.records["notice"]
                    if n["subject"] in subjects and self.filed(n, t) and self.counts(n, due) and self.bound(n["from"], False) <= due < self.bound(n["until"], True)
                ]
                if not later:
                    break
                due = int(max(later))
            if not all(self.expected(rule, {**fix, "event_time_ms": moment}) for moment in (t, due)):
                continue
            if number + 1 < len(track):
                if track[number + 1]["event_time_ms"] > due:
                    found.append(((rule["rule"], rule["id"], vehicle, None, t, track[number + 1]["event_time_ms"], 1, "closed"), [fix]))
            elif stream_time > due:
                found.append(((rule["rule"], rule["id"], vehicle, None, t, t, 1, "open"), [fix]))
        return found

    def filed(self, notice, last_sign):
        """Whether it was known of before the silence began."""
        return self.bound(notice.get("filed_at") or notice["from"], False) <= last_sign

    def expected(self, rule, fix):
        record = self.lookup("vehicle", fix["vehicle_id"], fix["event_time_ms"])
        return record is not None and record.get("status", "active") == "active" and self.violates(rule, None, fix)

    def runs(self, vehicle, rule, zone, track, flags, stream_time):
        gap = _duration(rule.get("merge_gap", "2m"))
        times = [f["event_time_ms"] for f in track]
        found, i = [], 0
        while i < len(track):
            if not flags[i]:
                i += 1
                continue
            j = i
            while j + 1 < len(track) and flags[j + 1] and times[j + 1] - times[j] <= gap:
                j += 1
            duration = times[j] - times[i]
            enough = duration >= _duration(rule.get("min_duration", "0s"))
            if rule["rule"] == "overstayed_stop":
                enough = enough and duration > _duration(rule["limit"])
            if enough:
                state = "closed" if j + 1 < len(track) or stream_time > times[j] + gap else "open"
                found.append(((rule["rule"], rule["id"], vehicle, zone, times[i], times[j], j - i + 1, state), track[i : j + 1]))
            i = j + 1
        return found

    @staticmethod
    def carries(event):
        """How far an event carries time: no further than when it arrived, where that is known."""
        arrived = event.get("arrival_time_ms")
        return event["event_time_ms"] if arrived is None else min(event["event_time_ms"], arrived)

    def watermark(self, fixes=(), scans=(), heartbeats=()):
        """Where time stands when all is read: the furthest that any accepted event carries it; partitions of raw lines of each kind."""
        reached = [self.carries(fix) for lines in fixes for fix in self.accept(lines)[0]]
        return max([self.heartbeats(scans, heartbeats)[1], *reached])

    # --- parcels ---
    def on_record(self, scan):
        """City and enterprise of a scan as a worker tells them apart: those that no record of the registry names are all ``other``."""
        return tuple(name if name in known else "other" for name, known in zip((scan["city"], scan["enterprise_id"]), self.on_file(), strict=True))

    def on_file(self):
        """The cities and the enterprises that the registry names."""
        cities = {self.pack["city"]["adcode"], *(c for rs in self.records.values() for r in rs for c in (r.get("city"), *r.get("cities", ())))}
        return cities, {r["id"] for r in self.records["enterprise"]}

    def scans(self, *partitions, stream_time=0, live=False):
        """(city, enterprise or ``*``, date) → (accepted, electronic, green), and the low-rate incidents; ``live``: as a worker counts, not ``judge``."""
        streams = [self.scans_taken(lines) for lines in partitions]
        stream_time = max(stream_time, *(last for _, last in streams))
        days = defaultdict(lambda: [0, 0, 0])
        for scan in [scan for taken, _ in streams for scan in self.acceptances(taken)]:
            city, name = self.on_record(scan) if live else (scan["city"], scan["enterprise_id"])
            for enterprise in (name, "*"):
                counts = days[city, enterprise, self.local(scan["event_time_ms"]).date().isoformat()]
                counts[0] += 1
                counts[1] += scan.get("waybill_kind") == "electronic"
                counts[2] += bool((scan.get("packaging") or {}).get("green"))
        return {k: tuple(v) for k, v in days.items()}, self.low_days(days, stream_time)

    def counted(self, *partitions, live=False):
        """(city, enterprise or ``*``, date) → how often what is said of parcels, by name, without what nobody said; and ``hours``: hours in transit → parcels."""
        days = defaultdict(Counter)
        for lines in partitions:
            taken = self.scans_taken(lines)[0]
            said = [(scan, self.packed(scan)) for scan in self.acceptances(taken)]
            said += [(scan, self.handed_over(scan, accepted)) for scan, accepted in self.deliveries(taken)]
            for mode in ("road", "rail", "air"):
                said += [(scan, ["mode_known", mode]) for scan in self.firsts(taken, lambda s, m=mode: s["waybill_id"] if s.get("mode") == m else None)]
            said += [(scan, self.ridden(scan)) for scan in self.firsts(taken, self.ride)]
            for scan, names in said:
                city, name = self.on_record(scan) if live else (scan["city"], scan["enterprise_id"])
                for enterprise in (name, "*"):
                    days[city, enterprise, self.local(scan["event_time_ms"]).date().isoformat()].update(names)
        return {key: dict(names) for key, names in days.items()}

    def packed(self, scan):
        """What an acceptance says."""
        packaging = scan.get("packaging") or {}
        tape = packaging.get("tape_mm")
        said = {
            "not_repackaged": None if packaging.get("repackaged") is None else not packaging["repackaged"], "reusable_bag": packaging.get("reusable_bag"),
            "real_name": scan.get("real_name_verified"), "inspected": scan.get("inspected"), "screened": scan.get("screened"),
            "narrow_tape": None if tape is None else tape <= 45,
        }  # fmt: skip
        names = ["accepted", *(f"{name}_known" for name, answer in said.items() if answer is not None), *(name for name, answer in said.items() if answer)]
        return names + ["electronic"] * (scan.get("waybill_kind") == "electronic") + ["green"] * bool(packaging.get("green"))

    def handed_over(self, scan, accepted):
        """What a delivery says; ``accepted``: when the parcel was, where that is known."""
        names, hour = ["delivered"], self.local(scan["event_time_ms"]).hour
        if scan.get("delivery_method"):
            names += ["method_known", scan["delivery_method"]]
        if hour >= 20 or hour < 7:
            names.append("night_delivered")
        if accepted is not None:
            names.append(("hours", (scan["event_time_ms"] - accepted) // 3_600_000))
        return names

    def ride(self, scan):
        """A parcel and the vehicle that it is on, where it is on file with an enterprise."""
        vehicle = self.lookup("vehicle", scan["vehicle_id"], scan["event_time_ms"]) if scan.get("vehicle_id") else None
        return (scan["waybill_id"], scan["vehicle_id"]) if vehicle and vehicle.get("enterprise_id") else None

    def ridden(self, scan):
        owner = self.lookup("vehicle", scan["vehicle_id"], scan["event_time_ms"])["enterprise_id"]
        return ["vehicle_known"] + ["joint"] * (owner != scan["enterprise_id"])

    def deliveries(self, taken):
        """Each parcel's first delivered scan, as acceptances are told apart, and when the parcel was accepted: None where that is not known, or later."""
        accepted, delivered, found = {}, {}, []
        for scan, before in taken:
            name, key = scan["waybill_id"], (scan["event_time_ms"], scan["event_id"])
            horizon = max(before, self.carries(scan)) - 3 * 86_400_000
            of = {"accepted": accepted, "delivered": delivered}.get(scan["kind"])
            if of is None:
                continue
            known = of.get(name)
            if known is not None and known["key"][0] < horizon:
                known = None
            if known is not None and known["key"] <= key:
                continue
            if known is None:
                known = of[name] = {}
                found += [known] if of is delivered else []
            known.update(key=key, scan=scan)
            a, d = accepted.get(name), delivered.get(name)
            if of is delivered:
                d["accepted"] = a["key"][0] if a and horizon <= a["key"][0] <= key[0] else None
            elif d and horizon <= d["key"][0] and key[0] <= d["key"][0]:
                d["accepted"] = key[0]
        return [(d["scan"], d["accepted"]) for d in found]

    def last_seen(self, *partitions):
        """Outlet or facility that is on record at the time → the last local date with a scan of the city there."""
        found = {}
        for scan in [scan for lines in partitions for scan, _ in self.scans_taken(lines)[0] if scan["city"] == self.pack["city"]["adcode"]]:
            outlet = scan.get("outlet_id")
            if any(self.lookup(kind, outlet, scan["event_time_ms"]) for kind in ("outlet", "facility")):
                found[outlet] = max(found.get(outlet, ""), self.local(scan["event_time_ms"]).date().isoformat())
        return found

    def scans_taken(self, lines):
        """(scan, stream time before it) of those that are neither broken nor more than three days late, and the last stream time."""
        return self.taken(tuple(lines))

    def taken(self, lines):
        """As ``scans_taken``, which is asked about the same lines several times."""
        taken, stream_time = [], 0
        for line in lines:
            scan = self.read(line, SCAN, 6)
            if scan is None or not YEAR_2000 <= scan["event_time_ms"] < NO_CALENDAR or scan["event_time_ms"] < stream_time - 3 * 86_400_000:
                continue
            if self.is_here(scan["city"]):
                scan["city"] = self.pack["city"]["adcode"]
            taken.append((scan, stream_time))
            stream_time = max(stream_time, self.carries(scan))
        return taken, stream_time

    def acceptances(self, taken):
        """Each parcel's first accepted scan; one more than three days after it, on the stream's clock, is another acceptance."""
        return self.firsts(taken, lambda scan: scan["waybill_id"] if scan["kind"] == "accepted" else None)

    def firsts(self, taken, name_of):
        """The first scan of each name; one more than three days after it, on the stream's clock, is another first; scans without a name do not count."""
        by_name = defaultdict(list)
        for scan, before in taken:
            if (name := name_of(scan)) is None:
                continue
            key, now = (scan["event_time_ms"], scan["event_id"]), max(before, self.carries(scan))
            groups = by_name[name]
            if groups and groups[-1]["event_time_ms"] >= now - 3 * 86_400_000:
                if key < (groups[-1]["event_time_ms"], groups[-1]["event_id"]):
                    groups[-1] = scan
            else:
                groups.append(scan)
        return [scan for groups in by_name.values() for scan in groups]

    def violations(self, *partitions):
        """Scans against outlets and enterprises: (rule id, subject, date, first, last, number of scans)."""
        found = {key: [scan["event_time_ms"] for scan in own] for key, own in self.findings_of(*partitions).items()}
        return {(*key, min(times), max(times), len(times)) for key, times in found.items()}

    def made_up(self, *partitions):
        """Which violations (rule id, subject, date) and which days (city, enterprise or ``*``, date) rest on any synthetic scan."""
        found = {key for key, own in self.findings_of(*partitions).items() if any(scan.get("synthetic") is True for scan in own)}
        counted = [scan for lines in partitions for scan in self.acceptances(self.scans_taken(lines)[0]) if scan.get("synthetic") is True]
        days = {(s["city"], e, self.local(s["event_time_ms"]).date().isoformat()) for s in counted for e in (s["enterprise_id"], "*")}
        return found, days

    def findings_of(self, *partitions):
        """(rule id, subject, date) → the scans that count against it."""
        streams = [self.scans_taken(lines)[0] for lines in partitions]
        found = defaultdict(dict)
        for rule in self.pack["rules"]:
            every = [scan for taken in streams for scan, _ in taken] if rule["rule"] in ANY_SCAN else []
            accepted = [s for taken in streams for s in self.acceptances(taken)] if rule["rule"] in ACCEPTED_WITHOUT else []
            for scan in every + accepted:
                t, outlet = scan["event_time_ms"], scan.get("outlet_id")
                start, end = self.bound(self.pack.get("valid_from"), False), self.bound(self.pack.get("valid_until"), True)
                if scan["city"] != self.pack["city"]["adcode"] or (start is not None and t < start) or (end is not None and t >= end):
                    continue
                name = scan["event_id"] if every else id(scan)
                if self.is_wrong(rule["rule"], scan, (self.lookup("outlet", outlet, t) or {}) if outlet else None):
                    of_outlet = outlet and rule["rule"] != "unlicensed_enterprise"
                    subject = f"outlet/{outlet}" if of_outlet else f"enterprise/{scan['enterprise_id']}"
                    scans = found[rule["id"], subject, self.local(t).date().isoformat()]
                    if name not in scans or t < scans[name]["event_time_ms"]:
                        scans[name] = scan
        return {key: list(scans.values()) for key, scans in found.items()}

    def is_wrong(self, rule, scan, outlet):
        """Whether a scan breaks a rule; ``outlet``: the record of the one it names, {} where there is none, None where it names none."""
        if rule == "unfiled_outlet":
            is_facility = outlet == {} and self.lookup("facility", scan["outlet_id"], scan["event_time_ms"]) is not None
            return outlet is not None and not outlet.get("filed") and not is_facility
        if rule == "unmonitored_outlet":
            return bool(outlet) and outlet.get("filed", False) and outlet.get("camera") is False
        if rule == "unlicensed_enterprise":
            until = (self.lookup("enterprise", scan["enterprise_id"], scan["event_time_ms"]) or {}).get("licensed_until")
            return until is not None and scan["event_time_ms"] >= self.bound(until, True)
        return scan.get(ACCEPTED_WITHOUT[rule]) is False

    # --- signs of life, credit ---
    def heartbeats(self, scans, heartbeats=()):
        """Sorted signs of life by subject, and the last stream time; both take partitions of raw lines."""
        streams = [self.scans_taken(lines) for lines in scans]
        found, last = defaultdict(list), max((time for _, time in streams), default=0)
        for scan in (scan for taken, _ in streams for scan, _ in taken):
            if scan["city"] == self.pack["city"]["adcode"]:
                found[f"enterprise/{scan['enterprise_id']}"].append(scan["event_time_ms"])
        for lines in heartbeats:
            stream_time = 0
            for line in lines:
                beat = self.read(line, BEAT, 2)
                if beat is None or not YEAR_2000 <= beat["event_time_ms"] < NO_CALENDAR:
                    continue
                if beat["event_time_ms"] < stream_time - 3 * 86_400_000:
                    continue
                stream_time = max(stream_time, self.carries(beat))
                if beat["subject"] != "clock" and self.is_here(beat.get("city")):
                    found[beat["subject"]].append(beat["event_time_ms"])
            last = max(last, stream_time)
        return {subject: sorted(times) for subject, times in found.items()}, last

    def intervals(self, heartbeats, stream_time):
        """Silences that a rule objects to: (rule id, subject, last sign, next sign or None); signs of a time yet to come do not count."""
        heartbeats = {subject: [t for t in times if t <= stream_time] for subject, times in heartbeats.items()}
        found = set()
        for rule in self.pack["rules"]:
            kind = {"offline_camera": "outlet", "interrupted_feed": "enterprise"}.get(rule["rule"])
            for subject, times in heartbeats.items():
                if kind is None or subject.partition("/")[0] != kind:
                    continue
                for number, t in enumerate(times):
                    after = times[number + 1] if number + 1 < len(times) else None
                    due = self.silent_from(rule, kind, subject, t)
                    if due is not None and (stream_time if after is None else after) > due:
                        found.add((rule["id"], subject, t, after))
        return found

    def silent_from(self, rule, kind, subject, t):
        """The earliest instant at which all conditions hold, or None."""
        limit = _duration(rule.get("limit", {"outlet": "10m", "enterprise": "30m"}[kind]))
        days = [self.local(t).date() + dt.timedelta(days=n) for n in range(-1, 9)]
        opens = []
        for window in rule.get("hours", ()):
            opens += [interval for day in days if self.runs_on(window, day) for interval in self.opened(window["from"], window["until"], day)]
        candidates = {t + limit} | {start + limit for start, _ in opens}
        candidates |= {int(self.bound(n["until"], True)) for n in self.records["notice"]}
        covered_until = 0
        for moment in sorted(c for c in candidates if t + limit <= c <= t + 7 * 86_400_000):
            if moment < covered_until:
                continue
            near = [(a, b) for a, b in opens if a <= moment and moment - limit <= b]
            if opens and not all(any(a <= x <= b for a, b in near) for x in (*range(moment - limit, moment, 60_000), moment)):
                continue
            records = [self.lookup(kind, subject.partition("/")[2], when) for when in (t, moment)]
            owner = (records[1] or {}).get("enterprise_id")
            announced = [
                self.bound(n["until"], True) for n in self.records["notice"]
                if n["subject"] in {subject, f"enterprise/{owner}"} and self.filed(n, t) and self.counts(n, moment) and self.bound(n["from"], False) <= moment < self.bound(n["until"], True)
            ]
            if announced:
                covered_until = max(announced)
                continue
            start, end = self.bound(self.pack.get("valid_from"), False), self.bound(self.pack.get("valid_until"), True)
            in_force = all((start is None or start <= x) and (end is None or x < end) for x in (t, moment))
            expected = all(record is not None and (kind == "enterprise" or record.get("camera") is True) for record in records)
            return moment if in_force and expected else None
        return None

    def opened(self, since, until, day):
        """(first, last) of a window that starts on a day; minute by minute where clocks are set meanwhile."""
        first, last = self.minutes(since), self.minutes(until)
        last += 1440 if last <= first else 0
        noons = [dt.datetime.combine(day + dt.timedelta(days=n), dt.time(12), self.tz).utcoffset() for n in (-1, 0, 1)]
        if len(set(noons)) == 1:
            return [tuple(int(self.midnight(day) + m * 60_000) for m in (first, last))]
        runs = []
        for t in range(int(self.midnight(day)), int(self.midnight(day + dt.timedelta(days=2))), 60_000):
            now = self.local(t)
            minute = (now.date() - day).days * 1440 + now.hour * 60 + now.minute
            if first <= minute < last and runs and runs[-1][1] == t:
                runs[-1] = (runs[-1][0], t + 60_000)
            elif first <= minute < last:
                runs.append((t, t + 60_000))
        return runs

    def runs_on(self, window, day):
        names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        first, _, last = window.get("days", "mon-sun").partition("-")
        return day.weekday() in range(names.index(first), names.index(last or first) + 1)

    def minutes(self, text):
        return int(text[:2]) * 60 + int(text[3:])

    def midnight(self, day):
        return dt.datetime.combine(day, dt.time(), self.tz).timestamp() * 1000

    def settled(self, rule, rule_id, opened, closed):
        """When nothing that comes in time can change a closed incident any more."""
        entry = next(entry for entry in self.pack["rules"] if entry["id"] == rule_id)
        if rule in SCAN_RULES:
            return self.bound(self.local(opened).date().isoformat(), True) + self.lateness
        own_gap = 0 if rule in OTHER_RULES or rule.startswith("low_") else _duration(entry.get("merge_gap", "2m"))
        return closed + max(self.lateness, own_gap)

    def costing(self, ledger, settled, answers):
        """When an incident costs points, (from, until): for a year; where only confirmed ones do, of that what lies after "acknowledged" or "fined" and not after "dismissed" or an objection that was upheld.

        ``answers``: (arrival, offset, action, answer's id, id of the objection that it decides), in any order.
        """
        year = 365 * 86_400_000
        if ledger.get("confirmed_only") != "true":
            return [(settled, settled + year)]
        heard, waiting, turns = set(), [], [(float("-inf"), False)]
        for t, _, action, name, about in sorted(answers, key=lambda row: row[:2]):
            if name is not None and name in heard:
                continue
            heard.add(name)
            if action == "objected":
                waiting = waiting or [name]
            elif action in ("upheld", "rejected"):
                if waiting and about in (None, *waiting):
                    waiting, turns = [], turns + [(t, False)] * (action == "upheld")
            elif action in ("acknowledged", "fined", "dismissed"):
                turns.append((t, action != "dismissed"))
        ends = [t for t, _ in turns[1:]] + [float("inf")]
        spans = [(max(settled, t), min(settled + year, end)) for (t, right), end in zip(turns, ends, strict=True) if right]
        return [(start, end) for start, end in spans if start < end]

    def black(self, incidents, stream_time, live=False, answers=None):
        """Times on the black list, (rule id, enterprise, from, until or None): of incidents as published; costs count once settled before now.

        A worker (``live``) keeps accounts only of enterprises that some record of the registry names. ``answers``: as in ``costing``, by incident.
        """
        closed = [d for d in incidents if d["state"] == "closed"]
        incidents = [(d["rule"], d["enterprise_id"], self.settled(d["rule"], d["rule_id"], d["opened_at_ms"], d["closed_at_ms"]), (answers or {}).get(d["incident_id"], ())) for d in closed]
        found = set()
        named = {r["id"] for r in self.records["enterprise"]} | {r.get("enterprise_id") for rs in self.records.values() for r in rs}
        incidents = [incident for incident in incidents if not live or incident[1] in named]
        for rule in self.pack["rules"]:
            if rule["rule"] != "blacklisted_enterprise":
                continue
            costs = [(e, t, end, Fraction(rule["points"][r])) for r, e, settled, said in incidents if r in rule["points"] and e not in (None, "*") for t, end in self.costing(rule, settled, said)]
            for enterprise in {e for e, *_ in costs}:
                own = [cost[1:] for cost in costs if cost[0] == enterprise]
                now, since = stream_time - 1, None
                for moment in sorted({turn for t, end, _ in own for turn in (t, end) if turn <= now}):
                    black = sum(points for t, end, points in own if t <= moment < end) >= Fraction(rule["black_at"])
                    if black and since is None:
                        since = moment
                    elif not black and since is not None:
                        found.add((rule["id"], enterprise, since, moment))
                        since = None
                if since is not None:
                    found.add((rule["id"], enterprise, since, None))
        return found

    def driver_credit(self, driven_by, stream_time, answers_to=lambda *_: ()):
        """Each driver on record who has points: (standing, points), by the closed incidents of vehicles that had settled before now; who drove is who the first fix that says so names.

        ``answers_to``: those to an incident, as in ``costing``, by its rule instance, vehicle, zone and beginning.
        """
        found = Counter()
        (ledger,) = [rule for rule in self.pack["rules"] if rule["rule"] == "blacklisted_enterprise"]
        for incident, own in (each for lines in driven_by for each in self.incidents(lines, stream_time)[0]):
            rule, rule_id, vehicle, zone, opened, last, _, state = incident
            driver, cost = self.words(own)[-1], Fraction(ledger["drivers"]["points"].get(rule, 0))
            spans = self.costing(ledger, self.settled(rule, rule_id, opened, last), answers_to(rule_id, vehicle, zone, opened))
            if cost and state == "closed" and driver in {r["id"] for r in self.records["driver"]} and any(start <= stream_time - 1 < end for start, end in spans):
                found[driver] += cost
        return {driver: ("black" if points >= Fraction(ledger["drivers"]["black_at"]) else "normal", float(points)) for driver, points in found.items()}

    def not_rising(self, rule, days, stream_time):
        """Closed months whose green packaging is not above that of the month before."""
        months = defaultdict(lambda: [0, 0])
        for (city, enterprise, date), (accepted, _, green) in self.judged(rule, days).items():
            if city == self.pack["city"]["adcode"] and enterprise != "other":
                months[enterprise, date[:7]][0] += accepted
                months[enterprise, date[:7]][1] += green
        found = set()
        for (enterprise, month), (accepted, green) in list(months.items()):
            first = dt.date.fromisoformat(f"{month}-01")
            last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
            whole, part = months.get((enterprise, (first - dt.timedelta(days=1)).isoformat()[:7]), (0, 0))
            if stream_time < self.bound(last.isoformat(), True) + self.lateness or min(accepted, whole) < int(rule.get("min_sample", 100)):
                continue
            if green < accepted and green / accepted <= part / whole:
                found.add((rule["id"], enterprise, month))
        return found

    def low_bounds(self, rows):
        """Low-rate rows (rule id, enterprise, date or month) with when it begins and ends in place of the date."""
        found = set()
        for rule_id, enterprise, date in rows:
            first, last = (date, date) if len(date) == 10 else (f"{date}-01", f"{date}-{calendar.monthrange(int(date[:4]), int(date[5:]))[1]}")
            found.add((rule_id, enterprise, self.bound(first, False), self.bound(last, True)))
        return found

    def judged(self, rule, days):
        """The days that a rule is about: of all, or of the primary brands and, as the whole city's, of these together."""
        if rule.get("primary_brands_only") != "true":
            return days
        own, whole = {}, defaultdict(lambda: (0, 0, 0))
        for (city, enterprise, date), counts in days.items():
            record = self.lookup("enterprise", enterprise, self.bound(date, False))
            if enterprise != "*" and record and record.get("primary_brand"):
                own[city, enterprise, date] = counts
                whole[city, "*", date] = tuple(map(sum, zip(whole[city, "*", date], counts, strict=True)))
        return own | whole

    def low_days(self, days, stream_time):
        found = set()
        for rule in self.pack["rules"]:
            if not rule["rule"].startswith("low_"):
                continue
            which = 1 if "electronic" in rule["rule"] else 2
            for (city, enterprise, date), counts in self.judged(rule, days).items():
                closed = stream_time >= self.bound(date, True) + self.lateness
                if not closed or city != self.pack["city"]["adcode"] or enterprise == "other" or counts[0] < int(rule.get("min_sample", 100)):
                    continue
                if counts[which] / counts[0] < float(rule.get("target", 0.9)):
                    found.add((rule["id"], enterprise, date))
            if rule.get("rising") == "true":
                found |= self.not_rising(rule, days, stream_time)
        return found
