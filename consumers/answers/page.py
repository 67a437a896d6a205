"""The page of one incident, behind a signed link, and what is answered there: it works on a phone and without JavaScript.

    GET  /incidents?token=…  shows, and never answers: previews of messages follow links
    POST /v1/answers         a form of that page
    POST /v1/feedback        the same from another system (answers/api.py)

Everything that the page shows came from elsewhere and is escaped; nothing of it may run, be framed or be kept by a browser.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from consumers.answer_links import PATH, Link, Links
from consumers.answers.answering import Answering, Refused
from consumers.answers.api import FEEDBACK_PATH, FeedbackApi
from consumers.audit import Audit
from streams.clock import now_ms
from streams.errors import BadInput
from streams.process import pages
from streams.process.pages import Page, Request
from streams.wire.answers import ACTION_WORDS, LONGEST_BY, LONGEST_REASON, NEED_OBJECTION, Answer, made_answer
from streams.words.basis import Words, basis_words, stands_in_words
from streams.words.terms import SEVERITIES, STATES

ANSWERS_PATH = "/v1/answers"
FORM = "application/x-www-form-urlencoded"
LARGEST_FORM_BYTES, MOST_FIELDS = 16_384, 10
ACTIONS = {"police": frozenset({"acknowledged", "dismissed", "fined", "noted", "upheld", "rejected"}), "enterprise": frozenset({"objected"})}
"""Who may say what."""
TOLD = NEED_OBJECTION | {"objected"}
"""Of these answers an enterprise reads the reason, too; never who gave them."""
NO_LINK = Words("链接无效或已过期，请使用最新消息中的链接。", "This link is not valid or no longer valid; use the one in the latest message.")
NO_FORM = Words("不是本页面的表单。", "This is no form of this page.")
NOT_YOURS = Words("此链接不能作此答复。", "This link is not for such an answer.")
UNFIT = Words("答复未记录：请填写姓名；驳回、备注、申诉及申诉不成立须写明理由。", "The answer was not recorded: give your name, and for a dismissal, a note, an objection or its rejection the reason.")
RECORDED = Words("答复已记录。", "The answer is recorded.")
VOID = Words("答复已保存；事件已撤回，不再改变任何状态。", "The answer is kept. The incident was taken back, so it changes nothing.")
_FOLDER, _TIMEZONE = Path(__file__).parent, ZoneInfo("Asia/Shanghai")
_CSS = (_FOLDER / "page.css").read_text("utf-8").strip()
_CSS_HASH = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "X-Robots-Tag": "noindex",
}  # fmt: skip


def answer_pages(
    links: Links | None, lookup: Callable[[str], bytes | None], publish: Callable[[Answer], None], audit: Audit, feedback_token: str | None,
    *, earlier: Callable[[str], Sequence[Answer]] = lambda _: (), objection_days: int = 15,
) -> tuple[dict[str, Page], dict[str, Page]]:  # fmt: skip
    """The pages to mount, those for GET and those for POST: of links where there are any, of other systems where they have a token.

    ``lookup``: the last CloudEvent of an incident; ``publish`` raises ``Unavailable``; ``earlier``: the answers that Kafka has.
    """
    answering = Answering(lookup, publish, audit, earlier, objection_days)
    gets: dict[str, Page] = {}
    posts: dict[str, Page] = {}
    if links is not None:
        page = _IncidentPage(links, answering)
        gets[PATH], posts[ANSWERS_PATH] = page.show, page.answer
    if feedback_token is not None:
        posts[FEEDBACK_PATH] = FeedbackApi(answering, feedback_token).receive
    return gets, posts


def _local(time_ms: int) -> str:
    """A moment in the time of all Chinese cities; of one that no calendar has, its number."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, _TIMEZONE).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(time_ms)


def _action_words(action: str) -> Words:
    return ACTION_WORDS.get(action, Words(action, action))


def _template() -> Any:
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"local": _local, "action": _action_words}
    return environment.get_template("page.html")


