"""One more partition in the free space of a disk: where it goes, and what is to be written for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace

from inpart.errors import NoSpace, PlaceTaken, UsageError
from inpart.extents import Extents
from inpart.partitions.ebr import ExtendedBootRecord
from inpart.partitions.edits import Draft, Repair, described
from inpart.partitions.gpt import GptHeader, used_entries
from inpart.partitions.gpt import pack_entry as pack_gpt_entry
from inpart.partitions.mbr import BOOT_SIGNATURE, EMPTY_ENTRY, LBA_ONLY_CHS, MasterBootRecord, MbrEntry
from inpart.partitions.mbr_table import FIRST_LOGICAL
from inpart.partitions.model import PartitionEntry, PartitionTable, TableKind
from inpart.partitions.names import type_name
from inpart.partitions.reader import read_table
from inpart.partitions.repair_gpt import put_gpt_entry
from inpart.partitions.repair_mbr import put_mbr_entry
from inpart.units import MIB, align_down, align_up, format_size
from inpart.volume import Volume

_MBR_SECTORS = 1 << 32


def add_partition(volume: Volume, size: int, types: tuple[str, str], name: str) -> Repair:
    """What to write so that the table of the disk ``volume`` names one more partition of ``size`` bytes or a bit more.

    ``types`` are its type for an MBR (``0xe9``) and for a GPT (a GUID). It begins at a multiple of 1 MiB and lies as
    far behind as possible: in an extended partition if there is room, for an MBR has few primary ones. No other
    partition changes, not even its number. Raises UsageError if there is no table or it is damaged, NoSpace with the
    numbers, PlaceTaken if no entry is free.
    """
    table = read_table(volume)
    if table is None:
        raise UsageError(f"{volume.name} has no partition table", hint="make one with a partitioning tool first")
    damage = next((note for note in table.notes if note.damage), None)
    if damage:
        raise UsageError(
            f"the partition table of {volume.name} is not in order: {damage.message}",
            hint="put it right with a partitioning tool first",
        )
    draft = Draft(volume, table.sector_size)
    size = align_up(size, max(table.sector_size, 4096))
    if table.kind is TableKind.GPT:
        saved, entry = _with_gpt_entry(table, size, types[1], name)
        put_gpt_entry(draft, saved, entry, table)
    else:
        saved, entry = _with_mbr_entry(table, size, types[0])
        put_mbr_entry(draft, saved, entry, table)
    after = read_table(draft.view, sector_size=table.sector_size)
    made = after.starting_at(entry.start) if after else None
    if after is None or made is None or {*after.entries} ^ {*table.entries} != {made} or made.size != entry.size:
        raise PlaceTaken(f"partition {entry.describe()} cannot be added to this table")
    full = after.mbr is not None and made.ebr is None and len(after.mbr.used) == 4
    remarks = ["! it takes the last of the four entries of the MBR"] if table.kind is TableKind.MBR and full else []
    return described(draft, remarks, table, after, made)


def _with_gpt_entry(table: PartitionTable, size: int, kind: str, name: str) -> tuple[PartitionTable, PartitionEntry]:
    """The table as it would be, and the new entry."""
    header: GptHeader | None = table.header
    if header is None:
        raise UsageError("the GPT has no header")
    unit, row_size = table.sector_size, header.size_of_partition_entry
    taken = {row.position for row in used_entries(table.entry_array, row_size)}
    free = [index for index in range(header.number_of_partition_entries) if index not in taken]
    if not free:
        raise PlaceTaken(f"all {len(taken)} entries of the GPT are in use", hint="delete a partition first")
    usable = Extents.span(header.first_usable_lba * unit, (header.last_usable_lba + 1) * unit)
    start = _place(usable - _spans(table.entries), size)
    row = pack_gpt_entry(
        uuid.UUID(kind).bytes_le, uuid.uuid4().bytes_le, start // unit, (start + size) // unit - 1, name
    ).ljust(row_size, b"\0")
    at = free[0] * row_size
    array = table.entry_array[:at] + row + table.entry_array[at + row_size :]
    return replace(table, entry_array=array), _entry(free[0] + 1, start, size, kind)


def _with_mbr_entry(table: PartitionTable, size: int, kind: str) -> tuple[PartitionTable, PartitionEntry]:
    """The table as it would be, and the new entry, logical if possible."""
    unit, record = table.sector_size, table.mbr
    if record is None:
        raise UsageError("the table has no sector 0")
    for _, container in record.used:
        if container.extended:
            try:
                return _with_logical(table, container, size, kind)
            except NoSpace:
                continue
    free = [slot for slot, entry in enumerate(record.entries, 1) if entry.empty]
    if not free:
        raise PlaceTaken("all four entries of the MBR are in use", hint="delete a partition first")
    usable = Extents.span(MIB, min(table.disk_size, _MBR_SECTORS * unit))
    start = _place(usable - _spans(table.entries), size)
    row = MbrEntry(0, LBA_ONLY_CHS, int(kind, 16), LBA_ONLY_CHS, start // unit, size // unit)
    entries = list(record.entries)
    entries[free[0] - 1] = row
    first, second, third, fourth = entries
    made = MasterBootRecord(record.replace(free[0], row), record.disk_signature, (first, second, third, fourth))
    return replace(table, mbr=made), _entry(free[0], start, size, kind)


def _with_logical(
    table: PartitionTable, container: MbrEntry, size: int, kind: str
) -> tuple[PartitionTable, PartitionEntry]:
    """At the end of the chain; the sector before the partition holds its boot record, or that of an empty chain."""
    unit, first = table.sector_size, container.start_lba
    own = [ebr for ebr in table.ebrs if ebr.container_lba == first]
    inside = Extents.span((first + 1) * unit, (first + container.sector_count) * unit)
    records = Extents([(ebr.lba * unit, (ebr.lba + 1) * unit) for ebr in table.ebrs])
    logicals = [entry for entry in table.entries if entry.ebr is not None]
    start = _place(inside - _spans(logicals) - records, size, before=unit)
    lone = len(own) == 1 and not own[0].logicals
    lba = first if lone else start // unit - 1
    row = MbrEntry(0, LBA_ONLY_CHS, int(kind, 16), LBA_ONLY_CHS, start // unit - lba, size // unit)
    empty = MasterBootRecord(bytes(510) + BOOT_SIGNATURE, 0, (row, EMPTY_ENTRY, EMPTY_ENTRY, EMPTY_ENTRY))
    home = ExtendedBootRecord(lba, first, empty, (row,), None)
    entry = _entry(FIRST_LOGICAL + len(logicals), start, size, kind)
    others = (ebr for ebr in table.ebrs if ebr.lba != lba)
    return replace(table, ebrs=(*others, home)), replace(entry, ebr=lba * unit)


def _place(free: Extents, size: int, *, before: int = 0) -> int:
    """The last place for ``size`` bytes in the gaps ``free``, with ``before`` bytes in front of it in the same gap."""
    gaps = [(start, end) for start, end in free]
    for start, end in reversed(gaps):
        place = align_down(end - size, MIB)
        if place - before >= start:
            return place
    largest = max((end - start for start, end in gaps), default=0)
    raise NoSpace(
        f"a partition of {size} bytes ({format_size(size)}) from a multiple of 1 MiB on has no place; the largest gap "
        f"of the disk has {largest} bytes ({format_size(largest)})",
        hint="make a partition smaller with its own tools first",
    )


def _spans(entries: Iterable[PartitionEntry]) -> Extents:
    return Extents([(entry.start, entry.end) for entry in entries if entry.size])


def _entry(number: int, start: int, size: int, kind: str) -> PartitionEntry:
    return PartitionEntry(number, start, size, kind, type_name(int(kind, 16) if kind.startswith("0x") else kind), "")
