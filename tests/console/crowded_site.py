"""Consoles in this process as pages seldom see them: with nothing in them, with three incidents, with 3,000; and whoever is named has a name of sixty characters."""

import json

from console.console_site import Site, T, incident, users_file
from streams.clock import MINUTE_MS
from streams.policy.checks import pack_record
from streams.policy.reader import load_policy
from streams.registry.records import Driver, Enterprise, Facility, Line, Outlet, Vehicle

LONG_ZH = "内蒙古自治区呼和浩特市敕勒川草原跨境电子商务与冷链快递物流协同发展产业园第一分拨中心运营管理有限责任公司赛罕区经营部"
LONG_EN = "Chilechuan Prairie Cross-Border E-Commerce and Cold-Chain Express Logistics Operating Company, Saihan Branch"
TOWNSHIP, VILLAGE = "呼和浩特经济技术开发区金川南区街道办事处", "巴彦淖尔北路与成吉思汗东街交叉口东北侧新村"
ENTERPRISES, VEHICLES, DAYS = 12, 60, 20
RULES = {"restricted_hours": ("illustrative", "三（十一）"), "speeding": ("illustrative", "三（十）"), "unmarked_vehicle": ("stated", "三（十）"), "unfiled_outlet": ("stated", "二（五）")}
QUOTE, READING = "对快递服务车辆实施统一编号和标识管理", "按年度平均计，由本包所定 (the average of a year is meant, as set here)"


def place(number):
    """Degrees, spread over the city."""
    return {"lon": 111.6 + number % 17 * 0.009, "lat": 40.76 + number % 13 * 0.007}


def registry():
    """Who is on file."""
    for number in range(ENTERPRISES):
        yield Enterprise(id=f"e{number}", name_zh=f"{LONG_ZH[:-2]}{number:02}", name_en=f"{LONG_EN} {number}", primary_brand=number < 4)
    yield Driver(id="D-1", enterprise_id="e0", trained_until="2020-12-31", insured_until="2035-12-31")
    for number in range(VEHICLES):
        yield Vehicle(id=f"HH-{number:05}", plate=f"蒙A{number:05}", enterprise_id=f"e{number % ENTERPRISES}", driver_ids=["D-1"], vehicle_class="e_tricycle", energy="electric", insured_until="2035-12-31")
    for number in range(40):
        yield Outlet(id=f"O{number:04}", enterprise_id=f"e{number % ENTERPRISES}", township=TOWNSHIP, filed=number % 9 > 0, camera=number % 3 > 0, **place(number * 7))
    for number, level in enumerate(["hub", "county", "township", "village", "pickup_point"] * 4):
        yield Facility(id=f"F-{level}-{number}", level=level, enterprise_id=f"e{number % ENTERPRISES}", township=TOWNSHIP, village=VILLAGE if level == "village" else None, **place(number * 5))
    yield Line(id="L-1", zones=["core", "residential-saihan"], vehicle_ids=[f"HH-{number:05}" for number in range(12)])


def row_of_rates(enterprise_id, day):
    return {"city": "150100", "enterprise_id": enterprise_id, "date": f"2026-06-{day:02}", "window": f"2026-06-{day:02}", "revision": 1, "accepted": 12_345, "electronic_rate": 0.8 + day / 150, "green_rate": 0.7 + day / 150, "locker_rate": 0.3, "narrow_tape_rate": 0.6}


def some_incidents(number):
    """So many, one a minute up to T, of four rules; every fifth goes on."""
    for n in range(number):
        rule, (basis, clause) = list(RULES.items())[n % len(RULES)]
        vehicle, opened_ms = n % VEHICLES, T - n * MINUTE_MS // 3
        subject = {"vehicle_id": None, "plate": None, "outlet_id": f"O{n % 40:04}"} if rule == "unfiled_outlet" else {"vehicle_id": f"HH-{vehicle:05}", "plate": f"蒙A{vehicle:05}"}
        state = {"state": "open"} if n % 5 == 0 else {"state": "closed", "closed_at_ms": opened_ms}
        evidence = [{"event_time_ms": opened_ms, "event_id": f"event-{n}", **place(n), "speed_kmh": 28.4}]
        yield incident(
            f"I{n:05}", rule=rule, rule_id=rule, policy="hohhot-2019", severity="violation" if n % 2 else "warning", basis=basis, clause=clause, clause_text=QUOTE, reading=READING, city="150100",
            enterprise_id=f"e{vehicle % ENTERPRISES}", zone_id="core" if rule == "restricted_hours" else None, opened_at_ms=opened_ms, last_seen_ms=opened_ms, evidence=evidence, fix_count=1, duty_of="authority", responsible=["市邮政管理局", "公安局交管支队"],
            continued_by="驿程示例 Yicheng, as an example", document="呼和浩特市人民政府办公室关于推进电子商务与快递物流协同发展的实施意见", document_number="ZG-2019-9",
            reason_zh=f"{LONG_ZH}的车辆在限行时段进入中心城区", reason_en=f"vehicle of {LONG_EN} was in the city core outside the permitted hours", **subject, **state,
        )  # fmt: skip


def quiet(folder):
    """A pack and nothing else."""
    site = Site(folder)
    site.city.enter_policy(b"hohhot-2019", pack_record([load_policy("hohhot-2019").pack.source]))
    site.city.history_is_read()
    site.city.say(None)
    return site


def crowded(folder, incidents=3_000):
    """A city's register, 60 vehicles, twenty days of rates and so many incidents; who looks logs in, and the newest incident is answered."""
    site = Site(folder, console_users=users_file(folder))
    city = site.city
    city.enter_policy(b"hohhot-2019", pack_record([load_policy("hohhot-2019").pack.source]))
    city.registry.add(list(registry()))
    city.enter_fixes([json.dumps({"event_id": f"{n}-{step}", "event_time_ms": T - 60_000 + step * 10_000, "vehicle_id": f"HH-{n:05}", "plate": f"蒙A{n:05}", "lon": place(n)["lon"] + step * 0.001, "lat": place(n)["lat"], "speed_kmh": 20.0}).encode() for step in range(6) for n in range(VEHICLES)], [T] * 6 * VEHICLES)
    for value in some_incidents(incidents):
        city.enter_incident(value)
    for day in range(27 - DAYS, 27):
        for name in ("*", *(f"e{number}" for number in range(ENTERPRISES))):
            city.enter_rate(json.dumps(row_of_rates(name, day)).encode(), T)
    city.enter_answer(json.dumps({"incident_id": "I00000", "action": "acknowledged", "time_ms": T, "by": "olga"}).encode())
    city.history_is_read()
    city.say(None)
    city.tick()
    return site
