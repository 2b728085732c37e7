"""Turns an MBR and its chains of extended boot records into a PartitionTable."""

from __future__ import annotations

from inpart.partitions.checks import entry_notes
from inpart.partitions.ebr import ExtendedBootRecord, read_chain
from inpart.partitions.mbr import MBR_SIZE, MasterBootRecord, MbrEntry
from inpart.partitions.model import Note, PartitionEntry, PartitionTable, TableArea, TableKind
from inpart.partitions.names import type_name
from inpart.volume import Volume

FIRST_LOGICAL = 5


def mbr_table(volume: Volume, mbr: MasterBootRecord, sector_size: int) -> PartitionTable:
    """The table that ``mbr`` and the EBRs on ``volume`` describe, counted in sectors of ``sector_size`` bytes."""
    entries = [
        _entry(mbr, slot, entry, entry.start_lba * sector_size, sector_size, extended=entry.extended)
        for slot, entry in mbr.used
    ]
    areas = [TableArea("mbr", 0, MBR_SIZE)]
    ebrs: list[ExtendedBootRecord] = []
    notes: list[Note] = []
    for _, container in mbr.used:
        if not container.extended:
            continue
        chain = read_chain(volume, container, sector_size)
        ebrs += chain.records
        if chain.broken:
            code, lba, reason = chain.broken
            lost = "logical partitions from there on are not known"
            notes.append(Note(code, f"sector {lba}", f"the extended boot record at sector {lba} {reason}; {lost}"))
    number = FIRST_LOGICAL
    for index, ebr in enumerate(ebrs):
        place = ebr.lba * sector_size
        areas.append(TableArea(f"ebr-{index + 1}", place, MBR_SIZE))
        for logical in ebr.logicals:
            start = (ebr.lba + logical.start_lba) * sector_size
            entries.append(_entry(mbr, number, logical, start, sector_size, ebr=place))
            number += 1
    return PartitionTable(
        TableKind.MBR,
        f"0x{mbr.disk_signature:08x}",
        volume.size,
        sector_size,
        tuple(entries),
        (*notes, *entry_notes(entries, volume.size)),
        tuple(areas),
        mbr=mbr,
        ebrs=tuple(ebrs),
    )


def _entry(
    mbr: MasterBootRecord,
    number: int,
    entry: MbrEntry,
    start: int,
    unit: int,
    *,
    extended: bool = False,
    ebr: int | None = None,
) -> PartitionEntry:
    return PartitionEntry(
        number=number,
        start=start,
        size=entry.sector_count * unit,
        type=f"0x{entry.type:02x}",
        type_name=type_name(entry.type),
        partuuid=f"{mbr.disk_signature:08x}-{number:02x}" if mbr.disk_signature else "",
        bootable=entry.boot_indicator == 0x80,
        is_extended=extended,
        ebr=ebr,
    )
