"""One sink's way out: order, repeats, schedules, pauses, digests and budgets, with the real outbox and a sink that does as it is told."""

import random
import threading
import time

import orjson
import pytest
from conftest import wait_for
from prometheus_client import REGISTRY

import consumers.sending.dispatch as module
from consumers.messages.message import Message
from consumers.outbox import log as outbox_log
from consumers.outbox.file import prepare
from consumers.outbox.log import failed, logged
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import Destination
from consumers.sending.budget import Budget
from consumers.sending.dispatch import LATER_S, Dispatch
from streams.clock import now_ms
from streams.errors import AskedToWait, BadInput, NotTaken, Unavailable

HOUR_MS = 3_600_000


class Words:
    oldest_ms = 7 * 24 * HOUR_MS

    def __init__(self):
        self.following = []

    def message(self, body, route, step, newest=None):
        return Message(message_id=orjson.loads(body)["id"], body=body, title=route, severity=str(step))

    def digest(self, messages, route, now_ms, following=0):
        self.following.append((len(messages), following))
        return Message(message_id="+".join(message.message_id for message in messages), body=b"{}")

    def withheld(self, body, route):
        return None


class Sink:
    """Takes what it is handed, unless ``answer(message_id)`` raises."""

    name, real, limits, folds = "sink", False, (), False
    takes_digests = takes_alerts = True

    def __init__(self):
        self.got, self.tries, self.flushed, self.closed = [], [], 0, False
        self.answer, self.most = lambda message_id: None, 10**9

    def deliver(self, message):
        self.tries.append(message.message_id)
        answered = self.answer(message.message_id)
        self.got.append(message.message_id)
        return answered

    def fits(self, message):
        return len(message.message_id) <= self.most

    def flush(self):
        self.flushed = len(self.got)

    def give_up(self):
        pass

    def close(self):
        self.closed = True


