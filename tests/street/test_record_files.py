"""Recorded traffic in whatever files people have it: containers, encodings, tables, folders, pipes; one reader for judge and replay."""

import bz2
import csv
import datetime as dt
import errno
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import lz4.frame
import msgspec
import pytest
import zstandard
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import deploy.cli
from producers import traffic
from producers.replay import Noted, read_records
from streams.errors import BadInput
from streams.files.csv_rows import read_rows
from streams.files.record_columns import read_mapping, typed_fields
from streams.files.record_files import MOST_LINE_BYTES, How, open_records
from streams.files.text_files import as_text, size_of
from streams.files.workbook import read_workbook
from streams.wire.decode import FIXES, HEARTBEATS, SCANS
from streams.wire.events import Fix, Heartbeat, Scan

FIELD = ROOT.parent / "shared" / "field"
NOON_MS = 1_715_054_400_000  # 2024-05-07 12:00 in Shanghai
PACK = """\
policy: t
city: {adcode: "110100", name_zh: 测试市, name_en: Test, timezone: Asia/Shanghai}
document: {title: test, number: T-1, file: none}
rules:
  - {rule: unregistered_vehicle, id: unreg, clause: "1", severity: violation}
"""


@pytest.fixture
def field():
    if not FIELD.exists():
        pytest.skip("no ../shared/field beside the checkout: its cases are read from there")
    return FIELD


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run a command in this process; returns exit code, standard output, and standard error, which is one line or none."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["yicheng", *map(str, arguments)])
        code = deploy.cli._outcome()
        out, err = capsys.readouterr()
        assert err.count("\n") <= 1 and "Traceback" not in err, err
        return code, out, err

    return run


@pytest.fixture
def judge(cli, tmp_path):
    """``judge`` over files by a pack of one rule: exit code, what was printed, the summary."""
    (tmp_path / "pack.yaml").write_text(PACK, "utf-8")

    def run(*arguments, out=tmp_path / "out"):
        code, text, err = cli("judge", "--policy", tmp_path / "pack.yaml", "--out", out, *arguments)
        summary = Path(out) / "summary.json"
        return code, text + err, json.loads(summary.read_text()) if code < 2 and summary.exists() else None

    return run


def fixes(number=6, **fields):
    return [
        {"event_id": f"e{n}", "event_time_ms": NOON_MS + 10_000 * n, "vehicle_id": f"BJ-{n % 2}", "lon": 116.32 + n / 1000, "lat": 39.92, "plate": "京A12345", **fields}
        for n in range(number)
    ]


def as_jsonl(records):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)


def as_csv(records, separator=",", end="\n"):
    held = io.StringIO()
    writer = csv.DictWriter(held, list(dict.fromkeys(name for r in records for name in r)), delimiter=separator, lineterminator=end)
    writer.writeheader()
    writer.writerows({k: json.dumps(v) if isinstance(v, bool | dict) else v for k, v in r.items()} for r in records)
    return held.getvalue()


def read(path, how=None):
    return [msgspec.json.decode(sent[3]) for sent in read_records([path], how)]


def plates(path, encoding):
    (found,) = open_records([path], How(encoding=encoding))
    return [json.loads(value)["plate"] for _, value in found.records]


TDRIVE = "".join(f"7,2024-05-07 12:00:{n:02},116.32,39.92\n" for n in range(6))
GEOLIFE = "Geolife trajectory\nWGS 84\nAltitude is in Feet\nReserved 3\n0,2,255,My Track,0,0,2,8421376\n0\n" + "".join(
    f"39.96,116.32,0,492,45419.5,2024-05-07,04:00:{n:02}\n" for n in range(6)
)
FORMS = {
    "jsonl": as_jsonl(fixes()), "csv": as_csv(fixes()), "semicolons": as_csv(fixes(), ";"), "tabs": as_csv(fixes(), "\t"), "old Mac": as_csv(fixes(), end="\r"),
    "array": json.dumps(fixes(), ensure_ascii=False), "pretty array": json.dumps(fixes(), indent=2), "T-Drive": TDRIVE, "GeoLife": GEOLIFE, "GeoLife, Windows": GEOLIFE.replace("\n", "\r\n"),
}  # fmt: skip
PACKED = {
    "": bytes, ".gz": gzip.compress, ".GZ": gzip.compress, ".zst": zstandard.compress, ".ZST": zstandard.compress, ".zstd": zstandard.compress, ".bz2": bz2.compress,
    ".xz": lzma.compress, ".misnamed": gzip.compress,
}  # fmt: skip


# --- containers ---


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
def test_every_format_is_read_from_every_container_under_any_name(form, packed, mark, tmp_path):
    path = tmp_path / f"traffic{packed}"
    path.write_bytes(PACKED[packed]((mark + FORMS[form]).encode()))
    assert len(read(path)) == 6
    for judged in open_records([path], How(kind="gps")):
        assert [msgspec.json.decode(value, type=Fix).lat for _, value in judged.records] == [r["lat"] for r in read(path)]


@pytest.mark.parametrize("packed", [".gz", ".zst", ".bz2", ".xz"])
def test_a_file_that_was_cut_off_ends_too_early_wherever_it_was_cut(packed, tmp_path, judge):
    whole = PACKED[packed](as_jsonl(fixes(3_000)).encode())
    for cut in (len(whole) - 1, len(whole) - 9, len(whole) // 2, 20):
        path = tmp_path / f"cut.jsonl{packed}"
        path.write_bytes(whole[:cut])
        code, text, _ = judge("--gps", path)
        assert code == 2 and ("ends too early" in text or "damaged" in text), (cut, text)
        with pytest.raises(BadInput, match="ends too early|damaged"):
            list(read_records([path]))


@given(data=st.data(), packed=st.sampled_from([".gz", ".zst", ".bz2", ".xz"]))
@settings(max_examples=60, deadline=None)
def test_damage_is_never_taken_for_an_end(data, packed, tmp_path_factory):
    whole = PACKED[packed](as_jsonl(fixes(200)).encode())
    cut = data.draw(st.integers(8, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / f"x.jsonl{packed}"
    path.write_bytes(whole[:cut])
    with pytest.raises(BadInput):
        list(read_records([path]))


@pytest.mark.parametrize("packed", [".gz", ".zst", ".bz2", ".xz"])
def test_packed_files_put_one_after_the_other_are_read_whole(packed, tmp_path):
    (tmp_path / f"a{packed}").write_bytes(b"".join(PACKED[packed](as_jsonl([r]).encode()) for r in fixes()))
    assert read(tmp_path / f"a{packed}") == fixes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04" + bytes(99), "a ZIP archive"), (b"PAR1" + bytes(99), "a Parquet file"), (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
        (b"<gpx></gpx>\n", "unknown format"), (b"hello\n", "unknown format"),
    ],
)  # fmt: skip
def test_what_holds_no_records_is_refused_in_one_line(data, message, tmp_path, judge):
    (tmp_path / "x.bin").write_bytes(data)
    code, text, _ = judge("--gps", tmp_path / "x.bin")
    assert code == 2 and message in text


ZSTD_HEADER = zstandard.FRAME_HEADER + bytes([0, 18 << 3])  # a window of 2 ** 28 bytes, no size, no checksum


def test_a_zstd_frame_may_need_a_large_window(tmp_path):
    data = as_jsonl(fixes()).encode()
    (tmp_path / "a.jsonl.zst").write_bytes(ZSTD_HEADER + (len(data) << 3 | 1).to_bytes(3, "little") + data)
    assert read(tmp_path / "a.jsonl.zst") == fixes()


@pytest.mark.parametrize(("inner", "outer"), [(".gz", ".gz"), (".zst", ".gz"), (".gz", ".xz")])
def test_what_is_packed_twice_is_unpacked_twice(inner, outer, tmp_path, judge):
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / f"a.csv{inner}{outer}").write_bytes(PACKED[outer](PACKED[inner](as_csv(fixes()).encode())))
    assert judge("--gps", tmp_path / "day")[2]["fixes"] == {"accepted": 6}
    (tmp_path / "a.csv").write_bytes(gzip.compress(PACKED[outer](PACKED[inner](b"{}"))))
    code, text, _ = judge("--gps", tmp_path / "a.csv")
    assert code == 2 and "packed more than 2 times; unpack it" in text


