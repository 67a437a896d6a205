"""The names of all rules, and what each is called. Consumers do not import rules (with them comes all that judges), so their files are read as text."""

from __future__ import annotations

import re
from pathlib import Path

import streams
from streams.words.basis import Words

_TITLE = re.compile(r'^TITLE_ZH = "(.+)"$', re.MULTILINE)


def _read() -> dict[str, Words]:
    found = {}
    for path in sorted((Path(streams.__file__).parent / "rules").glob("[a-z]*.py")):
        if title := _TITLE.search(path.read_text("utf-8")):
            found[path.stem] = Words(title[1], path.stem.replace("_", " "))
    return found


RULE_NAMES: dict[str, Words] = _read()


def rule_words(rule: str) -> Words:
    """What a rule is called; one that is not ours as it is written.

    >>> rule_words("forbidden_stop"), rule_words("own_rule").zh
    (Words(zh='违规停车', en='forbidden stop'), 'own rule')
    """
    own = rule.replace("_", " ")
    return RULE_NAMES.get(rule, Words(own, own))
