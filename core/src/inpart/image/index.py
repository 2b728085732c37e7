"""The index of an image stream: header, manifest, META frame, coded extents, chunk table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inpart.contracts import SystemArea
from inpart.errors import FilesystemUnsupported
from inpart.extents import Extents
from inpart.image.coding import decode_extents, encode_extents
from inpart.image.frame import Frame, max_chunk_runs
from inpart.image.manifest import Manifest
from inpart.image.meta import ExtraAreas
from inpart.image.structs import (
    FRAME_SIZE,
    HEADER_SIZE,
    INDEX_SIZE,
    MAX_CHUNKS,
    MAX_RUNS,
    NO_ID,
    TABLE_DTYPE,
    ChunkState,
    IndexHeader,
    damaged,
)

Table = NDArray[np.void]


@dataclass(frozen=True)
class Index:
    """All that a reader needs before it reads chunks.

    ``table`` has one row of ``TABLE_DTYPE`` for each chunk with used bytes, by ascending chunk number. ``digest`` is
    the BLAKE3 of the stored index, empty for one rebuilt from frames. ``frames_end`` is where the frames end.
    """

    image_id: bytes
    partition_size: int
    chunk_size: int
    manifest: Manifest
    extents: Extents
    table: Table
    system_areas: tuple[SystemArea, ...] = ()
    extra_areas: ExtraAreas = field(default_factory=dict)
    digest: bytes = b""
    frames_end: int = 0


class TableBuilder:
    """A chunk table that grows row by row."""

    def __init__(self) -> None:
        self._rows: Table = np.zeros(1024, dtype=TABLE_DTYPE)
        self._count = 0

    @property
    def table(self) -> Table:
        """The rows so far."""
        return self._rows[: self._count]

    def add(
        self, chunk: int, state: ChunkState, length: int, digest: bytes, frame: Frame | None = None, offset: int = 0
    ) -> None:
        """One chunk of ``length`` used bytes; ``frame``, at ``offset`` of the stream, if it is stored.

        Raises FilesystemUnsupported if there are too many.
        """
        if self._count == MAX_CHUNKS:
            raise FilesystemUnsupported(f"the image has more than {MAX_CHUNKS} chunks", hint="make it in larger chunks")
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        row = self._rows[self._count]
        row["chunk"], row["state"], row["plain_length"] = chunk, state, length
        row["digest"] = np.frombuffer(digest, dtype=np.uint8)
        if frame:
            row["encoding"], row["frame_offset"], row["runs_length"] = frame.encoding, offset, frame.runs_length
            row["body_length"], row["body_crc"] = frame.body_length, frame.body_crc
        self._count += 1


def pack_index(manifest: Manifest, meta_frame: bytes, extents: Extents, table: Table) -> bytes:
    """The stored form of an index."""
    description, runs = manifest.to_json(), encode_extents(extents)
    header = IndexHeader(
        manifest.id_bytes,
        manifest.parent_bytes or NO_ID,
        manifest.partition.size,
        manifest.chunk_size,
        len(description),
        len(meta_frame),
        len(runs),
        len(table),
    )
    return b"".join((header.pack(), description, meta_frame, runs, table.tobytes()))


@dataclass(frozen=True)
class IndexParts:
    """The sections of a stored index; the META frame is still packed because its encoding may be unknown."""

    header: IndexHeader
    manifest: Manifest
    meta_frame: memoryview
    extents: Extents
    table: Table


def unpack_index(header: IndexHeader, data: bytes, frames_end: int) -> IndexParts:
    """The sections of the stored index ``data``; frames lie below ``frames_end``. Raises IntegrityError."""
    view = memoryview(data)
    ends = np.cumsum([INDEX_SIZE, header.manifest_length, header.meta_length, header.runs_length]).tolist()
    manifest = Manifest.from_json(bytes(view[ends[0] : ends[1]]))
    check_manifest(manifest, header)
    extents = decode_extents(view[ends[2] : ends[3]], 0, header.partition_size, max_runs=MAX_RUNS)
    table: Table = np.frombuffer(view[ends[3] :], dtype=TABLE_DTYPE)
    check_table(table, extents, header.chunk_size, frames_end)
    return IndexParts(header, manifest, view[ends[1] : ends[2]], extents, table)


def check_manifest(manifest: Manifest, header: IndexHeader) -> None:
    """Raise IntegrityError unless the manifest and the index header speak of the same image."""
    stated = (manifest.id_bytes, manifest.parent_bytes or NO_ID, manifest.partition.size, manifest.chunk_size)
    if stated != (header.image_id, header.parent_id, header.partition_size, header.chunk_size):
        raise damaged("manifest", "contradicts the index header")


def check_table(table: Table, extents: Extents, chunk_size: int, frames_end: int) -> None:
    """Raise IntegrityError unless the table describes exactly the chunks that ``extents`` touch, frames in order."""
    chunk = table["chunk"].astype(np.int64)
    if (np.diff(chunk) <= 0).any():
        raise damaged("chunk table", "is not in order")
    used = used_in_chunks(extents, chunk, chunk_size)
    if (used == 0).any() or int(used.sum()) != extents.total or (used != table["plain_length"]).any():
        raise damaged("chunk table", "does not match the used bytes")
    state = table["state"]
    if ((state < ChunkState.STORED) | (state > ChunkState.PARENT)).any():
        raise damaged("chunk table", "has an unknown state")
    stored = table[state == ChunkState.STORED]
    if (stored["runs_length"] > max_chunk_runs(chunk_size)).any():
        raise damaged("chunk table", "has impossible lengths")
    start = stored["frame_offset"].astype(np.float64)
    end = start + FRAME_SIZE + stored["runs_length"] + stored["body_length"]
    if len(stored) and (start[0] < HEADER_SIZE or (end[:-1] > start[1:]).any() or end[-1] > frames_end):
        raise damaged("chunk table", "has frames that overlap or lie outside their place")
    if (stored["body_length"] > stored["plain_length"]).any():
        raise damaged("chunk table", "has bodies longer than their content")


def used_in_chunks(extents: Extents, chunks: NDArray[np.int64], chunk_size: int) -> NDArray[np.int64]:
    """Used bytes in each of the chunks with the given numbers."""
    edges = np.concatenate([chunks, chunks + 1]) * chunk_size
    run = np.searchsorted(extents.array[:, 1], edges, side="left")
    lengths = extents.array[:, 1] - extents.array[:, 0]
    before = np.concatenate([[0], np.cumsum(lengths)])
    starts = np.append(extents.array[:, 0], np.iinfo(np.int64).max)
    below = before[run] + np.maximum(edges - starts[run], 0)
    return np.asarray(below[len(chunks) :] - below[: len(chunks)], dtype=np.int64)
