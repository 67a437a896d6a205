"""Partials that say how far a small city's inputs, of one partition each, have been read: time passes for the stage that sums them."""

from types import SimpleNamespace

from streams.city.contributions import Contribution, encode_contribution, of_scans
from streams.city.ledger import CityLedger
from streams.watermark import DISORDER_MS, INPUTS, Mark


def marks(watermark_ms):
    """Fields of a contribution that carries the watermark to an instant, and credit to the one before."""
    read_until_ms = said_ms(watermark_ms) - 1
    return {"marks": [Mark(topic, 0, 1, 1, read_until_ms, watermark_ms) for topic in INPUTS], "newest": {watermark_ms // 1_000: watermark_ms}}


def said_ms(watermark_ms):
    """When the brokers may have taken that down."""
    return watermark_ms + 2_000 + DISORDER_MS


def said(offset, contribution: Contribution, at_ms):
    """A record of partials as it comes from a broker."""
    return SimpleNamespace(topic="courier.partials.v1", partition=0, offset=offset, value=encode_contribution(contribution), timestamp=at_ms)


def counted(partition, city):
    """What a partition of scans has counted, by day, with the whole city (``*``) beside its enterprises."""
    ledger = CityLedger()
    for contribution in of_scans(partition, 0, city):
        ledger.enter_counts(contribution)
    return {day: state.counts() for day, state in sorted(ledger.days.items()) if state.counts().says_something()}


def inputs_hold(checkpoint, records=10**6, partitions=64):
    """The input topics that a stage's checkpoint finds: so many partitions, each with so many records."""

    async def partition_counts():
        return dict.fromkeys(INPUTS, partitions)

    async def ends(topic, numbers):
        return dict.fromkeys(numbers, records)

    checkpoint.partition_counts, checkpoint.ends = partition_counts, ends
    return checkpoint
