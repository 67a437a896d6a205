"""A console in this process, with users, a vehicle and an incident; and what a browser would ask of it."""

import asyncio
import json
import threading
import urllib.error
import urllib.request

from aiohttp import web
from argon2 import PasswordHasher

from consumers.audit import verify
from consumers.console.accounts.access import Access
from consumers.console.accounts.users import User, write_user
from consumers.console.city.city import City
from consumers.console.fleet.replay import Hour, Way
from consumers.console.fleet.tiles import read_tiles
from consumers.console.server import app_of
from consumers.console.web.pages import Pages
from deploy.packs.applies import answer
from streams.errors import Unavailable
from streams.registry.records import Vehicle
from streams.settings import Settings

T = 1_782_446_400_000
PLATE, OTHER_PLATE, ODD_PLATE, DRIVER = "蒙A39906", "京B·D1234F", "tricycle 77", "D-7788"
PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=7_168, parallelism=1)
ROLES = {"vera": "viewer", "olga": "officer", "anna": "admin"}


class Site:
    """A console's pages in this process, and a browser's cookies; ``clock`` says what time it is."""

    def __init__(self, folder, **settings):
        self.settings = Settings(**{"state_dir": folder, "console_port": 0, **settings})
        self.now_s, self.sent, self.refuse = 1000.0, [], False
        self.access = Access(self.settings, lambda: self.now_s)
        self.city = City("hohhot-2019")
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        threading.Thread(target=self.loop.run_until_complete, args=(self.serve(),), daemon=True).start()
        assert self.started.wait(20)

    def answer(self, key, value):
        if self.refuse:
            raise Unavailable("Kafka did not take the answer")
        self.sent.append(json.loads(value))
        self.city.enter_answer(value)

    def past_incident(self, incident_id):
        return None

    def hour(self, vehicle_ids, from_ms, is_stopping):
        return Hour(from_ms, [Way(name, None, []) for name in vehicle_ids], [])

    async def serve(self):
        self.pages = Pages(self.city, self)
        runner = web.AppRunner(app_of(self.settings, self.access, self.pages, answer, read_tiles(self.settings)), shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.settings.console_port).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.started.set()
        await self.pages.run()
        await runner.cleanup()

    def stop(self):
        self.loop.call_soon_threadsafe(self.pages.stopping.set)

    def ask(self, path, body=None, cookie=None, **headers):
        """Status, headers and text."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            given["Cookie"] = cookie
        if body is not None:
            given = {"Content-Type": "application/json", "Origin": self.url, **given}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, given), timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def log_in(self, name, password=PASSWORD, **headers):
        status, answered, _ = self.ask("/api/login", {"name": name, "password": password}, **headers)
        assert status == 200, (name, status)
        return answered["Set-Cookie"].partition(";")[0]

    def audit(self):
        lines = [json.loads(line) for line in (self.settings.state_dir / "audit.jsonl").read_text().splitlines()]
        assert verify(self.settings.state_dir / "audit.jsonl").broken is None
        return [(line["action"], line["by"], line["about"]) for line in lines]

    def events(self, cookie, last):
        """The stream of events from its beginning to the first of a kind, the data of that with it."""
        request = urllib.request.Request(f"{self.url}/api/events?since={self.city.log.epoch}-0", headers={"Cookie": cookie} if cookie else {})
        with urllib.request.urlopen(request, timeout=30) as stream:
            lines = list(iter(lambda: stream.readline().decode(), f"event: {last}\n"))
            return "".join([*lines, f"event: {last}\n", stream.readline().decode()])


def incident(name="i", **more):
    data = {
        "incident_id": name, "revision": 1, "synthetic": True, "state": "open", "rule": "speeding", "rule_id": "s", "vehicle_id": "HH-1", "plate": PLATE, "severity": "warning",
        "opened_at_ms": T, "last_seen_ms": T, "reason_zh": f"车辆 {PLATE} 超速", "reason_en": f"{PLATE[:2]} {PLATE[2:]} was fast, like {OTHER_PLATE}", "evidence": [], **more,
    }  # fmt: skip
    return json.dumps({"id": f"{name}/1", "type": "yicheng.incident.opened.v1", "data": data}).encode()


def filled(site):
    """A vehicle with papers, a position and an incident that somebody has answered."""
    city = site.city
    city.history_is_read()
    city.registry.add([Vehicle(id="HH-1", plate=PLATE, driver_ids=[DRIVER], enterprise_id="baita")])
    fix = {"event_id": "e", "event_time_ms": T, "vehicle_id": "HH-1", "lon": 111.65, "lat": 40.81, "plate": PLATE}
    city.enter_fixes([json.dumps(fix).encode(), json.dumps({**fix, "event_id": "f", "vehicle_id": "HH-2", "plate": ODD_PLATE}).encode()], [T, T])
    city.enter_incident(incident())
    city.enter_answer(json.dumps({"incident_id": "i", "action": "noted", "time_ms": T, "by": "olga", "reason": f"{PLATE}有证，驾驶人{DRIVER}"}).encode())
    city.tick()
    return site


def users_file(folder):
    path = folder / "users.yaml"
    for name, role in ROLES.items():
        write_user(path, User(name, role, QUICK.hash(PASSWORD)))
    return path
