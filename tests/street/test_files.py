"""Files as people have them: dates, registries, packs and windows. Kinds with their cases in ../shared/field, and variants of their own."""

import datetime as dt
import io
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle

from deploy import admin
from deploy.judge import judge_files
from deploy.report.content import Published, gather
from deploy.report.page import as_html
from deploy.report.tables import as_csv
from streams.clock import bound_ms, local_datetime, stretches_ms
from streams.counts import FEATURES
from streams.errors import BadInput
from streams.files.record_columns import read_mapping
from streams.files.record_files import How, open_records
from streams.policy.reader import load_policy, parse_policy
from streams.registry.files import load_registry
from streams.registry.records import decode_entry, decode_versions
from streams.registry.registry import Registry
from streams.windows import Weekdays, Window
from streams.words.shares import percent, target_percent
from streams.words.shown import shown

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
FIELD = Path(__file__).resolve().parents[3] / "shared" / "field"
NOON_MS = 1_715_054_400_000  # 2024-05-07 12:00 in Shanghai, a Tuesday


@pytest.fixture
def field():
    if not FIELD.exists():
        pytest.skip("no ../shared/field beside the checkout: its cases are read from there")
    return FIELD


def judged(policy, registry, out, gps=(), scans=()):
    """The incidents of a run, and its summary."""
    summary = judge_files(policy, registry, [str(path) for path in gps], [str(path) for path in scans], out)
    return [json.loads(line) for line in (out / "incidents.jsonl").read_text("utf-8").splitlines()], summary


