"""The seal of an evidence file: a ZIP whose manifest has the SHA-256 of every file in it, and a detached Ed25519 signature of the manifest.

``openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.sig`` checks the signature, too. Nothing of a ZIP from
elsewhere is unpacked to disk, and no more of it is read than an evidence file may hold.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from deploy.evidence.records import KafkaRecord, is_whole
from streams.errors import BadInput, YichengError
from streams.files.key_files import read_key_file
from streams.files.small_files import read_small
from streams.words.shown import shown

MANIFEST, SIGNATURE, RECORDS = "manifest.json", "manifest.sig", "records.jsonl"
FORMAT = "yicheng evidence 1"
MOST_FILES = 32
LARGEST_FILE_BYTES = 256 * 2**20
"""Of what is in a ZIP, unpacked; a day of one vehicle's records is a few MB."""
_PIECE = 2**20
_OWNERS_ALONE = 0o600


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an evidence file holds, of which incident, made when (UTC, ISO 8601) and by whom. ``key``: SHA-256 of the public key that verifies it."""

    format: str
    incident_id: str
    revision: int
    made_at: str
    by: str | None
    key: str | None
    files: dict[str, str]


class Verified(msgspec.Struct, frozen=True):
    """What an evidence file is that fits; ``signed``: whether its signature was checked against a key."""

    manifest: Manifest
    records: int
    signed: bool

    def lines(self) -> Iterator[str]:
        """For people."""
        made = self.manifest
        yield f"incident 事件 {made.incident_id}, revision 版本 {made.revision}; made 制作于 {made.made_at} by {made.by or '–'}"
        yield f"{len(made.files)} files and {self.records} records fit / {len(made.files)}个文件、{self.records}条记录完好"
        if self.signed:
            yield "signature fits / 签名有效"
        elif made.key:
            yield f"signature not checked: give --key with the public key of SHA-256 {made.key} / 未核对签名：请用 --key 给出公钥"
        else:
            yield "not signed: whoever changed it could have made it fit / 未签名：无法证明来源"


def write_key_pair(path: Path) -> tuple[Path, str]:
    """Make a key pair: the private key in a file of its owner's alone, the public one beside it; returns its path and its SHA-256. Never overwrites one."""
    key, beside = Ed25519PrivateKey.generate(), path.with_name(path.name + ".pub")
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file in (path, beside):
        if file.exists():
            raise BadInput(f"{file} is there already; a key is never overwritten: name another file")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNERS_ALONE), "wb") as file_:
        file_.write(private)
    beside.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return beside, fingerprint(key.public_key())


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file; ``BadInput`` where it is none or others may read it."""
    try:
        key = serialization.load_pem_private_key(read_key_file(path, "--key"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"--key {path}: no Ed25519 private key without a password (PEM); ./yicheng secrets signing-key makes one")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file; ``BadInput`` where it is none."""
    try:
        key = serialization.load_pem_public_key(read_small(path).encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(f"--key {path}: no Ed25519 public key (PEM), such as ./yicheng secrets signing-key writes beside the private one")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of a public key's 32 bytes."""
    return hashlib.sha256(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)).hexdigest()


