"""Whoever was told of an incident is told how it ended, and nobody is told that something goes on which had ended: escalation over a real outbox, in any order."""

import json
import random
from types import SimpleNamespace

import pytest
from notices import event

import consumers.sending.dispatch as module
from consumers.outbox.file import prepare
from consumers.outbox.log import logged
from consumers.outbox.outbox import KEPT_MS, Outbox
from consumers.outbox.rows import Entry
from consumers.routing.route import Escalation, Route
from consumers.routing.routes import Routing
from consumers.sending import composing
from consumers.sending.ways_out import WaysOut
from streams.clock import DAY_MS, now_ms
from streams.errors import NotTaken, Unavailable

MINUTE_MS = 60_000
ESCALATED_MS = 15 * MINUTE_MS


class Sink:
    """Takes what it is handed unless it is down; ``meanwhile`` happens while it is."""

    real, limits, folds = False, (), False
    takes_digests = takes_alerts = True

    def __init__(self, name, site):
        self.name, self.site, self.got, self.fault, self.meanwhile = name, site, [], None, None

    def deliver(self, message):
        data = json.loads(message.body)["data"]
        said = [event["data"] for event in data["events"]] if "events" in data else [data]
        rendered = self.site.ended
        if self.meanwhile:
            self.meanwhile()
        if self.fault and not self.fault.heard:
            raise self.fault.error
        self.got += [SimpleNamespace(id=message.message_id, title=message.title, text=message.text, state=each["state"], ended=rendered) for each in said]
        if self.fault:
            raise self.fault.error

    def fits(self, message):
        return True

    def flush(self):
        pass

    give_up = close = flush


def fault(error, *, heard=False):
    """``heard``: the answer was lost, not the message."""
    return SimpleNamespace(error=error, heard=heard)


class Site:
    """An incident, an outbox, the duty officer and the chief, to whom what nobody answers is escalated. Time passes as the test says."""

    def __init__(self, path, monkeypatch, incident_id="INCIDENT1", **route):
        self.incident_id, self.path, self.at_ms, self.revision, self.ended = incident_id, path, now_ms(), 0, None
        if not path.exists():
            prepare(path)
        self.outbox = Outbox(path)
        self.outbox._db.execute("PRAGMA synchronous = OFF")  # this is about order, not about power failures
        for each in (module, composing):
            monkeypatch.setattr(each, "now_ms", lambda: self.at_ms)
        monkeypatch.setattr(module.Dispatch, "_pause", lambda *_: None)
        self.routing = Routing({}, [Route(name="all", to=("duty",), escalate=(Escalation(ESCALATED_MS, ("chief",)),), **route)])
        self.words = WaysOut(path, self.routing, lambda: 0, [].append)
        self.sinks = {name: Sink(name, self) for name in ("duty", "chief")}
        self.start()

    def start(self):
        """The dispatches of a notifier that has just begun."""
        self.dispatches = {name: module.Dispatch(self.path, sink, self.words) for name, sink in self.sinks.items()}

    def says(self, kind):
        self.revision += 1
        self.ended = {"closed": "closed", "retracted": "retracted"}.get(kind)
        made = event(kind, incident_id=self.incident_id, revision=self.revision, opened_at_ms=self.at_ms)
        state = made.incident.state
        self.outbox.put([(Entry(self.incident_id, self.revision, made.body, takes_back=state == "retracted", over=state == "closed"), self.routing.destinations(made, self.at_ms))], self.at_ms)

    def answered(self):
        self.outbox.drop_waiting(self.incident_id, "", "acknowledged", self.at_ms, answered_ms=self.at_ms)

    def passes(self, minutes):
        self.at_ms += int(minutes * MINUTE_MS)

    def delivers(self, *names):
        for name in names or self.sinks:
            self.dispatches[name]._round(self.outbox)

    def killed(self):
        """What was taken and not marked is not marked."""
        self.start()

    def all_is_well(self):
        """At last everything arrives."""
        for sink in self.sinks.values():
            sink.fault = sink.meanwhile = None
        for _ in range(400):
            self.delivers()
            if not [each for each in logged(self.path) if each.state == 0]:
                return
            self.passes(10)
        raise AssertionError([each for each in logged(self.path) if each.state == 0])

    def states(self, name):
        return [said.state for said in self.sinks[name].got]


@pytest.fixture
def site(tmp_path, monkeypatch):
    return Site(tmp_path / "outbox.db", monkeypatch)


