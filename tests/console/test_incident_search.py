"""All incidents that are held can be found, page by page, whatever of them a page has loaded; what is held is bounded, and nothing that is open is let go of."""

import json
from urllib.parse import urlencode

import pytest

from console.console_site import PLATE, Site, T, filled, incident, users_file
from consumers.console.city.incident_search import MOST_ROWS
from consumers.console.city.incidents import MOST_LISTED, Incidents
from streams.wire.decode import Malformed


def revision(name, at_ms, number=1, **more):
    more = {"revision": number, "opened_at_ms": at_ms, "last_seen_ms": at_ms, **more}
    return incident(name, **more)


def said(name, action="acknowledged", at_ms=T):
    return json.dumps({"incident_id": name, "action": action, "time_ms": at_ms, "by": None, "reason": None}).encode()


@pytest.fixture
def site(tmp_path):
    site = filled(Site(tmp_path))
    for number in range(60):
        site.city.enter_incident(revision(f"n{number:02}", T - 60_000 * number, vehicle_id=f"V-{number:03}", plate=f"蒙B{number:05}", rule="speeding" if number % 3 else "forbidden_stop", enterprise_id=f"e{number % 2}"))
    yield site
    site.stop()


def ask(site, cookie=None, **query):
    status, _, body = site.ask(f"/api/incidents?{urlencode(query)}", cookie=cookie)
    return status, json.loads(body)


def test_pages_of_incidents_go_on_where_the_last_one_ended(site):
    names, before = [], ""
    while before is not None:
        status, found = ask(site, limit=25, before=before)
        assert status == 200 and found["found"] == 61 == found["held"] and found["after"] == site.city.log.newest_id
        names += [row["incident_id"] for row in found["rows"]]
        before = found["before"]
    assert len(names) == 61 == len(set(names)) and names[:2] == ["n00", "i"] and names[-1] == "n59", "the newest first; of an instant the greater id"


def test_filters_and_texts_are_looked_for_in_all_of_them(site):
    site.city.enter_answer(said("n59"))
    assert ask(site, rule="forbidden_stop")[1]["found"] == 20 and ask(site, rule="forbidden_stop", enterprise="e1")[1]["found"] == 10
    assert [row["incident_id"] for row in ask(site, q="v-059")[1]["rows"]] == ["n59"] and ask(site, q="蒙b00059")[1]["found"] == 1 and ask(site, q="N0")[1]["found"] == 10
    assert ask(site, unanswered=1)[1]["found"] == 60 and ask(site, q="v-059")[1]["rows"][0]["answer"] == "acknowledged"
    assert ask(site, severity="warning", city="", basis="")[1]["found"] == 61 and ask(site, q="nobody")[1] == {"after": site.city.log.newest_id, "rows": [], "found": 0, "held": 61, "before": None}


def test_rubbish_in_a_question_is_said(site):
    for query in ({"limit": 0}, {"limit": MOST_ROWS + 1}, {"limit": "x"}, {"before": "x"}, {"before": "5-"}, {"before": "99999999999999999-a"}):
        status, found = ask(site, **query)
        assert status == 400 and found["error"], query


def test_viewers_find_nothing_by_plate_and_see_none(tmp_path):
    site = filled(Site(tmp_path, console_users=users_file(tmp_path)))
    viewer, officer = site.log_in("vera"), site.log_in("olga")
    assert ask(site)[0] == 401
    assert ask(site, viewer, q=PLATE[2:])[1]["found"] == 0 and ask(site, officer, q=PLATE[2:])[1]["found"] == 1
    (row,) = ask(site, viewer)[1]["rows"]
    assert PLATE not in json.dumps(row, ensure_ascii=False) and PLATE in json.dumps(ask(site, officer)[1], ensure_ascii=False)
    assert ask(site, viewer, q=PLATE)[0] == 403
    site.stop()


def test_the_oldest_that_are_over_are_let_go_of_and_no_open_one_is():
    known = Incidents(most=100)
    for number in range(300):
        known.enter(revision(f"n{number}", T + number, state="closed" if number % 10 else "open"))
        known.enter_answer(said(f"n{number}"))
    assert len(known.latest) == 100 == len(known.order) and sum(held.is_open for held in known.latest.values()) == 30 == known.counts()["open"]
    assert set(known.answers) == set(known.latest), "answers go with their incidents"
    assert min(held.opened_at_ms for held in known.latest.values() if not held.is_open) > T + 200
    assert known.enter(revision("old", T - 1, state="closed")) is None and "old" not in known.latest
    for number in range(0, 300, 10):
        known.enter(revision(f"n{number}", T + number, 2, state="retracted"))
    assert known.counts() == {"open": 0, "unanswered": 0} and not known.open_of and len(known.order) == 70
    known.enter(revision("new", T + 500))
    assert len(known.latest) == 100


def test_answers_that_come_first_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr("consumers.console.city.incidents.MOST_EARLY", 10)
    known = Incidents()
    for number in range(30):
        known.enter_answer(said(f"n{number}"))
    assert list(known.answers) == [f"n{number}" for number in range(20, 30)]
    assert known.enter(revision("n25", T)).answer == "acknowledged" and known.enter(revision("n5", T)).answer is None
    assert known.counts()["unanswered"] == 1


def test_sums_go_along_with_every_revision_and_answer():
    known = Incidents()
    known.enter(revision("a", T, enterprise_id="e", rule="unfiled_outlet", outlet_id="o"))
    known.enter(revision("b", T + 1))
    assert list(known.unfiled) == [("o", "e")] and sum(known.opened(T - 3_600_000, T + 3_600_000, None).values()) == 2 and sum(known.opened(T - 3_600_000, T + 3_600_000, "e").values()) == 1
    known.enter_answer(said("a", "dismissed"))
    assert known.counts() == {"open": 1, "unanswered": 1} and known.open_of == {"HH-1": 1}
    known.enter(revision("a", T, 2, enterprise_id="e", rule="unfiled_outlet", outlet_id="o", state="retracted"))
    assert not known.unfiled and sum(known.opened(T - 3_600_000, T + 3_600_000, None).values()) == 1 and [held.incident_id for held in known.listed()] == ["b"]


def test_old_open_ones_are_listed_beside_the_newest():
    known = Incidents()
    known.enter(revision("long", T - 1_000_000_000))
    for number in range(MOST_LISTED + 5):
        known.enter(revision(f"n{number}", T + number, state="closed"))
    listed = known.listed()
    assert len(listed) == MOST_LISTED + 1 and listed[-1].incident_id == "long" and listed[0].incident_id == f"n{MOST_LISTED + 4}"


def test_a_number_that_json_cannot_hold_everywhere_is_no_incident():
    with pytest.raises(Malformed):
        Incidents().enter(incident(fix_count=10**30))
