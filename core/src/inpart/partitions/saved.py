"""A partition table's bytes on their way into an image or an aid and back: small, by name, each with its place."""

from __future__ import annotations

from collections.abc import Mapping

from inpart.errors import IntegrityError
from inpart.partitions.gpt import MAX_ARRAY_SIZE, GptHeader, unpack_header
from inpart.partitions.model import PartitionEntry, PartitionTable, TableArea, TableKind
from inpart.partitions.reader import read_table
from inpart.units import KIB, SECTOR, is_power_of_two
from inpart.volume import OverlayVolume, ReadOnlyVolume, Volume

SavedAreas = dict[str, tuple[int, bytes]]
"""Byte runs of a disk by name: (start, bytes)."""

SAVE_LIMIT = 64 * KIB
_LARGEST_SECTOR = 4096
_NAMES = ("mbr", "ebr-", "gpt-")


def table_areas(table: PartitionTable) -> tuple[TableArea, ...]:
    """The exact byte runs of all structures: MBR, each EBR, headers and entry arrays of both GPT copies."""
    return table.areas


def save_table(
    volume: Volume, table: PartitionTable, entry: PartitionEntry | None = None, *, limit: int = SAVE_LIMIT
) -> SavedAreas:
    """The bytes from which ``repair_entry`` and ``repair_table`` put the table back; at most ``limit`` of them.

    The MBR is saved as one whole sector, which tells the sector size. Of a GPT the trusted copy is saved, without the
    zeros behind its last entry: the other copy follows from it. What would exceed ``limit`` is left out, the
    structures that describe ``entry`` last. Raises VolumeError.
    """
    unit = table.sector_size
    pieces = {"mbr": (0, volume.read(0, min(unit, volume.size)))}
    if table.kind is TableKind.GPT and table.header:
        pieces |= _gpt_pieces(table.header, table.entry_array, unit, entry, limit)
    records = sorted(
        ((f"ebr-{index}", ebr) for index, ebr in enumerate(table.ebrs, 1)),
        key=lambda item: entry is None or item[1].lba * unit != entry.ebr,
    )
    pieces |= {name: (ebr.lba * unit, ebr.record.raw) for name, ebr in records}
    return _within(pieces, limit)


def _gpt_pieces(
    header: GptHeader, array: bytes, unit: int, entry: PartitionEntry | None, limit: int
) -> SavedAreas:  # fmt: skip
    """Header and array; if the array is too large, a table reduced to ``entry``."""
    used = array.rstrip(b"\0")
    start, size = 0, header.size_of_partition_entry
    if len(used) + 3 * unit > limit and entry:
        start = (entry.number - 1) * size
        row = array[start : start + size]
        header, used = header.sealed(bytes(start) + row + bytes(len(array) - start - size)), row
    return {
        "gpt-header": (header.my_lba * unit, header.pack()),
        "gpt-entries": (header.partition_entry_lba * unit + start, used),
    }


def _within(pieces: SavedAreas, limit: int) -> SavedAreas:
    kept: SavedAreas = {}
    for name, (start, data) in pieces.items():
        if len(data) <= limit:
            kept[name] = (start, data)
            limit -= len(data)
    return kept


def saved_table(saved: Mapping[str, tuple[int, bytes]]) -> PartitionTable:
    """The table that saved areas describe, read by the same rules as one on a disk; areas of other names are ignored.

    Raises IntegrityError.
    """
    unit = len(saved["mbr"][1]) if "mbr" in saved else 0
    if not (is_power_of_two(unit) and SECTOR <= unit <= _LARGEST_SECTOR):
        raise IntegrityError("the saved partition table has no usable copy of sector 0")
    disk = OverlayVolume(_BlankDisk(_disk_size(saved, unit)), name="the saved partition table")
    for name, (start, data) in saved.items():
        if not name.startswith(_NAMES):
            continue
        if start < 0 or start + len(data) > disk.size:
            raise IntegrityError(f"the saved partition table is damaged: {name} at {start}")
        disk.write(start, data)
    table = read_table(disk, sector_size=unit)
    if table is None:
        raise IntegrityError("what was saved with the image is no partition table")
    return table


def _disk_size(saved: Mapping[str, tuple[int, bytes]], unit: int) -> int:
    """The size of the disk according to the GPT header; without one, as far as an MBR can reach."""
    if "gpt-header" not in saved:
        return unit << 33
    header = unpack_header(saved["gpt-header"][1])
    if header is None:
        raise IntegrityError("the saved partition table is damaged: no GPT header")
    if header.my_lba != 1:
        return (header.my_lba + 1) * unit
    array_end = header.partition_entry_lba - (-min(header.array_size, MAX_ARRAY_SIZE) // unit)
    return (header.backup_lba(max(header.alternate_lba, array_end)) + 1) * unit


class _BlankDisk(ReadOnlyVolume):
    """A disk of zeros of any size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.name = "blank disk"

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        memoryview(buffer)[:] = bytes(len(buffer))