def with_manifest(files: Mapping[str, bytes], incident_id: str, revision: int, made_at: datetime, by: str | None, key: Ed25519PrivateKey | None) -> dict[str, bytes]:
    """The files with their manifest, and with its signature where there is a key."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    made = made_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    manifest = msgspec.json.encode(Manifest(FORMAT, incident_id, revision, made, by, fingerprint(key.public_key()) if key else None, hashes))
    text = msgspec.json.format(manifest, indent=1) + b"\n"
    return {**files, MANIFEST: text, **({SIGNATURE: key.sign(text)} if key else {})}


def write_zip(path: Path, files: Mapping[str, bytes], made_at: datetime) -> None:
    """Write a file that is there whole or not at all; ``BadInput`` where there is one already."""
    if path.exists():
        raise BadInput(f"--out {path}: it is there already; evidence is never overwritten")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(beside, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, made_at.astimezone(UTC).timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.link(beside, path)  # and never over one that has come meanwhile
    except FileExistsError:
        raise BadInput(f"--out {path}: it is there already; evidence is never overwritten") from None
    finally:
        beside.unlink(missing_ok=True)


def verify_evidence(path: Path, key: Ed25519PublicKey | None) -> Verified:
    """What an evidence file is; ``YichengError`` names the first file in it that does not fit, ``BadInput`` says that it is no evidence file at all."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise BadInput(f"{path}: larger than {LARGEST_FILE_BYTES // 2**20} MB, which no evidence file is")
        with zipfile.ZipFile(path) as archive:
            manifest, text = _manifest(path, archive)
            _check_names(path, archive, manifest)
            if key is not None:
                _check_signature(path, archive, key, text)
            records = 0
            for name, expected in manifest.files.items():
                content = _read(path, archive, name)
                if hashlib.sha256(content).hexdigest() != expected:
                    raise _unfit(path, name, "it was changed: its SHA-256 is not the manifest's / 文件已被改动")
                records += _check_records(path, content) if name == RECORDS else 0
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path}: no ZIP that can be read ({shown(error)[:100]}) / 不是可读的ZIP文件") from None
    return Verified(manifest, records, key is not None)


def _manifest(path: Path, archive: zipfile.ZipFile) -> tuple[Manifest, bytes]:
    if MANIFEST not in archive.namelist():
        raise BadInput(f"{path}: no evidence file: it holds no {MANIFEST} / 不是证据文件")
    text = _read(path, archive, MANIFEST)
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _unfit(path, MANIFEST, "it is no manifest of an evidence file / 清单无法识别") from None
    if manifest.format != FORMAT:
        raise BadInput(f"{path}: {MANIFEST} is of another format, {shown(manifest.format)[:40]!r}; this Yicheng reads {FORMAT!r}")
    return manifest, text


def _check_names(path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Every file is in the manifest and the other way round, once, and none is named like a place elsewhere."""
    names = archive.namelist()
    if len(names) > MOST_FILES:
        raise BadInput(f"{path}: {len(names)} files, more than the {MOST_FILES} that an evidence file may hold")
    for name in names:
        if "/" in name or "\\" in name or name in {"", ".", ".."} or not name.isprintable() or names.count(name) > 1:
            raise _unfit(path, name, "no evidence file has a file of such a name, or twice / 文件名不允许或重复")
        if name not in manifest.files and name not in {MANIFEST, SIGNATURE}:
            raise _unfit(path, name, "the manifest does not know it / 清单中没有此文件")
    for name in manifest.files:
        if name not in names:
            raise _unfit(path, name, "it is missing / 文件缺失")


def _check_signature(path: Path, archive: zipfile.ZipFile, key: Ed25519PublicKey, text: bytes) -> None:
    if SIGNATURE not in archive.namelist():
        raise _unfit(path, SIGNATURE, "it is missing: the file is not signed / 未签名")
    try:
        key.verify(_read(path, archive, SIGNATURE), text)
    except InvalidSignature:
        raise _unfit(path, SIGNATURE, f"it is not that of this key, or {MANIFEST} was changed / 签名与公钥或清单不符") from None


def _check_records(path: Path, content: bytes) -> int:
    """How many records there are; each has the hash of what it holds."""
    lines = content.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            whole = is_whole(msgspec.json.decode(line, type=KafkaRecord))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            whole = False
        if not whole:
            raise _unfit(path, f"{RECORDS}:{number}", "the record does not fit its SHA-256 / 记录与其摘要不符")
    return len(lines)


def _read(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of the ZIP, unpacked; not more than it may be, whatever the ZIP says of its size."""
    parts, size = [], 0
    try:
        with archive.open(name) as file:
            while part := file.read(_PIECE):
                parts.append(part)
                size += len(part)
                if size > LARGEST_FILE_BYTES:
                    raise _unfit(path, name, f"larger than {LARGEST_FILE_BYTES // 2**20} MB")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _unfit(path, name, f"it cannot be unpacked ({shown(error)[:80]}) / 无法解压") from None
    return b"".join(parts)


def _unfit(path: Path, name: str, why: str) -> YichengError:
    return YichengError(f"{path}: {shown(name)[:100]} does not fit: {why}")
