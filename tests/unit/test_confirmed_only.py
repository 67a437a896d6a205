"""Points only for what police have confirmed: from which answer until which, in whatever order all of it arrives."""

import asyncio
import itertools
import json
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace
from time_passing import marks, said_ms

from deploy.judge import judge_files, read_answers
from streams.city.city_judge import CityJudge
from streams.city.contributions import Contribution, decode_contribution, encode_contribution
from streams.city.ledger import CityLedger
from streams.city.ledger_records import put_record, record_fields
from streams.clock import DAY_MS
from streams.counts import state_key
from streams.enterprises.confirmations import MOST_ANSWERS, Answered, with_answer
from streams.enterprises.credit import EXPIRE_MS, Account, Charge, Cost, black_intervals, costs, standing
from streams.enterprises.intervals import Interval
from streams.enterprises.liveness import SETTLED_MS
from streams.errors import BadInput
from streams.policy.policy import Policies
from streams.policy.reader import parse_policy
from streams.policy.wording import demand_words
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.runtime.answer_stage import AnswerStage
from streams.runtime.checkpoint import Checkpoint
from streams.watermark import INPUTS
from streams.wire.decode import Malformed
from streams.wire.state_records import COMMIT_MARKER, encode_fields, header_of
from streams.wire.topics import FEEDBACK, PARTIALS

NOON = 1_700_020_800_000
CHARGE = Charge("e", "i", 2, "closed", "speeding", "s", NOON, driver_id="d")
PACK = """
policy: p
city: {adcode: "1", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
rules:
  - {rule: unfiled_outlet, id: unfiled, clause: "1", severity: warning}
  - {rule: blacklisted_enterprise, id: r, clause: "1", severity: warning, points: {speeding: 2, unfiled_outlet: 2}, black_at: 2, drivers: {points: {speeding: 2}, black_at: 3} MORE}
"""
NEWLY, BEFORE = PACK.replace(" MORE", ", confirmed_only: true"), PACK.replace(" MORE", "")


def policies(*packs):
    return Policies([parse_policy(pack, "test", None) for pack in packs or [NEWLY]])


def answer(at_ms, action, answer_id=None, objection=None, incident_id="i", offset=0):
    return Answered(at_ms, offset, incident_id, action, answer_id, objection)


def intervals(answers, charge=CHARGE):
    known = []
    for each in answers:
        known = with_answer(known, each)
    terms = policies().newest.credit_rules[0].parameters
    return [(cost.at_ms - NOON, cost.until_ms - NOON) for cost in costs(Account({"i": charge}), terms, {"i": known})]


ALWAYS = 365 * DAY_MS
SAID = {
    "nobody": ([], []),
    "a note and an objection": ([answer(NOON, "objected", "o1")], []),
    "before the charge": ([answer(NOON - 500 * DAY_MS, "acknowledged")], [(0, ALWAYS)]),
    "after the charge": ([answer(NOON + 7, "fined")], [(7, ALWAYS)]),
    "after it would have been forgotten": ([answer(NOON + ALWAYS, "fined")], []),
    "dismissed": ([answer(NOON + 9, "dismissed")], []),
    "confirmed, dismissed": ([answer(NOON + 1, "acknowledged"), answer(NOON + 9, "dismissed")], [(1, 9)]),
    "confirmed and dismissed before the charge": ([answer(NOON - 9, "acknowledged"), answer(NOON - 1, "dismissed")], []),
    "confirmed again": ([answer(NOON - 9, "acknowledged"), answer(NOON + 5, "dismissed"), answer(NOON + 20, "fined")], [(0, 5), (20, ALWAYS)]),
    "acknowledged, then fined": ([answer(NOON + 3, "acknowledged"), answer(NOON + 8, "fined")], [(3, ALWAYS)]),
    "a repeat is no confirmation anew": ([answer(NOON + 1, "acknowledged", "a"), answer(NOON + 4, "dismissed", "b"), answer(NOON + 9, "acknowledged", "a")], [(1, 4)]),
    "what repeats a note by its id": ([answer(NOON + 1, "noted", "a"), answer(NOON + 4, "fined", "a")], []),
    "an objection upheld": ([answer(NOON + 1, "fined", "a"), answer(NOON + 2, "objected", "o"), answer(NOON + 6, "upheld", "u", "o")], [(1, 6)]),
    "an objection rejected": ([answer(NOON + 1, "fined", "a"), answer(NOON + 2, "objected", "o"), answer(NOON + 6, "rejected", "u", "o")], [(1, ALWAYS)]),
    "nothing objected": ([answer(NOON + 1, "fined", "a"), answer(NOON + 6, "upheld", "u")], [(1, ALWAYS)]),
    "of one millisecond by offset": ([answer(NOON + 1, "fined", offset=1), answer(NOON + 1, "dismissed", offset=2), answer(NOON + 1, "acknowledged", offset=0)], []),
}


