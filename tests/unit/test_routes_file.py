"""Files of routes: what they say is what is decided; every mistake is one line with its place; a reload with a mistake changes nothing."""

import os
import time

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from notices import OPENED_MS, at_ms, event
from structlog.testing import capture_logs

from consumers.routing.checks import shadowing
from consumers.routing.file import RoutesFile, configured, load_routing, refuse_two_ways
from consumers.routing.route import Route
from consumers.routing.routes import Routing
from streams.errors import BadInput
from streams.settings import Settings

GOOD = """\
timezone: Asia/Shanghai
escalate_within: 7d
sinks:
  duty: {kind: wecom, url: "${WECOM_URL}"}
  chief: {kind: file, path: chief.jsonl}
  police:
    kind: webhook
    url: https://police.example/incidents
    secret_file: secrets/police
    real: true
calendars:
  nights: {windows: [{from: "22:00", until: "07:00"}]}
  days: {windows: [{from: "07:00", until: "22:00"}]}
on_call:
  officer: {calendar: duty.ics, people: {王警官: chief}, otherwise: duty}
routes:
- name: fast
  match: {rule: speeding, severity: violation}
  to: [officer]
  debounce: 30s
- name: rest
  to: duty
"""
ICS = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20261111T080000\r\nDTEND:20261111T200000\r\nSUMMARY:王警官\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
SECRET = "whsec_c2VjcmV0LXNlY3JldA=="


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WECOM_URL", "https://wecom.example/key=hidden-key")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "police").write_text(SECRET + "\n")
    (tmp_path / "duty.ics").write_text(ICS, "utf-8")
    return tmp_path


def write(folder, text):
    (folder / "routes.yaml").write_text(text, "utf-8")
    return folder / "routes.yaml"


def with_route(*lines, last=""):
    """A good file with another route before the last, which begins in line 21."""
    return GOOD.replace("- name: rest\n", "".join(f"{line}\n" for line in lines) + "- name: rest\n") + last


def test_a_file_says_what_is_decided_and_secrets_are_put_in(folder):
    routing = load_routing(write(folder, GOOD))
    assert routing.sinks["duty"].kind == "wecom" and routing.sinks["duty"].options == {"url": "https://wecom.example/key=hidden-key"}
    assert routing.sinks["police"].options == {"url": "https://police.example/incidents", "secret": SECRET, "real": True}
    assert routing.sinks["police"].real and not routing.sinks["chief"].real and routing.sinks["police"].where == f"{folder / 'routes.yaml'}:6"
    found = routing.destinations(event(), OPENED_MS)
    assert [(each.sink, each.route, each.due_ms) for each in found] == [("chief", "fast", OPENED_MS + 30_000)]
    assert [each.sink for each in routing.destinations(event(), at_ms("2026-11-12T08:00"))] == ["duty"]
    assert [each.route for each in routing.destinations(event(severity="warning"), OPENED_MS)] == ["rest"]


def test_options_are_what_they_are(folder):
    """Numbers and paths are named; whatever else looks like a number is text, as tokens may."""
    (folder / "new").write_text("two\n")
    options = "{kind: webhook, secret_file: [secrets/police, new], token: 0123, private: false, ca_file: ca.pem, keep: 3, rotate_mb: 1.5, headers: {a: '${WECOM_URL}'}}"
    found = load_routing(write(folder, GOOD.replace("{kind: file, path: chief.jsonl}", options))).sinks["chief"].options
    assert found == {
        "secret": [SECRET, "two"], "token": "0123", "private": False, "ca_file": str(folder / "ca.pem"), "keep": 3, "rotate_mb": 1.5,
        "headers": {"a": "https://wecom.example/key=hidden-key"},
    }  # fmt: skip


