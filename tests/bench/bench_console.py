"""What a fleet costs the console: frames and main thread in a browser beside the empty map, and the server's CPU with twenty viewers.

All in one run of one browser: first the map without vehicles, then with so many that report once a second. The server is a process of its own,
whose fixes are made there; the viewers ask for positions and events as the page does. Drawn without a graphics card, so frames are few.
``python bench_console.py soak 10000 20 600`` has twenty viewers for ten minutes, without a browser, and says how the server does meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from deploy import leash
from deploy.children import python_command, python_environment
from deploy.ports import free_port

VEHICLES, VIEWERS, SECONDS, INCIDENTS = 10_000, 20, 30, 200_000
CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--enable-unsafe-swiftshader"]
DESK = {"width": 1366, "height": 768}
FRAMES = """(seconds) => new Promise((done) => { let frames = 0; const began = performance.now();
  const next = (now) => { frames += 1; if (now - began < seconds * 1000) requestAnimationFrame(next); else done(frames * 1000 / (now - began)); }; requestAnimationFrame(next); })"""
MOVING = "() => window.yicheng?.map?.map.triggerRepaint && setInterval(() => window.yicheng.map.map.triggerRepaint(), 16) && true"
"""The map is drawn all the time in both measurements, as while somebody moves it."""


class Feed:
    """Nothing comes from Kafka and nothing goes there."""

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""


def serve(port: int, vehicles: int, incidents: int) -> None:
    """A console whose vehicles drive from when a line comes on standard input."""
    from aiohttp import web

    from consumers.console.accounts.access import Access
    from consumers.console.city.city import City
    from consumers.console.fleet.tiles import Tiles
    from consumers.console.server import app_of
    from consumers.console.web.pages import Pages
    from deploy.packs.applies import answer
    from streams.policy.checks import pack_record
    from streams.policy.reader import load_policy
    from streams.settings import Settings

    settings, city = Settings(state_dir=Path(sys.argv[-1]), console_port=port), City("hohhot-2019")
    policy = load_policy("hohhot-2019")
    source = policy.pack.source
    city.enter_policy(b"hohhot-2019", pack_record([{"yaml": source["yaml"], "geojson": source.get("geojson", "")}]))
    for number in range(incidents):
        city.enter_incident(_incident(number))
    city.history_is_read()

    def drive() -> None:
        sys.stdin.readline()
        for second in range(10**6):
            due = time.monotonic() + 1
            city.enter_fixes([_fix(number, second) for number in range(vehicles)], [None] * vehicles)
            time.sleep(max(0.0, due - time.monotonic()))

    async def run() -> None:
        pages = Pages(city, Feed())  # type: ignore[arg-type]
        runner = web.AppRunner(app_of(settings, Access(settings), pages, answer, Tiles()))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        threading.Thread(target=drive, daemon=True).start()
        print("ready", flush=True)
        await pages.run()

    asyncio.run(run())


def _fix(number: int, second: int) -> bytes:
    lon, lat = 111.5 + number % 100 * 0.004 + second % 60 * 0.0001, 40.7 + number // 100 * 0.002
    return b'{"event_id":"%d-%d","event_time_ms":%d,"vehicle_id":"V%06d","lon":%.6f,"lat":%.6f,"speed_kmh":30.0,"synthetic":true}' % (
        number, second, time.time_ns() // 1_000_000, number, lon, lat,
    )  # fmt: skip


def _incident(number: int) -> bytes:
    at_ms = time.time_ns() // 1_000_000 - number * 100
    data = {
        "incident_id": f"I{number:07}", "revision": 1, "state": "closed", "rule": "speeding", "rule_id": "speeding", "policy": "hohhot-2019", "clause": "1", "severity": "warning",
        "city": "150100", "vehicle_id": f"V{number % 10_000:06}", "enterprise_id": "baita", "opened_at_ms": at_ms, "last_seen_ms": at_ms, "closed_at_ms": at_ms, "lon": 111.6, "lat": 40.8,
        "fix_count": 1, "reason_zh": "", "reason_en": "", "synthetic": True,
    }  # fmt: skip
    return json.dumps({"id": f"I{number:07}/1", "type": "yicheng.incident.closed.v1", "data": data}).encode()


async def view(url: str, viewers: int, seconds: float, answered_ms: list[float] | None = None) -> int:
    """So many viewers ask for positions and listen to events for so long; the bytes that they got. ``answered_ms``: how long each answer with positions took to come whole."""
    import aiohttp

    got = 0

    async def positions(session: aiohttp.ClientSession, until_s: float) -> None:
        nonlocal got
        since = epoch = 0
        while time.monotonic() < until_s:
            async with session.get(f"{url}/api/positions", params={"since": since, "epoch": epoch}) as answer:
                began_s = time.monotonic()
                body = await answer.read()
            if answered_ms is not None:
                answered_ms.append((time.monotonic() - began_s) * 1000)
            got += len(body)
            if len(body) >= 12:
                epoch, since = (int.from_bytes(body[at : at + 4], "little") for at in (4, 8))

    async def events(session: aiohttp.ClientSession, until_s: float) -> None:
        async with session.get(f"{url}/api/events") as answer:
            while time.monotonic() < until_s and await asyncio.wait_for(answer.content.readline(), 30):
                pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        until_s = time.monotonic() + seconds
        await asyncio.gather(*(ask(session, until_s) for _ in range(viewers) for ask in (positions, events)))
    return got


def soak(vehicles: int, viewers: int, seconds: int) -> dict[str, Any]:
    """So many viewers of a driving fleet for so long: by minute the server's memory and share of a core, and how often it answered."""
    import tempfile

    port, minutes, answered_ms = free_port(), list[dict[str, float]](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        command = python_command(__file__, "serve", str(port), str(vehicles), "1000", folder)
        server = leash.start(command, env=python_environment(Path(__file__).parent), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdin and server.stdout
        try:
            server.stdout.readline()
            server.stdin.write(b"\n")
            server.stdin.flush()
            for _ in range(seconds // 60):
                before_s, before = _cpu_s(server.pid), len(answered_ms)
                asyncio.run(view(f"http://127.0.0.1:{port}", viewers, 60, answered_ms))
                minutes.append({
                    "memory_mib": _memory_mib(server.pid), "core_share": round((_cpu_s(server.pid) - before_s) / 60, 3),
                    "answers_per_viewer_and_second": round((len(answered_ms) - before) / viewers / 60, 2),
                })  # fmt: skip
        finally:
            server.kill()
            server.wait()
    at = lambda share: round(sorted(answered_ms)[int(share * (len(answered_ms) - 1))], 1)  # noqa: E731
    return {"vehicles": vehicles, "viewers": viewers, "answer_p50_ms": at(0.5), "answer_p99_ms": at(0.99), "answer_max_ms": at(1.0), "minutes": minutes}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _memory_mib(pid: int) -> float:
    return round(int(next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))) / 1024, 1)


def _script_ms(session: Any) -> float:
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["ScriptDuration"]) * 1000


