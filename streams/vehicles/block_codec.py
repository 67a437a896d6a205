"""Compressed blocks of 16 fixes each: columns of steps from fix to fix, about 15 bytes a fix. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import zstandard

from streams.fix_batch import ROW, SEPARATOR, SIZE

BLOCK = 16
_BLOCK_LENGTH = Struct("<I")
_BLOCK_HEAD = Struct("<IqB")
"""Of a block: bytes of the whole block, event time (ms) of its first fix, number of fixes (with ``STEPPED``, as all that are written now are)."""
STEPPED = 0x80
_STEPPED: tuple[tuple[str, Any], ...] = (("time", np.uint64), ("lon", np.uint32), ("lat", np.uint32))
"""What is kept as steps from one fix to the next, modulo its width; a block's first time is in its head."""
_compress = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters.from_level(1, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_checksum=False)
).compress
_decompress = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS).decompress


def encode_blocks(rows: np.ndarray, ids: list[list[bytes]]) -> list[bytes]:
    """A block for each vehicle of n fixes, from rows (vehicles x n) and as many ids: steps from fix to fix, byte by byte in columns, compressed."""
    vehicles, count = rows.shape
    if not vehicles:
        return []
    firsts_ms, steps = rows["time"][:, 0].tolist(), rows.copy()
    for name, kind in _STEPPED:
        values: Any = rows[name].astype(kind)
        step = values.copy()
        step[:, 1:] -= values[:, :-1]
        if name == "time":
            step[:, 0] = 0
        steps[name] = (step << 1) ^ -(step >> 8 * step.itemsize - 1)  # small where a step is, forth or back
    columns = steps.view(np.uint8).reshape(vehicles, count, SIZE).transpose(0, 2, 1).tobytes()
    size = count * SIZE
    contents = [_compress(columns[index * size : index * size + size] + SEPARATOR.join(names) + SEPARATOR) for index, names in enumerate(ids)]
    return [
        _BLOCK_HEAD.pack(_BLOCK_HEAD.size + len(content), first_ms, count | STEPPED) + content for first_ms, content in zip(firsts_ms, contents, strict=True)
    ]


class Block(NamedTuple):
    """A block among others: the bytes where it begins and ends, event time (ms) of its first fix, its number of fixes, and whether they are kept as steps."""

    start: int
    end: int
    first_ms: int
    fixes: int
    stepped: bool


def blocks_of(compressed: bytes) -> Iterator[Block]:
    """Blocks that stand one behind the other."""
    start = 0
    while start < len(compressed):
        size, first_ms, count = _BLOCK_HEAD.unpack_from(compressed, start)
        yield Block(start, start + size, first_ms, count & ~STEPPED, bool(count & STEPPED))
        start += size


def older(compressed: bytes, open_from_ms: int, horizon_ms: int) -> tuple[int, int]:
    """How many bytes of blocks can go, and fixes in them: those before the horizon, of which one fix has to stay for the next to be compared with."""
    size = number = start = fixes = 0
    while start < len(compressed):
        length, first_ms, count = _BLOCK_HEAD.unpack_from(compressed, start)
        if start:
            if first_ms >= horizon_ms:
                return size, number
            size, number = start, fixes
        start += length
        fixes += count & ~STEPPED
    return (start, fixes) if open_from_ms < horizon_ms else (size, number)


def joined(blocks: Iterable[bytes]) -> bytes:
    """Blocks as they were before version 5 of the state, which did not say how long they were."""
    return b"".join(_BLOCK_LENGTH.pack(_BLOCK_LENGTH.size + len(block)) + block for block in blocks)


def decode_block(compressed: bytes, block: Block) -> tuple[bytes, bytes]:
    """Rows and ids of one of the compressed blocks."""
    content = _decompress(compressed[block.start + _BLOCK_HEAD.size : block.end])
    size = block.fixes * SIZE
    rows = np.frombuffer(content[:size], np.uint8).reshape(SIZE, -1).T.copy().view(ROW)[:, 0]
    for name, kind in _STEPPED if block.stepped else ():
        steps: Any = rows[name].astype(kind)
        rows[name] = np.cumsum((steps >> 1) ^ -(steps & 1), dtype=kind)
        if name == "time":
            rows[name] += block.first_ms
    return rows.tobytes(), content[size:]


def first_id(compressed: bytes, block: Block) -> bytes:
    """Id of the first fix in a block."""
    return decode_block(compressed, block)[1].partition(SEPARATOR)[0]