def test_every_key_of_a_route_has_its_effect(folder):
    routing = load_routing(write(folder, with_route(
        "- name: all", "  match: {city: '150100', rule: [forbidden_stop], rule_id: x, severity: warning, basis: [stated, operator], zone: z, enterprise: e, responsible: p, synthetic: false}",
        "  to: [duty, chief]", "  language: zh", "  mask: [plate]", "  title: '{plate}'", "  text: '{when_zh}'", "  group_by: [zone]", "  group_wait: 1m", "  mute: [nights]",
        "  transitions: [opened, updated]", "  debounce: 1m", "  escalate: [{after: 15m, to: chief}, {after: 1h, to: [police]}]", "  acknowledgement_lasts: 8h", "  continue: true",
    )))  # fmt: skip
    route = routing.routes[1]
    assert {field: set(values) for field, values in route.wanted.items()} == {
        "city": {"150100"}, "rule": {"forbidden_stop"}, "rule_id": {"x"}, "severity": {"warning"}, "basis": {"stated", "operator"}, "zone": {"z"}, "enterprise": {"e"},
        "responsible": {"p"}, "synthetic": {"false"},
    }  # fmt: skip
    assert (route.to, route.style.language, route.style.mask, route.style.title, route.style.text) == (("duty", "chief"), "zh", {"plate"}, "{plate}", "{when_zh}")
    assert (route.group_by, route.group_wait_ms, list(route.mute), route.transitions, route.debounce_ms) == (("zone",), 60_000, ["nights"], ("opened", "updated"), 60_000)
    assert [(step.after_ms, step.to) for step in route.escalate] == [(900_000, ("chief",)), (3_600_000, ("police",))]
    assert route.acknowledgement_lasts_ms == 8 * 3_600_000 and route.continues


def test_the_example_is_read(folder, monkeypatch):
    monkeypatch.setenv("WECOM_KEY", "k")
    for name in ("chief-mail", "swift-mail"):
        (folder / "secrets" / name).write_text("mailto://x")
    routing = load_routing(write(folder, (ROOT / "deploy" / "routes.example.yaml").read_text("utf-8")))
    assert [route.name for route in routing.routes] == ["everything", "rehearsal", "notice-swift", "speeding", "parking", "rest"]


