"""The page of an incident and the answers that it takes, over real HTTP: what it shows, whom it refuses, and that an answer counts once and nothing is answered by looking."""

import html
import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

import pytest

from consumers.answer_links import Link, Links
from consumers.answers.page import answer_pages
from consumers.audit import Audit, verify
from streams.clock import DAY_MS
from streams.errors import BadInput, Unavailable
from streams.process.pages import PageServer
from streams.wire.answers import Answer, made_answer, read_answer, record_of, standing
from streams.wire.cloudevents import cloudevent
from streams.wire.decode import Malformed
from streams.wire.incident import Evidence, IncidentData

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{1234321*3}}"
OPENED_MS = 1_790_000_000_000
NOW_MS = OPENED_MS + 60_000
NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def incident(state="open", revision=1, **more):
    return IncidentData(**{
        "incident_id": NAME, "revision": revision, "state": state, "rule": "restricted_zone", "rule_id": "core-hours", "policy": "hohhot-2019", "clause": "二（五）", "severity": "violation",
        "city": "150100", "zone_id": "core", "vehicle_id": "HH-1", "plate": "蒙A12345", "enterprise_id": "sf", "opened_at_ms": OPENED_MS, "last_seen_ms": OPENED_MS + 5_000,
        "closed_at_ms": OPENED_MS + 5_000 if state == "closed" else None, "lon": 111.66, "lat": 40.81, "fix_count": 2, "reason_zh": "驶入核心区", "reason_en": "drove into the core",
        "evidence": (Evidence("f-1", OPENED_MS, 111.66, 40.81, 31.5), Evidence("f-2", OPENED_MS + 5_000, None, None, None)), "clause_text": "禁止……驶入", "document": "暂行办法",
        "document_number": "呼政办〔2019〕1号", "basis": "stated", "figures": "illustrative", "duty_of": "enterprise", "responsible": ("市公安局",), **more,
    })  # fmt: skip


