"""A seeded generator of records that nobody should send: as values, as keys, with headers, for every topic that a process reads.

Nothing in it means anything to an honest record: its vehicles, enterprises and cities are its own, its incidents are called FORGED.
What it makes may be well-formed by chance or on purpose (a null, an odd text): then the oracle judges it like anything else.
"""

import gzip
import json
import random

T = 1_782_403_214_386  # on the golden day
MARK = "FORGED"
KEYS = [None, b"", b"\x00", b"\xff\xfe", "键".encode(), b"a" * 5_000, b"vehicle/", b"/", b"vehicle/poison", b"enterprise/poison", b"poison", b"watermark", b"0", b"hohhot-2019/", b'{"a":1}', b"\x1f", b"*", b"other"]
HEADERS = [[], [("x", b"\xff" * 100)], [("", b"")], [("头", b"1")], [("reason", b"malformed"), ("reason", b"again"), ("offset", b"-1")], [("y", b"")]]
RATE = {"city": "150100", "enterprise_id": "poison", "date": "2026-06-25", "revision": 1}
OF_ACCEPTED = ("electronic", "green", "taped", "narrow_tape", "not_repackaged", "reusable_bag", "real_name_verified", "inspected", "screened")
ON_THEIR_WAY = ("delivered", "method_known", "locker", "night_delivered", "mode_known", "rail", "air", "vehicle_known", "joint")
LETTER = {"reason": b"malformed", "topic": b"courier.gps.v1", "partition": b"0", "offset": b"0", "sha256": b"0", "length": b"1", "error": MARK.encode()}
"""The headers of a dead letter."""
ODD_HEADERS = [b"", b"-1", b"x", b"\xff", b"9" * 5_000, b"courier.none.v1", "京".encode(), b"\0"]
LETTERS = [list(LETTER.items()), *([(name, strange) if name == field else (name, value) for name, value in LETTER.items()] for field in list(LETTER)[:-1] for strange in ODD_HEADERS), *([(name, value) for name, value in LETTER.items() if name != field] for field in list(LETTER)[:-1])]
TEMPLATES = {
    "fix": {"event_id": "p", "event_time_ms": T, "vehicle_id": "poison", "lon": 111.6, "lat": 40.8, "plate": "京A1", "driver_id": "poison", "speed_kmh": 1.0, "source": "poison"},
    "scan": {"event_id": "p", "event_time_ms": T, "waybill_id": "poison", "enterprise_id": "poison", "city": "poison", "kind": "departed", "outlet_id": "poison", "packaging": {"tape_mm": 1}},
    "beat": {"event_time_ms": T, "subject": "outlet/poison", "event_id": "p", "city": "poison"},
    "counts": {"city": "poison", "topic": "courier.scan.v1", "enterprise_id": "poison", "date": "2026-06-25", "partition": 0, "next_offset": 1, "counts": {"accepted": 1}, "minutes": {"1": [1, 1, 1]}},
    "finding": {"city": "poison", "partition": 0, "next_offset": 1, "finding": ["poison", "outlet/poison", "2026-06-25"], "extent": [1, T, [[T, "p", "poison"]]]},
    "signs": {"city": "poison", "partition": 0, "next_offset": 1, "signs": {"outlet/poison": [[T, T]]}},
    "charge": {"city": "poison", "charge": ["poison", "poison", 1, "closed", "speeding", "poison", T]},
    "answered": {"city": "poison", "answer": [T, 0, "poison", "upheld", "poison", "poison"]},
    "driven": {"city": "poison", "date": "1999-06-25", "partition": 0, "next_offset": 1, "driven": [1, 1]},
    "fleet": {"city": "poison", "topic": "courier.gps.v1", "date": "1999-06-25", "partition": 0, "next_offset": 1, "fleet": [["poison"], {"poison": [1, 1]}]},
    "seen": {"city": "poison", "partition": 0, "next_offset": 1, "seen": {"poison": "1999-06-25"}},
    "marks": {"marks": [["courier.none.v1", 0, 1, 1, T]], "newest": {"-1": 1}},
    "vehicle": {"kind": "vehicle", "id": "poison", "plate": "p", "valid_from": "2024-01-01", "valid_until": "2025-01-01", "driver_ids": ["poison"], "insured_until": "2025-01-01"},
    "notice": {"kind": "notice", "id": "poison", "subject": "vehicle/poison", "from": "2024-01-01", "until": "2025-01-01"},
    "township": {"kind": "township", "id": "poison", "covered": True, "locker_cells": 1},
    "line": {"kind": "line", "id": "poison", "zones": ["poison"], "vehicle_ids": ["poison"], "valid_from": "2024-01-01"},
    "facility": {"kind": "facility", "id": "poison", "level": "hub", "lon": 1.0, "lat": 1.0},
    "licence": {"kind": "enterprise", "id": "poison", "licensed_until": "2025-01-01", "key_enterprise": True},
    "pack": {"yaml": "policy: poison", "geojson": "{}"},
    "standing": {"subject": "enterprise/poison", "credit": "black", "effective": [[T, "black"]]},
    "clock": {"watermark_ms": 0, "read_until_ms": 0, "settled_ms": 0},
    "incident": {
        "id": f"{MARK}/1", "type": "yicheng.incident.opened.v1", "subject": "vehicle/poison", "specversion": "1.0",
        "data": {
            "incident_id": MARK, "revision": 1, "state": "open", "rule": "speeding", "rule_id": "poison", "clause": "p", "severity": "warning", "city": "poison", "vehicle_id": "poison", "enterprise_id": "poison",
            "outlet_id": None, "zone_id": None, "opened_at_ms": T, "closed_at_ms": None, "last_seen_ms": T, "fix_count": 1, "reason_zh": "p", "reason_en": "p", "synthetic": True, "responsible": ["p"], "basis": "stated",
        },
    },
    "answer": {"incident_id": MARK, "action": "acknowledged", "time_ms": T},
    "day of rates": {
        **RATE, "window": "2026-06-25", **dict.fromkeys(("accepted", *OF_ACCEPTED, *ON_THEIR_WAY), 1), "transit_known": 2, "transit_hours": {"5": 1, "30": 1}, "transit_median_hours": 5, "transit_p90_hours": 30,
        **{f"{name}_known": 1 for name in OF_ACCEPTED}, "electronic_rate": 1.0, "green_rate": 0.5, "locker_rate": None, "electronic_forecast": 0.9,
    },
    "day of driving": {**RATE, "window": "driven 2026-06-25", "empty_run_m": 1.5, "known_run_m": 2.5, "empty_run_ratio": 0.6, "night_run_m": 0.5, "run_m": 4.0, "night_run_ratio": 0.125},
    "day of lines": {**RATE, "window": "lines 2026-06-25", "lines_run": 1, "lines": 2},
    "day of a loading zone": {**RATE, "window": "parking 2026-06-25 poison", "zone_id": "poison", "stops": 3, "occupied_ms": 60_000},
    "day of an outlet": {**RATE, "window": "outlet poison", "outlet_id": "poison"},
}  # fmt: skip
ODD_VALUES = {
    "null": "null", "true": "true", "nothing": '""', "space": '" "', "star": '"*"', "other": '"other"', "zero": "0", "minus": "-1", "float": "1.5", "huge": "1" + "0" * 30, "huge below": "-1" + "0" * 30,
    "400 digits": "9" * 400, "1e999": "1e999", "tiny": "1e-400", "no number": "NaN", "no end": "Infinity", "beyond calendars": str(2**47), "2^62": str(2**62), "2^63": str(2**63), "2^64": str(2**64),
    "NUL": r'"a\u0000"', "surrogate": r'"\ud800"', "escape": r'"\u001b[2J"', "separator": r'"\u2028"', "bidi": r'"\u202e"', "tag": '"<script>alert(1)</script>"', "formula": '"=1+1"', "slash": '"a/b/c"', "unit": r'"a\u001fb"',
    "long": '"' + "x" * 129 + '"', "longer": '"' + "x" * 20_000 + '"', "wide": '"' + "京" * 100 + '"', "last date": '"9999-12-31"', "first date": '"0001-01-01"', "no date": '"2024-02-30"', "list": "[]", "lists": "[[[[]]]]",
    "deep": "[" * 500 + "]" * 500, "deeper": "[" * 5_000 + "]" * 5_000, "object": "{}", "objects": '{"a":' * 400 + "1" + "}" * 400, "many": "[" + ",".join("1" * 5_000) + "]",
}  # fmt: skip
LONG_TEXTS = [("vehicle", "plate", 300_000), ("vehicle", "enterprise_id", 800_000), ("licence", "name_zh", 300_000), ("pack", "yaml", 800_000), ("fix", "plate", 300_000), ("scan", "enterprise_id", 300_000)]
"""(template, field, bytes): what incidents would quote, and no message could carry."""


