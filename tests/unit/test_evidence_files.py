"""Evidence files: what is in one is as it was made, or the first file that is not is named; nothing of a ZIP from elsewhere does harm; the page says all, and escapes it."""

import base64
import hashlib
import json
import shutil
import subprocess
import warnings
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest
from typer.testing import CliRunner

from deploy.commands.incidents import app
from deploy.evidence import archive as evidence_seal
from deploy.evidence.archive import fingerprint, public_key, signing_key, verify_evidence, with_manifest, write_key_pair, write_zip
from deploy.evidence.gathering import Case, TrackPoint
from deploy.evidence.page import evidence_page
from deploy.evidence.records import record_as_held
from deploy.report.page import need_browser, printed
from streams.errors import BadInput, YichengError
from streams.policy.reader import load_policy
from streams.wire.answers import Answer

MADE = datetime(2026, 9, 21, 14, 0, 1, tzinfo=UTC)


def record(value=b'{"event_id":"f-1"}', topic="courier.gps.v1", offset=7):
    return record_as_held(SimpleNamespace(topic=topic, partition=3, offset=offset, timestamp=5, key=b"HH-1\xff", value=value))


def records(*kept):
    return b"".join(msgspec.json.encode(one) + b"\n" for one in kept)


FILES = {"index.html": b"<p>page</p>", "records.jsonl": records(record(), record(b"\xff\x00", offset=8), record(b"")), "registry.json": b"{}"}


@pytest.fixture
def keys(tmp_path):
    write_key_pair(tmp_path / "key.pem")
    return signing_key(tmp_path / "key.pem"), public_key(tmp_path / "key.pem.pub")


@pytest.fixture
def made(keys):
    return with_manifest(FILES, "I", 3, MADE, "警员", keys[0])


def zipped(path, files):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


# --- the seal ---
@pytest.mark.parametrize("command", [("verify",), ("evidence", "verify")])
def test_a_file_is_verified_by_a_command(tmp_path, keys, made, command):
    write_zip(tmp_path / "e.zip", made, MADE)
    done = CliRunner().invoke(app, [*command, str(tmp_path / "e.zip")], catch_exceptions=False)
    assert done.exit_code == 0 and "signature not checked" in done.output


def test_an_evidence_file_is_as_it_was_made(tmp_path, keys, made):
    write_zip(tmp_path / "e.zip", made, MADE)
    verified = verify_evidence(tmp_path / "e.zip", keys[1])
    assert (verified.records, verified.signed, verified.manifest.incident_id, verified.manifest.by, verified.manifest.made_at) == (3, True, "I", "警员", "2026-09-21T14:00:01Z")
    assert verified.manifest.files == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()} and verified.manifest.key == fingerprint(keys[1])
    assert "signature fits" in "\n".join(verified.lines())
    assert "signature not checked" in "\n".join(verify_evidence(tmp_path / "e.zip", None).lines())
    assert not list(tmp_path.glob(".e.zip*"))
    with pytest.raises(BadInput, match="never overwritten"):
        write_zip(tmp_path / "e.zip", made, MADE)


def test_openssl_agrees(tmp_path, made):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    for name in ("manifest.json", "manifest.sig"):
        (tmp_path / name).write_bytes(made[name])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem.pub", "-rawin", "-in", "manifest.json", "-sigfile", "manifest.sig"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "manifest.json").write_bytes(made["manifest.json"] + b" ")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def flipped(content):
    return bytes([content[0] ^ 1]) + content[1:]


@pytest.mark.parametrize("name", [*FILES, "manifest.json", "manifest.sig"])
@pytest.mark.parametrize("change", [lambda made, name: {**made, name: flipped(made[name])}, lambda made, name: {**made, name: made[name] + b"\n"}, lambda made, name: {n: c for n, c in made.items() if n != name}])
def test_the_first_file_that_does_not_fit_is_named(tmp_path, keys, made, name, change):
    with pytest.raises(YichengError) as raised:
        verify_evidence(zipped(tmp_path / "e.zip", change(made, name)), keys[1])
    assert name in str(raised.value) or (name == "manifest.json" and "manifest.sig" in str(raised.value))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda made: {n.replace("registry", "Registry"): c for n, c in made.items()}, "Registry.json"), (lambda made: {**made, "index.html": made["registry.json"], "registry.json": made["index.html"]}, "index.html"),
        (lambda made: {**made, "records.jsonl": b"".join(made["records.jsonl"].splitlines(keepends=True)[::-1])}, "records.jsonl"),
        (lambda made: {**made, "records.jsonl": made["records.jsonl"].replace(b"\n", b"\r\n")}, "records.jsonl"), (lambda made: {**made, "manifest.json": made["manifest.json"].replace(b"\n", b"\r\n")}, "manifest.sig"),
        (lambda made: {**made, "index.html": b""}, "index.html"), (lambda made: {**made, "note.txt": b""}, "note.txt"),
    ],
)  # fmt: skip
def test_what_was_renamed_swapped_put_in_or_set_otherwise_is_named_in_one_line(tmp_path, keys, made, change, named):
    with pytest.raises(YichengError) as raised:
        verify_evidence(zipped(tmp_path / "e.zip", change(made)), keys[1])
    assert f": {named} does not fit: " in str(raised.value) and str(raised.value).isprintable()