class Site:
    """The pages on a server of their own; what is published is in ``published``."""

    def __init__(self, folder, monkeypatch):
        self.now_ms = NOW_MS
        monkeypatch.setattr("consumers.answers.page.now_ms", lambda: self.now_ms)
        monkeypatch.setattr("consumers.answers.api.now_ms", lambda: self.now_ms)
        self.links = Links(b"k" * 32, "http://127.0.0.1:1", lambda: self.now_ms)
        self.audit = Audit(folder / "audit.jsonl")
        self.events, self.published, self.followed, self.down = {}, [], [], False
        self.put(incident())
        gets, posts = answer_pages(self.links, self.events.get, self.publish, self.audit, "token-of-another-system", earlier=lambda name: [a for a in self.followed if a.incident_id == name])
        self.server = PageServer("127.0.0.1", 0, gets, posts)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def put(self, data):
        self.events[data.incident_id] = cloudevent("updated", data)[1]

    def publish(self, answer):
        if self.down:
            raise Unavailable("Kafka at secret-host:9092 did not answer")
        self.published.append(answer)

    def token(self, audience="police", name=NAME):
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.links.url(name, audience)).query)["token"][0]

    def request(self, path, body=None, headers=None, method=None):
        asked = urllib.request.Request(self.base + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def show(self, audience="police", name=NAME):
        return self.request(f"/incidents?token={self.token(audience, name)}")

    def post(self, fields, **headers):
        body = urllib.parse.urlencode(fields).encode()
        return self.request("/v1/answers", body, {"Content-Type": "application/x-www-form-urlencoded", **headers})

    def fill(self, action, audience="police", **said):
        """Post the form of an action as a browser would: with what the page put into it."""
        forms = Forms(self.show(audience)[2]).found
        return self.post({**forms[action], "by": "警员 王", "reason": "", **said, "action": action})

    def feedback(self, body, token="token-of-another-system", kind="application/json"):
        status, headers, text = self.request("/v1/feedback", body if isinstance(body, bytes) else json.dumps(body).encode(), {"Authorization": f"Bearer {token}", "Content-Type": kind})
        return status, json.loads(text)


class Forms(HTMLParser):
    """The forms of a page: by the action of their button their hidden fields."""

    def __init__(self, text):
        super().__init__()
        self.found, self.fields, self.tags = {}, None, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag == "form":
            assert given["method"] == "post"
            self.fields = {}
        elif tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"]] = given["value"]
        elif tag == "button":
            self.found[given["value"]] = self.fields


@pytest.fixture
def site(tmp_path, monkeypatch):
    made = Site(tmp_path, monkeypatch)
    yield made
    made.server.shutdown()
    made.server.server_close()


# --- showing ---
def test_the_page_says_what_where_when_by_which_words_and_on_what_evidence(site):
    status, _, page = site.show()
    text = re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", page)))
    assert status == 200
    for said in (
        "驶入核心区", "drove into the core", "蒙A12345", "HH-1", "sf", "40.810000, 111.660000", "2026-09-21 22:13:20", "禁止……驶入", "《暂行办法》 呼政办〔2019〕1号", "二（五）", "文件明确要求",
        "stated in the document", "责任单位：市公安局", "f-1", "31.5", "进行中 open", "尚未答复 not answered", "acknowledge", "dismiss", "core-hours",
    ):  # fmt: skip
        assert said.replace("》 ", "》") in text, said
    assert set(Forms(page).found) == {"acknowledged", "dismissed", "fined", "noted"}
    assert "<script" not in page and "http://" not in page and "https://" not in page


PERSONAL = {"plate": "蒙A12345", "vehicle": "HH-100001", "driver": "D-778899"}


@pytest.mark.parametrize("mask", [{"plate"}, {"vehicle"}, {"driver"}, set(PERSONAL)], ids=lambda mask: "+".join(sorted(mask)))
def test_what_a_route_masks_is_masked_on_the_page_in_facts_and_sentences(site, mask):
    sentence = "".join(PERSONAL.values())
    site.put(incident(vehicle_id="HH-100001", driver_id="D-778899", reason_zh=f"车辆 {sentence} 驶入", reason_en=f"Vehicle {sentence} drove", evidence=(Evidence("HH-100001/7", OPENED_MS, 1.0, 1.0, 1.0),)))
    site.followed = [Answer(incident_id=NAME, action="dismissed", time_ms=1, by="a", reason=f"救援 {sentence}", answer_id="12345678")]
    token = site.links.url(NAME, "police", frozenset(mask)).partition("token=")[2]
    form = {"token": token, "answer_id": "87654321", "revision": "1", "by": "b", "reason": sentence, "action": "noted"}
    pages = [site.request(f"/incidents?token={token}"), site.post(form)]
    for status, _, page in pages:
        assert status == 200 and "救援" in page and "drove" in page
        assert {kind for kind, text in PERSONAL.items() if text not in page} == mask
        assert "***" in page
    assert all(text in site.show()[2] for text in PERSONAL.values()), "a link without a mask shows it"


def test_looking_never_answers_whoever_looks_and_however_often(site):
    for method in ("GET", "HEAD", "GET"):
        assert site.request(f"/incidents?token={site.token()}&action=acknowledged&by=x&answer_id=12345678&revision=1", method=method)[0] == 200
    assert site.request(f"/v1/answers?token={site.token()}&action=acknowledged&by=x&answer_id=12345678&revision=1")[0] == 404  # GET of what takes a form
    assert not site.published and not site.audit.path.exists()


def test_everything_from_elsewhere_is_escaped(site):
    site.put(incident(**dict.fromkeys(("plate", "vehicle_id", "reason_zh", "reason_en", "clause_text", "document", "document_number", "rule_id", "policy", "severity", "zone_id"), NASTY),
                      responsible=(NASTY,), evidence=(Evidence(NASTY, OPENED_MS, 1.0, 1.0, 1.0),), continued_by=NASTY))  # fmt: skip
    site.followed = [Answer(incident_id=NAME, action="acknowledged", time_ms=2**62, by=NASTY, reason=NASTY), Answer(incident_id=NAME, action=NASTY, time_ms=1, by=NASTY, reason=NASTY)]
    for audience in ("police", "enterprise"):
        page = site.show(audience)[2]
        tags = Forms(page).tags
        assert not [tag for tag, given in tags if tag in {"script", "img"} or any(name.startswith("on") for name in given)] and "3702963" not in page
        assert page.count("&lt;script&gt;") > 5


def test_no_browser_keeps_frames_or_sniffs_a_page_or_tells_where_it_came_from(site):
    pages = [site.show(), site.request("/incidents?token=x"), site.post({"token": "x"}), site.fill("acknowledged")]
    for _, headers, page in pages:
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "form-action 'self'" in policy and "unsafe" not in policy
        assert (headers["Cache-Control"], headers["Referrer-Policy"], headers["X-Content-Type-Options"]) == ("no-store", "no-referrer", "nosniff")
        assert headers["Content-Type"] == "text/html; charset=utf-8" and "style=" not in page


def test_a_link_that_is_forged_expired_or_foreign_is_told_one_sentence(site):
    good = site.token()
    foreign = Links(b"o" * 32, "http://127.0.0.1:1", lambda: NOW_MS).token(Link(NAME, "police", NOW_MS + DAY_MS))
    expired = site.links.token(Link(NAME, "police", NOW_MS))
    wrong = ["", "x", good[:-1], good + "&token=" + good, foreign, expired, good.replace("police", "enterprise")]
    said = {site.request(f"/incidents?token={token}")[::2] for token in wrong}
    assert len(said) == 1 and next(iter(said))[0] == 403 and NAME not in str(said) and "蒙A" not in str(said)
    fields = {"action": "acknowledged", "by": "x", "answer_id": "12345678", "revision": "1"}
    assert {site.post({**fields, "token": token})[0] for token in ("", "x", foreign, expired)} == {403} and not site.published
    assert site.request("/incidents?" + "&".join(["token=x"] * 999))[0] == 403


def test_an_incident_that_is_not_kept_any_more_is_said(site):
    assert site.show(name="OTHER")[0] == 404 and "不再" not in site.show(name="OTHER")[2]
    site.events["BROKEN"] = b"{}"
    assert site.show(name="BROKEN")[0] == 404


# --- answering ---
def test_a_form_answers_and_the_page_says_so(site):
    status, _, page = site.fill("dismissed", reason="救援车辆\r\n属实")
    (answer,) = site.published
    assert status == 200 and "答复已记录" in page and "救援车辆" in page and "已驳回" in page and 'action="../v1/answers"' in page
    assert (answer.incident_id, answer.action, answer.by, answer.reason, answer.revision) == (NAME, "dismissed", "警员 王", "救援车辆\n属实", 1)
    assert answer.time_ms == NOW_MS
    (line,) = [json.loads(line) for line in site.audit.path.read_bytes().splitlines()]
    assert (line["action"], line["by"], line["about"]["incident_id"], line["about"]["answer_id"]) == ("dismissed", "警员 王", NAME, answer.answer_id)
    assert "救援" not in site.audit.path.read_text("utf-8")


def test_a_form_sent_twice_answers_once_after_a_restart_too(site):
    form = {**Forms(site.show()[2]).found["fined"], "by": "a", "reason": "", "action": "fined"}
    assert [site.post(form)[0] for _ in range(3)] == [200] * 3 and len(site.published) == 1
    assert verify(site.audit.path).lines == 1
    assert site.post({**form, "by": "b"})[0] == 409 and len(site.published) == 1
    site.followed, site.published = site.published, []  # another process: what was published comes back from Kafka
    gets, posts = answer_pages(site.links, site.events.get, site.publish, site.audit, None, earlier=lambda _: site.followed)
    site.server.pages, site.server.posts = gets, posts
    assert site.post(form)[0] == 200 and not site.published and site.show()[2].count("<li>") == 1


def test_two_answers_at_once_are_both_kept(site):
    forms = [{**Forms(site.show()[2]).found[action], "by": by, "reason": "r", "action": action} for action, by in (("acknowledged", "a"), ("dismissed", "b"))]
    both, slow = threading.Barrier(2), site.publish

    def publish(answer):
        threading.Event().wait(0.2)  # the other one is there meanwhile
        slow(answer)

    site.server.posts = answer_pages(site.links, site.events.get, publish, site.audit, None)[1]
    statuses = []
    threads = [threading.Thread(target=lambda form=form: [both.wait(), statuses.append(site.post(form)[0])]) for form in forms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200] and sorted(answer.action for answer in site.published) == ["acknowledged", "dismissed"]


def test_an_answer_while_kafka_is_away_is_not_taken_and_may_be_sent_again(site):
    form = {**Forms(site.show()[2]).found["acknowledged"], "by": "a", "reason": "", "action": "acknowledged"}
    site.down = True
    status, _, page = site.post(form)
    assert status == 503 and "稍后再试" in page and "try again later" in page and "secret-host" not in page
    site.down = False
    assert site.post(form)[0] == 200 and len(site.published) == 1
    assert [json.loads(line)["action"] for line in site.audit.path.read_bytes().splitlines()] == ["acknowledged", "not published", "acknowledged"]


def test_an_answer_that_cannot_be_audited_is_not_taken(site):
    site.audit.path.mkdir()
    assert site.fill("acknowledged")[0] == 503 and not site.published


def test_a_form_that_is_none_is_refused(site):
    good = {**Forms(site.show()[2]).found["dismissed"], "by": "a", "reason": "r", "action": "dismissed"}
    wrong = [{"by": " "}, {"reason": ""}, {"reason": "x" * 501}, {"by": "x" * 65}, {"answer_id": "short"}, {"answer_id": "a" * 65}, {"revision": "-1"}, {"revision": "1e3"}, {"revision": "9" * 30}, {"by": "a\x1b[2J"}]
    assert [site.post({**good, **change})[0] for change in wrong] == [400] * len(wrong)
    assert [site.post({**good, "action": action})[0] for action in ("objected", "", "whatever")] == [403] * 3
    assert site.post([*good.items(), ("by", "b")])[0] == 400
    assert site.post({**good, **{f"x{n}": "y" for n in range(20)}})[0] == 400
    assert site.post(good, **{"Content-Type": "text/plain"})[0] == 415
    assert site.post({**good, "reason": "x" * 20_000})[0] == 415
    assert site.request("/v1/answers", b"token=\xff", {"Content-Type": "application/x-www-form-urlencoded"})[0] == 400
    assert not site.published and not site.audit.path.exists()


@pytest.mark.parametrize("state", ["closed", "retracted"])
def test_a_late_answer_is_kept_and_reopens_nothing(site, state):
    site.put(incident(state, revision=3))
    status, _, page = site.fill("acknowledged")
    (answer,) = site.published
    assert status == 200 and answer.revision == 3
    assert ("已保存" in page) == (state == "retracted")
    assert {"closed": "已结束", "retracted": "已撤回"}[state] in page and "进行中" not in page
    assert ("尚未答复" in page) == (state == "retracted")  # of what is closed it is the answer, of what was taken back it is none
    assert standing(site.published, {3} if state == "retracted" else ()).state == (None if state == "retracted" else "acknowledged")


# --- objections ---
def test_an_enterprise_objects_once_before_the_deadline_and_police_decide(site):
    page = site.show("enterprise")[2]
    assert set(Forms(page).found) == {"objected"} and "截止" in page
    assert site.fill("objected", "enterprise", by="顺丰", reason="")[0] == 400
    assert site.fill("objected", "enterprise", by="顺丰", reason="车辆已报停")[0] == 200
    form = Forms(site.show("police")[2]).found
    assert {"upheld", "rejected"} < set(form) and not Forms(site.show("enterprise")[2]).found
    objection = site.published[0]
    token = site.token("enterprise")
    again = {"token": token, "answer_id": "another-id", "revision": "1", "by": "a", "reason": "b", "action": "objected"}
    assert site.post(again)[0] == 409
    for action in ("acknowledged", "dismissed", "fined", "upheld"):  # its link is for nothing else
        assert site.post({**again, "answer_id": f"{action}-1", "action": action})[0] == 403
    assert site.fill("rejected", reason="")[0] == 400
    assert site.fill("upheld")[0] == 200
    assert (site.published[1].action, site.published[1].objection) == ("upheld", objection.answer_id)
    assert standing(site.published).objection == "upheld" and standing(site.published).state == "dismissed"
    page = site.show("enterprise")[2]
    assert "申诉成立" in page and "车辆已报停" in page and "警员" not in page
    late = {"token": site.token(), "answer_id": "late-decision", "revision": "1", "by": "a", "reason": "b", "action": "rejected"}
    assert site.post(late)[0] == 409 and len(site.published) == 2


def test_after_the_deadline_an_enterprise_reads_and_no_longer_objects(site):
    form = {**Forms(site.show("enterprise")[2]).found["objected"], "by": "a", "reason": "b", "action": "objected"}
    site.now_ms = OPENED_MS + 5_000 + 15 * DAY_MS
    assert set(Forms(site.show("enterprise")[2]).found) == {"objected"}
    site.now_ms += 1
    status, _, page = site.show("enterprise")
    assert status == 200 and not Forms(page).found and "申诉期限已过" in page
    status, _, page = site.post(form)
    assert status == 403 and "申诉期限已过" in page and not site.published


def test_after_the_deadline_another_system_cannot_object_either(site):
    said = {**SAID, "action": "objected", "reason": "车辆已报停"}
    site.now_ms = OPENED_MS + 5_000 + 15 * DAY_MS + 1
    status, refusal = site.feedback(said)
    assert status == 403 and "申诉期限已过" in refusal["error_zh"] and not site.published
    site.now_ms -= 1
    assert site.feedback(said)[0] == 200
    site.now_ms += DAY_MS
    assert site.feedback(said)[0] == 200 and len(site.published) == 1, "what was taken in time is the same when it is sent again"


def test_an_enterprise_reads_neither_names_nor_notes_of_the_police(site):
    assert site.fill("noted", reason="内部备注")[0] == site.fill("dismissed", reason="内部理由")[0] == 200
    page = site.show("enterprise")[2]
    assert "已驳回" in page and not [word for word in ("内部备注", "内部理由", "警员 王") if word in page]
    assert all(word in site.show()[2] for word in ("内部备注", "内部理由", "警员 王"))


# --- another system ---
SAID = {"answer_id": "pol-0001", "incident_id": NAME, "action": "fined", "by": "平台"}


def test_another_system_answers_once(site):
    assert [site.feedback(SAID) for _ in range(2)] == [(200, {"incident_id": NAME, "answer_id": "pol-0001", "status": "recorded"})] * 2
    assert site.feedback({**SAID, "action": "acknowledged"})[0] == 409
    (answer,) = site.published
    assert (answer.action, answer.by, answer.answer_id, answer.revision) == ("fined", "平台", "pol-0001", 1)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"by": ""}, 400), ({"by": "  "}, 400), ({"by": 7}, 400), ({"action": "paid"}, 400), ({"action": "dismissed"}, 400), ({"answer_id": "x"}, 400), ({"extra": 1}, 400), ({"revision": "1"}, 400),
        ({"revision": -1}, 400), ({"incident_id": "*"}, 400), ({"incident_id": "OTHER"}, 404), ({"action": "upheld"}, 409), ({"objection": "pol-0000"}, 400), ({"reason": "x" * 501}, 400), ({"time_ms": 1}, 400),
    ],
)  # fmt: skip
def test_a_body_that_is_no_answer_is_refused_in_both_languages(site, change, status):
    found, said = site.feedback({**SAID, **change})
    assert found == status and said["error"] and re.search("[\u4e00-\u9fff]", said["error_zh"]) and not site.published


