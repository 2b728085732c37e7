"""Turns the two copies of a GPT into a PartitionTable, and says which one was trusted."""

from __future__ import annotations

from inpart.partitions.checks import entry_notes
from inpart.partitions.gpt import GptCopy, GptEntry, GptHeader, guid_text, used_entries
from inpart.partitions.mbr import MBR_SIZE, MasterBootRecord
from inpart.partitions.model import Note, PartitionEntry, PartitionTable, TableArea, TableKind
from inpart.partitions.names import PROTECTIVE_TYPE, type_name
from inpart.volume import Volume


def gpt_table(
    volume: Volume, sector_size: int, primary: GptCopy, backup: GptCopy, mbr: MasterBootRecord | None
) -> PartitionTable:
    """The table of the primary copy, or of the backup if the primary is not valid; one of them must be."""
    trusted = primary if primary.valid else backup
    header = trusted.trusted_header()
    entries = [_entry(entry, sector_size) for entry in used_entries(trusted.array, header.size_of_partition_entry)]
    notes = _copy_notes(primary, backup, volume.size // sector_size - 1)
    notes += [note for entry in entries if (note := _usable_note(entry, header, sector_size))]
    hybrid = mbr is not None and mbr.protective and any(e.type != PROTECTIVE_TYPE for _, e in mbr.used)
    if hybrid:
        notes.append(Note("gpt.hybrid", "sector 0", "a hybrid MBR: it names partitions beside the GPT", damage=False))
    return PartitionTable(
        TableKind.GPT,
        guid_text(header.disk_guid),
        volume.size,
        sector_size,
        tuple(entries),
        (*notes, *entry_notes(entries, volume.size)),
        (TableArea("mbr", 0, MBR_SIZE), *gpt_areas(header, sector_size, volume.size // sector_size - 1)),
        hybrid=hybrid,
        mbr=mbr,
        header=header,
        entry_array=trusted.array,
    )


def gpt_areas(header: GptHeader, sector_size: int, last_lba: int) -> tuple[TableArea, ...]:
    """Where both copies of headers and entry arrays lie; the array of the other copy follows from the rules of UEFI.

    The primary array begins at sector 2 (or where its header says); the backup array ends at the backup header.
    """
    backup_lba = header.backup_lba(last_lba)
    array = -(-header.array_size // sector_size)
    primary_array = header.partition_entry_lba if header.my_lba == 1 else 2
    backup_array = header.partition_entry_lba if header.my_lba != 1 else backup_lba - array
    areas = (
        TableArea("gpt-header", sector_size, sector_size),
        TableArea("gpt-entries", primary_array * sector_size, array * sector_size),
        TableArea("gpt-backup-entries", backup_array * sector_size, array * sector_size),
        TableArea("gpt-backup-header", backup_lba * sector_size, sector_size),
    )
    return tuple(area for area in areas if 0 <= area.start <= (last_lba + 1) * sector_size - area.length)


def _entry(entry: GptEntry, unit: int) -> PartitionEntry:
    kind = guid_text(entry.partition_type_guid)
    return PartitionEntry(
        number=entry.position + 1,
        start=entry.starting_lba * unit,
        size=max(0, entry.ending_lba - entry.starting_lba + 1) * unit,
        type=kind,
        type_name=type_name(kind),
        partuuid=guid_text(entry.unique_partition_guid).lower(),
        name=entry.partition_name,
        bootable=entry.legacy_bootable,
    )


def _copy_notes(primary: GptCopy, backup: GptCopy, last_lba: int) -> list[Note]:
    if not primary.valid:
        said = f"the primary GPT is damaged ({primary.problem}); the backup is trusted"
        return [Note("gpt.primary-damaged", "sector 1", said)]
    if not backup.valid:
        return [Note("gpt.backup-damaged", "end of disk", f"the backup GPT is damaged: {backup.problem}")]
    notes = []
    first, second = primary.trusted_header(), backup.trusted_header()
    if primary.array != backup.array or first.disk_guid != second.disk_guid:
        said = "the two copies of the GPT differ; the primary is trusted"
        notes.append(Note("gpt.copies-differ", "end of disk", said))
    if second.my_lba != last_lba:
        said = f"the backup GPT is at sector {second.my_lba}, not at the end of the disk ({last_lba})"
        notes.append(Note("gpt.backup-place", f"sector {second.my_lba}", said))
    return notes


def _usable_note(entry: PartitionEntry, header: GptHeader, unit: int) -> Note | None:
    if header.first_usable_lba * unit <= entry.start and entry.end <= (header.last_usable_lba + 1) * unit:
        return None
    said = f"partition {entry.describe()} lies outside the usable range of the GPT"
    return Note("gpt.entry-outside", f"#{entry.number}", said)
