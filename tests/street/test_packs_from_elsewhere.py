"""Packs that do not come from us: small, plain, inside their folder, and with patterns that cost no more than the text they are held against."""

import io
import json
import os
import sys
import time

import pytest
from conftest import ROOT

from deploy.commands.printed import print_text, say
from streams.errors import BadInput
from streams.patterns import compile_pattern
from streams.policy.doubts import doubts
from streams.policy.reader import decode_policy, load_policy, parse_policy
from streams.policy.wording import document_words
from streams.registry.files import load_registry

PACK = load_policy("hohhot-2019").pack.source
LAUGHS = "zzz: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"zz{n}: &{'abcdefghij'[n + 1]} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)


def parse(text):
    return parse_policy(text, "pack.yaml", lambda _: PACK["geojson"])


def one_line(caught):
    text = str(caught.value)
    assert text and "\n" not in text and len(text) < 400, text
    return text


def line_of(words):
    """The line of the pack on which words stand first."""
    return PACK["yaml"].partition(words)[0].count("\n") + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS + PACK["yaml"], "pack.yaml:2: not YAML: the alias *a is not followed here"),
        (PACK["yaml"].replace("calendars:", "shared: &all {days: mon-sun}\ncalendars:", 1).replace("permitted: [{", "permitted: [*all, {", 1), "is not followed"),
        ("policy: &p [*p]\n" + PACK["yaml"], "the alias *p"),
        ("[" * 100_000, "nested more than 32 levels deep"),
        ("- " * 100_000, "nested more than 32 levels deep"),
        ("? [a, b]\n: c\n", "a key is a word"),
        ("{{}: 1}", "a key is a word"),
        ("policy: \x00", "the character U+0000 is not allowed"),
        (PACK["yaml"].replace("id: number-on-file", r'id: "\ud800"', 1), f"pack.yaml:{line_of('id: number-on-file')}: not YAML: a text with the character U+D800 cannot be read"),
        (PACK["yaml"].replace("clause: 三（十）", r'clause: "a\udfffb"', 1), "a text with the character U+DFFF cannot be read"),
        (PACK["yaml"].replace("severity: violation", r'severity: "\ud800"', 1), "the character U+D800"),
        (PACK["yaml"].replace("policy: hohhot-2019", r'policy: "a\0/b"', 1), "pack.yaml:4: not YAML: a text with the character U+0000"),
        (PACK["yaml"].replace("green_packaging: 0.90", r'green_packaging: "\ud800"', 1), "the character U+D800"),
        (PACK["yaml"].replace("valid_from:", '"\\ud800": 1\nvalid_from:', 1), "the character U+D800"),
        (PACK["yaml"].replace("rules:\n", 'rules:\n  - "\\ud800"\n', 1), "the character U+D800"),
    ],
)  # fmt: skip
def test_yaml_that_grows_nests_or_names_keys_strangely_is_one_line_at_once(text, message):
    started = time.process_time()
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert message in one_line(caught)
    assert time.process_time() - started < 5


def test_a_registry_of_aliases_is_refused_too(tmp_path):
    path = tmp_path / "registry.yaml"
    path.write_text("- &a {kind: vehicle, id: v1}\n- *a\n")
    with pytest.raises(BadInput, match=r"registry.yaml:2: .*the alias \*a"):
        load_registry(path, load_policy("hohhot-2019").timezone)


@pytest.mark.parametrize("field", ["plate", "status", "kind", "id", "driver_ids"])
@pytest.mark.parametrize("text", [r"\ud800", r"a\udc00", r"\0", r"a\x00b"])
def test_a_registry_with_half_a_character_or_nul_is_refused(tmp_path, field, text):
    path = tmp_path / "registry.yaml"
    record = {"kind": "vehicle", "id": "v", field: "STANDS HERE"}
    path.write_text("\n- {kind: vehicle, id: w}\n- " + json.dumps(record).replace("STANDS HERE", text) + "\n")
    with pytest.raises(BadInput, match=r"registry.yaml:3: not YAML: a text with the character U\+"):
        load_registry(path, load_policy("hohhot-2019").timezone)


