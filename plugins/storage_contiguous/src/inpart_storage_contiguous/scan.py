"""Finding container structures by their signatures: a vectorised scan backward through a volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from inpart.errors import IntegrityError, VolumeError
from inpart.extents import Extents
from inpart.scan import scan_windows
from inpart.units import MIB, SECTOR, align_down
from inpart.volume import Volume

from inpart_storage_contiguous.headers import (
    SegmentHeader,
    TableHeader,
)
from inpart_storage_contiguous.structs import (
    FAMILY,
    SEGMENT_HEADER,
    SEGMENT_SIGNATURE,
    TABLE_HEADER,
    is_sealed,
)

_MASK = np.uint64((1 << 8 * len(FAMILY)) - 1)
_FAMILY = np.uint64(int.from_bytes(FAMILY, "little"))
MAX_BYTES_KEPT = 64 * MIB
MAX_DESCRIBED = 1024
_OVERHEAD = 64
MAX_TABLES_KEPT = 4096

Key = tuple[bytes, int]
"""Container id, and where the partition starts on the scanned volume according to a structure's own record."""


@dataclass
class Group:
    """The structures of one container in one partition: headers and places of tables, raw headers of segments."""

    tables: list[tuple[TableHeader, int]] = field(default_factory=list)
    segments: list[bytes] = field(default_factory=list)

    def span(self, base: int) -> Extents:
        """From the first to the last structure, as one run of the scanned volume."""
        places = [offset for _, offset in self.tables] + [base + header.own_offset for header in self.headers()]
        return Extents.span(min(places), max(places) + 1)

    def headers(self) -> Iterator[SegmentHeader]:
        """Segment headers, highest place first."""
        for raw in self.segments:
            try:
                yield SegmentHeader.unpack(raw.ljust(SEGMENT_HEADER, b"\0"))
            except IntegrityError:
                continue


@dataclass
class Marks:
    """All structures found, by container; bounded, whatever a volume pretends to hold.

    ``kept`` counts bytes of segment headers, ``described`` those that carry copies of system areas.
    """

    groups: dict[Key, Group] = field(default_factory=dict)
    tables: int = 0
    kept: int = 0
    described: int = 0

    def add_table(self, offset: int, header: TableHeader) -> None:
        if self.tables < MAX_TABLES_KEPT:
            self.tables += 1
            group = self.groups.setdefault((header.container_id, offset - header.own_offset), Group())
            group.tables.append((header, offset))

    def add_segment(self, offset: int, header: SegmentHeader, raw: bytes) -> None:
        raw = raw.rstrip(b"\0")
        self.described += bool(header.system)
        if self.kept + len(raw) <= MAX_BYTES_KEPT and self.described <= MAX_DESCRIBED:
            self.kept += len(raw) + _OVERHEAD
            group = self.groups.setdefault((header.container_id, offset - header.own_offset), Group())
            group.segments.append(raw)


def scan(volume: Volume, start: int, end: int, marks: Marks) -> None:
    """Add to ``marks`` every intact structure that starts in ``[start, end)`` at a multiple of 512 bytes.

    The highest place comes first.
    """
    for low, window in scan_windows(volume, start=align_down(max(start, 0), SECTOR), end=min(end, volume.size)):
        for offset, header in reversed(list(_sealed(volume, low, window))):
            _add(offset, header, marks)


def scan_extents(volume: Volume, extents: Extents, marks: Marks) -> None:
    """``scan`` over several extents, the last one first."""
    for start, end in reversed(list(extents)):
        scan(volume, start, end, marks)


def _sealed(volume: Volume, offset: int, window: memoryview) -> Iterator[tuple[int, bytes]]:
    """(place, header) of what has a signature and the right checksum. What was forged costs a checksum each."""
    words = np.frombuffer(window, dtype="<u8", count=align_down(len(window), SECTOR) // 8)[:: SECTOR // 8]
    for sector in np.flatnonzero((words & _MASK) == _FAMILY).tolist():
        at = sector * SECTOR
        size = SEGMENT_HEADER if bytes(window[at : at + 8]) == SEGMENT_SIGNATURE else TABLE_HEADER
        header = window[at : at + size]
        if len(header) < size:
            header = _rest(volume, offset + at, size)
        if len(header) == size and is_sealed(header):
            yield offset + at, bytes(header)


def _rest(volume: Volume, offset: int, size: int) -> memoryview:
    """A header that reaches beyond its window; nothing if it cannot be read."""
    try:
        return memoryview(volume.read(offset, size))
    except VolumeError:
        return memoryview(b"")


def _add(offset: int, header: bytes, marks: Marks) -> None:
    """Add a structure unless its fields are impossible."""
    try:
        if header[:8] == SEGMENT_SIGNATURE:
            marks.add_segment(offset, SegmentHeader.unpack(header), header)
        else:
            marks.add_table(offset, TableHeader.unpack(header))
    except IntegrityError:
        return
