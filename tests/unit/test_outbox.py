"""The outbox: what is in it stays in it, leaves once, in order, and is found again after damage, a jump of the clock and a full disk."""

import os
import stat
from pathlib import Path

import orjson
import pytest

from consumers.outbox import codec as outbox_codec
from consumers.outbox import log as outbox_log
from consumers.outbox import outbox as outbox_module
from consumers.outbox.file import _ADDED, connect, prepare
from consumers.outbox.outbox import KEPT_MS, Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import REMINDER, Destination
from deploy import doctor
from streams.errors import BadInput, Unavailable
from streams.settings import Settings

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def entry(incident_id, revision=1, **more):
    return Entry(incident_id, revision, orjson.dumps({"id": f"{incident_id}/{revision}"}), **more)


def to(sink="file", *, step=0, due_ms=NOW_MS, fold=None):
    return Destination(sink, "all", step, due_ms, fold, step > 0)


def names(deliveries):
    return [f"{delivery.incident_id}/{delivery.revision}" for delivery in deliveries]


@pytest.fixture
def path(tmp_path):
    prepare(tmp_path / "outbox.db")
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path):
    made = Outbox(path)
    yield made
    made.close()


def test_what_was_put_in_is_due_once_in_order_and_as_it_was(outbox):
    assert len(outbox.put([(entry("A"), [to(), to("webhook")]), (entry("B"), [to()])], NOW_MS)) == 3
    assert outbox.put([(entry("A"), [to(), to("webhook")]), (entry("A", 2), [to()])], NOW_MS + 1) == [to()]
    due = outbox.due("file", NOW_MS, 10)
    assert names(due) == ["A/1", "B/1", "A/2"] and due[0].body == entry("A").body and names(outbox.due("webhook", NOW_MS, 10)) == ["A/1"]
    outbox.delivered([(due[0].no, 0.25, None)], NOW_MS)
    assert names(outbox.due("file", NOW_MS, 10)) == ["B/1", "A/2"] and outbox.pending("file") == 2 and outbox.pending("webhook") == 1
    assert outbox.put([(entry("A"), [to()])], NOW_MS + 2) == [], "what was delivered is not delivered again"


def test_what_is_said_again_in_a_topic_made_anew_is_another_thing(outbox):
    outbox.put([(entry("A", topic="1"), [to()])], NOW_MS)
    assert outbox.put([(entry("A", topic="1"), [to()])], NOW_MS) == [] and outbox.put([(entry("A", topic="2"), [to()])], NOW_MS) == [to()]


def test_what_is_set_aside_holds_up_its_own_incident_alone(outbox):
    outbox.put([(entry("A"), [to()]), (entry("B"), [to()]), (entry("A", 2), [to()])], NOW_MS)
    outbox.set_aside(outbox.due("file", NOW_MS, 1)[0], NOW_MS + HOUR_MS, "500")
    outbox.put([(entry("A", 3), [to()]), (entry("B", 2), [to()])], NOW_MS)
    assert names(outbox.due("file", NOW_MS, 10)) == ["B/1", "B/2"]
    assert names(outbox.due("file", NOW_MS + HOUR_MS, 10)) == ["B/1", "B/2", "A/1", "A/2", "A/3"]


def test_what_is_taken_back_while_it_is_held_is_never_said(outbox):
    outbox.put([(entry("A"), [to(due_ms=NOW_MS + 60_000), to("webhook")])], NOW_MS)
    outbox.delivered([(outbox.due("webhook", NOW_MS, 1)[0].no, 0.1, None)], NOW_MS)
    new = outbox.put([(entry("A", 2, takes_back=True), [to(), to("webhook")])], NOW_MS + 1_000)
    assert new == [to("webhook")] and outbox.pending("file") == 0 and names(outbox.due("webhook", NOW_MS, 5)) == ["A/2"]


