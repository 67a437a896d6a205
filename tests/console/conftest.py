"""A browser for the console's pages, and consoles as users start them."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, wait_for

from deploy.ports import free_port

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--enable-unsafe-swiftshader"]
PATIENCE_MS = 120_000
"""Maps are drawn without a graphics card, beside other tests."""
SIZES = {"desk": {"width": 1366, "height": 768}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def launch():
    """Starts browsers with further arguments; they end with the test, since the library's event loop is in the way of all others in the process."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: the pages are looked at with Debian's browser; apt install chromium brings it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda *arguments: playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*ARGUMENTS, *arguments])


@pytest.fixture
def browser(launch):
    """A browser."""
    started = launch()
    yield started
    started.close()


@pytest.fixture
def modules(browser):
    """A page that can import the console's modules, without a console behind it: for what they compute."""
    from consumers.console.web.pages import STATIC

    page = browser.new_page()
    page.route("http://modules.test/static/*", lambda route: route.fulfill(path=STATIC / route.request.url.rpartition("/")[2], content_type="text/javascript"))
    page.route("http://modules.test/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://modules.test/")
    return page


class WatchedPage:
    """A page, with all that its browser asked for and complained of."""

    def __init__(self, browser, url, size="desk", **options):
        self.url = url
        self.context = browser.new_context(viewport=SIZES[size], locale="en-GB", **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.add_init_script("window.refusals = []; addEventListener('securitypolicyviolation', (event) => refusals.push(`${event.violatedDirective} ${event.blockedURI}`));")

    def open(self, path="/"):
        self.page.goto(self.url + path)
        return self.page

    def check(self, *, outage=False):
        """Nothing was asked of another machine, no policy was violated, nothing went wrong; ``outage``: but for what did not answer."""
        assert [url for url in self.asked if not url.startswith((f"{self.url}/", f"blob:{self.url}/", "data:"))] == []
        assert self.page.evaluate("window.refusals") == []
        assert [text for text in self.complaints if not (outage and re.search("Failed to (load resource|fetch)|ERR_", text))] == []


@pytest.fixture
def watch(browser):
    """Opens a page in a context of its own."""
    opened = []

    def watched(url, size="desk", **options):
        opened.append(WatchedPage(browser, url, size, **options))
        return opened[-1]

    yield watched
    for one in opened:
        one.context.close()


@pytest.fixture
def console(yicheng):
    """Starts consoles; each has its address."""

    def started(*arguments, port=None, **environment):
        port = port or free_port()
        child = yicheng.start("console", *arguments, YICHENG_CONSOLE_PORT=str(port), **{"YICHENG_METRICS_PORT": str(free_port()), **environment})
        child.url = f"http://127.0.0.1:{port}"
        wait_for(lambda: f"the console to listen: {child.log()}", lambda: child.url in child.log() or child.poll() is not None)
        assert child.poll() is None, child.log()
        return child

    return started


def day_of(folder):
    """Write what ``judge`` makes of the recorded day of Hohhot into a folder, its fixes and its registry beside it."""
    import zstandard
    from make_day import SEED, VEHICLES

    from deploy.judge import judge_files
    from producers.traffic import write_sample_registry
    from streams.policy.reader import load_policy
    from streams.registry.files import load_registry

    policy, day = load_policy("hohhot-2019"), ROOT / "tests" / "golden" / "hohhot-2019"
    write_sample_registry(policy, VEHICLES, SEED, folder / "registry.jsonl")
    (folder / "gps.jsonl").write_bytes(zstandard.ZstdDecompressor().stream_reader((day / "gps.jsonl.zst").open("rb")).read())
    registry = load_registry(folder / "registry.jsonl", policy.timezone, policy.zone_kinds)
    judge_files(policy, registry, [str(folder / "gps.jsonl")], [str(day / "scans.jsonl.zst")], folder)


@pytest.fixture(scope="session")
def recorded_day(tmp_path_factory):
    """The recorded day of Hohhot, judged."""
    folder = tmp_path_factory.mktemp("day")
    day_of(folder)
    return folder
