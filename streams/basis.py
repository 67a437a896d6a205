"""On what a rule rests: what its document says, whom the words bind, who is responsible; and these in Chinese and English words."""

from __future__ import annotations

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
EXTENT_WORDS = Words("豁免的程度为示例", "its extent is illustrative")
"""Of an exemption whose figures are an example."""
FIGURES_WORDS = Words("数值、区域或时段为示例", "its figures, zones or hours are illustrative")


def basis_words(basis: Basis | None, figures: Figures | None, duty_of: Duty | None, responsible: Sequence[str] | None) -> Words | None:
    """A basis in words; None where nothing is claimed. ``responsible`` is None where nobody is asked for.

    >>> basis_words("encouraged", "illustrative", "enterprise", ["市邮政管理局", "商务局"]).zh
    '依据：文件鼓励或引导，并非强制；数值、区域或时段为示例；条文对象是企业；责任单位：市邮政管理局、商务局'
    >>> basis_words("stated", None, "authority", []).en
    'basis: stated in the document; the clause is addressed to the authorities; responsible: the document names none'
    """
    if basis is None:
        return None
    said = BASIS_WORDS[basis]
    zh, en = [f"依据：{said.zh}"], [f"basis: {said.en}"]
    if figures:
        zh.append(FIGURES_WORDS.zh)
        en.append(FIGURES_WORDS.en)
    if duty_of:
        zh.append(f"条文对象是{DUTY_WORDS[duty_of].zh}")
        en.append(f"the clause is addressed to {DUTY_WORDS[duty_of].en}")
    if responsible is not None:
        zh.append(f"责任单位：{'、'.join(responsible) or '文件未列明'}")
        en.append(f"responsible: {', '.join(responsible) or 'the document names none'}")
    return Words("；".join(zh), "; ".join(en))