def registry_of(tmp_path, text, name="r.csv", zone=SHANGHAI, **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_registry(path, zone, **options)


def refusal(call, *arguments, **options):
    """The one line that something is refused with."""
    with pytest.raises(BadInput) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- dates ---

BARE = ["2024-05-07", "20240507", "2024/05/07", "2024/5/7", "2024.5.7", "2024年5月7日"]


@pytest.mark.parametrize("text", BARE)
def test_a_bare_date_in_any_form_is_its_whole_local_day(text):
    assert bound_ms(text, SHANGHAI, end=False) == bound_ms("2024-05-07T00:00", SHANGHAI, end=False)
    assert bound_ms(text, SHANGHAI, end=True) == bound_ms("2024-05-08T00:00", SHANGHAI, end=False)


@pytest.mark.parametrize("text", ["2024-05", "240507", "2024-W19-2", "2024W192", "20241301", "2024-02-30", "07/05/2024", "1715054400", "soon", "2024-05-07T", "2024-05-07X"])
def test_what_is_no_date_is_refused_and_never_guessed(text):
    with pytest.raises(ValueError, match="neither a date such as"):
        bound_ms(text, SHANGHAI, end=True)


@given(st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)), st.sampled_from(["Asia/Shanghai", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago"]))
def test_every_date_that_calendars_have_is_a_bound(day, name):
    zone = ZoneInfo(name)
    start_ms, end_ms = (bound_ms(day.isoformat(), zone, end=end) for end in (False, True))
    assert 22 * 3_600_000 < end_ms - start_ms < 26 * 3_600_000
    assert bound_ms(day.strftime("%Y%m%d").zfill(8), zone, end=True) == end_ms
    local_datetime(end_ms, zone)


LONG_TERM = [
    {"kind": "vehicle", "id": "BJ-0001", "plate": "京A0001", "valid_until": "9999-12-31", "insured_until": "99991231", "driver_ids": ["d"]},
    {"kind": "driver", "id": "d", "trained_until": "9999-12-31", "insured_until": "9999-12-31T23:59:59"},
    {"kind": "notice", "id": "n", "subject": "vehicle/BJ-0001", "from": "2024-01-01", "until": "9999-12-31"},
    {"kind": "pass", "id": "p", "pass_kind": "green", "vehicle_id": "BJ-0001", "valid_until": "9998-12-31"},
]
RULES = """
  - {rule: unregistered_vehicle, id: unreg, clause: "1", severity: violation}
  - {rule: untrained_driver, id: untrained, clause: "1", severity: violation}
  - {rule: silent_vehicle, id: silent, clause: "1", severity: violation, limit: 10m}
"""
PACK = """\
policy: t
city: {adcode: "110100", name_zh: 测试市, name_en: Test, timezone: Asia/Shanghai}
document: {title: test, number: T-1, file: none}
valid_from: 2019-01-01
"""


def pack(text=PACK, rules=RULES, zones=None):
    return parse_policy(f"{text}{'zones: z.geojson' if zones else ''}\nrules:{rules}", "pack.yaml", lambda _: zones)


def fix_line(number, **fields):
    return json.dumps({"event_id": str(number), "event_time_ms": NOON_MS + 1000 * number, "vehicle_id": "BJ-0001", "lon": 116.32, "lat": 39.92, **fields})


def test_long_term_is_an_end_wherever_a_date_stands(tmp_path):
    text = PACK.replace("2019-01-01", '2019-01-01\nvalid_until: "9999-12-31"\ncalendars: {always: [{from: 2024-01-01, until: 9999-12-31}]}')
    (tmp_path / "gps.jsonl").write_text("\n".join(fix_line(n, ignition=True) for n in (0, 1, 90_000)))
    registry = registry_of(tmp_path, "\n".join(map(json.dumps, LONG_TERM)), "r.jsonl")
    incidents, summary = judged(pack(text), registry, tmp_path, [tmp_path / "gps.jsonl"])
    assert incidents == [] and summary["fixes"] == {"accepted": 3}
    found, _ = oracle_of(tmp_path, f"{text}\nrules:{RULES}").fixes((tmp_path / "gps.jsonl").read_bytes().splitlines())
    assert found == set()


def oracle_of(tmp_path, text):
    (tmp_path / "pack.yaml").write_text(text, "utf-8")
    return Oracle(tmp_path / "pack.yaml", tmp_path / "r.jsonl" if (tmp_path / "r.jsonl").exists() else None)


@pytest.mark.parametrize("until", BARE)
def test_registration_ends_with_the_day_however_its_date_is_written(until, tmp_path):
    record = decode_entry(json.dumps({"kind": "vehicle", "id": "BJ-0001", "valid_from": "20240101", "valid_until": until}).encode())
    registry = Registry(SHANGHAI)
    registry.add([record])
    (tmp_path / "gps.jsonl").write_text("\n".join([fix_line(0), fix_line(43_199), fix_line(43_200), fix_line(43_201)]))
    incidents, _ = judged(pack(rules=RULES.split("\n  - {rule: untrained", maxsplit=1)[0]), registry, tmp_path, [tmp_path / "gps.jsonl"])
    assert [(data["rule_id"], data["fix_count"]) for data in incidents] == [("unreg", 2)]


def test_the_cases_of_dates(field, tmp_path):
    policy = load_policy(str(field / "base.yaml"))
    for registry, gps, expected in (("registry_compact_dates", "compact_dates", 0), ("registry_9999", "bom", 0)):
        known = load_registry(field / f"{registry}.jsonl", policy.timezone)
        incidents, _ = judged(policy, known, tmp_path / registry, [field / f"{gps}.jsonl"])
        assert [data for data in incidents if data["rule_id"] == "unreg"] == [] and len(known) >= 1, expected


# --- windows ---


def on_the_wall(zone, event_time_ms, window):
    """What a clock on the wall says of a window."""
    local = dt.datetime.fromtimestamp(event_time_ms // 1000, zone)
    minute, today = local.hour * 60 + local.minute, local.weekday()
    if window.from_ < window.until:
        return today in window.days and window.from_ <= minute < window.until
    return (today in window.days and minute >= window.from_) or ((today - 1) % 7 in window.days and minute < window.until and window.from_ < 1440)


SETTINGS_OF_CLOCKS = [
    ("Europe/Berlin", "2024-03-31"), ("Europe/Berlin", "2024-10-27"), ("America/Havana", "2024-11-03"), ("America/Havana", "2024-03-10"),
    ("Australia/Lord_Howe", "2024-04-07"), ("Asia/Beirut", "2024-03-31"), ("America/Sao_Paulo", "2018-02-18"), ("Asia/Shanghai", "2024-05-07"),
]  # fmt: skip


@given(
    place=st.sampled_from(SETTINGS_OF_CLOCKS), days=st.frozensets(st.integers(0, 6), min_size=1), from_=st.integers(0, 1439), until=st.integers(0, 1440),
    minute=st.integers(-1500, 3000), second=st.integers(0, 59),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_windows_are_what_clocks_show_on_days_when_they_are_set(place, days, from_, until, minute, second):
    zone, day = ZoneInfo(place[0]), dt.date.fromisoformat(place[1])
    event_time_ms = bound_ms(day.isoformat(), zone, end=False) + (minute * 60 + second) * 1000
    window = Window(days=Weekdays(days), from_=from_, until=until)
    intervals = window.intervals_ms(local_datetime(event_time_ms, zone).date(), zone)
    assert any(a <= event_time_ms < b for a, b in intervals) == on_the_wall(zone, event_time_ms, window)
    assert all(a < b for a, b in intervals)


@given(st.sampled_from(SETTINGS_OF_CLOCKS), st.integers(0, 1439), st.integers(1, 1440))
def test_an_hour_that_comes_twice_is_covered_twice_and_one_left_out_never(place, from_minute, until_minute):
    zone, day = ZoneInfo(place[0]), dt.date.fromisoformat(place[1])
    start_ms, end_ms = (bound_ms(place[1], zone, end=end) for end in (False, True))
    minutes = [t for t in range(start_ms, end_ms, 60_000) if from_minute <= (w := dt.datetime.fromtimestamp(t / 1000, zone)).hour * 60 + w.minute < until_minute]
    assert sum(b - a for a, b in stretches_ms(day, from_minute, until_minute, zone)) == len(minutes) * 60_000


AUTUMN = [  # permitted 22:00 until 02:30, Berlin: the hour from 02:00 comes twice
    ("2024-10-27T02:10+02:00", True), ("2024-10-27T02:40+02:00", False), ("2024-10-27T02:00+01:00", True), ("2024-10-27T02:29:59+01:00", True),
    ("2024-10-27T02:30+01:00", False), ("2024-03-31T01:59:59+01:00", True), ("2024-03-31T03:00+02:00", False), ("2024-03-31T03:29+02:00", False),
]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1], ids=["onwards", "backwards"])
def test_a_policy_that_remembers_periods_agrees_with_the_clock(order, field):
    policy = load_policy(str(field / "dst.yaml"))
    rule = policy.rule_of_id["core-hours"]
    for moment, permitted in AUTUMN[::order]:
        assert policy.permits(rule, int(dt.datetime.fromisoformat(moment).timestamp() * 1000)) is permitted, moment


def test_the_engine_equals_the_oracle_on_the_night_when_clocks_go_back(field, tmp_path):
    policy = load_policy(str(field / "dst.yaml"))
    known = load_registry(field / "base.reg.jsonl", policy.timezone)
    incidents, _ = judged(policy, known, tmp_path, [field / "dst_autumn.jsonl"])
    found, _ = Oracle(field / "dst.yaml", field / "base.reg.jsonl").fixes((field / "dst_autumn.jsonl").read_bytes().splitlines())
    assert {(d["rule_id"], d["opened_at_ms"], d["last_seen_ms"], d["fix_count"]) for d in incidents} == {(f[1], *f[4:7]) for f in found}
    for data in (d for d in incidents if d["rule_id"] == "core-hours"):
        for moment in (data["opened_at_ms"], data["last_seen_ms"]):
            local = dt.datetime.fromtimestamp(moment / 1000, BERLIN)
            assert (2, 30) <= (local.hour, local.minute) < (22, 0), local


# --- registry files ---


def test_the_cases_of_registries(field):
    lists = load_registry(field / "registry_lists.csv", SHANGHAI)
    assert [entry.driver_ids for entry in lists.each("vehicle")] == [["D01", "D02"]] * 3
    assert [entry.plate for entry in load_registry(field / "registry_null.yaml", SHANGHAI).each("vehicle")] == [None] * 3
    assert [entry.id for entry in load_registry(field / "registry_vertical_tab.csv", SHANGHAI).each("enterprise")] == ["sf", "yd"]
    assert "registry_unclosed_quote.csv:2: a quote opens here and never closes" in refusal(load_registry, field / "registry_unclosed_quote.csv", SHANGHAI)


@pytest.mark.parametrize("separator", [";", "；", "、", ",", "，", " ", "; ", "、 "])
@pytest.mark.parametrize(("name", "form"), [("r.csv", 'kind,id,driver_ids\nvehicle,v,"{}"\n'), ("r.yaml", "- kind: vehicle\n  id: v\n  driver_ids: '{}'\n")])
def test_lists_in_a_cell(separator, name, form, tmp_path):
    entry = next(registry_of(tmp_path, form.format(separator.join(["D01", "D02", "D03"])), name).each("vehicle"))
    assert entry.driver_ids == ["D01", "D02", "D03"]


CELLS = ['["D/1", "D 2"]', ' ["D/1","D 2"]']


@pytest.mark.parametrize("cell", CELLS)
def test_a_list_in_a_cell_may_be_one_of_json(cell, tmp_path):
    quoted = '"' + cell.replace('"', '""') + '"'
    assert next(registry_of(tmp_path, f"kind,id,driver_ids\nvehicle,v,{quoted}\n").each("vehicle")).driver_ids == ["D/1", "D 2"]
    assert next(registry_of(tmp_path, f"- kind: vehicle\n  id: v\n  driver_ids: '{cell}'\n", "r.yaml").each("vehicle")).driver_ids == ["D/1", "D 2"]


@pytest.mark.parametrize("cell", ["['D1', 'D2']", "[D1,D2]", "[D1", '["D1"', "[1, 2]", '[["D1"]]', '["D1", null]', "[" * 5_000, "D1|D2", "D1/D2", "D1; D2/D3", "D1｜D2", "D1／D2", "D1\\D2", "('D1', 'D2')", "{D1}", '"D1";"D2"', "'D1' 'D2'"])
def test_a_list_in_a_cell_that_is_none_is_refused_and_what_separates_is_said(cell, tmp_path):
    """Taken for one name it would accuse of drivers that nobody knows."""
    quoted = '"' + cell.replace('"', '""') + '"'
    for text, name in ((f"kind,id,driver_ids\nvehicle,v,{quoted}\n", "r.csv"), (f"- kind: vehicle\n  id: v\n  driver_ids: {json.dumps(cell)}\n", "r.yaml")):
        said = refusal(registry_of, tmp_path, text, name)
        assert "lists are separated by ; ； 、 , ， or spaces" in said and name in said and len(said) < 500


@pytest.mark.parametrize(("name", "text"), [("r.csv", "kind,id\r\nvehicle,v\r\n\x1a"), ("r.jsonl", '{"kind":"vehicle","id":"v"}\r\n\x1a'), ("r.jsonl", '\x1e{"kind":"vehicle","id":"v"}\n'), ("r.csv", 'kind,\t"id"\nvehicle,\t"v"\n')])
def test_a_registry_ends_as_files_of_dos_do_and_its_cells_may_begin_with_tabs(name, text, tmp_path):
    assert [entry.id for entry in registry_of(tmp_path, text, name).each("vehicle")] == ["v"]


@pytest.mark.parametrize("null", ["", "null", "~", "NULL", "Null"])
def test_null_is_absent_in_every_format(null, tmp_path):
    as_yaml = registry_of(tmp_path, f"- kind: vehicle\n  id: v\n  plate: {null}\n  marked: {null}\n  driver_ids: {null}\n  valid_until: {null}\n", "r.yaml")
    as_csv = registry_of(tmp_path, f"kind,id,plate,marked,driver_ids,valid_until\nvehicle,v,{null},{null},{null},{null}\n")
    as_json = registry_of(tmp_path, '{"kind":"vehicle","id":"v","plate":null,"marked":null,"driver_ids":null,"valid_until":null}', "r.jsonl")
    assert list(as_yaml.grouped()) == list(as_csv.grouped()) == list(as_json.grouped())
    assert next(as_yaml.each("vehicle")).plate is None and next(as_csv.each("vehicle")).marked is None
    quoted = registry_of(tmp_path, '- {kind: vehicle, id: v, plate: "null"}', "r.yaml")
    assert next(quoted.each("vehicle")).plate == "null"


CSV_FAULTS = [
    ('kind,id,name_zh\nenterprise,a,x\nenterprise,b,"\nenterprise,c,y\n', ":3: a quote opens here and never closes"),
    ('kind,id,name_zh\nenterprise,a,"two\nlines"\nenterprise,b,"y\n', ":4: a quote opens here and never closes"),
    ('kind,id,name_zh,name_en\nenterprise,a,"two\nlines","open\n\n\n', ":3: a quote opens here and never closes"),
    ('kind,id,name_zh\nenterprise,a,"x"y\n', ":2: text follows a closing quote"),
    ("kind,id,id\nenterprise,a,b\n", ":1: the heading 'id' stands twice in this line, over columns 2 and 3"),
    ("kind,id,name_zh\nenterprise,a\n", ":2: the row has more or fewer cells than the header: 2, not 3"),
    ("kind,id\nenterprise,a,b\n", ":2: the row has more or fewer cells than the header: 3, not 2"),
    ("kind,id,\nenterprise,a,b\n", ":2: 'b' stands under no heading"),
    ("id,name_zh\na,b\n", ":1: the heading lacks kind"),
    ("kind,id\nvehicle,a\nenterprise,a\nvehicle,a\n", ":4: vehicle a with no valid_from stood in line 2 already"),
    ("kind,id,valid_from\nvehicle,a,2024-05-07\n\nvehicle,a,20240507\n", ":4: vehicle a with valid_from 20240507 stood in line 2 already"),
]


@pytest.mark.parametrize(("text", "message"), CSV_FAULTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_fault_in_csv_names_the_line(text, message, end, tmp_path):
    assert message in refusal(registry_of, tmp_path, text.replace("\n", end))


OTHER_FAULTS = [
    ("r.yaml", "- {kind: vehicle, id: v, id: w}", ":1: key 'id' is given twice"),
    ("r.yaml", "- kind: vehicle\n  id: v\n  plate: a\n  plate: b\n", ":4: key 'plate' is given twice (first in line 3)"),
    ("r.yaml", "- &a {kind: vehicle, id: v}\n- *a\n", ":2: not YAML: the alias *a is not followed"),
    ("r.yaml", "- {kind: vehicle, id: v}\n- {kind: vehicle, id: v}\n", ":2: vehicle v with no valid_from stood in line 1 already"),
    ("r.yaml", "- {kind: vehicle, [a]: v}\n", ":1: not YAML: a key is a word"),
    ("r.yaml", "[" * 5000, "nested more than 32 levels deep"),
    ("r.jsonl", '{"kind":"vehicle","id":"v","id":"w"}', ":1: key 'id' is given twice"),
    ("r.jsonl", '{"kind":"vehicle","id":"v"}\n\n{"kind":"vehicle","id":"v","plate":"x"}', ":3: vehicle v with no valid_from stood in line 1 already"),
    ("r.json", '[{"kind":"vehicle","id":"v"},\n{"kind":"vehicle","id":"v"}]', ":2: vehicle v with no valid_from stood in line 1 already"),
    ("r.jsonl", '{"kind":"line","id":"l","zones":' + "[" * 3000 + "]" * 3000 + ',"vehicle_ids":[]}', ":1: not a JSON record: maximum recursion depth exceeded"),
    ("r.jsonl", '{"kind":"vehicle","id":"v","driver_ids":[1]} and more', ":1: not a JSON record: JSON is malformed"),
    ("r.json", '[{"kind":"vehicle","id":"v"},', "it begins like a JSON array and is none"),
    ("r.csv", "kind,id,name_zh\nenterprise,a,顺丰\n".encode("gbk"), ":2: not UTF-8 but GBK, it seems; say --encoding gbk"),
    ("r.csv", "kind,id\nenterprise,a\n".encode("utf-16"), "UTF-16 text, not UTF-8; say --encoding utf-16"),
    ("r.xls", b"\xd0\xcf\x11\xe0" + bytes(600), "an old Excel workbook"),
    ("r.zip", b"PK\x03\x04" + bytes(600), "a ZIP archive"),
]


@pytest.mark.parametrize(("name", "text", "message"), OTHER_FAULTS, ids=[f"{n}-{m[:24]}" for n, _, m in OTHER_FAULTS])
def test_a_fault_in_another_registry_names_the_line(name, text, message, tmp_path):
    assert message in refusal(registry_of, tmp_path, text, name)


def test_versions_of_one_id_with_different_valid_from_stay_right(tmp_path):
    known = registry_of(tmp_path, "kind,id,valid_from,plate\nvehicle,v,,old\nvehicle,v,20240507,new\npass,v,20240507,\n".replace("pass,v,20240507,\n", ""))
    assert known.at("vehicle", "v", NOON_MS).plate == "new" and known.at("vehicle", "v", NOON_MS - 86_400_000).plate == "old"


TABLE = "kind{0}id{0}name_zh{0}primary_brand\nenterprise{0}sf{0}顺丰{0}是\nenterprise{0}yd{0}韵达{0}false\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_table_in_any_encoding_with_any_separator(separator, encoding, packed, tmp_path):
    import gzip

    data = TABLE.format(separator).encode(encoding)
    known = registry_of(tmp_path, gzip.compress(data) if packed else data, f"r.CSV{packed}", encoding=None if encoding.startswith("utf-8") else encoding)
    assert [(entry.id, entry.name_zh, entry.primary_brand) for entry in known.each("enterprise")] == [("sf", "顺丰", True), ("yd", "韵达", False)]


def workbook(rows, **formats):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, form in formats.items():
        book.active[place].number_format = form
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def test_a_workbook_is_read_as_its_table(tmp_path):
    data = workbook(
        [["kind", "id", "plate", "marked", "valid_from", "valid_until", "driver_ids"],
         ["vehicle", 10001.0, "京A1", True, dt.date(2024, 5, 7), dt.datetime(9999, 12, 31), "D1、D2"], [None] * 7,  # noqa: DTZ001
         ["vehicle", "w", None, "否", "20240507", None, None]],
        E2="yyyy-mm-dd", F2="yyyy/m/d",
    )  # fmt: skip
    first, second = registry_of(tmp_path, data, "r.xlsx").each("vehicle")
    assert (first.id, first.marked, first.valid_from, first.valid_until, first.driver_ids) == ("10001", True, "2024-05-07", "9999-12-31", ["D1", "D2"])
    assert (second.id, second.marked, second.valid_from, second.plate) == ("w", False, "20240507", None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["kind", "id", "id"], ["vehicle", "a", "b"]], "Sheet!1: the heading 'id' stands twice"),
        ([["kind", "id"], ["vehicle", "a"], ["vehicle", "a"]], "Sheet!3: vehicle a with no valid_from stood in Sheet!2 already"),
        ([["kind", "id"], ["vehicle", "a", "b"]], "Sheet!2: the row has more cells than the header"),
        ([["id"], ["a"]], "Sheet!1: the heading lacks kind"),
        ([["kind", "id", "plate"], ["vehicle", "a", "=1+1"]], "Sheet!2: a formula whose value is not in the file"),
        ([["kind", "id", "platte"], ["vehicle", "a", "b"]], "Sheet!2: vehicle a: unknown key 'platte'; did you mean 'plate'?"),
    ],
)
def test_a_fault_in_a_workbook_names_sheet_and_row(rows, message, tmp_path):
    assert message in refusal(registry_of, tmp_path, workbook(rows), "r.xlsx")


