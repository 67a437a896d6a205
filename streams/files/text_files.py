"""Text files as people have them: packed or plain, piped or not, with a byte order mark, in an encoding that is not UTF-8.

Whatever comes out is UTF-8 without a mark, in pieces; whatever cannot is refused in one line.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from streams.errors import BadInput
from streams.files.byte_pieces import SAMPLE_BYTES, Pieces, Stream, head
from streams.files.encodings import encoding_of, not_utf8, recoded

STDIN = "-"
PIECE_BYTES = 1 << 16
PACKED_PIECE_BYTES = 1 << 12
"""So little of a zstd file is unpacked at once, since a few bytes may stand for megabytes."""
MOST_PACKINGS = 2  # one in the other: x.gz.gz happens
MOST_ZSTD_WINDOW_BYTES = 1 << 31  # of zstd --long=31, and none is larger
PACKED_SUFFIXES = (".gz", ".zst", ".zstd", ".bz2", ".xz")
_ARCHIVES = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"), (b"PAR1", "a Parquet file"), (b"%PDF", "a PDF"), (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"), (b"SQLite format 3", "an SQLite database"), (b"\x04\x22\x4d\x18", "packed with LZ4"), (b"\x02\x21\x4c\x18", "packed with LZ4"),
    (b"\x5d\x00\x00", "packed with LZMA"), (b"\x1f\x9d", "packed with compress (.Z)"), (b"\xff\x06\x00\x00sNaPpY", "packed with Snappy"),
)  # fmt: skip
_RECORD = b"\x1e"
"""Stands before each record of a JSON text sequence (RFC 7464)."""
_MARKS = re.compile(rb"([\r\n])(?:\xef\xbb\xbf|\x1e)+")
_DOS_END = b"\x1a"
_HELD = (codecs.BOM_UTF8[:2], codecs.BOM_UTF8[:1], _DOS_END)
"""At the end of a piece, what only the next one tells the meaning of."""
Heard = Callable[[int], None]


def open_text(name: str | Path, encoding: str | None = None, on_read: Heard = lambda _: None) -> tuple[bytes, Pieces]:
    """The first 64 KB of a file (or ``-``, a pipe) and all of it in pieces, unpacked, as UTF-8 without a byte order mark.

    ``encoding`` is that of a file which is not UTF-8 and has no mark; ``on_read`` hears the raw bytes read so far.
    ``BadInput``, at once or while reading: no file, a folder, cut off or damaged, not text, another encoding.
    """
    return as_text(str(name), *open_bytes(name, on_read), encoding)


def as_text(name: str, sample: bytes, pieces: Pieces, encoding: str | None) -> tuple[bytes, Pieces]:
    """What ``open_bytes`` gave, as ``open_text`` gives it."""
    if what := _no_text(sample):
        raise BadInput(f"{name}: {what}, not text; take the file out of it, or save it as CSV, and give that")
    if used := encoding_of(name, sample, encoding):
        sample, pieces = head(recoded(name, pieces, used), SAMPLE_BYTES)
    sample, pieces = b"".join(_without_marks([sample])), _without_marks(pieces)
    if b"\n" in sample or b"\r" not in sample[:-1]:
        return sample, pieces
    return sample.replace(b"\r", b"\n"), (piece.replace(b"\r", b"\n") for piece in pieces)  # lines end as on old Macs


def open_bytes(name: str | Path, on_read: Heard = lambda _: None) -> tuple[bytes, Pieces]:
    """The first 64 KB of a file and all of it in pieces, unpacked if it is packed (which its content tells, not its name)."""
    sample, pieces = head(_raw(str(name), on_read), SAMPLE_BYTES)
    for _ in range(MOST_PACKINGS + 1):
        unpacker = _unpacker(sample)
        if unpacker is None:
            return sample, pieces
        sample, pieces = head(_told(str(name), unpacker(pieces)), SAMPLE_BYTES)
    raise BadInput(f"{name}: packed more than {MOST_PACKINGS} times; unpack it and give what is inside")


def read_pieces(name: str, pieces: Pieces, most_bytes: int) -> bytes:
    """Pieces put together; ``BadInput`` where there are more than so many bytes."""
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        if (size := size + len(piece)) > most_bytes:
            raise BadInput(f"{name}: more than {most_bytes // 1_000_000} MB; split it")
    return b"".join(held)


def decoded(name: str, data: bytes) -> str:
    """UTF-8 as text; ``BadInput`` names the line and what the encoding seems to be."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(f"{name}:{data.count(bytes([10]), 0, error.start) + 1}", data) from None


