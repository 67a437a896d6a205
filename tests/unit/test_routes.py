"""Which incident goes where and when: decisions of routes, by the time at which an event comes."""

import msgspec
import pytest
from notices import OPENED_MS, SHANGHAI, at_ms, event

from consumers.routing.calendars import Calendar, Span, weekly_hours
from consumers.routing.route import Escalation, Roster, Route
from consumers.routing.routes import EVERY, REMINDER, Destination, Routing, SinkConfig, simple_routing
from streams.clock import DAY_MS, HOUR_MS, MINUTE_MS
from streams.files.typed_yaml import read_scalar
from streams.windows import Window

SINKS = {"duty": SinkConfig("file", {}), "chief": SinkConfig("file", {}), "police": SinkConfig("webhook", {"real": True})}
NOW_MS = OPENED_MS + 1_000


def weekly(*windows):
    return weekly_hours(msgspec.convert(list(windows), list[Window], strict=False, dec_hook=read_scalar), SHANGHAI)


NIGHTS = weekly({"from": "22:00", "until": "07:00"})


def route(name="r", to=("duty",), **keys):
    return Route(name=name, to=to, **keys)


def routing(*routes, **keys):
    return Routing(SINKS, routes, **keys)


def told(found):
    """Sinks, steps and due times of destinations."""
    return [(each.sink, each.step, each.due_ms) for each in found]


def test_without_a_file_every_revision_goes_to_every_sink_at_once_as_it_was_published():
    plain = simple_routing(SINKS)
    for kind in ("opened", "updated", "closed", "retracted"):
        made = event(kind)
        assert plain.destinations(made, NOW_MS) == [Destination(sink, EVERY, 0, NOW_MS, None, until_answered=False) for sink in SINKS]
        assert plain.message(made, EVERY, 0).body == made.body
    assert plain.reminders(event(), NOW_MS) == []


@pytest.mark.parametrize(("field", "value", "other"), [
    ("city", "150100", "330600"), ("rule", "speeding", "forbidden_stop"), ("rule_id", "speeding-ring", "speeding"), ("severity", "violation", "warning"),
    ("basis", "stated", "operator"), ("zone", "ring", "old-town"), ("enterprise", "ent-1", "ent-2"), ("responsible", "公安机关交通管理部门", "邮政"), ("synthetic", "false", "true"),
])  # fmt: skip
def test_a_route_is_for_those_that_have_one_of_the_values_of_each_field(field, value, other):
    made = event()
    assert told(routing(route(wanted={field: frozenset({value, "x"})})).destinations(made, NOW_MS))
    assert routing(route(wanted={field: frozenset({other})})).destinations(made, NOW_MS) == []
    assert routing(route(wanted={field: frozenset({value}), "city": frozenset({"000000"})})).destinations(made, NOW_MS) == []


def test_what_an_incident_does_not_have_matches_nothing_and_the_operators_own_rule_has_a_word():
    bare = event(zone_id=None, enterprise_id=None, basis=None, responsible=())
    for field in ("zone", "enterprise", "responsible"):
        assert routing(route(wanted={field: frozenset({"ring", "ent-1", ""})})).destinations(bare, NOW_MS) == []
    assert routing(route(wanted={"basis": frozenset({"operator"})})).destinations(bare, NOW_MS)


def test_the_first_route_decides_unless_it_continues():
    first, second = route("a"), route("b", ("chief",))
    assert [each.route for each in routing(first, second).destinations(event(), NOW_MS)] == ["a"]
    going_on = route("a", continues=True)
    assert [(each.route, each.sink) for each in routing(going_on, second).destinations(event(), NOW_MS)] == [("a", "duty"), ("b", "chief")]


def test_no_sink_is_told_the_same_twice():
    found = routing(route("a", continues=True), route("b", ("duty", "chief"), debounce_ms=5)).destinations(event(), NOW_MS)
    assert [(each.route, each.sink) for each in found] == [("a", "duty"), ("b", "chief")]


def test_a_route_tells_beginnings_and_ends_unless_it_says_otherwise():
    plain, only = routing(route()), routing(route(transitions=("opened",)))
    assert [bool(plain.destinations(event(kind), NOW_MS)) for kind in ("opened", "updated", "closed", "retracted")] == [True, False, True, True]
    assert [bool(only.destinations(event(kind), NOW_MS)) for kind in ("opened", "updated", "closed", "retracted")] == [True, False, False, False]