@pytest.mark.parametrize(("answers", "found"), SAID.values(), ids=SAID)
def test_points_count_while_police_confirm_whatever_the_order_of_arrival(answers, found):
    assert {tuple(intervals(order)) for order in itertools.permutations([*answers, *answers[:1]])} == {tuple(found)}


def test_only_so_many_answers_count_and_those_are_the_first():
    many = [answer(NOON + number, "acknowledged", f"a{number}") for number in range(MOST_ANSWERS)]
    late = [answer(NOON + 10**6, "dismissed")]
    assert intervals(late + many) == intervals(many[::-1] + late) == [(0, ALWAYS)]


def test_an_incident_that_is_not_closed_costs_nothing_and_one_without_the_flag_costs_from_the_start():
    said, terms = {"i": [answer(NOON, "fined")]}, policies().newest.credit_rules[0].parameters
    assert intervals(said["i"], replace(CHARGE, state="retracted")) == intervals(said["i"], replace(CHARGE, state="open")) == []
    assert costs(Account({"i": CHARGE}), terms) == [Cost(NOON, NOON + EXPIRE_MS, 2, CHARGE)]


def test_black_list_and_standing_follow_the_answers():
    terms, account = policies().newest.credit_rules[0].parameters, Account({"i": CHARGE})
    said = {"i": [answer(NOON + 5, "acknowledged"), answer(NOON + 9, "dismissed"), answer(NOON + 20, "fined")]}
    charged = costs(account, terms, said)
    assert black_intervals(charged, terms, NOON + 4) == ([], NOON + 5)
    assert black_intervals(charged, terms, NOON + 8) == ([Interval(NOON + 5, None, 1)], NOON + 9)
    assert black_intervals(charged, terms, NOON + 20) == ([Interval(NOON + 5, NOON + 9, 1), Interval(NOON + 20, None, 1)], NOON + EXPIRE_MS)
    told = [standing(account, costs(account, terms, said), terms, NOON + at_ms, 0, 1) for at_ms in (0, 5, 9)]
    assert [(row["credit"], row["points"], [(each["at_ms"], each["expires_ms"]) for each in row["reasons"]]) for row in told] == [
        ("normal", 0, []), ("black", 2, [(NOON + 5, NOON + 9)]), ("normal", 0, []),
    ]  # fmt: skip


# --- the city ---
def city(*packs):
    known = policies(*packs)
    registry = Registry(known.newest.timezone)
    registry.add(decode_entry(json.dumps(record).encode()) for record in ({"kind": "enterprise", "id": "e"}, {"kind": "driver", "id": "d"}))
    return CityJudge(known, registry, b"k")


def hear(judge, ledger, *told):
    """Take contributions (charges, answers) and times that come; kinds of incidents and standings, as they were said."""
    said = []
    for each in told:
        fields = marks(each) if isinstance(each, int) else {"city": "1", "charge" if isinstance(each, Charge) else "answer": each}
        result = judge.take(ledger, decode_contribution(encode_contribution(Contribution(**fields))), said_ms(each) if isinstance(each, int) else NOON)
        said += [(kind, data.opened_at_ms, data.closed_at_ms) for kind, data in result.incidents]
        said += [(row["subject"], row["credit"], row["points"]) for row in result.standings]
    return said


def test_an_alarm_that_was_announced_stands_and_is_closed_by_a_dismissal():
    judge, ledger = city(), CityLedger()
    assert hear(judge, ledger, CHARGE, NOON + 100)[-2:] == [("enterprise/e", "normal", 0.0), ("driver/d", "normal", 0.0)]
    assert hear(judge, ledger, answer(NOON + 200, "acknowledged")) == [], "it counts once all inputs have been read so far"
    assert hear(judge, ledger, NOON + 300) == [("opened", NOON + 200, None), ("enterprise/e", "black", 2.0), ("driver/d", "normal", 2.0)]
    assert hear(judge, ledger, answer(NOON + 400, "dismissed"), NOON + 500) == [("closed", NOON + 200, NOON + 400), ("enterprise/e", "normal", 0.0), ("driver/d", "normal", 0.0)]
    assert hear(judge, ledger, answer(NOON + 600, "fined"), NOON + 700)[0] == ("opened", NOON + 600, None)
    assert hear(judge, ledger, answer(NOON + 600, "fined"), replace(CHARGE, revision=3), NOON + 800) == [], "what was sent again changes nothing"