def test_a_broken_workbook_is_refused(tmp_path):
    assert "not a workbook that can be read" in refusal(registry_of, tmp_path, workbook([["kind"]])[:900], "r.xlsx")


NOTHING = {
    "r.csv": ["", "\n\n", "kind,id\n", "kind,id,plate\n,,\n"], "r.yaml": ["# no vehicles yet\n", "[]", "- ~\n"], "r.json": ["[]", "[\n]\n"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in NOTHING.items() for text in texts])
def test_a_registry_without_a_record_is_refused(name, text, tmp_path):
    """By it every vehicle would be accused of being unregistered."""
    assert refusal(registry_of, tmp_path, text, name).startswith(f"{tmp_path / name}: holds no record; ")


def test_of_lines_there_may_be_none(tmp_path):
    """As programs write them; judge says what that means."""
    assert len(registry_of(tmp_path, " \n", "r.jsonl")) == 0


def test_a_workbook_without_a_record_is_refused(tmp_path):
    assert "r.xlsx: holds no record; " in refusal(registry_of, tmp_path, workbook([["kind", "id"]]), "r.xlsx")


ABSENT_WORDS = ["None", "none", "nan", "NaN", "NAN", "NaT", "NULL", "null", "~", r"\N", "N/A", "n/a", "#N/A", "<NA>", "(null)"]


