"""The notifier as a whole, with a real outbox, routes, sinks and pages, step by step: what answers change, and the five mistakes that other systems made.

Its log is handed records, as Kafka would hand them over; on Kafka it runs in tests/integration.
"""

import hashlib
import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from types import SimpleNamespace

import pytest
from conftest import wait_for, written_lines
from notices import event
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from consumers import notifier as module
from consumers.answers.page import answer_pages
from consumers.audit import verify
from consumers.messages.facts import OBJECTION, OBJECTION_ESCALATES, REMINDER, marks
from consumers.outbox.file import connect
from consumers.outbox.log import drop_waiting, logged
from consumers.outbox.owed import Owed
from consumers.outbox.rows import DROPPED, Entry
from consumers.sending import ways_out
from streams.clock import DAY_MS, now_ms
from streams.process.os_users import user_named
from streams.process.pages import PageServer
from streams.settings import Settings
from streams.wire.answers import made_answer, record_of
from streams.wire.topics import FEEDBACK, INCIDENTS

ROUTES = """\
sinks:
  duty: {kind: file, path: FOLDER/duty.jsonl}
  chief: {kind: file, path: FOLDER/chief.jsonl}
  real: {kind: file, path: FOLDER/real.jsonl, real: false}
routes:
- {name: archive, to: real, continue: true, match: {rule: speeding}}
- {name: all, to: duty, escalate: [{after: 15m, to: chief}], acknowledgement_lasts: 8h}
"""


CALENDAR = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:{0}\nBEGIN:VEVENT\nUID:{0}\nDTSTAMP:20260101T000000Z\nDTSTART:20261001T000000Z\nDTEND:20261008T000000Z\nSUMMARY:x\nRRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR\n"


class Log:
    """Hands over the records that wait, all at once."""

    topic, joined = "1", True

    def __init__(self, settings, place):
        self.records, self.positions, self.offset = [], {}, 0
        self.owed, self.known_until = Owed(0, {}), 0

    def put(self, topic, value, at_ms):
        self.records.append(SimpleNamespace(topic=topic.name, partition=0, offset=self.offset, value=value, timestamp=at_ms))
        self.offset += 1

    def read(self):
        records, self.records = self.records, []
        return records

    def commit(self, notes):
        pass

    def still_owed(self, partition, offset, destinations):
        return self.owed.still(offset, destinations)

    def is_again(self, record):
        return record.offset < self.known_until

    def close(self):
        pass


class Site:
    """A notifier, its pages and who calls them."""

    def __init__(self, folder, monkeypatch, routes=ROUTES):
        self.folder, self.monkeypatch, self.at_ms = folder, monkeypatch, now_ms()
        monkeypatch.setattr(module, "IncidentLog", Log)
        monkeypatch.setattr(module, "FORGET_EVERY_S", 0.0)
        monkeypatch.setattr(ways_out, "OPENED_SOON_S", 10.0)
        monkeypatch.setattr(module, "now_ms", lambda: self.at_ms)
        self.write(routes)
        self.settings = Settings(routes=folder / "routes.yaml", state_dir=folder / "state", answers_url="http://127.0.0.1:1", answers_key="k" * 32, feedback_token="t" * 32)
        self.server = None
        self.start()

    def write(self, routes):
        file = self.folder / "routes.new"
        file.write_text(routes.replace("FOLDER", str(self.folder)), "utf-8")
        file.replace(self.folder / "routes.yaml")

    def start(self):
        self.notifier = module.Notifier(self.settings)
        self.published = []
        gets, posts = answer_pages(
            self.notifier.links, self.notifier.last_event, self.published.append, self.notifier.audit, "t" * 32, objection_days=self.settings.objection_days
        )
        if self.server is None:
            self.server = PageServer("127.0.0.1", 0, gets, posts)
        self.server.pages, self.server.posts = gets, posts

    def stop(self):
        self.notifier.ways.stop()
        self.notifier.ways.join()

    def incident(self, kind="opened", revision=1, at_ms=None, **more):
        self.notifier.log.put(INCIDENTS, event(kind, revision=revision, opened_at_ms=at_ms or self.at_ms, **more).body, at_ms or self.at_ms)

    def answer(self, action, at_ms=None, revision=None, **more):
        more = {"reason": "why" if action == "dismissed" else None, **more}
        self.notifier.log.put(FEEDBACK, record_of(made_answer("INCIDENT1", action, at_ms or self.at_ms, by="a", revision=revision, **more)), at_ms or self.at_ms)

    def step(self):
        self.notifier._step()
        assert self.notifier._failure is None

    def waiting(self):
        """Steps of escalations that wait, by sink."""
        return sorted((each.sink, each.step) for each in logged(self.notifier.file) if each.state == 0 and each.until_answered)

    def got(self, sink):
        return len(written_lines(self.folder / f"{sink}.jsonl"))

    def request(self, path, fields=None):
        body = urllib.parse.urlencode(fields).encode() if fields else None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.server_address[1]}{path}", body, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def site(tmp_path, monkeypatch):
    made = Site(tmp_path, monkeypatch)
    yield made
    made.stop()
    made.server.shutdown()
    made.server.server_close()


