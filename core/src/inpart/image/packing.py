"""Reading the chunks of a partition, hashing and encoding them, in the threads of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from queue import LifoQueue

from inpart.checksums import all_zero, blake3_digest, crc32c
from inpart.contracts import Encoding
from inpart.extents import Extents
from inpart.image.chunks import gather, pipeline_depth, used_chunks
from inpart.image.reader import ImageReader
from inpart.image.structs import ChunkState
from inpart.units import KIB, MIB
from inpart.volume import Buffer, Volume

STORE_ID = 1


_UNDER_WAY = 32 * MIB
_BATCH_BYTES = 256 * KIB
_BATCH_CHUNKS = 256


@dataclass
class Packed:
    """One chunk on its way; ``body`` may be the same memory as ``plain``."""

    number: int
    runs: Extents
    plain: memoryview
    state: ChunkState = ChunkState.STORED
    digest: bytes = b""
    encoding: int = 0
    body: Buffer = b""
    body_crc: int = 0


@dataclass
class Batch:
    """One large chunk, or some small ones; ``buffer`` holds their plain bytes, None when nobody needs it any more."""

    buffer: bytearray | None
    chunks: list[Packed]


class Packer:
    """Reads chunks (in one thread) and hashes and encodes them (in several)."""

    def __init__(self, source: Volume, encoding: Encoding, chunk_size: int, parent: ImageReader | None) -> None:
        self.source = source
        self.encoding = encoding
        self.chunk_size = chunk_size
        self.parent = parent
        self.depth = pipeline_depth(chunk_size, _UNDER_WAY)
        self._free: LifoQueue[bytearray] = LifoQueue()
        for _ in range(self.depth):
            self._free.put(bytearray())

    def read(self, used: Extents) -> Iterator[Batch]:
        """The chunks with used bytes, plain. A batch must be given back with ``release`` when it has been written."""
        scratch = bytearray(self.chunk_size)
        for group in _groups(used_chunks(used, self.chunk_size)):
            buffer, length, at = self._free.get(), sum(runs.total for _, runs in group), 0
            if len(buffer) < length:
                buffer = bytearray(self.chunk_size if length > _BATCH_BYTES else _BATCH_BYTES)
            view, chunks = memoryview(buffer), []
            for number, runs in group:
                plain = view[at : at + runs.total]
                gather(self.source, runs, plain, scratch)
                chunks.append(Packed(number, runs, plain))
                at += len(plain)
            yield Batch(buffer, chunks)

    def pack(self, batch: Batch) -> Batch:
        """Hash the chunks, and encode those that have to be stored."""
        for chunk in batch.chunks:
            chunk.digest = blake3_digest(chunk.plain)
            if all_zero(chunk.plain):
                chunk.state = ChunkState.ZERO
            elif self.parent and self.parent.has_same(chunk.number, chunk.runs, chunk.digest):
                chunk.state = ChunkState.PARENT
            else:
                body = self.encoding.encode(chunk.plain)
                shorter = len(body) < len(chunk.plain)
                chunk.encoding = self.encoding.encoding_id if shorter else STORE_ID
                chunk.body = body if shorter else chunk.plain
                chunk.body_crc = crc32c(chunk.body)
        if all(chunk.body is not chunk.plain for chunk in batch.chunks):
            self.release(batch)
        return batch

    def release(self, batch: Batch) -> None:
        """Use the buffer of ``batch`` again: at once if all bodies lie elsewhere, else when they are written."""
        if batch.buffer is not None:
            self._free.put(batch.buffer)
            batch.buffer = None


def _groups(chunks: Iterator[tuple[int, Extents]]) -> Iterator[list[tuple[int, Extents]]]:
    """Large chunks alone; small ones together, so that a chunk of one cluster costs no turn of the pipeline."""
    group: list[tuple[int, Extents]] = []
    size = 0
    for number, runs in chunks:
        length = runs.total
        if group and (size + length > _BATCH_BYTES or len(group) == _BATCH_CHUNKS):
            yield group
            group, size = [], 0
        group.append((number, runs))
        size += length
    if group:
        yield group
