"""The wall display: three pages in turn, large, without anything to touch, through outages."""

READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"
ON_PAGE = "(name) => document.documentElement.dataset.wall === name"
TOUCHABLE = "[...document.querySelectorAll('button, input, select, textarea, a')].filter((one) => one.checkVisibility()).map((one) => one.outerHTML)"
SCROLLS = "[...document.querySelectorAll('*')].filter((one) => one.checkVisibility() && ['auto', 'scroll'].includes(getComputedStyle(one).overflowY) && one.scrollHeight > one.clientHeight).map((one) => one.id)"
FIGURES = "[...document.querySelectorAll('#figures dd, #wall .figure, #wall li, #wall td')].filter((one) => one.checkVisibility()).map((one) => parseFloat(getComputedStyle(one).fontSize))"


def looked_over(page):
    """Nothing to touch, nothing that scrolls, no pointer, and letters of a size to be read from afar."""
    assert page.evaluate(TOUCHABLE) == [] and page.evaluate(SCROLLS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("[...document.querySelectorAll('body, #map canvas, #wall')].every((one) => getComputedStyle(one).cursor === 'none')")
    assert min(page.evaluate(FIGURES)) >= 768 / 32, "a thirty-second of the height"


def test_the_pages_follow_each_other_through_an_outage(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 1200)
    watched = watch(demo.url, reduced_motion="reduce")
    watched.page.clock.install()
    page = watched.open("/?lang=en&wall=20")
    page.wait_for_function(READY)
    page.wait_for_function("() => document.querySelectorAll('#wall li').length > 0")
    assert page.evaluate("document.documentElement.dataset.wall") == "live" and "open incidents" in page.text_content("#wall h2")
    looked_over(page)
    page.clock.fast_forward(20_000)
    page.wait_for_function(ON_PAGE, arg="rates")
    assert "%" in page.text_content("#wall .figure") and "target 90%" in page.text_content("#wall .tile") and page.locator("#wall tbody tr").count() >= 3
    looked_over(page)
    page.clock.fast_forward(20_000)
    page.wait_for_function(ON_PAGE, arg="outlets")
    assert page.locator("#wall .figure").first.text_content().isdigit()
    looked_over(page)
    assert page.locator("#wall-note").is_hidden()
    demo.kill()
    demo.wait()
    page.wait_for_function("() => !document.querySelector('#status').hidden")
    for name in ("live", "rates"):
        page.clock.fast_forward(20_000)
        page.wait_for_function(ON_PAGE, arg=name)
    page.clock.fast_forward(30_000)
    page.wait_for_function("() => document.querySelector('#wall-note').textContent.startsWith('No new data since')")
    assert page.locator("#wall .figure").count() >= 2, "what was there is still shown"
    console("--demo", recorded_day, "--speedup", 1200, port=demo.url.rpartition(":")[2])
    page.clock.fast_forward(10_000)
    page.wait_for_function("() => document.querySelector('#status').hidden && document.querySelector('#wall-note').hidden")
    watched.check(outage=True)


def test_each_page_stays_as_long_as_the_address_says(modules):
    stays = {"": 15, "20": 20, "1": 1, "0": 15, "-3": 15, "x": 15, "1e9": 3600, "Infinity": 15}
    found = {text: modules.evaluate("async (text) => (await import('/static/wall.js')).eachSeconds(text)", text) for text in stays}
    assert found == stays