def test_a_route_that_does_not_want_a_transition_decides_all_the_same():
    assert routing(route(transitions=("opened",)), route("b", ("chief",))).destinations(event("closed"), NOW_MS) == []


def test_debounce_holds_what_was_opened_and_nothing_else():
    held = routing(route(debounce_ms=30_000, transitions=("opened", "updated", "closed", "retracted")))
    assert [held.destinations(event(kind), NOW_MS)[0].due_ms - NOW_MS for kind in ("opened", "updated", "closed", "retracted")] == [30_000, 0, 0, 0]


def test_a_mute_holds_until_it_ends_and_then_all_go_out_as_one():
    muted = routing(route(mute={"nights": NIGHTS}, group_by=("zone",), group_wait_ms=MINUTE_MS))
    evening, night, morning = (at_ms(f"2026-11-{moment}") for moment in ("11T21:30:30", "11T23:00", "12T07:00"))
    found = [muted.destinations(event(kind, zone_id=zone), night)[0] for kind in ("opened", "closed", "retracted") for zone in ("ring", "old-town")]
    assert {(each.due_ms, each.fold) for each in found} == {(morning, "r|muted")}
    assert muted.destinations(event(), evening)[0].due_ms == at_ms("2026-11-11T21:31") and muted.destinations(event(), morning)[0].due_ms == morning


def test_a_debounce_that_ends_in_a_mute_is_held_by_it():
    held = routing(route(mute={"nights": NIGHTS}, debounce_ms=HOUR_MS))
    assert held.destinations(event(), at_ms("2026-11-11T21:30"))[0].due_ms == at_ms("2026-11-12T07:00")
    assert held.destinations(event("closed"), at_ms("2026-11-11T21:30"))[0].due_ms == at_ms("2026-11-11T21:30")


def test_a_group_waits_for_others_of_its_own_and_has_one_end():
    grouped = routing(route(group_by=("zone", "rule"), group_wait_ms=5 * MINUTE_MS))
    found = [grouped.destinations(event(zone_id=zone), at_ms(f"2026-11-11T08:{minute}"))[0] for zone, minute in (("ring", "00:01"), ("ring", "04:59"), ("old", "01:00"), ("ring", "05:01"))]
    assert [(each.due_ms, each.fold) for each in found] == [
        (at_ms("2026-11-11T08:05"), "r|ring|speeding"), (at_ms("2026-11-11T08:05"), "r|ring|speeding"), (at_ms("2026-11-11T08:05"), "r|old|speeding"),
        (at_ms("2026-11-11T08:10"), "r|ring|speeding"),
    ]  # fmt: skip


def test_rehearsals_are_never_in_one_digest_with_what_is_real():
    for keys in ({"group_wait_ms": MINUTE_MS}, {"digest_minutes": (480,)}, {"mute": {"nights": NIGHTS}}):
        held = routing(route(**keys))
        assert held.destinations(event(), at_ms("2026-11-11T23:00:01"))[0].fixed is ("group_wait_ms" not in keys), "a time of day stays where the clock is set"
        folds = {held.destinations(event(synthetic=synthetic), at_ms("2026-11-11T23:00:01"))[0].fold for synthetic in (True, False)}
        assert len(folds) == 2 and None not in folds, keys


def test_digests_go_out_at_their_hours_of_local_time_and_not_while_muted():
    digests = routing(route(digest_minutes=(480, 1020)))
    due = [digests.destinations(event(), at_ms(f"2026-11-11T{moment}"))[0].due_ms for moment in ("07:59", "08:00", "08:00:01", "17:00:01")]
    assert due == [at_ms(f"2026-11-{moment}") for moment in ("11T08:00", "11T08:00", "11T17:00", "12T08:00")]
    weekends = weekly({"days": "sat,sun", "from": "00:00", "until": "24:00"})
    assert routing(route(digest_minutes=(480,), mute={"w": weekends})).destinations(event(), at_ms("2026-11-13T09:00"))[0].due_ms == at_ms("2026-11-16T08:00")