def open_lines(name: str | Path, on_read: Heard = lambda _: None) -> Iterator[bytes]:
    """The lines of a file with their ends."""
    yield from io.BufferedReader(Stream(open_text(name, None, on_read)[1]))


def size_of(name: str | Path) -> int | None:
    """How many bytes a regular file has; None where that is not known before it was read."""
    try:
        found = Path(on_disk(str(name))).stat() if str(name) != STDIN else None
    except OSError:
        return None
    return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None


def can_be_read_again(name: str) -> bool:
    """Whether a second reading gives the same: a file or a folder, no pipe."""
    return name != STDIN and (Path(on_disk(name)).is_file() or Path(on_disk(name)).is_dir())


def escaped(name: str) -> str:
    r"""The name of a file as text: bytes in it that are not UTF-8, as in names of unzipped files, are written as ``\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def on_disk(name: str) -> str:
    """The name that ``escaped`` was given, so that what a message says can be given again."""
    if "\\x" not in name or os.path.lexists(name):
        return name
    return os.fsdecode(re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), os.fsencode(name)))


def _no_text(sample: bytes) -> str | None:
    """What a file is that begins like this and is no text, if that is known."""
    if sample[257:262] == b"ustar":
        return "a tar archive"
    return next((what for magic, what in _ARCHIVES if sample.startswith(magic)), None)


def _raw(name: str, on_read: Heard) -> Pieces:
    done = 0
    try:
        with _opened(name) as file:
            while piece := file.read(PIECE_BYTES):
                done += len(piece)
                yield piece
                on_read(done)
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror or error}; give a file, a folder of files, or - for standard input") from None


def _opened(name: str) -> BinaryIO:
    if name == STDIN:
        return io.FileIO(sys.stdin.fileno(), closefd=False)
    path = Path(on_disk(name))
    if path.is_dir():
        raise BadInput(f"{name}: a folder where a file is needed")
    return path.open("rb", buffering=0)


def _without_marks(pieces: Iterable[bytes]) -> Pieces:
    """UTF-8 without the byte order marks that lines begin with (files put one after the other have several), what begins a record, and the Ctrl-Z at the end of a file of DOS."""
    before, held = b"\n", b""
    for piece in pieces:
        data = held + piece
        held = next((end for end in _HELD if data.endswith(end)), b"")
        data = data[: len(data) - len(held)]
        if codecs.BOM_UTF8 in data or _RECORD in data:
            data = _MARKS.sub(rb"\1", before + data)[1:]
        before = data[-1:] or before
        yield data
    yield held.removesuffix(_DOS_END)


def _unpacker(sample: bytes) -> Callable[[Pieces], Pieces] | None:
    if sample[:2] == b"\x1f\x8b":
        return lambda pieces: _read(gzip.GzipFile(fileobj=io.BufferedReader(Stream(pieces))))
    if sample[:4] == zstandard.FRAME_HEADER or (sample[1:4] == b"\x2a\x4d\x18" and sample[0] & 0xF0 == 0x50):
        return _zstd
    if sample[:3] == b"BZh":
        return lambda pieces: _read(bz2.BZ2File(io.BufferedReader(Stream(pieces))))
    if sample[:6] == b"\xfd7zXZ\x00":
        return lambda pieces: _read(lzma.LZMAFile(io.BufferedReader(Stream(pieces))))
    return None


def _read(file: Any) -> Pieces:
    while piece := file.read1(PIECE_BYTES):
        yield piece


def _zstd(pieces: Pieces) -> Pieces:
    """Frames one after the other. The stream reader of the library takes a cut frame for a whole one; these objects know."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=MOST_ZSTD_WINDOW_BYTES)
    unpack, rest, begun = unpacker.decompressobj(), b"", False
    for piece in pieces:
        rest += piece
        while rest:
            part, rest = rest[:PACKED_PIECE_BYTES], rest[PACKED_PIECE_BYTES:]
            begun = True
            if plain := unpack.decompress(part):
                yield plain
            if unpack.eof:
                rest = unpack.unused_data + rest
                unpack, begun = unpacker.decompressobj(), False
    if begun:
        raise EOFError


def _told(name: str, pieces: Pieces) -> Pieces:
    """The same pieces; what is wrong with their packing is said in one line."""
    try:
        yield from pieces
    except EOFError:
        raise BadInput(f"{name}: ends too early; it was cut off while it was written or copied") from None
    except (OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise BadInput(f"{name}: damaged: {error}") from None