# --- the five mistakes ---
def paging_goes_on_after_an_acknowledgement(site):
    site.incident()
    site.step()
    assert site.waiting() == [("chief", 1)]
    site.answer("acknowledged")
    site.incident("updated", 2)
    site.step()
    assert site.waiting() == [("chief", REMINDER + 1), ("duty", REMINDER)], "nobody before the acknowledgement expires"
    assert min(each.due_ms for each in logged(site.notifier.file) if each.until_answered and each.state == 0) == site.at_ms + 8 * 3_600_000


def an_old_acknowledged_alert_escalates_months_later(site):
    """All is read again, with an outbox that is new."""
    long_ago_ms = site.at_ms - 90 * DAY_MS
    site.incident(at_ms=long_ago_ms)
    site.answer("acknowledged", long_ago_ms + 1)
    site.step()
    site.incident("updated", 2, at_ms=long_ago_ms)
    site.answer("acknowledged")
    site.step()
    assert site.waiting() == []


def a_late_acknowledgement_reopens_what_is_closed(site):
    site.incident()
    site.incident("closed", 2)
    site.step()
    site.answer("acknowledged")
    site.step()
    assert site.waiting() == []
    status, page = site.request("/incidents?" + site.notifier.links.url("INCIDENT1").partition("?")[2])
    assert status == 200 and "已结束" in page and "进行中" not in page


def reminders_for_what_was_retracted(site):
    site.incident()
    site.answer("acknowledged")
    site.step()
    assert ("duty", REMINDER) in site.waiting()
    site.incident("retracted", 2)
    site.step()
    assert site.waiting() == []
    site.answer("acknowledged", revision=1)
    site.answer("acknowledged")
    site.step()
    assert site.waiting() == []


def two_answers_at_once(site):
    site.incident()
    site.step()
    both, token = threading.Barrier(2), urllib.parse.parse_qs(urllib.parse.urlsplit(site.notifier.links.url("INCIDENT1")).query)["token"][0]
    statuses = []

    def post(action):
        both.wait()
        statuses.append(site.request("/v1/answers", {"token": token, "answer_id": f"{action}-1", "revision": "1", "by": "a", "reason": "b", "action": action})[0])

    threads = [threading.Thread(target=post, args=(action,)) for action in ("acknowledged", "dismissed")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200] and sorted(answer.action for answer in site.published) == ["acknowledged", "dismissed"]
    for answer in sorted(site.published, key=lambda answer: answer.action):
        site.notifier.log.put(FEEDBACK, record_of(answer), site.at_ms)
    site.step()
    assert site.waiting() == [], "the last of them, a dismissal, is followed by no reminder"


MISTAKES = [paging_goes_on_after_an_acknowledgement, an_old_acknowledged_alert_escalates_months_later, a_late_acknowledgement_reopens_what_is_closed, reminders_for_what_was_retracted, two_answers_at_once]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_the_mistakes_of_other_systems_are_not_made(site, mistake):
    mistake(site)


