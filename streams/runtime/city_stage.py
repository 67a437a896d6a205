"""The second stage, one place for a whole city: rates, days, violations, silences and credit. A thin shell around ``city/``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import structlog

from streams import metrics
from streams.city.city_judge import CityJudge, CityResult
from streams.city.contributions import Contribution, decode_contribution
from streams.city.ledger import CityLedger, announced
from streams.city.ledger_records import put_record, record_fields
from streams.city.rates import Rate, changed_rates, fleet_rows
from streams.clock import BEGINNING_MS, now_ms
from streams.counts import OTHER, outlet_row, rate_row, state_key
from streams.lifecycle import OPEN
from streams.process.unreadable import passed_over
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.rate_gauges import RateGauges
from streams.runtime.reference import Reference
from streams.runtime.sources import Sources
from streams.runtime.stage import StatefulStage, enterprise_label
from streams.vehicles.empty_run import driven_row, total
from streams.watermark import CLOCK_KEY, Clock, encode_clock
from streams.wire.decode import Malformed
from streams.wire.state_records import RecordHeader, encode_fields
from streams.wire.topics import CLOCK, CREDIT, PARTIALS, RATE_STATE, RATES

log = structlog.get_logger()

STUCK_S = 60.0
"""When an input partition has not been read for so long, the log says which."""


class CityStage(StatefulStage[CityLedger]):
    """Partials → rates and credit, and incidents about days, outlets and enterprises.

    Partials are judged one by one, so that a replay in other chunks repeats the same revisions.
    """

    def __init__(self, checkpoint: Checkpoint, reference: Reference, identity_key: bytes) -> None:
        super().__init__(checkpoint, reference, PARTIALS, RATE_STATE)
        self.identity_key = identity_key
        self.sources = Sources(checkpoint)
        self.gauges = RateGauges()
        self.said = Clock()
        self.began_ms = now_ms()
        self.stuck_told_s = 0.0
        metrics.WATERMARK_AGE.set_function(self.watermark_age_s)

    async def process(self, chunk: Sequence[Any]) -> None:
        """Judge a chunk of partials, then publish the rates that changed."""
        policies, registry = self.reference.policies, self.reference.registry
        assert policies is not None and registry is not None
        ledger = await self.partition(chunk[0].partition)
        touched, ledger.restored = ledger.restored, set()
        judge = CityJudge(policies, registry, self.identity_key, rehearsal=self.checkpoint.origin.rehearsal)
        for record, contribution in await self._read([record for record in chunk if record.offset >= ledger.next_offset]):
            ledger.next_offset = record.offset + 1
            if isinstance(contribution, str):
                passed_over(record.topic, record.partition, record.offset, contribution)
                continue
            result = judge.take(ledger, contribution, BEGINNING_MS if record.timestamp is None else record.timestamp)
            touched |= result.days
            await self._publish(result)
        for rate in changed_rates(ledger, touched, policies.newest.days):
            await self._publish_rate(ledger, rate, enterprise_label(registry, rate.day.enterprise_id))
        for city, date in sorted(ledger.drove):
            row = driven_row(city, date, total(latest.value for latest in ledger.driven[date].values()))
            await self._publish_row(ledger, row)
            self.gauges.show_driven(row, ledger.month_until)
        for city, outlet_id in sorted(ledger.saw):
            await self._publish_row(ledger, outlet_row(city, outlet_id, ledger.seen[outlet_id]))
        for city, date in sorted(ledger.fleet_changed):
            rows = fleet_rows(ledger, policies, registry, city, date)
            for row in rows:
                await self._publish_row(ledger, row)
            self.gauges.show_fleet(city, date, rows, ledger.month_until)
        for published in (ledger.drove, ledger.saw, ledger.fleet_changed):
            published.clear()

    async def _read(self, records: Sequence[Any]) -> list[tuple[Any, Contribution | str]]:
        """Records with what they say, or why it cannot be."""
        read: list[tuple[Any, Contribution | str]] = [(record, _contribution(record.value)) for record in records]
        await self.sources.look([said for _, said in read if isinstance(said, Contribution)])
        return [(record, said if isinstance(said, str) else self.sources.excess(said) or said) for record, said in read]

    # --- publishing ---
    async def _publish(self, result: CityResult) -> None:
        """Incidents, and what has become of enterprises' credit."""
        for kind, data in result.incidents:
            await self.announce(kind, data)
        for row in result.standings:
            await self.checkpoint.send(CREDIT.name, row["subject"].encode(), orjson.dumps(self.marked(row)))

    async def _publish_rate(self, ledger: CityLedger, rate: Rate, label: str) -> None:
        """The counts of a day or window; enterprises that are known have gauges."""
        await self._publish_row(ledger, {**rate_row(rate.day, rate.counts), **rate.ahead, "window": rate.window})
        if label != OTHER:
            self.gauges.show(rate, label, ledger.month_until)

    async def _publish_row(self, ledger: CityLedger, row: dict[str, Any]) -> None:
        """The greatest ``revision`` counts: a worker that was suspended may send an older one later."""
        key = f"{row['city']}/{row['enterprise_id']}/{row['window']}".encode()
        await self.checkpoint.send(RATES.name, key, orjson.dumps(self.marked({**row, "revision": ledger.next_offset})))

    def emit(self, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """How far time has come, said by one ledger of the partials for all: each comes to the same."""
        ledger = self.partitions[number]
        if number == 0:
            clock = Clock(ledger.stream_time_ms, ledger.watermark.read_until_ms, ledger.settled_ms)
            if clock != self.said:
                self.said = clock
                yield CLOCK.name, CLOCK_KEY, encode_clock(clock)
        if self.watermark_age_s() > STUCK_S and time.monotonic() > self.stuck_told_s + STUCK_S:
            self.stuck_told_s = time.monotonic()
            log.warning("time stands still: an input partition is not read", partition=ledger.watermark.behind, seconds=round(self.watermark_age_s()))

    def watermark_age_s(self) -> float:
        """Seconds since what arrived was last read everywhere; since this stage began where that is not known yet."""
        known = (ledger.watermark.read_until_ms for ledger in self.partitions.values())
        return max((now_ms() - max(until_ms, self.began_ms) for until_ms in known), default=0) / 1_000

    # --- state ---
    def evict(self, ends: Mapping[int, int]) -> None:
        """See ``Stage``."""
        super().evict(ends)
        self.gauges.clear()

    def open_in(self, partition: CityLedger) -> Iterator[tuple[str, str]]:
        """See ``StatefulStage``."""
        assert self.reference.policies is not None
        names = {rule.id: rule.rule for policy in self.reference.policies.versions for rule in policy.pack.rules}
        return ((incident.incident_id, names.get(rule_id, rule_id)) for rule_id, incident in announced(partition) if incident.state == OPEN)

    def new_partition(self) -> CityLedger:
        """See ``StatefulStage``."""
        return CityLedger()

    def put(self, partition: CityLedger, key: str, value: bytes) -> None:
        """See ``StatefulStage``."""
        put_record(partition, key, value)

    def dirty(self, partition: CityLedger, head: RecordHeader) -> Iterator[tuple[str, bytes | None]]:
        """See ``StatefulStage``."""
        for kind, *names in sorted(partition.dirty):
            fields = record_fields(partition, kind, names)
            yield state_key(kind, *names), None if fields is None else encode_fields(fields, head)
        partition.dirty.clear()


def _contribution(value: bytes | None) -> Contribution | str:
    try:
        return decode_contribution(value)
    except Malformed as error:
        return str(error)
