"""The dataflow on one page.

    courier.gps.v1 ───────▶ judge_fixes ─────▶ courier.incidents.v1, courier.partials.v1, courier.late.v1, courier.dead.v1
    courier.scan.v1 ──────▶ count_scans ─────▶ courier.partials.v1, courier.late.v1, courier.dead.v1
    courier.heartbeat.v1 ─▶ hear_heartbeats ─▶ courier.partials.v1, courier.dead.v1
    courier.feedback.v1 ──▶ hear_answers ────▶ courier.partials.v1
    courier.partials.v1 ──▶ sum_rates ───────▶ courier.rates.v1, courier.credit.v1, courier.incidents.v1, courier.clock.v1

    Contributions (partials) say what a partition's scans and signs come to, how far its vehicles drove, what an incident costs its enterprise, and
    what police have confirmed where the policy asks for that; late and dead letters are records that were refused.
    every checkpoint ──────▶ courier.partials.v1 (how far the inputs have been read: the watermark, watermark.py)
    courier.registry.v1, courier.policy.v1, courier.credit.v1, courier.clock.v1 ──▶ reference (read whole before anything is judged, then tailed)

Every agent receives chunks (transport.py); every second a checkpoint makes results, then state, then offsets durable
(checkpoint.py). Scale out by starting more workers: whoever is assigned a partition restores its state first.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import faust
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from yarl import URL

from streams import metrics
from streams.process.kafka_login import client_options
from streams.process.stopping import stopping
from streams.runtime import patches
from streams.runtime.answer_stage import AnswerStage
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.city_stage import CityStage
from streams.runtime.fix_stage import FixStage
from streams.runtime.heartbeat_stage import HeartbeatStage
from streams.runtime.held_back import HeldBack
from streams.runtime.origin import identity_key, origin_of
from streams.runtime.preflight import refuse_made_anew, refuse_misfits, refuse_uncompacted
from streams.runtime.reference import Reference
from streams.runtime.refused_share import RefusedShare
from streams.runtime.scan_stage import ScanStage
from streams.runtime.stage import StatefulStage
from streams.runtime.transport import ChunkConsumer, ChunkTopic, ChunkTransport
from streams.runtime.watchdog import HEARTBEAT_S, Watchdog, fail_fast
from streams.settings import Settings
from streams.wire.topics import FEEDBACK, GPS, HEARTBEAT, METADATA_MAX_AGE_MS, PARTIALS, REFERENCE, SCAN, Topic

SESSION_TIMEOUT_S = 10.0
"""A worker that the brokers have not heard of for so long loses its partitions."""


class App(faust.App):
    """Faust's app, which joins its group only when the reference data is there: until then others keep the partitions."""

    reference: Reference
    checkpoint: Checkpoint
    watchdog: Watchdog
    ready: Callable[[], bool]

    async def on_start(self) -> None:
        """Look at the topics and read the reference data first."""
        await super().on_start()
        judged, reference = [(stage.input_topic, stage.state_topic) for stage in self.checkpoint.stages], [topic.name for topic in REFERENCE]
        await fail_fast(refuse_misfits(self.checkpoint, judged, reference))
        await fail_fast(refuse_uncompacted(self.checkpoint, [*reference, *(state for _, state in judged)]))
        await self.add_runtime_dependency(self.reference)
        await self.wait(self.reference.ready)


class Stages(NamedTuple):
    """The pure core with its state, one stage for each input."""

    fixes: FixStage
    scans: ScanStage
    heartbeats: HeartbeatStage
    answers: AnswerStage
    city: CityStage


def build_stages(checkpoint: Checkpoint, reference: Reference, identity_key: bytes, refused: RefusedShare | None = None) -> Stages:
    """The stages of a worker, in the order of the flow; they are saved by the checkpoint, and what they judge by is the reference."""
    stages = Stages(
        FixStage(checkpoint, reference, identity_key, refused),
        ScanStage(checkpoint, reference, refused),
        HeartbeatStage(checkpoint, reference, refused),
        AnswerStage(checkpoint, reference),
        CityStage(checkpoint, reference, identity_key),
    )
    checkpoint.stages.extend(stages)
    reference.on_change = stages.fixes.reference_changed
    return stages


def build_app(settings: Settings, web_port: int) -> App:
    """Topics, stages and agents in the order of the flow."""
    app = _faust_app(settings, web_port)
    key = identity_key(settings)
    reference = app.reference = Reference(settings.kafka_bootstrap, settings.policy)
    checkpoint = app.checkpoint = Checkpoint(settings.kafka_bootstrap, origin_of(settings))
    checkpoint.isolation_level = settings.isolation_level
    checkpoint.verify = functools.partial(refuse_made_anew, checkpoint)
    app.watchdog = Watchdog(patience_s=60.0, session_timeout_s=SESSION_TIMEOUT_S)
    app.ready = lambda: reference.ready.is_set() and _has_partitions(app)
    refused = RefusedShare(settings.refused_share, settings.refused_share_records, stops=settings.refused_share_stops)
    stages = build_stages(checkpoint, reference, key, refused)

    _add_agents(app, stages)
    _commit_by(app, checkpoint)

    @app.task
    async def _checkpoints() -> None:
        await _save_now_and_then(app, stages.fixes, settings)

    @app.on_before_shutdown.connect
    async def _drain(*_: Any, **__: Any) -> None:
        stopping.count_down()  # that is all the time it has, also where a failure is what stops it
        await checkpoint.close()

    return app


