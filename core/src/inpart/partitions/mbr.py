"""The master boot record: four 16-byte entries at 446, disk signature at 440, boot signature 55 AA at 510."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from inpart.partitions.names import EXTENDED_TYPES, PROTECTIVE_TYPE

MBR_SIZE = 512
BOOT_CODE_SIZE = 440
TABLE_OFFSET = 446
ENTRY_SIZE = 16
BOOT_SIGNATURE = b"\x55\xaa"
LBA_ONLY_CHS = b"\xfe\xff\xff"
"""The CHS triple that says: beyond what cylinder, head and sector can express."""

_ENTRY = struct.Struct("<B3sB3sII")
_SIGNATURE = struct.Struct("<IH")


class Chs(NamedTuple):
    """Cylinder 0 to 1023, head 0 to 255, sector 1 to 63."""

    cylinder: int
    head: int
    sector: int


class MbrEntry(NamedTuple):
    """One entry of an MBR or EBR, fields in the order of the disk; LBA fields count sectors."""

    boot_indicator: int
    start_chs: bytes
    type: int
    end_chs: bytes
    start_lba: int
    sector_count: int

    @property
    def empty(self) -> bool:
        """True if the entry describes nothing: Linux goes by the count alone, isohybrid images use type 0."""
        return self.sector_count == 0

    @property
    def extended(self) -> bool:
        """True for a container of logical partitions, or the link of an EBR."""
        return not self.empty and self.type in EXTENDED_TYPES

    @property
    def plausible_flag(self) -> bool:
        """True if the boot indicator has one of its two legal values."""
        return self.boot_indicator in {0x00, 0x80}

    def pack(self) -> bytes:
        """The 16 bytes of the disk."""
        return _ENTRY.pack(*self)


EMPTY_ENTRY = MbrEntry(0, bytes(3), 0, bytes(3), 0, 0)


@dataclass(frozen=True)
class MasterBootRecord:
    """The fields of an MBR or EBR sector. ``raw`` are its 512 bytes, boot code included."""

    raw: bytes
    disk_signature: int
    entries: tuple[MbrEntry, MbrEntry, MbrEntry, MbrEntry]

    @property
    def protective(self) -> bool:
        """True if an entry of type EE says that a GPT rules this disk."""
        return any(not entry.empty and entry.type == PROTECTIVE_TYPE for entry in self.entries)

    @property
    def used(self) -> tuple[tuple[int, MbrEntry], ...]:
        """(slot, entry) of those entries that describe something; slots count from 1."""
        return tuple((slot, entry) for slot, entry in enumerate(self.entries, 1) if not entry.empty)

    @property
    def plausible(self) -> bool:
        """True if all boot indicators are legal, which boot code in that place hardly ever has."""
        return all(entry.plausible_flag for entry in self.entries)

    def replace(self, slot: int, entry: MbrEntry) -> bytes:
        """The 512 bytes with another entry in ``slot`` (from 1)."""
        at = TABLE_OFFSET + (slot - 1) * ENTRY_SIZE
        return self.raw[:at] + entry.pack() + self.raw[at + ENTRY_SIZE : 510] + BOOT_SIGNATURE


def parse_boot_record(sector: bytes) -> MasterBootRecord | None:
    """The fields of the sector's first 512 bytes; None without the boot signature 55 AA."""
    if len(sector) < MBR_SIZE or sector[510:512] != BOOT_SIGNATURE:
        return None
    signature, _ = _SIGNATURE.unpack_from(sector, BOOT_CODE_SIZE)
    first, second, third, fourth = (
        MbrEntry(*_ENTRY.unpack_from(sector, TABLE_OFFSET + slot * ENTRY_SIZE)) for slot in range(4)
    )
    return MasterBootRecord(bytes(sector[:MBR_SIZE]), signature, (first, second, third, fourth))


def parse_chs(triple: bytes) -> Chs:
    """The packed triple of an entry: head; sector in the low six bits; ten bits of cylinder."""
    return Chs((triple[1] & 0xC0) << 2 | triple[2], triple[0], triple[1] & 0x3F)