NO_NAMES = ["*", "other", r"a/../b\n", r"\e[2J", r"\u202e", "x" * 129, "京" * 43]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize(("key", "old"), [("policy", "policy: hohhot-2019"), ("adcode", 'adcode: "150100"'), ("id", "id: number-on-file")])
def test_what_names_a_pack_a_city_or_a_rule_is_an_id(key, old, name):
    """Under other names it would be published and never be in force."""
    text = PACK["yaml"].replace(old, f'{key}: "{name}"', 1)
    for read in (parse, lambda text: decode_policy(json.dumps([{**PACK, "yaml": text}]).encode())):
        with pytest.raises(BadInput) as caught:
            read(text)
        assert f": {key} " in one_line(caught) and "is not an id" in str(caught.value)


@pytest.mark.parametrize("rule", ["[speeding]", "{}", "[~]", "{speeding: 1}", "~", '""', "[[]]", "no_rule"])
def test_a_rule_whose_name_is_no_name_is_refused(rule):
    with pytest.raises(BadInput) as caught:
        parse(PACK["yaml"].replace("rule: unregistered_vehicle", f"rule: {rule}", 1))
    assert str(caught.value).startswith((f"pack.yaml:{line_of('rule: ') - 1}: unknown rule", f"pack.yaml:{line_of('rule: ')}: unknown rule"))


def zones_with(**changes):
    zones = json.loads(PACK["geojson"])
    zones["features"][0]["properties"].update(changes)
    return json.dumps(zones)


ODD_ZONES = [{"id": True}, {"id": False}, {"id": None}, {"id": 1.5}, {"id": [1]}, {"id": {}}, {"id": "*"}, {"id": "other"}, {"id": "a\0"}, {"id": "a\nb"}, {"id": "x" * 129}, {"id": ""}]
ODD_ZONES += [{key: value} for key in ("name_zh", "name_en", "kind") for value in ({"a": 1}, [1], True, 1.5, "a\0", "x" * 2_001)]


@pytest.mark.parametrize("changes", ODD_ZONES, ids=str)
def test_what_a_zone_is_called_is_a_text(changes):
    with pytest.raises(BadInput) as caught:
        parse_policy(PACK["yaml"], "pack.yaml", lambda _: zones_with(**changes))
    assert "zones/hohhot.geojson:" in one_line(caught) and "feature 1" in str(caught.value) and next(iter(changes)) in str(caught.value)


def test_a_zone_may_have_a_number_for_a_name_and_none():
    zones = parse_policy(PACK["yaml"].partition("rules:")[0] + "rules: []\n", "pack.yaml", lambda _: zones_with(id=7, name_zh=8, name_en=None, kind=None)).pack
    assert zones.zone_names["7"] == ("8", "7") and zones.zone_kinds["7"] == ""