def test_who_is_escalated_to_after_the_end_is_told_of_the_end(site):
    site.says("opened")
    site.delivers()
    site.passes(5)
    site.says("closed")
    site.delivers()
    site.passes(11)
    site.all_is_well()
    (said,) = site.sinks["chief"].got
    assert (said.id, said.state) == ("INCIDENT1/1/step/1", "closed") and said.title.startswith("[无人应答 UNANSWERED] 已结束") and "尚未结束" not in said.text
    assert site.states("duty") == ["open", "closed"]


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("error", [Unavailable("answered 500"), NotTaken("answered 422")])
def test_who_did_not_take_a_step_at_once_hears_the_end(site, error, heard):
    site.says("opened")
    site.delivers()
    site.passes(16)
    site.sinks["chief"].fault = fault(error, heard=heard)
    site.delivers()
    site.says("closed")
    site.all_is_well()
    assert site.states("chief")[-1] == "closed" and site.sinks["chief"].got[-1].id == "INCIDENT1/2/step/1", "in order"


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("kind", ["closed", "retracted"])
def test_an_end_that_meets_a_step_on_its_way_follows_it(site, kind, killed):
    site.says("opened")
    site.delivers()
    site.passes(16)
    site.sinks["chief"].meanwhile = lambda: (site.says(kind), site.answered(), setattr(site.sinks["chief"], "meanwhile", None))
    if killed:
        site.sinks["chief"].fault = fault(KeyboardInterrupt(), heard=True)
        with pytest.raises(KeyboardInterrupt):
            site.delivers("chief")
        site.killed()
    else:
        site.delivers("chief")
    site.all_is_well()
    assert site.states("chief") == ["open", kind]


def test_who_was_asked_nothing_hears_nothing(site):
    site.says("opened")
    site.delivers()
    site.passes(16)
    site.answered()
    site.says("closed")
    site.all_is_well()
    assert site.states("chief") == [] and site.states("duty") == ["open", "closed"]


def test_who_was_escalated_to_hears_the_end_weeks_later(site):
    site.says("opened")
    site.passes(16)
    site.delivers()
    site.passes(9 * DAY_MS / MINUTE_MS)
    while site.outbox.forget(site.at_ms - KEPT_MS, site.at_ms - 45 * DAY_MS):
        pass
    site.says("closed")
    site.all_is_well()
    assert site.states("chief") == ["open", "closed"]


def happens(site, rng):
    """Something, at random; what is said of an incident follows its life."""
    what = rng.choice(["delivers", "delivers", "passes", "passes", "says", "answered", "fault", "meanwhile", "killed"])
    sink = rng.choice(list(site.sinks.values()))
    if what == "says":
        site.says(rng.choice(["updated", "closed", "retracted"] if site.ended is None else ["retracted"] if site.ended == "closed" else ["opened"]))
    elif what == "passes":
        site.passes(rng.choice([0.001, 1, 5, 15, 60]))
    elif what == "fault":
        sink.fault = rng.choice([None, fault(Unavailable("answered 500"), heard=rng.random() < 0.3), fault(NotTaken("answered 422"), heard=rng.random() < 0.3)])
    elif what == "meanwhile":
        sink.meanwhile = lambda: happens_meanwhile(site, sink, rng)
    else:
        getattr(site, what)()


def happens_meanwhile(site, sink, rng):
    sink.meanwhile = None
    if rng.random() < 0.3:
        site.answered()
    elif site.ended is None:
        site.says(rng.choice(["closed", "retracted"]))


@pytest.mark.parametrize("debounce_minutes", [0, 20])
@pytest.mark.parametrize("part", range(4))
def test_in_whatever_order_it_comes_who_was_told_hears_the_end_and_nobody_what_is_not_so(tmp_path, monkeypatch, part, debounce_minutes):
    for seed in range(part * 100, part * 100 + 100):
        rng = random.Random(seed)
        site = Site(tmp_path / "outbox.db", monkeypatch, f"I{seed}", debounce_ms=debounce_minutes * MINUTE_MS)
        site.says("opened")
        for _ in range(rng.randrange(4, 25)):
            happens(site, rng)
        if site.ended is None:
            site.says(rng.choice(["closed", "retracted"]))
        site.all_is_well()
        for name, sink in site.sinks.items():
            assert not sink.got or sink.got[-1].state == site.ended, (seed, name, sink.got)
            false = [said for said in sink.got if "UNANSWERED" in said.title and said.ended and said.state == "open"]
            assert not false, (seed, name, false)
        site.outbox.close()
