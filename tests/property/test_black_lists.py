"""Times on the black list against a form that looks at all charges at every turn; and that many charges cost little."""

from __future__ import annotations

import json
from collections import Counter
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from time_passing import marks, said_ms

from streams.city import city_judge
from streams.city.city_judge import CityJudge
from streams.city.contributions import Contribution
from streams.city.ledger import CityLedger
from streams.clock import END_MS
from streams.enterprises.credit import Account, Charge, Cost, black_intervals, costs, standing, terms_of
from streams.enterprises.intervals import Interval
from streams.lifecycle import MAX_EVIDENCE
from streams.policy.policy import Policies
from streams.policy.reader import parse_policy
from streams.registry.records import Enterprise, Standing, decode_entry
from streams.registry.registry import Registry
from streams.rules.blacklisted_enterprise import Terms

T = 1_700_020_800_000
PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
rules: [{rule: blacklisted_enterprise, id: r, clause: "1", severity: warning, points: {speeding: 2}, black_at: 6}]
"""


def looked_at_anew(charged, terms, now_ms):
    """All that costs something at an instant, at every instant at which that changes."""
    turns = sorted({ms for cost in charged for ms in (cost.at_ms, cost.until_ms)})
    intervals = []
    for at_ms in turns:
        if at_ms > now_ms:
            break
        held = [cost for cost in charged if cost.at_ms <= at_ms < cost.until_ms]
        black, made_up = sum(cost.points for cost in held) >= terms.black_at, any(cost.charge.synthetic for cost in held)
        lasts = bool(intervals) and intervals[-1].end_ms is None
        if black and not lasts:
            intervals.append(Interval(at_ms, None, len(held), made_up))
        elif lasts:
            known = intervals[-1]
            intervals[-1] = Interval(known.start_ms, None if black else at_ms, max(known.size, len(held)), known.synthetic or made_up)
    return intervals, next((at_ms for at_ms in turns if at_ms > now_ms), END_MS)


def cost(at_ms, lasts_ms, points, synthetic=False):
    return Cost(at_ms, at_ms + lasts_ms, points, Charge("e", f"{at_ms}", 2, "closed", "speeding", "s", at_ms, synthetic))


@given(st.lists(st.builds(cost, st.integers(0, 40), st.integers(1, 30), st.sampled_from([0.5, 1.0, 2.0, 6.0]), st.booleans()), max_size=25), st.integers(-1, 80))
def test_black_lists_are_those_of_every_turn_looked_at_anew(charged, now_ms):
    terms = Terms({}, 6.0)
    assert black_intervals(charged, terms, now_ms) == looked_at_anew(charged, terms, now_ms)


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0.0, 2.0, 6.0])), max_size=MAX_EVIDENCE))
def test_a_newer_standing_changes_nothing_of_before(found):
    """Who was away reads the newest standing first; by it each day is what it was when all before was known."""
    account, registry, terms, today, known = Account(), Registry(ZoneInfo("UTC")), Terms({}, 6.0), 0, {}
    registry.add([Enterprise(id="e")])
    for days, points in found:
        today += days
        row = standing(account, [cost(0, 1_000, points)] if points else [], terms, today, 0, today + 1)
        if row is not None:
            registry.enter_credit("e", Standing(msgspec.convert(row["effective"], list[tuple[int, str]])))
        by_day = {day: registry.enterprise("e", day).credit for day in range(today + 1)}
        assert by_day.items() >= known.items()
        known = by_day
        assert (registry.enterprise("e", today + 1).credit == "black") is (points >= terms.black_at)


def test_ten_tenths_of_a_point_are_one_point():
    charged = [cost(number, 100, 0.1) for number in range(10)]
    assert black_intervals(charged, Terms({}, 1.0), 50) == ([Interval(9, None, 10)], 100)


class Compared(int):
    """An instant that counts how often instants are compared."""

    times = 0

    def __lt__(self, other):
        Compared.times += 1
        return int(self) < int(other)

    def __le__(self, other):
        Compared.times += 1
        return int(self) <= int(other)


def test_of_many_charges_each_is_looked_at_a_few_times():
    charged = [Cost(Compared(n * 7_919 % 2_003), Compared(2_003 + n), 1.0, Charge("e", f"{n}", 2, "closed", "speeding", "s", n)) for n in range(2_000)]
    Compared.times = 0
    assert len(black_intervals(charged, Terms({}, 6.0), 10_000)[0]) == 1
    assert Compared.times < 30 * len(charged), "the form of above compares two million times"


def judge_of():
    policies = Policies([parse_policy(PACK, "test", None)])
    registry = Registry(policies.newest.timezone)
    registry.add([decode_entry(json.dumps({"kind": "enterprise", "id": "e"}).encode())])
    return CityJudge(policies, registry, b"k")


def test_a_charge_that_costs_nothing_yet_only_falls_due(monkeypatch):
    judged = Counter()
    monkeypatch.setattr(city_judge, "black_intervals", lambda charged, *rest: judged.update(judged=1) or black_intervals(charged, *rest))
    judge, ledger = judge_of(), CityLedger()
    judge.take(ledger, Contribution("1", **marks(T)), said_ms(T))
    said = [
        judge.take(ledger, Contribution("1", charge=Charge("e", f"{n}", revision, "closed", "speeding", "s", T + 1_000 + n)), said_ms(T)).incidents
        for n in range(600) for revision in (2, 3)
    ]  # fmt: skip
    assert not any(said) and judged["judged"] <= 2, "the account is new once"
    result = judge.take(ledger, Contribution("1", **marks(T + 5_000)), said_ms(T + 5_000))
    assert judged["judged"] <= 3
    assert [(kind, data.opened_at_ms) for kind, data in result.incidents] == [("opened", T + 1_002)], "the third makes six points"
    account = ledger.accounts["enterprise/e"]
    assert account.due_ms == looked_at_anew(costs(account, terms_of("enterprise/e", judge.policies)), Terms({}, 6.0), ledger.settled_ms)[1]


@pytest.mark.parametrize("changed", [{"state": "retracted"}, {"at_ms": T + 50_000}, {"enterprise_id": "f"}])
def test_a_charge_that_costs_something_is_taken_back_at_once(changed):
    judge, ledger = judge_of(), CityLedger()
    for n in range(3):
        judge.take(ledger, Contribution("1", charge=Charge("e", f"{n}", 2, "closed", "speeding", "s", T + n)), said_ms(T))
    opened = judge.take(ledger, Contribution("1", **marks(T + 5_000)), said_ms(T + 5_000)).incidents
    later = {"enterprise_id": "e", "incident_id": "1", "revision": 3, "state": "closed", "rule": "speeding", "rule_id": "s", "at_ms": T + 1} | changed
    taken_back = judge.take(ledger, Contribution("1", charge=Charge(**later)), said_ms(T + 5_000)).incidents
    assert [kind for kind, _ in opened] == ["opened"] and [kind for kind, _ in taken_back] == ["retracted"]