def test_charges_and_answers_come_to_the_same_in_every_order():
    told = [CHARGE, replace(CHARGE, incident_id="j", at_ms=NOON + 50), answer(NOON + 10, "acknowledged"), answer(NOON + 90, "dismissed", "b"), answer(NOON + 30, "fined", incident_id="j")]
    found = set()
    for order in itertools.permutations(told):
        ledger = CityLedger()
        said = hear(city(), ledger, *order, NOON + 100)
        found.add((tuple(said[-4:]), tuple(sorted(ledger.accounts["enterprise/e"].announced))))
    assert len(found) == 1 and {subject for subject, *_ in found.pop()[0]} >= {"enterprise/e", "driver/d"}


def test_answers_are_restored_and_forgotten_when_nothing_can_depend_on_them_any_more():
    judge, ledger = city(), CityLedger()
    hear(judge, ledger, CHARGE, answer(NOON + 1, "acknowledged", "a-1"), answer(NOON, "fined", incident_id="never charged"), NOON + 10)
    head, restored = header_of(0, 5, NOON), CityLedger()
    for kind, *names in sorted(ledger.dirty):
        put_record(restored, state_key(kind, *names), encode_fields(record_fields(ledger, kind, names), head))
    restored.stream_time_ms = ledger.stream_time_ms
    assert restored.answers == ledger.answers and len(restored.answers) == 2
    later = answer(NOON + 20, "dismissed"), NOON + 30
    assert hear(city(), restored, *later) == hear(judge, ledger, *later) != []
    ledger.stream_time_ms = NOON + EXPIRE_MS + SETTLED_MS + 15
    ledger.dirty.clear()
    ledger.charges["i"] = replace(CHARGE, at_ms=NOON + 100)
    ledger.forget(judge.policies.newest.days, "1")
    assert ledger.answers.keys() == {"i"} and ("answers", "never charged") in ledger.dirty
    assert record_fields(ledger, "answers", ["never charged"]) is None


def test_without_the_flag_answers_change_nothing():
    judge, ledger = city(BEFORE), CityLedger()
    assert ("enterprise/e", "black", 2.0) in hear(judge, ledger, CHARGE, NOON + 10)
    assert hear(judge, ledger, answer(NOON + 11, "dismissed"), NOON + 20) == []


