"""The violating scans of one violation, in about sixty bytes each and in pages, since an outlet's day may have a million.

The page that is being filled, and those that something was changed in, are open: dictionaries by name. The others are packed.
Where a name stands is found by a hash of it (``Places``); a page is only opened where a repeat is earlier than what it repeats, or
something is taken back. So a scan costs the same however many there were before it, and a checkpoint writes the pages that changed.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from heapq import nsmallest
from typing import NamedTuple

import msgspec
import numpy as np
import zstandard

from streams.lifecycle import MAX_EVIDENCE
from streams.parcels.violations import ViolatingScan, ViolationSummary

PAGE = 256
"""So many violating scans stand on a page; with the longest ids it is a state record of 140 KB."""
PLACE = np.dtype([("time", "<i8"), ("page", "<u4"), ("whose", "<u4")])
NOWHERE = 2**32 - 1
"""The page of a name that was taken back."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, ViolatingScan]).decode
_compress, _decompress = zstandard.ZstdCompressor(1).compress, zstandard.ZstdDecompressor().decompress


class Places:
    """Where n names stand: by a hash (64 bits) the time, the page and a mark of whose scan it was. Sorted runs, those of like size merged."""

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, violating_scans: dict[str, ViolatingScan], page: int) -> None:
        """Enter names that are not there yet."""
        keys = np.array([_hash(name) for name in violating_scans], np.uint64)
        places = np.array([(s.event_time_ms, page, _mark(s)) for s in violating_scans.values()], PLACE)
        while self._runs and len(self._runs[-1][0]) <= 2 * len(keys):
            older = self._runs.pop()
            alive = older[1]["page"] != NOWHERE
            keys, places = np.concatenate((older[0][alive], keys)), np.concatenate((older[1][alive], places))
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], places[order]))

    def find(self, name: str) -> np.void | None:
        """The place of a name, to be read or written to."""
        key = np.uint64(_hash(name))
        for keys, places in self._runs:
            at = int(keys.searchsorted(key))
            if at < len(keys) and keys[at] == key and places[at]["page"] != NOWHERE:
                found: np.void = places[at]
                return found
        return None


class Sealed(NamedTuple):
    """A page that is put away, the time of its last scan, the first of them, and whether any was made up."""

    packed: bytes
    last_seen_ms: int
    first: ViolatingScan
    synthetic: bool