def test_without_the_token_nobody_answers(site):
    for token in ("", "x", "token-of-another-syste", "令牌"):
        headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1"), "Content-Type": "application/json"}
        status, _, text = site.request("/v1/feedback", json.dumps(SAID).encode(), headers)
        assert status == 401 and "token-of-another-system" not in text
    assert site.request("/v1/feedback", json.dumps(SAID).encode(), {"Content-Type": "application/json"})[0] == 401
    for body in (b"", b"[]", b"{" * 1_000, b"\xff", b"null"):
        assert site.feedback(body)[0] == 400
    assert site.feedback(SAID, kind="text/plain")[0] == 415
    assert answer_pages(None, site.events.get, site.publish, site.audit, None) == ({}, {}) and not site.published


# --- records ---
def test_a_record_says_what_it_always_said_and_only_what_is_known_beside():
    assert json.loads(record_of(made_answer("I", "acknowledged", 5, by=None))) == {"incident_id": "I", "action": "acknowledged", "time_ms": 5, "by": None, "reason": None}
    said = made_answer("I", "rejected", 5, by="a", reason="b", answer_id="12345678", revision=2, objection="o")
    assert read_answer(record_of(said)) == said and len(json.loads(record_of(said))) == 8
    assert read_answer(b'{"incident_id":"I","action":"whatever","time_ms":1,"by":null,"reason":null,"further":[]}').answer_id is None
    for wrong in (b"{}", b"", b"\xff", b'{"incident_id":1,"action":"x"}'):
        with pytest.raises(Malformed):
            read_answer(wrong)
    with pytest.raises(BadInput, match="did you mean 'dismissed'"):
        made_answer("I", "dismised", 5, by=None)