class End:
    """An outbox, a sink and its dispatch, in a thread."""

    def __init__(self, path):
        prepare(path)
        self.path, self.outbox, self.sink, self.thread = path, Outbox(path), Sink(), None

    def put(self, *names, due_ms=None, fold=None, step=0, made_ms=None, route="all"):
        for name in names:
            incident, _, revision = name.partition("/")
            entry = Entry(incident, int(revision), orjson.dumps({"id": name}))
            self.outbox.put([(entry, [Destination("sink", route, step, due_ms or now_ms(), fold, step > 0)])], made_ms or now_ms())

    def start(self):
        self.words = Words()
        self.dispatch = Dispatch(self.path, self.sink, self.words)
        self.thread = threading.Thread(target=self.dispatch.run, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        if self.thread:
            self.dispatch.stop()
            self.thread.join(10)
            assert not self.thread.is_alive()
            self.thread = None

    def kill(self):
        """As a crash: what was taken and not yet marked is not marked."""
        self.dispatch._mark = lambda outbox: None
        self.stop()


@pytest.fixture
def end(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "LOOKS_EVERY_S", 0.02)
    made = End(tmp_path / "outbox.db")
    yield made
    made.stop()


def fails(*names, error=None, times=10**9):
    left = dict.fromkeys(names, times)

    def answer(name):
        if left.get(name, 0) > 0:
            left[name] -= 1
            raise error or Unavailable("answered 500")

    return answer


def down(end):
    """The sink takes nothing until this is cleared."""
    is_down = threading.Event()
    is_down.set()

    def answer(name):
        if is_down.is_set():
            raise Unavailable("does not answer")

    end.sink.answer = answer
    return is_down


def test_all_that_is_due_arrives_in_order_and_is_marked(end):
    end.put("A/1", "B/1", "A/2")
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    end.put("A/3", "C/1", due_ms=now_ms() + 300)
    wait_for("the rest", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == ["A/1", "B/1", "A/2", "A/3", "C/1"] and end.sink.flushed == 5
    end.stop()
    assert end.sink.closed


def test_nothing_arrives_before_it_is_due(end):
    end.put("A/1", due_ms=now_ms() + HOUR_MS)
    end.put("B/1")
    end.start()
    wait_for("the other", lambda: end.sink.got == ["B/1"], 10)
    end.stop()
    assert end.sink.tries == ["B/1"]


def test_an_event_that_alone_is_not_taken_is_set_aside_with_its_incident_and_others_go_on(end):
    end.sink.answer = fails("A/1", error=NotTaken("answered 422"))
    end.put("A/1", "A/2", "B/1", "B/2")
    began_ms = now_ms()
    end.start()
    wait_for("the others", lambda: end.sink.got == ["B/1", "B/2"], 10)
    end.stop()
    assert end.sink.tries.count("A/1") == 1 and "A/2" not in end.sink.tries
    waiting = [delivery for delivery in logged(end.path) if delivery.state == 0]
    assert [(d.incident_id, d.revision, d.attempts) for d in waiting] == [("A", 1, 1), ("A", 2, 0)] and all(began_ms + 4_000 < d.due_ms < now_ms() + 6_100 for d in waiting)


def test_what_breaks_the_sink_by_itself_does_not_hold_up_the_others(end):
    """A receiver that answers 500 to one event says nothing about the others."""
    end.sink.answer = fails("A/1")
    end.put("A/1", "A/2", "B/1", "C/1")
    end.start()
    wait_for("the others", lambda: {"B/1", "C/1"} <= set(end.sink.got), 10)
    end.stop()
    assert "A/2" not in end.sink.tries and next(d for d in logged(end.path) if d.incident_id == "A").attempts == 1


def test_many_that_fail_by_themselves_hold_up_nobody_and_are_given_up(end, monkeypatch):
    """Twenty to which a receiver answers 500, the oldest of all: neither does each cost a pause before anything else goes out, nor are they tried for ever."""
    monkeypatch.setattr(module, "LATER_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.05)
    poison, well = {f"P{number}/1" for number in range(20)}, [f"W{number}/1" for number in range(100)]
    end.sink.answer = fails(*poison)
    end.put(*sorted(poison), *well)
    end.start()
    wait_for("those that are well", lambda: sorted(end.sink.got) == sorted(well), 30)
    assert len(end.sink.tries) < 300
    fed = 0

    def given_up():
        nonlocal fed
        fed += 1
        end.put(f"N{fed}/1")  # others go on to come
        return len(failed(end.path)) == len(poison)

    wait_for("the others to be given up", given_up, 60)
    assert {f"{delivery.incident_id}/{delivery.revision}" for delivery in failed(end.path)} == poison and not poison & set(end.sink.got)


def test_what_a_service_does_not_take_counts_for_its_budget(end):
    end.sink.limits = ((3, 60.0),)
    end.sink.answer = fails(*(f"I{number}/1" for number in range(20)), error=NotTaken("code 1"))
    end.put(*(f"I{number}/1" for number in range(20)))
    end.start()
    wait_for("three tries", lambda: len(end.sink.tries) == 3, 10)
    end.stop()
    assert len(end.sink.tries) == 3


def test_a_digest_has_a_bound_and_says_that_more_follow(end):
    end.put(*[f"I{number}/1" for number in range(450)], fold="night")
    end.start()
    wait_for("all", lambda: sum(len(name.split("+")) for name in end.sink.got) == 450, 20)
    assert [len(name.split("+")) for name in end.sink.got] == [200, 200, 50]
    assert end.words.following == [(200, 1), (200, 1), (50, 0)], "at least one more: the rest is not counted"



def test_a_sink_that_takes_no_digests_gets_what_was_held_one_by_one(end):
    end.sink.takes_digests = False
    end.put("A/1", "B/1", "C/1", fold="night")
    end.start()
    wait_for("all", lambda: sorted(end.sink.got) == ["A/1", "B/1", "C/1"], 10)


def test_after_the_last_time_it_is_given_up_and_what_follows_goes_on(end, monkeypatch):
    monkeypatch.setattr(module, "LATER_S", (0.0, 0.0))
    end.sink.answer = fails("A/1", error=NotTaken("answered 422"))
    end.put("A/1", "A/2")
    end.start()
    wait_for("what follows", lambda: end.sink.got == ["A/2"], 10)
    assert end.sink.tries == ["A/1"] * 3 + ["A/2"]
    wait_for("the reason", lambda: [(d.incident_id, d.reason) for d in failed(end.path)] == [("A", "answered 422")], 10)


def test_the_schedule_is_that_of_the_design():
    assert LATER_S == (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600)


def test_a_sink_that_takes_nothing_charges_nobody_and_gets_all_when_it_is_back(end):
    outage = down(end)
    end.put("A/1", "B/1", "A/2", "C/1")
    end.start()
    wait_for("many tries", lambda: len(end.sink.tries) > 5, 20)
    assert {d.attempts for d in logged(end.path)} == {0}
    outage.clear()
    wait_for("all", lambda: sorted(end.sink.got) == ["A/1", "A/2", "B/1", "C/1"] and end.outbox.pending("sink") == 0, 20)
    assert end.sink.got.index("A/1") < end.sink.got.index("A/2")
    assert {d.attempts for d in logged(end.path)} == {1}, "the one that was taken"


def test_what_had_failed_by_itself_does_not_wait_longer_for_an_outage_of_the_sink(end):
    end.sink.answer = fails("A/1", error=NotTaken("answered 422"), times=1)
    end.put("A/1")
    end.start()
    wait_for("it to be set aside", lambda: [d.attempts for d in logged(end.path)] == [1], 10)
    outage = down(end)
    end.put("B/1", "C/1")
    wait_for("tries of all", lambda: end.sink.tries.count("A/1") > 1 and len(end.sink.tries) > 5, 20)
    end.put("D/1")
    outage.clear()
    wait_for("all", lambda: sorted(end.sink.got) == ["A/1", "B/1", "C/1", "D/1"], 20)


def test_a_sink_that_asks_to_wait_is_let_alone_for_so_long(end):
    times = []

    def answer(name):
        times.append(time.monotonic())
        if len(times) == 1:
            raise AskedToWait("answered 429", 0.5)

    end.sink.answer = answer
    end.put("A/1")
    end.start()
    wait_for("it", lambda: end.sink.got == ["A/1"], 10)
    assert times[1] - times[0] >= 0.5


def test_a_wait_that_was_asked_for_outlasts_a_restart(end):
    end.sink.answer = fails("A/1", error=AskedToWait("answered 429", 3_600.0), times=1)
    end.put("A/1")
    end.start()
    wait_for("the try", lambda: end.outbox.waits_until_ms("sink") > now_ms() + 3_500_000, 10)
    end.stop()
    end.start()
    wait_for("the metric", lambda: failing() == 1, 10)
    end.put("B/1")
    wait_for("both to be counted", lambda: end.dispatch.pending == 2, 10)
    assert end.sink.tries == ["A/1"]
    outbox_log.switch_on(end.path, "sink")
    wait_for("both", lambda: sorted(end.sink.got) == ["A/1", "B/1"], 10)


def failing():
    return REGISTRY.get_sample_value("courier_sink_failing", {"sink": "sink"})


def test_a_sink_that_takes_nothing_of_anybody_by_itself_is_failing_and_loses_nothing(end, monkeypatch):
    """As one that answers 400 or 422 to everything: it is switched off after days, and the incidents wait."""
    monkeypatch.setattr(module, "LATER_S", (0.02,) * 3)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.05)
    names = [f"I{number}/1" for number in range(8)]
    end.sink.answer = fails(*names, error=NotTaken("answered 422"))
    end.put(*names)
    end.start()
    wait_for("many tries", lambda: len(end.sink.tries) > 60, 30)
    assert failing() == 1 and failed(end.path) == []
    monkeypatch.setattr(module, "OFF_AFTER_S", 0.0)
    wait_for("off", lambda: end.outbox.is_off("sink"), 10)
    end.sink.answer = lambda name: None
    outbox_log.switch_on(end.path, "sink")
    wait_for("all", lambda: sorted(end.sink.got) == names and failing() == 0, 20)


def test_what_is_refused_for_good_fails_at_once(end):
    end.sink.answer = fails("A/1", error=BadInput("answered 410"))
    end.put("A/1", "A/2", "B/1")
    end.start()
    wait_for("the others", lambda: end.sink.got == ["A/2", "B/1"], 10)
    assert end.sink.tries.count("A/1") == 1 and [d.reason for d in failed(end.path)] == ["answered 410"]


def test_a_message_that_breaks_its_sink_is_set_aside_and_others_go_on(end):
    end.sink.answer = fails("A/1", error=KeyError("a bug"))
    end.put("A/1", "B/1")
    end.start()
    wait_for("the other", lambda: end.sink.got == ["B/1"], 10)
    end.stop()
    assert [d.reason for d in logged(end.path) if d.incident_id == "A"] == ["broke the sink: KeyError"]


def test_a_crash_repeats_only_what_was_in_flight(end):
    names = [f"I{number}/1" for number in range(20)]
    end.put(*names)
    released, marked = threading.Event(), []

    def answer(name):
        time.sleep(0.02)  # a receiver that takes its time: marks are made meanwhile
        if name == "I15/1" and not released.is_set():
            marked.append(20 - end.outbox.pending("sink"))
            end.dispatch._mark = lambda outbox: None
            end.dispatch.stopping.set()
            released.set()

    end.sink.answer = answer
    end.start()
    wait_for("the crash", lambda: released.is_set() and not end.thread.is_alive(), 10)
    assert end.sink.got == names[:16] and marked[0] > 8
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got[16:] == names[marked[0] :]


def test_what_belongs_together_goes_out_as_one_digest(end):
    due_ms = now_ms() + 300
    end.put("A/1", "B/1", due_ms=due_ms, fold="night")
    end.put("C/1", due_ms=due_ms, fold="other")
    end.put("D/1", due_ms=due_ms)
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == ["A/1+B/1", "C/1", "D/1"]


def test_a_robot_whose_budget_is_used_gets_one_digest_of_the_queue(end):
    end.sink.limits, end.sink.folds = ((3, 60.0),), True
    end.put("A/1", "B/1")
    end.start()
    wait_for("two", lambda: len(end.sink.got) == 2, 10)
    end.stop()
    end.put(*(f"I{number}/1" for number in range(50)))
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == ["A/1", "B/1", "+".join(f"I{number}/1" for number in range(50))]


def test_a_sink_that_does_not_fold_waits_for_its_budget(end):
    end.sink.limits = ((2, 0.5),)
    times = []
    end.sink.answer = lambda name: times.append(time.monotonic())
    end.put(*(f"I{number}/1" for number in range(5)))
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == [f"I{number}/1" for number in range(5)] and times[2] - times[0] >= 0.5 and times[4] - times[2] >= 0.5


def test_a_step_that_was_answered_meanwhile_or_is_old_is_not_sent(end):
    end.put("A/1", step=1)
    end.put("B/1", step=1, made_ms=now_ms() - Words.oldest_ms - 1)
    end.put("C/1", step=1)
    answer = threading.Event()

    def first_answers(name):
        end.outbox.drop_waiting("C", "", "acknowledged", now_ms(), answered_ms=now_ms())
        answer.set()

    end.sink.answer = first_answers
    end.start()
    wait_for("the answer", answer.is_set, 10)
    wait_for("an end", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == ["A/1"] and {d.reason for d in logged(end.path) if d.state == 3} == {"too old to escalate", "acknowledged"}


def test_a_sink_that_failed_for_days_is_switched_off_and_keeps_what_it_has_to_get(end, monkeypatch):
    monkeypatch.setattr(module, "OFF_AFTER_S", 0.05)
    end.sink.answer = fails("A/1")
    end.put("A/1")
    end.start()
    wait_for("off", lambda: end.outbox.is_off("sink"), 10)
    end.sink.answer = lambda name: None
    end.outbox.switch("sink", off=False)
    wait_for("it", lambda: end.sink.got == ["A/1"], 10)


def test_a_digest_overtakes_nothing_of_an_incident_that_goes_another_way(end):
    """Neither by route, where the budget is used up, nor by fold."""
    end.sink.limits, end.sink.folds = ((1, 0.3),), True
    end.put("X/1", route="b")
    end.put("A/1")
    end.put("A/2", "B/1", route="b")
    due_ms = now_ms() + 400
    end.put("Y/1", due_ms=due_ms, fold="f")
    end.put("C/1", due_ms=due_ms)
    end.put("C/2", "D/1", due_ms=due_ms, fold="f")
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    arrived = [part for name in end.sink.got for part in name.split("+")]
    assert len(arrived) == 8 and arrived.index("A/1") < arrived.index("A/2") and arrived.index("C/1") < arrived.index("C/2")
    assert "X/1+B/1" in end.sink.got


@pytest.mark.parametrize("error", [Unavailable("took longer than 10 s"), NotTaken("answered 422"), KeyError("a bug")], ids=lambda error: type(error).__name__)
def test_a_digest_that_was_not_taken_is_tried_again_as_it_was(end, error, monkeypatch):
    """What is due meanwhile and has the same fold is another message, so that repeats have the same id."""
    monkeypatch.setattr(module, "LATER_S", (0.05,) * 9)
    end.put("A/1", "B/1", fold="f")

    def answer(name):
        if len(end.sink.tries) == 1:
            end.put("C/1", "A/2", fold="f", due_ms=now_ms() - 1)
            raise error

    end.sink.answer = answer
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.tries.count("A/1+B/1") == 2 and sorted(end.sink.got) in (["A/1+B/1", "A/2", "C/1"], ["A/1+B/1", "C/1+A/2"])
    assert end.sink.got.index("A/1+B/1") < next(number for number, name in enumerate(end.sink.got) if "A/2" in name)


def test_a_digest_that_was_on_its_way_at_a_crash_is_what_it_was(end):
    end.put("A/1", "B/1", fold="f")

    def answer(name):
        if len(end.sink.tries) == 1:
            end.dispatch._mark = lambda outbox: None
            end.dispatch.stopping.set()
            end.put("C/1", fold="f", due_ms=now_ms() - 1)

    end.sink.answer = answer
    end.start()
    end.thread.join(10)
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got in (["A/1+B/1", "A/1+B/1", "C/1"], ["A/1+B/1", "C/1", "A/1+B/1"])


def test_what_is_answered_leaves_a_digest_that_was_not_taken(end, monkeypatch):
    end.put("A/1", "B/1", "C/1", fold="f", step=1)

    def answer(name):
        if len(end.sink.tries) == 1:
            end.outbox.drop_waiting("B", "", "acknowledged", now_ms(), answered_ms=now_ms())
            raise Unavailable("answered 500")

    end.sink.answer = answer
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == ["A/1+C/1"]


def test_a_digest_is_no_longer_than_the_sink_has_room_for_and_nothing_is_left_out(end):
    end.sink.most = len("I10/1+I11/1+I12/1")
    end.put(*(f"I{number}/1" for number in range(10, 20)), fold="f")
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got == ["I10/1+I11/1+I12/1", "I13/1+I14/1+I15/1", "I16/1+I17/1+I18/1", "I19/1"]


def test_the_budget_counts_what_was_sent_before_a_restart(end):
    end.sink.limits, times = ((3, 2.0),), []
    end.sink.answer = lambda name: times.append(time.monotonic())
    end.put("A/1", "B/1", "C/1")
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    end.stop()
    end.put("D/1")
    end.start()
    wait_for("the next", lambda: end.sink.got[3:] == ["D/1"], 10)
    assert times[3] - times[0] > 1.9


def test_what_could_not_be_made_durable_is_delivered_again(end):
    """A disk says once that it has lost something; after that it says that all is well."""
    failures = [Unavailable("input/output error")]

    def flush():
        if failures:
            raise failures.pop()

    end.sink.flush = flush
    end.put("A/1", "B/1")
    end.start()
    wait_for("all", lambda: end.outbox.pending("sink") == 0, 10)
    assert end.sink.got[-2:] == ["A/1", "B/1"] and len(end.sink.got) in (3, 4), "what was marked in vain was delivered once more"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_each_incident_arrives_whole_and_in_order(end, seed, monkeypatch):
    """Random refusals, outages and crashes: at the end every revision has arrived, first arrivals in order per incident."""
    rng = random.Random(seed)
    monkeypatch.setattr(module, "LATER_S", (0.0,) * 50)
    lock = threading.Lock()

    def answer(name):
        with lock:
            kind = rng.random()
        if kind < 0.2:
            raise NotTaken("answered 422") if kind < 0.1 else Unavailable("answered 500")

    end.sink.answer = answer
    end.sink.limits, end.sink.folds = (((20, 0.1),), True) if seed % 3 == 0 else ((), False)
    end.sink.most = 40 if seed % 2 else 10**9
    names = [f"I{incident}/{revision}" for revision in range(1, 5) for incident in range(8)]
    end.start()
    for name in names:
        end.put(name, route=rng.choice("ab"), fold=rng.choice([None, "f", "g"]), due_ms=now_ms() + rng.choice([0, 0, 5]))
        kind = rng.random()
        if kind < 0.1:
            end.kill()
            end.start()
        elif kind < 0.2:  # a reload
            end.stop()
            end.sink.folds = not end.sink.folds
            end.start()
    wait_for(f"all (seed {seed})", lambda: end.outbox.pending("sink") == 0, 60)
    arrived = list(dict.fromkeys(part for name in end.sink.got for part in name.split("+")))
    assert set(arrived) == set(names), f"seed {seed}"
    for incident in range(8):
        assert [name for name in arrived if name.startswith(f"I{incident}/")] == [f"I{incident}/{revision}" for revision in range(1, 5)], f"seed {seed}"


def test_a_budget_of_several_limits_keeps_them_all():
    budget = Budget([(5, 1.0), (10, 60.0)])
    sent = []
    at_s = 0.0
    while len(sent) < 25:
        at_s += budget.wait_s(at_s)
        budget.sent(at_s)
        sent.append(at_s)
    for most, span_s in budget.limits:
        assert all(later - first >= span_s - 1e-9 for first, later in zip(sent, sent[most:], strict=False))
    assert sent[24] <= 121


def test_what_waits_is_counted_while_the_sink_pauses(end, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(module, "COUNTED_EVERY_S", 0.02)
    end.sink.answer = fails("A/1")
    end.put("A/1")
    end.start()
    wait_for("the pause", lambda: end.sink.tries == ["A/1"] and end.dispatch.pending == 1)
    end.put("B/1", "C/1")
    wait_for("the count", lambda: end.dispatch.pending == 3, 20)
    assert end.sink.tries == ["A/1"], "nothing was tried meanwhile"


def test_the_log_keeps_what_the_receiver_said_also_while_it_is_not_well(end):
    well = threading.Event()

    def answer(_):
        if not well.is_set():
            raise Unavailable("answered 503")
        return "HTTP 202"

    end.sink.answer = answer
    end.start()
    end.put("A/1")
    wait_for("the error", lambda: [(d.state, d.outcome) for d in logged(end.path)] == [(0, "answered 503")], 10)
    well.set()
    wait_for("the answer", lambda: [(d.state, d.outcome) for d in logged(end.path)] == [(1, "HTTP 202; before that: answered 503")], 10)
