"""Incidents in words for people: a title of one line, plain text and Markdown, in Chinese, in English or in both. The words are in ``templates/``. Pure.

What comes from outside (names, plates, somebody's clauses) stays on its line, and is no Markdown: its special characters are written in full width, since
the robots of WeCom, DingTalk and Feishu each know another way of escaping them, or none. A title is safe in the same way, whatever a sink puts it into.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import Any, Literal, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jinja2
import msgspec

from consumers.answer_links import Audience, LinkMaker
from consumers.incident_events import IncidentEvent, Reported
from consumers.masking import Masked, masked
from consumers.messages.facts import TITLE_FIELDS, facts, marks, text_fields
from consumers.messages.message import Message
from consumers.rule_names import rule_words
from streams.clock import local_datetime
from streams.errors import nearest
from streams.wire.cloudevents import structured
from streams.words.basis import Words
from streams.words.shown import shown
from streams.words.terms import LANGUAGES, Lang

Language = Literal["zh", "en", "both"]
LONGEST_TITLE = 200
LARGEST_DIGEST_BYTES = 900_000
_FULL_WIDTH = 0xFEE0
_LIVE_CHARACTERS = "\\`*_{}[]()<>#|~!@^$&"
_LIVE = re.compile(f"[{re.escape(_LIVE_CHARACTERS)}]|://")
_WIDE = str.maketrans({character: chr(ord(character) + _FULL_WIDTH) for character in _LIVE_CHARACTERS})
_AT_START = re.compile(r"^(\d{0,9})((?<!\d)[-+=]|(?<=\d)[.)](?=\s|$))")
"""What makes a line a list, a heading or a rule."""
LINK_WORDS: dict[Audience, Words] = {
    "police": Words("查看并答复", "Look at it and answer"),
    "enterprise": Words("查看；如有异议，可在该页面所示期限内申诉", "Look at it; an objection is made there, until the day that it says"),
}
LOOK = Words("查看", "view")
_TEST = Words("这是一条测试消息，不涉及任何车辆或企业。", "This is a test message; it is about no vehicle and no enterprise.")


class Style(NamedTuple):
    """How a route says things: its language, what it masks, its own title and text, if it has some, and for whom its links are."""

    language: Language = "both"
    mask: frozenset[Masked] = frozenset()
    title: str | None = None
    text: str | None = None
    audience: Audience = "police"


class _Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


class _Digest(msgspec.Struct):
    """The ``data`` of a digest: its events whole; of those for which there was no room the ids."""

    route: str
    count: int
    by_rule: dict[str, int]
    events: list[Any]
    further: list[str]


def wording_problem(wording: str, fields: Sequence[str] = TITLE_FIELDS) -> str | None:
    """What is wrong with a route's own title or text: names of fields in braces.

    >>> wording_problem("{rule_zh} {plate}"), wording_problem("{plat}"), wording_problem("{plate!r}")
    (None, "unknown field {plat}; did you mean 'plate'?", 'write a field as {name} alone')
    """
    try:
        for _, name, specification, conversion in Formatter().parse(wording):
            if name is not None and name not in fields:
                return f"unknown field {{{shown(name)[:40]}}}{nearest(name, fields)}"
            if specification or conversion:
                return "write a field as {name} alone"
    except ValueError:
        return "a brace stands alone; write a field as {name}, and a brace as {{ or }}"
    return None


def markdown(text: object) -> str:
    r"""Somebody's text as it stands in Markdown of any dialect.

    >>> markdown("[here](https://evil.example)\n**12:30**")
    '［here］（https：//evil.example）＼n＊＊12:30＊＊'
    """
    plain = shown(text)
    return plain.replace("://", "：//").translate(_WIDE) if _LIVE.search(plain) else plain


def _markdown_lines(text: str) -> str:
    r"""Lines of Markdown that stay lines of their own: two spaces end each, and none begins a list or a heading.

    >>> _markdown_lines("- a\n12. b\n3.5 c")
    '－ a  \n12． b  \n3.5 c'
    """
    return "  \n".join(_AT_START.sub(lambda found: found[1] + chr(ord(found[2]) + _FULL_WIDTH), line.lstrip()) for line in text.split("\n"))


def _environment(finalize: Callable[[Any], str], strong: Callable[[Any], str], linked: Callable[[Any, str], str]) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")), undefined=jinja2.StrictUndefined, finalize=finalize,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False, autoescape=False,  # noqa: S701 (no HTML is made)
    )  # fmt: skip
    environment.filters |= {"strong": strong, "linked": linked}
    return environment


_TEXT = _environment(shown, shown, lambda url, words: f"{words}：{url}" if words.isascii() is False else f"{words}: {url}")
_MD = _environment(
    lambda value: value if isinstance(value, _Markdown) else markdown(value), lambda title: _Markdown(f"**{title}**"),
    lambda url, words: _Markdown(f"[{words}]({quote(url, safe=':/?&=%~-._+,;@#')})"),
)  # fmt: skip


class Writer:
    """Writes messages; ``timezone`` is the city's, ``link`` makes the address at which an incident, by its id, can be looked at and answered."""

    def __init__(self, timezone: ZoneInfo, link: LinkMaker | None = None) -> None:
        self.timezone, self.link = timezone, link

    def message(self, event: IncidentEvent, style: Style, step: int, *, unanswered: bool = False) -> Message:
        """One event; ``unanswered``: a step that is told because nobody has answered. Its body is as it was published unless something is masked; a later step is a message of its own, so it has an id of its own."""
        message_id = event.event_id if step == 0 else f"{event.event_id}/step/{step}"
        document = json.loads(event.body)
        incident, body = event.incident, event.body
        if style.mask or step:
            document = masked(document, style.mask) | ({"id": message_id, "yichengstep": step} if step else {})
            incident, body = msgspec.convert(document["data"], Reported), json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        kind = event.kind
        said = facts(incident, document["data"], kind, self.timezone)
        url = self.link(incident.incident_id, style.audience, style.mask) if self.link else None
        fields = text_fields(incident, said, url)
        title = self._title(said, style, fields, marks(incident, kind, step, unanswered=unanswered))
        if style.text is not None:
            return _message(message_id, body, title, _own_text(style.text, fields, style.audience), incident.severity or "info", url or "")
        parts = [(f"incident.{lang}.j2", {**said[lang], "link": url, "link_words": getattr(LINK_WORDS[style.audience], lang)}) for lang in LANGUAGES if style.language in {lang, "both"}]
        return _message(message_id, body, title, _rendered(parts), incident.severity or "info", url or "")

    def _title(self, said: dict[Lang, dict[str, Any]], style: Style, fields: dict[str, str], marked: str) -> str:
        if style.title is not None:
            own = style.title.format_map(fields)
        elif style.language == "both":
            zh, en = said["zh"], said["en"]
            own = f"{zh['kind']}：{zh['rule']} / {en['kind']}: {en['rule']}, {en['who']}"
        else:
            only = said[style.language]
            own = f"{only['kind']}{'：' if style.language == 'zh' else ': '}{only['rule']}{'，' if style.language == 'zh' else ', '}{only['who']}"
        return marked + _cut(markdown(own))

    def digest(self, messages: Sequence[Message], style: Style, route: str, now_ms: int, following: int = 0) -> Message:
        """Several messages as one: a CloudEvent that lists theirs; its title says how many incidents, by rule, its lines have a link each, and the last how many more follow."""
        events = [json.loads(message.body) for message in messages]
        incidents = {str(data.get("incident_id", number)): data for number, event in enumerate(events) if isinstance(data := event.get("data"), dict)}
        by_rule = Counter(str(data.get("rule") or "other") for data in incidents.values())
        message_id = f"digest/{hashlib.sha256(chr(10).join(sorted(message.message_id for message in messages)).encode()).hexdigest()[:32]}"
        title = _rehearsal(incidents.values()) + _cut(markdown(_counted(by_rule, style.language)))
        whole = list(_that_fit(messages))
        data = _Digest(route, len(messages), dict(by_rule), [events[number] for number in whole], [each.message_id for each in messages[len(whole) :]])
        more = Words(f"还有至少 {following} 条，随后发送。", f"At least {following} more follow.") if following else Words("", "")
        lines = {"messages": messages, "look": _in_language(LOOK, style.language), "following": _in_language(more, style.language)}
        body = structured(message_id, "notifier", "digest", f"route/{route}", datetime.fromtimestamp(now_ms / 1000, UTC), data)
        severity = next((word for word in ("violation", "warning") if any(message.severity == word for message in messages)), "info")
        return _message(message_id, body, title, _rendered([("digest.j2", lines)]), severity)

    def test(self, sink: str, now_ms: int) -> Message:
        """One message that tries a sink out, and says so."""
        said = f"{_TEST.zh} {_TEST.en} ({local_datetime(now_ms, self.timezone):%Y-%m-%d %H:%M:%S})"
        title, message_id = f"[测试 TEST] 驿程 Yicheng → {markdown(sink)}", f"test/{now_ms}"
        body = structured(message_id, "notifier", "test", f"sink/{sink}", datetime.fromtimestamp(now_ms / 1000, UTC), _Test(sink, said))
        return Message(message_id=message_id, body=body, title=title, text=f"{title}\n{said}", markdown=f"**{title}**\n\n{markdown(said)}")


