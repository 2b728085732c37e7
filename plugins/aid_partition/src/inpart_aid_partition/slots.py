"""The two slots of a recovery partition on the disk: a head of 4096 bytes with a directory, then the records.

Little-endian; docs/FORMAT.md, chapter "Recovery partition", has it byte by byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from inpart.checksums import crc32c
from inpart.errors import NoSpace, VolumeError
from inpart.scan import scan_magics
from inpart.units import KIB, MIB, align_down
from inpart.volume import Volume

MAGIC = b"\x9eipP\r\n\x1ap"
MAJOR, MINOR = 1, 0
HEAD = 4096
MAX_ENTRIES = 63
LEAST_SIZE = 64 * KIB
LARGEST_SLOT = 16 * MIB
LARGEST_PARTITION = 64 * MIB
"""Slots lie in the first 64 MiB, whatever the partition's size."""
CONTENT_LIMIT = 16 * MIB
"""All records of a slot together, as JSON; more is never unpacked."""
_HEAD = struct.Struct("<8sHHIQQQQH14x")
_ENTRY = struct.Struct("<QIII4x32s8x")
_CHECKSUM_AT = 12


class Entry(NamedTuple):
    """One record in the directory: ``offset`` in the slot, lengths in bytes, BLAKE3 of the stored bytes."""

    partition_start: int
    offset: int
    stored_length: int
    content_length: int
    digest: bytes


@dataclass(frozen=True)
class Slot:
    """A slot with an intact head; ``own`` and ``other`` are the places of the two slots in the recovery partition.

    ``place`` is where it was found on the volume that was looked at. Generations count the writes of the partition.
    """

    own: int
    other: int
    size: int
    generation: int
    entries: tuple[Entry, ...]
    place: int = 0

    def pack(self) -> bytes:
        """The head, sealed."""
        raw = bytearray(
            _HEAD.pack(
                MAGIC, MAJOR, MINOR, 0, self.own, self.other, self.size, self.generation, len(self.entries)
            )
        )  # fmt: skip
        for entry in self.entries:
            raw += _ENTRY.pack(*entry)
        raw = raw.ljust(HEAD, b"\0")
        struct.pack_into("<I", raw, _CHECKSUM_AT, crc32c(raw))
        return bytes(raw)

    @classmethod
    def unpack(cls, raw: bytes, place: int) -> Slot | None:
        """The slot whose head is ``raw``; None if that is not an intact head."""
        magic, major, _, seal, own, other, size, generation, count = _HEAD.unpack_from(raw)
        unsealed = raw[:_CHECKSUM_AT] + bytes(4) + raw[_CHECKSUM_AT + 4 :]
        if magic != MAGIC or major != MAJOR or count > MAX_ENTRIES or seal != crc32c(unsealed):
            return None
        entries = tuple(Entry(*_ENTRY.unpack_from(raw, _HEAD.size + index * _ENTRY.size)) for index in range(count))
        slot = cls(own, other, size, generation, entries, place)
        return slot if slot._possible() else None

    def _possible(self) -> bool:
        apart = abs(self.own - self.other) >= self.size
        room = HEAD <= self.size <= LARGEST_SLOT and max(self.own, self.other) + self.size <= LARGEST_PARTITION
        inside = all(HEAD <= entry.offset <= self.size - entry.stored_length for entry in self.entries)
        aligned = self.own % HEAD == 0 and self.other % HEAD == 0
        return (
            aligned
            and apart
            and room
            and inside
            and sum(entry.content_length for entry in self.entries) <= CONTENT_LIMIT
        )

    def stored(self, volume: Volume, entry: Entry) -> bytes:
        """The bytes of a record as they lie there. Raises VolumeError."""
        return volume.read(self.place + entry.offset, entry.stored_length)


def slots_on(volume: Volume) -> list[Slot]:
    """The slots of the recovery partition ``volume`` that have an intact head, the newest first.

    They are looked for everywhere only if they are not where they should be.
    """
    found = slots_at(volume)
    if len(found) < 2:
        end = min(volume.size, LARGEST_PARTITION)
        places = [place for place, _ in scan_magics(volume, (MAGIC,), step=HEAD, end=end)]
        found = [slot for slot in (slot_at(volume, place) for place in places) if slot and slot.own == slot.place]
    inside = [slot for slot in found if max(slot.own, slot.other) + slot.size <= volume.size]
    return sorted(inside, key=lambda slot: slot.generation, reverse=True)


def slots_at(volume: Volume) -> list[Slot]:
    """The slot at the beginning of ``volume``, and the other one if that can be told, in this order.

    Without a slot at the beginning, the one that lies where a partition of this size has its second.
    """
    first = slot_at(volume, 0)
    if first is not None and first.own != 0:
        return [first]
    other = slot_at(volume, first.other if first else _half(volume.size))
    return [slot for slot in (first, other) if slot and slot.own == slot.place]


def slot_at(volume: Volume, place: int) -> Slot | None:
    """The slot whose head lies at ``place``, wherever in its partition that is."""
    if place + HEAD > volume.size:
        return None
    try:
        return Slot.unpack(volume.read(place, HEAD), place)
    except VolumeError:
        return None


def next_slot(volume: Volume, slots: list[Slot]) -> Slot:
    """Where to write next, still without entries: over the older slot, or at the beginning of a new partition.

    Raises NoSpace if the partition is too small.
    """
    if slots:
        newest = slots[0]
        return Slot(newest.other, newest.own, newest.size, newest.generation + 1, (), newest.other)
    if volume.size < LEAST_SIZE:
        raise NoSpace(
            f"{volume.name} has {volume.size} bytes; a recovery partition has {LEAST_SIZE} or more",
            hint="4 MiB are plenty for most disks",
        )
    size = _half(volume.size)
    return Slot(0, size, size, 1, ())


def _half(size: int) -> int:
    """The size of a slot in a new partition of ``size`` bytes, and the place of the second one."""
    half = min(size // 2, LARGEST_SLOT)
    return align_down(half, MIB) or align_down(half, HEAD)
