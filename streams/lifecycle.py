"""The life of an announced incident: its states, its transitions, its id (semantics 6). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

MAX_EVIDENCE = 10
"""So many fixes, or charges, an incident tells at most."""
OPEN, CLOSED, RETRACTED = "open", "closed", "retracted"
Kind = Literal["opened", "updated", "closed", "retracted"]


def steps(known: str, wanted: str, *, differs: bool) -> list[tuple[Kind, str]]:
    """The transitions, each with the state it leads to, from what was announced (nothing yet: retracted) to what is wanted."""
    if wanted == RETRACTED:
        return [] if known == RETRACTED else [("retracted", RETRACTED)]
    if known == RETRACTED:
        return [("opened", OPEN), ("closed", CLOSED)] if wanted == CLOSED else [("opened", OPEN)]
    if known == OPEN and wanted == CLOSED:
        return [("closed", CLOSED)]
    return [("updated", wanted)] if differs else []


def incident_id(key: bytes, policy: str, rule_id: str, subject: str, zone_id: str | None, *beginning: str) -> str:
    """First 26 base32 characters of HMAC-SHA-256 over what makes the incident itself (semantics 6).

    Of a vehicle's its ``beginning`` is the event time (ms) and the id of the fix that opened it: ids are used again.
    """
    text = "\x1f".join((policy, rule_id, subject, zone_id or "", *beginning))
    return base64.b32encode(hmac.digest(key, text.encode(), hashlib.sha256))[:26].decode()