def test_escalation_counts_from_the_first_notice_and_ends_with_an_answer():
    escalating = routing(route(debounce_ms=MINUTE_MS, escalate=(Escalation(15 * MINUTE_MS, ("chief",)), Escalation(HOUR_MS, ("chief", "duty")))))
    found = escalating.destinations(event(), NOW_MS)
    first_ms = NOW_MS + MINUTE_MS
    assert told(found) == [("duty", 0, first_ms), ("chief", 1, first_ms + 15 * MINUTE_MS), ("chief", 2, first_ms + HOUR_MS), ("duty", 2, first_ms + HOUR_MS)]
    assert [each.until_answered for each in found] == [False, True, True, True] and not any(each.only_if_told for each in found)


def test_mutes_hold_escalations_too():
    escalating = routing(route(mute={"nights": NIGHTS}, escalate=(Escalation(HOUR_MS, ("chief",)),)))
    assert told(escalating.destinations(event(opened_at_ms=at_ms("2026-11-11T21:30")), at_ms("2026-11-11T21:30")))[1] == ("chief", 1, at_ms("2026-11-12T07:00"))
    assert told(escalating.destinations(event(opened_at_ms=at_ms("2026-11-11T23:30")), at_ms("2026-11-11T23:30")))[1] == ("chief", 1, at_ms("2026-11-12T08:00"))


def test_those_it_was_escalated_to_hear_how_it_ends_if_they_were_told():
    escalating = routing(route(escalate=(Escalation(HOUR_MS, ("chief", "duty")),)))
    for kind in ("closed", "retracted"):
        found = escalating.destinations(event(kind), NOW_MS)
        assert [(each.sink, each.step, each.only_if_told, each.until_answered) for each in found] == [("duty", 0, False, False), ("chief", 1, True, False)]


def test_nothing_old_is_escalated_or_reminded_of():
    escalating = routing(route(escalate=(Escalation(HOUR_MS, ("chief",)), Escalation(2 * DAY_MS, ("chief",))), acknowledgement_lasts_ms=8 * HOUR_MS), oldest_ms=7 * DAY_MS)
    assert [each.step for each in escalating.destinations(event(), OPENED_MS + 6 * DAY_MS)] == [0, 1]
    assert [each.step for each in escalating.destinations(event(), OPENED_MS + 90 * DAY_MS)] == [0]
    assert [each.step for each in escalating.reminders(event(), OPENED_MS + 6 * DAY_MS)] == [REMINDER, REMINDER + 1]
    assert escalating.reminders(event(), OPENED_MS + 90 * DAY_MS) == []


def test_an_acknowledgement_expires_with_a_reminder_and_escalates_again():
    expiring = routing(route(acknowledgement_lasts_ms=8 * HOUR_MS, escalate=(Escalation(HOUR_MS, ("chief",)),)))
    found = expiring.reminders(event(), NOW_MS)
    assert told(found) == [("duty", REMINDER, NOW_MS + 8 * HOUR_MS), ("chief", REMINDER + 1, NOW_MS + 9 * HOUR_MS)]
    assert all(each.until_answered for each in found)


@pytest.mark.parametrize("kind", ["closed", "retracted"])
def test_nobody_is_reminded_of_what_is_over_or_was_taken_back(kind):
    assert routing(route(acknowledgement_lasts_ms=HOUR_MS)).reminders(event(kind), NOW_MS) == []


def test_nothing_synthetic_reaches_real_police_by_any_way():
    roster = Roster(Calendar(lambda *_: []), {}, "police")
    every = route(to=("police", "duty", "officer"), escalate=(Escalation(HOUR_MS, ("police", "chief")),), acknowledgement_lasts_ms=HOUR_MS)
    found = routing(every, rosters={"officer": roster})
    made = event(synthetic=True)
    assert {each.sink for each in (*found.destinations(made, NOW_MS), *found.destinations(event("closed", synthetic=True), NOW_MS), *found.reminders(made, NOW_MS))} == {"duty", "chief"}
    assert {each.sink for each in simple_routing(SINKS).destinations(made, NOW_MS)} == {"duty", "chief"}
    assert "police" in {each.sink for each in found.destinations(event(), NOW_MS)}


def shifts(*spans):
    return Roster(Calendar(lambda *_: [Span(from_ms, until_ms, name) for from_ms, until_ms, name in spans]), {"王": "duty", "李": "chief"}, "police")


