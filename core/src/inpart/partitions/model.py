"""A partition table as inpart speaks of it: kind, identity, partitions, and where its structures lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from inpart.extents import Extents
from inpart.partitions.ebr import ExtendedBootRecord
from inpart.partitions.gpt import GptHeader
from inpart.partitions.mbr import MasterBootRecord
from inpart.units import format_size


class TableKind(StrEnum):
    """The two partition schemes of IBM-compatible machines."""

    MBR = "mbr"
    GPT = "gpt"


class Note(NamedTuple):
    """Something about a table that people should know. ``code`` is stable; ``damage`` is false for mere remarks."""

    code: str
    where: str
    message: str
    damage: bool = True


class TableArea(NamedTuple):
    """One structure of a table: ``length`` bytes of the disk from ``start`` on."""

    name: str
    start: int
    length: int


@dataclass(frozen=True)
class PartitionEntry:
    """One partition. ``number`` is the one that Linux gives it: primaries 1 to 4, logicals from 5 on.

    ``start`` and ``size`` are bytes of the disk. ``type`` is ``0x0c`` (MBR) or a GUID in upper case (GPT).
    ``partuuid`` is what Linux calls it in /dev/disk/by-partuuid. ``ebr`` is the byte offset of the extended boot
    record that describes a logical partition.
    """

    number: int
    start: int
    size: int
    type: str
    type_name: str
    partuuid: str
    name: str = ""
    bootable: bool = False
    is_extended: bool = False
    ebr: int | None = None

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.start + self.size

    def describe(self) -> str:
        """One line for people."""
        label = f" {self.name!r}" if self.name else ""
        return f"#{self.number} at {self.start}, {self.size} bytes ({format_size(self.size)}), {self.type_name}{label}"


@dataclass(frozen=True)
class PartitionTable:
    """What ``read_table`` found.

    ``disk_id`` is the MBR's disk signature as ``0x1234abcd`` or the GPT's disk GUID. ``sector_size`` is the unit in
    which this table counts, in bytes. ``hybrid``: a GPT whose MBR names partitions of its own. ``mbr`` is None if
    sector 0 of a GPT disk is unreadable or no MBR; ``header`` and ``entry_array`` are those of the trusted GPT copy.
    """

    kind: TableKind
    disk_id: str
    disk_size: int
    sector_size: int
    entries: tuple[PartitionEntry, ...]
    notes: tuple[Note, ...] = ()
    areas: tuple[TableArea, ...] = ()
    hybrid: bool = False
    mbr: MasterBootRecord | None = None
    ebrs: tuple[ExtendedBootRecord, ...] = ()
    header: GptHeader | None = None
    entry_array: bytes = b""

    @property
    def partitions(self) -> tuple[PartitionEntry, ...]:
        """The entries that can hold a file system: all but extended ones."""
        return tuple(entry for entry in self.entries if not entry.is_extended)

    def find(self, number: int) -> PartitionEntry | None:
        """The partition of that number."""
        return next((entry for entry in self.entries if entry.number == number), None)

    def starting_at(self, start: int) -> PartitionEntry | None:
        """The partition (not an extended one) whose first byte is at ``start``."""
        return next((entry for entry in self.partitions if entry.start == start), None)

    def extents(self) -> Extents:
        """The bytes of all structures of the table."""
        return Extents([(area.start, area.start + area.length) for area in self.areas])