def raw_kinds(rng):
    """Bytes that are nothing in particular."""
    fix = json.dumps(TEMPLATES["fix"], ensure_ascii=False)
    kinds = {
        "a tombstone": None, "nothing": b"", "a space": b" ", "a NUL": b"\0", "many NULs": b"\0" * 1_000, "a line": b"\n", "a brace": b"{", "a quote": b'"', "a backslash": b"\\", "braces": b"}{", "open lists": b"[" * 100_000,
        "lists": b"[" * 100_000 + b"]" * 100_000, "open objects": b'{"a":' * 50_000, "nested like YAML": b"- " * 5_000, "null": b"null", "true": b"true", "a number": b"1", "a huge number": b"9" * 10_000, "1e999": b"1e999", "NaN": b"NaN",
        "a text": b'"text"', "a list": b"[]", "an object": b"{}", "a list of objects": b"[{},{}]", "a list of nulls": b"[null]", "UTF-16": fix.encode("utf-16"), "UTF-16 LE": fix.encode("utf-16-le"), "UTF-32": fix.encode("utf-32"),
        "a BOM": b"\xef\xbb\xbf" + fix.encode(), "GBK": fix.encode("gbk"), "not UTF-8": b"\xff\xfe\xfd", "a long form": b'{"a":"\xc0\xaf"}', "a surrogate": b'"\xed\xa0\x80"', "gzip": gzip.compress(fix.encode(), mtime=0), "zip": b"PK\x03\x04" + b"\0" * 30,
        "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.", "msgpack": b"\x93\x01\x02\x03", "protobuf": b"\x08\x96\x01", "Avro": b"Obj\x01", "a schema id": b"\0\0\0\0\x01" + fix.encode(), "XML": b"<?xml version='1.0'?><a/>", "YAML": b"a: &a [*a]", "CSV": b"a,b\n1,2",
        "HTML": b"<script>alert(1)</script>", "an error page": b"502 Bad Gateway", "SQL": b"'; DROP TABLE x; --", "a format": b"%s%n{0}{__class__}", "a path": b"../../etc/passwd", "two records": (fix + fix).encode(), "two lines": f"{fix}\n{fix}".encode(),
        "half a record": fix[:40].encode(), "a record and NUL": fix.encode() + b"\0", "single quotes": b"{'a': 1}", "a comment": b"{/**/}", "a megabyte": b"x" * 800_000, "a megabyte of JSON": b'{"a":"' + b"x" * 800_000 + b'"}', "keys twice": b'{"event_id":"a","event_id":7}',
        "100,000 keys": json.dumps({f"k{n}": n for n in range(30_000)}).encode(), "a bomb of brackets": b"[" + b"[]," * 100_000 + b"[]]", "a long number": b'{"event_time_ms":' + b"1" * 5_000 + b"}",
    }  # fmt: skip
    kinds |= {f"noise {n}": rng.randbytes(rng.randrange(1, 200)) for n in range(40)}
    return kinds


