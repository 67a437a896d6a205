"""Which encoding a text is in, by its bytes and what was asked for; and text in another as UTF-8."""

from __future__ import annotations

import codecs
import re
from itertools import chain

from streams.errors import BadInput
from streams.files.byte_pieces import SAMPLE_BYTES, Pieces, head

_ASCII = bytes(range(128)) + b"\x1b$B0!\x1b(B"  # with an escape to Japanese, which some encodings have
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_USUAL = re.compile("[\u2000-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufe30-\uffef\U0001f000-\U0003ffff]")
"""What stands beyond ASCII in Chinese data: ideographs, their punctuation, full-width forms, signs."""

SAY_ENCODING = "say --encoding NAME, such as gbk or utf-16, or save the file as UTF-8"


def not_utf8(where: str, data: bytes) -> BadInput:
    """Why text is refused, with the way out."""
    if _fits(data, "gb18030"):
        return BadInput(f"{where}: not UTF-8 but GBK, it seems; say --encoding gbk, or save the file as UTF-8")
    return BadInput(f"{where}: not UTF-8; {SAY_ENCODING}")


def encoding_of(name: str, sample: bytes, asked: str | None) -> str | None:
    """What to read a file as (None: UTF-8), by its first bytes and what was asked for, which ``recoded`` may still find to be UTF-8."""
    if asked is not None:
        try:
            codecs.lookup(asked)
            "a".encode(asked)
        except (LookupError, UnicodeError):
            raise BadInput(f"--encoding: {asked!r} is no text encoding; say gbk, gb18030, utf-16 or another that Python knows") from None
        if sample.startswith(codecs.BOM_UTF8) or _marked(sample):
            return _marked(sample)
        if b"\0" in sample or not codecs.lookup(asked).name.startswith(("utf-16", "utf-32")):
            return asked
    if wide := _wide(sample):
        raise BadInput(f"{name}: {wide.upper()} text, not UTF-8; say --encoding {wide}, or save the file as UTF-8")
    lines = [line for line in sample.split(b"\n")[: -1 if len(sample) == SAMPLE_BYTES else None] if line.strip()]
    foreign = [line for line in lines if not line.isascii() and not _fits(line, "utf-8") and _fits(line, "gb18030", final=True)]
    if 2 * len(foreign) > len(lines):  # fewer are records that are broken
        raise not_utf8(f"{name}:{lines.index(foreign[0]) + 1}", foreign[0])
    return None


def _marked(sample: bytes) -> str | None:
    """UTF-16 or UTF-32, as a mark tells."""
    marks = (("utf-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)), ("utf-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)))
    return next((name for name, either in marks if sample.startswith(either)), None)


def _wide(sample: bytes) -> str | None:
    """UTF-16 or UTF-32, as a mark or zeros at every other place tell."""
    if marked := _marked(sample):
        return marked
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


def _is_utf8(data: bytes, asked: str) -> bool:
    """Whether text is UTF-8 rather than in the encoding asked for: it is valid but for single lines, and what it says is likelier so."""
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    valid = [line for line in lines if _fits(line, "utf-8")]
    if 2 * len(valid) <= len(lines):
        return False
    text = b"\n".join(valid).decode(errors="ignore")
    usual, unusual = _letters(text)
    if usual >= unusual / 9:  # in GBK that is valid UTF-8 by accident, two bytes make a letter
        return True
    try:
        return _letters(codecs.getincrementaldecoder(asked)().decode(data))[1] >= unusual
    except UnicodeError:
        return True


def _letters(text: str) -> tuple[int, int]:
    """How many characters beyond ASCII are usual in Chinese data, and how many are not."""
    usual = len(_USUAL.findall(text))
    return usual, sum(not letter.isascii() for letter in text) - usual


def recoded(name: str, pieces: Pieces, encoding: str) -> Pieces:
    """Text in the encoding asked for as UTF-8. Where ASCII is the same in both, what first stands beyond it tells whether it is UTF-8 already."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    for piece in pieces if _ASCII.decode(encoding, "replace") == _ASCII.decode() else ():
        found = _BEYOND_ASCII.search(piece)
        plain = piece[: found.start()] if found else piece
        line += plain.count(b"\n")
        yield plain
        if found:
            seen, pieces = head(chain([piece[found.start() :]], pieces), SAMPLE_BYTES)
            if _is_utf8(seen, encoding):
                yield from pieces
                return
            break
    try:
        for piece in pieces:
            text = decoder.decode(piece)
            line += text.count("\n")
            yield text.encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise BadInput(f"{name}:{line}: not {encoding}, or cut off here; --encoding names the encoding that the file is in") from None
