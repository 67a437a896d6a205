"""Taking an answer, wherever it comes from: once, written down before it is published, and refused in words where it cannot be."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec
import structlog

from consumers.audit import Audit
from consumers.incident_events import Reported, read_event
from consumers.masking import Masked, masked
from streams.clock import DAY_MS
from streams.errors import Unavailable, YichengError
from streams.lifecycle import RETRACTED
from streams.wire.answers import NEED_OBJECTION, NOTHING_TO_DECIDE, Answer, Standing, standing
from streams.wire.decode import Malformed, decoded
from streams.wire.incident import Evidence
from streams.words.basis import Basis, Duty, Figures, Words

log = structlog.get_logger()

TURNS, WAITS_S = 64, 8.0
REMEMBERED = 10_000
"""Answers that this process has taken; those of before come back from Kafka."""


class Refused(YichengError):
    """An answer that is not taken: an HTTP status, and why in both languages."""

    def __init__(self, status: int, words: Words) -> None:
        super().__init__(words.en)
        self.status, self.words = status, words


UNKNOWN = (404, Words("没有这一事件，或其记录已过保存期。", "There is no such incident, or it is no longer kept."))
ANOTHER = (409, Words("此表单已用于另一答复，请重新打开链接。", "This answer_id was used for another answer; load the page again, or take a new one."))
NOT_PENDING = (409, NOTHING_TO_DECIDE)
OBJECTED_BEFORE = (409, Words("此事件已提出过申诉。", "There has been an objection to this incident already."))
TOO_LATE = (403, Words("申诉期限已过。", "The time for objections is over."))
NOT_NOW = (503, Words("暂时无法记录答复，请稍后再试；重复提交不会重复记录。", "The answer cannot be recorded now; try again later. Sending it twice records it once."))


class Detailed(Reported):
    """An incident with what its page shows beside what the notifier goes by."""

    basis: Basis | None = None
    figures: Figures | None = None
    duty_of: Duty | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def retracted(self) -> frozenset[int]:
        """Its revision, if that takes it back."""
        return frozenset({self.revision} if self.state == RETRACTED else ())


class _Event(msgspec.Struct):
    data: Detailed


_decode = msgspec.json.Decoder(_Event).decode


def objection_until_ms(closed_at_ms: int | None, last_seen_ms: int, objection_days: int) -> int:
    """Until when an enterprise may object to an incident: so many days after its end, or, while it is open, after what was seen last of it."""
    return (closed_at_ms or last_seen_ms) + objection_days * DAY_MS


class Answering:
    """Takes answers to the incidents that ``lookup`` knows the last event of. ``earlier``: the answers that Kafka has, as far as they have been read."""

    def __init__(
        self, lookup: Callable[[str], bytes | None], publish: Callable[[Answer], None], audit: Audit,
        earlier: Callable[[str], Sequence[Answer]] = lambda _: (), objection_days: int = 15,
    ) -> None:  # fmt: skip
        self._objection_days = objection_days
        self._lookup, self._publish, self._audit, self._earlier = lookup, publish, audit, earlier
        self._taken: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = [threading.Lock() for _ in range(TURNS)]

    def incident(self, incident_id: str) -> Detailed:
        """An incident as last revised; ``UNKNOWN`` is raised where it is not known."""
        return self._detailed(self._lookup(incident_id))

    def shown(self, incident_id: str, mask: frozenset[Masked]) -> tuple[Detailed, list[Answer]]:
        """An incident and the answers to it, as somebody may see them from whom something is masked."""
        body, answers = self._lookup(incident_id), self.answers_to(incident_id)
        incident = self._detailed(body)
        if not mask:
            return incident, answers
        hidden = masked({"event": msgspec.json.decode(body or b""), "reasons": [answer.reason for answer in answers]}, mask)
        said = [msgspec.structs.replace(answer, reason=reason) for answer, reason in zip(answers, hidden["reasons"], strict=True)]
        return self._detailed(msgspec.json.encode(hidden["event"])), said

    def _detailed(self, body: bytes | None) -> Detailed:
        try:
            read_event(body)
            return decoded(body or b"", _decode).data
        except Malformed:
            raise Refused(*UNKNOWN) from None

    def objection_until_ms(self, incident: Detailed) -> int:
        """Until when its enterprise may object to an incident."""
        return objection_until_ms(incident.closed_at_ms, incident.last_seen_ms, self._objection_days)

    def answers_to(self, incident_id: str) -> list[Answer]:
        """The answers to an incident in order of time: those that Kafka has, and those just taken."""
        known = list(self._earlier(incident_id))
        ids = {answer.answer_id for answer in known}
        with self._lock:
            known += [answer for (name, answer_id), answer in self._taken.items() if name == incident_id and answer_id not in ids]
        return sorted(known, key=lambda answer: answer.time_ms)

    def standing(self, incident: Detailed) -> Standing:
        """What the answers to an incident come to."""
        return standing(self.answers_to(incident.incident_id), incident.retracted)

    def take(self, answer: Answer) -> Answer:
        """Publish an answer and return it as it counts; a repeat is not published again. ``Refused`` says why it is not taken."""
        turn = self._turns[hash(answer.incident_id) % TURNS]  # of one incident one at a time: what is refused depends on the others
        if not turn.acquire(timeout=WAITS_S):
            raise Refused(*NOT_NOW)
        try:
            return self._take(answer)
        except (Unavailable, OSError) as error:
            log.warning("an answer cannot be recorded now", error=str(error) if isinstance(error, Unavailable) else error.strerror)
            raise Refused(*NOT_NOW) from None
        finally:
            turn.release()

    def _take(self, answer: Answer) -> Answer:
        incident = self.incident(answer.incident_id)
        for known in self.answers_to(answer.incident_id):
            if answer.answer_id is not None and known.answer_id == answer.answer_id:
                if (known.action, known.by, known.reason) != (answer.action, answer.by, answer.reason):
                    raise Refused(*ANOTHER)
                return known
        now = self.standing(incident)
        if answer.action == "objected" and now.objection is not None:
            raise Refused(*OBJECTED_BEFORE)
        if answer.action == "objected" and answer.time_ms > self.objection_until_ms(incident):
            raise Refused(*TOO_LATE)
        if answer.action in NEED_OBJECTION:
            if now.objection != "objected":
                raise Refused(*NOT_PENDING)
            answer = msgspec.structs.replace(answer, objection=answer.objection or now.objection_id)
        if answer.revision is None:
            answer = msgspec.structs.replace(answer, revision=incident.revision)
        about = {"incident_id": answer.incident_id, "revision": answer.revision, "answer_id": answer.answer_id}
        self._audit.append(answer.action, answer.by, **about)
        try:
            self._publish(answer)
        except Unavailable:
            self._audit.append("not published", answer.by, **about)
            raise
        with self._lock:
            self._taken[answer.incident_id, answer.answer_id or ""] = answer
            if len(self._taken) > REMEMBERED:
                self._taken.popitem(last=False)
        return answer
