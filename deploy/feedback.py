"""What police answered to incidents (``courier.feedback.v1``), and the incidents that wait for an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson

from deploy import published
from deploy.admin import produce
from streams.clock import local_datetime
from streams.cloudevents import subject_of
from streams.errors import BadInput, nearest
from streams.policy.policy import Policy
from streams.shown import shown
from streams.topics import FEEDBACK


def standing(bootstrap: str) -> dict[str, dict[str, Any]]:
    """Every incident by its id as last revised, but those that were retracted."""
    return {name: data for name, data in published.incidents(bootstrap).items() if data["state"] != "retracted"}


def answers(bootstrap: str) -> dict[str, dict[str, Any]]:
    """The last answer to each incident."""
    return {said["incident_id"]: said for said in published.answers(bootstrap)}


def listed(bootstrap: str, policy: Policy, *, unanswered: bool, rule: str | None) -> Iterator[str]:
    """The incidents in order of time, a line each: id, local time, state, answer, rule instance, subject, reason."""
    said = answers(bootstrap)
    for data in sorted(standing(bootstrap).values(), key=lambda data: (data["opened_at_ms"], data["incident_id"])):
        answer = said.get(data["incident_id"])
        if (unanswered and answer) or (rule and rule not in {data["rule"], data["rule_id"]}):
            continue
        opened = local_datetime(data["opened_at_ms"], policy.timezone).strftime("%Y-%m-%d %H:%M:%S")
        fields = (data["incident_id"], opened, data["state"], answer["action"] if answer else "-", data["rule_id"], subject_of(data))
        yield "\t".join(map(shown, (*fields, f"{data['reason_zh']} · {data['reason_en']}")))


def answer(bootstrap: str, incident_ids: list[str], action: str, by: str | None, reason: str | None) -> int:
    """Publish an answer to each incident; ``BadInput`` where there is no such incident, and then none is published."""
    known = standing(bootstrap)
    for name in incident_ids:
        if name not in known:
            raise BadInput(f"no incident {name!r}{nearest(name, known)}; ./yicheng incidents list shows them")
    said = {"action": action, "time_ms": int(time.time() * 1000), "by": by, "reason": reason}
    return produce(bootstrap, FEEDBACK.name, ((name.encode(), orjson.dumps({"incident_id": name, **said})) for name in incident_ids))
