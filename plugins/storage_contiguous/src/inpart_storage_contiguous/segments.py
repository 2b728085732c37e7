"""Writing the segments of one image stream: large writes forward in each, from the partition's end downward."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
from inpart.checksums import crc32c
from inpart.errors import IntegrityError, NoSpace
from inpart.extents import Extents, Runs
from inpart.units import MIB, align_up
from inpart.volume import Buffer, RunsVolume, Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.carving import Descent, Path
from inpart_storage_contiguous.headers import (
    SegmentHeader,
)
from inpart_storage_contiguous.placement import Placement
from inpart_storage_contiguous.structs import (
    SEGMENT_HEADER,
    SegmentFlag,
)

UNIT = MIB
"""Writes are multiples of this, at multiples of it behind a segment's header; only a segment's last may be shorter."""
_MOVE = 4 * MIB


@dataclass
class _Segment:
    """The segment that is being filled: its clusters, and how much of its payload is on the volume already."""

    path: Path
    file: Volume
    written: int = 0
    checksum: int = 0

    @property
    def room(self) -> int:
        return self.file.size - SEGMENT_HEADER - self.written


class SegmentWriter:
    """Lays a stream into segments. ``template`` is a header with everything that all segments share.

    A segment's header is written after its payload. The payload goes to the volume straight from the caller's
    buffers, except for what is needed to round writes to ``UNIT``.
    """

    def __init__(self, volume: Volume, descent: Descent, template: SegmentHeader, capacity: int) -> None:
        self._volume = volume
        self._descent = descent
        self._template = template
        self._capacity = capacity
        self._buffer = memoryview(bytearray(UNIT))
        self._filled = 0
        self._segment: _Segment | None = None
        self._paths: list[Path] = []
        self._payloads: list[int] = []
        self._checksums: list[int] = []
        self._first: SegmentHeader | None = None
        self._last: SegmentHeader | None = None
        self._laid = 0
        self.size = 0

    def write(self, data: Buffer) -> None:
        """Append to the stream. Raises NoSpace beyond the capacity."""
        view = memoryview(data).cast("B")
        if self.size + len(view) > self._capacity:
            raise self._no_space()
        self.size += len(view)
        while view:
            segment = self._segment or self._open()
            part = view[: segment.room - self._filled]
            if not self._filled and len(part) >= UNIT:
                part = part[: len(part) // UNIT * UNIT]
                self._store(segment, part)
            else:
                part = part[: UNIT - self._filled]
                self._buffer[self._filled : self._filled + len(part)] = part
                self._filled += len(part)
                if self._filled in (UNIT, segment.room):
                    self._flush(segment)
            view = view[len(part) :]
            if not segment.room:
                self._close(segment)

    def finish(self, shared: SegmentHeader) -> SegmentHeader:
        """Complete the last segment, slid up to touch the one before, and flush. Raises IntegrityError if empty.

        Segment 0 gets what ``shared`` says of the image; its header is returned.
        """
        if self._segment is not None:
            self._slide(self._segment)
            self._flush(self._segment)
            self._clear_slack(self._segment)
            self._close(self._segment)
        if self._first is None or self._last is None:
            raise IntegrityError("an image stream cannot be empty")
        last = replace(self._last, flags=SegmentFlag.LAST)
        place = last if last.sequence == 0 else self._first
        first = replace(
            shared, own_offset=place.own_offset, runs=place.runs, payload_length=place.payload_length,
            payload_crc32c=place.payload_crc32c, flags=place.flags,
        )  # fmt: skip
        if last.sequence:
            self._volume.write(last.own_offset, last.pack())
        self._volume.write(first.own_offset, first.pack())
        self._volume.flush()
        return first

    def placement(self, file_limit: int) -> Placement:
        """Where everything is, grouped into files of at most ``file_limit`` bytes."""
        runs = np.array([run for path in self._paths for run in path], dtype=np.int64).reshape(-1, 2)
        sizes = [sum(length for _, length in path) for path in self._paths]
        counts = np.array([len(path) for path in self._paths], dtype=np.int64)
        files = np.array(naming.group(sizes, file_limit), dtype=np.int64)
        return Placement(runs, counts, np.array(self._payloads, dtype=np.int64), files)

    def checksum(self) -> int:
        """CRC-32C over the payload checksums of all segments."""
        return crc32c(struct.pack(f"<{len(self._checksums)}I", *self._checksums))

    def _open(self) -> _Segment:
        path = self._descent.take(self._template.segment_size)
        if not path:
            raise self._no_space()
        self._segment = _Segment(path, _along(self._volume, path))
        return self._segment

    def _store(self, segment: _Segment, data: memoryview) -> None:
        segment.file.write(SEGMENT_HEADER + segment.written, data)
        segment.checksum = crc32c(data, segment.checksum)
        segment.written += len(data)

    def _flush(self, segment: _Segment) -> None:
        self._store(segment, self._buffer[: self._filled])
        self._filled = 0

    def _close(self, segment: _Segment) -> None:
        """Write the header of a complete segment."""
        header = replace(
            self._template, own_offset=segment.path[0][0], stream_offset=self._laid, sequence=len(self._paths),
            payload_length=segment.written, payload_crc32c=segment.checksum, runs=tuple(segment.path),
        )  # fmt: skip
        self._volume.write(header.own_offset, header.pack())
        self._first = self._first or header
        self._last = header
        self._laid += segment.written
        self._paths.append(segment.path)
        self._payloads.append(segment.written)
        self._checksums.append(segment.checksum)
        self._segment = None

    def _slide(self, segment: _Segment) -> None:
        """Move the last segment up so that its clusters end where they touch the segment before."""
        used = SEGMENT_HEADER + segment.written + self._filled
        path = _top_of(segment.path, align_up(used, self._template.geometry.cluster_size))
        target = _along(self._volume, path)
        if path != segment.path:
            _move(segment.file, target, SEGMENT_HEADER, segment.written)
        segment.path, segment.file = path, target

    def _clear_slack(self, segment: _Segment) -> None:
        """Zeros behind the payload, so that nothing of what was there before stays in the container."""
        if segment.room:
            segment.file.write(segment.file.size - segment.room, bytes(segment.room))

    def _no_space(self) -> NoSpace:
        return NoSpace(
            f"the image stream grows beyond the {self._capacity} bytes that were planned for it",
            hint="free some space, or write the image elsewhere with --to FILE",
        )


def _along(volume: Volume, path: Path) -> Volume:
    return RunsVolume(volume, Runs(path), name="segment")


def _top_of(path: Path, size: int) -> Path:
    """The highest ``size`` bytes of ``path``, or a little more so that the lowest run holds a segment header."""
    space = Extents([(start, start + length) for start, length in path])
    part = Descent(space).take(size)
    short = size - sum(length for _, length in part)
    return Descent(space).take(size - short + SEGMENT_HEADER) if short else part


def _move(source: Volume, target: Volume, offset: int, length: int) -> None:
    """Copy bytes to where they overlap themselves further up the same clusters: the last ones first."""
    buffer = memoryview(bytearray(min(_MOVE, length)))
    done = length
    while done:
        part = buffer[: min(_MOVE, done)]
        done -= len(part)
        source.readinto(offset + done, part)
        target.write(offset + done, part)
