"""Reading state back: what the latest complete checkpoint of a partition says."""

from __future__ import annotations

from streams.wire.state_records import COMMIT_MARKER, decode_header


class Snapshots:
    """The records of a partition of a state topic, read in order, and what its latest complete checkpoint says."""

    def __init__(self) -> None:
        self._mark: tuple[int, int] | None = None
        self._candidates: dict[str, list[tuple[tuple[int, int], bytes]]] = {}
        self._last: dict[str, tuple[int, int]] = {}

    def add(self, key: str, value: bytes | None) -> None:
        """One more record. Of each key only those are kept that may still be the one; what is deleted is so for good."""
        if value is None:
            self._candidates.pop(key, None)
            self._last.pop(key, None)
            return
        age = self._last[key] = decode_header(value).age
        if key == COMMIT_MARKER and (self._mark is None or age > self._mark):
            self._mark = age
        known = self._candidates.setdefault(key, [])
        while known and known[-1][0] == age:
            known.pop()
        known.append((age, value))
        if len(known) > 1:
            known.sort(key=lambda candidate: candidate[0])
            if self._mark is not None:
                while len(known) > 1 and known[1][0] <= self._mark:
                    del known[0]

    def latest(self) -> tuple[dict[str, bytes], list[str]]:
        """The state by key, and the keys whose last record is not the one that counts."""
        state: dict[str, bytes] = {}
        wrong = []
        for key, candidates in self._candidates.items():
            complete = [(age, value) for age, value in candidates if self._mark is not None and age <= self._mark]
            if complete:
                state[key] = complete[-1][1]
            if not complete or complete[-1][0] != self._last[key]:
                wrong.append(key)
        return state, wrong
