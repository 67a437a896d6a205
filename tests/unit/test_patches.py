"""What ``streams/runtime/patches.py`` changes in libraries, reads of them, and what is overridden of them, is as it was when that was written."""

import hashlib
import importlib.metadata
import inspect
from pathlib import Path

import crc32c
import kafka.record.util
import pytest
from aiokafka import AIOKafkaConsumer, codec
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher, group_coordinator, subscription_state

from streams.app import App
from streams.runtime import patches
from streams.runtime.consumer_thread import ConsumerThread
from streams.runtime.fetched import PartitionRecords
from streams.runtime.transport import ChunkConsumer, ChunkTopic, ChunkTransport

ROOT = Path(__file__).resolve().parent.parent.parent
OVERRIDDEN = {
    "App.on_start": "480d70c6c72d",
    "ChunkConsumer.__init__": "7072ae80eac1",
    "ChunkConsumer._new_consumer_thread": "0870ec53dea7",
    "ChunkConsumer.perform_seek": "0e8c130ff4b0",
    "ChunkConsumer.seek_to_committed": "f1d483b861b0",
    "ChunkConsumer.stop_flow": "cf7e875a2b0d",
    "ChunkConsumer.getmany": "4b168d84882a",
    "ChunkConsumer.on_buffer_full": "c8961679e0bc",
    "ChunkConsumer.ack": "5fcf41cf4515",
    "ChunkConsumer._filter_tps_with_pending_acks": "f6f923977423",
    "ChunkConsumer._new_offset": "1d2c7ea89a7a",
    "ChunkConsumer._add_gap": "4df2573ded7c",
    "ChunkConsumer._commit_offsets": "1a6979904118",
    "ChunkConsumer.on_partitions_revoked": "d04b7ae72c6f",
    "ConsumerThread._create_worker_consumer": "c2701bfc3e6f",
    "ConsumerThread._fetch_records": "39a2c6c79fc1",
    "ChunkTopic._compile_decode": "6474178f8c21",
    "PartitionRecords.__iter__": "b411eeeaeb7c",
    "PartitionRecords._unpack_records": "b803e6d46480",
}
"""What is overridden of a library's class, and the digest of the library's source when it was."""
READ = {
    "AIOKafkaConsumer.__init__": (AIOKafkaConsumer.__init__, "01506f316191"),  # _fetch_max_wait_ms, _isolation_level
    "AIOKafkaConsumer.start": (AIOKafkaConsumer.start, "2f1ba7044332"),  # where they are used; _client, _coordinator, _subscription
    "AIOKafkaClient.fetch_all_metadata": (AIOKafkaClient.fetch_all_metadata, "8eeea5926b0d"),
    "GroupCoordinator.fetch_committed_offsets": (group_coordinator.GroupCoordinator.fetch_committed_offsets, "6c049c737916"),
    "Assignment.state_value": (subscription_state.Assignment.state_value, "183fea82ef48"),
    "TopicPartitionState.position": (subscription_state.TopicPartitionState.position.fget, "816b6b289bd1"),
    "Fetcher._proc_fetch_request": (fetcher.Fetcher._proc_fetch_request, "59bf948fff47"),  # where PartitionRecords is made
    "PartitionRecords.__init__": (fetcher.PartitionRecords.__init__, "8ec1c2ae6ea1"),
    "PartitionRecords._consume_aborted_up_to": (fetcher.PartitionRecords._consume_aborted_up_to, "56876530cd64"),
    "PartitionRecords._contains_abort_marker": (fetcher.PartitionRecords._contains_abort_marker, "17e9ad2322ef"),
}
"""What is read of a library that it keeps to itself, and its digest likewise."""


def digest(function):
    """Twelve digits that tell one source from another."""
    return hashlib.sha256(inspect.getsource(inspect.unwrap(function)).encode()).hexdigest()[:12]


def overridden():
    """Of each method of ours that a library has too, the library's."""
    for ours in (App, ChunkConsumer, ConsumerThread, ChunkTopic, ChunkTransport, PartitionRecords):
        theirs = ours.__mro__[1]
        for name, value in vars(ours).items():
            if inspect.isfunction(value) and (inherited := getattr(theirs, name, None)) is not None:
                yield f"{ours.__name__}.{name}", inherited


def test_what_is_overridden_is_listed_and_as_it_was():
    """Whoever brings a library up to date reads what has changed, sees whether ours still fits, and writes the new digest here."""
    assert {name: digest(inherited) for name, inherited in overridden()} == OVERRIDDEN


def test_what_is_read_of_libraries_is_as_it_was():
    assert {name: digest(function) for name, (function, _) in READ.items()} == {name: known for name, (_, known) in READ.items()}


def test_lz4_still_has_a_level_and_no_setting_for_it():
    parameters = inspect.signature(codec.lz4_encode).parameters
    assert list(parameters) == ["payload", "level"]
    patches.compress_less()
    assert inspect.signature(codec.lz4_encode).parameters["level"].default == patches.LZ4_LEVEL
    assert codec.lz4_decode(codec.lz4_encode(b"fix " * 100)) == b"fix " * 100


def test_kafka_pythons_checksums_are_made_by_compiled_code():
    """Its own, in Python, take a second for a megabyte."""
    assert kafka.record.util._crc32c is crc32c.crc32c


def test_consumers_of_this_process_make_structs_of_what_they_fetch(monkeypatch):
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    patches.read_by_structs()
    assert fetcher.PartitionRecords is PartitionRecords


def test_nothing_else_in_the_runtime_reaches_into_a_library():
    """Ruff tells where that is done; elsewhere nobody may have told it to be silent."""
    silenced = [path.name for path in sorted((ROOT / "streams" / "runtime").glob("*.py")) if "SLF001" in path.read_text("utf-8")]
    assert silenced == ["patches.py"]


@pytest.mark.parametrize("library", ["aiokafka", "faust-streaming", "mode-streaming", "prometheus-client"])
def test_libraries_that_are_patched_are_pinned(library):
    assert f"{library}=={importlib.metadata.version(library)} " in (ROOT / "requirements.lock").read_text()
