"""Regular expressions of packs, by RE2: matching takes time linear in the text, whatever the pattern (no look-around, no back-references)."""

from __future__ import annotations

from typing import Protocol

import re2

LONGEST_PATTERN = 1_000
"""Characters of a pattern; a numbering scheme takes twenty."""
LARGEST_PROGRAM_BYTES = 1_000_000
"""Memory of a compiled pattern: RE2 refuses one that would take more."""


class Pattern(Protocol):
    """A compiled pattern; ``fullmatch`` gives None where it does not match all of a text."""

    def fullmatch(self, text: str) -> object | None:
        """Match the whole text."""


def compile_pattern(pattern: str) -> Pattern:
    r"""Compile a pattern in RE2 syntax; ``ValueError`` says in one line what is wrong with it.

    >>> compile_pattern("HH-[0-9]{5}").fullmatch("HH-12") is None
    True
    >>> compile_pattern(r"(?=HH)\w+")
    Traceback (most recent call last):
    ValueError: no regular expression in RE2 syntax: invalid perl operator: (?=
    """
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"longer than the {LONGEST_PATTERN:,} characters that a pattern may have")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = LARGEST_PROGRAM_BYTES
    options.never_capture = True
    try:
        compiled: Pattern = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        problem = error.args[0] if isinstance(error, re2.error) else "not Unicode text"
        text = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else str(problem)
        raise ValueError(f"no regular expression in RE2 syntax: {text}") from None
    return compiled
