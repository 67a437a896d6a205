"""The notifier: every incident to every sink that is to have it, in order, and no sink waits for another.

    courier.incidents.v1 ──▶ decode ─▶ route ─▶ outbox ─▶ Kafka's offset is committed     (incident_events, routes, outbox, incident_log)
    courier.feedback.v1  ──▶ nobody is reminded of what was answered                      (outbox)
    outbox ──▶ a dispatch for each sink ─▶ sink ─▶ outbox: delivered                      (ways_out, dispatch, sinks/)
    courier.incidents.v1, courier.feedback.v1 ──▶ what waits for an answer: metrics       (answers)
    POST /v1/alerts of Alertmanager ──▶ the same outbox                                   (alerts)
    GET /v1/deliveries of the console ◀── outbox                                          (deliveries_api)
    a page behind the link in a message, POST /v1/feedback ──▶ courier.feedback.v1        (answer_page, feedback_api, answer_topic)

What is in the outbox survives a crash, and what is not is read from Kafka again. A crash repeats what a sink was just taking; the
CloudEvent's id (incident and revision) tells repeats apart.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from kafka.errors import KafkaError

from consumers.alerts import ALERTS_PATH, AlertReceiver
from consumers.answer_links import VALID_DAYS, links_of
from consumers.answers.page import answer_pages
from consumers.answers.topic import AnswerTopic
from consumers.answers.waiting import AnswersReader, pending
from consumers.audit import FILE as AUDIT_FILE
from consumers.audit import Audit
from consumers.deliveries_api import DELIVERIES_PATH, DeliveriesApi
from consumers.incident_events import IncidentEvent, read_event
from consumers.incident_log import IncidentLog
from consumers.outbox.file import FILE, prepare
from consumers.outbox.outbox import CLOCK_JUMP_MS, KEPT_MS, Outbox
from consumers.outbox.owed import Notes
from consumers.outbox.rows import Entry
from consumers.routing.file import in_force
from consumers.routing.origin import Origin
from consumers.routing.routes import Destination, Routing
from consumers.sending.ways_out import WaysOut
from streams import metrics
from streams.clock import DAY_MS, now_ms
from streams.errors import Unavailable, YichengError
from streams.lifecycle import OPEN, RETRACTED
from streams.process.logs import configure_logs
from streams.process.pages import Page, is_loopback
from streams.process.stopping import PROCESS_GRACE_S, stopping
from streams.process.unreadable import passed_over
from streams.settings import Settings
from streams.wire.answers import ACTIONS, NO_ANSWERS, read_answer
from streams.wire.decode import Malformed
from streams.wire.ids import is_id
from streams.wire.topics import INCIDENTS

log = structlog.get_logger()

COMMIT_EVERY_S = 5.0
"""Where nothing comes in: what has been delivered meanwhile is committed, too."""
FORGET_EVERY_S = 600.0
RETRY_S = 1.0
ANSWERABLE_FURTHER_DAYS = 15
"""An incident can be looked at and answered while a link to it may be valid or its enterprise may object, and so many days longer."""
ROUTES_CHANGED = "routes changed"
"""In the audit log."""
OWNER = "owner of the file that was changed last"
"""What the name in such a line is."""


class Notifier:
    """Reads, routes and puts into the outbox until told to stop; ``BadInput`` where a sink or route is configured badly."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.file = settings.state_dir / FILE
        self.links = links_of(settings)
        self.current: Callable[[], Routing] = in_force(settings, self.links.url if self.links else None)
        prepare(self.file)
        self.outbox, self.outbox_of_pages = Outbox(self.file), Outbox(self.file)
        self.outbox.follow_clock(now_ms())
        self.answers = AnswersReader(settings)
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self.ways = WaysOut(self.file, self.current(), self._lag, self._fail)
        self.ways.count_left(self.outbox, anew=True)
        self.log = IncidentLog(settings, self.outbox.place)
        self._notes = Notes(self.outbox)
        self._answerable_ms = (max(*VALID_DAYS.values(), settings.objection_days) + ANSWERABLE_FURTHER_DAYS) * DAY_MS
        self._clock_s = _clock_s()
        self._committed_s = self._forgot_s = float("-inf")
        self.audit, self.answer_topic = Audit(settings.state_dir / AUDIT_FILE), AnswerTopic(settings.kafka_bootstrap)
        self._noted: str | None = None
        self._lock_of_pages = threading.Lock()

    @property
    def joined(self) -> bool:
        """Whether there are partitions to read."""
        return self.log.joined

    def _lag(self) -> int:
        return pending(dict(self.answers.ends), dict(self.log.positions))

    def _fail(self, error: Exception) -> None:
        """The outbox cannot be used any more: another start puts it aside and reads again what was not delivered."""
        self._failure = self._failure or error
        self.stop()

    def stop(self) -> None:
        """Deliver nothing more; from any thread."""
        self._stopping.set()
        self.answers.stop()
        self.ways.stop()

    def run(self) -> None:
        """Until ``stop``. ``YichengError`` where the outbox turns out to be damaged."""
        self.answers.start()
        try:
            self._read_on()
        except sqlite3.DatabaseError as error:
            self._fail(error)
        finally:
            self.ways.stop()
            self.log.close()
            self.ways.join()
            self.answer_topic.close()
            self.outbox.close()
        if self._failure is not None:
            raise YichengError(f"outbox {self.file} cannot be used any more ({self._failure}); start the notifier again: it puts the file aside and loses nothing")

    def _read_on(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except (KafkaError, OSError, Unavailable) as error:
                why = str(error) if isinstance(error, Unavailable) else f"Kafka at {self.settings.kafka_bootstrap}: {type(error).__name__}"
                log.warning("incidents are not taken now, trying again", error=why)
                self._start_again()

    def _start_again(self) -> None:
        """What was read and is not in the outbox is read again."""
        while not self._stopping.wait(RETRY_S):
            with suppress(Unavailable):
                self.log.reconnect()
                return

    def _step(self) -> None:
        if self.ways.follow(self.current()):
            self.ways.count_left(self.outbox, anew=True)
        self._note_routes(self.ways.routing.origin)
        self._follow_clock()
        records = self.log.read()
        at_ms = now_ms()
        entries = [(entry, to) for record in records if record.topic == INCIDENTS.name for entry, to in self._routed(record, at_ms)]
        if records:
            read = {(self.log.topic, record.partition): record.offset + 1 for record in records if record.topic == INCIDENTS.name}
            self.ways.notice(self.outbox.put(entries, at_ms, read))
        for record in records:
            if record.topic != INCIDENTS.name:
                self._enter_answer(record, at_ms)
        if records or time.monotonic() > self._committed_s + COMMIT_EVERY_S:
            self.log.commit(self._notes.beside)
            self.ways.count_left(self.outbox)
            self._committed_s = time.monotonic()
        if time.monotonic() > self._forgot_s + FORGET_EVERY_S and not self.outbox.forget(at_ms - KEPT_MS, at_ms - self._answerable_ms):
            self._forgot_s = time.monotonic()

    def _note_routes(self, origin: Origin | None) -> None:
        """Write down that other routes are in force than those written down last, were they changed now or while nothing ran. Who wrote a file nobody knows; whose it is, the system does."""
        if origin is not None and origin.sha256 != self._noted:
            before = self.audit.newest(ROUTES_CHANGED)
            if before is None or before.about.get("sha256") != origin.sha256:
                about = {"file": str(self.settings.routes), "files": " ".join(origin.files), "sha256": origin.sha256, "changed": origin.changed, "by_is": OWNER}
                self.audit.append(ROUTES_CHANGED, origin.owner, **about)
            self._noted = origin.sha256

    def _routed(self, record: Any, at_ms: int) -> list[tuple[Entry, list[Destination]]]:
        """Where a record's incident goes; nothing synthetic to sinks that are real."""
        try:
            event = read_event(record.value)
            destinations = self.ways.routing.destinations(event, at_ms)
        except Exception as error:  # noqa: BLE001 - whatever a record says, it ends nobody
            for sink in self.ways.routing.sinks:
                metrics.NOTIFICATIONS.labels(sink, "unreadable").inc()
            passed_over(record.topic, record.partition, record.offset, str(error) if isinstance(error, Malformed) else type(error).__name__)
            return []
        incident = event.incident
        to = []
        for destination in self.log.still_owed(record.partition, record.offset, destinations):
            if event.synthetic and self.ways.is_real(destination.sink):
                metrics.NOTIFICATIONS.labels(destination.sink, "synthetic").inc()
            else:
                to.append(destination)
        over = incident.state not in {OPEN, RETRACTED}
        return [(Entry(incident.incident_id, incident.revision, event.body, record.partition, record.offset, incident.state == RETRACTED, self.log.topic, _name(event), over), to)]

    def _enter_answer(self, record: Any, at_ms: int) -> None:
        """An answer ends the escalation; an acknowledgement that runs out by the route's policy is followed by a reminder; of an objection police are told. One to what was taken back changes nothing."""
        try:
            answer = read_answer(record.value or b"")
        except Malformed as error:
            passed_over(record.topic, record.partition, record.offset, str(error))
            return
        if answer.action == "objected" and is_id(answer.incident_id):
            self._tell_of_objection(record, answer.incident_id, at_ms)
        if answer.action in NO_ANSWERS or answer.action not in ACTIONS or not is_id(answer.incident_id):
            return
        about, event = self._kept(answer.incident_id, answer.revision), self._kept(answer.incident_id)
        if about and about.incident.state == RETRACTED:
            return
        answered_ms = record.timestamp if record.timestamp > 0 else at_ms
        self.outbox.drop_waiting(answer.incident_id, self.log.topic, answer.action, at_ms, answered_ms=answered_ms)
        if event and answer.action == "acknowledged":
            self._tell_again(record, event, self.ways.routing.reminders(event, answered_ms), at_ms)

    def _kept(self, incident_id: str, revision: int | None = None) -> IncidentEvent | None:
        """A revision of an incident as far as the outbox has it: an answer may name anything."""
        try:
            return read_event(self.outbox.event(incident_id, revision))
        except (Malformed, OverflowError):
            return None

    def _tell_of_objection(self, record: Any, incident_id: str, at_ms: int) -> None:
        event = self._kept(incident_id)
        if event and at_ms - (record.timestamp if record.timestamp > 0 else at_ms) <= self.ways.oldest_ms:
            self._tell_again(record, event, self.ways.routing.objections(event, at_ms), at_ms)

    def _tell_again(self, record: Any, event: IncidentEvent, destinations: Sequence[Destination], at_ms: int) -> None:
        """What follows from an answer; of one that is read again only what is still owed."""
        incident = event.incident
        if self.log.is_again(record):
            places = self.outbox.stood(incident.incident_id, self.log.topic)
            destinations = list({(to.sink, to.step): to for place in places for to in self.log.still_owed(*place, destinations)}.values())
        to = [each for each in destinations if not (event.synthetic and self.ways.is_real(each.sink))]
        self.ways.notice(self.outbox.put([(Entry(incident.incident_id, incident.revision, event.body, topic=self.log.topic, name=_name(event)), to)], at_ms))

    def _follow_clock(self) -> None:
        """The clock of the machine may be set while deliveries wait."""
        clock_s = _clock_s()
        if abs(clock_s - self._clock_s) * 1000 > CLOCK_JUMP_MS:
            self.outbox.follow_clock(now_ms(), int((clock_s - self._clock_s) * 1000))
            self._clock_s = clock_s

    def take_alerts(self, alerts: Sequence[Entry]) -> int:
        """Put alerts about the system into the outbox; for how many sinks. From any thread."""
        at_ms = now_ms()
        to = self.ways.for_alerts(at_ms)
        with self._lock_of_pages:
            if to:
                self.ways.notice(self.outbox_of_pages.put([(alert, to) for alert in alerts], at_ms))
        return len(to)

    def last_event(self, incident_id: str) -> bytes | None:
        """An incident as last revised, if it is still in the outbox. From any thread."""
        with self._lock_of_pages:
            return self.outbox_of_pages.event(incident_id)


def _name(event: IncidentEvent) -> str:
    """An event's id, unless it is made as those of workers are."""
    return "" if event.event_id == f"{event.incident.incident_id}/{event.incident.revision}" else event.event_id


def _clock_s() -> float:
    """What changes where the clock is set, and not while the machine sleeps."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _cut_short() -> None:
    log.warning("stopped in the middle of a delivery; what was not marked as delivered is delivered again")


def run_notifier(settings: Settings) -> None:
    """Run until asked to stop."""
    configure_logs(settings.log_level)
    notifier = Notifier(settings)
    stopping.when_asked(notifier.stop, PROCESS_GRACE_S, _cut_short, late_code=1)
    port = settings.metrics_port or metrics.NOTIFIER_PORT
    gets, posts = _pages(settings, notifier)
    metrics.serve(settings.metrics_host, port, lambda: notifier.joined, metrics.OF_NOTIFIER, posts, gets)
    notifier.run()


def _pages(settings: Settings, notifier: Notifier) -> tuple[dict[str, Page], dict[str, Page]]:
    """Pages to get and to post to. Alertmanager hands alerts over not without a token where others than this machine can call."""
    answers_token = settings.feedback_token.get_secret_value() if settings.feedback_token else None
    gets, posts = answer_pages(
        notifier.links, notifier.last_event, notifier.answer_topic.publish, notifier.audit, answers_token, earlier=notifier.answers.answers_to, objection_days=settings.objection_days
    )
    if settings.deliveries_token:
        gets = {**gets, DELIVERIES_PATH: DeliveriesApi(notifier.file, settings.deliveries_token.get_secret_value()).read}
    token = settings.alerts_token.get_secret_value() if settings.alerts_token else None
    if token is None and not is_loopback(settings.metrics_host):
        log.info("alerts of Alertmanager are not taken: set YICHENG_ALERTS_TOKEN, since the metrics page listens on more than this machine")
        return gets, posts
    return gets, {**posts, ALERTS_PATH: AlertReceiver(notifier.take_alerts, token).receive}
