"""Pictures of every view at both sizes, in both languages, light and dark: nothing is cut or wider than the page, and each is small. ``YICHENG_PICTURES=folder`` keeps them."""

import os
from pathlib import Path

import pytest

from console.conftest import WatchedPage
from console.console_site import Site, filled, users_file

READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"
LARGEST_BYTES = 300_000
VIEWS = {
    "live": ("", "#list [data-incident]"), "heat": ("?tab=heat", "#list table.heat tr"), "rates": ("#view=rates", "#view .figures"), "outlets": ("#view=outlets", "#outlets-table tbody tr"),
    "replay": ("#view=replay&v={vehicle}", "#replay-stops"), "policy": ("#view=policy", "#policy-panel h3"), "incident": ("#incident={incident}", "#panel .notified"), "vehicle": ("#vehicle={vehicle}", "#panel .drivers"),
    "wall": ("?wall=3600", "#wall li"),
}  # fmt: skip
"""What is opened, and what is there when it is."""
LABELS = "button, select, nav a, h1, h2, th, #figures dd, .zone-label, #edge span, .legend li, .chip"
CUT = """(labels) => {
  const cut = [], map = document.querySelector('#map-side')?.getBoundingClientRect();
  for (const one of document.querySelectorAll(labels)) {
    if (!one.checkVisibility({ visibilityProperty: true }) || one.closest('.scroll, #outlets-table, datalist, option')) continue;
    const box = one.getBoundingClientRect(), words = one.outerHTML.slice(0, 160);
    if (!box.width) continue;
    if (!one.closest('#map-side') && (box.left < -1 || box.right > innerWidth + 1)) cut.push(['outside', words]);
    else if (one.matches('button, h1, h2, .chip') && one.scrollWidth > one.clientWidth + 1 && one.clientWidth) cut.push(['too long', words]);
    const isOnMap = one.closest('#map-side') && box.right > map.left && box.left < map.right && box.bottom > map.top && box.top < map.bottom;
    if (isOnMap && (box.left < map.left - 1 || box.right > map.right + 1 || box.top < map.top - 1 || box.bottom > map.bottom + 1)) cut.push(['at the edge', words]);
  }
  return cut;
}"""
COMBINATIONS = [(size, lang, theme) for size in ("desk", "phone") for lang in ("zh", "en") for theme in ("light", "dark")]


@pytest.fixture
def pictures(tmp_path):
    """Where pictures are kept."""
    folder = Path(os.environ.get("YICHENG_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def look(page, path):
    """Take a picture once the map is drawn; what is wrong with it."""
    page.wait_for_function("() => !window.yicheng?.map || yicheng.map.map.loaded()")
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path)
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [*page.evaluate(CUT, LABELS), *([["wider than the page", ""]] if wide else []), *([["large", f"{path.stat().st_size:,} bytes"]] if path.stat().st_size > LARGEST_BYTES else [])]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("size", "lang", "theme"), [pytest.param(*each, marks=[] if each == ("desk", "zh", "light") else pytest.mark.long) for each in COMBINATIONS])
def test_every_view_is_whole(console, recorded_day, watch, launch, pictures, tmp_path, size, lang, theme):
    demo = console("--demo", recorded_day, "--speedup", 1200)
    options = {"color_scheme": theme, "reduced_motion": "reduce"}
    named = lambda name: pictures / f"{name}-{size}-{lang}-{theme}.jpg"  # noqa: E731
    watched, found = watch(demo.url, size, **options), {}
    page = watched.open(f"/?lang={lang}")
    page.wait_for_function(READY)
    chosen = page.wait_for_function("() => { const row = yicheng.filtered().find((one) => one.vehicle_id && one.lon !== null && yicheng.numberOf(one.vehicle_id) >= 0); return row && { incident: row.incident_id, vehicle: row.vehicle_id }; }").json_value()
    for name, (address, there) in VIEWS.items():
        query, _, fragment = address.format(**chosen).partition("#")
        page = watched.open(f"/?lang={lang}&{query[1:]}" + (f"#{fragment}" if fragment else ""))
        page.reload()
        page.wait_for_selector(there)
        found[name] = look(page, named(name))
    watched.check(outage=True)  # the day begins anew meanwhile, and an incident that is looked at is not there for a moment
    site = filled(Site(tmp_path / "site", console_users=users_file(tmp_path)))
    page = watch(site.url, size, **options).open(f"/?lang={lang}")
    page.wait_for_selector("#user-name:focus")
    found["login"] = look(page, named("login"))
    site.stop()
    browser = launch("--disable-3d-apis")
    page = WatchedPage(browser, demo.url, size, **options).open(f"/?lang={lang}")
    page.wait_for_function(READY)
    found["no-webgl"] = look(page, named("no-webgl"))
    browser.close()
    assert {name: mistakes for name, mistakes in found.items() if mistakes} == {}
