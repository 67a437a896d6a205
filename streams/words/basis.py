"""On what a rule rests: what its document says, whom the words bind, who is responsible; and these in Chinese and English words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Basis = Literal["stated", "encouraged", "illustrative"]
"""What the document says: it demands, it encourages, or neither (the rule is an example)."""
Figures = Literal["illustrative"]
"""Said where only the number, zone or hour is an example."""
Duty = Literal["authority", "enterprise", "driver", "others"]
"""Whom the words bind."""


class Words(NamedTuple):
    """The same in Chinese and in English."""

    zh: str
    en: str


BASIS_WORDS: dict[Basis, Words] = {
    "stated": Words("文件明确要求", "stated in the document"),
    "encouraged": Words("文件鼓励或引导，并非强制", "encouraged by the document, not demanded"),
    "illustrative": Words("示例，文件未作此要求", "illustrative, the document does not ask for it"),
}
MARKS: dict[Basis | None, Words] = {
    "stated": Words("文件要求", "stated"),
    "encouraged": Words("文件鼓励", "encouraged"),
    "illustrative": Words("示例", "illustrative"),
    None: Words("运营方自定", "the operator's own"),
}
"""The same in a word or two, for headings."""
DUTY_WORDS: dict[Duty, Words] = {
    "authority": Words("主管部门", "the authorities"),
    "enterprise": Words("企业", "enterprises"),
    "driver": Words("驾驶人", "drivers"),
    "others": Words("其他单位", "others"),
}
_OPERATOR = Words("运营方要求：", "The operator asks: ")
ASKERS: dict[tuple[Basis | None, Duty | None], Words] = {
    ("encouraged", None): _OPERATOR,
    ("illustrative", None): _OPERATOR,
    ("stated", "authority"): Words("文件此条是对主管部门的要求，运营方据此规定：", "The clause binds the authorities; to that end the operator lays down: "),
    ("stated", "others"): Words("文件此条是对其他单位的要求，运营方据此规定：", "The clause binds others; to that end the operator lays down: "),
}
"""Who asks, by what the document says and whom it binds (None: whomever); of enterprises and drivers the document itself asks what it states."""
EXTENT_WORDS = Words("豁免的程度为示例", "its extent is illustrative")
"""Of an exemption whose figures are an example."""
FIGURES_WORDS = Words("数值、区域或时段为示例", "its figures, zones or hours are illustrative")
OWN_WORDS = Words("由运营方自行规定，未称出自文件", "on the operator's own word; nothing is claimed of the document")
"""Of a rule that claims nothing."""
NONE_NAMED = Words("文件未列明", "the document names none")


def responsible_words(responsible: Sequence[str], lead: str | None = None) -> Words:
    """The authorities that a document names, and which of them leads, where it says that.

    >>> responsible_words(["区交通局", "区公安局"], "区交通局").zh, responsible_words(["市公安局"]).en
    ('牵头单位：区交通局；责任单位：区公安局', 'responsible: 市公安局')
    """
    others = [name for name in responsible if name != lead]
    zh = [f"牵头单位：{lead}"] * bool(lead) + [f"责任单位：{'、'.join(others) or NONE_NAMED.zh}"] * bool(others or not lead)
    en = [f"lead: {lead}"] * bool(lead) + [f"responsible: {', '.join(others) or NONE_NAMED.en}"] * bool(others or not lead)
    return Words("；".join(zh), "; ".join(en))


def in_language(text: str, lang: Literal["zh", "en"]) -> str:
    """One language of somebody's text where it has both, Chinese first: ``中文 (English words)`` or ``中文 English words``; else all of it.

    >>> in_language("修订中 (it is being revised)", "zh"), in_language("修订中 (it is being revised)", "en"), in_language("按 GB/T 2260", "en")
    ('修订中', 'it is being revised', '按 GB/T 2260')
    """
    parts = re.fullmatch(r"(.*[\u3000-\u9fff\uff00-\uffef”])(?:\s+|\s*[（(]\s*)([A-Za-z][^\u4e00-\u9fff]*?)[)）]?", text)
    if parts is None or not re.search(r"[a-z]{2,} [a-z]{2,}", parts[2]):
        return text
    zh = parts[1] if parts[1].count("（") <= parts[1].count("）") else parts[1].rstrip("（")
    return zh if lang == "zh" else parts[2]


def reading_words(reading: str) -> Words:
    """How the document's words are read, as part of a sentence."""
    return Words(f"本包的理解：{in_language(reading, 'zh').rstrip('。.')}", f"as read here: {in_language(reading, 'en').rstrip('。.')}")


def stands_in_words(rules: str | None) -> Words | None:
    """The rules that the document tells an authority to make, for which the pack stands in; None where it stands in for none."""
    if not rules:
        return None
    return Words(
        f"文件要求主管部门另行制定《{rules}》；本包以示例规则代之，不具有该办法的效力。",
        f"The document tells the authorities to make rules (《{rules}》); the pack stands in for them by way of example, without their force.",
    )


def basis_words(basis: Basis | None, figures: Figures | None, duty_of: Duty | None, responsible: Sequence[str] | None, lead: str | None = None, reading: str | None = None) -> Words | None:
    """A basis in words; None where nothing is claimed. ``responsible`` is None where nobody is asked for. A ``reading`` says itself which figures are not the document's.

    >>> basis_words("encouraged", "illustrative", "enterprise", ["市邮政管理局", "商务局"]).zh
    '依据：文件鼓励或引导，并非强制；数值、区域或时段为示例；条文对象是企业；责任单位：市邮政管理局、商务局'
    >>> basis_words("stated", None, "authority", []).en
    'basis: stated in the document; the clause is addressed to the authorities; responsible: the document names none'
    """
    if basis is None:
        return None
    said = BASIS_WORDS[basis]
    zh, en = [f"依据：{said.zh}"], [f"basis: {said.en}"]
    parts = [reading_words(reading)] if reading else [FIGURES_WORDS] if figures else []
    if duty_of:
        parts.append(Words(f"条文对象是{DUTY_WORDS[duty_of].zh}", f"the clause is addressed to {DUTY_WORDS[duty_of].en}"))
    if responsible is not None:
        parts.append(responsible_words(responsible, lead))
    return Words("；".join([*zh, *(words.zh for words in parts)]), "; ".join([*en, *(words.en for words in parts)]))