# --- clocks ---
def test_sleep_of_the_machine_moves_nothing_and_a_clock_that_is_set_does(site, monkeypatch):
    """Linux's monotonic clock stands still while the machine sleeps."""
    wall_s, boot_s, monotonic_s = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    site.incident()
    site.step()
    (step,) = [each for each in logged(site.notifier.file) if each.until_answered]

    def passes(wall, boot):
        clocks = SimpleNamespace(time=lambda: wall_s + wall, monotonic=lambda: monotonic_s, clock_gettime=lambda _: boot_s + boot, CLOCK_BOOTTIME=time.CLOCK_BOOTTIME)
        monkeypatch.setattr(module, "time", clocks)
        site.notifier._follow_clock()
        return next(each.due_ms for each in logged(site.notifier.file) if each.until_answered) - step.due_ms

    assert passes(8 * 3_600, 8 * 3_600) == 0
    assert abs(passes(9 * 3_600, 8 * 3_600) - 3_600_000) < 1_000


# --- answers ---
def test_police_are_told_of_an_objection_once_and_nobody_of_an_old_one(site):
    site.incident()
    site.incident("closed", 2)
    site.step()
    site.answer("acknowledged")
    site.step()
    wait_for("the incident", lambda: site.got("duty") == 2, 10)
    for _ in range(2):  # read twice after a crash
        site.answer("objected", reason="we hold a pass", answer_id="objection")
        site.step()
    wait_for("the objection", lambda: (site.got("duty"), site.got("real")) == (3, 3), 10)
    told = json.loads(written_lines(site.folder / "duty.jsonl")[-1])
    assert (told["id"], told["yichengstep"], told["data"]["incident_id"]) == (f"INCIDENT1/2/step/{OBJECTION}", OBJECTION, "INCIDENT1") and site.got("chief") == 0
    site.incident(at_ms=site.at_ms - 90 * DAY_MS, incident_id="OLD")
    site.step()
    before = site.got("duty")
    site.notifier.log.put(FEEDBACK, record_of(made_answer("OLD", "objected", site.at_ms, by="e", reason="r", answer_id="objected2")), site.at_ms - 89 * DAY_MS)
    site.step()
    assert [each for each in logged(site.notifier.file, incident_id="OLD") if each.step == OBJECTION] == [] and site.got("duty") >= before


@pytest.mark.parametrize("end", ["upheld", "rejected", "acknowledged", "retracted"])
def test_an_objection_that_nobody_decides_escalates_as_incidents_do(site, end):
    site.incident(at_ms=site.at_ms - 10 * DAY_MS)
    site.incident("closed", 2, at_ms=site.at_ms - 10 * DAY_MS)
    site.answer("acknowledged", at_ms=site.at_ms - 9 * DAY_MS)
    site.step()
    assert site.waiting() == [], "the incident is closed and has been answered"
    site.answer("objected", reason="we hold a pass", answer_id="objection")
    site.answer("noted", reason="asked the enterprise")
    site.step()
    assert site.waiting() == [("chief", OBJECTION_ESCALATES + 1)]
    if end == "retracted":
        site.incident("retracted", 3)
    else:
        site.answer(end, reason="why", answer_id="decision1", at_ms=site.at_ms + 60_000)
    site.step()
    assert site.waiting() == [], end
    assert [each.state for each in logged(site.notifier.file, sink="chief") if each.step > OBJECTION_ESCALATES] == [DROPPED]


