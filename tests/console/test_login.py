"""Logging in, in a real browser: the page for it, what each role is offered, and a session that ends while somebody writes."""

import pytest
from conftest import wait_for

from console.console_site import DRIVER, PASSWORD, PLATE, Site, filled, incident, users_file
from consumers.console.accounts.sessions import LONGEST_S
from streams.registry.records import Driver

LOADED = "() => window.yicheng?.state.incidents.size >= 1 && window.yicheng.fleet.count >= 1"


@pytest.fixture
def site(tmp_path):
    """A console with users."""
    site = filled(Site(tmp_path, console_users=users_file(tmp_path)))
    yield site
    site.stop()


def log_in(page, name, password=PASSWORD):
    page.fill("#user-name", name)
    page.fill("#password", password)
    page.keyboard.press("Enter")


def check(watched):
    """All is well, but for what browsers say of answers that want a login."""
    watched.complaints = [text for text in watched.complaints if "401" not in text]
    watched.check()


def test_who_logs_in_gets_the_page_of_the_link_and_what_the_role_may(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en#incident=i")
    page.wait_for_selector("#user-name:focus")
    assert page.title().startswith("Log in") and page.locator("#map").count() == 0
    log_in(page, "vera", "not this one")
    page.wait_for_function("() => document.querySelector('.problem').textContent === 'No such name, or another password.'")
    assert page.evaluate("document.activeElement.id") == "password" and page.input_value("#user-name") == "vera"
    page.click("#lang")
    assert page.text_content("h1 small") == "快递车辆与快件监管控制台" and page.input_value("#user-name") == "vera"
    page.click("#lang")
    log_in(page, "vera")
    page.wait_for_selector("#panel .reason")
    assert PLATE not in page.content() and "蒙A***6" in page.text_content("#panel") and page.evaluate("location.hash") == "#incident=i"
    page.wait_for_selector("#me")
    assert page.locator("#panel .answer").is_hidden() and page.get_attribute("#search", "placeholder") == "Number" and page.get_attribute("#me", "aria-label") == "vera (Viewer)"
    page.click("#panel [data-vehicle]")
    page.wait_for_function("() => document.querySelector('#panel h2').textContent === 'HH-1'")
    assert "***" in page.text_content("#panel .facts") and page.locator("#unmask").count() == 0 and DRIVER not in page.content()
    site.now_s += LONGEST_S + 1
    page.reload()
    page.wait_for_selector("#login [role=status]")
    assert page.text_content("#login [role=status]") == "Your session has ended; log in again."
    log_in(page, "vera")
    page.click("#me")
    assert "plates and drivers are masked" in page.text_content("#me-menu")
    page.click("#log-out")
    page.wait_for_selector("#user-name:focus")
    check(watched)


def test_an_officer_answers_and_unmasks_and_what_is_written_outlives_the_session(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en#vehicle=HH-1")
    log_in(page, "olga")
    page.click("#unmask")
    page.wait_for_selector("#unmask-reason:focus")
    page.keyboard.type("an accident")
    page.keyboard.press("Enter")
    page.wait_for_function("(driver) => document.querySelector('#panel .facts').textContent.includes(driver)", arg=DRIVER)
    assert site.audit()[-1] == ("unmasked", "olga", {"vehicle_id": "HH-1", "reason": "an accident", "through": "console"})
    page.click("#panel [data-incident]")
    page.wait_for_selector("#panel .answer")
    assert PLATE in page.text_content("#panel") and page.locator("#by").is_hidden() and page.locator("#audit").count() == 0
    page.fill("#reason", "a permit")
    site.now_s += LONGEST_S + 1
    page.wait_for_selector("dialog .login-form")
    assert page.text_content("dialog h2") == "Your session has ended" and page.evaluate("document.activeElement.id") == "password"
    page.keyboard.press("Escape")
    assert page.locator("dialog").is_visible()
    page.evaluate("() => { fetch('/api/incident?id=i').then((answer) => { window.answered = answer.status; }); }")
    log_in(page, "olga")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_function("() => window.answered === 200")
    assert page.input_value("#reason") == "a permit"
    page.click("[data-action=noted]")
    wait_for("the answer", lambda: [answer["by"] for answer in site.sent] == ["olga"])
    wait_for("events to go on", lambda: "a permit" in page.text_content("#panel .answers"))
    wait_for("no word of an outage", lambda: page.locator("#status.bad").count() == 0 or "lost" not in page.text_content("#status"))
    check(watched)


def test_an_admin_reads_the_audit_log(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en")
    log_in(page, "anna")
    page.wait_for_selector("#me")
    page.focus("#me")
    page.keyboard.press("Enter")
    page.click("#audit")
    page.wait_for_selector("dialog.audit tbody tr")
    assert "Lines: 1;" in page.text_content("dialog.audit") and "Logged in" in page.text_content("dialog.audit tbody tr") and "anna" in page.text_content("dialog.audit tbody tr")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.audit", state="detached")
    check(watched)


def test_what_is_said_of_a_vehicle_meanwhile_does_not_take_the_reason_away(site, watch):
    """The panel was asked for anew before the officer began to write, and the answer comes while they do."""
    watched, asked = watch(site.url), []
    page = watched.open("/?lang=en#vehicle=HH-1")
    log_in(page, "olga")
    page.wait_for_selector("#unmask")
    page.route("**/api/vehicle?*", lambda route, request: asked.append(route))
    wait_for("the panel is asked for again", lambda: page.wait_for_timeout(50) or asked, 30)
    page.click("#unmask")
    page.wait_for_selector("#unmask-reason:focus")
    page.keyboard.type("an ")
    with page.expect_response("**/api/vehicle?*"):
        asked[0].continue_()
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    page.keyboard.type("accident")
    assert page.evaluate("document.activeElement.id") == "unmask-reason" and page.input_value("#unmask-reason") == "an accident"
    check(watched)


def test_a_driver_who_was_unmasked_is_named_in_the_papers_and_in_an_incident(site, watch):
    site.city.registry.add([Driver(id=DRIVER, trained_until="2030-01-01")])
    site.city.enter_incident(incident("d", driver_id=DRIVER))
    watched = watch(site.url)
    page = watched.open("/?lang=en#vehicle=HH-1")
    log_in(page, "olga")
    page.wait_for_selector("#panel .drivers li")
    assert DRIVER not in page.content()
    for panel, shown, seen in (("vehicle=HH-1", "#panel .drivers", "#panel .drivers"), ("incident=d", "#panel p.reason", "#panel .facts")):
        page.evaluate("(panel) => { location.hash = panel; }", panel)
        page.wait_for_selector(shown)  # not the button of the panel before
        page.click("#unmask")
        page.wait_for_selector("#unmask-reason:focus")
        page.keyboard.type("an accident")
        page.keyboard.press("Enter")
        page.wait_for_function("([seen, driver]) => document.querySelector(seen).textContent.includes(driver)", arg=[seen, DRIVER])
    assert [about for action, _, about in site.audit() if action == "unmasked"] == [{"vehicle_id": "HH-1", "reason": "an accident", "through": "console"}, {"incident_id": "d", "reason": "an accident", "through": "console"}]
    check(watched)


def test_a_wall_whose_session_has_ended_says_so_in_a_line_and_goes_on_once_somebody_logs_in(site, watch):
    watched = watch(site.url)
    page = watched.open("/?lang=en&wall=3600")
    log_in(page, "vera")
    page.wait_for_function(LOADED)
    site.now_s += LONGEST_S + 1
    page.wait_for_function("() => document.querySelector('#wall-note').textContent.startsWith('The session has ended')")
    assert page.locator("dialog").count() == 0 and page.locator("#wall .page").is_visible()
    other = watched.context.new_page()
    other.goto(f"{site.url}/?lang=en")
    log_in(other, "vera")
    other.wait_for_function(LOADED)
    page.wait_for_function("() => !document.querySelector('#wall-note').textContent.startsWith('The session has ended')")
    site.city.enter_incident(incident("after"))
    page.wait_for_function("() => yicheng.state.incidents.has('after')")
