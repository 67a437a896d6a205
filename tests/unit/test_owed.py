"""What is written beside Kafka's offset: what sinks have still to take, in few characters, and never less than that."""

import random
from types import SimpleNamespace

import pytest

from consumers.outbox.owed import LONGEST_NOTE, Notes, Owed, note_of, owed_in
from consumers.routing.routes import Destination


def to(sink, step=0, *, only_if_told=False):
    return Destination(sink, "r", step, 0, None, until_answered=False, only_if_told=only_if_told)


def test_a_note_is_read_as_it_was_written():
    owed = Owed(40, {("a.b-c_d", 0): ((1, 1), (3, 9)), ("a.b-c_d", 100): ((9, 9),)})
    assert owed_in(note_of(owed)) == owed and owed_in("17") == Owed(17, {})


@pytest.mark.parametrize("note", ["", "webhook", "-1", "1 2", "1 2 a=", "1 2 a=b", "1 2 a=1-", "1 2 a=1,", "9" * 30, "1 2 a =1"])
def test_what_is_no_note_says_nothing(note):
    assert owed_in(note) is None


def test_a_note_that_would_be_too_long_says_more_and_never_less():
    choose = random.Random(20_261_201)
    for sinks in (1, 3, 900):
        offsets = {(f"sink-{number}", 0): sorted(choose.sample(range(100_000), 3_000 // sinks + 1)) for number in range(sinks)}
        note = note_of(Owed(100_000, {way: tuple((each, each) for each in given) for way, given in offsets.items()}))
        read = owed_in(note)
        assert len(note) <= LONGEST_NOTE and all(read.owes(way, each) for way, given in offsets.items() for each in given)
        if sinks == 1:
            assert sum(last - first + 1 for first, last in read.runs["sink-0", 0]) < 92_000, "and not much more"


def test_of_what_is_read_again_each_gets_what_it_has_not_taken():
    owed = Owed(10, {("duty", 0): ((4, 4),), ("chief", 1): ((3, 4),), ("gone", 0): ((7, 7),)})
    both = [to("duty"), to("chief", 1, only_if_told=True)]
    assert owed.still(2, both) == [] and owed.still(4, both) == [to("duty"), to("chief", 1)] and owed.still(3, both) == [to("chief", 1)]
    assert owed.still(10, both) == both
    assert owed.still(7, both) == [to("duty")], "in place of one that the routes do not name any more"


def test_what_is_owed_is_looked_up_seldom_where_it_takes_long_and_at_once_for_another_partition(monkeypatch):
    asked, clock = [], [0.0]

    def look(topic):
        asked.append(topic)
        clock[0] += 1.0
        return {0: {("a", 0): [(3, 3), (4, 4), (6, 6)]}}

    monkeypatch.setattr("consumers.outbox.owed.time", SimpleNamespace(monotonic=lambda: clock[0]))
    notes = Notes(SimpleNamespace(owed=look))
    assert notes.beside("t", {0: 9}) == {0: "3 9 a=3-4,6"}
    assert notes.beside("t", {0: 12}) == {0: "3 9 a=3-4,6"} and len(asked) == 1, "of nine on all are owed"
    assert notes.beside("t", {0: 12, 1: 5}) == {0: "3 12 a=3-4,6", 1: "5"} and len(asked) == 2
    assert notes.beside("t", {0: 2, 1: 5})[0] == "2 2 a=3-4,6" or len(asked) == 3, "another topic of the same name"
    clock[0] += 11.0
    assert notes.beside("t", {0: 20}) == {0: "3 20 a=3-4,6"}
