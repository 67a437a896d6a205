"""axe-core finds no mistake of names, roles, contrast or order in any view, in both themes and at both sizes."""

from importlib.resources import files

import pytest

from console.conftest import WatchedPage
from console.console_site import Site, filled, users_file
from console.test_login import log_in

AXE = "() => axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((one) => [one.id, one.help, ...one.nodes.slice(0, 5).map((node) => node.html.slice(0, 200))]))"
READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.rows.length >= 10"
VIEWS = {
    "": "#list li, #list tr, #list [data-incident]", "#view=rates": "#view table", "#view=outlets": "#outlets-table table", "#view=replay": "#replay form", "#view=policy": "#policy-panel h3",
    "incident": "#panel h2", "vehicle": "#panel h2",
}  # fmt: skip
"""What is opened, and what is there when it is; ``incident`` and ``vehicle``: the panel of one."""
TABS = [("", "tab-vehicles", "#list table"), ("", "tab-zones", "#list .zone"), ("", "tab-heat", "#list table.heat"), ("#view=policy", "policy-tab-applies", ".applies"), ("#view=policy", "policy-tab-draw", ".draw"), ("#view=outlets", "outlets-tab-facilities", "#outlets-table table")]
"""Tabs: in which view, their ids, and what is there when one is chosen."""


def mistakes(page):
    """What axe finds in a page as it is now."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    return page.evaluate(AXE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("size", "theme", "locale"), [("desk", "light", "zh-CN"), pytest.param("phone", "dark", "en-GB", marks=pytest.mark.long), pytest.param("desk", "dark", "zh-CN", marks=pytest.mark.long)])
def test_axe_finds_nothing_in_any_view(console, recorded_day, watch, launch, tmp_path, size, theme, locale):
    demo, found = console("--demo", recorded_day, "--speedup", 3600), {}
    seen = watch(demo.url, size, color_scheme=theme, reduced_motion="reduce")
    page = seen.open(f"/?lang={locale[:2]}")
    page.wait_for_function(READY)
    for view, there in VIEWS.items():
        page.wait_for_function(READY)  # the day begins anew meanwhile
        chosen = page.evaluate("(kind) => kind === 'incident' ? [...window.yicheng.state.incidents.keys()][0] : kind === 'vehicle' ? window.yicheng.fleet.rows[0][0] : null", view)
        page.evaluate("(hash) => { location.hash = hash; }", f"#{view}={chosen}" if chosen else view)
        page.wait_for_selector(there, state="visible")
        if view == "vehicle":  # not the panel of the incident before
            page.wait_for_function("(id) => document.querySelector('#panel h2').textContent === id", arg=chosen)
        found[view] = mistakes(page)
    for view, tab, there in TABS:
        page.evaluate("(hash) => { location.hash = hash; }", view)
        page.click(f"#{tab}")
        page.wait_for_selector(there, state="visible")
        found[tab] = mistakes(page)
    page = seen.open(f"/?lang={locale[:2]}&wall=3600")
    page.wait_for_selector("#wall li")
    found["wall"] = mistakes(page)
    browser = launch("--disable-3d-apis")
    page = WatchedPage(browser, demo.url, size, color_scheme=theme).open(f"/?lang={locale[:2]}")
    page.wait_for_function(READY)
    found["without a map"] = mistakes(page)
    browser.close()
    site = filled(Site(tmp_path / "site", console_users=users_file(tmp_path)))
    page = watch(site.url, size, color_scheme=theme, reduced_motion="reduce").open(f"/?lang={locale[:2]}")
    page.wait_for_selector("#user-name")
    found["login"] = mistakes(page)
    log_in(page, "anna")
    page.click("#me")
    page.click("#audit")
    page.wait_for_selector("dialog.audit tbody tr")
    found["audit"] = mistakes(page)
    site.stop()
    assert {view: named for view, named in found.items() if named} == {}
