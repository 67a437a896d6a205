"""A document taken apart by its headings, and whether words stand in it, whatever white space and form of characters they have."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_NUMERAL = "[〇零一二三四五六七八九十百]+"
_HEADINGS = (rf"#*({_NUMERAL}|\d+)、|(第(?:{_NUMERAL}|\d+)条)", rf"#*\(({_NUMERAL})\)", r"(\d+)\.(?!\d)")
"""Of each level, in a ``plain`` line."""


class Section(NamedTuple):
    """A clause as packs name it (``二（三）9``; empty before the first heading), and its ``plain`` text."""

    clause: str
    text: str


def sections(document: str) -> list[Section]:
    r"""A document, clause by clause.

    >>> [section.clause for section in sections("办法\n一、车辆\n（一）编号\n1．标识\n（二）停靠\n2、网点\n第三条 期限")]
    ['', '一', '一（一）', '一（一）1', '一（二）', '二', '第三条']
    """
    path, found = [""], [Section("", "")]
    for line in map(plain, document.splitlines()):
        for level, form in enumerate(_HEADINGS):
            if heading := re.match(form, line):
                number = next(filter(None, heading.groups()))
                number = "〇一二三四五六七八九"[int(number)] if level == 0 and number in set("123456789") else number
                path = [*path[:level], *[""] * (level - len(path)), f"（{number}）" if level == 1 else number]
                found.append(Section("".join(path), ""))
                break
        found[-1] = found[-1]._replace(text=found[-1].text + line)
    return found


def stands_in(words: str, text: str) -> bool:
    """Whether words stand in a ``plain`` text; of those with ``……`` every part does, in this order."""
    return re.search(".*?".join(map(re.escape, parts_of(words))), text) is not None


def parts_of(words: str) -> list[str]:
    """The parts of a quote between ``……``, plain."""
    return [plain(part) for part in re.split("…+", words)]


def plain(text: str) -> str:
    """A text without white space, full-width and half-width characters alike.

    >>> plain("统一编号， GPS（快递）") == plain("统一编号,GPS (快递)")
    True
    """
    return "".join(unicodedata.normalize("NFKC", text).split())
