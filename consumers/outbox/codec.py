"""How an event is kept in the outbox: Zstandard, with a dictionary of what its incidents have in common, which it learns from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

import zstandard

_COMMON = (
    b'{"specversion":"1.0","id":"yicheng/","source":"yicheng/150100","type":"yicheng.alert.firing.v1","type":"yicheng.incident.retracted.v1","type":"yicheng.incident.updated.v1",'
    b'"type":"yicheng.incident.closed.v1","type":"yicheng.incident.opened.v1","subject":"outlet/","subject":"enterprise/","subject":"vehicle/","time":"2026-11-11T08:00:00.000Z",'
    b'"datacontenttype":"application/json","data":{"incident_id":"","revision":1,"state":"retracted","state":"closed","state":"open","rule":"speeding","rule":"unregistered_vehicle",'
    b'"rule":"forbidden_stop","rule":"overstayed_stop","rule":"restricted_hours","rule_id":"","policy":"hohhot-2019","clause":"","severity":"warning","severity":"violation","city":"150100",'
    b'"zone_id":null,"vehicle_id":"","plate":null,"enterprise_id":"","outlet_id":null,"opened_at_ms":17,"last_seen_ms":17,"closed_at_ms":null,"lon":111.6,"lat":40.8,"fix_count":1,'
    b'"evidence":[{"event_id":"","event_time_ms":17,"lon":111.6,"lat":40.8,"speed_kmh":60.0},{"event_id":"","event_time_ms":17,"lon":111.6,"lat":40.8,"speed_kmh":0.0}],"reason_zh":"","reason_en":"",'
    b'"superseded_by":null,"synthetic":true,"synthetic":false,"clause_text":null,"document":"","document_number":"","basis":"illustrative","basis":"stated","figures":null,"duty_of":"enterprise",'
    b'"responsible":[""],"continued_by":null,"line_id":null}}'
)
"""The dictionary until one is learnt. It belongs to the files that were written with it: a change needs another beside it."""
_LEVEL = 6
_LARGEST_BYTES = 16_000_000
FIRST_LEARNT_AT, LEARNT_EVERY = 500, 100_000
"""After so many events a dictionary is learnt, and after each so many more."""
SAMPLES = 500
_DICTIONARY_BYTES = 32_768
_FIRST_ID = 40_000
"""Ids of dictionaries begin there; a lower one may be somebody else's (RFC 8878)."""


class Codec:
    """One thread's: makes events small and large again. The dictionaries are in the outbox, and each frame names its own."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}
        self._id, self._learnt_at = _FIRST_ID - 1, 0
        self._compressor = zstandard.ZstdCompressor(dict_data=_dictionary(None), write_content_size=True)
        self._use_newest()

    def _use_newest(self) -> None:
        """Another thread may have learnt it."""
        newest = self._db.execute("SELECT dictionary_id, after_event_no, content FROM dictionaries ORDER BY dictionary_id DESC LIMIT 1").fetchone()
        if newest and newest[0] != self._id:
            self._id, self._learnt_at = newest[:2]
            self._compressor = zstandard.ZstdCompressor(dict_data=_dictionary(newest[2]), write_content_size=True)

    def compressed(self, body: bytes) -> bytes:
        """An event as it is kept."""
        kept: bytes = self._compressor.compress(body)
        return kept

    def decompressed(self, kept: bytes) -> bytes:
        """An event as it was."""
        number = zstandard.get_frame_parameters(kept).dict_id
        if number not in self._decompressors:
            found = self._db.execute("SELECT content FROM dictionaries WHERE dictionary_id = ?", (number,)).fetchone()
            self._decompressors[number] = zstandard.ZstdDecompressor(dict_data=_dictionary(found[0] if found else None))
        body: bytes = self._decompressors[number].decompress(kept, _LARGEST_BYTES)
        return body

    def is_to_learn(self, event_no: int) -> bool:
        """Whether a dictionary is due, now that there are events up to this number."""
        return event_no >= (self._learnt_at + LEARNT_EVERY if self._learnt_at else FIRST_LEARNT_AT)

    def learn(self, event_no: int, bodies: Sequence[bytes]) -> None:
        """Keep a dictionary of what these events have in common, and use it from now on; to be called in a transaction."""
        self._use_newest()
        if not self.is_to_learn(event_no):
            return
        self._learnt_at = event_no
        with suppress(zstandard.ZstdError):  # they are too few, too short or all the same
            content = zstandard.train_dictionary(_DICTIONARY_BYTES, list(bodies), dict_id=self._id + 1, level=_LEVEL).as_bytes()
            self._db.execute("INSERT INTO dictionaries(dictionary_id, after_event_no, content) VALUES (?, ?, ?)", (self._id + 1, event_no, content))
            self._use_newest()


def _dictionary(content: bytes | None) -> zstandard.ZstdCompressionDict:
    """A learnt dictionary; None: that of before."""
    found = zstandard.ZstdCompressionDict(_COMMON, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if content is None else zstandard.ZstdCompressionDict(content)
    found.precompute_compress(level=_LEVEL)
    return found