@pytest.mark.parametrize(
    ("data", "message"), [(lz4.frame.compress(b"{}\n"), "packed with LZ4"), (lzma.compress(b"{}\n", lzma.FORMAT_ALONE), "packed with LZMA"), (b"\x1f\x9d\x90" + bytes(9), "packed with compress")]
)
def test_a_packing_that_is_not_unpacked_is_named(data, message, tmp_path, judge):
    (tmp_path / "a.jsonl").write_bytes(data)
    code, text, _ = judge("--gps", tmp_path / "a.jsonl")
    assert code == 2 and f"a.jsonl: {message}" in text


# --- encodings ---


@pytest.mark.parametrize("plate", ["鲁A12345", "豫A12345", "鲁B1豫"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "array"])
@pytest.mark.parametrize("before", [0, 400], ids=["at once", "after 64 KB of ASCII"])
def test_an_encoding_that_was_asked_for_is_used_although_the_bytes_are_utf_8_by_accident(plate, form, before, tmp_path):
    rows = [*fixes(before, plate="A0"), *fixes(3, plate=plate)]
    text = {"jsonl": as_jsonl, "csv": as_csv, "array": lambda rows: json.dumps(rows, ensure_ascii=False)}[form](rows)
    text.encode("gbk").decode("utf-8")
    (tmp_path / f"a.{form}").write_bytes(text.encode("gbk"))
    assert plates(tmp_path / f"a.{form}", "gbk") == [r["plate"] for r in rows]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "big5", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("plate", ["京A12345", "鲁A12345", "艾·沙", "plain", "🚚"])
@pytest.mark.parametrize("before", [0, 700], ids=["at once", "after 64 KB of ASCII"])
def test_utf_8_stays_so_whatever_was_asked_for(encoding, plate, before, tmp_path):
    rows = [*fixes(before, plate="A0"), *fixes(3, plate=plate)]
    for name, text in (("a.jsonl", as_jsonl(rows)), ("a.csv", as_csv(rows))):
        (tmp_path / name).write_text(text, "utf-8")
        assert plates(tmp_path / name, encoding) == [r["plate"] for r in rows]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_more_than_what_was_asked_for(encoding, tmp_path):
    (tmp_path / "a.csv").write_bytes(as_csv(fixes()).encode(encoding))
    assert [r["plate"] for r in read(tmp_path / "a.csv", How(encoding="gbk"))] == ["京A12345"] * 6


def test_escapes_of_seven_bits_are_read_where_they_were_asked_for(tmp_path):
    for encoding in ("hz", "iso2022_jp"):
        (tmp_path / "a.csv").write_bytes(as_csv(fixes(plate="京A")).encode(encoding))
        assert [r["plate"] for r in read(tmp_path / "a.csv", How(encoding=encoding))] == ["京A"] * 6


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_byte_order_marks_stand_wherever_files_were_put_one_after_the_other(form, encoding, packed, tmp_path):
    lines = (as_jsonl if form == "jsonl" else as_csv)(fixes(900)).splitlines(keepends=True)
    mark = "\ufeff".encode(encoding + "-le" if encoding == "utf-16" else encoding)
    parts = [mark + mark + "".join(lines[:3]).encode(encoding.replace("16", "16-le")), *(mark + line.encode(encoding.replace("16", "16-le")) for line in lines[3:])]
    (tmp_path / f"a.{form}{packed}").write_bytes(b"".join(map(PACKED[packed], parts)) if packed else b"".join(parts))
    assert [r["event_id"] for r in read(tmp_path / f"a.{form}{packed}", How(encoding=encoding))] == [r["event_id"] for r in fixes(900)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_marks_are_found_across_pieces(size):
    text = "\ufeff\ufeffa\n\ufeff\ufeffb\ufeff\r\n\ufeffc錿\n".encode()
    pieces = iter([text[at : at + size] for at in range(0, len(text), size)])
    assert b"".join(as_text("", text, pieces, None)[1]).decode() == "a\nb\ufeff\r\nc錿\n"


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize(("text", "clean"), [("a\r\n\x1a", "a\r\n"), ("a\x1ab\x1a", "a\x1ab"), ("a\x1a\n", "a\x1a\n"), ("\x1ea\n\x1e\x1eb\x1e\n", "a\nb\x1e\n"), ("\x1a", "")])
def test_the_end_of_a_file_of_dos_and_what_begins_records_are_no_text(text, clean, size):
    pieces = iter([text[at : at + size].encode() for at in range(0, len(text), size)])
    assert b"".join(as_text("", text.encode(), pieces, None)[1]).decode() == clean


@pytest.mark.parametrize("form", ["jsonl", "csv", "T-Drive"])
def test_a_file_of_dos_ends_with_ctrl_z(form, tmp_path):
    (tmp_path / "a.txt").write_bytes(FORMS[form].replace("\n", "\r\n").encode() + b"\x1a")
    assert len(read(tmp_path / "a.txt")) == 6


def test_a_sequence_of_json_texts_is_read(tmp_path):
    (tmp_path / "a.json-seq").write_bytes(b"".join(b"\x1e" + line for line in FORMS["jsonl"].encode().splitlines(keepends=True)))
    assert [r["event_id"] for r in read(tmp_path / "a.json-seq")] == [r["event_id"] for r in fixes()]


def test_tabs_before_a_quote_say_nothing_as_spaces_do():
    text = 'a,b\n"1",\t"x, y"\n\t"2", \t "z"\n"say,\t""hi""",\t""\n"in\n\t",3\n'
    assert [row.cells for row in read_rows(text.splitlines(keepends=True), "f", ",")][1:] == [["1", "x, y"], ["2", "z"], ['say,\t"hi"', ""], ["in", "3"]]


@pytest.mark.parametrize("form", ["jsonl", "pretty array", "T-Drive", "GeoLife"])
@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_lines_may_end_as_on_old_macs(form, end, tmp_path):
    name = {"T-Drive": "a.txt", "GeoLife": "a.plt"}.get(form, "a.jsonl")
    (tmp_path / name).write_bytes(FORMS[form].replace("\n", end).encode())
    (found,) = open_records([tmp_path / name], How())
    (tmp_path / name).write_bytes(FORMS[form].encode())
    (plain,) = open_records([tmp_path / name], How())
    assert [(line, json.loads(value)) for line, value in found.records] == [(line, json.loads(value)) for line, value in plain.records]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "array"])
