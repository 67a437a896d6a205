"""Whatever the bytes of a record are, it is accepted or refused; what is read at once is what would be read one by one; the oracle agrees.

The same examples are tried every time; with ``--long`` 100,000 chunks more, at random, and as many ids (``YICHENG_EXAMPLES``: how many).
"""

import contextlib
import json
import os
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import BEAT, FIX, SCAN, Oracle

from streams.wire.decode import FIXES, HEARTBEATS, ODD_LEADS, SCANS, Malformed, malformed
from streams.wire.events import FUTURE, INVALID_TIME, Record, refuse_time
from streams.wire.ids import UNSEEN, is_id

EXAMPLES = int(os.environ.get("YICHENG_EXAMPLES", "100000"))
NIGHTLY_S = 3600
T = 1_700_000_000_000
GOOD = {
    "fix": {"event_id": "event-1", "event_time_ms": T, "vehicle_id": "HH-12345", "lon": 111.6, "lat": 40.8},
    "scan": {"event_id": "event-1", "event_time_ms": T, "waybill_id": "waybill-1", "enterprise_id": "wulan", "city": "150100", "kind": "accepted"},
    "beat": {"event_time_ms": T, "subject": "outlet/O0030"},
}
READERS = {"fix": (FIXES, FIX, 5), "scan": (SCANS, SCAN, 6), "beat": (HEARTBEATS, BEAT, 2)}
ORACLE = Oracle(Path(__file__).parent.parent.parent / "streams" / "policies" / "hohhot-2019.yaml", None)


def as_dict(event):
    """All that it says, without the types that it was read by."""
    return {name: msgspec.to_builtins(getattr(event, name)) for name in event.__struct_fields__}


def read_one(kind, value):
    try:
        return as_dict(READERS[kind][0].read_one(value))
    except Malformed as error:
        return str(error)


def with_(kind, /, **change):
    return json.dumps({**GOOD[kind], **change}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def raw(kind, field, text):
    """A good record with a field whose JSON is given as it is."""
    rest = json.dumps({key: value for key, value in GOOD[kind].items() if key != field})
    return rest[:-1].encode() + b', "' + field.encode() + b'": ' + text + b"}"


IDS = {"fix": ["event_id", "vehicle_id", "device_id", "plate", "driver_id"], "scan": ["event_id", "waybill_id", "enterprise_id", "city", "outlet_id", "courier_id", "vehicle_id"]}
OPTIONAL = {
    "fix": [field for field in FIX if field not in GOOD["fix"]], "scan": [field for field in SCAN if field not in GOOD["scan"]],
    "beat": [field for field in BEAT if field not in GOOD["beat"]],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in OPTIONAL.items() for field in fields])
def test_null_is_absent_for_every_optional_field(kind, field):
    assert read_one(kind, with_(kind, **{field: None})) == read_one(kind, with_(kind))


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in IDS.items() for field in fields])
def test_an_empty_id_is_absent_and_some_texts_are_nobodys_id(kind, field):
    needed = field in GOOD[kind]
    assert isinstance(read_one(kind, with_(kind, **{field: ""})), str) is needed
    if not needed:
        assert read_one(kind, with_(kind, **{field: ""})) == read_one(kind, with_(kind))
    for text in ("*", "other", "a\u0000", "a\nb", "a\u007f", "\u0085", "\u00ad", "a\u200bb", "\ufeffa", "\u2028", "\u2029", "x" * 129, "京" * 43, "\U000e0041", 7, True, ["a"], {}):
        assert isinstance(read_one(kind, with_(kind, **{field: text})), str), text
    for text in ("a b/c", "京A·12345", "x" * 128, "京" * 42, "ກຂ 1", "brother", "others", "**", "é", "\u3000", "😀" * 32):
        assert read_one(kind, with_(kind, **{field: text}))[field] == text


@pytest.mark.parametrize("text", ["outlet/a", "enterprise/a b/c", "clock"])
def test_subjects_of_heartbeats(text):
    assert read_one("beat", with_("beat", subject=text))["subject"] == text


@pytest.mark.parametrize("text", ["", "outlet/", "outlet/*", "outlet/other", "enterprise/*", "vehicle/a", "clock/", "clock\n", "outlet/a\n", "outlet/" + "x" * 129, "Outlet/a", " outlet/a"])
def test_what_is_no_subject_of_a_heartbeat(text):
    assert isinstance(read_one("beat", with_("beat", subject=text)), str)


