"""Who was notified of an incident, when and with what result: the delivery log of the notifier of this machine."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from consumers.outbox_file import FILE
from consumers.outbox_log import logged, sinks_off
from consumers.outbox_rows import DELIVERED, STATES, Delivery
from streams.errors import BadInput
from streams.words.shown import shown

MOST_SHOWN = 200


def outbox_near(state_dir: Path) -> Path | None:
    """The outbox of a notifier with the same state folder, or with that beside it, as ``yicheng up`` gives them; None where there is none here."""
    return next((path for path in (state_dir / FILE, state_dir.parent / "notifier" / FILE) if path.is_file()), None)


def deliveries_of(state_dir: Path, incident_id: str) -> dict[str, Any]:
    """What was delivered of an incident; or ``elsewhere``: where that can be seen, in both languages."""
    path = outbox_near(state_dir)
    if path is None:
        return {"deliveries": [], "elsewhere": _elsewhere(incident_id, "本机没有通知服务的记录", "No notifier keeps its log on this machine")}
    try:
        off = sinks_off(path)
        return {"deliveries": [_row(one, off) for one in logged(path, incident_id=incident_id, most=MOST_SHOWN)], "elsewhere": None}
    except (BadInput, sqlite3.Error, OSError):
        return {"deliveries": [], "elsewhere": _elsewhere(incident_id, f"{path} 目前无法读取", f"{path} cannot be read now")}


def _elsewhere(incident_id: str, zh: str, en: str) -> dict[str, str]:
    command = f"./yicheng notifier log --incident {shown(incident_id)}"
    return {"zh": f"{zh}；请在运行通知服务的机器上查看：{command}", "en": f"{en}; see it on the notifier's machine: {command}"}


def _row(one: Delivery, off: frozenset[str]) -> dict[str, Any]:
    answer = one.reason or ("taken" if one.state == DELIVERED else None)
    return {
        "sink": one.sink, "route": one.route, "step": one.step, "revision": one.revision, "state": STATES[one.state], "attempts": one.attempts,
        "made_ms": one.made_ms, "due_ms": one.due_ms, "done_ms": one.done_ms, "took_ms": one.took_ms, "answer": shown(answer) if answer else None,
        "is_off": one.sink in off,
    }  # fmt: skip