def test_another_encoding_is_named_and_can_be_given(encoding, form, tmp_path, judge):
    path = tmp_path / f"x.{form}"
    path.write_bytes(FORMS[form].encode(encoding))
    code, text, _ = judge("--gps", path)
    assert code == 2 and "--encoding" in text and ("GBK" in text if encoding.startswith("gb") else encoding[:6].upper() in text)
    code, text, summary = judge("--gps", path, "--encoding", encoding)
    assert (code, summary["fixes"]) == (0, {"accepted": 6})
    assert [r["plate"] for r in read(path, How(encoding=encoding))] == ["京A12345"] * 6


def test_a_file_that_is_utf_8_stays_so_beside_one_that_is_not(tmp_path, judge):
    (tmp_path / "a.jsonl").write_text(as_jsonl(fixes()), "utf-8")
    (tmp_path / "r.csv").write_bytes("kind,id,plate\nvehicle,BJ-0,京A12345\nvehicle,BJ-1,京A12345\n".encode("gbk"))
    code, _, summary = judge("--gps", tmp_path / "a.jsonl", "--registry", tmp_path / "r.csv", "--encoding", "gbk")
    assert (code, summary["incidents"], summary["fixes"]) == (0, {}, {"accepted": 6})


@pytest.mark.parametrize("name", ["nonsense", "base64", "rot13"])
def test_an_encoding_that_does_not_exist_is_refused(name, tmp_path, judge):
    (tmp_path / "a.jsonl").write_text(as_jsonl(fixes()))
    code, text, _ = judge("--gps", tmp_path / "a.jsonl", "--encoding", name)
    assert code == 2 and "--encoding" in text


def test_one_line_that_is_not_utf_8_is_one_record_that_is_broken(tmp_path, judge):
    lines = [line.encode() for line in as_jsonl(fixes()).splitlines()]
    lines[2] = as_jsonl(fixes(1)).encode("gbk").strip()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    code, text, summary = judge("--gps", tmp_path / "a.jsonl")
    assert code == 0 and summary["fixes"] == {"accepted": 5, "malformed": 1} and "a.jsonl:3: malformed" in text


# --- tables ---

FULL = {
    Fix: {"event_id": "1", "event_time_ms": NOON_MS, "vehicle_id": "007", "lon": 116.5, "lat": 39.0, "plate": "京A", "coord_sys": "gcj02", "speed_kmh": 3.5, "heading_deg": 90.0,
          "altitude_m": -1.5, "accuracy_m": 3.0, "ignition": True, "load": "empty", "driver_id": "17", "backfill": True, "source": "x", "synthetic": False, "arrival_time_ms": NOON_MS},
    Scan: {"event_id": "1", "event_time_ms": NOON_MS, "waybill_id": "123", "enterprise_id": "9", "city": "110100", "kind": "accepted", "outlet_id": "3", "district": "110101",
           "waybill_kind": "electronic", "packaging": {"green": True, "tape_mm": 45.0, "repackaged": False, "reusable_bag": True}, "real_name_verified": True, "inspected": False,
           "courier_id": "4", "vehicle_id": "007", "synthetic": False, "arrival_time_ms": NOON_MS},
    Heartbeat: {"event_time_ms": NOON_MS, "subject": "outlet/1", "event_id": "1", "city": "110100", "synthetic": False, "arrival_time_ms": NOON_MS},
}  # fmt: skip
NAME = {Fix: "gps", Scan: "scan", Heartbeat: "heartbeat"}


@pytest.mark.parametrize("kind", FULL, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("nested", ["as JSON", "as columns"])
@pytest.mark.parametrize("words", [("true", "false"), ("TRUE", "FALSE"), ("1", "0"), ("是", "否"), ("yes", "no")], ids=lambda words: words[0])
def test_every_column_is_typed_from_its_definition(kind, nested, words, tmp_path):
    """Ids that look like numbers stay text; whatever the definition has is read."""
    full = {k: v for k, v in FULL[kind].items() if k in kind.__struct_encode_fields__}
    flat = {}
    for name, value in full.items():
        flat |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) and nested == "as columns" else {name: value}
    row = {k: words[not v] if isinstance(v, bool) else json.dumps(v) if isinstance(v, dict) else str(v) for k, v in flat.items()}
    (tmp_path / "table.csv").write_text(as_csv([row, row]), "utf-8")
    (found,) = open_records([tmp_path / "table.csv"], How())
    values = [value for _, value in found.records]
    assert found.kind == NAME[kind] and [msgspec.json.decode(value, type=kind) for value in values] == [msgspec.json.decode(json.dumps(full), type=kind)] * 2
    assert set(typed_fields(kind)) >= set(full)


@pytest.mark.parametrize("null", ["", "null", "NULL", "~", "nan"])
def test_an_optional_cell_that_says_nothing_is_absent(null, tmp_path):
    (tmp_path / "a.csv").write_text(f"event_id,event_time_ms,vehicle_id,lon,lat,speed_kmh,ignition\ne,{NOON_MS}.0,v,1,2,{null},{'' if null == 'nan' else null}\n")
    assert read(tmp_path / "a.csv") == [{"event_id": "e", "event_time_ms": NOON_MS, "vehicle_id": "v", "lon": 1.0, "lat": 2.0}]


@pytest.mark.parametrize(("column", "cell"), [("lon", "east"), ("event_time_ms", "1.71505E+12"), ("event_time_ms", "2024-05-07"), ("ignition", "maybe"), ("speed_kmh", "12 km/h")])
def test_a_cell_that_does_not_fit_makes_one_record_malformed_with_its_line(column, cell, tmp_path, judge):
    rows = [{**r, "ignition": True, "speed_kmh": 5.0} for r in fixes(3)]
    (tmp_path / "a.csv").write_text(as_csv([rows[0], {**rows[1], column: cell}, rows[2]]), "utf-8")
    code, text, summary = judge("--gps", tmp_path / "a.csv")
    assert code == 0 and summary["fixes"] == {"accepted": 2, "malformed": 1}
    assert "a.csv:3: malformed" in text and column in text


