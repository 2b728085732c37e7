"""An index made again from the frames, for a stream whose header, index or footer is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain

import numpy as np

from inpart.checksums import blake3_digest, crc32c
from inpart.contracts import Finding, ImageSummary, Severity
from inpart.errors import FilesystemUnsupported, InpartError, IntegrityError, VolumeError
from inpart.extents import Extents
from inpart.image.frame import LAST, Frame, FrameKind
from inpart.image.index import Index, TableBuilder, used_in_chunks
from inpart.image.manifest import FilesystemIdentity, Manifest, PartitionIdentity
from inpart.image.meta import Meta
from inpart.image.reader import Encodings, ImageReader, load_index, read_footer, unpack_meta
from inpart.image.search import find_frames
from inpart.image.structs import FRAME_SIZE, HEADER_SIZE, MAX_RUNS, NO_ID, ChunkState, Header, damaged
from inpart.image.verify import frame_extents
from inpart.volume import Volume


def open_damaged(
    stream: Volume, encodings: Encodings, parent: ImageReader | None = None, summary: ImageSummary | None = None
) -> ImageReader:
    """Open a stream whose header, index or footer is damaged, as far as its frames allow.

    ``summary`` is what a table of contents says of the image, for a stream that has lost its own description.
    ``findings`` of the reader say what was lost, and ``lost`` is the part of the partition of which nothing is known.
    Raises IntegrityError if there is no intact frame, FilesystemUnsupported for another format version.
    """
    findings: list[Finding] = []
    header = _header(stream, findings)
    try:
        index = load_index(stream, read_footer(stream), encodings, header)
    except (IntegrityError, VolumeError) as error:
        message = f"{error.message}; the index was made again from the frames"
        findings.append(Finding(Severity.WARNING, "image.index", stream.name, message))
    else:
        return ImageReader(stream, encodings, parent, index=index, findings=tuple(findings))
    frames = find_frames(stream, header.image_id if header else None)
    first = next(frames, None)
    if first is None:
        raise damaged("index", "and every frame are lost")
    collector = _Collector(stream, encodings, parent, first[1])
    for offset, frame in chain([first], frames):
        collector.add(offset, frame)
    index = collector.finish(summary or _stand_in(first[1].image_id, header))
    findings += collector.findings
    return ImageReader(stream, encodings, parent, index=index, findings=tuple(findings), lost=collector.lost)


def stated_manifest(stream: Volume, encodings: Encodings) -> Manifest | None:
    """What a stream says of itself in its first frame, or in the copy of that in its index; None if both are lost."""
    try:
        frame = Frame.unpack(stream.read(HEADER_SIZE, FRAME_SIZE))
        return unpack_meta(stream.read(HEADER_SIZE, frame.size), encodings).manifest
    except InpartError:
        pass
    try:
        return load_index(stream, read_footer(stream), encodings, None).manifest
    except InpartError:
        return None


def _header(stream: Volume, findings: list[Finding]) -> Header | None:
    try:
        return Header.unpack(stream.read(0, min(HEADER_SIZE, stream.size)))
    except (IntegrityError, VolumeError) as error:
        findings.append(Finding(Severity.WARNING, "image.header", stream.name, error.message))
        return None


class _Collector:
    """Takes frames in the order of the stream and keeps account of what is missing between them."""

    def __init__(self, stream: Volume, encodings: Encodings, parent: ImageReader | None, first: Frame) -> None:
        self.stream = stream
        self.encodings = encodings
        self.parent = parent
        self.first = first
        self.lost = Extents()
        self.findings: list[Finding] = []
        self._meta: Meta | None = None
        self._table = TableBuilder()
        self._used: list[Extents] = []
        self._runs = 0
        self._sequence = 0
        self._chunk = 0
        self._end = HEADER_SIZE
        self._complete = False

    def add(self, offset: int, frame: Frame) -> None:
        """Take a frame that starts at ``offset``; one that does not continue the image is left out."""
        if (frame.partition_size, frame.chunk_size) != (self.first.partition_size, self.first.chunk_size):
            return
        if frame.kind is FrameKind.META:
            self._add_meta(offset, frame)
        elif frame.sequence < self._sequence or frame.chunk < self._chunk:
            return
        else:
            if frame.sequence > max(self._sequence, 1):
                self._lose(self._chunk, frame.chunk, f"{frame.sequence - max(self._sequence, 1)} frames are missing")
            try:
                self._add_chunks(offset, frame)
            except (IntegrityError, VolumeError) as error:
                self._lose(frame.chunk, frame.chunk + frame.count, error.message)
            self._chunk = frame.chunk + frame.count
        if frame.sequence >= self._sequence:
            self._sequence = frame.sequence + 1
            self._end = offset + frame.size
            self._complete = bool(frame.flags & LAST)

    def finish(self, summary: ImageSummary) -> Index:
        """The index of what was found; ``summary`` counts only if the image's description is lost."""
        if not self._complete:
            self._lose(self._chunk, -(-self.first.partition_size // self.first.chunk_size), "the end is missing")
        extents = Extents.union(self._used)
        manifest = self._manifest(extents, summary)
        meta = self._meta or Meta(manifest)
        return Index(
            self.first.image_id, self.first.partition_size, self.first.chunk_size, manifest, extents,
            self._table.table, meta.system_areas, meta.extra_areas, frames_end=self._end,
        )  # fmt: skip

    def _add_meta(self, offset: int, frame: Frame) -> None:
        if self._meta is None:
            try:
                meta = unpack_meta(self.stream.read(offset, frame.size), self.encodings)
                if meta.manifest.id_bytes != frame.image_id or meta.manifest.partition.size != frame.partition_size:
                    raise damaged("description", "is that of another image")
                self._meta = meta
            except (IntegrityError, VolumeError) as error:
                self.findings.append(Finding(Severity.WARNING, "image.description", self.stream.name, error.message))

    def _add_chunks(self, offset: int, frame: Frame) -> None:
        used = frame_extents(frame, self.stream.read(offset + FRAME_SIZE, frame.runs_length))
        self._runs += len(used)
        if self._runs > MAX_RUNS:
            raise FilesystemUnsupported(f"the image has more than {MAX_RUNS} runs of used bytes")
        if frame.kind is FrameKind.DATA:
            if used.total != frame.plain_length:
                raise damaged("frame", "has runs that do not match its length")
            self._table.add(frame.chunk, ChunkState.STORED, frame.plain_length, frame.digest, frame, offset)
        else:
            self._add_skipped(offset, frame, used)
        self._used.append(used)

    def _add_skipped(self, offset: int, frame: Frame, used: Extents) -> None:
        body = self.stream.read(offset + FRAME_SIZE + frame.runs_length, frame.body_length)
        states = np.frombuffer(body, dtype=np.uint8)
        chunks = np.flatnonzero(states).astype(np.int64) + frame.chunk
        lengths = used_in_chunks(used, chunks, frame.chunk_size)
        known = np.isin(states, (ChunkState.UNUSED, ChunkState.ZERO, ChunkState.PARENT)).all()
        if crc32c(body) != frame.body_crc or not known or (lengths == 0).any() or int(lengths.sum()) != used.total:
            raise damaged("frame", "does not say which chunks it skips")
        for chunk, length in zip(chunks.tolist(), lengths.tolist(), strict=True):
            state = ChunkState(int(states[chunk - frame.chunk]))
            digest = blake3_digest(bytes(length)) if state is ChunkState.ZERO else self._parent_digest(chunk)
            self._table.add(chunk, state, length, digest)

    def _parent_digest(self, chunk: int) -> bytes:
        row = self.parent.row(chunk) if self.parent else -1
        return self.parent.chunks["digest"][row].tobytes() if self.parent and row >= 0 else bytes(32)

    def _lose(self, first: int, end: int, message: str) -> None:
        size = self.first.chunk_size
        span = Extents.span(first * size, min(end * size, self.first.partition_size))
        if not span:
            return
        self.lost |= span
        where = f"{self.stream.name}, partition bytes {span.start} to {span.end}"
        self.findings.append(Finding(Severity.ERROR, "image.frames-lost", where, message))

    def _manifest(self, extents: Extents, summary: ImageSummary) -> Manifest:
        manifest = self._meta.manifest if self._meta else self._manifest_of(summary)
        found = {"stored_bytes": self._end, "image_bytes": extents.total, "chunk_size": self.first.chunk_size}
        return manifest.model_copy(update=found)

    def _manifest_of(self, summary: ImageSummary) -> Manifest:
        """A manifest for an image that has lost its own."""
        return Manifest(
            name=summary.name,
            kind="factory" if summary.kind == "factory" else "user",
            image_id=self.first.image_id.hex(),
            parent=summary.parent.hex() if summary.parent else None,
            created=summary.created,
            partition=PartitionIdentity(size=self.first.partition_size),
            filesystem=FilesystemIdentity(kind="unknown"),
        )


def _stand_in(image_id: bytes, header: Header | None) -> ImageSummary:
    """What is known of an image of which only frames are left."""
    parent = header.parent_id if header and header.parent_id != NO_ID else None
    return ImageSummary(image_id, f"recovered-{image_id.hex()[:12]}", "user", datetime.fromtimestamp(0, UTC), parent)
