"""axe-core finds no mistake of names, roles, contrast or order in any view, in both themes and at both sizes."""

from importlib.resources import files

import pytest

AXE = "() => axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((one) => [one.id, one.help, ...one.nodes.slice(0, 5).map((node) => node.html.slice(0, 200))]))"
READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"
VIEWS = {
    "": "#list li, #list tr, #list [data-incident]", "#view=rates": "#view table", "#view=outlets": "#view table", "#view=replay": "#replay form", "#view=policy": "#policy-panel h3",
    "incident": "#panel h2", "vehicle": "#panel h2",
}  # fmt: skip
"""What is opened, and what is there when it is; ``incident`` and ``vehicle``: the panel of one."""


@pytest.mark.parametrize(("size", "theme", "locale"), [("desk", "light", "zh-CN"), pytest.param("phone", "dark", "en-GB", marks=pytest.mark.long), pytest.param("desk", "dark", "zh-CN", marks=pytest.mark.long)])
def test_axe_finds_nothing_in_any_view(console, recorded_day, watch, size, theme, locale):
    seen = watch(console("--demo", recorded_day, "--speedup", 3600).url, size, color_scheme=theme)
    page = seen.open()
    page.wait_for_function(READY)
    page.evaluate(f"() => document.documentElement.lang.startsWith('{locale[:2]}') || document.getElementById('lang').click()")
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = {}
    for view, there in VIEWS.items():
        chosen = page.evaluate("(kind) => kind === 'incident' ? [...window.yicheng.state.incidents.keys()][0] : kind === 'vehicle' ? window.yicheng.fleet.rows[0][0] : null", view)
        page.evaluate("(hash) => { location.hash = hash; }", f"#{view}={chosen}" if chosen else view)
        page.wait_for_selector(there, state="visible")
        found[view] = page.evaluate(AXE)
    assert {view: mistakes for view, mistakes in found.items() if mistakes} == {}
