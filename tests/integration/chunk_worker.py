"""The smallest worker on the chunk transport: writes down what it is handed, and judges it up to an offset.

    python chunk_worker.py BOOTSTRAP GROUP TOPIC OUT UP_TO
"""

import json
import logging
import sys
from pathlib import Path

import faust
from yarl import URL

from deploy.ports import free_port
from streams.runtime.patches import read_by_structs
from streams.runtime.transport import ChunkConsumer, ChunkTopic, ChunkTransport


def main(bootstrap, group, topic, out, up_to):
    """Run until stopped."""
    read_by_structs()
    logging.basicConfig(level="WARNING")
    app = faust.App(
        group, broker=[URL(f"aiokafka://{bootstrap}")], datadir=f"{out}.faust", web_enabled=False, web_port=free_port(), topic_allow_declare=True, topic_partitions=3,
        broker_session_timeout=6.0, broker_heartbeat_interval=1.0, broker_commit_interval=3600.0, consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
    )  # fmt: skip
    app.transport = ChunkTransport(app.conf.broker_consumer, app)
    ChunkConsumer.chunk_records = 100
    handed = Path(out).open("a", buffering=1)

    @app.agent(ChunkTopic(app, topics=[topic], key_type=bytes, value_type=bytes, allow_empty=True))
    async def take(stream):
        async for event in stream.noack().events():
            message = event.message
            if app.consumer.is_current(message):
                offsets = [record.offset for record in event.value]
                handed.write(json.dumps([message.partition, offsets, [record.value.decode() for record in event.value]]) + "\n")
                if offsets[-1] < int(up_to):
                    app.consumer.judged(message)

    @app.timer(0.2)
    async def commit():
        await app.consumer.commit()

    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    arguments, sys.argv[1:] = sys.argv[1:], []
    main(*arguments)
