"""The two headers of the contiguous container: of a segment and of a table of contents."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import ClassVar, Self

from inpart.inflate import inflate

from inpart_storage_contiguous.areas import Areas, pack_areas, unpack_areas
from inpart_storage_contiguous.structs import (
    AREAS_AT,
    CHECKED_FROM,
    CONTAINER_SIGNATURE,
    MAX_AREAS,
    MAX_ENTRIES,
    MAX_NAME,
    MAX_OFFSET,
    MAX_SEGMENT_RUNS,
    MAX_SEGMENTS,
    PARTIAL_BEGIN_SIGNATURE,
    PARTIAL_END_SIGNATURE,
    RUNS_AT,
    SEGMENT_HEADER,
    SEGMENT_SIGNATURE,
    STRUCTURE,
    TABLE_HEADER,
    TABLE_TRAILER,
    TOC_BEGIN_SIGNATURE,
    TOC_END_SIGNATURE,
    Buffer,
    Geometry,
    ImageState,
    TableKind,
    clip_text,
    is_sealed,
    require,
    sealed,
    to_text,
)


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first 4 KiB of a segment. ``runs`` are (start, length) of its clusters, header included, in stream order.

    Segment 0 also carries what the table says of the image, so that segments alone suffice to find it.
    """

    geometry: Geometry
    container_id: bytes
    partition_signature: bytes
    image_id: bytes
    own_offset: int
    stream_offset: int
    payload_length: int
    sequence: int
    payload_crc32c: int
    runs: tuple[tuple[int, int], ...]
    flags: int = 0
    state: int = ImageState.WRITTEN
    segment_size: int = 0
    file_limit: int = 0
    stream_size: int = 0
    image_bytes: int = 0
    created: int = 0
    kind: str = ""
    digest: bytes = bytes(32)
    parent: bytes = bytes(16)
    name: str = ""
    system: Areas = field(default_factory=dict)

    FIXED: ClassVar[struct.Struct] = struct.Struct("<16s16s16sQQQIIHHHHQQQQq16s32s16s")
    NAME_AT: ClassVar[int] = 256
    AREAS: ClassVar[struct.Struct] = struct.Struct("<HHI")

    @property
    def allocated(self) -> int:
        """Bytes of clusters that the segment takes."""
        return sum(length for _, length in self.runs)

    def pack(self) -> bytes:
        """The 4096 bytes on the disk."""
        header = bytearray(SEGMENT_HEADER)
        name = clip_text(self.name, MAX_NAME)
        self.FIXED.pack_into(
            header, CHECKED_FROM, self.container_id, self.partition_signature, self.image_id,
            self.own_offset, self.stream_offset, self.payload_length, self.sequence, self.payload_crc32c,
            self.flags, self.state, len(self.runs), len(name), self.segment_size, self.file_limit,
            self.stream_size, self.image_bytes, self.created, clip_text(self.kind, 16), self.digest, self.parent,
        )  # fmt: skip
        self.geometry.pack_into(header)
        header[self.NAME_AT : self.NAME_AT + len(name)] = name
        struct.pack_into(f"<{2 * len(self.runs)}Q", header, RUNS_AT, *(value for run in self.runs for value in run))
        areas = pack_areas(self.system)
        squeezed = zlib.compress(areas, 9)
        if areas and len(squeezed) <= SEGMENT_HEADER - AREAS_AT - self.AREAS.size:
            self.AREAS.pack_into(header, AREAS_AT, len(squeezed), len(self.system), len(areas))
            header[AREAS_AT + self.AREAS.size : AREAS_AT + self.AREAS.size + len(squeezed)] = squeezed
        return sealed(header, SEGMENT_SIGNATURE)

    @classmethod
    def unpack(cls, header: Buffer) -> Self:
        """Raises IntegrityError unless ``header`` holds a whole and possible segment header."""
        require(len(header) == SEGMENT_HEADER and bytes(header[:8]) == SEGMENT_SIGNATURE, "segment signature")
        require(is_sealed(header), "version or checksum of a segment header")
        (container_id, partition_signature, image_id, own, stream_offset, payload, sequence, payload_crc,
         flags, state, run_count, name_length, segment_size, file_limit, stream_size, image_bytes, created, kind,
         digest, parent) = cls.FIXED.unpack_from(header, CHECKED_FROM)  # fmt: skip
        geometry = Geometry.unpack(header)
        require(1 <= run_count <= MAX_SEGMENT_RUNS, "number of runs of a segment")
        numbers = struct.unpack_from(f"<{2 * run_count}Q", header, RUNS_AT)
        runs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        require(all(length > 0 and start + length <= geometry.data_end for start, length in runs), "runs of a segment")
        require(own == runs[0][0] and runs[0][1] >= SEGMENT_HEADER, "own place of a segment")
        allocated = sum(length for _, length in runs)
        require(0 < payload <= allocated - SEGMENT_HEADER, "payload of a segment")
        require(stream_offset < MAX_OFFSET and max(stream_size, image_bytes) < MAX_OFFSET, "sizes in a segment")
        require(sequence < MAX_SEGMENTS and name_length <= MAX_NAME, "sequence of a segment")
        name = to_text(bytes(header[cls.NAME_AT : cls.NAME_AT + name_length]))
        return cls(
            geometry, container_id, partition_signature, image_id, own, stream_offset, payload, sequence, payload_crc,
            runs, flags, state, segment_size, file_limit, stream_size, image_bytes, created, to_text(kind), digest,
            parent, name, cls._areas(header),
        )  # fmt: skip

    @classmethod
    def _areas(cls, header: Buffer) -> Areas:
        stored, count, size = cls.AREAS.unpack_from(header, AREAS_AT)
        if not count:
            return {}
        begin = AREAS_AT + cls.AREAS.size
        require(begin + stored <= SEGMENT_HEADER and size <= MAX_AREAS, "system areas in a segment")
        return unpack_areas(inflate(bytes(header[begin : begin + stored]), size, STRUCTURE), 0, count)


