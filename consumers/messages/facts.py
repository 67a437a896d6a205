"""What is said of an incident, piece by piece, in Chinese and in English: the values that the templates put into sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from consumers.incident_events import Reported
from consumers.rule_names import rule_words
from streams.clock import local_datetime
from streams.lifecycle import OPEN, Kind
from streams.words.basis import BASIS_WORDS, DUTY_WORDS, MARKS, Words, basis_words, stands_in_words
from streams.words.terms import LANGUAGES, SEVERITIES, Lang, speed_words, term

KINDS: dict[Kind, Words] = {
    "opened": Words("新事件", "new"), "updated": Words("有更新", "updated"), "closed": Words("已结束", "over"), "retracted": Words("已撤回", "taken back"),
}  # fmt: skip
_SUBJECTS = {
    "plate": Words("号牌", "plate"), "vehicle_id": Words("车辆", "vehicle"), "line_id": Words("配送线路", "delivery line"),
    "outlet_id": Words("网点", "outlet"), "enterprise_id": Words("企业", "enterprise"),
}  # fmt: skip
OBJECTION_ESCALATES = 50
"""After this step come those in which an objection escalates that nobody has decided."""
OBJECTION = 99
"""The step that tells of an enterprise's objection."""
REMINDER = 100
"""The step of the first reminder; the escalation that follows it has the steps after."""
_WHOLE_CITY = Words("全部企业", "all enterprises together")
TITLE_FIELDS = (
    "city", "rule", "rule_id", "rule_zh", "rule_en", "severity", "transition_zh", "transition_en", "who", "plate", "vehicle_id", "line_id", "outlet_id",
    "enterprise_id", "zone_id", "reason_zh", "reason_en", "clause", "document", "document_number", "opened_at",
)  # fmt: skip
"""What a route's own title can name."""
_SAID = ("when", "about", "evidence", "basis")
TEXT_FIELDS = (
    *TITLE_FIELDS, "driver_id", "position", "clause_text", "continued_by", "incident_id", "revision", "link", *(f"{name}_{lang}" for name in _SAID for lang in LANGUAGES),
)  # fmt: skip
"""What a route's own text can name."""


def marks(incident: Reported, kind: Kind, step: int, *, unanswered: bool = False) -> str:
    """What has to be seen first, in both languages whatever the route's is. ``unanswered``: it is told because nobody has answered."""
    said = [
        "[演练 REHEARSAL]" if incident.synthetic else "", "[撤回 TAKEN BACK]" if kind == "retracted" else "",
        "[确认到期 ACKNOWLEDGEMENT EXPIRED]" if step >= REMINDER else "[企业申诉 OBJECTION]" if step > OBJECTION_ESCALATES else "",
        "[无人应答 UNANSWERED]" if unanswered and step < REMINDER else "",
    ]  # fmt: skip
    return "".join(f"{mark} " for mark in said if mark)


def facts(incident: Reported, data: Mapping[str, Any], kind: Kind, timezone: ZoneInfo) -> dict[Lang, dict[str, Any]]:
    """By language what the templates ask for; None where nothing is known. ``data`` is the event's own, of which anything may be missing or of another type."""
    return {lang: _facts(incident, data, kind, timezone, lang) for lang in LANGUAGES}


def _facts(incident: Reported, data: Mapping[str, Any], kind: Kind, timezone: ZoneInfo, lang: Lang) -> dict[str, Any]:
    return {
        "kind": getattr(KINDS[kind], lang),
        "rule": getattr(rule_words(incident.rule), lang),
        "rule_id": incident.rule_id,
        "severity": getattr(term(SEVERITIES, incident.severity), lang) if incident.severity else None,
        "reason": incident.reason_zh if lang == "zh" else incident.reason_en,
        "who": _who(incident, lang),
        "about": _about(incident, lang),
        "when": _when(incident, timezone, lang),
        "zone": incident.zone_id,
        "position": f"{incident.lon:.5f}, {incident.lat:.5f}" if incident.lon is not None and incident.lat is not None else None,
        "evidence": _evidence(incident, data, lang),
        "clause": incident.clause or None,
        "clause_text": incident.clause_text,
        "document": incident.document,
        "document_number": incident.document_number,
        "basis": _basis(incident, data, lang),
        "continued_by": incident.continued_by,
        "incident_id": incident.incident_id,
        "revision": incident.revision,
    }


