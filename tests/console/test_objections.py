"""An enterprise objects to an incident: the console says that a decision is asked for, and takes one."""

import json

import pytest

from console.console_site import Site, T, filled

OBJECTION = "0123456789abcdef"
LOADED = "() => window.yicheng?.state.incidents.size >= 1"


@pytest.fixture
def site(tmp_path):
    """One incident, acknowledged, to which its enterprise objects."""
    site = filled(Site(tmp_path))
    answer(site, "acknowledged", "f" * 16, 1)
    answer(site, "objected", OBJECTION, 2, reason="车辆持有通行证")
    yield site
    site.stop()


def answer(site, action, answer_id, after_ms, reason=None):
    said = {"incident_id": "i", "action": action, "time_ms": T + after_ms, "by": "顺达", "reason": reason, "answer_id": answer_id}
    site.city.enter_answer(json.dumps(said).encode())


def decide(site, action, **more):
    return site.ask("/api/answer", {"incident_id": "i", "action": action, "by": "Wang", "answer_id": "a" * 16, "reason": "证件核实", **more})


def details(site):
    return json.loads(site.ask("/api/incident?id=i")[2])


def test_it_waits_until_it_is_decided_and_is_decided_once(site):
    assert site.city.incidents.counts()["unanswered"] == 1 and (details(site)["answer"], details(site)["objected"], details(site)["objection"]) == ("acknowledged", True, OBJECTION)
    status, _, said = decide(site, "upheld", objection=OBJECTION)
    assert status == 200 and json.loads(said)["objection"] == OBJECTION
    assert (details(site)["answer"], details(site)["objected"]) == ("dismissed", False) and site.city.incidents.counts()["unanswered"] == 0
    status, _, said = decide(site, "rejected", objection=OBJECTION)
    assert status == 409 and "No objection waits" in said


def test_a_rejected_one_leaves_the_answer_of_before(site):
    assert decide(site, "rejected", reason="")[0] == 400, "why is to be said"
    assert decide(site, "rejected", objection=OBJECTION)[0] == 200
    assert (details(site)["answer"], details(site)["objected"]) == ("acknowledged", False)


def test_an_officer_finds_it_among_what_is_unanswered_and_decides_it(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en&unanswered=1#incident=i")
    page.wait_for_function(LOADED)
    page.wait_for_selector("#list .chip.objected")
    page.wait_for_selector("#panel .answers .chip.objected")
    assert "The enterprise objects" in page.text_content("#panel form") and "车辆持有通行证" in page.text_content("#panel .answers")
    assert page.locator("[data-action=acknowledged]").count() == 0
    page.click("[data-action=rejected]")
    assert "reason" in page.text_content("#panel .outcome"), "why is to be said"
    page.fill("#reason", "the pass ended in May")
    page.click("[data-action=rejected]")
    page.wait_for_selector("#panel .answers .chip.rejected")
    page.wait_for_selector("[data-action=acknowledged]")
    page.wait_for_function("() => !document.querySelector('#list [data-incident]')")
    assert page.locator("#panel-head .chip.objected").count() == 0
    assert site.sent[-1]["objection"] == OBJECTION and site.sent[-1]["reason"] == "the pass ended in May"
    watched.check()