class _Test(msgspec.Struct):
    sink: str
    text: str


class _Parts(NamedTuple):
    """What stands below a message's title, as plain text and as Markdown."""

    text: list[str]
    marked_up: list[str]


def _rendered(parts: Sequence[tuple[str, dict[str, Any]]]) -> _Parts:
    """Templates, each with what it says."""
    return _Parts(*([environment.get_template(name).render(said).rstrip("\n") for name, said in parts] for environment in (_TEXT, _MD)))


def _own_text(wording: str, fields: dict[str, str], audience: Audience) -> _Parts:
    """A route's own text; the values in it stay on their lines."""
    link = _MD.filters["linked"](fields["link"], " ".join(LINK_WORDS[audience])) if fields["link"] else ""
    plain, marked_up = ({name: said(value) for name, value in fields.items()} for said in (shown, markdown))
    return _Parts([wording.rstrip("\n").format_map(plain)], [wording.rstrip("\n").format_map(marked_up | {"link": link})])


def _message(message_id: str, body: bytes, title: str, parts: _Parts, severity: str, link: str = "") -> Message:
    """A message whose title stands above what else it says."""
    strong = str(_MD.filters["strong"](title))
    return Message(
        message_id=message_id, body=body, title=title, severity=severity, link=link,
        text="\n".join([shown(title), *parts.text]), markdown="\n\n".join(map(_markdown_lines, [strong, *parts.marked_up])),
    )  # fmt: skip


def _that_fit(messages: Sequence[Message]) -> Iterator[int]:
    room = LARGEST_DIGEST_BYTES
    for number, message in enumerate(messages):
        room -= len(message.body)
        if room < 0:
            return
        yield number


def _in_language(words: Words, language: Language) -> str:
    return {"zh": words.zh, "en": words.en}.get(language, " ".join(words))


def _rehearsal(incidents: Any) -> str:
    found = [data.get("synthetic") is True for data in incidents]
    return "[演练 REHEARSAL] " if found and all(found) else ""


def _counted(by_rule: Counter[str], language: Language) -> str:
    """How many incidents, by rule, the most frequent first."""
    number = by_rule.total()
    zh = f"{number} 起事件：{'、'.join(f'{rule_words(rule).zh} {count}' for rule, count in by_rule.most_common())}"
    en = f"{number} {'incident' if number == 1 else 'incidents'}: {', '.join(f'{rule_words(rule).en} {count}' for rule, count in by_rule.most_common())}"
    return {"zh": zh, "en": en, "both": f"{zh} / {en}"}[language]


def _cut(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"
