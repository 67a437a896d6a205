"""What the first stage sends on to the second (``courier.partials.v1``, internal), keyed by city so that one place sums a city."""

from __future__ import annotations

import msgspec

from streams.credit import Charge
from streams.driven import Millimetres
from streams.findings import Extent, FindingKey
from streams.rates import Counts, MinuteCounts
from streams.silences import Span
from streams.watermark import Mark, Newest


class Partial(msgspec.Struct, omit_defaults=True):
    """What one partition of an input ``topic`` has come to as of an offset; whole, so that a repeat changes nothing.

    ``counts`` of a day (and of those ``minutes`` of its last hour that changed), the ``extent`` of a finding, ``signs`` of life by subject, the ``charge`` of an incident,
    or how far vehicles have ``driven`` on a day. Or, after all of those that they cover, a worker's ``marks`` and the ``newest`` event times (watermark.py).
    """

    city: str = ""
    topic: str = ""
    enterprise_id: str = ""
    date: str = ""
    partition: int = -1
    next_offset: int = 0
    counts: Counts | None = None
    minutes: dict[int, MinuteCounts] | None = None
    finding: FindingKey | None = None
    extent: Extent | None = None
    signs: dict[str, list[Span]] | None = None
    charge: Charge | None = None
    driven: Millimetres | None = None
    marks: list[Mark] | None = None
    newest: Newest | None = None


encode_partial = msgspec.json.Encoder().encode
decode_partial = msgspec.json.Decoder(Partial).decode