def said(action, time_ms, answer_id=None, **more):
    return Answer(incident_id="I", action=action, time_ms=time_ms, answer_id=answer_id, **more)


def test_the_first_answer_counts_for_the_time_and_the_last_for_the_state():
    both = [said("dismissed", 7), said("acknowledged", 7)]
    assert (standing(both).state, standing(both).first_ms) == ("acknowledged", 7)  # of the same millisecond the place in the topic decides
    assert standing(both[::-1]).state == "dismissed"
    assert standing([said("fined", 9), said("acknowledged", 3)]).state == "fined" and standing([said("fined", 9), said("acknowledged", 3)]).first_ms == 3
    repeated = [said("acknowledged", 1, "x"), said("dismissed", 2, "y"), said("acknowledged", 3, "x")]
    assert standing(repeated).state == "dismissed"


def test_notes_and_objections_are_no_answers_and_what_decides_nothing_changes_nothing():
    assert standing([said("noted", 1), said("objected", 2, "o"), said("whatever", 3)]).first_ms is None
    assert standing([said("fined", 1), said("upheld", 2)]).state == "fined"  # there was no objection
    decided = [said("fined", 1), said("objected", 2, "o"), said("rejected", 3, objection="o"), said("upheld", 4, objection="o")]
    assert (standing(decided).state, standing(decided).objection) == ("fined", "rejected")
    assert standing([said("fined", 1), said("objected", 2, "o"), said("upheld", 3, objection="another")]).objection == "objected"
    twice = [said("objected", 1, "o"), said("objected", 2, "p"), said("upheld", 3, objection="o")]  # at once, by two ways
    assert standing(twice).objection == "upheld"
    assert standing([said("acknowledged", 1, revision=3), said("noted", 2)], {3}).state is None
