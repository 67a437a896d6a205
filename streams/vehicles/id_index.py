"""The numbers of ids, found for a whole chunk at once.

A dictionary waits for memory several times for each id, one id after the other; once there are more ids than the caches hold,
that takes longer than anything else that is done about a fix. Here the processor waits for many at the same time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence

import numpy as np

from streams.vehicles.growable import GrowableArray

WORD = np.dtype("<u8")
LONGEST = 64
"""Bytes of an id that are compared; of longer ones it is a digest."""
_STIR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: a product's upper half depends on all of a factor's bits (Knuth, TAOCP 3, 6.4)."""


class IdIndex:
    """n ids, numbered from 0 as they were added: a hash table with linear probing, at most half full.

    ``words``: of each id its bytes and zeros; ``table``: numbers, or -1. The hash is drawn anew for each table, so that nobody can
    choose ids which all want the same place.
    """

    def __init__(self) -> None:
        self._words = GrowableArray(WORD, (2,))
        self._factors = _factors(2)
        self._table = np.full(64, -1, np.int32)

    def find(self, ids: Sequence[str]) -> np.ndarray:
        """The numbers of n ids, -1 for those that were not added."""
        words = self._as_words(ids)
        places = self._places(words)
        numbers: np.ndarray = self._table[places].astype(np.int64)
        asked = np.flatnonzero(numbers >= 0)
        while asked.size:
            other = (self._words.data.take(numbers[asked], axis=0) != words[asked]).any(axis=1)
            asked = asked[other]
            places[asked] = self._next(places[asked])
            numbers[asked] = self._table[places[asked]]
            asked = asked[numbers[asked] >= 0]
        return numbers

    def add(self, ids: Sequence[str]) -> None:
        """Number ids that are not there yet."""
        words = self._as_words(ids)
        first = self._words.add(words, len(words))
        if 2 * self._words.count > len(self._table):
            self._table = np.full(2 << self._words.count.bit_length(), -1, np.int32)
            first, words = 0, self._words.data[: self._words.count]
        self._enter(np.arange(first, self._words.count, dtype=np.int32), words)

    def _enter(self, numbers: np.ndarray, words: np.ndarray) -> None:
        places = self._places(words)
        while numbers.size:
            free = self._table[places] < 0
            self._table[places[free]] = numbers[free]
            left = self._table[places] != numbers
            numbers, places = numbers[left], self._next(places[left])

    def _as_words(self, ids: Iterable[str]) -> np.ndarray:
        """N ids as rows of words, as many as the longest needs."""
        names = [name.encode() for name in ids]
        longest = max(map(len, names))
        if longest > LONGEST or any(b"\0" in name for name in names):
            names = [name if len(name) <= LONGEST and b"\0" not in name else _digest(name) for name in names]
            longest = max(map(len, names))
        if longest > self._words.data.itemsize * self._words.data.shape[1]:
            self._widen(-(-longest // WORD.itemsize))
        width = self._words.data.shape[1]
        return np.array(names, f"S{width * WORD.itemsize}").view(WORD).reshape(-1, width)

    def _widen(self, width: int) -> None:
        """Ids may have so many words; those that are known go to other places."""
        self._words.widen(WORD, width)
        self._factors = _factors(width)
        self._table[:] = -1
        self._enter(np.arange(self._words.count, dtype=np.int32), self._words.data[: self._words.count])

    def _places(self, words: np.ndarray) -> np.ndarray:
        """Where in the table to look first."""
        mixed = words @ self._factors
        mixed ^= mixed >> np.uint64(32)
        places: np.ndarray = (mixed * _STIR >> np.uint64(65 - len(self._table).bit_length())).astype(np.int64)
        return places

    def _next(self, places: np.ndarray) -> np.ndarray:
        following: np.ndarray = (places + 1) & (len(self._table) - 1)
        return following


def _factors(width: int) -> np.ndarray:
    return np.array([secrets.randbits(64) | 1 for _ in range(width)], np.uint64)


def _digest(name: bytes) -> bytes:
    """In place of an id that does not fit: as long as can be, and beginning as no UTF-8 text does."""
    return b"\xff" + hashlib.blake2b(name, digest_size=LONGEST - 1).digest()