def test_an_objection_that_has_waited_is_told_to_those_whom_it_escalates_to(site):
    old_ms = site.at_ms - 10 * DAY_MS
    site.write(ROUTES.replace("15m", "5s"))
    site.incident("closed", 2, at_ms=old_ms)
    site.step()
    with closing(connect(site.notifier.file)) as db:  # it has been in the outbox for so long
        db.execute("UPDATE events SET made_ms = ?", (old_ms,))
    site.answer("objected", reason="we hold a pass", answer_id="objection")
    site.step()
    wait_for("its escalation", lambda: site.got("chief") == 1, 20)
    told = json.loads(written_lines(site.folder / "chief.jsonl")[0])
    assert (told["id"], told["yichengstep"]) == (f"INCIDENT1/2/step/{OBJECTION_ESCALATES + 1}", OBJECTION_ESCALATES + 1)
    assert marks(event("closed").incident, "closed", told["yichengstep"], unanswered=True) == "[企业申诉 OBJECTION] [无人应答 UNANSWERED] "


@pytest.mark.parametrize("kind", ["opened", "closed"])
def test_an_objection_is_marked_as_one_in_both_languages(kind):
    assert marks(event(kind).incident, kind, OBJECTION).endswith("[企业申诉 OBJECTION] ")


def test_nobody_is_reminded_of_what_was_closed_after_its_acknowledgement(site):
    site.incident()
    site.answer("acknowledged")
    site.step()
    assert site.waiting() == [("chief", REMINDER + 1), ("duty", REMINDER)]
    site.incident("closed", 2)
    site.step()
    assert site.waiting() == []


@pytest.mark.parametrize("revision", [2, None])
def test_an_answer_to_what_was_taken_back_ends_nothing_of_what_came_again(site, revision):
    site.incident()
    site.incident("retracted", 2)
    site.step()
    if revision is None:
        site.answer("acknowledged")
        site.step()
    site.at_ms += 1_000
    site.incident("opened", 3)
    site.step()
    if revision:
        site.answer("acknowledged", revision=revision)
        site.step()
    assert site.waiting() == [("chief", 1)]
    site.answer("acknowledged", revision=3)
    site.step()
    assert ("chief", 1) not in site.waiting()


@pytest.mark.parametrize("revision", [7, -1, 2**63, 2**64 - 1])
def test_an_answer_that_names_a_revision_that_nobody_knows_is_one_to_the_incident(site, revision):
    site.incident()
    site.answer("dismissed", revision=revision)
    site.step()
    assert site.waiting() == []


def test_an_answer_to_an_alert_of_the_system_stops_nobody(site):
    site.notifier.outbox.put([(Entry("alert1", 1, b'{"id": "alert/1"}'), [])], site.at_ms)
    site.notifier.log.put(FEEDBACK, record_of(made_answer("alert1", "acknowledged", site.at_ms, by="a")), site.at_ms)
    site.incident()
    site.step()
    assert site.waiting() == [("chief", 1)]


def test_an_enterprise_objects_long_after_the_delivery_log_has_forgotten(site):
    site.incident()
    site.incident("closed", 2)
    site.step()
    wait_for("all", lambda: site.got("duty") == site.got("real") == 2 and not [each for each in logged(site.notifier.file) if each.state == 0 and not each.until_answered], 20)
    url = site.notifier.links.url("INCIDENT1", "enterprise").partition("?")[2]
    site.answer("fined")
    site.step()
    site.at_ms += 8 * DAY_MS
    for _ in range(5):
        site.step()
    assert logged(site.notifier.file) == []
    assert site.request(f"/incidents?{url}")[0] == 200
    token = urllib.parse.parse_qs(url)["token"][0]
    assert site.request("/v1/answers", {"token": token, "answer_id": "objection-1", "revision": "2", "by": "a", "reason": "b", "action": "objected"})[0] == 200
    assert [answer.action for answer in site.published] == ["objected"]
    site.at_ms += 38 * DAY_MS
    for _ in range(5):
        site.step()
    assert site.notifier.last_event("INCIDENT1") is None