@pytest.mark.parametrize("tried", [True, False], ids=["tried", "due"])
def test_what_a_sink_may_have_heard_is_taken_back_there(outbox, tried):
    outbox.put([(entry("A"), [to(due_ms=NOW_MS)])], NOW_MS)
    if tried:
        outbox.set_aside(outbox.due("file", NOW_MS, 1)[0], NOW_MS + HOUR_MS, "no answer")
    outbox.put([(entry("A", 2, takes_back=True), [to()])], NOW_MS + 1)
    assert names(outbox.due("file", NOW_MS + HOUR_MS, 5)) == ["A/1", "A/2"]


def test_an_answer_ends_the_escalation_for_good(outbox):
    steps = [to(step=1, due_ms=NOW_MS + HOUR_MS), to("chief", step=2, due_ms=NOW_MS + 2 * HOUR_MS)]
    outbox.put([(entry("A"), [to(), *steps])], NOW_MS)
    assert outbox.drop_waiting("A", "", "acknowledged", NOW_MS + 1, answered_ms=NOW_MS + 1) == 2
    assert outbox.put([(entry("A", 2), [to(), *steps])], NOW_MS + 2) == [to()], "a later revision does not begin it again"
    assert outbox.pending("chief") == 0 and names(outbox.due("file", NOW_MS + HOUR_MS, 5)) == ["A/1", "A/2"]


def test_an_answer_that_comes_first_counts_as_well(outbox):
    outbox.drop_waiting("A", "", "dismissed", NOW_MS, answered_ms=NOW_MS)
    assert outbox.put([(entry("A"), [to(), to(step=1)])], NOW_MS) == [to()]


def test_a_step_is_entered_once_and_a_reminder_after_each_acknowledgement(outbox):
    step, reminder = to(step=1, due_ms=NOW_MS + 1), to(step=REMINDER, due_ms=NOW_MS + 5)
    assert outbox.put([(entry("A"), [step]), (entry("A", 2), [step])], NOW_MS) == [step]
    outbox.drop_waiting("A", "", "acknowledged", NOW_MS + 2, answered_ms=NOW_MS + 2)
    for due_ms in (NOW_MS + 5, NOW_MS + 50):
        assert outbox.put([(entry("A"), [reminder._replace(due_ms=due_ms)])], NOW_MS + 3)
        due = outbox.due("file", due_ms, 5)
        assert [delivery.step for delivery in due] == [REMINDER]
        outbox.delivered([(due[0].no, 0.1, None)], due_ms)


def test_what_belongs_together_is_due_when_the_first_of_it_is(outbox):
    outbox.put([(entry("A"), [to(due_ms=NOW_MS + 4_000, fold="f")])], NOW_MS)
    outbox.put([(entry("B"), [to(due_ms=NOW_MS + 5_000, fold="f")]), (entry("C"), [to(due_ms=NOW_MS + 5_000, fold="g")])], NOW_MS + 1_000)
    assert names(outbox.due("file", NOW_MS + 4_000, 5)) == ["A/1", "B/1"]


def test_how_it_goes_on_is_told_to_those_who_were_told_of_it(outbox):
    later = Destination("chief", "all", 1, NOW_MS, None, until_answered=False, only_if_told=True)
    outbox.put([(entry("A"), [to(), to("chief", step=1)]), (entry("B"), [to()])], NOW_MS)
    outbox.delivered([(outbox.due("chief", NOW_MS, 1)[0].no, 0.1, None)], NOW_MS)
    assert outbox.put([(entry("A", 2), [later]), (entry("B", 2), [later])], NOW_MS) == [later]
    assert names(outbox.due("chief", NOW_MS, 5)) == ["A/2"]