@pytest.mark.parametrize("word", ABSENT_WORDS)
def test_words_for_nothing_in_cells_of_registries_are_absent(word, tmp_path):
    heading = ["kind", "id", "plate", "marked", "driver_ids", "valid_until"]
    rows = [heading, ["vehicle", "v", word, word, word, word]]
    tables = [("\n".join(map(",".join, rows)), "r.csv"), *([] if word == "#N/A" else [(workbook(rows), "r.xlsx")])]  # which Excel takes for an error, refused with its cell
    for data, name in tables:
        entry = next(registry_of(tmp_path, data, name).each("vehicle"))
        assert (entry.plate, entry.marked, entry.driver_ids, entry.valid_until) == (None, None, [], None)
    assert "r.csv:2: vehicle ?: " in refusal(registry_of, tmp_path, f"kind,id\nvehicle,{word}\n")
    assert "r.csv:2: notice n: " in refusal(registry_of, tmp_path, f"kind,id,subject,from,until\nnotice,n,{word},2024-05-07,2024-05-08\n")


@pytest.mark.parametrize(("cell", "value"), [("1.0", True), ("0.0", False), ("1", True), ("0", False)])
def test_yes_and_no_may_be_decimals_in_cells(cell, value, tmp_path):
    assert next(registry_of(tmp_path, f"kind,id,marked\nvehicle,v,{cell}\n").each("vehicle")).marked is value
    found = rows_of(tmp_path, f"event_id,event_time_ms,vehicle_id,lon,lat,ignition\ne,{NOON_MS},v,1,2,{cell}\n")
    assert [row["ignition"] for row in found] == [value]