class ViolatingScans:
    """Violating scans by a name that a repeat has, too; of repeats the earliest counts.

    ``dirty``: the pages that changed since the last checkpoint.
    """

    __slots__ = ("_earliest", "_fresh", "_open", "_places", "_sealed", "count", "dirty", "newest")

    def __init__(self) -> None:
        self.count = 0
        self.newest = 0
        self.dirty: set[int] = set()
        self._open: dict[int, dict[str, ViolatingScan]] = {}
        self._fresh: dict[str, None] = {}
        self._sealed: dict[int, Sealed] = {}
        self._places: Places | None = None
        self._earliest: list[ViolatingScan] | None = []

    def observe(self, name: str, violating_scan: ViolatingScan) -> bool:
        """Enter a scan; whether it changes anything."""
        page, place = self._open.get(self.newest, {}), None
        if name not in page:
            place = self._places.find(name) if self._places is not None else None
            if place is not None:
                if (violating_scan.event_time_ms, _mark(violating_scan)) == (place["time"], place["whose"]) or violating_scan.event_time_ms > place["time"]:
                    return False
                page = self._opened(int(place["page"]))
        if place is None and name not in page:
            self._add(name, violating_scan)
            return True
        known = page.get(name)
        if known is None or not violating_scan[:3] < known[:3]:
            return False
        page[name] = violating_scan
        self._changed(name, violating_scan)
        return True

    def _add(self, name: str, violating_scan: ViolatingScan) -> None:
        filling = self._opened(self.newest)
        filling[name] = violating_scan
        self._fresh[name] = None
        self.count += 1
        self.dirty.add(self.newest)
        if len(filling) >= PAGE:
            self._seal(self.newest)
            self.newest += 1

    def _changed(self, name: str, violating_scan: ViolatingScan | None) -> None:
        """What stands about a name is another scan now, or none."""
        if name in self._fresh:
            self.dirty.add(self.newest)
            return
        place = self._places.find(name) if self._places is not None else None
        assert place is not None
        self.dirty.add(int(place["page"]))
        if violating_scan is None:
            place["page"] = NOWHERE
        else:
            place["time"], place["whose"] = violating_scan.event_time_ms, _mark(violating_scan)

    def drop(self, name: str) -> None:
        """Take a scan back, if it was entered."""
        page = self._open.get(self.newest, {})
        if name not in page:
            place = self._places.find(name) if self._places is not None else None
            page = self._opened(int(place["page"])) if place is not None else {}
        if page.pop(name, None) is not None:
            self._changed(name, None)
            self._fresh.pop(name, None)
            self.count -= 1

    def flush(self) -> None:
        """Put away the pages that were opened but for the one that is being filled; between chunks."""
        for number in [number for number in self._open if number != self.newest]:
            self._seal(number)

    def summary(self) -> ViolationSummary:
        """How many there are, the last's time and the earliest of them."""
        loose = [violating_scan for page in self._open.values() for violating_scan in page.values()]
        if self._earliest is None:
            self._earliest = self._first_of_sealed()
        last_ms = max(itertools.chain((s.event_time_ms for s in loose), (page.last_seen_ms for page in self._sealed.values())), default=0)
        synthetic = any(s.synthetic for s in loose) or any(page.synthetic for page in self._sealed.values())
        return ViolationSummary(self.count, last_ms, tuple(nsmallest(MAX_EVIDENCE, itertools.chain(self._earliest, loose))), synthetic)

    def page(self, number: int) -> dict[str, ViolatingScan]:
        """What stands on a page, as a checkpoint keeps it."""
        return self._open[number] if number in self._open else self._unpacked(number)

    def pages(self) -> Iterator[int]:
        """The numbers of all pages."""
        yield from {*self._open, *self._sealed}

    def put(self, number: int, violating_scans: dict[str, ViolatingScan]) -> None:
        """A page that a checkpoint kept."""
        self._open[number], self.newest = violating_scans, max(self.newest, number)
        self.count += len(violating_scans)
        self._index(number, violating_scans)
        self._seal(number)
        self.newest = max(self.newest, number + (len(violating_scans) >= PAGE))

    def _opened(self, number: int) -> dict[str, ViolatingScan]:
        if number not in self._open:
            self._open[number] = self._unpacked(number)
            if self._sealed.pop(number, None) is not None:
                self._earliest = None
        return self._open[number]

    def _unpacked(self, number: int) -> dict[str, ViolatingScan]:
        return _decode(_decompress(self._sealed[number].packed)) if number in self._sealed else {}

    def _seal(self, number: int) -> None:
        page = self._open.pop(number)
        if number == self.newest:
            self._index(number, {name: page[name] for name in self._fresh})
            self._fresh = {}
        if page:
            found, synthetic = page.values(), any(s.synthetic for s in page.values())
            self._sealed[number] = Sealed(_compress(_encode(page)), max(s.event_time_ms for s in found), min(found), synthetic)
            if self._earliest is not None:
                self._earliest = nsmallest(MAX_EVIDENCE, itertools.chain(self._earliest, page.values()))

    def _index(self, number: int, violating_scans: dict[str, ViolatingScan]) -> None:
        if violating_scans:
            self._places = self._places or Places()
            self._places.add(violating_scans, number)

    def _first_of_sealed(self) -> list[ViolatingScan]:
        """The earliest scans of all sealed pages, of which few are opened: most begin later."""
        found: list[ViolatingScan] = []
        for number, page in sorted(self._sealed.items(), key=lambda entry: entry[1].first):
            if len(found) == MAX_EVIDENCE and page.first > found[-1]:
                break
            found = nsmallest(MAX_EVIDENCE, itertools.chain(found, self._unpacked(number).values()))
        return found


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _mark(violating_scan: ViolatingScan) -> int:
    """Tells whose scan, and which, a repeat at the same time is."""
    return zlib.crc32(violating_scan.enterprise_id.encode(), zlib.crc32(violating_scan.event_id.encode()))