ROUTE = "- name: x"
MISTAKES = {
    "an unknown sink in to": (with_route(ROUTE, "  to: [dutty]"), 22, "unknown sink 'dutty'; did you mean 'duty'?"),
    "an unknown sink of an escalation": (with_route(ROUTE, "  match: {rule: speeding}", "  to: duty", "  escalate: [{after: 5m, to: chef}]"), 24, "unknown sink 'chef'; did you mean 'chief'?"),
    "an unknown sink of a person on call": (GOOD.replace("{王警官: chief}", "{王警官: chif}"), 15, "unknown sink 'chif'; did you mean 'chief'?"),
    "an unknown sink otherwise": (GOOD.replace("otherwise: duty", "otherwise: nobody"), 15, "unknown sink 'nobody'"),
    "an unknown key of the file": (GOOD + "sink: {}\n", 23, "unknown key 'sink'; did you mean 'sinks'?"),
    "an unknown key of a route": (with_route(ROUTE, "  to: duty", "  languages: zh"), 23, "unknown key 'languages'; did you mean 'language'?"),
    "an unknown key of a match": (with_route(ROUTE, "  match:", "    rules: speeding", "  to: duty"), 23, "unknown key 'rules'; did you mean 'rule'?"),
    "an unknown key of a step": (with_route(ROUTE, "  to: duty", "  escalate: [{afer: 5m, to: duty}]"), 23, "unknown key 'afer'; did you mean 'after'?"),
    "an unknown key of a calendar": (GOOD.replace("nights: {windows:", "nights: {window:"), 12, "unknown key 'window'; did you mean 'windows'?"),
    "an unknown key of a window": (GOOD.replace('from: "22:00"', 'form: "22:00"'), 12, "unknown key 'form'; did you mean 'from'?"),
    "an unknown key of a rota": (GOOD.replace("otherwise: duty", "else: duty"), 15, "unknown key 'else'"),
    "an unknown kind of sink": (GOOD.replace("kind: wecom", "kind: wecomm"), 4, "sink duty: unknown kind; did you mean 'wecom'?"),
    "a sink without a kind": (GOOD.replace("kind: file, ", ""), 5, "sink chief needs the key 'kind'"),
    "an unknown field of a title": (with_route(ROUTE, "  to: duty", "  title: '{plat}'"), 23, "unknown field {plat}; did you mean 'plate'?"),
    "an unknown field of a text": (with_route(ROUTE, "  to: duty", "  text: '{when_z}'"), 23, "text: unknown field {when_z}; did you mean 'when_zh'?"),
    "a title that has a link": (with_route(ROUTE, "  to: duty", "  title: '{link}'"), 23, "title: unknown field {link}"),
    "a title with a lonely brace": (with_route(ROUTE, "  to: duty", "  title: 'a { b'"), 23, "a brace stands alone"),
    "two routes of one name": (with_route("- name: fast", "  to: duty"), 21, "route name 'fast' is used twice (first in line 17)"),
    "two sinks of one name": (GOOD.replace("  chief: {", "  duty: {"), 5, "key 'duty' is given twice (first in line 4)"),
    "a rota called as a sink is": (GOOD.replace("  officer:", "  duty:"), 15, "on_call duty is also the name of a sink"),
    "a window without end": (GOOD.replace(', until: "07:00"', ""), 12, "key 'until' is missing"),
    "a calendar that never opens": (GOOD.replace('nights: {windows: [{from: "22:00", until: "07:00"}]}', "nights: {windows: []}"), 12, "calendar nights is made of weekly windows or of a file, and never opens"),
    "a calendar of both": (GOOD.replace("nights: {", "nights: {file: duty.ics, "), 12, "has both"),
    "a calendar file that is not there": (GOOD.replace("calendar: duty.ics", "calendar: dutty.ics"), 15, "calendar file dutty.ics is not there"),
    "a timezone of a calendar": (GOOD.replace("nights: {", "nights: {timezone: Asia/Bejing, "), 12, "timezone 'Asia/Bejing' is unknown"),
    "a timezone of the file": (GOOD.replace("Asia/Shanghai", "Mars"), 1, "timezone 'Mars' is unknown"),
    "a match of nothing": (with_route(ROUTE, "  match: {rule: []}", "  to: duty"), 22, "rule is an empty list, so the route can never match"),
    "a route that an earlier one shadows": (GOOD + "- {name: late, match: {zone: ring}, to: chief}\n", 23, "route 'late' can never match: all of it is taken before, by rest;"),
    "a route that is part of an earlier one": (with_route(ROUTE, "  match: {rule: speeding, severity: violation, zone: ring}", "  to: duty"), 22, "route 'x' can never match: all of it is taken before, by fast;"),
    "a route that several earlier ones shadow": (
        with_route("- {name: a, match: {severity: warning}, to: duty}", "- {name: b, match: {severity: [violation]}, to: duty}", "- {name: c, match: {zone: ring}, to: chief}"), 23, "route 'c' can never match: all of it is taken before, by fast, a, b;"),
    "a rehearsal that only real police would get": (with_route(ROUTE, "  match: {synthetic: true}", "  to: police"), 23, "it can never tell police"),
    "an unknown rule": (with_route(ROUTE, "  match: {rule: [speeding, speedin]}", "  to: duty"), 22, "unknown rule 'speedin'; did you mean 'speeding'?"),
    "an unknown severity": (with_route(ROUTE, "  match: {severity: violaton}", "  to: duty"), 22, "unknown severity 'violaton'; did you mean 'violation'?"),
    "an unknown basis": (with_route(ROUTE, "  match: {basis: state}", "  to: duty"), 22, "unknown basis 'state'; did you mean 'stated'?"),
    "a city that is no code": (with_route(ROUTE, "  match: {city: hohhot}", "  to: duty"), 22, "city 'hohhot' is not the six digits of its code"),
    "a city in digits of another script": (with_route(ROUTE, "  match: {city: '１50100'}", "  to: duty"), 22, "is not the six digits"),
    "a value that nothing has": (with_route(ROUTE, "  match: {zone: [ring, '']}", "  to: duty"), 22, "zone '' is empty, or begins or ends with a space, so it never matches"),
    "a value with a space at its end": (with_route(ROUTE, "  match: {enterprise: 'swift '}", "  to: duty"), 22, "enterprise 'swift ' is empty, or begins"),
    "an empty title": (with_route(ROUTE, "  to: duty", "  title: ''"), 23, "title is empty; leave it out"),
    "a blank text": (with_route(ROUTE, "  to: duty", "  text: ' '"), 23, "text is empty; leave it out"),
    "an unknown language": (with_route(ROUTE, "  to: duty", "  language: cn"), 23, "language: invalid enum value 'cn'"),
    "an audience that is none": (with_route(ROUTE, "  to: duty", "  audience: enterprises"), 23, "did you mean 'enterprise'?"),
    "an enterprise that is told of others": (with_route(ROUTE, "  match: {enterprise: [a, b]}", "  to: duty", "  audience: enterprise"), 24, "which is told of its own incidents alone"),
    "an enterprise that is told of all": (with_route(ROUTE, "  to: duty", "  audience: enterprise"), 23, "audience: enterprise needs match: {enterprise: ID}"),
    "an enterprise whose answer is waited for": (
        with_route(ROUTE, "  match: {enterprise: a}", "  to: duty", "  audience: enterprise", "  escalate: [{after: 1h, to: chief}]"), 25, "escalate waits for an answer of police"),
    "an unknown mask": (with_route(ROUTE, "  to: duty", "  mask: [plates]"), 23, "did you mean 'plate'?"),
    "an unknown transition": (with_route(ROUTE, "  to: duty", "  transitions: [open]"), 23, "did you mean 'opened'?"),
    "an unknown field to group by": (with_route(ROUTE, "  to: duty", "  group_by: [zones]", "  group_wait: 1m"), 23, "did you mean 'zone'?"),
    "an unknown calendar": (with_route(ROUTE, "  to: duty", "  mute: [night]"), 23, "calendar 'night' is not defined; did you mean 'nights'?"),
    "a negative duration": (with_route(ROUTE, "  to: duty", "  debounce: -5m"), 23, "duration '-5m' is not a number"),
    "a debounce of a month": (with_route(ROUTE, "  to: duty", "  debounce: 31d"), 23, "debounce: 31 days is too long"),
    "no wait at all": (with_route(ROUTE, "  to: duty", "  group_wait: 0s"), 23, "group_wait: 0 seconds is too short"),
    "an absurd reminder": (with_route(ROUTE, "  to: duty", "  acknowledgement_lasts: 1s"), 23, "acknowledgement_lasts: 1 second is too short"),
    "an escalation that never comes": (with_route(ROUTE, "  match: {rule: speeding}", "  to: duty", "  escalate: [{after: 8d, to: chief}]"), 24, "never comes: incidents escalate within 7 days"),
    "a reminder that never comes": (with_route(ROUTE, "  to: duty", "  acknowledgement_lasts: 8d"), 23, "no reminder ever comes"),
    "steps out of order": (with_route(ROUTE, "  to: duty", "  escalate:", "  - {after: 1h, to: chief}", "  - {after: 15m, to: duty}"), 25, "after 15 minutes is not later than the step before it"),
    "an escalation of what is not told": (with_route(ROUTE, "  to: duty", "  transitions: [closed]", "  escalate: [{after: 1h, to: chief}]"), 24, "escalate follows what was opened"),
    "an escalation for ever": (GOOD.replace("escalate_within: 7d", "escalate_within: 3650d"), 2, "escalate_within: 3650 days is too long"),
    "a mute that covers all time": (with_route(ROUTE, "  to: duty", "  mute: [nights, days]"), 23, "mute: nights, days covers all time"),
    "digests that are always muted": (with_route(ROUTE, "  to: duty", "  mute: [nights]", "  digest_at: ['23:00', '06:00']"), 23, "covers every hour of digest_at"),
    "a digest that waits for a group": (with_route(ROUTE, "  to: duty", "  digest_at: ['08:00']", "  group_wait: 1m"), 24, "group_wait has no effect beside digest_at"),
    "a group that waits for nothing": (with_route(ROUTE, "  to: duty", "  group_by: [zone]"), 23, "group_by needs group_wait or digest_at"),
    "an hour that is none": (with_route(ROUTE, "  to: duty", "  digest_at: ['8 Uhr']"), 23, "time '8 Uhr' is not HH:MM"),
    "a secret file that is not there": (GOOD.replace("secrets/police", "secrets/polizei"), 9, "secret_file: the file cannot be read (no such file or directory)"),
    "a number that is none": (GOOD.replace("path: chief.jsonl", "path: chief.jsonl, keep: few"), 5, "keep is a number"),
    "an option given twice": (GOOD.replace("    real: true", "    secret: hidden-key"), 10, "sink police: secret is given twice, itself and as a file"),
    "a variable that is not set": (GOOD.replace("${WECOM_URL}", "https://x/${WECOM_KEY_NOT_SET}"), 4, "url: the variable WECOM_KEY_NOT_SET is not set"),
    "no routes": (GOOD.partition("routes:")[0] + "routes: []\n", 16, "no route is named"),
    "no sinks": ("sinks: {}\nroutes:\n- {name: a, to: b}\n", 1, "no sink is named"),
    "a list of sinks": ("sinks: [a]\nroutes: []\n", 1, "sinks is a mapping"),
    "a sink that is a word": (GOOD.replace("  chief: {kind: file, path: chief.jsonl}", "  chief: whsec_hidden-key"), 5, "chief: expected `object`"),
    "one file of two sinks": (GOOD.replace("calendars:", "  table: {kind: file, path: ./sub/../chief.jsonl, format: csv}\ncalendars:"), 11, "sink table writes into the file of sink chief, or into one that is set aside; give each"),
    "a file that another sets aside": (GOOD.replace("calendars:", "  table: {kind: file, path: chief, rotate_mb: 1}\n  old: {kind: file, path: chief.3}\ncalendars:"), 12, "sink old writes into the file of sink table"),
    "one robot of two names": (GOOD.replace('url: "${WECOM_URL}"', "key: hidden-key").replace("calendars:", "  night: {kind: wecom, key: hidden-key, real: true}\ncalendars:"), 11, "sink night is the robot of sink duty, and its platform counts"),
    "one robot by a file": (
        GOOD.replace("calendars:", f"  a: {{kind: dingtalk, access_token: '{SECRET}'}}\n  b: {{kind: dingtalk, access_token_file: secrets/police}}\ncalendars:"), 12, "sink b is the robot of sink a"),
    "a route that tells nobody": (with_route(ROUTE, "  to: []"), 22, "to is empty"),
    "a route that tells nothing": (with_route(ROUTE, "  to: duty", "  transitions: []"), 23, "transitions is an empty list"),
    "what is not YAML": (GOOD.replace("kind: wecom,", "kind: wecom, hidden-key: [,"), 4, "not YAML; write key: value"),
    "nothing": ("", 1, "is missing"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_one_line_with_its_place_and_shows_no_secret(folder, name):
    text, line, said = MISTAKES[name]
    with pytest.raises(BadInput) as caught:
        load_routing(write(folder, text))
    message = str(caught.value)
    assert message.startswith(f"{folder / 'routes.yaml'}:{line}: ") and said in message, message
    assert "\n" not in message and "hidden-key" not in message and SECRET not in message


def test_sinks_with_ends_of_their_own_are_no_mistake(folder):
    more = ["a: {kind: file, path: chief.jsonl.1}", "b: {kind: wecom, key: k}", "c: {kind: wecom, key: k, base_url: https://wecom.example, private: true}", "d: {kind: feishu, token: k}", "e: {kind: file, path: chief, rotate_mb: 1}",
            "f: {kind: webhook, url: https://x.example, secret: s}", "g: {kind: webhook, url: https://x.example, secret: s}"]  # fmt: skip
    load_routing(write(folder, GOOD.replace("calendars:", "".join(f"  {line}\n" for line in more) + "calendars:")))


def test_an_event_of_somebody_unknown_is_a_mistake_of_the_calendar(folder):
    (folder / "duty.ics").write_text(ICS.replace("王警官", "王警"), "utf-8")
    with pytest.raises(BadInput, match=r"duty\.ics:2: '王警' is none of the people of on_call officer; did you mean '王警官'\?"):
        load_routing(write(folder, GOOD))


def test_a_calendar_that_is_over_is_said_at_the_start_and_after_a_change(folder):
    """It is no mistake: whom ``otherwise`` names is told, and a notifier that is started again the day after goes on."""
    said = "no event of this calendar takes place within a year: nobody is on call by it, and nothing is muted"
    days = [time.strftime("%Y%m%d", time.localtime(time.time() + day * 86_400)) for day in (2, -700)]
    path = write(folder, GOOD)
    for day, warned in zip(days, ([], [("warning", said, str(folder / "duty.ics"))]), strict=True):
        (folder / "duty.ics").write_text(ICS.replace("20261111", day), "utf-8")
        with capture_logs() as logs:
            file = RoutesFile(path)
        assert [(entry["log_level"], entry["event"], entry["file"]) for entry in logs] == warned
    with capture_logs() as logs:
        change(path, GOOD.replace("name: rest", "name: others"))
        file.current()
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


def test_a_file_that_is_not_there_says_how_to_name_one(tmp_path):
    with pytest.raises(BadInput, match="no such file or directory; YICHENG_ROUTES names a file"):
        load_routing(tmp_path / "routes.yaml")


def test_routes_that_only_overlap_and_those_after_one_that_continues_are_no_mistake(folder):
    load_routing(write(folder, with_route(
        "- {name: a, match: {zone: ring, rule: speeding}, to: duty}", "- {name: b, match: {responsible: [p, q], severity: warning}, to: duty}",
        "- {name: c, match: {responsible: [p, r], severity: warning}, to: chief}", "- {name: d, to: chief, continue: true}", "- {name: e, match: {zone: ring}, to: chief}",
    )))  # fmt: skip


def change(path, text):
    """Write a file so that a clock that ticks slowly cannot hide it."""
    before = path.stat().st_mtime_ns
    path.write_text(text, "utf-8")
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def names(file):
    return [route.name for route in file.current().routes]


def test_a_change_is_read_whole_or_not_at_all(folder):
    path = write(folder, GOOD)
    file = RoutesFile(path)
    first = file.current()
    assert file.current() is first
    change(path, GOOD.replace("name: rest", "name: others"))
    assert names(file) == ["fast", "others"]
    kept = file.current()
    with capture_logs() as logs:
        change(path, GOOD.replace("to: duty\n", "to: dutty\n"))
        assert file.current() is kept and file.current() is kept
    assert [(entry["log_level"], "dutty" in entry["error"]) for entry in logs] == [("error", True)]
    change(path, GOOD.replace("name: rest", "name: mended"))
    assert names(file) == ["fast", "mended"]


@pytest.mark.parametrize("name", ["an unknown sink in to", "two routes of one name", "a mute that covers all time", "a secret file that is not there", "what is not YAML", "nothing"])
def test_a_reload_with_a_mistake_keeps_the_old_routes(folder, name):
    path = write(folder, GOOD)
    file = RoutesFile(path)
    kept = file.current()
    change(path, MISTAKES[name][0])
    assert file.current() is kept


def test_a_secret_or_a_calendar_that_changes_or_goes_is_noticed(folder):
    file = RoutesFile(write(folder, GOOD))
    change(folder / "secrets" / "police", "another")
    assert file.current().sinks["police"].options["secret"] == "another"
    (folder / "duty.ics").unlink()
    kept = file.current()
    (folder / "duty.ics").write_text(ICS.replace("20261111T08", "20261111T10"), "utf-8")
    assert file.current() is not kept
    assert [each.sink for each in file.current().destinations(event(), OPENED_MS)] == ["duty"]


def test_a_sink_whose_authorities_changed_is_another(folder):
    """So that it is opened anew, and trusts them."""
    (folder / "ca.pem").write_text("one")
    file = RoutesFile(write(folder, GOOD.replace("    real: true", "    ca_file: ca.pem")))
    kept = file.current().sinks
    change(folder / "ca.pem", "two")
    assert [name for name, config in file.current().sinks.items() if config != kept[name]] == ["police"]


def test_a_file_that_was_missing_is_noticed_when_it_comes(folder):
    path = write(folder, GOOD)
    file = RoutesFile(path)
    kept = file.current()
    change(path, GOOD.replace("duty.ics", "new.ics"))
    assert file.current() is kept
    (folder / "new.ics").write_text(ICS, "utf-8")
    assert file.current() is not kept


def test_a_file_that_is_gone_for_a_moment_changes_nothing(folder):
    path = write(folder, GOOD)
    file = RoutesFile(path)
    kept = file.current()
    path.unlink()
    assert file.current() is kept
    write(folder, GOOD.replace("name: rest", "name: back"))
    assert names(file) == ["fast", "back"]


def test_a_file_that_is_written_in_place_with_its_old_time_and_size_is_noticed(folder):
    path = write(folder, GOOD)
    known = path.stat()
    file = RoutesFile(path)
    time.sleep(0.02)  # longer than the kernel's clock ticks, by which it dates changes
    path.write_text(GOOD.replace("name: rest", "name: test"), "utf-8")
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert path.stat().st_size == known.st_size and path.stat().st_mtime_ns == known.st_mtime_ns
    assert names(file) == ["fast", "test"]


def test_routes_and_settings_of_sinks_may_not_contradict_each_other(folder):
    path = write(folder, GOOD)
    refuse_two_ways(Settings(routes=path))
    refuse_two_ways(Settings(sink_file="x", webhook_url="https://x", webhook_secret="y"))
    for extra in ({"sink_file": "x"}, {"webhook_url": "https://hidden"}, {"webhook_secret": "hidden"}, {"webhook_real": True}, {"webhook_private": True}):
        with pytest.raises(BadInput, match=f"YICHENG_ROUTES and YICHENG_{next(iter(extra)).upper()} are both set") as caught:
            configured(Settings(routes=path, **extra))
        assert "hidden" not in str(caught.value)


def test_settings_alone_are_the_simplest_routing(folder):
    routing = configured(Settings(sink_file="a.jsonl", webhook_url="https://police.example", webhook_secret="whsec_x", webhook_real=True))
    assert {name: (config.kind, config.real) for name, config in routing.sinks.items()} == {"file": ("file", False), "webhook": ("webhook", True)}
    assert [route.name for route in configured(Settings(routes=write(folder, GOOD))).routes] == ["fast", "rest"]
    with pytest.raises(BadInput, match="no sink is configured"):
        configured(Settings())
    with pytest.raises(BadInput, match="always signed"):
        configured(Settings(webhook_url="https://x"))
    for alone in ({"webhook_secret": "hidden"}, {"webhook_real": True}, {"webhook_private": True}):
        with pytest.raises(BadInput, match=f"YICHENG_{next(iter(alone)).upper()} set without YICHENG_WEBHOOK_URL, so no webhook would get anything") as caught:
            configured(Settings(sink_file="a.jsonl", **alone))
        assert "hidden" not in str(caught.value)


def test_a_hundred_routes_are_read_in_a_moment(folder):
    many = "".join(f"- {{name: r{number}, match: {{zone: [z{number}, y{number}], rule: speeding, enterprise: e{number % 7}, severity: warning}}, to: duty}}\n" for number in range(100))
    began_s = time.process_time()
    assert len(load_routing(write(folder, GOOD.replace("- name: rest\n", many + "- name: rest\n"))).routes) == 102
    assert time.process_time() - began_s < 10


FIELD_VALUES = {"severity": ("violation", "warning"), "synthetic": ("true", "false"), "zone": ("z1", "z2"), "responsible": ("p", "q")}
some_routes = st.lists(
    st.tuples(st.fixed_dictionaries({}, optional={field: st.frozensets(st.sampled_from(values), min_size=1) for field, values in FIELD_VALUES.items()}), st.booleans()), min_size=1, max_size=6
)


@settings(max_examples=400, deadline=None)
@given(some_routes)
def test_a_route_can_never_match_exactly_where_no_event_of_all_reaches_it(chosen):
    routes = [Route(name=f"r{number}", to=("x",), wanted=wanted, continues=continues) for number, (wanted, continues) in enumerate(chosen)]
    every = [
        event(severity=severity, synthetic=synthetic, zone_id=zone, responsible=responsible).incident
        for severity in ("violation", "warning") for synthetic in (True, False) for zone in ("z1", "z2", "z3", None) for responsible in ((), ("p",), ("q",), ("p", "q"), ("r",))
    ]  # fmt: skip
    reached = {route.name for incident in every for route in Routing({}, routes).matching(incident)}
    assert [bool(shadowing(route, routes[:number])) for number, route in enumerate(routes)] == [route.name not in reached for route in routes]