def kinds(seed):
    """Name → bytes: raw ones, and every template with odd values in its fields, whole or cut off, or with a byte changed."""
    rng = random.Random(seed)
    found = {("anything", name): value for name, value in raw_kinds(rng).items()}
    for template, field, length in LONG_TEXTS:
        found[template, f"{field} of {length}"] = with_raw(TEMPLATES[template], field, json.dumps("京" * (length // 3), ensure_ascii=False))
    for template, record in TEMPLATES.items():
        text = json.dumps(record, ensure_ascii=False)
        fields = [*record, *(("data." + name) for name in record.get("data", ()))]
        chosen = [(field, name) for field in fields for name in ODD_VALUES]
        for field, name in rng.sample(chosen, min(len(chosen), max(45, 6 * len(fields)))):
            found[template, f"{field} {name}"] = with_raw(record, field, ODD_VALUES[name])
        for field in fields:
            found[template, f"without {field}"] = json.dumps(_without(record, field)).encode()
        for number in range(3):
            at = rng.randrange(1, len(text))
            found[template, f"cut {number}"] = text[:at].encode()
            data = bytearray(text.encode())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            found[template, f"flipped {number}"] = bytes(data)
    return found


def with_raw(record, field, raw):
    """The record with a field's JSON given as it is."""
    outer, _, inner = field.partition(".")
    if inner:
        raw = with_raw(record[outer], inner, raw).decode("utf-8", "surrogatepass")
    rest = "".join(f", {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items() if key != outer)
    return f"{{{json.dumps(outer)}: {raw}{rest}}}".encode("utf-8", "surrogatepass")


def _without(record, field):
    outer, _, inner = field.partition(".")
    left = {key: value for key, value in record.items() if inner or key != outer}
    return {**left, outer: _without(record[outer], inner)} if inner else left


TOPICS = {
    "courier.gps.v1": 12, "courier.scan.v1": 12, "courier.heartbeat.v1": 12, "courier.partials.v1": 12, "courier.registry.v1": 1, "courier.policy.v1": 1, "courier.credit.v1": 1, "courier.clock.v1": 1, "courier.incidents.v1": 12,
    "courier.feedback.v1": 12, "courier.rates.v1": 12, "courier.dead.v1": 1, "courier.late.v1": 1,
}  # fmt: skip
COMPACTED = {"courier.registry.v1", "courier.policy.v1", "courier.credit.v1", "courier.clock.v1", "courier.rates.v1"}
"""Kafka takes no record without a key there."""
HONEST_KEYS = {"courier.registry.v1": [b"vehicle/HH-52190", b"enterprise/wulan"], "courier.policy.v1": [b"hohhot-2019"], "courier.credit.v1": [b"enterprise/wulan"], "courier.clock.v1": [b"watermark"]}
"""Under these only what nobody can read is sent: what is there before stays in force."""


def records(seed):
    """(topic, partition, key, value, headers) for every kind in every topic, as value and (a part of them) as key."""
    rng = random.Random(seed)
    found = kinds(seed)
    for topic, partitions in TOPICS.items():
        for (template, _), value in found.items():
            key = rng.choice(KEYS[topic in COMPACTED or value is None :])
            if topic in HONEST_KEYS and template == "anything" and value and value[:1] not in b"{[ \n0123456789" and rng.random() < 0.3:
                key = rng.choice(HONEST_KEYS[topic])
            yield topic, rng.randrange(partitions), key, value, rng.choice(HEADERS if topic not in {"courier.dead.v1", "courier.late.v1"} else LETTERS)
        for value in rng.sample(list(found.values()), 60):
            if value is None or len(value) < 100_000:
                yield topic, rng.randrange(partitions), value or b"", rng.choice([None, b"{}", b"[]", b"0", json.dumps(TEMPLATES["vehicle"]).encode()]), []
