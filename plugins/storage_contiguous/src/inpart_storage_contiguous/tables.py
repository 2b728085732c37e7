"""A table of contents as a whole: header, directory, entries, trailer; encoding, decoding, reading from a volume."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inpart.checksums import blake3_digest, crc32c
from inpart.errors import InpartError, NoSpace
from inpart.extents import Extents, Runs
from inpart.units import align_up
from inpart.volume import Volume

from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.headers import (
    TableHeader,
    end_signature,
)
from inpart_storage_contiguous.structs import (
    MAX_BLOB,
    MAX_ENTRIES,
    MAX_SEGMENT_RUNS,
    TABLE_HEADER,
    TABLE_TRAILER,
    Buffer,
    Geometry,
    TableKind,
    require,
)


@dataclass(frozen=True, eq=False)
class Table:
    """What one table of contents says. ``room`` are the clusters set aside for the directory ``/.inpart``.

    ``entries`` are oldest first, that is from the partition's end downward as long as nothing was removed.
    """

    geometry: Geometry
    container_id: bytes
    partition_signature: bytes
    generation: int
    created: int
    toc_begin_offset: int
    room: Runs
    entries: tuple[Entry, ...]
    kind: int = TableKind.TOC_END
    slot: int = 0
    own_offset: int = 0
    inter_number: int = 0

    def extents(self) -> Extents:
        """All clusters of the container's files: images, tables, journal."""
        geometry = self.geometry
        controls = [(offset, offset + geometry.toc_size) for offset in self.control_offsets().values()]
        ends = Extents([*controls, (geometry.toc_end_offset, geometry.end)])
        return Extents.union([ends, *(entry.placement.extents for entry in self.entries)])

    def control_offsets(self) -> dict[int, int]:
        """Where ``toc_begin`` (as number 0) and every ``inter<n>`` start."""
        found = {entry.inter_number: entry.inter_offset for entry in self.entries if entry.inter_number}
        return {0: self.toc_begin_offset, **found} if self.toc_begin_offset else found

    def checksum(self) -> bytes:
        """BLAKE3 over image id, digest, stream size and segment checksum of every entry in order."""
        parts = (
            entry.image_id
            + entry.summary.digest.ljust(32, b"\0")
            + struct.pack("<QI", entry.summary.stream_size, entry.segments_crc32c)
            for entry in self.entries
        )
        return blake3_digest(b"".join(parts))

    def at(self, kind: TableKind, offset: int, *, slot: int = 0, number: int = 0) -> Table:
        """The same content for another place."""
        return replace(self, kind=kind, own_offset=offset, slot=slot, inter_number=number)

    def pack(self) -> bytes:
        """The table as on the disk. Raises NoSpace if it does not fit into its slot."""
        for entries in self._shorter():
            packed = self._pack(entries)
            if len(packed) <= self.geometry.slot_size and len(entries) <= MAX_ENTRIES:
                return packed
        raise NoSpace(
            f"the table of contents needs {len(packed)} bytes for {len(self.entries)} images and its place in the "
            f"container has {self.geometry.slot_size}",
            hint="delete an image first, or choose a larger segment size",
        )

    def _shorter(self) -> list[list[Entry]]:
        """The entries, then with fewer copies of system areas: those of the newest image only, then none."""
        entries = list(self.entries)
        bare = [entry.without_system() for entry in entries]
        return [entries, bare[:-1] + entries[-1:], bare]

    def _pack(self, entries: Sequence[Entry]) -> bytes:
        listing = align_up(TABLE_HEADER + 4 * len(entries), 8)
        room = self.room.array.astype("<i8").tobytes()
        offsets, body = [], b""
        for entry in entries:
            offsets.append(listing + len(room) + len(body))
            body += entry.pack()
        directory = struct.pack(f"<{len(offsets)}I", *offsets).ljust(listing - TABLE_HEADER, b"\0")
        body = directory + room + body + end_signature(self.kind) + struct.pack("<Q", self.generation)
        extents = self.extents()
        header = TableHeader(
            self.geometry, self.container_id, self.partition_signature, self.own_offset, self.generation,
            extents.start, extents.total, self.toc_begin_offset, self.created, self.checksum(), len(entries),
            TABLE_HEADER, TABLE_HEADER + len(body), crc32c(body), self.kind, self.slot, len(self.room),
            self.inter_number,
        )  # fmt: skip
        return header.pack() + body

    @classmethod
    def unpack(cls, header: TableHeader, data: Buffer) -> Table:
        """``data`` is the whole table, header included. Raises IntegrityError."""
        require(len(data) == header.table_length, "length of a table")
        require(crc32c(memoryview(data)[TABLE_HEADER:]) == header.body_crc32c, "checksum of a table")
        trailer = bytes(data[-TABLE_TRAILER:])
        require(trailer == end_signature(header.kind) + struct.pack("<Q", header.generation), "end of a table")
        geometry, at = header.geometry, header.directory_offset
        offsets = struct.unpack_from(f"<{header.entry_count}I", data, at)
        at = align_up(at + 4 * header.entry_count, 8)
        require(at + 16 * header.room_count <= len(data), "room of the directory")
        numbers = struct.unpack_from(f"<{2 * header.room_count}q", data, at)
        room = list(zip(numbers[::2], numbers[1::2], strict=True))
        inside = all(geometry.data_start <= start < start + length <= geometry.data_end for start, length in room)
        require(inside, "room of the directory")
        entries: list[Entry] = []
        for offset in offsets:
            budget = MAX_BLOB - sum(entry.expanded for entry in entries)
            entries.append(Entry.unpack(data, offset, bound=geometry.data_end, budget=budget))
        made = cls(
            geometry, header.container_id, header.partition_signature, header.generation, header.created,
            header.toc_begin_offset, Runs(room), tuple(entries), header.kind, header.slot, header.own_offset,
            header.inter_number,
        )  # fmt: skip
        made._check(header)
        return made

    def _check(self, header: TableHeader) -> None:
        """Raise IntegrityError if the parts contradict each other."""
        geometry = self.geometry
        for offset in self.control_offsets().values():
            require(geometry.data_start <= offset <= geometry.data_end - geometry.toc_size, "place of a table")
        require(len({entry.image_id for entry in self.entries}) == len(self.entries), "the same image twice")
        require(len({entry.stem.lower() for entry in self.entries}) == len(self.entries), "the same file name twice")
        require(len(self.room) <= MAX_SEGMENT_RUNS, "room of the directory")
        if self.kind != TableKind.INTER:
            require(self.checksum() == header.container_checksum, "checksum of the container")
            extents = self.extents()
            require(extents.start == header.container_offset, "offset to the beginning of the container")
            require(extents.total == header.container_size, "size of the container")


def read_table(volume: Volume, offset: int) -> Table:
    """The table at ``offset`` of ``volume``. Raises IntegrityError, VolumeError."""
    header = TableHeader.unpack(volume.read(offset, TABLE_HEADER))
    return Table.unpack(header, volume.read(offset, header.table_length))


def try_read(volume: Volume, offset: int) -> Table | None:
    """``read_table``, or None if there is no valid one."""
    try:
        return read_table(volume, offset)
    except InpartError:
        return None