def test_a_file_that_was_sealed_again_is_not_that_of_the_key(tmp_path, keys, made):
    write_key_pair(tmp_path / "other.pem")
    forged = with_manifest({**FILES, "index.html": b"<p>another</p>"}, "I", 3, MADE, "警员", signing_key(tmp_path / "other.pem"))
    path = zipped(tmp_path / "e.zip", forged)
    assert not verify_evidence(path, None).signed
    with pytest.raises(YichengError, match=r"manifest\.sig does not fit"):
        verify_evidence(path, keys[1])
    with pytest.raises(YichengError, match=r"manifest\.sig does not fit: it is missing"):
        verify_evidence(zipped(tmp_path / "u.zip", with_manifest(FILES, "I", 3, MADE, None, None)), keys[1])
    assert "not signed" in "\n".join(verify_evidence(tmp_path / "u.zip", None).lines())


def test_a_record_that_does_not_fit_its_hash_is_named_though_the_manifest_fits(tmp_path):
    changed = records(record(), msgspec.structs.replace(record(), value="{}"))
    with pytest.raises(YichengError, match=r"records\.jsonl:2"):
        verify_evidence(zipped(tmp_path / "e.zip", with_manifest({"records.jsonl": changed}, "I", 1, MADE, None, None)), None)
    for line in (b"[]\n", b"\xff\n", json.dumps({**msgspec.to_builtins(record()), "value_base64": "%%"}).encode()):
        with pytest.raises(YichengError, match=r"records\.jsonl:1"):
            verify_evidence(zipped(tmp_path / "e.zip", with_manifest({"records.jsonl": line}, "I", 1, MADE, None, None)), None)


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/b", "..", "C:\\x", "x\x1b[2J", "extra.txt"])
def test_names_that_lead_elsewhere_are_refused_and_nothing_is_unpacked(tmp_path, made, name):
    for files in ({**made, name: b"x"}, with_manifest({**FILES, name: b"x"}, "I", 3, MADE, None, None) if name != "extra.txt" else {**made, name: b"x"}):
        before = sorted(tmp_path.rglob("*"))
        path = zipped(tmp_path / "e.zip", files)
        with pytest.raises(YichengError, match="does not fit") as raised:
            verify_evidence(path, None)
        assert str(raised.value).replace("e.zip", "").isprintable() and sorted({*tmp_path.rglob("*")} - {path}) == [file for file in before if file != path]


def test_what_unpacks_to_too_much_or_holds_too_many_or_twice_is_refused(tmp_path, made, monkeypatch):
    monkeypatch.setattr(evidence_seal, "LARGEST_FILE_BYTES", 2**20)
    bomb = {**made, "index.html": b"\0" * (8 * 2**20)}
    assert zipped(tmp_path / "e.zip", bomb).stat().st_size < 2**17
    with pytest.raises(YichengError, match=r"index\.html does not fit: larger than 1 MB"):
        verify_evidence(tmp_path / "e.zip", None)
    with pytest.raises(YichengError, match=r"index\.html does not fit: .*twice"):
        verify_evidence(zipped(tmp_path / "e.zip", [*made.items(), ("index.html", made["index.html"])]), None)
    with pytest.raises(BadInput, match="40 files"):
        verify_evidence(zipped(tmp_path / "e.zip", [*made.items(), *((f"f{n}", b"") for n in range(35))]), None)
    (tmp_path / "l.zip").write_bytes(b"\0" * (2**20 + 1))
    with pytest.raises(BadInput, match="larger than 1 MB"):
        verify_evidence(tmp_path / "l.zip", None)


def test_what_is_no_evidence_file_is_said_in_a_line(tmp_path, made):
    (tmp_path / "text").write_text("no zip")
    zipped(tmp_path / "z.zip", {"a": b"b"})
    whole = zipped(tmp_path / "w.zip", made).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    for path in (tmp_path / "none", tmp_path, tmp_path / "text", tmp_path / "z.zip", tmp_path / "half.zip"):
        with pytest.raises(BadInput):
            verify_evidence(path, None)
    for place in range(30, len(whole), 97):  # whatever byte is changed: no traceback, and only what does not matter (times, flags) goes through
        (tmp_path / "b.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(YichengError):
            assert verify_evidence(tmp_path / "b.zip", None).records == 3


def test_keys_are_their_owners_alone_and_never_overwritten(tmp_path):
    public, _ = write_key_pair(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadInput, match="never overwritten"):
        write_key_pair(tmp_path / "k")
    public.chmod(0o600)
    with pytest.raises(BadInput, match="no Ed25519 private key"):
        signing_key(public)
    with pytest.raises(BadInput, match="no Ed25519 public key"):
        public_key(tmp_path / "k")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(BadInput, match="others"):
        signing_key(tmp_path / "k")
    rsa = "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(b"x" * 40).decode() + "\n-----END PUBLIC KEY-----\n"
    (tmp_path / "r").write_text(rsa)
    with pytest.raises(BadInput, match="no Ed25519 public key"):
        public_key(tmp_path / "r")


# --- the page ---
NASTY = "<script>alert(1)</script>\"'>&"


def case(**more):
    policy = load_policy("hohhot-2019")
    zone = next(iter(policy.pack.geometries))
    lon, lat = policy.pack.geometries[zone].representative_point().coords[0]
    rule = next(rule for rule in policy.pack.rules if rule.rule == "speeding")
    data = {
        "incident_id": "I", "revision": 2, "state": "closed", "rule": "speeding", "rule_id": rule.id, "policy": "hohhot-2019", "clause": "二（五）", "severity": "violation", "city": "150100", "zone_id": zone,
        "vehicle_id": "HH-1", "plate": "蒙A12345", "enterprise_id": "sf", "outlet_id": None, "line_id": None, "opened_at_ms": 1_790_000_000_000, "last_seen_ms": 1_790_000_060_000, "closed_at_ms": 1_790_000_060_000,
        "lon": lon, "lat": lat, "fix_count": 2, "reason_zh": "超速", "reason_en": "too fast", "synthetic": False, "clause_text": "不得超速", "document": "暂行办法", "document_number": "1号", "basis": "stated", "figures": None,
        "duty_of": "driver", "responsible": ["市公安局"], "evidence": [{"event_id": name, "event_time_ms": 1_790_000_000_000 + n, "lon": lon, "lat": lat, "speed_kmh": 61.5} for n, name in enumerate(("f-1", "f-2"))],
    }  # fmt: skip
    track = [TrackPoint(1_790_000_000_000 + 10_000 * n, lon + n / 9_000, lat, None if n == 3 else 20.0 + n, n == 2) for n in range(6)]
    return Case(**{"data": data, "records": [record()], "revisions": [{**data, "revision": 1}, data], "answers": [], "track": track, "missing": [], "cut": False, "registry": {}, "policy": policy, **more})


def test_the_page_shows_map_speeds_clause_and_where_each_record_stands():
    page = evidence_page(case(answers=[Answer(incident_id="I", action="fined", time_ms=5, by="王", reason="罚款200元")], registry={"vehicle/HH-1": {"kind": "vehicle", "id": "HH-1", "plate": "蒙A12345"}}), MADE, "警员")
    for said in ("超速", "too fast", "不得超速", "《暂行办法》1号", "文件明确要求", "courier.gps.v1 [3] @7", record().sha256, "2026-09-21 22:13:20", "61.5", "罚款200元", "已处罚", "vehicle/HH-1", "plate: 蒙A12345", "made at"):
        assert said in page, said
    assert page.count("<svg") == page.count('r="5"') == 3 and 'id="gone"' not in page  # a ring on the map, one on its detail, one on the curve
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_the_page_says_plainly_what_kafka_holds_no_more():
    page = evidence_page(case(missing=["f-2"], cut=True), MADE, None)
    assert 'id="gone"' in page and "已过保存期" in page and "no longer retained" in page and "may have gaps" in page


def test_the_page_escapes_everything_and_does_without_what_is_missing():
    data = {**case().data, **dict.fromkeys(("incident_id", "plate", "reason_zh", "reason_en", "clause_text", "document", "vehicle_id", "rule_id"), NASTY), "zone_id": "none", "evidence": [], "basis": None, "lon": None, "lat": None, "responsible": [NASTY]}
    page = evidence_page(case(data=data, revisions=[data], track=[], policy=None, records=[], missing=[NASTY], registry={NASTY: {"kind": "x", "note": NASTY, "many": [NASTY]}}, answers=[Answer(incident_id="I", action=NASTY, time_ms=0, by=NASTY, reason=NASTY)]), MADE, NASTY)
    assert "<script" not in page and "<svg" not in page and page.count("&lt;script&gt;") > 10


@pytest.mark.parametrize("fixes", [1, 2])
def test_a_vehicle_that_stood_still_has_a_map(fixes):
    page = evidence_page(case(track=[TrackPoint(1_790_000_000_000, 111.7, 40.8, 0.0, True)] * fixes), MADE, None)
    assert "<svg" in page and "nan" not in page.replace("Finance", "") and "inf" not in page.lower().replace("info", "")


def test_the_page_prints():
    try:
        need_browser()
    except YichengError:
        pytest.skip("no Chromium here")
    assert printed(evidence_page(case(), MADE, None)).startswith(b"%PDF")