def test_what_each_sink_has_still_to_take_is_known_by_partition_and_step(outbox, monkeypatch):
    for number in range(6):
        outbox.put([(entry(f"I{number}", partition=number % 2, offset=100 + number, topic="t"), [to(), to("chief", step=1)])], NOW_MS)
    outbox.put([(entry("OLD", partition=0, offset=1, topic="before"), [to()]), (entry("alert"), [to()])], NOW_MS)
    chief = [(100, 100), (102, 102), (104, 104)]
    assert outbox.owed("t")[0] == {("file", 0): chief, ("chief", 1): chief}
    outbox.delivered([(delivery.no, 0.1, None) for delivery in outbox.due("file", NOW_MS, 3)], NOW_MS)
    assert outbox.owed("t")[0] == {("file", 0): [(104, 104)], ("chief", 1): chief} and outbox.owed("t")[1]["file", 0] == [(103, 103), (105, 105)]
    outbox.fail([delivery.no for delivery in outbox.due("file", NOW_MS, 1)], NOW_MS, "410")
    assert outbox.owed("t")[1]["file", 0] == [(103, 103), (105, 105)], "what was given up is owed"
    monkeypatch.setattr(outbox_module, "_MOST_OWED", 3)
    assert outbox.owed("t") == {0: {("file", 0): [(104, 104)], ("chief", 1): [(100, 104)]}, 1: {("file", 0): [(103, 105)], ("chief", 1): [(101, 105)]}}


def test_up_to_where_it_was_read_is_on_disk_with_what_was_read(outbox):
    assert outbox.place("t", 3) is None
    outbox.put([(entry("A"), [to()])], NOW_MS, {("t", 3): 8})
    outbox.put([], NOW_MS, {("t", 3): 9, ("t", 4): 1})
    assert (outbox.place("t", 3), outbox.place("t", 4), outbox.place("u", 3)) == (9, 1, None)


def test_what_waits_follows_a_clock_that_is_set(outbox):
    outbox.put([(entry("A"), [to(due_ms=NOW_MS + 60_000)])], NOW_MS)
    outbox.follow_clock(NOW_MS - HOUR_MS, -HOUR_MS)
    assert outbox.due("file", NOW_MS - HOUR_MS + 60_000, 5)
    outbox.put([(entry("B"), [to()])], NOW_MS)
    outbox.follow_clock(NOW_MS - 24 * HOUR_MS)
    assert names(outbox.due("file", NOW_MS - 24 * HOUR_MS, 5)) == ["A/1", "B/1"], "set back while nobody ran"


@pytest.mark.parametrize("jump_ms", [8 * HOUR_MS, -8 * HOUR_MS])
def test_what_is_held_until_a_time_of_day_stays_where_the_clock_is_set_and_order_stays(outbox, jump_ms):
    morning = to(due_ms=NOW_MS + HOUR_MS)._replace(fixed=True)
    outbox.put([(entry("A"), [morning]), (entry("B"), [to(due_ms=NOW_MS + HOUR_MS - 1)]), (entry("B", 2), [morning])], NOW_MS)
    outbox.let_alone("file", NOW_MS + 1_000)
    outbox.follow_clock(NOW_MS + jump_ms, jump_ms)
    due = {f"{each.incident_id}/{each.revision}": each.due_ms for each in outbox.due("file", NOW_MS + 100 * HOUR_MS, 9)}
    assert due["A/1"] == NOW_MS + HOUR_MS and due["B/1"] == NOW_MS + HOUR_MS - 1 + jump_ms and due["B/2"] >= due["B/1"]
    assert outbox.waits_until_ms("file") == NOW_MS + 1_000 + jump_ms


def test_what_was_told_to_a_sink_that_is_only_escalated_to_is_found_by_its_name(outbox, path):
    outbox.put([(entry("A"), [to(), to("chief", step=1)]), (entry("B"), [to(), to("chief", step=1)])], NOW_MS)
    outbox.delivered([(outbox.due("chief", NOW_MS, 1)[0].no, 0.1, None)], NOW_MS)
    assert len(outbox_log.numbers(path, sink="chief")) == 1 and len(outbox_log.numbers(path)) == 2, "what the chief has still to hear is none of it"


def test_a_sink_is_off_until_it_is_switched_on(outbox, path):
    outbox.put([(entry("A"), [to()])], NOW_MS)
    assert outbox.failing("file", 0) == 0 and outbox.failing("file", 30.5) == 30.5 and outbox.failing("file", 1) == 31.5 and outbox.failing("file", None) == 0
    outbox.switch("file", off=True)
    assert outbox.is_off("file") and not outbox.is_off("webhook")
    number = outbox.due("file", NOW_MS, 1)[0].no
    outbox.fail([number], NOW_MS, "410")
    assert outbox_log.again(path, [number]) == (1, 0) and not outbox.is_off("file")