@pytest.mark.parametrize(("from_", "until"), [("2024-05-08", "2024-05-07"), ("2024-05-08T09:00", "2024-05-08T08:00"), ("20240508", "2024/5/7")])
def test_a_notice_that_ends_before_it_begins_is_refused(from_, until, tmp_path):
    text = f"kind,id,subject,from,until\nnotice,m,vehicle/v,2024-05-07,2024-05-07\nnotice,n,vehicle/v,{from_},{until}\n"
    assert refusal(registry_of, tmp_path, text) == f"{tmp_path / 'r.csv'}:3: notice n: until {until} is before from {from_}"


# --- columns ---


def mapping_of(tmp_path, text):
    path = tmp_path / "columns.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_mapping(path)


def rows_of(tmp_path, text, mapping=None):
    """The records of a table of fixes, as they go on to be decoded."""
    (tmp_path / "gps.csv").write_text(text, "utf-8")
    (found,) = open_records([tmp_path / "gps.csv"], How(kind="gps", mapping=mapping_of(tmp_path, mapping) if mapping else None))
    return [json.loads(value) for _, value in found.records]


MAPPED = "vehicle_id: v\nlon: x\nlat: y\n"


def time_of(tmp_path, source, cell):
    """What a cell becomes as the time of a fix."""
    return rows_of(tmp_path, f"v,x,y,t\nv,1,2,{cell}\n", f"{MAPPED}event_time_ms: {source}\n")[0].get("event_time_ms")


NO_FORMATS = ["%Y-%m-%d %Y", "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd %H:%M:%S", "%H:%M:%S", "%Y-%m-%d %Q", "%Y-%m-%d %", "epoch", "%m-%d %H:%M"]


@pytest.mark.parametrize("form", NO_FORMATS)
def test_a_format_of_times_that_reads_none_is_refused_with_its_line(form, tmp_path):
    said = refusal(mapping_of, tmp_path, f'{MAPPED}event_time_ms: {{column: t, format: "{form}"}}\n')
    assert said.startswith(f"{tmp_path / 'columns.yaml'}:4: event_time_ms: format {form!r} ") and "strptime directives such as %Y-%m-%d" in said


@pytest.mark.parametrize(
    ("form", "cell"),
    [("%Y-%m-%d %H:%M:%S", "2024-05-07 12:00:00"), ("%Y年%m月%d日 %H时%M分", "2024年05月07日 12时00分"), ("%d/%m/%y %I:%M %p", "07/05/24 12:00 PM"), ("%Y-%m-%dT%H:%M:%S%z", "2024-05-07T12:00:00+0800"),
     ("%Y%j%H%M", "20241281200"), ("%G-W%V-%u %H", "2024-W19-2 12"), ("%a %b %d %H:%M:%S %Y", "Tue May 07 12:00:00 2024"), ("%Y-%m-%d %H:%M:%S.%f", "2024-05-07 12:00:00.000")],
)  # fmt: skip
def test_formats_of_times_that_tell_days_are_taken(form, cell, tmp_path):
    assert time_of(tmp_path, f'{{column: t, format: "{form}"}}', cell) == NOON_MS


@pytest.mark.parametrize(("cell", "times", "found"), [("1715054400", 1000, 0), ("1715054400.0", 1000, 0), ("1715054400.123", 1000, 123), ("1715054400.0004", 1000, 0), ("1715054400123456", 0.001, 123)])
def test_times_by_a_factor_are_whole(cell, times, found, tmp_path):
    event_time_ms = time_of(tmp_path, f"{{column: t, times: {times}}}", cell)
    assert isinstance(event_time_ms, int) and event_time_ms == NOON_MS + found


def test_what_a_factor_takes_beyond_whole_numbers_stays_text(tmp_path):
    assert time_of(tmp_path, "{column: t, times: 1e15}", "1715054400") == "1715054400"


@pytest.mark.parametrize(("source", "found"), [('value: "2024-05-07T12:00:00", format: iso', 0), ('value: "1715054400", format: s', 0), ('value: "2024-05-07 12:01", format: "%Y-%m-%d %H:%M"', 60_000), ('value: "1715054400", times: 1000', 0)])
def test_one_value_for_all_is_read_as_a_column_is(source, found, tmp_path):
    assert time_of(tmp_path, f"{{{source}}}", "x") == NOON_MS + found


