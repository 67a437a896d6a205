"""One contender of ``bench_pipeline.py`` in a process of its own: reads a topic of fixes to its end, decoding or judging.

    python tests/bench/contenders.py NAME WORK BOOTSTRAP EVENTS VEHICLES

Prints events, seconds and CPU seconds (all threads) between the first record and the last. ``yicheng`` and ``raw`` keep
durable state: checkpoints every second, and a last one that counts. The peers keep the same engine's state in memory only.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

from bench_judge import CHUNK_RECORDS, city, fleet

from deploy.ports import free_port
from streams.clock import BEGINNING_MS
from streams.policy.policy import Policies
from streams.runtime.fix_stage import FixStage
from streams.settings import GC_THRESHOLDS
from streams.vehicles.engine import Engine
from streams.vehicles.partition import new_partition
from streams.wire.decode import FIXES
from streams.wire.events import Record
from streams.wire.topics import GPS

WARM_A_VEHICLE, WARM_PER_EVENT, PER_EVENT = 3, 20_000, 40_000
"""Events of each vehicle before the clock starts (the first one makes its plan), and how many are enough of whoever takes them one by one."""


class Meter:
    """Counts events; prints the result when all are done."""

    def __init__(self, name, events, vehicles):
        one_by_one = name in {"faust", "quixstreams"}
        self.name, self.events, self.done = name, min(events, PER_EVENT) if one_by_one else events, 0
        self.warm, self.begun = WARM_PER_EVENT if one_by_one else WARM_A_VEHICLE * vehicles, None
        self.vehicles = vehicles

    def start(self):
        """Records are here; the clock starts with the first after the warm-up."""
        if self.begun is None and self.done >= self.warm:
            self.begun, self.wall, self.cpu = self.done, time.perf_counter(), time.process_time()

    def add(self, number):
        """So many more are done; whether that is all."""
        self.done += number
        return self.done >= self.events

    def finish(self):
        """Print and end, whatever the framework would like to do."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(json.dumps({"events": self.done - self.begun, "seconds": wall, "cpu_seconds": cpu}), flush=True)
        os._exit(0)


async def from_nothing(self, topic, partition):
    """In place of ``Checkpoint.restore``: what the contender before has saved is none of this one's business."""
    return {}


def reference(vehicles):
    """The policy and registry of ``bench_judge``, as a worker holds them."""
    policy = city(200)
    return SimpleNamespace(
        policies=Policies([policy]), registry=fleet(policy, vehicles), watermark_ms=BEGINNING_MS, on_change=None, ready=asyncio.Event(), policy_name="bench"
    )


class Worker:
    """Chunks in, decoded or judged by an engine with state in memory."""

    def __init__(self, work, meter):
        self.meter, self.work = meter, work
        if work == "judge":
            found = reference(meter.vehicles)
            self.engine = Engine(found.policies, found.registry, b"bench")
            self.partitions = defaultdict(new_partition)

    def take(self, partition, records):
        """(value, offset) pairs of one partition."""
        self.meter.start()
        if self.work == "decode":
            for value, _ in records:
                FIXES.read_one(value)
        else:
            self.engine.judge(self.partitions[partition], [Record(value, offset) for value, offset in records])
        if self.meter.add(len(records)):
            self.meter.finish()


def yicheng(work, bootstrap, meter):
    """The worker of ``streams/app.py`` on Faust with its transport."""
    import faust

    from streams import app as app_module
    from streams.runtime.checkpoint import Checkpoint
    from streams.settings import Settings

    found = reference(meter.vehicles)
    found.ready.set()
    app_module.Reference = lambda *_: still(found)
    take, run = FixStage.process, Checkpoint.run

    async def counted(self, chunk):
        meter.start()
        if self.engine is None:
            self.reference_changed()
        if work == "decode":
            for record in chunk:
                FIXES.read_one(record.value)
        else:
            await take(self, chunk)
        if meter.add(len(chunk)):
            found.last = asyncio.ensure_future(self.checkpoint.run())

    async def last(self):
        await run(self)
        if meter.done >= meter.events:
            meter.finish()

    FixStage.process, Checkpoint.run, Checkpoint.restore = counted, last, from_nothing
    settings = Settings(kafka_bootstrap=bootstrap, group=f"bench-{meter.name}-{os.getpid()}", partitions=4, state_dir=Path(tempfile.mkdtemp()), rehearsal=True)
    app = app_module.build_app(settings, free_port())
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()


def still(found):
    """Reference data that does not change, in the place of the service that tails it."""
    from mode import Service

    class Still(Service):
        """All there from the beginning."""

        policies, registry, watermark_ms, ready = found.policies, found.registry, BEGINNING_MS, found.ready

    return Still()


