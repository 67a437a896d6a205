"""Makes the README's pictures of the console from the recorded day of Hohhot: ``python tests/console/make_pictures.py``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "golden")]

from console.conftest import ARGUMENTS, CHROMIUM, SIZES, day_of  # noqa: E402 - found by the path above
from deploy.ports import free_port  # noqa: E402

IMAGES = ROOT / "deploy" / "images"
LARGEST_BYTES = 300_000
READY = "() => window.yicheng?.state.incidents.size >= 40 && window.yicheng.fleet.count >= 10"
PICTURES = {
    "console.png": ("desk", "en-GB", "light", "incident"), "console-rates.png": ("desk", "zh-CN", "dark", "#view=rates"), "console-phone.png": ("phone", "zh-CN", "light", ""),
}  # fmt: skip
"""Size, language, theme, and what is shown: an incident, or what an address leads to."""
SHOWN = {"incident": "#panel .notified", "#view=rates": "#view table", "": "#list [data-incident]"}
INCIDENT = """() => {
  const row = [...window.yicheng.state.incidents.values()].find((one) => one.rule === 'restricted_hours' && one.state === 'open' && window.yicheng.numberOf(one.vehicle_id) >= 0);
  if (row) location.hash = `#incident=${row.incident_id}`;
  return Boolean(row);
}"""
"""A vehicle that is in a closed zone at this moment."""


def main() -> None:
    """Write the pictures; each is at most 300 KB."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        day_of(Path(folder))
        port = free_port()
        arguments = [sys.executable, "-m", "deploy.cli", "console", "--demo", folder, "--speedup", "600"]
        console = subprocess.Popen(arguments, cwd=ROOT, env={"YICHENG_CONSOLE_PORT": str(port), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)})
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        try:
            for name, (size, locale, theme, shown) in PICTURES.items():
                page = browser.new_context(viewport=SIZES[size], locale=locale, color_scheme=theme, reduced_motion="reduce").new_page()
                page.set_default_timeout(120_000)
                _take(page, f"http://127.0.0.1:{port}/", shown, IMAGES / name)
        finally:
            browser.close()
            console.terminate()
            console.wait()


def _take(page, url: str, shown: str, path: Path) -> None:
    for _ in range(60):
        try:
            page.goto(url)
            break
        except Exception:  # noqa: BLE001 - it is not listening yet
            page.wait_for_timeout(1_000)
    page.wait_for_function(READY)
    if shown == "incident":
        page.wait_for_function(INCIDENT)
    else:
        page.evaluate("(address) => { location.hash = address; }", shown)
    page.wait_for_selector(SHOWN[shown], state="visible")
    page.route("**/api/positions*", lambda route: route.abort())  # at this speed a vehicle is elsewhere before it is drawn
    page.wait_for_timeout(2_000)
    page.wait_for_function("() => (yicheng.map.map.loaded() || document.querySelector('main').hidden) && document.querySelector('#status').hidden")
    page.screenshot(path=path)
    assert path.stat().st_size <= LARGEST_BYTES, f"{path.name} is {path.stat().st_size:,} bytes"


if __name__ == "__main__":
    main()