@pytest.mark.parametrize(
    ("line", "message"),
    [('event_time_ms: {value: "2024-05-07T12:00:00"}', "no time of format ms"), ('event_time_ms: {value: "2024-05-07", format: iso}', "no time of format iso"), ("speed_kmh: {value: fast}", "no number"), ("ignition: {value: maybe}", "neither true nor false")],
)
def test_one_value_that_does_not_fit_is_refused_with_its_line(line, message, tmp_path):
    said = refusal(mapping_of, tmp_path, f"{MAPPED}{line}\n")
    assert said.startswith(f"{tmp_path / 'columns.yaml'}:4: {line.partition(':')[0]}: value ") and message in said


@pytest.mark.parametrize(("text", "line", "names"), [("车: vehicle_id\n经: lon\n经2: lon\n纬: lat\n", 3, ("'经'", "'经2'")), ("lon: 经\nlat: 纬\nlon: 经2\n", 3, ("'lon'", "line 1"))])
def test_a_field_of_two_columns_is_refused_and_both_are_named(text, line, names, tmp_path):
    said = refusal(mapping_of, tmp_path, text)
    assert said.startswith(f"{tmp_path / 'columns.yaml'}:{line}: ") and "is given twice" in said and all(name in said for name in names)


def test_a_mapping_that_is_not_utf_8_is_refused_with_the_way_out(tmp_path):
    assert refusal(mapping_of, tmp_path, "lon: 经度\n".encode("gbk")).endswith("columns.yaml: not UTF-8; save it as UTF-8")


@pytest.mark.parametrize("cell", ["2024-05-07", "20240507", "2024-W19-2", "2024W192"])
def test_a_bare_date_is_no_time_of_an_event(cell, tmp_path):
    assert time_of(tmp_path, "{column: t, format: iso}", cell) == cell
    assert time_of(tmp_path, "{column: t, format: iso}", "20240507T12") == NOON_MS


@pytest.mark.parametrize("word", ABSENT_WORDS)
def test_words_for_nothing_in_cells_of_records_are_absent(word, tmp_path):
    heading = "event_id,event_time_ms,vehicle_id,lon,lat,plate,driver_id,ignition,speed_kmh\n"
    found = rows_of(tmp_path, f"{heading}e,{NOON_MS},v,1,2,{word},{word},{word},{word}\ne,{NOON_MS},{word},1,2,,,,\n")
    assert found == [{"event_id": "e", "event_time_ms": NOON_MS, "vehicle_id": "v", "lon": 1.0, "lat": 2.0}, {"event_id": "e", "event_time_ms": NOON_MS, "lon": 1.0, "lat": 2.0}]


def test_a_word_for_nothing_in_a_required_cell_is_refused_with_its_line(tmp_path):
    (tmp_path / "gps.csv").write_text(f"event_id,event_time_ms,vehicle_id,lon,lat\ne,{NOON_MS},v,1,2\nf,{NOON_MS},None,1,2\n")
    _, summary = judged(pack(), registry_of(tmp_path, "kind,id\nvehicle,v\n"), tmp_path, [tmp_path / "gps.csv"])
    assert summary["fixes"] == {"accepted": 1, "malformed": 1}
    (rejected,) = map(json.loads, (tmp_path / "rejects.jsonl").read_text("utf-8").splitlines())
    assert "vehicle_id" in json.dumps(rejected) and "3" in json.dumps(rejected)


# --- packs ---

SQUARE = [[116.3, 39.9], [116.4, 39.9], [116.4, 40.0], [116.3, 40.0], [116.3, 39.9]]


def zones_of(ring=SQUARE, geometry=None, **collection):
    feature = {"type": "Feature", "properties": {"id": "core"}, "geometry": geometry or {"type": "Polygon", "coordinates": [ring]}}
    return json.dumps({"type": "FeatureCollection", "features": [feature], **collection})


def mercator(lon, lat):
    import math

    return 6_378_137 * math.radians(lon), 6_378_137 * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))


WRONG_PLACES = {
    "swapped": (lambda x, y: (y, x), "swapped"),
    "swapped, west of China": (lambda x, y: (y - 0.5, x - 40), "swapped"),
    "times 1e7": (lambda x, y: (x * 1e7, y * 1e7), "degrees times 1e7"),
    "times 1e6": (lambda x, y: (x * 1e6, y * 1e6), "degrees times 1e6"),
    "Web Mercator": (mercator, "projected"),
    "Gauss-Krüger": (lambda x, y: (39_440_000 + x * 1000, 4_420_000 + y * 1000), "projected"),
    "Gauss-Krüger without zone": (lambda x, y: (440_000 + x * 1000, 4_420_000 + y * 1000), "projected"),
    "degrees and minutes": (lambda x, y: (11600 + x % 1 * 60, 3900 + y % 1 * 60), "degrees and minutes"),
    "no place": (lambda x, y: (x, y + 900), "not degrees"),
}


@pytest.mark.parametrize("kind", WRONG_PLACES)
def test_zones_that_are_not_in_degrees_are_refused(kind):
    change, message = WRONG_PLACES[kind]
    assert message in refusal(pack, zones=zones_of([list(change(x, y)) for x, y in SQUARE]))


def test_one_corner_that_is_swapped_is_seen():
    assert "swapped" in refusal(pack, zones=zones_of([SQUARE[0], [39.9, 116.4], *SQUARE[2:]]))


def test_zones_abroad_are_warned_of():
    policy = pack(zones=zones_of([[x - 103, y + 12] for x, y in SQUARE]))
    assert any("outside China" in warning for warning in policy.warnings)
    assert pack(zones=zones_of()).warnings == ()


@pytest.mark.parametrize(
    "geometry",
    [None, {"type": "Polygon", "coordinates": []}, {"type": "MultiPolygon", "coordinates": []}, {"type": "GeometryCollection", "geometries": []}, {}, "POLYGON", {"type": "Point", "coordinates": [116, 40]}],
)  # fmt: skip
def test_an_absent_or_empty_geometry_is_refused(geometry):
    text = json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"id": "core"}, "geometry": geometry}]})
    assert "z.geojson:1: " in refusal(pack, zones=text)
    assert "z.geojson: " in refusal(pack, zones='{"type": "FeatureCollection", "features": []}')


