"""What waits for an answer: late answers reopen nothing, what was taken back waits for nobody, repeats count once."""

import json
from types import SimpleNamespace

from consumers.answers.waiting import KEPT_ANSWERS, LONGEST_EXEMPLAR, Answers, AnswersReader
from streams import metrics
from streams.counts import OTHER
from streams.settings import Settings
from streams.wire.answers import ACTIONS
from streams.wire.topics import FEEDBACK


def incident(name, revision, state="open"):
    return json.dumps({"data": {"incident_id": name, "revision": revision, "city": "150100", "rule": "waits", "state": state}}).encode()


def answer(name, action="acknowledged", **more):
    return json.dumps({"incident_id": name, "action": action, "time_ms": 5, "by": None, "reason": None, **more}).encode()


def count(action):
    return metrics.ANSWERS.labels("150100", "waits", action)._value.get()


def times():
    return next(sample.value for sample in metrics.ACKNOWLEDGE_SECONDS.labels("150100", "waits")._samples() if sample.name == "_count")


def test_what_waits_has_its_counters_from_zero_on():
    """Prometheus takes a series' first value for no increase: the first answer would be lost."""
    Answers().enter_incident(incident("z", 1).replace(b"waits", b"fresh"), 0)
    answered = {sample.labels["action"]: sample.value for sample in metrics.ANSWERS.collect()[0].samples if sample.labels["rule"] == "fresh"}
    assert answered == dict.fromkeys([*ACTIONS, OTHER], 0)
    assert [sample.value for sample in metrics.ACKNOWLEDGE_SECONDS.collect()[0].samples if sample.labels["rule"] == "fresh" and sample.name.endswith("_count")] == [0]


def test_the_time_to_an_answer_names_the_incident_as_far_as_an_exemplar_may():
    answers, name = Answers(), "i" * 300
    answers.enter_incident(incident(name, 1), 0)
    answers.enter_answer(answer(name), 40_000, count=True)
    buckets = metrics.ACKNOWLEDGE_SECONDS.labels("150100", "waits")._child_samples()
    assert [sample.exemplar.labels for sample in buckets if sample.exemplar] == [{"incident_id": name[:LONGEST_EXEMPLAR]}]


def test_a_late_answer_to_what_is_closed_counts_and_reopens_nothing():
    answers = Answers()
    answers.enter_incident(incident("a", 1), 0)
    answers.enter_incident(incident("a", 2, "closed"), 1)
    before = times()
    answers.enter_answer(answer("a", revision=2), 60_000, count=True)
    answers.enter_incident(incident("a", 3, "closed"), 70_000)
    assert not answers.waiting and times() == before + 1


def test_an_answer_to_what_was_taken_back_is_kept_and_changes_nothing_else():
    answers, before = Answers(), (times(), count("acknowledged"))
    answers.enter_incident(incident("a", 1), 0)
    answers.enter_incident(incident("a", 2, "retracted"), 1)
    answers.enter_answer(answer("a", revision=2), 10, count=True)
    answers.enter_answer(answer("a"), 11, count=True)  # of before: it names no revision
    assert not answers.waiting and len(answers.said["a"]) == 2 and (times(), count("acknowledged")) == before
    answers.enter_incident(incident("a", 1), 12)  # a repeat of before
    assert not answers.waiting
    answers.enter_incident(incident("a", 3), 20)  # a late report brings it back: nobody has answered that
    assert answers.waiting["a"].since_ms == 20
    answers.enter_answer(answer("a", revision=3), 30, count=True)
    assert not answers.waiting and times() == before[0] + 1


def test_an_answer_that_is_read_before_the_retraction_it_was_given_to_is_no_answer_either():
    answers = Answers()
    answers.enter_incident(incident("a", 1), 0)
    answers.enter_answer(answer("a", revision=2), 1, count=False)
    answers.enter_incident(incident("a", 2, "retracted"), 2)
    answers.enter_incident(incident("a", 3), 3)
    assert "a" in answers.waiting


def test_what_was_answered_taken_back_and_brought_back_waits_no_more():
    answers = Answers()
    answers.enter_incident(incident("a", 1), 0)
    answers.enter_answer(answer("a", revision=1), 1, count=False)
    answers.enter_incident(incident("a", 2, "retracted"), 2)
    before = count("fined")
    answers.enter_answer(answer("a", "fined", revision=2), 3, count=True)  # to what was taken back: none
    answers.enter_incident(incident("a", 3), 4)
    assert not answers.waiting and count("fined") == before
    answers.enter_answer(answer("a", "fined", revision=3), 5, count=True)
    assert count("fined") == before + 1


def test_repeats_count_once_and_notes_and_objections_are_no_answers():
    answers, before = Answers(), (times(), count("noted"), count("objected"), count("fined"))
    answers.enter_incident(incident("a", 1), 0)
    answers.enter_answer(answer("a", "noted", reason="n"), 1, count=True)
    answers.enter_answer(answer("a", "objected", reason="n", answer_id="objection"), 2, count=True)
    assert "a" in answers.waiting
    for _ in range(3):
        answers.enter_answer(answer("a", "fined", answer_id="12345678"), 3, count=True)
    assert "a" in answers.waiting and (times(), count("noted"), count("objected"), count("fined")) == tuple(n + 1 for n in before), "its objection waits"
    answers.enter_answer(answer("a", "rejected", reason="n", answer_id="decision"), 4, count=True)
    assert not answers.waiting and times() == before[0] + 1


def test_a_flood_of_answers_to_one_incident_is_bounded_and_keeps_the_first():
    answers = Answers()
    for number in range(KEPT_ANSWERS + 50):
        answers.enter_answer(answer("a", "noted", reason=str(number)), number, count=False)
    kept = answers.said["a"]
    assert len(kept) == KEPT_ANSWERS and kept[0].reason == "0" and kept[-1].reason == str(KEPT_ANSWERS + 49)


def test_what_is_read_again_after_kafka_was_away_is_not_counted_again():
    reader, before = AnswersReader(Settings()), count("fined")
    for offsets in ((0, 1), (0, 1, 2)):  # the second time all is read anew, and one is new
        answers = Answers()
        answers.enter_incident(incident("a", 1), 0)
        for offset in offsets:
            value = answer("a", "fined", answer_id=f"answer-{offset}")
            reader._enter(answers, SimpleNamespace(topic=FEEDBACK.name, partition=0, offset=offset, timestamp=2**45, value=value))
    assert count("fined") == before + 3
