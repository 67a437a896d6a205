"""A phone in the dark, on a console in this process: what zones forbid until when, a filter by city, where incidents happen, addresses of no view; and axe finds nothing. Quick: the other tests of these take long."""

import json

from console.console_site import Site, T, filled, incident
from console.test_axe import mistakes
from streams.policy.checks import pack_record
from streams.policy.reader import load_policy

HEAT = "() => { const { map } = yicheng.map; return map.getLayer('heat-dots') && map.queryRenderedFeatures({ layers: ['heat-dots', 'heat-cells'] }).length === 2; }"


def test_the_live_view_on_a_phone_in_the_dark(tmp_path, watch):
    site = filled(Site(tmp_path))
    site.city.enter_policy(b"hohhot-2019", pack_record([load_policy("hohhot-2019").pack.source]))
    for name, city, lon in (("here", "150100", 111.65), ("there", "330600", 111.70)):
        site.city.enter_incident(incident(name, city=city, lon=lon, lat=40.81, opened_at_ms=T + 1))
    site.city.tick()
    watched = watch(site.url, "phone", color_scheme="light", reduced_motion="reduce")
    page = watched.open("/?lang=en")
    page.wait_for_selector(".zone-label.closed")
    assert page.inner_text(".zone-label.closed") == "city core\nNo entry · until 20:00"
    page.click("#theme")
    page.reload()
    page.wait_for_selector(".zone-label.closed")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark", "as it was left"
    page.wait_for_selector("#f-city:not([hidden])")
    page.select_option("#f-city", "330600")
    assert page.evaluate("yicheng.filtered().map((row) => row.incident_id)") == ["there"] and "city=330600" in page.evaluate("location.search")
    found = {"incidents": mistakes(page)}
    page.click("#clear")
    page.click("#tab-heat")
    page.wait_for_selector("#list table.heat tbody tr")
    page.wait_for_function(HEAT)
    assert page.locator("#list table.heat tbody tr").count() == 2 and page.inner_text("#heat-note").endswith("1 more have no place")
    found["heat"] = mistakes(page)
    assert found == {"incidents": [], "heat": []}, json.dumps(found, indent=1)
    for name in ("nonsense", "constructor", "__proto__", "%ff"):
        page.evaluate("(name) => new Promise((done) => { addEventListener('hashchange', () => setTimeout(done), { once: true }); location.hash = `view=${name}`; })", name)
        assert page.is_visible("#list") and page.is_hidden("#view"), name
    watched.check()
    site.stop()
