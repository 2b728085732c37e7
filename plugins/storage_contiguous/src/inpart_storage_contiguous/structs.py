"""Constants, limits and the shared part of the on-disk structures of the contiguous container.

All little-endian; docs/FORMAT.md, chapter "Contiguous container", has them byte by byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import IntEnum, IntFlag
from typing import ClassVar, Self

from inpart.checksums import crc32c
from inpart.errors import IntegrityError
from inpart.units import GIB, KIB, MIB, SECTOR, align_up, is_power_of_two

Buffer = bytes | bytearray | memoryview

MAJOR, MINOR = 1, 0
FAMILY = b"\x9eipC\r\n"
"""The first six bytes of every structure that a scan looks for; two more say which one."""
SEGMENT_SIGNATURE = FAMILY + b"sg"
TOC_BEGIN_SIGNATURE, TOC_END_SIGNATURE = FAMILY + b"tb", FAMILY + b"te"
PARTIAL_BEGIN_SIGNATURE, PARTIAL_END_SIGNATURE = FAMILY + b"pb", FAMILY + b"pe"
CONTAINER_SIGNATURE = b"inpart container"
ENTRY_SIGNATURE = b"IENT"

SEGMENT_HEADER = 4096
TABLE_HEADER = 512
TABLE_TRAILER = 16
ENTRY_HEADER = 192
GEOMETRY_AT = 208
RUNS_AT = 512
AREAS_AT = 2048
MAX_SEGMENT_RUNS = (AREAS_AT - RUNS_AT) // 16
MAX_NAME = 255
MAX_AREAS = 64 * KIB
MAX_SLOT = MIB
MAX_ENTRIES = 4096
MAX_SEGMENTS = 1 << 18
MAX_RUNS = 1 << 20
MAX_BLOB = 64 * MIB
MAX_OFFSET = 1 << 62
CHECKED_FROM = 16
"""A header's checksum covers everything behind the signature, the version and the checksum itself."""
STRUCTURE = "the container structure"

_PREFIX = struct.Struct("<8sHHI")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SegmentFlag(IntFlag):
    """LAST: the stream ends in this segment."""

    LAST = 1


class ImageState(IntEnum):
    """What segment 0 says of its image: WRITTEN until its commit, COMMITTED by it, REMOVED by its deletion."""

    WRITTEN = 0
    COMMITTED = 1
    REMOVED = 2


class TableKind(IntEnum):
    """Which file a table is in."""

    TOC_END = 1
    TOC_BEGIN = 2
    INTER = 3


class EntryFlag(IntFlag):
    """DEFLATED: the entry's blob is compressed. REBUILT: made from segment headers after the tables were lost."""

    DEFLATED = 1
    REBUILT = 2


def to_stamp(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC; a naive time counts as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def from_stamp(stamp: int) -> datetime:
    """The inverse of ``to_stamp``; what no calendar has becomes 1970."""
    try:
        return _EPOCH + timedelta(microseconds=stamp)
    except OverflowError:
        return _EPOCH


def to_text(data: bytes) -> str:
    """UTF-8 up to the first zero byte; damaged characters are replaced."""
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def clip_text(text: str, limit: int) -> bytes:
    """At most ``limit`` bytes of UTF-8, cut between characters."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore").encode()


def known_digest(digest: bytes) -> bytes:
    """Nothing for all zeros, which stands for a digest that was not known."""
    return digest if any(digest) else b""


def require(condition: bool, what: str) -> None:
    """Raise IntegrityError unless ``condition``: a field of a structure is impossible."""
    if not condition:
        raise IntegrityError(f"{STRUCTURE} is damaged: {what}")


@dataclass(frozen=True, slots=True)
class Geometry:
    """What every structure says of the partition and of the container's fixed end; bytes, relative to the partition.

    ``slot_size`` is the size of each of the two table slots at the end of ``toc_end``; what is before them in that
    file is the journal area.
    """

    partition_size: int
    data_start: int
    data_end: int
    cluster_size: int
    slot_size: int
    toc_end_offset: int
    toc_end_size: int

    LAYOUT: ClassVar[struct.Struct] = struct.Struct("<QQQIIQQ")

    @property
    def end(self) -> int:
        """One past the last byte of ``toc_end``."""
        return self.toc_end_offset + self.toc_end_size

    @property
    def toc_size(self) -> int:
        """Size of the files ``toc_begin`` and ``inter<n>``: a slot in whole clusters."""
        return align_up(self.slot_size, self.cluster_size)

    def slot_offset(self, slot: int) -> int:
        """Where table slot 0 or 1 of ``toc_end`` starts."""
        return self.end - (2 - slot) * self.slot_size

    def pack_into(self, header: bytearray) -> None:
        """Put the fields into their place in a header."""
        values = (getattr(self, field.name) for field in fields(self))
        self.LAYOUT.pack_into(header, GEOMETRY_AT, *values)

    @classmethod
    def unpack(cls, header: Buffer) -> Self:
        """From a segment or table header. Raises IntegrityError for impossible values."""
        made = cls(*cls.LAYOUT.unpack_from(header, GEOMETRY_AT))
        require(0 < made.partition_size < MAX_OFFSET, "size of the partition")
        require(made.data_start < made.data_end <= made.partition_size, "bounds of the data area")
        require(is_power_of_two(made.cluster_size) and SECTOR <= made.cluster_size <= GIB, "cluster size")
        require(4 * KIB <= made.slot_size <= MAX_SLOT and made.slot_size % SECTOR == 0, "slot size")
        require(made.toc_end_size >= 2 * made.slot_size, "size of toc_end")
        require(made.data_start <= made.toc_end_offset < made.end <= made.data_end, "place of toc_end")
        return made


def sealed(header: bytearray, signature: bytes) -> bytes:
    """``header`` with signature, version and its own checksum filled in."""
    _PREFIX.pack_into(header, 0, signature, MAJOR, MINOR, crc32c(memoryview(header)[CHECKED_FROM:]))
    return bytes(header)


def is_sealed(header: Buffer) -> bool:
    """True if a header has a version that this program reads and its own checksum fits."""
    _, major, _, checksum = _PREFIX.unpack_from(header)
    return bool(major == MAJOR and crc32c(memoryview(header)[CHECKED_FROM:]) == checksum)
