"""What police answered to incidents (``courier.feedback.v1``), and the incidents that wait for an answer."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from consumers.answers.answering import objection_until_ms
from consumers.audit import Audit
from deploy import published
from deploy.admin import produce
from streams.clock import local_datetime, now_ms
from streams.errors import BadInput, nearest
from streams.lifecycle import RETRACTED
from streams.policy.policy import Policy
from streams.wire.answers import NEED_OBJECTION, NO_ANSWERS, Answer, made_answer, record_of
from streams.wire.answers import standing as answers_come_to
from streams.wire.cloudevents import subject_of
from streams.wire.topics import FEEDBACK
from streams.words.shown import shown


class Answered(NamedTuple):
    """How many answers were published, and the incidents among them that had been taken back."""

    number: int
    taken_back: list[str]


def standing(bootstrap: str) -> dict[str, dict[str, Any]]:
    """Every incident by its id as last revised, but those that were retracted."""
    return {name: data for name, data in published.incidents(bootstrap).items() if data["state"] != RETRACTED}


def answers(bootstrap: str) -> dict[str, dict[str, Any]]:
    """The last answer to each incident; a note is none."""
    last = {name: [said for said in sorted(held, key=lambda said: said.time_ms) if said.action != "noted"] for name, held in answers_to(bootstrap).items()}
    return {name: {"action": held[-1].action} for name, held in last.items() if held}


def answers_to(bootstrap: str) -> dict[str, list[Answer]]:
    """All answers by incident, in the order in which they were published."""
    found: dict[str, list[Answer]] = defaultdict(list)
    for said in published.answers(bootstrap):
        found[said.incident_id].append(said)
    return found


def listed(bootstrap: str, policy: Policy, *, unanswered: bool, rule: str | None) -> Iterator[str]:
    """The incidents in order of time, a line each: id, local time, state, answer, rule instance, subject, reason."""
    said = answers(bootstrap)
    for data in sorted(standing(bootstrap).values(), key=lambda data: (data["opened_at_ms"], data["incident_id"])):
        answer = said.get(data["incident_id"])
        if (unanswered and answer and answer["action"] not in NO_ANSWERS) or (rule and rule not in {data["rule"], data["rule_id"]}):
            continue
        opened = local_datetime(data["opened_at_ms"], policy.timezone).strftime("%Y-%m-%d %H:%M:%S")
        fields = (data["incident_id"], opened, data["state"], answer["action"] if answer else "-", data["rule_id"], subject_of(data))
        yield "\t".join(map(shown, (*fields, f"{data['reason_zh']} · {data['reason_en']}")))


def answer(bootstrap: str, audit: Audit, incident_ids: list[str], action: str, by: str | None, reason: str | None, objection_days: int) -> Answered:
    """Publish an answer to each incident; ``BadInput`` where there is no such incident, no objection to decide, or the time to object is over, and then none is published.

    An answer to an incident that was taken back is kept and changes nothing else.
    """
    known, time_ms = published.incidents(bootstrap), now_ms()
    taken_back = [name for name in incident_ids if name in known and known[name]["state"] == RETRACTED]
    said = answers_to(bootstrap) if action in (*NEED_OBJECTION, "objected") else {}
    made = []
    for name in incident_ids:
        if name not in known:
            raise BadInput(f"no incident {name!r}{nearest(name, known)}; ./yicheng incidents list shows them")
        now = answers_come_to(said.get(name, ()), [known[name]["revision"]] if name in taken_back else ())
        if action in NEED_OBJECTION and now.objection != "objected":
            raise BadInput(f"incident {name}: no objection waits for a decision")
        if action == "objected" and now.objection:
            raise BadInput(f"incident {name}: there has been an objection already")
        if action == "objected" and time_ms > objection_until_ms(known[name].get("closed_at_ms"), known[name].get("last_seen_ms", known[name]["opened_at_ms"]), objection_days):
            raise BadInput(f"incident {name}: the time for objections is over, {objection_days} days (YICHENG_OBJECTION_DAYS) after its end")
        objection = now.objection_id if action in NEED_OBJECTION else None
        made.append(made_answer(name, action, time_ms, by=by, reason=reason, answer_id=secrets.token_urlsafe(16), revision=known[name]["revision"], objection=objection))
    for each in made:
        audit.append(action, by, incident_id=each.incident_id, revision=each.revision, answer_id=each.answer_id, through="command line")
    return Answered(produce(bootstrap, FEEDBACK.name, ((each.incident_id.encode(), record_of(each)) for each in made)), taken_back)