def test_an_operator_sees_what_failed_and_has_it_again_or_drops_it(outbox, path):
    outbox.put([(entry(name), [to()]) for name in "ABC"], NOW_MS)
    a, b, c = outbox.due("file", NOW_MS, 3)
    outbox.fail([a.no, b.no], NOW_MS + 5, "answered 410")
    outbox.delivered([(c.no, 0.1, None)], NOW_MS + 1)
    assert [(d.incident_id, d.reason) for d in outbox_log.failed(path)] == [("A", "answered 410"), ("B", "answered 410")]
    assert names(outbox_log.failed(path, incident_id="B")) == ["B/1"] and outbox_log.failed(path, sink="other") == []
    assert outbox_log.drop(path, [b.no], "by hand") == 1 and outbox_log.again(path, [a.no]) == (1, 0) and outbox_log.failed(path) == []
    assert [(d.incident_id, d.took_ms) for d in outbox_log.logged(path)] == [("C", 100), ("B", None), ("A", None)]
    assert outbox_log.logged(path, since_ms=NOW_MS + 1) == [] and len(outbox_log.logged(path, until_ms=NOW_MS + 1)) == 3
    with pytest.raises(BadInput, match="no outbox at"):
        outbox_log.failed(path.with_name("nowhere"))


def test_what_was_delivered_long_ago_is_forgotten_and_what_failed_is_not(outbox, path):
    outbox.put([(entry(name), [to()]) for name in "ABC"], NOW_MS)
    a, b, _ = outbox.due("file", NOW_MS, 3)
    outbox.delivered([(a.no, 0.1, None)], NOW_MS)
    outbox.fail([b.no], NOW_MS, "410")
    assert outbox.forget(NOW_MS, NOW_MS) == 0 and outbox.forget(NOW_MS + KEPT_MS, NOW_MS + 1) == 1 and outbox.forget(NOW_MS + KEPT_MS, NOW_MS + 1) == 1
    assert names(outbox_log.logged(path)) == ["B/1", "C/1"] and outbox.event("A") is None and outbox.event("C") == entry("C").body


def test_the_newest_revision_of_an_incident_is_kept_as_long_as_it_may_be_answered(outbox, path):
    outbox.put([(entry("A"), [to()]), (entry("A", 2), []), (entry("B"), [to()])], NOW_MS)
    outbox.put([(entry("A", 3), [to()])], NOW_MS + 1)
    outbox.delivered([(delivery.no, 0.1, None) for delivery in outbox.due("file", NOW_MS, 9)], NOW_MS + 1)
    while outbox.forget(NOW_MS + KEPT_MS, NOW_MS):
        pass
    assert outbox_log.logged(path) == [] and outbox.event("A") == entry("A", 3).body and outbox.event("B") == entry("B").body
    assert outbox.event("A", 1) is outbox.event("A", 2) is None
    while outbox.forget(NOW_MS + 2 * KEPT_MS, NOW_MS + 1):
        pass
    assert outbox.event("A") == entry("A", 3).body and outbox.event("B") is None


def test_nobody_is_reminded_of_what_is_over_and_nothing_of_what_was_taken_back_is_asked(outbox):
    outbox.put([(entry("A"), [to(step=1), to(step=REMINDER), to("chief", step=REMINDER + 1)])], NOW_MS)
    step, reminder = outbox.due("file", NOW_MS, 2)
    outbox.fail([reminder.no], NOW_MS, "410")
    outbox.put([(entry("A", 2, over=True), [])], NOW_MS + 1)
    assert outbox.due("file", NOW_MS, 9) == [step] and outbox.due("chief", NOW_MS, 9) == [] and outbox_log.failed(outbox.path) == []
    outbox.put([(entry("A", 3, takes_back=True), [])], NOW_MS + 2)
    assert outbox.due("file", NOW_MS, 9) == []
    outbox.put([(entry("A", 4), [to(step=2)]), (entry("A", 3, takes_back=True), [])], NOW_MS + 3)
    assert [each.step for each in outbox.due("file", NOW_MS, 9)] == [2], "what is read again takes back nothing that came after it"


