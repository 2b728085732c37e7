"""Checking every stored byte of an image stream, and naming the parts of the partition that damage touches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from inpart.checksums import crc32c
from inpart.contracts import Finding, Severity
from inpart.errors import InpartError, IntegrityError, VolumeError
from inpart.extents import Extents
from inpart.image.chunks import pipeline_depth
from inpart.image.coding import decode_extents
from inpart.image.frame import Frame, FrameKind
from inpart.image.pipeline import ordered_map
from inpart.image.structs import FRAME_SIZE, HEADER_SIZE, ChunkState, damaged

if TYPE_CHECKING:
    from inpart.image.reader import ImageReader

Level = Literal["stored", "full"]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class ImageFinding(Finding):
    """A finding in an image stream; ``chunk`` is -1 and ``extents`` empty where no content is touched.

    ``extents`` are the used bytes of the partition that cannot be trusted.
    """

    chunk: int = -1
    extents: Extents = field(default_factory=Extents)


class _Stretch(NamedTuple):
    """``length`` bytes of the stream from ``offset`` on: the frame of a table row, or (row -1) another frame."""

    offset: int
    row: int
    length: int
    problem: str = ""


def damaged_extents(findings: Iterable[Finding]) -> Extents:
    """All used bytes of the partition that the findings of ``verify_image`` say cannot be trusted."""
    pairs = [pair for finding in findings if isinstance(finding, ImageFinding) for pair in finding.extents]
    return Extents(pairs)


def verify_image(reader: ImageReader, level: Level, progress: Progress | None) -> Iterator[Finding]:
    """Read the whole stream: ``stored`` compares the CRC-32C of all that is stored, ``full`` decodes as well.

    With ``full`` each chunk is compared with its BLAKE3 digest, chunks of the parent image included. ``progress`` is
    called with the number of bytes of the stream done, which add up to the manifest's ``stored_bytes``.
    """
    check = _Check(reader, level)
    if progress:
        progress(HEADER_SIZE)
    depth = pipeline_depth(reader.chunk_size)
    with closing(ordered_map(check.stretches(), check.findings, depth=depth)) as results:
        for length, found in results:
            yield from found
            if progress:
                progress(length)


class _Check:
    def __init__(self, reader: ImageReader, level: Level) -> None:
        self.reader = reader
        self.level = level
        self.name = reader.manifest.name
        self._local = threading.local()

    def stretches(self) -> Iterator[_Stretch]:
        """The stream from the header to the index, frame by frame; chunks without a frame have length 0."""
        table, at = self.reader.chunks, HEADER_SIZE
        for row in range(len(table)):
            entry = table[row]
            if entry["state"] != ChunkState.STORED:
                yield _Stretch(at, row, 0)
                continue
            offset = int(entry["frame_offset"])
            yield from self._gap(at, offset)
            length = FRAME_SIZE + int(entry["runs_length"]) + int(entry["body_length"])
            yield _Stretch(offset, row, length)
            at = offset + length
        yield from self._gap(at, self.reader.index.frames_end)

    def _gap(self, at: int, end: int) -> Iterator[_Stretch]:
        """The META and SKIP frames between the frames of two stored chunks; from a broken one on all is one stretch."""
        while at < end:
            try:
                frame = Frame.unpack(self.reader.stream.read(at, min(FRAME_SIZE, end - at)))
                if (
                    frame.kind is FrameKind.DATA
                    or frame.image_id != self.reader.index.image_id
                    or at + frame.size > end
                ):
                    raise damaged("frame header", "belongs elsewhere")
            except InpartError as error:
                yield _Stretch(at, -1, end - at, error.message)
                return
            yield _Stretch(at, -1, frame.size)
            at += frame.size

    def _data(self, stretch: _Stretch) -> memoryview:
        """Raises IntegrityError, VolumeError."""
        if stretch.problem:
            raise IntegrityError(stretch.problem)
        data = self._buffer(stretch.length)
        self.reader.stream.readinto(stretch.offset, data)
        return data

    def _buffer(self, length: int) -> memoryview:
        """Memory that its thread uses again for the next stretch."""
        memory: bytearray = getattr(self._local, "memory", bytearray())
        if len(memory) < length:
            memory = self._local.memory = bytearray(length)
        return memoryview(memory)[:length]

    def findings(self, stretch: _Stretch) -> tuple[int, list[Finding]]:
        """(bytes of the stream, what is wrong with them) for one stretch."""
        check = self._spare if stretch.row < 0 else self._chunk
        return stretch.length, list(check(stretch))

    def _spare(self, stretch: _Stretch) -> Iterator[Finding]:
        """A META or SKIP frame."""
        try:
            data = self._data(stretch)
            frame = Frame.unpack(data)
            frame_extents(frame, data[FRAME_SIZE : FRAME_SIZE + frame.runs_length])
            if crc32c(data[FRAME_SIZE + frame.runs_length :]) != frame.body_crc:
                raise damaged("frame", "has a wrong checksum")
        except (IntegrityError, VolumeError) as error:
            yield ImageFinding(
                Severity.WARNING,
                "image.spare-copy",
                f"image {self.name}, stream bytes {stretch.offset} to {stretch.offset + stretch.length}",
                f"{error.message}; no chunk is stored here",
            )

    def _chunk(self, stretch: _Stretch) -> Iterator[Finding]:
        entry = self.reader.chunks[stretch.row]
        number = int(entry["chunk"])
        try:
            data = self._data(stretch)
            body = data[FRAME_SIZE + int(entry["runs_length"]) :]
            if entry["state"] == ChunkState.STORED and crc32c(body) != int(entry["body_crc"]):
                raise IntegrityError("its stored bytes have a wrong checksum")
            if self.level == "full":
                self.reader.decode_body(number, stretch.row, body)
        except InpartError as error:
            if self.reader.borrowed(number, stretch.row) is None:
                yield self._chunk_finding(Severity.ERROR, "image.chunk", number, error.message, lost=True)
            else:
                message = f"{error.message}; another image here holds the same content"
                yield self._chunk_finding(Severity.WARNING, "image.chunk-elsewhere", number, message, lost=False)
            return
        if stretch.length:
            try:
                self._check_header(data, stretch.row)
            except IntegrityError as error:
                message = f"{error.message}; its content is intact"
                yield self._chunk_finding(Severity.WARNING, "image.frame-header", number, message, lost=False)

    def _check_header(self, data: memoryview, row: int) -> None:
        entry, frame = self.reader.chunks[row], Frame.unpack(data)
        number = int(entry["chunk"])
        stated = (frame.kind, frame.image_id, frame.chunk, frame.encoding, frame.plain_length, frame.body_length)
        known = (FrameKind.DATA, self.reader.index.image_id, number, int(entry["encoding"]))
        if stated != (*known, int(entry["plain_length"]), int(entry["body_length"])):
            raise damaged("frame header", "contradicts the index")
        if (frame.digest, frame.body_crc) != (entry["digest"].tobytes(), int(entry["body_crc"])):
            raise damaged("frame header", "contradicts the index")
        if frame_extents(frame, data[FRAME_SIZE : FRAME_SIZE + frame.runs_length]) != self.reader.chunk_extents(number):
            raise damaged("frame", "has other runs than the index")

    def _chunk_finding(self, severity: Severity, code: str, number: int, message: str, *, lost: bool) -> ImageFinding:
        extents = self.reader.chunk_extents(number)
        where = f"image {self.name}, chunk {number}, partition bytes {extents.start} to {extents.end}"
        return ImageFinding(severity, code, where, message, number, extents if lost else Extents())


def frame_extents(frame: Frame, runs: bytes | memoryview) -> Extents:
    """The used bytes that the coded ``runs`` of a frame stand for, proven by their checksum. Raises IntegrityError."""
    if len(runs) != frame.runs_length or crc32c(runs) != frame.runs_crc:
        raise damaged("frame", "has a wrong checksum of its runs")
    if frame.kind is FrameKind.META:
        return Extents()
    base = frame.chunk * frame.chunk_size
    end = min(base + frame.count * frame.chunk_size, frame.partition_size)
    return decode_extents(runs, base, end, max_runs=frame.runs_length)
