"""An incident's page: who was notified of it and with what result, all of its evidence, and how it is printed; a vehicle's papers."""

import json
from zoneinfo import ZoneInfo

from consumers.console.city.papers import papers_of
from consumers.console.web.deliveries import deliveries_of, outbox_near
from consumers.deliveries_api import DELIVERIES_PATH, DeliveriesApi
from consumers.outbox.file import FILE, prepare
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import Destination
from streams.process.pages import PageServer
from streams.registry.records import decode_versions
from streams.registry.registry import Registry
from streams.settings import Settings

T = 1_782_446_400_000
READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


def outbox_with(path, *names):
    """An outbox in which the first of some incidents went to two sinks: one took it, one gave up."""
    prepare(path)
    outbox = Outbox(path)
    for name in names:
        outbox.put([(Entry(name, 1, b'{"data":{}}'), [Destination(sink, "day", 0, T, None, until_answered=False) for sink in ("police", "chat")])], T)
    (first,) = [one for one in outbox.due("police", T, 100) if one.incident_id == names[0]]
    outbox.delivered([(first.no, 0.25, None)], T + 1_000)
    (second,) = [one for one in outbox.due("chat", T, 100) if one.incident_id == names[0]]
    outbox.fail([second.no], T + 2_000, "answered 410 \u202egone")
    outbox.close()


def test_the_log_of_the_notifier_says_who_was_told_when_and_with_what_result(tmp_path):
    outbox_with(tmp_path / FILE, "A", "B")
    found = deliveries_of(Settings(state_dir=tmp_path), "A")
    assert found["elsewhere"] is None
    assert [(one["sink"], one["state"], one["done_ms"], one["attempts"], one["answer"]) for one in found["deliveries"]] == [
        ("police", "delivered", T + 1_000, 1, "taken"), ("chat", "failed", T + 2_000, 1, "answered 410 \\u202egone"),
    ]  # fmt: skip
    assert [one["state"] for one in deliveries_of(Settings(state_dir=tmp_path), "B")["deliveries"]] == ["pending", "pending"] and deliveries_of(Settings(state_dir=tmp_path), "C")["deliveries"] == []


def test_a_sink_that_was_switched_off_is_told_beside_what_waits_for_it(tmp_path):
    outbox_with(tmp_path / FILE, "A", "B")
    outbox = Outbox(tmp_path / FILE)
    outbox.failing("chat", 6 * 86_400.0)
    outbox.switch("chat", off=True)
    outbox.close()
    assert {one["sink"]: one["is_off"] for one in deliveries_of(Settings(state_dir=tmp_path), "B")["deliveries"]} == {"police": False, "chat": True}


def test_without_a_log_it_is_said_where_it_can_be_seen(tmp_path):
    for word in deliveries_of(Settings(state_dir=tmp_path), "A")["elsewhere"].values():
        assert word.endswith("./yicheng notifier log --incident A")
    (tmp_path / FILE).write_bytes(b"no outbox at all")
    assert "cannot be read" in deliveries_of(Settings(state_dir=tmp_path), "A")["elsewhere"]["en"]


def test_the_notifier_beside_it_is_found_as_up_starts_them(tmp_path):
    assert outbox_near(tmp_path / "console") is None
    outbox_with(tmp_path / "notifier" / FILE, "A")
    assert len(deliveries_of(Settings(state_dir=tmp_path / "console"), "A")["deliveries"]) == 2