def test_what_failed_and_was_answered_since_is_not_delivered_again(outbox, path):
    outbox.put([(entry("A"), [to(), to(step=1), to(step=REMINDER)]), (entry("B"), [to(step=1)])], NOW_MS)
    numbers = [delivery.no for delivery in outbox.due("file", NOW_MS, 9)]
    outbox.drop_waiting("C", "", "acknowledged", NOW_MS, answered_ms=NOW_MS)
    outbox.fail(numbers, NOW_MS + 5, "410")
    outbox.drop_waiting("A", "", "acknowledged", NOW_MS, answered_ms=NOW_MS + 1)
    assert outbox_log.again(path, numbers) == (3, 1), "the reminder came after the answer"
    outbox.fail(numbers, NOW_MS + 5, "410")
    outbox.drop_waiting("A", "", "acknowledged", NOW_MS, answered_ms=NOW_MS + 5)
    assert outbox_log.again(path, numbers) == (2, 2)


def test_a_damaged_file_is_put_aside_and_a_new_one_made(path):
    outbox = Outbox(path)
    outbox.put([(entry(f"I{number}"), [to()]) for number in range(200)], NOW_MS)
    outbox.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(20_000))
    prepare(path)
    prepare(path)
    assert len(list(path.parent.glob("outbox.db.damaged-*"))) == 1
    assert Outbox(path).due("file", NOW_MS, 5) == []


def test_a_file_that_is_no_outbox_is_put_aside(tmp_path):
    (tmp_path / "outbox.db").write_bytes(b"hello" * 1_000)
    prepare(tmp_path / "outbox.db")
    assert Outbox(tmp_path / "outbox.db").pending("file") == 0


def test_it_is_for_its_user_alone_and_keeps_what_it_has_after_a_restart(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = Outbox(path)
    first.put([(entry("A"), [to()])], NOW_MS)
    first.close()
    prepare(path)
    assert names(Outbox(path).due("file", NOW_MS, 5)) == ["A/1"]


@pytest.mark.parametrize("read", [prepare, outbox_log.logged])
def test_a_file_of_an_earlier_version_goes_on(path, read):
    first = Outbox(path)
    first.put([(entry("A"), [to()])], NOW_MS)
    first._db.execute("DROP INDEX batches")
    for table, columns in _ADDED.items():
        for column in columns:
            first._db.execute(f"ALTER TABLE {table} DROP COLUMN {column.partition(' ')[0]}")
    first.close()
    read(path)
    assert names(Outbox(path).due("file", NOW_MS, 5)) == ["A/1"]


def test_a_disk_that_is_full_is_one_line_and_loses_nothing(outbox):
    outbox.put([(entry("A"), [to()])], NOW_MS)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="full") as caught:
        outbox.put([(Entry(f"B{number}", 1, os.urandom(5_000)), [to()]) for number in range(100)], NOW_MS)
    assert "\n" not in str(caught.value)
    outbox._db.execute("PRAGMA max_page_count = 1000000")
    assert names(outbox.due("file", NOW_MS, 5)) == ["A/1"] and outbox.put([(entry("B"), [to()])], NOW_MS)


def test_every_commit_is_on_disk(path):
    with connect(path) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,) and db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nowhere_to_write_is_one_line():
    with pytest.raises(BadInput, match="set YICHENG_STATE_DIR"):
        prepare(Path("/proc/nowhere/outbox.db"))


@pytest.mark.parametrize("body", [b"", b"{}", orjson.dumps({"id": "A/1", "data": {"reason_zh": "禁行" * 100}}), os.urandom(100_000)])
def test_an_event_is_kept_as_it_was(outbox, body):
    outbox.put([(Entry("A", 1, body), [to()])], NOW_MS)
    assert outbox.due("file", NOW_MS, 1)[0].body == outbox.event("A") == body


