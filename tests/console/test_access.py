"""Who may what on the console, over HTTP: logging in and out, roles, what is masked, what the audit log says."""

import json
import threading
import time
import urllib.request

import pytest
from conftest import wait_for

from console.console_site import DRIVER, ODD_PLATE, OTHER_PLATE, PASSWORD, PLATE, QUICK, ROLES, Site, filled, users_file
from consumers.console.accounts.access import check_access
from consumers.console.accounts.masked import may_be_opened
from consumers.console.accounts.sessions import IDLE_S, LONGEST_S
from consumers.console.accounts.users import User, write_user
from consumers.console.fleet import tiles
from consumers.console.web.pages import Pages
from streams.errors import BadInput
from streams.policy.reader import load_policy
from streams.settings import Settings


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A console with users; its tests share it, and each comes from an address of its own."""
    folder = tmp_path_factory.mktemp("site")
    site = filled(Site(folder, console_users=users_file(folder), console_proxy="127.0.0.1"))
    yield site
    site.stop()


@pytest.fixture
def cookies(site):
    """A session of each role."""
    return {role: site.log_in(name, X_Forwarded_For="192.0.2.1") for name, role in ROLES.items()}


GETS = ["/api/state", "/api/vehicles?since=0", "/api/vehicle?id=HH-1", "/api/incident?id=i", "/api/views"]


def test_without_a_login_there_is_the_page_to_log_in_on_and_nothing_else(site):
    status, _, page = site.ask("/")
    assert status == 200 and "login.js" in page and "main.js" not in page
    for path in (*GETS, "/api/events", "/api/positions", "/basemap/light/12/1/1.png", "/api/anything"):
        status, _, said = site.ask(path)
        assert status == 401 and "log in first" in json.loads(said)["error"], path
        assert site.ask(path, cookie="yicheng_session=" + "A" * 43)[0] == 401, path
    assert site.ask("/metrics")[0] == 401 and [site.ask(path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    assert site.ask("/api/answer", {"incident_id": "i", "action": "acknowledged"})[0] == 401 and site.ask("/api/unmask", {"vehicle_id": "HH-1", "reason": "x"})[0] == 401
    assert json.loads(site.ask("/api/me")[2]) == {"login": True, "password": True, "provider": False, "name": None, "role": None, "ended": False, "masked": []}
    assert json.loads(site.ask("/api/me", cookie="yicheng_session=old")[2])["ended"] is True
    assert site.sent == []


def test_a_session_is_a_cookie_that_no_script_and_no_other_site_has(site):
    status, headers, said = site.ask("/api/login", {"name": "olga", "password": PASSWORD}, X_Forwarded_For="192.0.2.2")
    parts = headers["Set-Cookie"].split("; ")
    assert status == 200 and json.loads(said) == {"name": "olga", "role": "officer"} and len(parts[0].partition("=")[2]) >= 43
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts) and "Secure" not in parts, "this is http"
    cookie = parts[0]
    assert json.loads(site.ask("/api/me", cookie=cookie)[2])["role"] == "officer" and "main.js" in site.ask("/", cookie=cookie)[2]
    again = site.ask("/api/login", {"name": "olga", "password": PASSWORD}, cookie=cookie, X_Forwarded_For="192.0.2.2")[1]["Set-Cookie"]
    assert not again.startswith(cookie) and site.ask("/api/state", cookie=cookie)[0] == 401, "another login is another session, and the old one is over"
    cookie = again.partition(";")[0]
    status, headers, _ = site.ask("/api/logout", {}, cookie=cookie)
    assert status == 200 and "Max-Age=0" in headers["Set-Cookie"] and site.ask("/api/state", cookie=cookie)[0] == 401
    assert site.audit()[-1] == ("logout", "olga", {"address": "127.0.0.1", "through": "console"})


def test_strange_pages_cannot_log_anybody_in_or_out(site, cookies):
    body = {"name": "olga", "password": PASSWORD}
    assert site.ask("/api/login", body, Origin="https://evil.example")[0] == 403
    assert site.ask("/api/login", body, Content_Type="text/plain")[0] == 403
    assert site.ask("/api/logout", {}, cookies["officer"], Origin="https://evil.example")[0] == 403
    assert site.ask("/api/state", cookie=cookies["officer"])[0] == 200


def test_what_is_no_login_is_refused_in_a_sentence(site):
    for body, status in (([], 400), ({"name": "olga"}, 401), ({"name": 5, "password": []}, 401), ({"name": "a b", "password": PASSWORD}, 401), ({"name": "x" * 9_000, "password": ""}, 401)):
        found, _, said = site.ask("/api/login", body, X_Forwarded_For="192.0.2.3")
        assert found == status and json.loads(said)["error"], body
    assert site.ask("/api/login", {"name": "olga", "password": "x" * 20_000})[0] == 413


def test_a_wrong_password_and_an_unknown_name_are_the_same(site):
    answers = [site.ask("/api/login", {"name": name, "password": password}, X_Forwarded_For=f"192.0.2.{number}")
               for number, (name, password) in enumerate([("olga", "wrong"), ("nobody", PASSWORD), ("anna", PASSWORD + "x")], 10)]  # fmt: skip
    assert {(status, said) for status, _, said in answers} == {(401, answers[0][2])} and not any("Set-Cookie" in headers for _, headers, _ in answers)
    lines = site.audit()[-3:]
    assert [(action, by) for action, by, _ in lines] == [("login refused", "olga"), ("login refused", None), ("login refused", "anna")], "what is no name may be a password"
    assert [about["address"] for *_, about in lines] == ["192.0.2.10", "192.0.2.11", "192.0.2.12"]


def test_the_password_of_an_unknown_name_is_checked_all_the_same(site, monkeypatch):
    checked = []
    monkeypatch.setattr("consumers.console.accounts.passwords.fits", lambda password, known: checked.append(known) or True)
    assert site.ask("/api/login", {"name": "nobody", "password": PASSWORD}, X_Forwarded_For="192.0.2.20")[0] == 401
    assert len(checked) == 1, "against somebody's hash, so that it takes as long, and never counts"


@pytest.mark.parametrize(("name", "other"), [("guessed", "192.0.2.31"), ("fresh{}", "192.0.2.30")])
def test_guessing_is_slowed_by_name_and_by_address(site, name, other):
    guess = lambda number, address="192.0.2.30": site.ask("/api/login", {"name": name.format(number), "password": "wrong"}, X_Forwarded_For=address)  # noqa: E731
    site.now_s += 1_000  # what was before is forgotten
    assert [guess(number)[0] for number in range(3)] == [401] * 3
    status, headers, said = guess(4, other)
    assert status == 429 and headers["Retry-After"] == "1" and "1 s" in json.loads(said)["error"]
    before = len(site.audit())
    assert guess(5, other)[0] == 429 and len(site.audit()) == before, "what is not looked at is not written down"
    site.now_s += 1.1
    assert guess(6, other)[0] == 401 and guess(7, other)[1]["Retry-After"] == "2"
    site.now_s += 1_000
    assert guess(8)[0] == 401


def test_a_viewer_sees_no_plate_and_no_driver_anywhere(site, cookies):
    for path in GETS:
        status, _, text = site.ask(path, cookie=cookies["viewer"])
        assert status == 200 and PLATE not in text and OTHER_PLATE not in text and DRIVER not in text and "39906" not in text and "D1234F" not in text and ODD_PLATE not in text, path
    rows = json.loads(site.ask("/api/vehicles?since=0", cookie=cookies["viewer"])[2])["rows"]
    assert rows == [["HH-1", "蒙A***6", "baita"], ["HH-2", "tr***7", None]]
    found = json.loads(site.ask("/api/incident?id=i", cookie=cookies["viewer"])[2])
    assert found["plate"] == "蒙A***6" and found["reason_zh"] == "车辆 蒙A***6 超速" and found["vehicle_id"] == "HH-1" and found["answers"][0]["by"] == "olga"
    papers = json.loads(site.ask("/api/vehicle?id=HH-1", cookie=cookies["viewer"])[2])
    assert papers["record"]["driver_ids"] == ["***"] and papers["now"]["plate"] == "蒙A***6" and papers["now"]["lon"] == 111.65
    stream = site.events(cookies["viewer"], "answer")
    assert "event: incident" in stream and "event: answer" in stream and "39906" not in stream and DRIVER not in stream and "蒙A***6" in stream


def test_an_officer_sees_plates_and_drivers_once_unmasked(site, cookies):
    for role in ("officer", "admin"):
        assert PLATE in site.ask("/api/state", cookie=cookies[role])[2] and PLATE in site.events(cookies[role], "incident")
        papers = json.loads(site.ask("/api/vehicle?id=HH-1", cookie=cookies[role])[2])
        assert papers["record"]["plate"] == PLATE and papers["record"]["driver_ids"] == ["***"]
    ask = lambda body, role="officer": site.ask("/api/unmask", body, cookies[role])  # noqa: E731
    assert ask({"vehicle_id": "HH-1"})[0] == 400 and ask({"vehicle_id": "HH-1", "reason": " \n"})[0] == 400 and ask({"vehicle_id": "HH-1", "reason": "x" * 501})[0] == 400
    assert ask({"reason": "x"})[0] == 400 and ask({"vehicle_id": "HH-1", "incident_id": "i", "reason": "x"})[0] == 400 and ask({"vehicle_id": 5, "reason": "x"})[0] == 400
    assert ask({"vehicle_id": "nobody", "reason": "x"})[0] == 404
    before = len(site.audit())
    assert ask({"vehicle_id": "HH-1", "reason": "x"}, "viewer")[0] == 403 and len(site.audit()) == before
    status, _, text = ask({"vehicle_id": "HH-1", "reason": " 事故\n调查 "})
    assert status == 200 and json.loads(text)["record"]["driver_ids"] == [DRIVER]
    assert site.audit()[before:] == [("unmasked", "olga", {"vehicle_id": "HH-1", "reason": "事故 调查", "through": "console"})]
    assert ask({"incident_id": "i", "reason": "x"}, "admin")[0] == 200 and site.audit()[-1][:2] == ("unmasked", "anna")


def test_an_answer_is_in_the_name_of_who_has_logged_in_and_in_the_audit_log(site, cookies):
    site.sent.clear()
    asked = {"incident_id": "i", "action": "dismissed", "by": "the mayor", "reason": "配送许可"}
    before = len(site.audit())
    status, _, said = site.ask("/api/answer", asked, cookies["viewer"])
    assert status == 403 and "viewers only look" in json.loads(said)["error"] and site.sent == [] and len(site.audit()) == before
    assert site.ask("/api/answer", asked, cookies["officer"])[0] == 200
    assert (site.sent[0]["by"], site.sent[0]["action"], site.sent[0]["reason"]) == ("olga", "dismissed", "配送许可")
    assert site.audit()[before:] == [("dismissed", "olga", {"incident_id": "i", "through": "console"})]
    site.refuse = True
    try:
        assert site.ask("/api/answer", asked, cookies["admin"])[0] == 503
    finally:
        site.refuse = False
    assert [line[:2] for line in site.audit()[before + 1 :]] == [("dismissed", "anna"), ("not published", "anna")] and len(site.sent) == 1


def test_what_cannot_be_written_down_is_not_done(site, cookies, monkeypatch):
    site.sent.clear()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site.access.audit, "append", full)
    for path, body in (("/api/answer", {"incident_id": "i", "action": "acknowledged"}), ("/api/unmask", {"vehicle_id": "HH-1", "reason": "x"}), ("/api/login", {"name": "olga", "password": PASSWORD})):
        status, headers, said = site.ask(path, body, cookies["officer"], X_Forwarded_For="192.0.2.40")
        assert status == 503 and "audit log" in json.loads(said)["error"] and DRIVER not in said and "Set-Cookie" not in headers, path
    assert site.sent == [] and site.ask("/api/logout", {}, site_cookie(site))[0] == 200


def site_cookie(site):
    """A session that was begun without a login."""
    return f"yicheng_session={site.access.sessions.begin('olga', 'officer', site.access.users.current()['olga'].password, site.now_s)}"


def test_a_viewer_cannot_search_by_plate_and_takes_no_file_along(site, cookies):
    from urllib.parse import quote

    for part in (PLATE, PLATE[2:], PLATE[2:4].lower()):
        offered = {role: [found["vehicle_id"] for found in json.loads(site.ask(f"/api/replay/vehicles?q={quote(part)}", cookie=cookie)[2]) if isinstance(found, dict)] for role, cookie in cookies.items()}
        assert offered == {"viewer": [], "officer": ["HH-1"], "admin": ["HH-1"]}, part
    assert len(json.loads(site.ask("/api/replay/vehicles?q=hh-1", cookie=cookies["viewer"])[2])) == 1, "by number they do"
    for plate in (PLATE, "京B·D1234F", "沪A D12345"):
        assert site.ask(f"/api/vehicle?id={quote(plate)}", cookie=cookies["viewer"])[0] == 403 and site.ask(f"/api/vehicle?id={quote(plate)}", cookie=cookies["officer"])[0] == 404


def test_admins_read_the_audit_log_and_whether_it_fits(tmp_path):
    site = Site(tmp_path, console_users=users_file(tmp_path))
    try:
        cookies = {role: site.log_in(name) for name, role in ROLES.items()}
        assert [site.ask("/api/audit", cookie=cookies[role])[0] for role in ("viewer", "officer")] == [403, 403]
        found = json.loads(site.ask("/api/audit", cookie=cookies["admin"])[2])
        assert (found["lines"], found["broken"]) == (3, None) and [(entry["number"], entry["action"], entry["by"]) for entry in found["entries"]] == [(3, "login", "anna"), (2, "login", "olga"), (1, "login", "vera")]
        path = tmp_path / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + b"rubbish\n" + lines[1].replace(b"olga", b"none") + lines[2] + b'{"torn')
        found = json.loads(site.ask("/api/audit", cookie=cookies["admin"])[2])
        assert found["broken"] == 2 and [entry["by"] for entry in found["entries"]] == ["anna", "none", "vera"]
        path.unlink()
        assert json.loads(site.ask("/api/audit", cookie=cookies["admin"])[2])["entries"] == []
    finally:
        site.stop()


def test_views_that_come_later_are_closed_masked_and_can_ask_for_a_role(tmp_path):
    from aiohttp import web

    from consumers.console.accounts.access import require, write_export

    async def gpx(request):
        await write_export(request, "tracks", vehicles=2)
        return web.Response(text=f"<gpx>{PLATE}</gpx>", content_type="application/gpx+xml")

    async def geojson(request):
        return web.json_response({"features": [{"properties": {"plate": "X 1", "note": "x1", "driver": DRIVER}}]}, content_type="application/geo+json")

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(PLATE.encode())
        return response

    async def log(request):
        require(request, "admin")
        return web.Response(text="the log")

    class Later(Site):
        async def serve(self):
            plain = Pages.routes
            self.more = [web.get("/api/gpx", gpx), web.get("/api/geojson", geojson), web.get("/api/log", log), web.get("/api/stream", stream)]
            Pages.routes = lambda pages: [*plain(pages), *self.more]
            try:
                pages = super().serve()
                await pages
            finally:
                Pages.routes = plain

    site = Later(tmp_path, console_users=users_file(tmp_path))
    try:
        cookies = {role: site.log_in(name) for name, role in ROLES.items()}
        assert {path: [site.ask(path, cookie=cookie)[0] for cookie in (None, *cookies.values())] for path in ("/api/gpx", "/api/geojson", "/api/log", "/api/stream")} == {
            "/api/gpx": [401, 403, 200, 200], "/api/stream": [401, 403, 200, 200], "/api/geojson": [401, 200, 200, 200], "/api/log": [401, 403, 403, 200],
        }  # fmt: skip
        seen = {role: json.loads(site.ask("/api/geojson", cookie=cookie)[2])["features"][0]["properties"] for role, cookie in cookies.items()}
        assert seen == {"viewer": {"plate": "***", "note": "***", "driver": "***"}, "officer": {"plate": "X 1", "note": "x1", "driver": "***"}, "admin": {"plate": "X 1", "note": "x1", "driver": "***"}}
        assert ("exported", "olga", {"what": "tracks", "vehicles": 2, "through": "console"}) in site.audit() and "role admin; yours is officer" in json.loads(site.ask("/api/log", cookie=cookies["officer"])[2])["error"]
    finally:
        site.stop()


def test_sessions_end_with_time_and_events_end_with_them(tmp_path):
    site = filled(Site(tmp_path, console_users=users_file(tmp_path)))
    try:
        cookie = site.log_in("olga")
        site.now_s += IDLE_S - 1
        assert site.ask("/api/state", cookie=cookie)[0] == 200
        site.now_s += IDLE_S - 1
        with urllib.request.urlopen(urllib.request.Request(f"{site.url}/api/events", headers={"Cookie": cookie}), timeout=30) as stream:
            assert stream.readline() == b"retry: 1000\n"
            site.now_s += LONGEST_S
            deadline = time.monotonic() + 20
            while stream.readline() and time.monotonic() < deadline:
                pass
            assert time.monotonic() < deadline, "the stream of who is out ends"
        status, _, said = site.ask("/api/positions", cookie=cookie)
        assert status == 401 and "30 minutes" in json.loads(said)["error"]
    finally:
        site.stop()


def test_whoever_is_taken_from_the_file_or_gets_another_role_is_so_at_once(tmp_path):
    path = users_file(tmp_path)
    site = filled(Site(tmp_path, console_users=path))
    try:
        cookies = {name: site.log_in(name) for name in ROLES}
        text = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line.replace("role: officer", "role: viewer") for line in text if not line.startswith("  anna")))
        assert site.ask("/api/state", cookie=cookies["anna"])[0] == 401
        assert PLATE not in site.ask("/api/state", cookie=cookies["olga"])[2] and site.ask("/api/answer", {}, cookies["olga"])[0] == 403
        write_user(path, User("vera", "viewer", QUICK.hash("another password")))
        assert site.ask("/api/state", cookie=cookies["vera"])[0] == 401, "another password is another login"
    finally:
        site.stop()


def test_without_users_nothing_is_masked_and_answers_are_written_down_all_the_same(tmp_path):
    site = filled(Site(tmp_path))
    try:
        assert json.loads(site.ask("/api/me")[2]) == {"login": False, "password": False, "provider": False, "name": None, "role": "admin", "ended": False, "masked": []}
        assert PLATE in site.ask("/api/state")[2] and json.loads(site.ask("/api/vehicle?id=HH-1")[2])["record"]["driver_ids"] == [DRIVER]
        assert site.ask("/api/answer", {"incident_id": "i", "action": "acknowledged", "by": "Wang"})[0] == 200 and site.sent[0]["by"] == "Wang"
        assert site.audit() == [("acknowledged", "Wang", {"incident_id": "i", "through": "console"})]
        assert site.ask("/api/login", {"name": "olga", "password": PASSWORD})[0] == 404
        assert site.ask("/api/state", Host="evil.example")[0] == 403
    finally:
        site.stop()


def test_behind_a_proxy_the_named_address_counts_and_cookies_are_secure(tmp_path):
    site = Site(tmp_path, console_users=users_file(tmp_path), console_url="https://console.example.org")
    try:
        body = {"name": "olga", "password": PASSWORD}
        assert site.ask("/api/login", body, Host="evil.example", Origin="https://evil.example")[0] == 403
        for host in ("console.example.org", "127.0.0.1"):
            status, headers, _ = site.ask("/api/login", body, Host=host, Origin="https://console.example.org", X_Forwarded_For="192.0.2.50")
            assert status == 200 and "Secure" in headers["Set-Cookie"]
        assert site.audit()[-1][2]["address"] == "127.0.0.1", "nobody said that this is a proxy"
    finally:
        site.stop()


def test_elsewhere_it_wants_users(tmp_path):
    with pytest.raises(BadInput, match="YICHENG_CONSOLE_HOST=0.0.0.0: .*YICHENG_CONSOLE_USERS=users.yaml ./yicheng console user"):
        check_access(Settings(state_dir=tmp_path, console_host="0.0.0.0"))
    check_access(Settings(state_dir=tmp_path, console_host="0.0.0.0", console_users=users_file(tmp_path)))
    check_access(Settings(state_dir=tmp_path, console_host="::1"))


def test_who_logs_in_beside_many_others_is_asked_to_wait(tmp_path, monkeypatch):
    site, release = Site(tmp_path, console_users=users_file(tmp_path), console_proxy="127.0.0.1"), threading.Event()
    running, most = [], []

    def slow(password, known):
        running.append(1)
        most.append(len(running))
        release.wait(20)
        running.pop()
        return False

    monkeypatch.setattr("consumers.console.accounts.passwords.fits", slow)
    statuses = []
    threads = [threading.Thread(target=lambda n=n: statuses.append(site.ask("/api/login", {"name": f"u{n}", "password": "x"}, X_Forwarded_For=f"198.51.100.{n}")[0])) for n in range(25)]
    try:
        for thread in threads:
            thread.start()
        wait_for("those too many to be refused", lambda: statuses.count(503) == 5)
        release.set()
        for thread in threads:
            thread.join(30)
        assert sorted(statuses) == [401] * 20 + [503] * 5 and max(most) == 2
    finally:
        release.set()
        site.stop()


def test_zones_are_drawn_by_admins(site, cookies):
    for path in ("/api/policy/check", "/api/policy/export", "/api/policy/inside"):
        statuses = {role: site.ask(path, {"type": "FeatureCollection", "features": []}, cookie)[0] for role, cookie in cookies.items()}
        assert (statuses["viewer"], statuses["officer"]) == (403, 403) and statuses["admin"] != 403, path


def test_a_zone_file_that_is_taken_along_is_written_down(site, cookies):
    policy = load_policy("hohhot-2019")
    site.city.enter_policy(b"hohhot-2019", json.dumps([policy.pack.source]).encode())
    drawn, crossed = json.loads(policy.pack.source["geojson"]), json.loads(policy.pack.source["geojson"])
    ring = crossed["features"][0]["geometry"]["coordinates"][0]
    ring[1], ring[2] = ring[2], ring[1]
    before = len(site.audit())
    tell = lambda path, body: json.loads(site.ask(path, body, cookies["admin"])[2])  # noqa: E731
    assert tell("/api/policy/check", drawn)["text"] is None and tell("/api/policy/export", crossed)["text"] is None and len(site.audit()) == before
    assert json.loads(tell("/api/policy/export", drawn)["text"])["features"] == drawn["features"]
    assert site.audit()[before:] == [("exported", "anna", {"what": "zones of hohhot-2019", "zones": len(drawn["features"]), "through": "console"})]


def test_every_kind_of_base_map_is_shown_to_viewers_and_no_other_file():
    kinds = [*tiles.RASTER.values(), *tiles.VECTOR.values(), "application/geo+json"]
    assert all(map(may_be_opened, kinds)) and not any(map(may_be_opened, ("application/gpx+xml", "application/pdf", "text/csv", "application/zip")))