def text_fields(incident: Reported, said: Mapping[Lang, Mapping[str, Any]], link: str | None = None) -> dict[str, str]:
    """The values of ``TEXT_FIELDS``; empty where nothing is known."""
    own = {name: getattr(incident, name) for name in TEXT_FIELDS if hasattr(incident, name)}
    of_words = {f"{name}_{lang}": said[lang][name] for name in _SAID for lang in LANGUAGES} | {
        "link": link, "position": said["en"]["position"],
        "rule_zh": said["zh"]["rule"], "rule_en": said["en"]["rule"], "transition_zh": said["zh"]["kind"], "transition_en": said["en"]["kind"],
        "who": said["zh"]["who"], "opened_at": said["en"]["when"][:19],
    }  # fmt: skip
    return {name: str(value) if value is not None else "" for name, value in (own | of_words).items()}


def _who(incident: Reported, lang: Lang) -> str:
    """Whom it is about, briefly: a plate alone, else what and which."""
    if incident.plate:
        return incident.plate
    kind = next((kind for kind in _SUBJECTS if getattr(incident, kind)), None)
    return _subject(incident, kind, lang) if kind else incident.incident_id


def _about(incident: Reported, lang: Lang) -> str:
    return ("；" if lang == "zh" else "; ").join(_subject(incident, kind, lang) for kind in _SUBJECTS if getattr(incident, kind))


def _subject(incident: Reported, kind: str, lang: Lang) -> str:
    name = getattr(incident, kind)
    return getattr(_WHOLE_CITY, lang) if name == "*" else f"{getattr(_SUBJECTS[kind], lang)} {name}"


def _when(incident: Reported, timezone: ZoneInfo, lang: Lang) -> str:
    """From when until when, as clocks in the city show it."""
    first, last = (local_datetime(moment_ms, timezone) for moment_ms in (incident.opened_at_ms, incident.closed_at_ms or incident.last_seen_ms))
    offset = f"{first:%z}"
    zone = f"UTC{offset[:3]}:{offset[3:5]}"
    span = f"{first:%Y-%m-%d %H:%M:%S}–{f'{last:%H:%M:%S}' if first.date() == last.date() else f'{last:%Y-%m-%d %H:%M:%S}'}"
    if incident.state == OPEN:
        return f"{span}，尚未结束（{zone}）" if lang == "zh" else f"{span}, not over yet ({zone})"
    return f"{span}（{zone}）" if lang == "zh" else f"{span} ({zone})"


def _evidence(incident: Reported, data: Mapping[str, Any], lang: Lang) -> str | None:
    """Of how many records it is made, and the highest speed of those that the event tells."""
    listed = data.get("evidence")
    told = [each.get("speed_kmh") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    speeds = [float(speed) for speed in told if isinstance(speed, int | float) and not isinstance(speed, bool)]
    said = []
    if incident.fix_count:
        said.append(f"{incident.fix_count} 条记录" if lang == "zh" else f"{incident.fix_count} {'record' if incident.fix_count == 1 else 'records'}")
    if speeds:
        said.append(("最高车速 " if lang == "zh" else "highest speed ") + speed_words(max(speeds), lang))
    return ("，" if lang == "zh" else ", ").join(said) or None


def _basis(incident: Reported, data: Mapping[str, Any], lang: Lang) -> str | None:
    """On what the rule rests and who is responsible, in the words that packs and reports use, too."""
    basis, duty_of = incident.basis, data.get("duty_of")
    if basis not in BASIS_WORDS:
        return f"依据：{MARKS[None].zh}" if lang == "zh" else f"Basis: {MARKS[None].en}"
    figures: Any = data.get("figures") if data.get("figures") == "illustrative" else None
    words = basis_words(basis, figures, duty_of if isinstance(duty_of, str) and duty_of in DUTY_WORDS else None, incident.responsible, incident.lead, incident.reading)  # type: ignore[arg-type]
    said = str(getattr(words, lang))
    said = said[0].upper() + said[1:]
    made_elsewhere = stands_in_words(incident.stands_in_for)
    return said if made_elsewhere is None else f"{said}。{made_elsewhere.zh}" if lang == "zh" else f"{said}. {made_elsewhere.en}"