BYTES = {
    "nothing": None, "no bytes": b"", "nesting": b"[" * 100_000, "closed nesting": b"[" * 100_000 + b"]" * 100_000, "objects": b'{"a":' * 100_000,
    "UTF-16": with_("fix").decode().encode("utf-16"), "UTF-16 without a mark": with_("fix").decode().encode("utf-16-le"), "UTF-32": with_("fix").decode().encode("utf-32"),
    "a BOM": b"\xef\xbb\xbf" + with_("fix"), "GBK": json.dumps({**GOOD["fix"], "plate": "京A12345"}, ensure_ascii=False).encode("gbk"),
    "NUL behind": with_("fix") + b"\0", "two": with_("fix") + with_("fix"), "two lines": with_("fix") + b"\n" + with_("fix"), "an array": b"[" + with_("fix") + b"]",
    "a comma": with_("fix")[:-1] + b",}", "half": with_("fix")[:40], "not UTF-8 in an unknown field": raw("fix", "x", b'"\xff"'), "as a key": raw("fix", "x", b"1").replace(b'"x"', b'"\xff"'),
    "half a surrogate": raw("fix", "plate", rb'"\ud800"'), "the other half": raw("fix", "plate", rb'"\udc00"'), "in an unknown field": raw("fix", "x", rb'"\ud800"'),
    "a surrogate in UTF-8": raw("fix", "x", b'"\xed\xa0\x80"'), "a long form": raw("fix", "x", b'"\xc0\xaf"'), "NaN": raw("fix", "lon", b"NaN"), "Infinity": raw("fix", "x", b"-Infinity"),
    "1e999": raw("fix", "lon", b"1e999"), "400 digits": raw("fix", "lat", b"1" * 400), "10,000 digits": raw("fix", "event_time_ms", b"1" * 10_000), "2^64": raw("fix", "event_time_ms", b"18446744073709551616"),
    "a time with a point": raw("fix", "event_time_ms", b"1700000000000.0"), "a time as text": raw("fix", "event_time_ms", b'"1700000000000"'), "yes": raw("fix", "event_time_ms", b"true"),
    "single quotes": b"{'event_id': 'a'}", "a comment": b"/**/" + with_("fix"), "pickle": b"\x80\x04\x95.", "gzip": b"\x1f\x8b\x08\x00", "XML": b"<?xml version='1.0'?>",
    "301 deep": raw("fix", "x", b"[" * 300 + b"]" * 300), "301 deep beside brackets in text": raw("fix", "x", b'["]]]]]]", ' + b"[" * 299 + b"]" * 300),
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_malformed(name):
    value = BYTES[name]
    for kind, (reader, fields, needed) in READERS.items():
        error = read_one(kind, value)
        assert isinstance(error, str) and error and error.isprintable() and len(error) < 200
        assert ORACLE.parse(value, fields, needed) is None
        assert malformed(Record(value, 7, T), Malformed(error)).record.offset == 7
        usual = with_(kind)
        events, wrong = reader.read([usual, value, usual])
        assert len(events) == 2 and set(wrong) == {1}


GOOD_BYTES = {
    "300 deep": raw("fix", "x", b"[" * 299 + b"]" * 299), "brackets in text": raw("fix", "x", b'"' + b"[" * 5_000 + b'"'), "400 lists side by side": raw("fix", "x", b"[" + b"[]," * 400 + b"[]]"),
    "a number of a megabyte": raw("fix", "x", b"9" * 2**20), "1e999": raw("fix", "x", b"1e999"), "a megabyte of text": raw("fix", "x", b'"' + b"x" * 2**20 + b'"'), "twice": raw("fix", "x", b'1, "lon": 7'),
    "almost nothing": raw("fix", "lon", b"1e-999"), "spaces": b" \t\r\n" + with_("fix").replace(b",", b" ,\n") + b"\n", "a pair of surrogates": raw("fix", "plate", rb'"\ud83d\ude00"'),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD_BYTES)
def test_bytes_that_are_strange_and_well_formed(name):
    found = read_one("fix", GOOD_BYTES[name])
    assert isinstance(found, dict), found
    assert ORACLE.parse(GOOD_BYTES[name], FIX, 5) is not None


@pytest.mark.parametrize(("kind", "field", "value"), [("fix", "coord_sys", "13800138000"), ("scan", "kind", "13800138000"), ("fix", "plate", "13800138000\n"), ("fix", "lon", "13800138000"), ("fix", "source", "13800138000" * 30)])
def test_an_error_says_nothing_of_what_stands_in_the_record(kind, field, value):
    error = read_one(kind, with_(kind, **{field: value}))
    assert isinstance(error, str) and "138" not in error and field in error


def test_the_bytes_that_odd_characters_begin_with_are_known():
    begin = {chr(code).encode()[:1] for code in range(128, 0x110000) if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) in UNSEEN}
    assert begin <= set(ODD_LEADS)
    assert {bytes((lead,)) for lead in range(0xF0, 0xF5)} <= set(ODD_LEADS)  # characters of four bytes, too


