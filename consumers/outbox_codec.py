"""How an event is kept in the outbox: Zstandard with a dictionary of what all incidents have in common."""

from __future__ import annotations

import threading

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
"""It belongs to the files that were written with it: a change needs another dictionary beside it."""
_LEVEL = 6
_LARGEST_BYTES = 16_000_000


_DICTIONARY = zstandard.ZstdCompressionDict(_COMMON, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
_DICTIONARY.precompute_compress(level=_LEVEL)
_of_thread = threading.local()  # making one costs more than using it, and none may be used by two threads at once


def compressed(body: bytes) -> bytes:
    """An event as it is kept."""
    if not hasattr(_of_thread, "compressor"):
        _of_thread.compressor = zstandard.ZstdCompressor(dict_data=_DICTIONARY, write_content_size=True)
    kept: bytes = _of_thread.compressor.compress(body)
    return kept


def decompressed(kept: bytes) -> bytes:
    """An event as it was."""
    if not hasattr(_of_thread, "decompressor"):
        _of_thread.decompressor = zstandard.ZstdDecompressor(dict_data=_DICTIONARY)
    body: bytes = _of_thread.decompressor.decompress(kept, _LARGEST_BYTES)
    return body