def pack_in(folder, zones="zones/hohhot.geojson"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zones").mkdir(exist_ok=True)
    path = folder / "pack.yaml"
    path.write_text(PACK["yaml"].replace("zones: zones/hohhot.geojson", f"zones: {zones}", 1), "utf-8")
    return path


def secret_zones(folder):
    (folder / "outside").mkdir()
    (folder / "outside" / "zones.geojson").write_text(PACK["geojson"], "utf-8")
    return folder / "outside" / "zones.geojson"


@pytest.mark.parametrize("kind", ["absolute", "parent", "link", "linked folder", "device", "folder", "nul"])
def test_zones_are_read_from_inside_the_folder_of_the_pack_only(tmp_path, kind):
    outside = secret_zones(tmp_path)
    packs = tmp_path / "packs"
    zones = {
        "absolute": str(outside), "parent": "zones/../../outside/zones.geojson", "link": "zones/link.geojson", "linked folder": "linked/zones.geojson",
        "device": "/dev/zero", "folder": "zones", "nul": '"a\\0b"',
    }[kind]  # fmt: skip
    path = pack_in(packs, zones)
    (packs / "zones" / "link.geojson").symlink_to(outside)
    (packs / "linked").symlink_to(outside.parent)
    with pytest.raises(BadInput) as caught:
        load_policy(str(path))
    assert "cannot be read" in one_line(caught)


def test_zones_beside_the_pack_are_read_also_where_the_folder_is_reached_by_a_link(tmp_path):
    path = pack_in(tmp_path / "packs")
    (tmp_path / "packs" / "zones" / "hohhot.geojson").write_text("\ufeff" + PACK["geojson"], "utf-8")
    (tmp_path / "link").symlink_to(path.parent)
    assert load_policy(str(tmp_path / "link" / "pack.yaml")).name == "hohhot-2019"


@pytest.mark.parametrize("what", ["pack", "zones"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "too large", "not text"])
def test_what_is_no_small_regular_file_is_refused_at_once(tmp_path, what, kind):
    path = pack_in(tmp_path)
    victim = path if what == "pack" else tmp_path / "zones" / "hohhot.geojson"
    victim.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(victim)
    elif kind == "endless":
        victim.symlink_to("/dev/zero")
    else:
        victim.write_bytes(b"# " + b"x" * 1_000_000 if kind == "too large" else b"\xff\xfe\x00")
    started = time.process_time()
    with pytest.raises(BadInput) as caught:
        load_policy(str(path))
    assert any(words in one_line(caught) for words in ("not a regular file", "larger than 1 MB", "not UTF-8", "is not inside"))
    assert time.process_time() - started < 5


NOT_RE2 = [r"(?=HH)H+", r"(a)\1", "(?<=H)H", "HH-[0-9", "a{1001}", "((a{100}){100}){100}", "(?P<n>a", "*", r"\u4e00", "x" * 1_001, "(?:x{0,1000}){0,1000}", "\\"]


@pytest.mark.parametrize("pattern", NOT_RE2, ids=[pattern[:20] for pattern in NOT_RE2])
@pytest.mark.parametrize("place", ["identifier", "home plate"])
def test_a_pattern_that_re2_does_not_take_is_one_line_with_its_place(capfd, pattern, place):
    quoted = "'" + pattern + "'"
    if place == "identifier":
        text = PACK["yaml"].replace('"HH-[0-9]{5}"', quoted, 1)
    else:
        rule = f"  - {{rule: unrecognised_foreign_plate, id: foreign, clause: x, severity: warning, home_plate_pattern: {quoted}}}\n"
        text = PACK["yaml"].replace("rules:\n", "rules:\n" + rule, 1)
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert "pattern" in one_line(caught) and "pack.yaml:" in one_line(caught)
    assert capfd.readouterr().err == ""  # the engine itself prints nothing


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(a|aa)+", "(.*)*b?", "(a*)*c", "([a-z]+)*[0-9]", "^(a?){25}a{25}$", "(((a*)*)*)*d", "(?:a{0,99}){9}"])
def test_a_pattern_that_would_backtrack_for_ever_is_harmless(pattern):
    """The standard library's engine needs hours for most of these."""
    started = time.process_time()
    compile_pattern(pattern).fullmatch("a" * 128 + "!")
    compile_pattern(pattern).fullmatch("a" * 100_000 + "!")
    assert time.process_time() - started < 5


def test_our_own_packs_and_patterns_still_match():
    assert compile_pattern("HH-[0-9]{5}").fullmatch("HH-00012") and not compile_pattern("HH-[0-9]{5}").fullmatch("HH-000123")
    for path in sorted((ROOT / "streams" / "policies").glob("*.yaml")):
        load_policy(str(path))


FRAME = """policy: frame
city: {adcode: "150100", name_zh: 甲市, name_en: City, timezone: Asia/Shanghai}
document: {title: 办法, file: f.txt}
valid_from: 2024-12-01
rules: []
"""
"""A pack without zones."""


@pytest.mark.parametrize("given", ["geometries: {core: x}", "zone_kinds: {core: restricted}", "zone_names: {core: [a, b]}", "source: {yaml: x}", "illustrative_zones: [core]"])
@pytest.mark.parametrize("text", [FRAME, PACK["yaml"]], ids=["without zones", "with zones"])
def test_what_yicheng_itself_holds_of_a_pack_is_no_key(text, given):
    key = given.partition(":")[0]
    with pytest.raises(BadInput, match=f"^pack.yaml:[0-9]+: unknown key '{key}'"):
        parse(f"{text}\n{given}\n")


def test_only_keys_that_a_pack_may_have_are_named_as_known():
    with pytest.raises(BadInput) as caught:
        parse(FRAME + "xxxxxxx: 1\n")
    known = set(one_line(caught).partition("known: ")[2].split(", "))
    assert known == {"policy", "city", "document", "valid_from", "valid_until", "continued", "identifier", "lateness", "calendars", "zones", "rules", "targets", "credit", "figure_clauses"}


def test_a_key_of_before_of_which_nothing_is_made_is_doubted():
    assert [said for said in doubts(parse(f"{FRAME}\ncredit: {{black: 4}}\n").pack) if "nothing is made of this key" in said]
    assert not [said for said in doubts(parse(FRAME).pack) if "nothing is made of this key" in said]


def zones_of(ring):
    zones = json.loads(PACK["geojson"])
    zones["features"][0]["geometry"] = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return json.dumps(zones)


@pytest.mark.parametrize("bad", [[500, 50], [13_500_000, 50], [40, 99], [40, 111]], ids=str)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_corner_that_cannot_be_is_refused_behind_others_that_are_abroad(bad, before):
    ring = [[10, 50], [20, 50], [20, 60], [10, 60]]
    with pytest.raises(BadInput) as caught:
        parse_policy(PACK["yaml"], "pack.yaml", lambda _: zones_of([*ring[:before], bad, *ring[before:]]))
    assert f"hohhot.geojson:1: zone 'core' (feature 1) lies at {bad[0]:g}, {bad[1]:g}: " in one_line(caught)


def test_a_zone_abroad_is_warned_of_once():
    warnings = parse_policy(PACK["yaml"], "pack.yaml", lambda _: zones_of([[111, 40], [10, 50], [20, 50], [20, 60]])).warnings
    assert [warning.partition(") ")[2] for warning in warnings if "outside China" in warning] == ["lies at 10, 50, outside China; are these WGS-84 degrees, longitude first?"]


@pytest.mark.parametrize(
    ("first", "key"),
    [('"features"', "features"), ('"geometry"', "geometry"), ('"id"', "id"), ('"coordinates"', "coordinates"), ('"type"', "type"), ('"x{": "}", "x{"', "x{"), ('"\\u0069d"', "id")],
)
def test_a_key_of_zones_that_is_given_twice_is_refused_where_it_stands(first, key):
    words = f'"{key}":' if key != "x{" else '"kind":'
    text = json.dumps(json.loads(PACK["geojson"]), indent=1).replace(words, f"{first}: [],\n{words}", 1)
    line = text.partition(f"{first}: []")[0].count("\n") + 1
    with pytest.raises(BadInput) as caught:
        parse_policy(PACK["yaml"], "pack.yaml", lambda _: text)
    assert f"hohhot.geojson:{line + (key != 'x{')}: key {key!r} is given twice" in one_line(caught)


def test_many_keys_of_zones_are_looked_through_at_once():
    text = PACK["geojson"].replace('"features"', f'"other": {json.dumps([{"a": 1, "b": 2}] * 40_000)}, "features"', 1)
    started = time.process_time()
    assert parse_policy(FRAME + "zones: zones.geojson\n", "pack.yaml", lambda _: text).zone_kinds
    assert time.process_time() - started < 5


@pytest.mark.parametrize("written", ["2024-12-01", "20241201", "2024.12.1", "2024/12/1", "2024年12月1日"])
def test_dates_are_said_in_words_however_they_are_written(written):
    text = FRAME.replace("valid_from: 2024-12-01", f"valid_from: {written}\nvalid_until: {written} 08:30").replace("f.txt", f"f.txt, published: {written}")
    said = document_words(parse(text).pack)
    assert "自2024年12月1日起" in said.validity.zh and "from 1 December 2024 until 1 December 2024 08:30" in said.validity.en
    assert "2024年12月1日公布" in said.dates.zh and "ublished 1 December 2024" in said.dates.en


@pytest.mark.parametrize("day", ["2024-02-31", "2023-02-29", "20240431", "0000", "0000-01-01", "２０２４"])
def test_a_document_is_published_on_a_day_of_the_calendar(day):
    with pytest.raises(BadInput, match=f"^pack.yaml:3: published: date '{day}' is not YYYY"):
        parse(FRAME.replace("f.txt", f"f.txt, published: {day}"))


@pytest.mark.parametrize("given", ["2024-02-31", "20240231", "2024-13", "[2024]", "{a: b}", "soon"])
@pytest.mark.parametrize("key", ["valid_from", "valid_until"])
def test_a_pack_is_valid_between_days_of_the_calendar(key, given):
    with pytest.raises(BadInput, match=f"^pack.yaml:[45]: {key}: .* date"):
        parse(FRAME.replace("valid_from: 2024-12-01", f"{key}: {given}"))


@pytest.mark.parametrize(
    ("begins", "early"),
    [("2024-01-01", True), ("20240101", True), ("2024年11月30日", True), ("2024-11-30T15:59:00Z", True), ("2024-11-30T16:00:00Z", False), ("2024.12.1", False), ("20241201", False)],
)
def test_a_pack_that_begins_before_its_document_is_doubted_however_the_days_are_written(begins, early):
    text = FRAME.replace("2024-12-01", begins).replace("f.txt", "f.txt, in_force: {from: 20241201}")
    assert any("before its document is in force, 2024-12-01" in warning for warning in parse(text).warnings) is early


@pytest.mark.parametrize("pattern", ["", "^$", "()", "a{0}", "(?:)*"])
@pytest.mark.parametrize("place", ["identifier", "home plate"])
def test_a_pattern_that_no_number_can_match_is_refused(pattern, place):
    rule = f'rules: [{{rule: unrecognised_foreign_plate, id: f, clause: x, severity: warning, home_plate_pattern: "{pattern}"}}]'
    text = FRAME + f'identifier: {{pattern: "{pattern}"}}\n' if place == "identifier" else FRAME.replace("rules: []", rule)
    with pytest.raises(BadInput, match="^pack.yaml:[56]: .*pattern '.*' is a pattern that no number can match; write one such as "):
        parse(text)


@pytest.mark.parametrize("pattern", ["[京沪]?", ".*", "a*", r"\\C*", r"\\pL{1,9}|", "^.+$"])
def test_a_pattern_that_some_number_matches_is_taken(pattern):
    assert parse(FRAME + f'identifier: {{pattern: "{pattern}"}}\n').identifier


@pytest.mark.parametrize("encoding", ["gbk", "utf-16"])
@pytest.mark.parametrize("what", ["pack", "zones", "document"])
def test_what_is_in_another_encoding_is_to_be_saved_as_utf_8(tmp_path, what, encoding):
    path = pack_in(tmp_path)
    files = {"pack": path, "zones": tmp_path / "zones" / "hohhot.geojson", "document": tmp_path / load_policy("hohhot-2019").pack.document.file}
    texts = {"pack": path.read_text("utf-8"), "zones": PACK["geojson"], "document": "呼和浩特市"}
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(texts[name], encoding if name == what else "utf-8")
    with pytest.raises(BadInput, match="not UTF-8.*; save it as UTF-8$"):
        load_policy(str(path), tmp_path)


def test_what_a_terminal_cannot_show_is_written_as_an_escape(monkeypatch):
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding="latin-1"))
    say("京é")
    print_text("甲\n")
    sys.stdout.flush()
    assert held.getvalue() == b"\\u4eac\xe9\n\\u7532\n"