def test_a_notifier_elsewhere_is_asked_with_a_token(tmp_path):
    """As in containers: the console sees nothing of the notifier's disk."""
    outbox_with(tmp_path / FILE, "A", "B")
    server = PageServer("127.0.0.1", 0, {DELIVERIES_PATH: DeliveriesApi(tmp_path / FILE, "right").read})
    url = f"http://127.0.0.1:{server.server_address[1]}"
    asked = lambda incident_id, token="right", url=url: deliveries_of(Settings(state_dir=tmp_path / "mine", notifier_url=url, deliveries_token=token), incident_id)  # noqa: E731
    assert asked("A") == deliveries_of(Settings(state_dir=tmp_path), "A") and len(asked("A")["deliveries"]) == 2
    assert asked("nobody & co")["deliveries"] == [] == asked("nobody & co", "wrong")["deliveries"]
    (tmp_path / FILE).write_bytes(b"no outbox at all")
    for found, said in ((asked("A", "wrong"), "YICHENG_DELIVERIES_TOKEN"), (asked("A"), "cannot read its log now"), (asked("A", url="http://127.0.0.1:1"), "does not answer")):
        assert said in found["elsewhere"]["en"] and found["elsewhere"]["zh"].endswith("./yicheng notifier log --incident A")
    server.shutdown()
    server.server_close()


def test_papers_say_what_has_lapsed_and_who_is_on_no_file():
    registry = Registry(ZoneInfo("Asia/Shanghai"))
    for kind, name, record in (
        ("vehicle", "v", {"driver_ids": ["good", "late", "none"], "insured_until": "2026-06-25", "vehicle_class": "e_tricycle", "energy": "electric"}),
        ("driver", "good", {"trained_until": "2026-06-26", "insured_until": "2030-01-01"}), ("driver", "late", {"trained_until": "2026-06-25"}), ("vehicle", "bare", {}),
    ):  # fmt: skip
        registry.put(kind, name, decode_versions(json.dumps([{"kind": kind, "id": name, **record}]).encode()))
    papers = papers_of(registry.at("vehicle", "v", T), registry, T)
    assert papers["lapsed"] == ["insured_until"] and papers["class_words"]["en"] and papers["energy_words"]["zh"]
    assert [(one["driver_id"], one["papers"] and one["papers"]["lapsed"]) for one in papers["drivers"]] == [("good", []), ("late", ["trained_until"]), ("none", None)], "a date holds to its end"
    assert papers_of(registry.at("vehicle", "bare", T), registry, T)["drivers"] == [] and papers_of(None, registry, T) is None


def test_an_incident_is_printed_with_all_that_is_known_of_it(console, recorded_day, watch, yicheng, tmp_path):
    row = next(row for row in map(json.loads, (recorded_day / "incidents.jsonl").read_text().splitlines()) if row["vehicle_id"] and len(row["evidence"]) > 1 and row["lon"])
    outbox_with(yicheng.home / FILE, row["incident_id"])
    demo = console("--demo", recorded_day, "--speedup", 1200)
    watched = watch(demo.url, reduced_motion="reduce")
    page = watched.open("/?lang=en")
    page.wait_for_function("(id) => window.yicheng?.state.incidents.has(id)", arg=row["incident_id"])
    page.evaluate("(id) => { location.hash = `incident=${id}`; }", row["incident_id"])
    page.wait_for_selector("#panel .notified li")
    told = page.locator("#panel .notified li").all_text_contents()
    assert ["police" in told[0] and "delivered" in told[0], "chat" in told[1] and "answered 410" in told[1]] == [True, True]
    page.evaluate("window.print = () => { window.printed = true; }")
    page.click(".print")
    assert page.evaluate("window.printed") and page.evaluate("document.body.dataset.printed").startswith("Printed ")
    page.emulate_media(media="print")
    seen = page.evaluate("document.body.innerText").lower()
    evidence = [one["event_id"] for one in row["evidence"]]
    assert [name for name in (row["incident_id"], row["vehicle_id"], row["reason_en"], row["document"], row["clause_text"], *evidence, "police", "answered 410") if name.lower() not in seen] == []
    hidden = "[...document.querySelectorAll('header, #map-side, #filters, #list, button, textarea, [role=tab]')].filter((one) => one.checkVisibility() && !one.matches('.link')).length"
    assert page.evaluate(hidden) == 0
    page.emulate_media(media="screen")
    page.click("#panel [data-vehicle]")
    page.wait_for_selector("#panel .drivers li")
    assert "trained until" in page.text_content("#panel .drivers") and page.locator("#panel svg.curve, #panel .empty").count() >= 1
    watched.check()