REFUSED = {
    "an incident that is none": [NOON, 0, "", "fined"], "a long id": [NOON, 0, "x" * 129, "fined"], "an unknown action": [NOON, 0, "i", "forgotten"], "an answer that is none": [NOON, 0, "i", "fined", "a\n"],
    "an objection that is none": [NOON, 0, "i", "upheld", "a", ""], "a time beyond all": [10**15, 0, "i", "fined"], "no number": [1.5, 0, "i", "fined"], "too little": [NOON, 0],
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_answers_that_are_none_are_refused_among_contributions(row):
    with pytest.raises(Malformed):
        decode_contribution(json.dumps({"city": "1", "answer": row}).encode())


# --- the stage ---
class Answers(AnswerStage):
    """The stage without a broker; ``told``: what it sends."""

    def __init__(self, *packs, saved=None):
        super().__init__(Checkpoint(""), SimpleNamespace(policies=policies(*packs), registry=None))
        self.told, self.saved = [], saved or {}
        self.checkpoint.send, self.checkpoint.restore, self.checkpoint.verify = self._send, self._restore, self._verify

    async def _send(self, topic, key, value):
        assert (topic, key) == (PARTIALS.name, b"1")
        self.told.append(decode_contribution(value).answer)

    async def _restore(self, topic, number):
        return self.saved

    async def _verify(self, *_):
        pass

    def hear(self, *records):
        asyncio.run(self.process(records))
        return self.told


def record(offset, value, arrived_ms=NOON):
    return SimpleNamespace(topic=FEEDBACK.name, partition=0, offset=offset, key=b"i", value=value if isinstance(value, bytes | None) else json.dumps(value).encode(), arrived_ms=arrived_ms)


SENT = {"incident_id": "i", "action": "fined", "time_ms": NOON - 5, "by": None, "reason": None}


def test_answers_are_sent_on_with_their_arrival_or_else_their_own_time():
    found = Answers().hear(record(0, SENT), record(1, {**SENT, "answer_id": "a-1", "action": "upheld", "objection": "o-1"}, None), record(2, {**SENT, "action": "noted"}), record(3, {**SENT, "action": "news"}))
    assert found == [answer(NOON, "fined"), answer(NOON - 5, "upheld", "a-1", "o-1", offset=1), answer(NOON, "noted", offset=2), answer(NOON, "noted", offset=3)]


GARBAGE = [
    None, b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, {**SENT, "incident_id": ""}, {**SENT, "incident_id": "*"}, {**SENT, "incident_id": "a\x00"}, {**SENT, "incident_id": "x" * 129}, {**SENT, "answer_id": "\ud800"},
    {**SENT, "time_ms": -1}, {**SENT, "time_ms": 2**47}, {**SENT, "time_ms": 10**400}, {**SENT, "action": None}, {"incident_id": "i"}, {**SENT, "objection": "x" * 129},
]  # fmt: skip


def test_garbage_is_passed_over_and_stops_nobody():
    stage = Answers()
    assert stage.hear(*(record(number, value) for number, value in enumerate(GARBAGE))) == []
    assert stage.hear(record(len(GARBAGE), SENT)) == [answer(NOON, "fined", offset=len(GARBAGE))]
    reached = stage.reached(0)
    assert (reached.topic, reached.next_offset, reached.until_ms, reached.newest) == (FEEDBACK.name, len(GARBAGE) + 1, NOON, {}) and FEEDBACK.name in INPUTS


def test_only_the_mark_moves_where_no_accounts_are_kept():
    without = BEFORE[: BEFORE.index("  - {rule: blacklisted_enterprise")]
    assert Answers(without).hear(record(0, SENT)) == []
    assert Answers(BEFORE).hear(record(0, SENT)) == [answer(NOON, "fined")], "a later version may go by what was answered before"


def test_an_answer_that_was_heard_is_not_sent_again_after_a_restart():
    stage = Answers()
    stage.hear(record(0, SENT), record(1, SENT))
    (mark,) = stage.changes(0)
    assert mark.key == COMMIT_MARKER and stage.changes(0) == []
    assert Answers(saved={COMMIT_MARKER: mark.value}).hear(record(0, SENT), record(1, SENT), record(2, SENT)) == [answer(NOON, "fined", offset=2)]


# --- packs and files ---
def test_the_pack_says_it_and_refuses_what_is_neither_true_nor_false():
    (rule,) = policies().newest.credit_rules
    zh, en = demand_words(rule, policies().newest)
    assert zh.endswith("仅对公安机关已确认或已处罚的事件计分；被驳回或申诉成立的，自答复之时起不再计分。") and "Only incidents that police have acknowledged or fined cost points" in en
    assert "公安机关" not in demand_words(policies(BEFORE).newest.credit_rules[0], policies(BEFORE).newest).zh
    with pytest.raises(BadInput) as refused:
        policies(PACK.replace(" MORE", ', confirmed_only: "maybe"'))
    assert "confirmed_only" in str(refused.value) and "\n" not in str(refused.value)


def test_judge_reads_answers_from_a_file(tmp_path):
    scans = [{"event_id": name, "event_time_ms": at_ms, "waybill_id": name, "enterprise_id": "e", "city": "1", "kind": "accepted", "outlet_id": "o", "synthetic": True} for name, at_ms in (("a", NOON), ("b", NOON + 9 * DAY_MS))]
    (tmp_path / "scans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scans))
    registry = Registry(policies().newest.timezone)
    registry.add([decode_entry(json.dumps({"kind": "outlet", "id": "o", "enterprise_id": "e"}).encode())])

    def judged(*answers):
        (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
        summary = judge_files(policies().newest, registry, [], [str(tmp_path / "scans.jsonl")], tmp_path, answers=str(tmp_path / "answers.jsonl") if answers else None)
        return [msgspec.json.decode(line) for line in (tmp_path / "incidents.jsonl").read_bytes().splitlines()], {row["subject"]: row["points"] for row in summary["credit"]}

    incidents, credit = judged()
    (unfiled,) = (data for data in incidents if data["rule"] == "unfiled_outlet" and data["opened_at_ms"] == NOON)
    assert credit == {"enterprise/e": 0.0} and len(incidents) == 2
    fined = {**SENT, "incident_id": unfiled["incident_id"], "time_ms": NOON + 5 * DAY_MS}
    incidents, credit = judged(fined)
    assert credit == {"enterprise/e": 2.0} and [data["opened_at_ms"] for data in incidents if data["rule"] == "blacklisted_enterprise"] == [NOON + 5 * DAY_MS]
    with pytest.raises(BadInput, match=r"answers.jsonl:2: no answer to an incident$"):
        judged(fined, {**fined, "time_ms": -1})
    with pytest.raises(BadInput, match="absent"):
        list(read_answers(str(tmp_path / "absent")))