def test_times_before_2000_are_seconds_or_nothing_and_an_arrival_below_0_is_none():
    year_2000_ms = 946_684_800_000
    assert [refuse_time(ms, None) for ms in (T // 1_000, year_2000_ms - 1, year_2000_ms, 2**47 - 1, 2**47)] == [INVALID_TIME, INVALID_TIME, None, None, INVALID_TIME]
    assert [refuse_time(T, arrived) for arrived in (-1, None, T - 300_000, T - 300_001, 0)] == [None, None, None, FUTURE, FUTURE]


# --- whatever it is ---
scraps = st.sampled_from(["", "*", "other", "a", "HH-12345", "京A12345", "ກຂ1", "\u0000", "\ud800", "\u200b", "\u00ad", "é", "😀", "x" * 43, "x" * 128, "x" * 129, "京" * 42, "京" * 43, "ß" * 64, "ß" * 65, "clock", "outlet/a", "outlet/*"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | scraps | st.text(max_size=8) | st.sampled_from([T, T // 1000, 0.0, 1e308, "accepted", "empty", "wgs84", "electronic"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scraps, inner, max_size=3), max_leaves=4,
)  # fmt: skip


@st.composite
def records(draw, kind):
    """A record of a kind: usual, with odd fields, with bytes changed, or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.none() | st.binary(max_size=60))
    names = st.sampled_from([*READERS[kind][1], "unknown", ""])
    event = {**GOOD[kind], **draw(st.dictionaries(names, values, max_size=3))}
    for name in draw(st.lists(names, max_size=1)):
        event.pop(name, None)
    text = json.dumps(event, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, 1])))
    value = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(st.binary(max_size=3)) + value[at + draw(st.integers(0, 3)) :]
    return value


def unambiguous(value):
    """No key twice: of such the engine refuses some that the oracle takes by the last."""
    twice = []

    def pairs(found):
        twice.extend([1] * (len(found) - len(dict(found))))
        return dict(found)

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(bytes(value or b"").decode(), object_pairs_hook=pairs)
    return not twice


def read_alike(kind, chunk):
    """A chunk is read at once as its records are one by one, and refused as the oracle refuses."""
    reader, fields, needed = READERS[kind]
    alone = [read_one(kind, value) for value in chunk]
    events, wrong = reader.read(chunk)
    assert {index: str(error) for index, error in wrong.items()} == {index: found for index, found in enumerate(alone) if isinstance(found, str)}
    assert [as_dict(event) for event in events] == [found for found in alone if isinstance(found, dict)]
    for value, found in zip(chunk, alone, strict=True):
        if unambiguous(value):
            assert (ORACLE.parse(value, fields, needed) is None) is isinstance(found, str), value


def judge_id_alike(text):
    """We and the oracle agree on what an id is."""
    ours = is_id(text)
    try:
        assert ours is ORACLE.fits(text, FIX["plate"])
    except UnicodeEncodeError:
        assert not ours


def chunks(kind):
    return st.lists(records(kind), min_size=1, max_size=6)


names_of_all_sorts = st.text(max_size=140) | scraps
some = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
"""At random, so each night has others; a failure comes with what repeats it."""


@pytest.mark.parametrize("kind", READERS)
@settings(some, max_examples=150)
@given(data=st.data())
def test_at_once_or_one_by_one_and_by_the_oracle_it_is_the_same(kind, data):
    read_alike(kind, data.draw(chunks(kind)))


@settings(some, max_examples=300)
@given(names_of_all_sorts)
def test_what_an_id_is(text):
    judge_id_alike(text)


@pytest.mark.long
@pytest.mark.timeout(NIGHTLY_S)
@pytest.mark.parametrize("kind", READERS)
@settings(many, max_examples=-(-EXAMPLES // len(READERS)))
@given(data=st.data())
def test_it_is_the_same_for_a_hundred_thousand_chunks(kind, data):
    read_alike(kind, data.draw(chunks(kind)))


@pytest.mark.long
@pytest.mark.timeout(NIGHTLY_S)
@many
@given(names_of_all_sorts)
def test_what_an_id_is_for_a_hundred_thousand_texts(text):
    judge_id_alike(text)