def measure(vehicles: int, viewers: int, seconds: int, incidents: int, folder: str) -> dict[str, Any]:
    """Frames a second of the empty map and of the fleet, script ms a tick, and the server's share of a core with viewers, without the browser."""
    from playwright.sync_api import sync_playwright

    port = free_port()
    server = leash.start(python_command(__file__, "serve", str(port), str(vehicles), str(incidents), folder), env=python_environment(Path(__file__).parent), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin and server.stdout
    server.stdout.readline()
    url, found = f"http://127.0.0.1:{port}", dict[str, Any]()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
            page = browser.new_page(viewport=DESK)
            page.set_default_timeout(120_000)
            began_s = time.monotonic()
            page.goto(url)
            page.wait_for_function("() => window.yicheng?.map?.map.isStyleLoaded() && window.yicheng.state.incidents.size > 0")
            found["first_useful_s"] = round(time.monotonic() - began_s, 2)
            paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
            found["first_paint_ms"] = None if paint is None else round(paint)
            page.evaluate(MOVING)
            page.wait_for_timeout(5_000)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            before_ms = _script_ms(session)
            found["empty_frames_per_s"] = round(page.evaluate(FRAMES, seconds), 2)
            idle_ms = (_script_ms(session) - before_ms) / seconds
            server.stdin.write(b"\n")
            server.stdin.flush()
            page.wait_for_function(f"() => window.yicheng.fleet.count >= {vehicles}")
            page.wait_for_timeout(5_000)
            before_ms, ticks = _script_ms(session), page.evaluate("() => window.yicheng.fleet.sequence")
            found["fleet_frames_per_s"] = round(page.evaluate(FRAMES, seconds), 2)
            ticks = page.evaluate("() => window.yicheng.fleet.sequence") - ticks
            found["script_ms_per_tick_more"] = round(((_script_ms(session) - before_ms) - idle_ms * seconds) / max(1, ticks), 2)
            found["frames_share"] = round(found["fleet_frames_per_s"] / found["empty_frames_per_s"], 3)
            browser.close()
        alone_s = _cpu_s(server.pid)
        time.sleep(seconds / 2)
        alone_s = (_cpu_s(server.pid) - alone_s) / (seconds / 2)
        before_s = _cpu_s(server.pid)
        got = asyncio.run(view(url, viewers, seconds))
        found |= {
            "server_core_share_without_viewers": round(alone_s, 3), f"server_core_share_with_{viewers}_viewers": round((_cpu_s(server.pid) - before_s) / seconds, 3),
            "bytes_per_viewer_and_second": round(got / viewers / seconds), "server_memory_mib": _memory_mib(server.pid),
        }  # fmt: skip
    finally:
        server.kill()
        server.wait()
    return found


def run(vehicles: int = VEHICLES, viewers: int = VIEWERS, seconds: int = SECONDS, incidents: int = INCIDENTS) -> dict[str, Any]:
    """Some incidents and 10,000 vehicles; then 100,000 vehicles; then 200,000 incidents in the list."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return {
            "vehicles": measure(vehicles, viewers, seconds, 1_000, folder), "ten_times_the_vehicles": measure(10 * vehicles, 1, seconds, 1_000, folder),
            "many_incidents": measure(vehicles // 10, 1, seconds // 3, incidents, folder),
        }  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["soak"]:
        print(json.dumps(soak(*map(int, sys.argv[2:])), indent=2))
    else:
        print(json.dumps(run(*map(int, sys.argv[1:])), indent=2))
