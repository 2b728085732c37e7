"""Writing an image stream in one pass, its size not known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from inpart.checksums import blake3_digest, crc32c
from inpart.contracts import Encoding, SystemArea
from inpart.errors import FilesystemUnsupported, OutOfBounds, UsageError
from inpart.extents import Extents
from inpart.image.chunks import default_chunk_size, touched_chunks
from inpart.image.coding import encode_extents
from inpart.image.frame import LAST, MAX_SKIP, NO_DIGEST, Frame, FrameKind
from inpart.image.index import TableBuilder, pack_index
from inpart.image.manifest import Manifest
from inpart.image.meta import ExtraAreas, Meta
from inpart.image.packing import STORE_ID, Packed, Packer
from inpart.image.pipeline import ordered_map
from inpart.image.reader import ImageReader
from inpart.image.structs import (
    FOOTER_SIZE,
    MAX_CHUNKS,
    MAX_RUNS,
    NO_ID,
    ChunkState,
    Footer,
    Header,
    check_geometry,
)
from inpart.units import MIB
from inpart.volume import Buffer, Volume

_PIECE = 4 * MIB

Sink = Callable[[Buffer], None]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class WrittenImage:
    """What was written. ``image_bytes`` are the used bytes held, ``digest`` the BLAKE3 of the index (32 bytes)."""

    manifest: Manifest
    stream_size: int
    image_bytes: int
    digest: bytes
    stored_chunks: int
    zero_chunks: int
    parent_chunks: int


def write_image(
    source: Volume,
    used: Extents,
    sink: Sink,
    manifest: Manifest,
    *,
    encoding: Encoding,
    system_areas: Sequence[SystemArea] = (),
    extra_areas: ExtraAreas | None = None,
    parent: ImageReader | None = None,
    chunk_size: int | None = None,
    progress: Progress | None = None,
) -> WrittenImage:
    """Write the bytes ``used`` of the partition ``source`` as an image stream.

    ``sink`` takes the stream in pieces of 4 MiB, in order, in the caller's thread, and must be done with a piece when
    it returns. ``progress`` is called with the number of used bytes done since the call before. ``extra_areas`` are
    bytes outside the partition, such as the partition table: name to (offset on the disk, bytes). With ``parent``,
    chunks that are the same there are not stored again; its id goes into the manifest. Errors of ``source``,
    ``encoding`` and ``sink`` pass through; what the sink has then is not an image.
    """
    size = chunk_size or (parent.chunk_size if parent else default_chunk_size(source.size, used))
    begun = manifest.model_copy(
        update={
            "parent": parent.manifest.image_id if parent else None,
            "partition": manifest.partition.model_copy(update={"size": source.size}),
            "encodings": (encoding_text(encoding),),
            "chunk_size": size,
            "image_bytes": used.total,
        }
    )
    _check_request(source, used, begun, parent)
    _check_areas(source, system_areas)
    writer = _Writer(sink, begun, used)
    writer.begin(Meta(begun, tuple(system_areas), dict(extra_areas or {})), encoding)
    packer = Packer(source, encoding, size, parent)
    with closing(ordered_map(packer.read(used), packer.pack, depth=packer.depth)) as results:
        for batch in results:
            for chunk in batch.chunks:
                writer.add(chunk)
            if progress:
                progress(sum(len(chunk.plain) for chunk in batch.chunks))
            packer.release(batch)
    return writer.finish()


def _check_areas(source: Volume, areas: Sequence[SystemArea]) -> None:
    for area in areas:
        if area.extents.end > source.size:
            raise OutOfBounds(f"{source.name}: {area.name} ends at {area.extents.end}, beyond its {source.size} bytes")


def encoding_text(encoding: Encoding) -> str:
    """``zstd:3``: the name, and the values of the parameters if there are any."""
    values = ",".join(str(value) for value in encoding.parameters.model_dump().values())
    return f"{encoding.name}:{values}" if values else encoding.name


def _check_request(source: Volume, used: Extents, manifest: Manifest, parent: ImageReader | None) -> None:
    check_geometry(source.size, manifest.chunk_size, "request")
    if used.end > source.size or used.start < 0:
        raise OutOfBounds(f"{source.name}: used bytes reach to {used.end}, beyond its {source.size} bytes")
    chunks = touched_chunks(used, manifest.chunk_size)
    if len(used) > MAX_RUNS or chunks > MAX_CHUNKS:
        raise FilesystemUnsupported(
            f"{source.name} is used in {len(used)} runs and {chunks} chunks; {MAX_RUNS} and {MAX_CHUNKS} can be stored",
            hint="make the image of all sectors instead",
        )
    if parent and (parent.partition_size, parent.chunk_size) != (source.size, manifest.chunk_size):
        raise UsageError(
            f"the parent image {parent.manifest.name} is of {parent.partition_size} bytes in chunks of "
            f"{parent.chunk_size}, not {source.size} in {manifest.chunk_size}",
            hint="make a full image, without a parent",
        )


class _Writer:
    """Puts packed chunks into the stream and keeps the chunk table."""

    def __init__(self, sink: Sink, manifest: Manifest, used: Extents) -> None:
        self._out = _Out(sink)
        self._manifest = manifest
        self._used = used
        self._last = (used.end - 1) // manifest.chunk_size if used else -1
        self._table = TableBuilder()
        self._sequence = 0
        self._skipped: list[tuple[int, ChunkState]] = []
        self._skipped_runs = 0
        self._meta_frame = b""

    def begin(self, meta: Meta, encoding: Encoding) -> None:
        manifest = self._manifest
        parent = manifest.parent_bytes or NO_ID
        self._out.put(Header(manifest.id_bytes, parent, manifest.partition.size, manifest.chunk_size).pack())
        plain = meta.pack()
        body = encoding.encode(plain)
        chosen, body = (encoding.encoding_id, body) if len(body) < len(plain) else (STORE_ID, plain)
        frame = self._frame(
            FrameKind.META, b"", body, encoding=chosen, plain_length=len(plain), digest=blake3_digest(plain),
            flags=0 if self._used else LAST,
        )  # fmt: skip
        self._meta_frame = frame.pack() + body
        self._out.put(self._meta_frame)

    def add(self, chunk: Packed) -> None:
        if chunk.state is ChunkState.STORED:
            self._add_stored(chunk)
        else:
            self._table.add(chunk.number, chunk.state, len(chunk.plain), chunk.digest)
            self._skip(chunk)

    def finish(self) -> WrittenImage:
        self._flush_skipped()
        manifest = self._manifest.model_copy(update={"stored_bytes": self._out.size})
        table = self._table.table
        index = pack_index(manifest, self._meta_frame, self._used, table)
        digest, offset = blake3_digest(index), self._out.size
        stream_size = offset + len(index) + FOOTER_SIZE
        self._out.put(index)
        self._out.put(Footer(manifest.id_bytes, offset, len(index), stream_size, digest).pack())
        self._out.flush()
        count = np.bincount(table["state"], minlength=len(ChunkState)).tolist()
        return WrittenImage(
            manifest,
            stream_size,
            self._used.total,
            digest,
            count[ChunkState.STORED],
            count[ChunkState.ZERO],
            count[ChunkState.PARENT],
        )

    def _add_stored(self, chunk: Packed) -> None:
        self._flush_skipped()
        runs = encode_extents(chunk.runs, chunk.number * self._manifest.chunk_size)
        offset = self._out.size
        frame = self._frame(
            FrameKind.DATA, runs, chunk.body, chunk=chunk.number, count=1, encoding=chunk.encoding,
            plain_length=len(chunk.plain), digest=chunk.digest, flags=LAST if chunk.number == self._last else 0,
            body_crc=chunk.body_crc,
        )  # fmt: skip
        self._table.add(chunk.number, chunk.state, len(chunk.plain), chunk.digest, frame, offset)
        self._out.put(frame.pack() + runs)
        self._out.put(chunk.body)

    def _skip(self, chunk: Packed) -> None:
        first = self._skipped[0][0] if self._skipped else chunk.number
        if chunk.number - first >= MAX_SKIP or self._skipped_runs + len(chunk.runs) > MAX_SKIP:
            self._flush_skipped()
        self._skipped.append((chunk.number, chunk.state))
        self._skipped_runs += len(chunk.runs)

    def _flush_skipped(self) -> None:
        if not self._skipped:
            return
        first, last = self._skipped[0][0], self._skipped[-1][0]
        states = bytearray(last - first + 1)
        for number, state in self._skipped:
            states[number - first] = state
        used = self._used.clip(first * self._manifest.chunk_size, (last + 1) * self._manifest.chunk_size)
        runs = encode_extents(used, first * self._manifest.chunk_size)
        frame = self._frame(
            FrameKind.SKIP, runs, states, chunk=first, count=len(states), flags=LAST if last == self._last else 0
        )
        self._out.put(frame.pack() + runs + states)
        self._skipped.clear()
        self._skipped_runs = 0

    def _frame(
        self, kind: FrameKind, runs: bytes, body: Buffer, *, flags: int, chunk: int = 0, count: int = 0,
        encoding: int = 0, plain_length: int = 0, digest: bytes = NO_DIGEST, body_crc: int | None = None,
    ) -> Frame:  # fmt: skip
        manifest = self._manifest
        crc = crc32c(body) if body_crc is None else body_crc
        frame = Frame(
            kind, manifest.id_bytes, self._sequence, manifest.partition.size, manifest.chunk_size, chunk, count, flags,
            encoding, len(runs), plain_length, len(body), digest, crc32c(runs), crc,
        )  # fmt: skip
        self._sequence += 1
        return frame


class _Out:
    """Hands the stream to the sink in pieces of 4 MiB, the last one shorter, and counts its bytes.

    Equal, aligned pieces let the sink write whole blocks only.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._piece = bytearray(_PIECE)
        self._filled = 0
        self.size = 0

    def put(self, data: Buffer) -> None:
        self.size += len(data)
        view, piece = memoryview(data), memoryview(self._piece)
        while view:
            part = view[: _PIECE - self._filled]
            piece[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == _PIECE:
                self.flush()

    def flush(self) -> None:
        if self._filled:
            self._sink(memoryview(self._piece)[: self._filled])
            self._filled = 0
