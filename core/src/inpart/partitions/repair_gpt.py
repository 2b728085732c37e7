"""Puts entries back into a GPT: both entry arrays, both headers with their checksums, and the protective MBR."""

from __future__ import annotations

from inpart.errors import NoSpace
from inpart.partitions.edits import Draft
from inpart.partitions.gpt import GptEntry, GptHeader, used_entries
from inpart.partitions.gpt_table import gpt_areas
from inpart.partitions.mbr import (
    BOOT_SIGNATURE,
    EMPTY_ENTRY,
    LBA_ONLY_CHS,
    MBR_SIZE,
    TABLE_OFFSET,
    MasterBootRecord,
    MbrEntry,
)
from inpart.partitions.model import PartitionEntry, PartitionTable
from inpart.partitions.names import PROTECTIVE_TYPE


def put_gpt_entry(draft: Draft, saved: PartitionTable, entry: PartitionEntry, current: PartitionTable | None) -> None:
    """Draft the edits that make the GPT name ``entry`` of ``saved``; without ``current``, a table of it alone."""
    source, base = _header(saved), _header(current or saved)
    array = bytearray(current.entry_array if current else bytes(base.array_size))
    size = base.size_of_partition_entry
    from_row = (entry.number - 1) * source.size_of_partition_entry
    row = saved.entry_array[from_row : from_row + min(size, source.size_of_partition_entry)].ljust(size, b"\0")
    index = _index_for(entry, saved.sector_size, used_entries(bytes(array), size), base.number_of_partition_entries)
    if index != entry.number - 1:
        draft.remarks.append(f"! number {entry.number} is taken: the partition becomes number {index + 1}")
    array[index * size : (index + 1) * size] = row
    _put_table(draft, base, bytes(array), saved, current)


def put_whole_gpt(draft: Draft, saved: PartitionTable) -> None:
    """Draft the edits that put back the saved GPT, moved to the end of a disk of another size."""
    _put_table(draft, _header(saved), saved.entry_array, saved, None)


def _header(table: PartitionTable) -> GptHeader:
    if table.header is None:
        raise NoSpace("a GPT without a header cannot be put back")
    return table.header


def _index_for(entry: PartitionEntry, unit: int, used: list[GptEntry], count: int) -> int:
    """Where the entry's row goes: over a row of the same start, to its old index, or to the first free one."""
    taken: dict[int, int] = {row.position: row.starting_lba * unit for row in used}
    same = [index for index, start in taken.items() if start == entry.start]
    if same:
        return same[0]
    free: list[int] = [index for index in [entry.number - 1, *range(count)] if index not in taken and index < count]
    if not free:
        raise NoSpace(f"all {count} entries of the GPT are in use", hint="delete a partition first")
    return free[0]


def _put_table(
    draft: Draft, base: GptHeader, array: bytes, saved: PartitionTable, current: PartitionTable | None
) -> None:
    """Backup copy first, then the primary, the MBR last: at every moment one copy is valid."""
    unit = draft.unit
    last = draft.volume.size // unit - 1
    backup_lba = base.backup_lba(last) if current else last
    primary = _fitted(base, array, backup_lba, unit)
    places = {area.name: area.start for area in gpt_areas(primary, unit, last)}
    backup = primary._replace(
        my_lba=backup_lba, alternate_lba=1, partition_entry_lba=places["gpt-backup-entries"] // unit
    )
    draft.put(places["gpt-backup-entries"], array, "backup GPT entries")
    draft.put(places["gpt-backup-header"], backup.sealed(array).pack().ljust(unit, b"\0"), "backup GPT header")
    draft.put(places["gpt-entries"], array, "primary GPT entries")
    draft.put(places["gpt-header"], primary.sealed(array).pack().ljust(unit, b"\0"), "primary GPT header")
    if current is None or current.mbr is None or not current.mbr.protective:
        draft.put(0, _protective(draft, saved.mbr), "protective MBR")


def _fitted(base: GptHeader, array: bytes, backup_lba: int, unit: int) -> GptHeader:
    """The primary header for a disk whose backup header is at ``backup_lba``. Raises NoSpace with the numbers."""
    sectors = -(-base.array_size // unit)
    array_lba = base.partition_entry_lba if base.my_lba == 1 else 2
    used = used_entries(array, base.size_of_partition_entry)
    first = min((row.starting_lba for row in used), default=base.first_usable_lba)
    last = max((row.ending_lba for row in used), default=array_lba + sectors)
    if last >= backup_lba - sectors or first < array_lba + sectors:
        raise NoSpace(
            f"partitions from byte {first * unit} to {(last + 1) * unit} do not fit between the GPT structures, which "
            f"leave {(array_lba + sectors) * unit} to {(backup_lba - sectors) * unit}",
            hint="the disk is smaller than the one that was imaged",
        )
    resized = backup_lba != max(base.my_lba, base.alternate_lba)
    return base._replace(
        my_lba=1,
        alternate_lba=backup_lba,
        partition_entry_lba=array_lba,
        first_usable_lba=min(base.first_usable_lba, first),
        last_usable_lba=backup_lba - sectors - 1 if resized else max(base.last_usable_lba, last),
    )


def _protective(draft: Draft, saved: MasterBootRecord | None) -> bytes:
    """The saved MBR if it protects, else one entry of type EE over the whole disk."""
    if saved is not None and saved.protective:
        return saved.raw
    count = min(draft.volume.size // draft.unit - 1, 0xFFFFFFFF)
    entry = MbrEntry(0, b"\x00\x02\x00", PROTECTIVE_TYPE, LBA_ONLY_CHS, 1, count)
    entries = entry.pack() + EMPTY_ENTRY.pack() * 3
    return bytes(TABLE_OFFSET) + entries + BOOT_SIGNATURE.rjust(MBR_SIZE - TABLE_OFFSET - len(entries), b"\0")