HEADING = "event_id,event_time_ms,vehicle_id,lon,lat\n"
ROW = f"e,{NOON_MS},v,116.3,39.9\n"
TABLE_FAULTS = {
    HEADING + ROW + f"e,{NOON_MS},v,116.3\n": ":3: the row has more or fewer cells than the header: 4, not 5",
    HEADING + "\n\n" + ROW + f"e,{NOON_MS},v,116.3,39.9,1\n": ":5: the row has more or fewer cells than the header: 6, not 5",
    HEADING + ROW + f'e,{NOON_MS},"v,116.3,39.9\n' + ROW * 9: ":3: a quote opens here and never closes",
    HEADING + ROW + f"e,{NOON_MS},{'v' * 131_073},1,2\n": ":3: a cell of more than 131,072 characters begins here",
    HEADING + f'"{"e" * 140_000}",{NOON_MS},v,1,2\n': ":2: a cell of more than 131,072 characters begins here",
    HEADING + ROW + f'"{ROW * 9_000}': ":3: a cell of more than 131,072 characters begins here; does its quote close?",
    HEADING.replace("lat", "lon") + ROW: ":1: the heading 'lon' stands twice in this line, over columns 4 and 5",
    HEADING + ROW + "event_id,event_time_ms,vehicle_id,lat,lon\n" + ROW: ":3: a heading whose columns stand in another order than line 1's; read each file by itself",
    HEADING.replace("lat", "latitude") + ROW: ":1: the header lacks lat; ",
}


@pytest.mark.parametrize(("text", "message"), TABLE_FAULTS.items(), ids=TABLE_FAULTS.values())
def test_a_table_that_breaks_its_rules_is_refused_with_the_line(text, message, tmp_path, judge):
    (tmp_path / "a.csv").write_text(text)
    code, printed, _ = judge("--gps", tmp_path / "a.csv")
    assert code == 2 and message in printed
    with pytest.raises(BadInput):
        list(read_records([tmp_path / "a.csv"]))


@pytest.mark.parametrize("blank", [",,,,", "", " ", ";;", ",", '"","","","",""'])
def test_blank_rows_are_skipped(blank, tmp_path):
    (tmp_path / "a.csv").write_text(f"{blank}\n{HEADING}{blank}\n{ROW}{blank}\n" if blank != ";;" else HEADING + ROW)
    assert len(read(tmp_path / "a.csv")) == 1


@pytest.mark.parametrize("before", [";;;;\n", "sep=;\n", '"sep=;"\n', "\ufeffsep=;\r\n;;;;\r\n", "\n ; ;\n"])
def test_what_stands_before_a_heading_does_not_hide_it(before, tmp_path, judge):
    (tmp_path / "a.csv").write_text(before + (HEADING + ROW).replace(",", ";"), newline="")
    code, text, summary = judge("--gps", tmp_path / "a.csv")
    assert (code, summary["fixes"]) == (0, {"accepted": 1}), text
    assert len(read(tmp_path / "a.csv")) == 1