def test_who_is_on_call_when_the_notice_is_due_is_told_and_the_other_one_hears_how_it_ends():
    change_ms = OPENED_MS + HOUR_MS
    on_call = routing(route(to=("officer",), debounce_ms=MINUTE_MS), rosters={"officer": shifts((0, change_ms, "王"), (change_ms, change_ms + DAY_MS, "李"))})
    assert [each.sink for each in on_call.destinations(event(), NOW_MS)] == ["duty"]
    assert [each.sink for each in on_call.destinations(event(), change_ms - 1)] == ["chief"]
    assert {each.sink for each in on_call.destinations(event("closed"), change_ms + 1)} == {"duty", "chief"}
    assert [each.sink for each in on_call.destinations(event(), change_ms + 2 * DAY_MS)] == ["police"]


def test_a_type_of_a_later_version_counts_as_an_update():
    from consumers.incident_events import read_event

    later = read_event(event().body.replace(b"incident.opened.v1", b"incident.merged.v2"))
    assert routing(route()).destinations(later, NOW_MS) == [] and simple_routing(SINKS).destinations(later, NOW_MS)


def test_explain_names_field_wanted_and_found_where_it_goes_when_and_what_holds_it():
    routes = (
        route("parking", wanted={"rule": frozenset({"forbidden_stop"})}),
        route("fast", ("duty", "police"), wanted={"rule": frozenset({"speeding"})}, debounce_ms=30_000, mute={"nights": NIGHTS}, escalate=(Escalation(HOUR_MS, ("chief",)),)),
        route("rest"),
    )
    lines = routing(*routes).explain(event(opened_at_ms=at_ms("2026-11-11T23:00")), at_ms("2026-11-11T23:00"))
    assert lines[0::2] == [
        "事件 INCIDENT1/1（新事件，opened），2026-11-11 23:00:00 +0800", "路由 parking：不匹配，rule 要求 forbidden_stop，实际 speeding", "路由 fast：匹配",
        "    2026-11-12 07:00:00 +0800 发往 duty（去抖 30秒；免打扰日历 nights）", "    2026-11-12 07:00:00 +0800 发往 police（去抖 30秒；免打扰日历 nights）",
        "    2026-11-12 08:00:00 +0800 发往 chief（升级第 1 步，有人应答则取消）", "路由 rest：未考虑，前面的路由已决定", "结果：duty、police、chief",
    ]  # fmt: skip
    assert lines[3] == "route parking: does not match, rule is to be forbidden_stop, and is speeding"
    assert lines[7] == "    2026-11-12 07:00:00 +0800 to duty (debounce 30 seconds; muted by nights)" and lines[-1] == "outcome: duty, police, chief"


def test_explain_says_why_nobody_is_told():
    said = "\n".join(routing(route("a", ("police",), continues=True), route("b", transitions=("opened",))).explain(event("closed", synthetic=True), NOW_MS))
    assert "not to police: nothing synthetic reaches real police" in said and "演练事件不发往真实警方" in said
    assert "tells nobody: it tells only opened" in said and said.endswith("结果：不通知任何人\noutcome: nobody is told")


def test_explain_steers_no_terminal():
    lines = routing(route(wanted={"zone": frozenset({"x"})})).explain(event(zone_id="\x1b[2J\n"), NOW_MS)
    assert all(line.isprintable() for line in lines)


def test_explain_agrees_with_what_is_decided():
    """Every destination has a line of its own with its time and sink."""
    every = routing(route("a", ("duty", "chief"), group_wait_ms=MINUTE_MS, continues=True), route("b", ("police", "duty"), escalate=(Escalation(HOUR_MS, ("chief",)),)))
    lines = [line for line in every.explain(event(), NOW_MS) if " to " in line and "so not again" not in line and line.startswith("    ")]
    assert len(lines) == len(every.destinations(event(), NOW_MS)) == 4


def test_a_route_that_is_gone_since_has_links_that_decide_nothing():
    asked = []
    made = routing(route(), link=lambda *given: asked.append(given) or "https://x/i")
    made.message(event(), "r", 0)
    made.message(event(), "of before", 0)
    assert [audience for _, audience, _ in asked] == ["police", "enterprise"]