@dataclass(frozen=True)
class TableHeader:
    """The first 512 bytes of a table of contents: ``toc_end`` slot, ``toc_begin`` or ``inter<n>``.

    ``container_offset`` is the lowest byte of the container, ``container_size`` its clusters in bytes,
    ``container_checksum`` the BLAKE3 over what the entries say of the images' content; ``table_length`` runs from
    this header's first byte to the end of the trailer.
    """

    geometry: Geometry
    container_id: bytes
    partition_signature: bytes
    own_offset: int
    generation: int
    container_offset: int
    container_size: int
    toc_begin_offset: int
    created: int
    container_checksum: bytes
    entry_count: int
    directory_offset: int
    table_length: int
    body_crc32c: int
    kind: int
    slot: int
    room_count: int
    inter_number: int

    FIXED: ClassVar[struct.Struct] = struct.Struct("<16s16s16sQQQQQq32sIIIIBBHI")

    def pack(self) -> bytes:
        """The 512 bytes on the disk."""
        header = bytearray(TABLE_HEADER)
        self.FIXED.pack_into(
            header, CHECKED_FROM, self.container_id, self.partition_signature, CONTAINER_SIGNATURE,
            self.own_offset, self.generation, self.container_offset, self.container_size, self.toc_begin_offset,
            self.created, self.container_checksum, self.entry_count, self.directory_offset, self.table_length,
            self.body_crc32c, self.kind, self.slot, self.room_count, self.inter_number,
        )  # fmt: skip
        self.geometry.pack_into(header)
        return sealed(header, begin_signature(self.kind))

    @classmethod
    def unpack(cls, header: Buffer) -> Self:
        """Raises IntegrityError unless ``header`` holds a whole and possible table header."""
        require(len(header) == TABLE_HEADER and is_sealed(header), "version or checksum of a table header")
        container_id, partition_signature, container_signature, *rest = cls.FIXED.unpack_from(header, CHECKED_FROM)
        made = cls(Geometry.unpack(header), container_id, partition_signature, *rest)
        require(container_signature == CONTAINER_SIGNATURE, "container signature")
        require(made.kind in tuple(TableKind) and bytes(header[:8]) == begin_signature(made.kind), "kind of a table")
        require(made.entry_count <= MAX_ENTRIES and made.room_count <= MAX_SEGMENT_RUNS, "counts of a table")
        listing = made.directory_offset + 4 * made.entry_count + 16 * made.room_count + TABLE_TRAILER
        require(made.directory_offset >= TABLE_HEADER and listing <= made.table_length, "directory of a table")
        require(made.table_length <= made.geometry.slot_size, "length of a table")
        require(max(made.own_offset, made.container_offset, made.toc_begin_offset) < MAX_OFFSET, "offsets of a table")
        return made


def begin_signature(kind: int) -> bytes:
    """What a table of that kind opens with."""
    return PARTIAL_BEGIN_SIGNATURE if kind == TableKind.INTER else TOC_BEGIN_SIGNATURE


def end_signature(kind: int) -> bytes:
    """What a table of that kind closes with."""
    return PARTIAL_END_SIGNATURE if kind == TableKind.INTER else TOC_END_SIGNATURE
