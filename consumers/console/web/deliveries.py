"""Who was notified of an incident, when and with what result: asked of the notifier over HTTP, or read from the delivery log of that of this machine."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from consumers.deliveries_api import DELIVERIES_PATH, rows_of
from consumers.outbox.file import FILE
from streams.errors import BadInput
from streams.settings import Settings
from streams.words.shown import shown

ANSWERS_WITHIN_S = 5.0
LARGEST_ANSWER_BYTES = 1_000_000
_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def outbox_near(state_dir: Path) -> Path | None:
    """The outbox of a notifier with the same state folder, or with that beside it, as ``yicheng up`` gives them; None where there is none here."""
    return next((path for path in (state_dir / FILE, state_dir.parent / "notifier" / FILE) if path.is_file()), None)


def deliveries_of(settings: Settings, incident_id: str) -> dict[str, Any]:
    """What was delivered of an incident; or ``elsewhere``: where that can be seen, in both languages."""
    if settings.notifier_url is not None:
        return _asked(settings.notifier_url.rstrip("/"), settings, incident_id)
    path = outbox_near(settings.state_dir)
    if path is None:
        return _elsewhere(incident_id, "本机没有通知服务的记录", "No notifier keeps its log on this machine")
    try:
        return {"deliveries": rows_of(path, incident_id), "elsewhere": None}
    except (BadInput, sqlite3.Error, OSError):
        return _elsewhere(incident_id, f"{path} 目前无法读取", f"{path} cannot be read now")


def _asked(url: str, settings: Settings, incident_id: str) -> dict[str, Any]:
    token = settings.deliveries_token.get_secret_value() if settings.deliveries_token else ""
    request = urllib.request.Request(f"{url}{DELIVERIES_PATH}?{urlencode({'incident': incident_id})}", headers={"Authorization": f"Bearer {token}"})
    try:
        with _opener.open(request, timeout=ANSWERS_WITHIN_S) as answer:
            return {"deliveries": _decode(answer.read(LARGEST_ANSWER_BYTES)), "elsewhere": None}
    except urllib.error.HTTPError as error:
        if error.code in {401, 404}:  # it wants another token, or has none and so no such page
            return _elsewhere(incident_id, f"{url} 的通知服务不提供记录，请为其和控制台设置相同的 YICHENG_DELIVERIES_TOKEN", f"The notifier at {url} does not tell: give it and the console the same YICHENG_DELIVERIES_TOKEN")
        return _elsewhere(incident_id, f"{url} 的通知服务目前无法读取记录（HTTP {error.code}）", f"The notifier at {url} cannot read its log now (HTTP {error.code})")
    except (OSError, ValueError):  # also what is no answer of HTTP, or no JSON
        return _elsewhere(incident_id, f"{url} 的通知服务没有应答", f"The notifier at {url} does not answer")


def _elsewhere(incident_id: str, zh: str, en: str) -> dict[str, Any]:
    command = f"./yicheng notifier log --incident {shown(incident_id)}"
    return {"deliveries": [], "elsewhere": {"zh": f"{zh}；请在运行通知服务的机器上查看：{command}", "en": f"{en}; see it on the notifier's machine: {command}"}}
