"""What follows dates is on the metrics page from midnight on, although no record comes: reference data on a real broker."""

import asyncio

from conftest import wait_for

from deploy.admin import publish_policy
from streams import metrics
from streams.policy.reader import load_policy
from streams.runtime import reference
from streams.runtime.reference import Reference


def continued_by():
    return {s.labels["continued_by"] for m in metrics.CITY.collect() for s in m.samples if s.labels["city"] == "150100"}


def test_a_document_that_ends_at_midnight_is_said_to_be_continued_then(kafka, monkeypatch):
    policy = load_policy("hohhot-2019")
    publish_policy(kafka, policy)
    last = policy.pack.document.in_force.until
    over_ms = policy.days.bounds_ms(last)[1]
    now = [over_ms - 1]
    monkeypatch.setattr(reference, "now_ms", lambda: now[0])

    async def follow():
        known = Reference(kafka, policy.name)
        await known.start()
        try:
            await asyncio.wait_for(known.ready.wait(), 30)
            assert continued_by() == {""}
            now[0] = over_ms
            await asyncio.to_thread(wait_for, "the new day's gauges", lambda: continued_by() == {policy.pack.continued.by})
        finally:
            await known.stop()

    asyncio.run(follow())