def words(number):
    return orjson.dumps({"id": f"I{number}/1", "data": {"document": "某市快递服务车辆通行规定", "clause_text": "合理确定通行区域和时段，并向社会公布", "number": number}})


def test_it_learns_what_its_events_have_in_common_and_reads_them_all(outbox, path, monkeypatch):
    monkeypatch.setattr(outbox_codec, "LEARNT_EVERY", 700)
    for first in range(0, 2_000, 100):
        outbox.put([(Entry(f"I{number}", 1, words(number)), [to()]) for number in range(first, first + 100)], NOW_MS)
    sizes = [size for (size,) in outbox._db.execute("SELECT length(body) FROM events ORDER BY event_no")]
    assert max(sizes[600:]) < min(sizes[:500]) / 2, "smaller once it has learnt"
    assert outbox._db.execute("SELECT count(*) FROM dictionaries").fetchone() == (3,)
    for reader in (outbox, Outbox(path)):
        assert [delivery.body for delivery in reader.due("file", NOW_MS, 3_000)] == [words(number) for number in range(2_000)]
    assert [delivery.body for delivery in outbox_log.logged(path)][-1] == words(1_999)


def test_what_was_learnt_and_is_not_on_disk_is_not_used(outbox, path, monkeypatch):
    many = [(Entry(f"I{number}", 1, words(number)), [to()]) for number in range(600)]
    with pytest.raises(TypeError):
        outbox.put([*many, (Entry(None, 1, b""), [to()])], NOW_MS)
    monkeypatch.setattr(outbox_codec, "FIRST_LEARNT_AT", 100)
    learn = outbox._codec.learn
    monkeypatch.setattr(outbox._codec, "learn", lambda *given: learn(*given) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        outbox.put(many, NOW_MS)
    outbox.put(many, NOW_MS)
    assert [delivery.body for delivery in Outbox(path).due("file", NOW_MS, 600)] == [words(number) for number in range(600)]


def test_two_that_write_learn_once(outbox, path):
    other = Outbox(path)
    for number in range(700):
        (outbox, other)[number % 2].put([(Entry(f"I{number}", 1, words(number)), [to()])], NOW_MS)
    assert outbox._db.execute("SELECT count(*) FROM dictionaries").fetchone() == (1,)
    for reader in (outbox, other):
        assert [delivery.body for delivery in reader.due("file", NOW_MS, 700)] == [words(number) for number in range(700)]


def test_numbers_are_not_used_again(outbox):
    """What is known to be done is known by numbers."""
    outbox.put([(entry("A"), [to()])], NOW_MS)
    first = outbox.due("file", NOW_MS, 1)[0].no
    outbox.delivered([(first, 0.1, None)], NOW_MS)
    assert outbox.forget(NOW_MS + 1, NOW_MS + 1) == 1
    outbox.put([(entry("B"), [to()])], NOW_MS)
    assert outbox.due("file", NOW_MS, 1)[0].no > first


def test_two_threads_of_the_outbox_do_not_see_half_a_transaction(path):
    one, two = Outbox(path), Outbox(path)
    with pytest.raises(TypeError):
        one.put([(entry("A"), [to()]), (Entry(None, 1, b""), [to()])], NOW_MS)
    assert two.due("file", NOW_MS, 5) == []


def test_doctor_names_an_outbox_that_was_put_aside(tmp_path):
    settings = Settings(state_dir=tmp_path)
    assert doctor._outboxes_aside(settings) == []
    (tmp_path / "outbox.db.damaged-1790000000000").touch()
    (tmp_path / "outbox.db.damaged-1790000000000-wal").touch()
    name, needed, fine, found, fix = doctor._outboxes_aside(settings)[0]
    assert (name, needed, fine) == ("outbox", False, False) and found.endswith(": outbox.db.damaged-1790000000000") and "delivery log" in fix