class _IncidentPage:
    def __init__(self, links: Links, answering: Answering) -> None:
        self.links, self.answering = links, answering
        self.render = partial(_template().render, css=Markup(_CSS))  # noqa: S704 (a file of ours)

    def show(self, request: Request) -> pages.Answer:
        """The incident of a link; 403 where it is no link of ours, 404 where the incident is not known any more."""
        token = _only(request.query, "token")
        link = self.links.read(token)
        if link is None:
            return self._message(403, NO_LINK)
        try:
            return self._page(200, link, token)
        except Refused as refused:
            return self._message(refused.status, refused.words)

    def answer(self, request: Request) -> pages.Answer:
        """Take a form; the same form again is taken once."""
        if request.headers.get_content_type() != FORM or len(request.body) > LARGEST_FORM_BYTES:
            return self._message(415, NO_FORM)
        try:
            said = _fields(request.body)
        except ValueError:
            return self._message(400, NO_FORM)
        token = said.get("token", "")
        link = self.links.read(token)
        if link is None:
            return self._message(403, NO_LINK)
        if said.get("action", "") not in ACTIONS[link.audience]:
            return self._message(403, NOT_YOURS, token)
        try:
            answer = self.answering.take(_answer_of(link, said))
            void = answer.revision in self.answering.incident(link.incident_id).retracted
            return self._page(200, link, token, VOID if void else RECORDED, posts_to="../v1/answers")
        except Refused as refused:
            return self._message(refused.status, refused.words, token)
        except BadInput:
            return self._message(400, UNFIT, token)

    def _page(self, status: int, link: Link, token: str, said: Words | None = None, posts_to: str = "v1/answers") -> pages.Answer:
        incident, given = self.answering.shown(link.incident_id, link.mask)
        standing, until_ms = self.answering.standing(incident), self.answering.objection_until_ms(incident)
        objection = ACTION_WORDS[standing.objection] if standing.objection else None
        police = link.audience == "police"
        answers = [answer for answer in given if police or answer.action != "noted"]
        return self._rendered(
            status, f"{incident.reason_zh} {incident.reason_en}", said, it=incident, taken=True, posts_to=posts_to, token=token, answer_id=secrets.token_urlsafe(16),
            state_words=STATES.get(incident.state, Words(incident.state, incident.state)), answer_words=ACTION_WORDS[standing.state] if standing.state else Words("尚未答复", "not answered"),
            objection_words=objection, severity=" ".join(SEVERITIES[incident.severity]) if incident.severity in SEVERITIES else incident.severity,
            basis=basis_words(incident.basis, incident.figures, incident.duty_of, incident.responsible, incident.lead, incident.reading), stands_in=stands_in_words(incident.stands_in_for), answers=answers, told=TOLD, standing=standing,
            police=police, until_ms=until_ms, open=now_ms() <= until_ms, longest_by=LONGEST_BY, longest_reason=LONGEST_REASON,
        )  # fmt: skip

    def _message(self, status: int, words: Words, token: str = "") -> pages.Answer:
        """One sentence; with a way back where the link is good."""
        return self._rendered(status, words.zh, words, it=None, taken=False, link=f"..{PATH}?token={quote(token, safe='')}" if token else "")

    def _rendered(self, status: int, title: str, said: Words | None, **values: Any) -> pages.Answer:
        return status, "text/html; charset=utf-8", self.render(title=title, said=said, **values).encode("utf-8", "replace"), HEADERS


def _only(query: str, name: str) -> str:
    """The value of a parameter that is given once, else nothing."""
    try:
        values = parse_qs(query, max_num_fields=MOST_FIELDS).get(name, [])
    except ValueError:
        return ""
    return values[0] if len(values) == 1 else ""


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form, each given once; ``ValueError`` where that is not so."""
    found = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    if any(len(values) != 1 for values in found.values()):
        raise ValueError("a field is given twice")
    return {name: values[0] for name, values in found.items()}


def _answer_of(link: Link, said: dict[str, str]) -> Answer:
    """The answer in a form; ``BadInput`` where it is none."""
    revision, by, answer_id = said.get("revision", ""), said.get("by", ""), said.get("answer_id", "")
    if not by.strip() or not answer_id or not (revision.isascii() and revision.isdigit() and len(revision) < 10):
        raise BadInput("by, answer_id and revision are needed")
    return made_answer(link.incident_id, said.get("action", ""), now_ms(), by=by, reason=said.get("reason"), answer_id=answer_id, revision=int(revision))
