"""Changes to libraries that have no setting for them; ``tests/unit/test_patches.py`` fails when what is changed has changed itself."""

from __future__ import annotations

from aiokafka import codec

LZ4_LEVEL = 1


def compress_less() -> None:
    """Have lz4 compress at its fastest: aiokafka compresses as hard as lz4 can, which took a twelfth of a worker's time."""
    codec.lz4_encode.__defaults__ = (LZ4_LEVEL,)
