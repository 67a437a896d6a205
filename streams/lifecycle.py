"""The life of an announced incident: its states, its transitions, its id (semantics 6). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Literal, TypeVar

import msgspec

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


class Announced(msgspec.Struct):
    """An incident as last announced; what was said of it is in the fields of its kind."""

    incident_id: str
    revision: int
    state: str


class Revision(msgspec.Struct):
    """One revision of an incident as it is published; what it is about is in the fields of its kind."""

    kind: Kind
    incident_id: str
    revision: int
    state: str


A = TypeVar("A", bound=Announced)


def announce(known: A, wanted: str, *, differs: bool, **said: Any) -> tuple[A, list[tuple[Kind, A]]]:
    """The incident as announced now, and the revisions that lead there from what was: to the state that is wanted, with what is ``said`` of it."""
    revisions: list[tuple[Kind, A]] = []
    for kind, state in steps(known.state, wanted, differs=differs):
        known = msgspec.structs.replace(known, revision=known.revision + 1, state=state, **said)
        revisions.append((kind, known))
    return known, revisions


def incident_id(key: bytes, policy: str, rule_id: str, subject: str, zone_id: str | None, *beginning: str) -> str:
    """First 26 base32 characters of HMAC-SHA-256 over what makes the incident itself (semantics 6).

    Of a vehicle's its ``beginning`` is the event time (ms) and the id of the fix that opened it: ids are used again.
    """
    text = "\x1f".join((policy, rule_id, subject, zone_id or "", *beginning))
    return base64.b32encode(hmac.digest(key, text.encode(), hashlib.sha256))[:26].decode()