def _add_agents(app: App, stages: Stages) -> None:
    """One for each input, and for what these come to."""

    @app.agent(_topic(app, GPS), name="judge_fixes")
    async def judge_fixes(stream: Any) -> None:
        await _each_chunk(app, stream, stages.fixes)

    @app.agent(_topic(app, SCAN), name="count_scans")
    async def count_scans(stream: Any) -> None:
        await _each_chunk(app, stream, stages.scans)

    @app.agent(_topic(app, HEARTBEAT), name="hear_heartbeats")
    async def hear_heartbeats(stream: Any) -> None:
        await _each_chunk(app, stream, stages.heartbeats)

    @app.agent(_topic(app, FEEDBACK), name="hear_answers")
    async def hear_answers(stream: Any) -> None:
        await _each_chunk(app, stream, stages.answers)

    @app.agent(_topic(app, PARTIALS), name="sum_rates")
    async def sum_rates(stream: Any) -> None:
        await _each_chunk(app, stream, stages.city)


def _faust_app(settings: Settings, web_port: int) -> App:
    """Faust with chunks in the place of records."""
    patches.compress_less()
    patches.read_by_structs()
    app = App(
        settings.group,
        broker=[URL(f"aiokafka://{address}") for address in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(client_options()),
        datadir=str(settings.state_dir / "faust"),
        Topic=faust.Topic,
        topic_partitions=settings.partitions,
        topic_allow_declare=True,
        topic_disable_leader=True,  # Faust would make a topic with one replica for it, and nothing here asks who leads
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=3600.0,  # the checkpoint commits
        broker_max_poll_records=5 * settings.chunk_records,  # fewer errands between the threads
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        stream_buffer_maxsize=64,
        stream_wait_empty=False,  # what is not in a checkpoint is judged by the next owner
        web_enabled=False,
        web_port=web_port,
        web_bind="127.0.0.1",
    )
    app.transport = ChunkTransport(app.conf.broker_consumer, app)
    ChunkConsumer.chunk_records, ChunkConsumer.isolation_level = settings.chunk_records, settings.isolation_level
    return app


def _commit_by(app: App, checkpoint: Checkpoint) -> None:
    """What the checkpoint asks of Faust's consumer, and when that asks for one; the consumer is made when the app starts."""
    checkpoint.commit = lambda: app.consumer.commit()  # noqa: PLW0108 - there is none yet
    checkpoint.assigned = lambda: app.consumer.resumed_at
    checkpoint.committed = lambda topic, partition: app.consumer.resumed_at.get(TP(topic, partition)) or 0
    checkpoint.claim = lambda times_ms: app.consumer.claim(times_ms)  # noqa: PLW0108 - there is none yet
    checkpoint.claimed = lambda topic, partition: app.consumer.claimed_ms(topic, partition)  # noqa: PLW0108 - there is none yet
    ChunkConsumer.before_revoke = staticmethod(checkpoint.before_revoke)


def _credentials(options: Mapping[str, Any]) -> faust.SSLCredentials | faust.SASLCredentials | None:
    """In Faust's words how to get into Kafka."""
    if not options:
        return None
    if "sasl_mechanism" not in options:
        return faust.SSLCredentials(options["ssl_context"])
    return faust.SASLCredentials(
        username=options["sasl_plain_username"], password=options["sasl_plain_password"], mechanism=options["sasl_mechanism"], ssl_context=options["ssl_context"]
    )


async def _each_chunk(app: App, stream: Any, stage: StatefulStage[Any]) -> None:
    """Judge a stream's chunks one after the other, each if its partition is still assigned."""
    async for event in stream.noack().events():
        await fail_fast(judge_chunk(app, event.message, event.value, stage))


async def judge_chunk(app: App, message: Any, records: Any, stage: StatefulStage[Any]) -> None:
    """Let a stage judge the records of a message, which is acked at the next checkpoint unless its partition is another's by then."""
    is_current, ack = (lambda: app.consumer.is_current(message)), (lambda: app.consumer.judged(message))
    if records:
        await app.checkpoint.judge(stage, records, is_current, ack, message.offset + 1)
    else:  # nothing but marks of transactions and the like
        await app.checkpoint.pass_over(stage, message.partition, message.offset + 1, is_current, ack)


async def _save_now_and_then(app: App, fixes: FixStage, settings: Settings) -> None:
    """Checkpoints, one after the other, and what goes by how far they have come."""
    checkpoint, held_back = app.checkpoint, HeldBack()
    while not (app.should_stop or checkpoint.closed):
        await app.sleep(max(settings.checkpoint_interval_s, checkpoint.rest_s))
        app.watchdog.alive(time.monotonic())
        await fail_fast(checkpoint.run())
        lags = dict(app.consumer.lag())
        await checkpoint.pause(lambda: fixes.follow(tp.partition for tp in app.consumer.resumed_at if tp.topic == GPS.name))
        metrics.show_only(metrics.CONSUMER_LAG, {(tp.topic, str(tp.partition)): lag for tp, lag in lags.items()})
        held_back.note(time.monotonic(), app.consumer.held_back())
        app.watchdog.check(time.monotonic(), app.consumer.progress(), has_work=any(lags.values()))


def _topic(app: faust.App, topic: Topic) -> ChunkTopic:
    return ChunkTopic(app, topics=[topic.name], key_type=bytes, value_type=bytes, allow_empty=True)


def _has_partitions(app: faust.App) -> bool:
    try:
        return bool(app.consumer.assignment()) and not app.rebalancing
    except ConsumerNotStarted:
        return False