async def raw(work, bootstrap, meter):
    """aiokafka alone, with the same stage and the same checkpoints: the limit."""
    from aiokafka import AIOKafkaConsumer

    from streams.runtime.checkpoint import Checkpoint
    from streams.runtime.origin import Origin
    from streams.runtime.patches import read_by_structs

    read_by_structs()
    Checkpoint.restore = from_nothing
    checkpoint = Checkpoint(bootstrap, Origin(rehearsal=True))
    found = reference(meter.vehicles)
    stage = FixStage(checkpoint, found, b"bench")
    stage.reference_changed()
    consumer = AIOKafkaConsumer(
        GPS.name, bootstrap_servers=bootstrap, group_id=f"bench-raw-{os.getpid()}", enable_auto_commit=False, auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
    )  # fmt: skip
    await consumer.start()
    checkpoint.commit = consumer.commit
    saves = asyncio.ensure_future(saving(checkpoint))
    while not saves.done():
        for records in (await consumer.getmany(timeout_ms=200, max_records=CHUNK_RECORDS)).values():
            meter.start()
            if work == "decode":
                for record in records:
                    FIXES.read_one(record.value)
            else:
                await checkpoint.judge(stage, records, lambda: True, lambda: None)
            meter.add(len(records))
        if meter.done >= meter.events:
            await checkpoint.run()
            meter.finish()


async def saving(checkpoint):
    """Checkpoints as a worker has them."""
    while True:
        await checkpoint.run()
        await asyncio.sleep(max(1.0, checkpoint.rest_s))


def confluent(work, bootstrap, meter):
    """librdkafka in batches."""
    from confluent_kafka import Consumer

    worker = Worker(work, meter)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"bench-c-{os.getpid()}", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([GPS.name])
    while True:
        chunks = defaultdict(list)
        for message in consumer.consume(CHUNK_RECORDS, 1.0):
            chunks[message.partition()].append((message.value(), message.offset()))
        for partition, records in chunks.items():
            worker.take(partition, records)


def quix(work, bootstrap, meter):
    """Quix Streams, one message at a time as its pipelines are."""
    from quixstreams import Application

    worker = Worker(work, meter)
    app = Application(
        broker_address=bootstrap, consumer_group=f"bench-q-{os.getpid()}", auto_offset_reset="earliest", loglevel="ERROR", state_dir=tempfile.mkdtemp()
    )  # fmt: skip
    topic = app.topic(GPS.name, value_deserializer="bytes", key_deserializer="bytes")
    frame = app.dataframe(topic)
    offsets = defaultdict(int)

    def each(value, key, timestamp, headers):
        worker.take(0, [(value, offsets[0])])
        offsets[0] += 1

    frame.apply(each, metadata=True)
    app.run()


def bytewax(work, bootstrap, meter):
    """Bytewax with its Kafka source in batches."""
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.connectors.stdio import StdOutSink
    from bytewax.dataflow import Dataflow
    from bytewax.testing import run_main

    worker = Worker(work, meter)
    flow = Dataflow("bench")
    source = op.input("in", flow, KafkaSource([bootstrap], [GPS.name], batch_size=CHUNK_RECORDS))

    def batch(messages):
        chunks = defaultdict(list)
        for message in messages:
            chunks[message.partition].append((message.value, message.offset))
        for partition, records in chunks.items():
            worker.take(partition, records)
        return []

    op.output("out", op.flat_map_batch("judge", source, batch), StdOutSink())
    run_main(flow)


def faust(work, bootstrap, meter):
    """Stock Faust, one event at a time as its agents are."""
    import faust as library

    worker = Worker(work, meter)
    app = library.App(
        f"bench-f-{os.getpid()}", broker=f"aiokafka://{bootstrap}", value_serializer="raw", consumer_auto_offset_reset="earliest", topic_partitions=4,
        datadir=tempfile.mkdtemp(), web_enabled=False, web_port=free_port(),
    )  # fmt: skip

    @app.agent(app.topic(GPS.name, value_type=bytes))
    async def each(stream):
        async for event in stream.events():
            worker.take(event.message.partition, [(event.value, event.message.offset)])

    library.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()


CONTENDERS = {"raw": raw, "yicheng": yicheng, "confluent-kafka": confluent, "bytewax": bytewax, "quixstreams": quix, "faust": faust}

if __name__ == "__main__":
    gc.set_threshold(*GC_THRESHOLDS)
    logging.disable(logging.WARNING)
    name, work, bootstrap, events, vehicles = sys.argv[1:6]
    sys.argv = sys.argv[:1]
    meter = Meter(name, int(events), int(vehicles))
    outcome = CONTENDERS[name](work, bootstrap, meter)
    if outcome is not None:
        asyncio.run(outcome)
