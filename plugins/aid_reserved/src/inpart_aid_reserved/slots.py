"""The slots of an anchor on the disk: a header of 64 bytes, then the record as deflated JSON.

Little-endian; docs/FORMAT.md, chapter "Anchor in reserved places", has it byte by byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from inpart.checksums import all_zero, crc32c
from inpart.errors import IntegrityError
from inpart.extents import Extents
from inpart.inflate import inflate
from inpart.units import KIB, SECTOR
from inpart.volume import Volume

MAGIC = b"\x9eipA\r\n\x1ar"
MAJOR, MINOR = 1, 0
HEADER = struct.Struct("<8sHHIQQIIIIQ8x")
AREA = 64 * KIB
"""An anchor lies in the first 64 KiB of its partition, at a multiple of 512 bytes."""
RECORD_LIMIT = 256 * KIB
_CHECKSUM_AT = 12


@dataclass(frozen=True)
class Slot:
    """A slot with an intact header; ``own`` and ``other`` are the places of the two slots, in the partition.

    ``sequence`` is one more than that of the slot written before.
    """

    own: int
    other: int
    size: int
    sequence: int
    stored_length: int
    record_length: int
    checksum: int

    def pack(self) -> bytes:
        """The header, sealed."""
        raw = bytearray(
            HEADER.pack(
                MAGIC, MAJOR, MINOR, 0, self.own, self.other, self.size,
                self.stored_length, self.record_length, self.checksum, self.sequence,
            )
        )  # fmt: skip
        struct.pack_into("<I", raw, _CHECKSUM_AT, crc32c(raw))
        return bytes(raw)

    @classmethod
    def unpack(cls, raw: bytes, place: int, end: int) -> Slot | None:
        """The slot at ``place`` of a partition whose anchor ends before ``end``; None if there is no intact header."""
        magic, major, _, seal, own, other, size, stored, length, checksum, sequence = HEADER.unpack(raw)
        unsealed = raw[:_CHECKSUM_AT] + bytes(4) + raw[_CHECKSUM_AT + 4 :]
        slot = cls(own, other, size, sequence, stored, length, checksum)
        if magic != MAGIC or major != MAJOR or own != place or seal != crc32c(unsealed):
            return None
        return slot if slot._possible(end) else None

    def _possible(self, end: int) -> bool:
        places = (self.own, self.other)
        apart = abs(self.own - self.other) >= self.size >= SECTOR
        aligned = all(place % SECTOR == 0 and 0 <= place <= end - self.size for place in places)
        return apart and aligned and self.stored_length <= self.size - HEADER.size

    @property
    def span(self) -> Extents:
        """Its bytes in the partition."""
        return Extents.span(self.own, self.own + self.size)

    def content(self, volume: Volume) -> bytes:
        """The record's JSON. Raises IntegrityError, VolumeError."""
        stored = volume.read(self.own + HEADER.size, self.stored_length)
        what = f"the anchor at byte {self.own}"
        if crc32c(stored) != self.checksum or self.record_length > RECORD_LIMIT:
            raise IntegrityError(f"{what} is damaged")
        return inflate(stored, self.record_length, what)


def slots_on(volume: Volume) -> list[Slot]:
    """All slots with an intact header in the usual places, newest first."""
    end = min(AREA, volume.size)
    return sorted(_slots(volume.read(0, end), end), key=lambda slot: slot.sequence, reverse=True)


def _slots(area: bytes, end: int) -> Iterator[Slot]:
    for place in range(0, end - HEADER.size + 1, SECTOR):
        if area[place : place + 8] == MAGIC:
            slot = Slot.unpack(area[place : place + HEADER.size], place, end)
            if slot is not None:
                yield slot


def is_blank(volume: Volume, start: int, length: int) -> bool:
    """True if there is nothing but zeros."""
    return all_zero(volume.read(start, length))
