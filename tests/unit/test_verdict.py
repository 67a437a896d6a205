"""What ``up`` says of a run: days that fall short are compared with their dates."""

import pytest

from deploy.up.verdict import compare
from producers.truth import TrueIncident, Truth
from streams.clock import DAY_MS
from streams.policy.reader import load_policy

DAYS = load_policy("hohhot-2019").days
START_MS, _ = DAYS.bounds_ms("2026-03-01")


def low_day(opened_at_ms):
    return {
        "state": "closed", "rule": "low_green_packaging_rate", "rule_id": "green", "vehicle_id": None, "zone_id": None, "outlet_id": None,
        "enterprise_id": "sf", "opened_at_ms": opened_at_ms, "last_seen_ms": opened_at_ms + DAY_MS, "closed_at_ms": opened_at_ms + DAY_MS, "fix_count": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("opened_ms", "holds"), [([START_MS], True), ([START_MS + DAY_MS], False), ([START_MS - DAY_MS], False), ([START_MS, START_MS], False), ([], False)]
)
def test_a_low_day_is_found_on_its_own_date_and_once(opened_ms, holds):
    found = {str(number): low_day(at_ms) for number, at_ms in enumerate(opened_ms)}
    verdict = compare(Truth(low_days=[("green", "sf", "2026-03-01")]), found, {}, {}, DAYS.timezone)
    assert verdict.holds is holds and (holds or "low-rate days" in verdict.differences[0])


def test_another_driver_and_other_points_are_differences():
    true = TrueIncident("clones", "v", None, START_MS, START_MS + 60_000, 3, "d")
    data = {
        **low_day(START_MS), "rule": "cloned_identifier", "rule_id": "clones", "vehicle_id": "v", "line_id": None, "last_seen_ms": START_MS + 60_000, "fix_count": 3, "driver_id": "d",
    }  # fmt: skip
    truth, credit = Truth(incidents=[true], driver_points={"d": 4.0}), {"driver/d": {"points": 4.0}, "driver/e": {"points": 0}, "enterprise/sf": {"points": 2.0}}
    assert compare(truth, {"i": data}, {}, credit, DAYS.timezone).differences == []
    assert compare(truth, {"i": {**data, "driver_id": None}}, {}, credit, DAYS.timezone).differences == [f"other driver: clones by v at {START_MS}: None, not d"]
    assert compare(truth, {"i": data}, {}, {}, DAYS.timezone).differences == ["points of driver d: None, not 4.0"]
    assert compare(truth, {"i": data}, {}, {**credit, "driver/e": {"points": 1.0}}, DAYS.timezone).differences == ["points of driver e: 1.0, not None"]
