"""Reading the chunks of a partition, hashing and encoding them, in the threads of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue

from inpart.checksums import all_zero, blake3_digest
from inpart.contracts import Encoding
from inpart.extents import Extents
from inpart.image.chunks import gather, pipeline_depth, used_chunks
from inpart.image.reader import ImageReader
from inpart.image.structs import ChunkState
from inpart.volume import Buffer, Volume

STORE_ID = 1


@dataclass
class Packed:
    """One chunk on its way: ``buffer`` is given back when ``body``, which may be a view of it, has been written."""

    number: int
    runs: Extents
    buffer: bytearray
    length: int
    state: ChunkState
    digest: bytes = b""
    encoding: int = 0
    body: Buffer = b""


class Packer:
    """Reads chunks (in one thread) and hashes and encodes them (in several)."""

    def __init__(self, source: Volume, encoding: Encoding, chunk_size: int, parent: ImageReader | None) -> None:
        self.source = source
        self.encoding = encoding
        self.chunk_size = chunk_size
        self.parent = parent
        self.depth = pipeline_depth(chunk_size)
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(self.depth):
            self._free.put(bytearray())

    def read(self, used: Extents) -> Iterator[Packed]:
        scratch = bytearray(self.chunk_size)
        for number, runs in used_chunks(used, self.chunk_size):
            buffer, length = self._free.get(), runs.total
            if len(buffer) < length:
                buffer = bytearray(self.chunk_size if length * 4 > self.chunk_size else length)
            gather(self.source, runs, memoryview(buffer)[:length], scratch)
            yield Packed(number, runs, buffer, length, ChunkState.STORED)

    def pack(self, chunk: Packed) -> Packed:
        plain = memoryview(chunk.buffer)[: chunk.length]
        chunk.digest = blake3_digest(plain)
        if all_zero(plain):
            chunk.state = ChunkState.ZERO
        elif self.parent and self.parent.has_same(chunk.number, chunk.runs, chunk.digest):
            chunk.state = ChunkState.PARENT
        else:
            body = self.encoding.encode(plain)
            shorter = len(body) < chunk.length
            chunk.encoding = self.encoding.encoding_id if shorter else STORE_ID
            chunk.body = body if shorter else plain
        return chunk

    def release(self, chunk: Packed) -> None:
        chunk.body = b""
        self._free.put(chunk.buffer)
