"""Text files as people have them: packed or plain, piped or not, with a byte order mark, in an encoding that is not UTF-8.

Whatever comes out is UTF-8 without a mark, in pieces; whatever cannot is refused in one line.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from streams.errors import BadInput

STDIN = "-"
PIECE_BYTES = 1 << 16
SAMPLE_BYTES = 1 << 16
PACKED_PIECE_BYTES = 1 << 12
"""So little of a zstd file is unpacked at once, since a few bytes may stand for megabytes."""
PACKED_SUFFIXES = (".gz", ".zst", ".zstd", ".bz2", ".xz")
_ARCHIVES = ((b"PK\x03\x04", "a ZIP archive or an Excel workbook"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"), (b"PAR1", "a Parquet file"), (b"%PDF", "a PDF"), (b"Rar!", "a RAR archive"), (b"7z\xbc\xaf", "a 7z archive"), (b"SQLite format 3", "an SQLite database"))  # fmt: skip
Heard = Callable[[int], None]
Pieces = Iterator[bytes]


def open_text(name: str | Path, encoding: str | None = None, on_read: Heard = lambda _: None) -> tuple[bytes, Pieces]:
    """The first 64 KB of a file (or ``-``, a pipe) and all of it in pieces, unpacked, as UTF-8 without a byte order mark.

    ``encoding`` is that of a file which is not UTF-8; ``on_read`` hears the raw bytes read so far. ``BadInput``, at once or
    while reading: no file, a folder, cut off or damaged, not text, another encoding.
    """
    return as_text(str(name), *open_bytes(name, on_read), encoding)


def as_text(name: str, sample: bytes, pieces: Pieces, encoding: str | None) -> tuple[bytes, Pieces]:
    """What ``open_bytes`` gave, as ``open_text`` gives it."""
    for magic, what in _ARCHIVES:
        if sample.startswith(magic):
            raise BadInput(f"{name}: {what}, not text; take the file out of it, or save it as CSV, and give that")
    if sample[257:262] == b"ustar":
        raise BadInput(f"{name}: a tar archive; unpack it and give the folder")
    used = _encoding(name, sample, encoding)
    if used is not None:
        sample, pieces = _head(_recoded(name, pieces, used))
    if sample.startswith(codecs.BOM_UTF8):
        sample, pieces = sample[3:], _without_mark(pieces)
    return sample, pieces


def open_bytes(name: str | Path, on_read: Heard = lambda _: None) -> tuple[bytes, Pieces]:
    """The first 64 KB of a file and all of it in pieces, unpacked if it is packed (which its content tells, not its name)."""
    sample, pieces = _head(_raw(str(name), on_read))
    unpacker = _unpacker(sample)
    return (sample, pieces) if unpacker is None else _head(_told(str(name), unpacker(pieces)))


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


def not_utf8(where: str, data: bytes) -> BadInput:
    """Why text is refused, with the way out."""
    if _fits(data, "gb18030"):
        return BadInput(f"{where}: not UTF-8 but GBK, it seems; say --encoding gbk, or save the file as UTF-8")
    return BadInput(f"{where}: not UTF-8; say --encoding NAME, such as gbk or utf-16, or save the file as UTF-8")


def open_lines(name: str | Path, on_read: Heard = lambda _: None) -> Iterator[bytes]:
    """The lines of a file with their ends."""
    yield from io.BufferedReader(Stream(open_text(name, None, on_read)[1]))


class Stream(io.RawIOBase):
    """Pieces as a stream that can be read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It can."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the next piece reaches."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def size_of(name: str | Path) -> int | None:
    """How many bytes a regular file has; None where that is not known before it was read."""
    try:
        found = Path(name).stat() if str(name) != STDIN else None
    except OSError:
        return None
    return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None


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
    if Path(name).is_dir():
        raise BadInput(f"{name}: a folder where a file is needed")
    return Path(name).open("rb", buffering=0)


def _head(pieces: Pieces) -> tuple[bytes, Pieces]:
    """The first bytes (all there are, up to a sample), and all pieces."""
    held, size = [], 0
    for piece in pieces:
        held.append(piece)
        if (size := size + len(piece)) >= SAMPLE_BYTES:
            break
    return b"".join(held)[:SAMPLE_BYTES], chain(held, pieces)


def _without_mark(pieces: Pieces) -> Pieces:
    yield next(pieces)[3:]
    yield from pieces


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
    unpack, rest, begun = zstandard.ZstdDecompressor().decompressobj(), b"", False
    for piece in pieces:
        rest += piece
        while rest:
            part, rest = rest[:PACKED_PIECE_BYTES], rest[PACKED_PIECE_BYTES:]
            begun = True
            if plain := unpack.decompress(part):
                yield plain
            if unpack.eof:
                rest = unpack.unused_data + rest
                unpack, begun = zstandard.ZstdDecompressor().decompressobj(), False
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


def _encoding(name: str, sample: bytes, asked: str | None) -> str | None:
    """What to read a file as (None: UTF-8), by its first bytes and what was asked for."""
    if asked is not None:
        try:
            codecs.lookup(asked)
            "a".encode(asked)
        except (LookupError, UnicodeError):
            raise BadInput(f"--encoding: {asked!r} is no text encoding; say gbk, gb18030, utf-16 or another that Python knows") from None
        is_certain = sample.startswith(codecs.BOM_UTF8) or (not sample.isascii() and _fits(sample, "utf-8"))
        return None if is_certain else asked
    wide = _wide(sample)
    if wide:
        raise BadInput(f"{name}: {wide.upper()} text, not UTF-8; say --encoding {wide}, or save the file as UTF-8")
    lines = [line for line in sample.split(b"\n")[: -1 if len(sample) == SAMPLE_BYTES else None] if line.strip()]
    foreign = [line for line in lines if not line.isascii() and not _fits(line, "utf-8") and _fits(line, "gb18030", final=True)]
    if 2 * len(foreign) > len(lines):  # fewer are records that are broken
        raise not_utf8(f"{name}:{lines.index(foreign[0]) + 1}", foreign[0])
    return None


def _wide(sample: bytes) -> str | None:
    """UTF-16 or UTF-32, as a mark or zeros at every other place tell."""
    if sample.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first = sample[:1024]
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(first) >= 4 and first[offset::2].count(0) > len(first) // 4 and not first[1 - offset :: 2].count(0):
            return name
    return None


def _fits(data: bytes, encoding: str, *, final: bool = False) -> bool:
    """Whether bytes, the last character of which may be cut unless they are ``final``, are text in an encoding."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(data, final)
    except UnicodeError:
        return False
    return True


def _recoded(name: str, pieces: Pieces, encoding: str) -> Pieces:
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    try:
        for piece in pieces:
            text = decoder.decode(piece)
            line += text.count("\n")
            yield text.lstrip("\ufeff").encode() if line == 1 else text.encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise BadInput(f"{name}:{line}: not {encoding}, or cut off here; --encoding names the encoding that the file is in") from None
