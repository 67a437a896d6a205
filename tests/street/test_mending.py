"""A refused record of a file is told with what to do about it: the slips of exports, spreadsheets and crashes; no value of the record is repeated."""

import json

import pytest
from test_record_files import NOON_MS, cli, judge  # noqa: F401 - two are fixtures

from streams.files.mending import way_out
from streams.wire.events import INVALID_POSITION, LATE, MALFORMED

FIX = {"event_id": "a1", "event_time_ms": NOON_MS, "vehicle_id": "v1", "lon": 111.6, "lat": 40.8}
ONE = json.dumps(FIX)


def fix(**other):
    return json.dumps(FIX | other)


SLIPS = {
    "a time in words": (fix(event_time_ms="2023-11-15T12:00:00+08:00"), "event_time_ms is milliseconds since 1970 UTC; --columns FILE reads other times"),
    "a time as in a spreadsheet": (fix(event_time_ms="2023/11/15 12:00"), "--columns FILE reads other times"),
    "fractions of a second": (fix(event_time_ms=NOON_MS / 1000), "event_time_ms is a whole number of milliseconds"),
    "microseconds": (fix(event_time_ms=NOON_MS * 1000), "(microseconds?)"),
    "a decimal comma": (fix(lon="111,6"), "lon has a comma"),
    "commas between thousands": (fix(event_time_ms=f"{NOON_MS:,}"), "event_time_ms has a comma"),
    "numbers in quotes": (fix(lat="40.8"), "lat is a number in quotes"),
    "a time of a spreadsheet's few digits": (fix(event_time_ms="1.70006E+12"), "with too few digits"),
    "lon and lat exchanged": (fix(lon=40.8, lat=111.6), "lon and lat seem to have changed places"),
    "records under a name": (json.dumps({"data": [FIX]}), "jq -c"),
    "records over several lines": (json.dumps({"data": [FIX]}, indent=1), "a record stands on one line"),
    "fields under a name": (json.dumps({"vehicle_id": "v1", "gps": {"lon": 1, "lat": 2}}), "it lacks event_id, event_time_ms at the top"),
    "fields of other names": (json.dumps({"id": 1, "x": 2}), "--columns FILE says which column or name is which field"),
    "GeoJSON": (json.dumps({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}), "this is GeoJSON"),
    "a page of HTML": ("<!DOCTYPE html><html></html>", "this is HTML or XML"),
    "a dictionary of Python": (str(FIX), "keys and texts stand in double quotes"),
    "a comma after it": (ONE + ",", "a comma follows the record"),
    "two on one line": (ONE + ONE, "a line holds one record"),
    "JSON in JSON": (json.dumps(ONE), "take off the outer quotes"),
    "a line of a log": (f"2023-11-15 12:00:00 INFO {ONE}", "something stands before the record"),
    "what a crash leaves": (ONE + "\n" + "\0" * 512, "tr -d '\\000' takes them out"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_the_first_refusal_says_what_to_do(slip, tmp_path, judge):  # noqa: F811 - the fixture
    text, advice = SLIPS[slip]
    (tmp_path / "a.jsonl").write_text(text + "\n")
    printed = judge("--gps", tmp_path / "a.jsonl")[1]
    (told,) = [line for line in printed.splitlines() if line.startswith("first refusal: ")]
    assert advice in told and "111" not in told and "2023" not in told, told


def test_a_text_in_another_encoding_is_told_the_option():
    assert way_out("gps", MALFORMED, fix(vehicle_id="京A").encode().replace(b"\\u4eac", "京".encode("gbk"))).startswith("say --encoding NAME")


def test_where_nothing_is_known_nothing_is_said():
    assert way_out("gps", LATE, ONE.encode()) is way_out("gps", MALFORMED, None) is way_out("gps", MALFORMED, b"") is None
    assert way_out("gps", INVALID_POSITION, fix(lon=500).encode()) is way_out("gps", MALFORMED, fix(lon=[]).encode()) is None


def test_the_advice_for_times_is_enough(tmp_path, judge):  # noqa: F811 - the fixture
    (tmp_path / "a.jsonl").write_text(fix(event_time_ms="2023-11-15T12:00:00") + "\n")
    (tmp_path / "a.csv").write_text("event_id,event_time_ms,vehicle_id,lon,lat,speed_kmh\na2,2023-11-15 12:00:01,v1,111.6,40.8,20\n")
    (tmp_path / "c.yaml").write_text("event_time_ms: {column: event_time_ms, format: iso}\n")
    code, text, summary = judge("--gps", tmp_path / "a.jsonl", "--gps", tmp_path / "a.csv", "--columns", tmp_path / "c.yaml")
    assert (code, summary["fixes"]) == (0, {"accepted": 2}), text