def test_what_is_read_again_after_the_outbox_was_lost_goes_to_those_that_had_not_taken_it(site):
    """Incident 1 had been taken, a reminder of it waits; nobody had heard of the second but the archive; the third is new."""
    site.notifier.log.owed = Owed(3, {("chief", REMINDER + 1): ((0, 0),), ("duty", REMINDER): ((0, 0),), ("duty", 0): ((1, 1),)})
    site.notifier.log.known_until = 3
    site.incident()
    site.incident(incident_id="SECOND")
    site.answer("acknowledged")
    site.incident(incident_id="THIRD")
    site.step()
    wait_for("what is due", lambda: site.got("duty") == 2 and site.got("real") == 1, 10)
    assert [json.loads(line)["id"] for line in written_lines(site.folder / "duty.jsonl")] == ["SECOND/1", "THIRD/1"] and site.waiting() == [("chief", 1), ("chief", REMINDER + 1), ("duty", REMINDER)]


def test_an_answer_that_is_read_again_reminds_nobody_who_was_reminded(site):
    site.notifier.log.owed, site.notifier.log.known_until = Owed(3, {}), 3
    site.incident()
    site.answer("acknowledged")
    site.answer("objected", reason="why", answer_id="objection")
    site.step()
    assert logged(site.notifier.file) == []


# --- routes that change ---
def test_what_waits_for_a_sink_that_no_route_names_any_more_is_said_at_a_reload_and_at_a_start(site):
    site.incident()
    site.step()
    assert site.waiting() == [("chief", 1)]
    without = "\n".join(line for line in ROUTES.splitlines() if not line.startswith("  chief:")).replace(", escalate: [{after: 15m, to: chief}]", "")
    with capture_logs() as said:
        site.write(without)
        site.step()
        site.stop()
        site.start()
    assert [(line["sink"], line["waiting"]) for line in said if "no route names" in line["event"]] == [("chief", 1)] * 2
    assert REGISTRY.get_sample_value("courier_outbox_pending", {"sink": "chief"}) == 1
    assert drop_waiting(site.notifier.file, "chief", "gone") == 1
    site.step()
    assert REGISTRY.get_sample_value("courier_outbox_pending", {"sink": "chief"}) is None


def test_the_audit_log_has_each_routes_file_that_was_in_force(site):
    """Also one that was put in place while nothing ran; the same file again is no change."""

    def written_down():
        lines = [json.loads(line) for line in site.notifier.audit.path.read_bytes().splitlines()] if site.notifier.audit.path.exists() else []
        return [line["about"]["sha256"] for line in lines if line["action"] == module.ROUTES_CHANGED]

    def sha256():
        return hashlib.sha256((site.folder / "routes.yaml").read_bytes()).hexdigest()

    site.step()
    expected = [sha256()]
    assert written_down() == expected
    site.write(ROUTES + "# while it runs\n")
    site.step()
    expected.append(sha256())
    assert written_down() == expected
    site.stop()
    site.start()
    site.step()
    assert written_down() == expected
    site.stop()
    site.write(ROUTES + "# while nothing runs\n")
    site.start()
    site.step()
    site.step()
    assert written_down() == [*expected, sha256()]
    assert verify(site.notifier.audit.path).broken is None


def test_the_audit_log_says_whose_file_was_changed_and_has_one_hash_of_all_of_them_but_secrets(site):
    (site.folder / "holidays.ics").write_text(CALENDAR.format("a"))
    (site.folder / "token").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    site.write(ROUTES.replace("routes:", "  hook: {kind: webhook, url: 'http://127.0.0.1:9', secret_file: token}\ncalendars: {holidays: {file: holidays.ics}}\nroutes:"))
    site.step()

    def newest():
        return site.notifier.audit.newest(module.ROUTES_CHANGED)

    def sha256():
        return hashlib.sha256((site.folder / "routes.yaml").read_bytes() + (site.folder / "holidays.ics").read_bytes()).hexdigest()

    first = newest()
    assert (first.by, first.about["by_is"]) == (user_named(os.getuid()), module.OWNER)
    assert (first.about["files"], first.about["sha256"]) == ("routes.yaml holidays.ics", sha256())
    (site.folder / "token").write_text("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
    site.step()
    assert newest() == first, "a secret that is exchanged is no other route"
    (site.folder / "holidays.ics").write_text(CALENDAR.format("b"))
    site.step()
    assert (newest().about["changed"], newest().about["sha256"]) == ("holidays.ics", sha256())