CRS = {
    "urn:ogc:def:crs:OGC:1.3:CRS84": "", "EPSG:4326": "", "urn:ogc:def:crs:EPSG::4326": "", "http://www.opengis.net/def/crs/OGC/1.3/CRS84": "",
    "urn:ogc:def:crs:EPSG::4490": "warned", "EPSG:3857": "refused", "urn:ogc:def:crs:EPSG::4214": "refused", "urn:ogc:def:crs:EPSG::4549": "refused", "": "refused",
}  # fmt: skip


@pytest.mark.parametrize("name", CRS)
def test_a_crs_that_is_not_wgs_84_is_refused(name):
    zones = zones_of(crs={"type": "name", "properties": {"name": name}})
    if CRS[name] == "refused":
        assert "not WGS-84" in refusal(pack, zones=zones)
    else:
        assert bool(pack(zones=zones).warnings) == (CRS[name] == "warned")


SPEEDING = '\n  - {{rule: speeding, id: fast, clause: "5", severity: warning, {}}}'
LOW = '\n  - {{rule: low_electronic_waybill_rate, id: low, clause: "6", severity: warning, {}}}'
WRONG_NUMBERS = [
    (PACK, LOW.format("target: 90"), "target must be a share from 0 to 1, not 90; 90 % is 0.9"),
    (PACK, LOW.format("target: 1.01"), "target must be a share"), (PACK, LOW.format("target: -0.1"), "target must be a share"),
    (PACK, LOW.format("target: .nan"), "target"), (PACK, LOW.format("target: nan"), "target must be a number"),
    (PACK, LOW.format("min_sample: -1"), "min_sample must not be negative"),
    (PACK, SPEEDING.format("limit_kmh: nan"), "limit_kmh must be a number"), (PACK, SPEEDING.format("limit_kmh: inf"), "limit_kmh must be a number"),
    (PACK, SPEEDING.format("limit_kmh: -35"), "limit_kmh must not be negative"),
    (PACK, SPEEDING.format("limit_kmh: 35, zones: []"), "zones is empty"), (PACK, SPEEDING.format("limit_kmh: 35, zones: [core, core]"), "zones names 'core' twice"),
    (PACK, SPEEDING.format("limit_kmh: 35, vehicles: {classes: []}"), "vehicles.classes is empty"),
    (PACK, SPEEDING.format("limit_kmh: 35, merge_gap: 999999999d"), "longer than a hundred years"),
    (PACK + "valid_until: 2018-12-31\n", RULES, "valid_until 2018-12-31 is before valid_from 2019-01-01"),
    (PACK + "calendars: {c: [{from: 20240508, until: 2024-05-07}]}\n", RULES, "until 2024-05-07 is before from 2024-05-08"),
    (PACK + "targets: {nev_share: nan}\n", RULES, "target nev_share must be a number"), (PACK + "targets: {locker_cells: -5}\n", RULES, "target locker_cells must not be negative"),
    (PACK + "targets: &t {nev_share: 0.5}\ncredit: *t\n", RULES, "the alias *t is not followed"),
    (PACK + "lateness: 10m\nlateness: 20m\n", RULES, "key 'lateness' is given twice"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rules", "message"), WRONG_NUMBERS, ids=[m for _, _, m in WRONG_NUMBERS])
def test_numbers_that_cannot_be_meant_are_refused(text, rules, message):
    found = refusal(pack, text, rules, zones=zones_of())
    assert message in found and found.startswith("pack.yaml:")


def test_compact_dates_and_marks_are_read_in_packs(tmp_path):
    text = PACK.replace("2019-01-01", "20190101") + 'valid_until: "20240507"\ncalendars: {c: [{from: 20240507, until: 2024/5/7}]}\nzones: z.geojson\n'
    (tmp_path / "pack.yaml").write_text(f"\ufeff{text}rules:{RULES}", "utf-8")
    (tmp_path / "z.geojson").write_text("\ufeff" + zones_of(), "utf-8")
    policy = load_policy(str(tmp_path / "pack.yaml"))
    assert policy.valid_until_ms == bound_ms("2024-05-08T00:00", SHANGHAI, end=False)
    assert policy.calendars_at(NOON_MS) == {"c"} and policy.calendars_at(NOON_MS + 86_400_000) == frozenset()


def test_zones_stand_in_a_regular_file_in_the_packs_folder(tmp_path):
    import os

    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "out.geojson").write_text(zones_of())
    (home / "link.geojson").symlink_to(tmp_path / "out.geojson")
    os.mkfifo(home / "pipe.geojson")
    (home / "folder.geojson").mkdir()
    names = {
        "../out.geojson": "is not inside", str(tmp_path / "out.geojson"): "is not inside", "link.geojson": "is not inside",
        "pipe.geojson": "not a regular file", "folder.geojson": "not a regular file", "/dev/zero": "is not inside", "none.geojson": "cannot be read",
    }  # fmt: skip
    for name, message in names.items():
        (home / "pack.yaml").write_text(f"{PACK}zones: {name}\nrules:{RULES}", "utf-8")
        assert message in refusal(load_policy, str(home / "pack.yaml")), name


@pytest.mark.parametrize("note", ["x" * 1_200_000, '"' * 300_000], ids=["1.2 MB", "0.6 MB that are more as a record on Kafka"])
def test_a_pack_that_cannot_be_published_is_refused_when_it_is_checked(note, tmp_path):
    (tmp_path / "z.geojson").write_text(zones_of(note=note))
    (tmp_path / "pack.yaml").write_text(f"{PACK}zones: z.geojson\nrules:{RULES}", "utf-8")
    found = refusal(load_policy, str(tmp_path / "pack.yaml"))
    assert ("larger than 1 MB" in found or "published; simplify the zones" in found) and found.startswith(str(tmp_path / "pack.yaml:"))


def test_the_cases_of_packs(field):
    assert "swapped" in refusal(load_policy, str(field / "swapped_lat_lon.yaml"))
    assert "target must be a share from 0 to 1, not 90" in refusal(load_policy, str(field / "target_90.yaml"))
    assert load_policy(str(field / "base.yaml")).warnings == ()


# --- figures ---


@pytest.mark.parametrize(
    ("value", "target", "text"),
    [(0.8996, 0.9, "89.96%"), (0.89999, 0.9, "89.999%"), (0.9, 0.9, "90.0%"), (0.9001, 0.9, "90.01%"), (0.5, 0.9, "50.0%"), (0.0, 0.9, "0.0%"), (1.0, 1.0, "100.0%"), (0.9999, 0.9, "99.99%"),
     (0.0001, 0.9, "0.01%"), (0.8949, 0.895, "89.49%"), (None, 0.9, "–")],
)  # fmt: skip
def test_a_rate_has_as_many_digits_as_it_takes(value, target, text):
    assert percent(value, target) == text


@given(st.integers(0, 10**7), st.integers(1, 10**7), st.sampled_from([0.9, 0.895, 0.5, 1.0, 0.999]))
def test_what_is_below_its_target_never_looks_equal_to_it(part, whole, target):
    share = min(part, whole) / whole
    shown_as, aim = (float(text.rstrip("%")) for text in (percent(share, target), target_percent(target)))
    assert (share < target, share == target, share > target) == (shown_as < aim, shown_as == aim, shown_as > aim)


def test_an_incident_about_a_rate_says_how_far_below_it_is(tmp_path):
    rule = '\n  - {rule: low_electronic_waybill_rate, id: low, clause: "6", severity: warning, target: 0.9, min_sample: 100}'
    kinds = ["electronic"] * 2249 + ["paper"] * 251  # 89.96 %
    scan = {"enterprise_id": "sf", "city": "110100", "kind": "accepted"}
    lines = [{"event_id": f"s{n}", "event_time_ms": NOON_MS + n, "waybill_id": f"w{n}", "waybill_kind": kind, **scan} for n, kind in enumerate(kinds)]
    lines.append({**lines[0], "event_id": "later", "waybill_id": "later", "event_time_ms": NOON_MS + 2 * 86_400_000})
    (tmp_path / "scans.jsonl").write_text("\n".join(map(json.dumps, lines)))
    known = registry_of(tmp_path, "kind,id,name_zh,primary_brand\nenterprise,sf,顺丰,true\n")
    incidents, _ = judged(pack(rules=rule), known, tmp_path, scans=[tmp_path / "scans.jsonl"])
    reasons = [data["reason_en"] for data in incidents if data["rule_id"] == "low"]
    assert reasons and all("89.96%" in reason and "below 90%" in reason for reason in reasons)


def report_of(registry, targets="{electronic_waybill: 0.9, locker_cells: 1, service_stations: 0}", rates=()):
    day = dt.date(2024, 5, 7)
    return gather(pack(PACK + f"targets: {targets}\n"), registry, Published(list(rates), []), day, day)


@pytest.mark.parametrize("cells", [0, 1, 2, 130_000])
def test_a_count_is_no_share(cells):
    registry = Registry(SHANGHAI)
    registry.add([decode_entry(json.dumps({"kind": "township", "id": "t", "covered": True, "locker_cells": cells, "service_stations": cells}).encode())])
    page = as_html(report_of(registry))
    assert f"<td>{cells:,}</td><td>1</td>" in page and f"<td>{cells:,}</td><td>0</td>" in page and "<td>100.0%</td>" in page


@pytest.mark.parametrize("name", ["=1+1", "+86", "-2+3", "@SUM(A1)", "\t=1", " =1", "＝1", "=cmd|'/c calc'!A0", "\r=1", "|x", "=1\r\n=2"])
def test_a_name_that_is_a_formula_is_text_in_a_report(name):
    import csv

    row = {"city": "110100", "date": "2024-05-07", "enterprise_id": name, "accepted": 5, **dict.fromkeys(FEATURES, 1)}
    text = as_csv(report_of(Registry(SHANGHAI), rates=[row]))
    subjects = {cells[1] for cells in csv.reader(io.StringIO(text, newline="")) if cells[0] == "enterprises"}
    assert subjects == {f"'{shown(name)}"}


# --- registry import ---


def test_an_import_adds_versions_and_says_what_it_did(tmp_path, monkeypatch):
    topic = {}

    def produce(bootstrap, name, records):
        sent = dict(records)
        topic.update({key.decode(): value for key, value in sent.items()})
        return len(sent)

    monkeypatch.setattr(admin, "registry_held", lambda _: {key: decode_versions(value) for key, value in topic.items()})
    monkeypatch.setattr(admin, "produce", produce)

    def imported(text, *, replace=False):
        _, done = admin.import_registry("", registry_of(tmp_path, f"kind,id,valid_from,plate\n{text}"), replace=replace).counts()
        return done, {key: [entry["plate"] for entry in json.loads(value)] for key, value in topic.items()}

    assert imported("vehicle,v,,a\nvehicle,w,,b\n") == (
        "2 records published (2 new, 0 with a further version, 0 with versions replaced); 0 unchanged; 0 versions removed", {"vehicle/v": ["a"], "vehicle/w": ["b"]},
    )  # fmt: skip
    assert imported("vehicle,v,20240507,c\nvehicle,w,,b\n") == (
        "1 record published (0 new, 1 with a further version, 0 with versions replaced); 1 unchanged; 0 versions removed", {"vehicle/v": ["a", "c"], "vehicle/w": ["b"]},
    )  # fmt: skip
    assert imported("vehicle,v,2024-05-07,d\n")[1]["vehicle/v"] == ["a", "d"]  # the same instant, written otherwise
    del topic["vehicle/w"]
    assert imported("vehicle,v,2024-05-07,e\nvehicle,w,,f\n", replace=True) == (
        "2 records published (1 new, 0 with a further version, 1 with versions replaced); 0 unchanged; 1 version removed", {"vehicle/v": ["e"], "vehicle/w": ["f"]},
    )  # fmt: skip
    assert "more than the 1,000,000 that can be published" in refusal(
        admin.import_registry, "", registry_of(tmp_path, "kind,id,valid_from,name_zh\n" + "".join(f"enterprise,e,{y}-01-01,{'x' * 250}\n" for y in range(1000, 5000))), replace=False
    )  # fmt: skip
