"""An example of what a pattern matches, so that nobody must read a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterator

from streams.patterns import compile_pattern

_PREFERRED = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz京云-_ .·"
_DIGITS = "12345678901234567890"
_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": " "}
_NAMED = {"alpha": "A-Za-z", "digit": "0-9", "alnum": "0-9A-Za-z", "upper": "A-Z", "lower": "a-z", "xdigit": "0-9A-F", "word": "0-9A-Za-z_"}
_PROPERTIES = {"N": "0-9", "Nd": "0-9", "L": "A-Z", "Lu": "A-Z", "Ll": "a-z", "Han": "一-\u9fff"}
_MOST_REPEATED = 64


def example_of(pattern: str, prefer: str = "") -> str | None:
    r"""A text that matches all of a pattern, the same every time, verified; None where none is found.

    Of a class the next digit is taken, where it allows none the first character of ``prefer`` that it allows.

    >>> example_of("HH-[0-9]{5}"), example_of(r"(WL|XX)\d{2,}[A-Z]?"), example_of("[一-\u9fff][A-Z][·.]?[A-Z0-9一-\u9fff]{5,6}", prefer="云")
    ('HH-12345', 'WL12', '云A12345')
    >>> example_of(r"[^\x00-\x{10FFFF}]") is None
    True
    """
    try:
        compiled = compile_pattern(pattern)  # what RE2 takes is small enough to go through
        example = _Reader(pattern, prefer).alternatives()
        return example if compiled.fullmatch(example) is not None else None
    except (ValueError, IndexError, KeyError, RecursionError):
        return None


class _Reader:
    """Goes through a pattern once and takes of everything the first that it allows; ``ValueError`` where it does not know what is meant."""

    def __init__(self, pattern: str, prefer: str) -> None:
        self.pattern, self.place, self.prefer, self.digits = pattern, 0, prefer, 0

    def alternatives(self) -> str:
        """The first of what ``|`` separates; the others are passed over."""
        found, digits = self._sequence(), self.digits
        while self._next("|"):
            self._sequence()
        self.digits = digits
        return found

    def _sequence(self) -> str:
        parts = []
        while self.place < len(self.pattern) and self.pattern[self.place] not in "|)":
            start, digits = self.place, self.digits
            once = self._atom()
            least = self._least()
            if least == 0:
                self.digits = digits
                continue
            again, after = [once], self.place
            for _ in range(least - 1):  # the same part anew, so that digits go on counting
                self.place = start
                again.append(self._atom())
            self.place = after
            parts += again
        return "".join(parts)

    def _atom(self) -> str:
        character = self._take()
        if character == "(":
            if flags := re.compile(r"\?(?::|P?<\w+>)").match(self.pattern, self.place):
                self.place = flags.end()
            elif self.pattern[self.place] == "?":
                raise ValueError(self.pattern)
            inner = self.alternatives()
            if self._take() != ")":
                raise ValueError(self.pattern)
            return inner
        if character == "[":
            return self._of_class()
        if character in "^$":
            return ""
        if character == ".":
            return self._choose("0-9A-Z", negated=False)
        return self._escape() if character == "\\" else character

    def _escape(self) -> str:
        kind = self._take()
        if kind in "AzbB":
            return ""
        allowed = self._class_of(kind)
        if allowed is not None:
            return self._choose(allowed, negated=False)
        return self._literal(kind)

    def _class_of(self, kind: str) -> str | None:
        """The characters of a class that an escape names; None where it is one character."""
        if kind in "pP":
            named = re.compile(r"\{(\w+)\}|(\w)").match(self.pattern, self.place)
            if named is None or kind == "P":
                raise ValueError(self.pattern)
            self.place = named.end()
            return _PROPERTIES[named[1] or named[2]]
        if kind in "DWS":
            return "A-Z" if kind == "D" else "-" if kind == "W" else "0-9A-Z"
        return _CLASSES.get(kind)

    def _literal(self, kind: str) -> str:
        if kind == "x":
            code = re.compile(r"\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2})").match(self.pattern, self.place)
            if code is None:
                raise ValueError(self.pattern)
            self.place = code.end()
            return chr(int(code[1] or code[2], 16))
        if kind.isalnum():
            raise ValueError(self.pattern)
        return kind

    def _of_class(self) -> str:
        """One character of ``[…]``."""
        negated, ranges, first = self._next("^"), [], True
        while first or self.pattern[self.place] != "]":
            first = False
            if posix := re.compile(r"\[:(\w+):\]").match(self.pattern, self.place):
                self.place = posix.end()
                ranges.append(_NAMED[posix[1]])
                continue
            low = self._take()
            if low == "\\":
                kind = self._take()
                allowed = self._class_of(kind)
                if allowed is not None:
                    ranges.append(allowed)
                    continue
                low = self._literal(kind)
            high = low
            if self.pattern[self.place] == "-" and self.pattern[self.place + 1] != "]":
                self._take()
                high = self._take()
                high = self._literal(self._take()) if high == "\\" else high
            ranges.append(f"{low}-{high}")
        self._take()
        return self._choose("".join(ranges), negated=negated)

    def _choose(self, ranges: str, *, negated: bool) -> str:
        """A character of ranges such as ``A-Z0-9``: the next digit, else what is preferred, else the first there is."""
        bounds = list(_bounds(ranges))

        def allowed(character: str) -> bool:
            return any(low <= character <= high for low, high in bounds) is not negated

        digit = _DIGITS[self.digits % len(_DIGITS)]
        if allowed(digit):
            self.digits += 1
            return digit
        chosen = next(filter(allowed, self.prefer + _PREFERRED), None)
        if chosen is None and negated:
            raise ValueError(self.pattern)
        return chosen or bounds[0][0]

    def _least(self) -> int:
        """How often what stands before must come at least."""
        least = 1
        if counted := re.compile(r"\{(\d+)(?:,\d*)?\}").match(self.pattern, self.place):
            self.place, least = counted.end(), int(counted[1])
        elif self._next("?") or self._next("*"):
            least = 0
        else:
            self._next("+")
        self._next("?")  # as few as possible: the same here
        if least > _MOST_REPEATED:
            raise ValueError(self.pattern)
        return least

    def _take(self) -> str:
        self.place += 1
        return self.pattern[self.place - 1]

    def _next(self, character: str) -> bool:
        if self.pattern[self.place : self.place + 1] == character:
            self.place += 1
            return True
        return False


def _bounds(ranges: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(ranges):
        if ranges[place + 1 : place + 2] == "-" and place + 2 < len(ranges):
            yield ranges[place], ranges[place + 2]
            place += 3
        else:
            yield ranges[place], ranges[place]
            place += 1