@pytest.mark.parametrize("between", ["", "\ufeff", "\n\n"])
def test_tables_put_one_after_another_are_one(between, tmp_path, judge):
    (tmp_path / "a.csv").write_text(HEADING + ROW + between + HEADING + ROW.replace("e", "f", 1), "utf-8")
    code, text, summary = judge("--gps", tmp_path / "a.csv")
    assert (code, summary["fixes"]) == (0, {"accepted": 2}), text
    assert [record["event_id"] for record in read(tmp_path / "a.csv")] == ["e", "f"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_spaces_after_a_separator_say_nothing(separator, tmp_path, judge):
    (tmp_path / "a.csv").write_text((HEADING + f'"e, 1", "{NOON_MS}",   "BJ-0001", 116.3, 39.9\n').replace(",", separator + " "), "utf-8")
    assert [(r["event_id"], r["vehicle_id"], r["lon"]) for r in read(tmp_path / "a.csv")] == [(f"e{separator}  1", "BJ-0001", 116.3)]
    (tmp_path / "a.csv").write_text((HEADING + ROW + f'e, {NOON_MS}, "v, 116.3, 39.9\n' + ROW).replace(",", separator), "utf-8")
    code, text, _ = judge("--gps", tmp_path / "a.csv")
    assert code == 2 and ":3: a quote opens here and never closes" in text


CELLS = [
    "9" * 19, "-" + "9" * 19, str(2**63), "1e300", "1e999", "-1e999", "inf", "-Infinity", "1_0", "nan", "0x10", "１２", "1.0", "1.5", ".5", "5.", "+5", "--5", "1e5", "true", "是", "null", "{}", "[]", "[1,2]",
    '{"green": 1}', '{"type": "box"}', "[" * 900 + "]" * 900, "9999-12-31T23:59:59", "0001-01-01T00:00:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "=1+1", "\x1b[2J", "京" * 200, "box", "5",
]  # fmt: skip


@given(data=st.data(), kind=st.sampled_from(["gps", "scan", "heartbeat"]), form=st.sampled_from(["csv", "jsonl"]))
@settings(max_examples=30, deadline=None)
def test_any_cell_in_any_column_is_a_record_as_it_is_or_refused(data, kind, form, tmp_path_factory):
    """Whatever a cell holds: the table is read, each row is a record, and its decoder takes it or says why not."""
    folder, fields = tmp_path_factory.mktemp("cells"), list(typed_fields({"gps": Fix, "scan": Scan, "heartbeat": Heartbeat}[kind]))
    times = [name for name in fields if name.endswith("_time_ms")]
    chosen = data.draw(st.lists(st.sampled_from(fields), unique=True)) + times
    formats = {name: data.draw(st.sampled_from(["ms", "s", "iso", "%Y-%m-%d"])) for name in times}
    mapping = [f"{name}: {{column: {name}{f', format: {formats[name]!r}' if name in formats else ''}}}" for name in dict.fromkeys([*fields[:4], *chosen])]
    if form == "csv":
        mapping = [f"{name}: {{column: {name}{f', format: {formats[name]!r}' if name in formats else ''}}}" for name in fields]
    (folder / "c.yaml").write_text("\n".join(mapping))
    rows = data.draw(st.lists(st.fixed_dictionaries({name: st.sampled_from(CELLS) for name in dict.fromkeys([*fields, *chosen])}), min_size=1, max_size=3))
    if form == "csv":
        (folder / "a.csv").write_text(as_csv(rows), newline="")
    else:
        (folder / "a.jsonl").write_text("".join(json.dumps({name: value for name, value in row.items() if data.draw(st.booleans())}) + "\n" for row in rows))
    (found,) = open_records([folder / f"a.{form}"], How(kind=kind, mapping=read_mapping(folder / "c.yaml")))
    values = [value for _, value in found.records]
    assert len(values) == len(rows)
    for value in values:
        with suppress(ValueError):
            DECODED[kind].read_one(value)


DECODED = {"gps": FIXES, "scan": SCANS, "heartbeat": HEARTBEATS}


@pytest.mark.parametrize(("cell", "outcome"), [("inf", "malformed"), ("-Infinity", "malformed"), ("1e999", "malformed"), ("1_0", "malformed"), ("nan", "accepted"), ("NaN", "accepted"), ("12.5", "accepted"), (".5e1", "accepted")])
def test_a_number_that_is_none_is_refused_and_not_left_out(cell, outcome, tmp_path, judge):
    (tmp_path / "a.csv").write_text(HEADING.replace("\n", ",speed_kmh\n") + ROW.replace("\n", f",{cell}\n"))
    code, text, summary = judge("--gps", tmp_path / "a.csv")
    assert code == (outcome != "accepted") and +Counter(summary["fixes"]) == {outcome: 1}, text


@pytest.mark.parametrize("form", [as_jsonl, json.dumps], ids=["jsonl", "array"])
def test_a_record_that_lacks_a_mapped_field_is_refused_alone(form, tmp_path, judge):
    (tmp_path / "c.yaml").write_text("vehicle_id: v\nevent_time_ms: t\nlon: x\nlat: y\n")
    rows = [{"v": "a", "t": NOON_MS + n, "x": 116.3, "y": 39.9} for n in range(3)]
    del rows[0]["y"]
    (tmp_path / "a.json").write_text(form(rows))
    code, text, summary = judge("--gps", tmp_path / "a.json", "--columns", tmp_path / "c.yaml")
    assert (code, summary["fixes"]) == (0, {"malformed": 1, "accepted": 2}), text
    assert f"first refusal: {tmp_path / 'a.json'}:1: malformed" in text and "lat" in text


MAPPING = """\
vehicle_id: 车牌号
event_time_ms: {column: 定位时间, format: "%Y-%m-%d %H:%M:%S"}
lon: 经度
lat: 纬度
speed_kmh: {column: 速度(m/s), times: 3.6}
coord_sys: {value: gcj02}
"""
CHINESE = [{"车牌号": f"京A{n}", "定位时间": f"2024-05-07 12:00:0{n}", "经度": "116.32", "纬度": "39.92", "速度(m/s)": "10", "电话": "1380"} for n in range(3)]


@pytest.mark.parametrize("form", [as_csv, as_jsonl, json.dumps], ids=["csv", "jsonl", "array"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_columns_of_other_names_are_mapped_by_a_file(form, encoding, tmp_path, judge):
    (tmp_path / "columns.yaml").write_text(MAPPING, "utf-8")
    (tmp_path / "gps.txt").write_bytes(form(CHINESE).encode(encoding))
    given = ["--columns", tmp_path / "columns.yaml", "--encoding", encoding]
    code, text, summary = judge("--gps", tmp_path / "gps.txt", *given)
    assert (code, summary["fixes"]) == (0, {"accepted": 3}), text
    found = read(tmp_path / "gps.txt", How(encoding=encoding, mapping=read_mapping(tmp_path / "columns.yaml")))
    assert [(r["vehicle_id"], r["event_time_ms"], r["speed_kmh"], r["coord_sys"]) for r in found] == [(f"京A{n}", NOON_MS + 1000 * n, 36.0, "gcj02") for n in range(3)]
    assert len({r["event_id"] for r in found}) == 3 and not any("电话" in r for r in found)


def test_a_mapping_may_be_written_the_other_way_round(tmp_path):
    (tmp_path / "c.yaml").write_text("车: vehicle_id\n经: lon\n纬: lat\n时: event_time_ms\n")
    (tmp_path / "a.csv").write_text(f"车,经,纬,时\nv,116,39,{NOON_MS}\n")
    assert read(tmp_path / "a.csv", How(mapping=read_mapping(tmp_path / "c.yaml")))[0]["lon"] == 116.0


def test_columns_with_names_of_fields_need_no_mapping_and_one_may_be_left_out(tmp_path):
    (tmp_path / "a.csv").write_text(f"车,lon,lat,event_time_ms,plate,load\nv,116,39,{NOON_MS},京A1,0.5\n")
    (tmp_path / "b.jsonl").write_text(json.dumps({"车": "v", "lon": "116", "lat": 39, "event_time_ms": NOON_MS, "plate": "京A1", "load": 0.5}))
    (tmp_path / "c.yaml").write_text("vehicle_id: 车\nload: null\n")
    for name in ("a.csv", "b.jsonl"):
        (record,) = read(tmp_path / name, How(mapping=read_mapping(tmp_path / "c.yaml")))
        assert record.pop("event_id") and record == {"vehicle_id": "v", "lon": 116.0, "lat": 39.0, "event_time_ms": NOON_MS, "plate": "京A1"}
    (tmp_path / "swap.yaml").write_text("lon: lat\nlat: lon\nvehicle_id: 车\nload: null\n")
    assert read(tmp_path / "a.csv", How(mapping=read_mapping(tmp_path / "swap.yaml")))[0]["lat"] == 116.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lonn: x\n", ":1: 'lonn' is not a field of a record; did you mean 'lon'?"), ("lon: {columm: x}\n", ":1: lon: "), ("lon: {}\n", ":1: lon comes from a column or is one value"),
        ("[]", ":1: a mapping has lines"), ("lon: a\nlon: b\n", ":2: key 'lon' is given twice"), ("lon: {column: a, timezone: Mars/Olympus}", ":1: lon: "),
    ],
)  # fmt: skip
def test_a_mapping_that_is_wrong_names_its_line(text, message, tmp_path, judge):
    (tmp_path / "c.yaml").write_text(text)
    (tmp_path / "a.csv").write_text(HEADING + ROW)
    code, printed, _ = judge("--gps", tmp_path / "a.csv", "--columns", tmp_path / "c.yaml")
    assert code == 2 and message in printed


# --- lines ---


def test_a_line_beyond_a_megabyte_is_refused_and_the_others_are_read(tmp_path, judge):
    first, second, third = as_jsonl(fixes(3)).splitlines()
    for packed in ("", ".gz"):
        path = tmp_path / f"a.jsonl{packed}"
        lines = [first, '{"x": "' + "y" * (3 * MOST_LINE_BYTES) + '"}', second, "z" * (MOST_LINE_BYTES + 1), third, "w" * (2 * MOST_LINE_BYTES)]
        path.write_bytes(PACKED[packed]("\n".join(lines).encode()))
        code, text, summary = judge("--gps", path)
        assert code == 0 and summary["fixes"] == {"accepted": 3, "malformed": 3}
        assert f"first refusal: {path}:2: malformed: a line of more than 1,000,000 bytes" in text
        noted = Noted()
        assert len(list(read_records([path], None, noted))) == 3 and noted.too_long == 3
    path.write_bytes("\n".join([first, "broken", "z" * (MOST_LINE_BYTES + 1), second]).encode())
    assert f"first refusal: {path}:2: malformed" in judge("--gps", path, "--encoding", "utf-8")[1], "a line before the one that is too long"


@given(lines=st.lists(st.sampled_from([b"", b" ", b"{}", b"x" * 70_000, b"[1,", b"\xff", b"\r"]), max_size=8), ends=st.booleans())
def test_lines_keep_their_numbers(lines, ends, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(b'{"first": 1}\n' + b"\n".join(lines) + (b"\n" if ends else b""))
    (found,) = open_records([path], How(kind="gps"))
    assert list(found.records) == [(1, b'{"first": 1}')] + [(n, line.strip()) for n, line in enumerate(lines, 2) if line.strip()]


def test_elements_of_an_array_know_their_lines(tmp_path, judge):
    records = fixes(4)
    records[2]["lon"] = "east"
    (tmp_path / "a.json").write_text(json.dumps(records, indent=1))
    code, text, _ = judge("--gps", tmp_path / "a.json")
    assert code == 0 and f"a.json:{2 + 2 * (len(records[0]) + 2)}: malformed" in text
    (tmp_path / "a.json").write_text(json.dumps(records)[:-9])
    code, text, _ = judge("--gps", tmp_path / "a.json")
    assert code == 2 and "it begins like a JSON array and is none" in text


# --- what is printed ---


def test_the_summary_tells_accepted_refused_by_reason_late_duplicate_and_the_first_refusal(tmp_path, judge):
    good = fixes(4)
    lines = [good[0], good[3], good[3], {**good[1], "lon": 181}, {**good[2], "event_time_ms": NOON_MS - 3_600_000, "vehicle_id": "BJ-1"}, {"event_id": 5}]
    (tmp_path / "a.jsonl").write_text(as_jsonl(lines) + "not json\n\n")
    code, text, summary = judge("--gps", tmp_path / "a.jsonl")
    assert code == 0 and summary["fixes"] == {"accepted": 2, "duplicate": 1, "invalid_position": 1, "late": 1, "malformed": 2}
    assert "fixes: 2 accepted, 3 refused (2 malformed, 1 invalid_position), 1 late, 1 duplicate" in text
    assert f"first refusal: {tmp_path / 'a.jsonl'}:4: invalid_position" in text


@pytest.mark.parametrize("text", ["", "\n\n", "not json\n", '{"event_id": 1}\n' * 3, "[]"])
def test_a_run_in_which_nothing_could_be_read_fails(text, tmp_path, judge):
    (tmp_path / "a.jsonl").write_text(text)
    code, printed, _ = judge("--gps", tmp_path / "a.jsonl")
    assert code == 1 and "fixes: 0 accepted" in printed and "no record" in printed if len(text) < 3 else "could be judged" in printed


def test_scans_and_heartbeats_are_told_likewise(tmp_path, judge):
    scan = {"event_id": "s", "event_time_ms": NOON_MS, "waybill_id": "w", "enterprise_id": "e", "city": "110100", "kind": "accepted"}
    (tmp_path / "scans.csv").write_text(as_csv([scan, scan, {**scan, "kind": "eaten"}]))
    (tmp_path / "beats.jsonl").write_text(as_jsonl([{"event_time_ms": NOON_MS, "subject": "outlet/1"}, {"event_time_ms": NOON_MS}]))
    code, text, summary = judge("--scans", tmp_path / "scans.csv", "--heartbeats", tmp_path / "beats.jsonl")
    assert code == 0 and "scans: 1 accepted, 1 refused (1 malformed), 0 late, 1 duplicate" in text
    assert "heartbeats: 1 accepted, 1 refused (1 malformed), 0 late, 0 duplicate" in text and "scans.csv:4: malformed" in text
    assert summary["heartbeats"] == {"accepted": 1, "malformed": 1}


# --- where files are ---


def test_a_place_that_cannot_be_read_or_written_is_one_line(tmp_path, judge):
    (tmp_path / "a.jsonl").write_text(as_jsonl(fixes()))
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken" / "incidents.jsonl").mkdir(parents=True)
    for arguments, out, message in [
        (["--gps", tmp_path / "empty"], "out", "no file of fixes in this folder"), (["--gps", tmp_path / "nowhere.jsonl"], "out", "No such file"),
        (["--gps", tmp_path / "a.jsonl"], "file", "give the name of a folder"), (["--gps", tmp_path / "a.jsonl"], "file/x", "give the name of a folder"),
        (["--gps", "/proc/self/mem"], "out", "/proc/self/mem"), (["--gps", "-", "--gps", "-"], "out", "can be read once"),
    ]:  # fmt: skip
        code, text, _ = judge(*arguments, out=tmp_path / out)
        assert code == 2 and message in text, arguments
    code, text, _ = judge("--gps", tmp_path / "a.jsonl", out=tmp_path / "taken")
    assert code == 1 and "incidents.jsonl: Is a directory" in text


def test_geolife_lies_in_folders_of_users(tmp_path):
    for user in ("000", "017"):
        home = tmp_path / "Geolife Trajectories 1.3" / "Data" / user / "Trajectory"
        home.mkdir(parents=True)
        (home / "20240507040004.plt").write_text(GEOLIFE)
        (home / "20240508040004.plt").write_text(GEOLIFE.replace("2024-05-07", "2024-05-08"))
        (home.parent / "labels.txt").write_text("Start Time\tEnd Time\tTransportation Mode\n2008/04/02 11:24:21\t2008/04/02 11:50:45\tbus\n")
        (home / ".DS_Store").write_bytes(bytes(99))
    (tmp_path / "Geolife Trajectories 1.3" / "User Guide-1.3.pdf").write_bytes(b"%PDF")
    noted = Noted()
    sent = list(read_records([tmp_path], None, noted))
    assert {key for _, _, key, _ in sent} == {"geolife-000", "geolife-017"} and len(sent) == 24 and noted.passed_over == 5  # labels, what a Mac left, the guide
    assert len({msgspec.json.decode(value)["event_id"] for *_, value in sent}) == 24


@pytest.mark.parametrize(("inside", "given"), [("000/Trajectory", "."), ("000/Trajectory", "20240507040004.plt"), ("000", "Trajectory"), ("000", "."), ("017", "../000/Trajectory")])
def test_geolife_says_whose_it_is_from_inside_its_folders(inside, given, tmp_path, monkeypatch):
    for folder in ("000/Trajectory", "017"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "000" / "Trajectory" / "20240507040004.plt").write_text(GEOLIFE)
    monkeypatch.chdir(tmp_path / inside)
    found = read(given)
    assert {fix["vehicle_id"] for fix in found} == {"geolife-000"} and found[0]["event_id"].startswith("geolife-000-20240507040004-")


@pytest.mark.parametrize("header", [0, 1, 6])
def test_a_geolife_file_may_lack_its_heading(header, tmp_path, judge):
    lines = GEOLIFE.splitlines(keepends=True)
    (tmp_path / "a.plt").write_text("".join(lines[:header] + lines[6:]))
    assert len(read(tmp_path / "a.plt")) == 6
    (tmp_path / "a.plt").write_text("".join([*lines[:header], lines[6].replace("39", "x"), *lines[7:]]))
    code, text, _ = judge("--gps", tmp_path / "a.plt")
    assert code == 2 and f"a.plt:{header + 1}: not a GeoLife line" in text


def test_a_geolife_file_may_have_its_cells_in_quotes(tmp_path):
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) if number > 5 else line for number, line in enumerate(GEOLIFE.splitlines())]
    (tmp_path / "000_1.plt").write_text(GEOLIFE)
    plain = read(tmp_path / "000_1.plt")
    (tmp_path / "000_1.plt").write_text("\n".join(quoted))
    assert read(tmp_path / "000_1.plt") == plain and len(plain) == 6


def test_lines_that_end_in_three_ways_in_one_file_are_all_read(tmp_path, judge):
    """A file of an old Mac among others, put together by ``cat``."""
    lines = [json.dumps(fix) for fix in fixes(6)]
    (tmp_path / "a.jsonl").write_text("".join(line + end for line, end in zip(lines, ["\r\n", "\n", "\r", "\r", "\n\r", ""], strict=True)), newline="")
    assert read(tmp_path / "a.jsonl") == [json.loads(line) for line in lines]
    assert judge("--gps", tmp_path / "a.jsonl")[0] == 0


@pytest.mark.parametrize("heading", [HEADING.upper(), HEADING.title()])
def test_a_heading_in_other_letters_is_told_which_letters(heading, tmp_path, judge):
    (tmp_path / "a.csv").write_text(heading + ROW)
    code, text, _ = judge("--gps", tmp_path / "a.csv")
    assert code == 2 and "a.csv:1: the header lacks event_id" in text and "in small letters" in text


def test_whatever_in_a_folder_is_not_read_is_mentioned(tmp_path, judge):
    """Links to folders are followed once, however they turn in circles."""
    home, other = tmp_path / "day", tmp_path / "other"
    for folder in (home / "sub", home / ".git", home / "__MACOSX", other):
        folder.mkdir(parents=True)
    (home / "a.jsonl").write_text(as_jsonl(fixes(2)))
    (other / "b.jsonl").write_text(as_jsonl(fixes(6)[2:]))
    (home / "linked").symlink_to(other)
    (home / "twice").symlink_to(other)
    (home / "sub" / "up").symlink_to(home)
    (home / "itself.jsonl").symlink_to("itself.jsonl")
    (home / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    os.mkfifo(home / "pipe.jsonl")
    unread = ["c.log", "d.jsonl.1", "e.jsonl.zip", "f.jsonl.lz4", "sub/notes", ".hidden.jsonl"]
    for name in unread:
        (home / name).write_text(as_jsonl(fixes(1)))
    code, text, summary = judge("--gps", home)
    assert (code, summary["fixes"]) == (0, {"accepted": 6}), text
    assert sorted(summary["passed_over"]) == sorted(str(home / name) for name in [*unread, "itself.jsonl", "gone.jsonl", "pipe.jsonl", ".git", "__MACOSX"])


def test_a_folder_in_a_folder_that_cannot_be_listed_is_one_line(tmp_path, judge, monkeypatch):
    (tmp_path / "day" / "sub").mkdir(parents=True)
    (tmp_path / "day" / "a.jsonl").write_text(as_jsonl(fixes()))
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    code, text, _ = judge("--gps", tmp_path / "day")
    assert code == 2 and f"{tmp_path / 'day' / 'sub'}: the folder cannot be listed: Permission denied" in text


@pytest.mark.parametrize("form", ["jsonl", "csv", "plt", "folder", "Trajectory"])
def test_names_that_are_not_utf_8_are_written_with_escapes(form, tmp_path, judge):
    raw, text = os.fsdecode("轨迹".encode("gbk")), r"\xb9켣"  # three of its bytes are UTF-8 by accident
    (tmp_path / raw / "Trajectory").mkdir(parents=True)
    path = {"folder": f"{raw}/{raw}.csv", "Trajectory": f"{raw}/Trajectory/1.plt"}.get(form, f"{raw}.{form}")
    rows = fixes(2)
    for row in rows:
        del row["event_id"]
    (tmp_path / "c.yaml").write_text("vehicle_id: vehicle_id\nevent_time_ms: event_time_ms\nlon: lon\nlat: lat\n")
    columns = [] if path.endswith("plt") else ["--columns", tmp_path / "c.yaml"]
    (tmp_path / path).write_text(GEOLIFE if path.endswith("plt") else as_csv(rows) if path.endswith("csv") else as_jsonl(rows) + "broken\n")
    given = tmp_path / raw if form in {"folder", "Trajectory"} else tmp_path / path
    code, printed, summary = judge("--gps", given, *columns)
    assert code == 0 and summary["fixes"]["accepted"] == (6 if path.endswith("plt") else 2), printed
    assert form != "jsonl" or f"{text}.jsonl:3: malformed" in printed
    (found,) = open_records([given], How(mapping=read_mapping(tmp_path / "c.yaml") if columns else None))
    assert found.name == str(tmp_path / path.replace(raw, text)) and size_of(found.name) == (tmp_path / path).stat().st_size
    ids = [json.loads(value)["event_id"] for _, value in found.records if value != b"broken"]
    assert all(text in event_id for event_id in ids) and list(read_records([found.name], How(mapping=read_mapping(tmp_path / "c.yaml") if columns else None)))
    (tmp_path / path).write_bytes(b"PK\x03\x04")
    code, printed, _ = judge("--gps", given)
    assert code == 2 and f"{text}" in printed and "a ZIP archive" in printed


@pytest.mark.parametrize("shown", ["yyyy-mm-dd h:mm:ss", "yyyy-mm-dd", "General", '[$-404]yyyy"年"m"月"d"日"', "[$-zh-CHS]yyyy/m/d"])
def test_midnight_in_a_workbook_is_a_date_however_it_is_shown(shown):
    openpyxl = pytest.importorskip("openpyxl")
    book, held = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["day", "moment"])
    book.active.append([dt.datetime(2024, 5, 7), dt.datetime(2024, 5, 7, 12)])  # noqa: DTZ001
    for cell in book.active[2]:
        cell.number_format = shown if shown != "General" else cell.number_format
    book.save(held)
    ((_, rows),) = read_workbook(held.getvalue(), "r.xlsx")
    assert [row.cells for row in rows] == [["day", "moment"], ["2024-05-07", "2024-05-07T12:00:00"]]


def test_a_folder_holds_kinds_of_records_that_are_told_apart(tmp_path, judge):
    scan = {"event_id": "s", "event_time_ms": NOON_MS, "waybill_id": "w", "enterprise_id": "e", "city": "110100", "kind": "accepted"}
    home = tmp_path / "day"
    (home / "taxis").mkdir(parents=True)
    (home / "1.jsonl").write_text(as_jsonl(fixes()))
    (home / "2.csv.gz").write_bytes(gzip.compress(as_csv([scan]).encode()))
    (home / "taxis" / "1.txt").write_text(TDRIVE)
    (home / "taxis" / "2.txt").touch()
    (home / "README.txt").write_text("what this is\n")
    (home / "prices.csv").write_text("city,price\nx,1\n")
    code, _, summary = judge("--gps", home, "--scans", home)
    assert code == 0 and summary["fixes"] == {"accepted": 12} and summary["scans"] == {"counted": 1}
    assert [sent[1] for sent in read_records([home])].count("scan") == 1


@pytest.mark.parametrize("way", ["-", "/dev/stdin", "<(cat)", "<(gzip)", "- packed", "fifo"])
def test_pipes_are_read_like_files(way, tmp_path):
    data = as_jsonl(fixes(2_000)).encode()
    (tmp_path / "pack.yaml").write_text(PACK, "utf-8")
    (tmp_path / "a.jsonl").write_bytes(data)
    command = f"{sys.executable} -m deploy.cli judge --policy {tmp_path}/pack.yaml --out {tmp_path}/out --gps"
    shell = {
        "-": f"cat {tmp_path}/a.jsonl | {command} -", "/dev/stdin": f"cat {tmp_path}/a.jsonl | {command} /dev/stdin", "<(cat)": f"{command} <(cat {tmp_path}/a.jsonl)",
        "<(gzip)": f"{command} <(gzip -c {tmp_path}/a.jsonl)", "- packed": f"gzip -c {tmp_path}/a.jsonl | {command} -", "fifo": f"cat {tmp_path}/a.jsonl > {tmp_path}/pipe & {command} {tmp_path}/pipe",
    }[way]  # fmt: skip
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run(["bash", "-c", shell], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["fixes"] == {"accepted": 2_000}


# --- replay ---


def test_replay_says_what_it_sent_and_fails_where_there_was_nothing(tmp_path, cli, monkeypatch):
    sent = []

    def publish(bootstrap, records, pace, **_):
        sent.extend(records)
        return {kind: sum(record[1] == kind for record in sent) for kind in ("gps", "scan", "heartbeat")}

    monkeypatch.setattr(traffic, "publish", publish)
    (tmp_path / "a.jsonl").write_text(as_jsonl(fixes(3)) + "broken\n" + "x" * 1_000_001)
    code, text, _ = cli("produce", "replay", tmp_path / "a.jsonl")
    assert code == 0 and "4 fixes, 0 scans, 0 heartbeats sent; 1 of them broken, 1 too long and not sent" in text
    assert f"first: {tmp_path / 'a.jsonl'}:4: not a record" in text and sent[3][3] == b"broken"
    (tmp_path / "none.jsonl").touch()
    code, _, err = cli("produce", "replay", tmp_path / "none.jsonl")
    assert code == 1 and "no record was found" in err


@pytest.mark.parametrize("ahead_ms", [3_600_000, 30 * 86_400_000, 10**18, -3 * 365 * 86_400_000])
@pytest.mark.parametrize("first", [True, False])
def test_a_wrong_clock_in_a_file_holds_up_nobody_and_is_not_the_time_of_the_traffic(ahead_ms, first, tmp_path):
    """Honest rows of both files go out in order of time, each wrong one where it stands in its file; time never goes further than theirs."""
    one, two = fixes(300), fixes(300, vehicle_id="other")
    wrong = range(0 if first else 10, 290, 7)
    for n in wrong:
        one[n]["event_time_ms"] += ahead_ms
    (tmp_path / "one.jsonl").write_text(as_jsonl(one))
    (tmp_path / "two.jsonl").write_text(as_jsonl(two))
    sent = list(read_records([tmp_path / "one.jsonl", tmp_path / "two.jsonl"]))
    dues = [due for due, *_ in sent]
    assert len(sent) == 600 and max(dues) <= max(two[-1]["event_time_ms"], NOON_MS + 3_600_000 + 2_870_000) and min(filter(None, dues)) > NOON_MS - 4 * 365 * 86_400_000
    honest = [record["event_time_ms"] for record in (json.loads(value) for *_, value in sent) if NOON_MS <= record["event_time_ms"] <= two[-1]["event_time_ms"] + 1]
    if abs(ahead_ms) > 86_400_000:
        assert honest == sorted(honest)
    assert [json.loads(value)["event_id"] for *_, value in sent if b"other" not in value] == [record["event_id"] for record in one]


def test_a_gap_of_weeks_in_a_file_is_a_gap(tmp_path):
    rows = fixes(200)
    for row in rows[100:]:
        row["event_time_ms"] += 30 * 86_400_000
    (tmp_path / "a.jsonl").write_text(as_jsonl(rows))
    assert [due for due, *_ in read_records([tmp_path / "a.jsonl"])] == [row["event_time_ms"] for row in rows]


def test_what_has_no_id_has_no_key(tmp_path):
    (tmp_path / "a.jsonl").write_text(as_jsonl([*fixes(1), *fixes(1, vehicle_id="x" * 600_000), *fixes(1, vehicle_id="*")]))
    assert [key for _, _, key, _ in read_records([tmp_path / "a.jsonl"])] == ["BJ-0", "", ""]


# --- the cases ---

CASES = {
    "bom.jsonl": {"accepted": 6}, "typed_columns.csv": {"accepted": 2}, "trailing_empty_rows.csv": {"accepted": 1}, "geolife_layout": {"accepted": 6}, "cut_off.jsonl.zst": None,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_cases_of_files(name, field, judge):
    code, text, summary = judge("--gps", field / name)
    if CASES[name] is None:
        assert code == 2 and "ends too early" in text
        return
    assert code == 0 and summary["fixes"] == CASES[name]
    assert len(list(read_records([field / name]))) == CASES[name]["accepted"]
    if name == "geolife_layout":
        assert summary["vehicles"] == 2
