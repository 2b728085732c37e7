"""Reads the partition table of a disk: decides which scheme is in force and turns it into a PartitionTable."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from inpart.errors import PartitionTableDamaged, VolumeError
from inpart.partitions.gpt import GptCopy, read_copy
from inpart.partitions.gpt_table import gpt_table
from inpart.partitions.mbr import MBR_SIZE, MasterBootRecord, parse_boot_record
from inpart.partitions.mbr_table import mbr_table
from inpart.partitions.model import Note, PartitionTable
from inpart.partitions.names import PROTECTIVE_TYPE
from inpart.partitions.unpartitioned import boot_sector_kind, filesystem_at
from inpart.volume import Volume

SECTOR_SIZES = (512, 4096)


def read_table(volume: Volume, *, sector_size: int | None = None) -> PartitionTable | None:
    """The partition table of the disk ``volume``; None if it has none: blank, or a file system from its first byte on.

    ``sector_size`` is the unit of the table in bytes; without it the volume's own is tried first and then the other
    common one, so that an image of a disk with 4096-byte sectors can be read from a regular file. Raises
    PartitionTableDamaged if there is or was a GPT of which no copy is valid.
    """
    sizes = (sector_size,) if sector_size else tuple(dict.fromkeys((volume.sector_size, *SECTOR_SIZES)))
    mbr, unreadable = _read_mbr(volume)
    protective = mbr is not None and mbr.plausible and mbr.protective
    if not protective and mbr is not None and _partitions_by_mbr(volume, mbr, sizes[0]):
        return _mbr_in_force(volume, mbr, sizes)
    if not protective and not unreadable and filesystem_at(volume, 0):
        return None
    copies = [(size, _read_gpt(volume, size, mbr)) for size in sizes]
    found = next(((size, pair) for size, pair in copies if pair[0].valid or pair[1].valid), None)
    if found:
        return _with_missing_mbr(gpt_table(volume, found[0], *found[1], mbr), mbr, unreadable, protective)
    _refuse_damaged_gpt(volume, copies, protective)
    if mbr is not None and mbr.plausible and not mbr.used:
        return mbr_table(volume, mbr, sizes[0])
    return None


def _read_mbr(volume: Volume) -> tuple[MasterBootRecord | None, str]:
    """The boot record in sector 0, if any, and why it could not be read."""
    if volume.size < MBR_SIZE:
        return None, ""
    try:
        return parse_boot_record(volume.read(0, MBR_SIZE)), ""
    except VolumeError as error:
        return None, error.message


def _partitions_by_mbr(volume: Volume, mbr: MasterBootRecord, sector_size: int) -> bool:
    """True if sector 0 describes partitions.

    A lone entry that begins at sector 0 is what mkfs.fat writes into the boot sector of an unpartitioned stick. A sane
    boot sector counts as an MBR only if its entries could hardly be chance: fdisk leaves an old parameter block alone.
    """
    if not mbr.plausible or not any(entry.start_lba for _, entry in mbr.used):
        return False
    if not boot_sector_kind(mbr.raw):
        return True
    ranges = sorted((entry.start_lba, entry.start_lba + entry.sector_count) for _, entry in mbr.used)
    apart = all(low[1] <= high[0] for low, high in pairwise(ranges))
    return apart and ranges[0][0] > 0 and ranges[-1][1] <= volume.size // sector_size


def _mbr_in_force(volume: Volume, mbr: MasterBootRecord, sizes: tuple[int, ...]) -> PartitionTable:
    tables = [mbr_table(volume, mbr, size) for size in sizes]
    table = max(tables, key=lambda made: _evidence(volume, made))
    if table.sector_size != volume.sector_size:
        said = f"the table counts in sectors of {table.sector_size} bytes, the device in {volume.sector_size}"
        table = replace(table, notes=(*table.notes, Note("table.sector-size", "sector 0", said, damage=False)))
    return table


def _evidence(volume: Volume, table: PartitionTable) -> int:
    """How much speaks for the sector size that the table was read with; the first of equals is preferred."""
    chains = sum(1 for entry in table.entries if entry.ebr is not None)
    return chains + sum(1 for entry in table.partitions[:4] if filesystem_at(volume, entry.start))


def _read_gpt(volume: Volume, sector_size: int, mbr: MasterBootRecord | None) -> tuple[GptCopy, GptCopy]:
    """The primary copy and the backup, which is where the primary says, or else at the end of the disk.

    Of a disk that has grown, the protective MBR remembers where the end was.
    """
    last = volume.size // sector_size - 1
    primary = read_copy(volume, 1, sector_size, "primary")
    places = [last] if primary.header is None else [primary.header.alternate_lba, last]
    protected = [entry for _, entry in mbr.used if entry.type == PROTECTIVE_TYPE] if mbr else []
    places += [entry.start_lba + entry.sector_count - 1 for entry in protected]
    copies = [read_copy(volume, lba, sector_size, "backup") for lba in dict.fromkeys(places) if lba != 1]
    best = next((copy for copy in copies if copy.valid), copies[0] if copies else GptCopy("backup", problem="no room"))
    return primary, best


def _with_missing_mbr(
    table: PartitionTable, mbr: MasterBootRecord | None, unreadable: str, protective: bool
) -> PartitionTable:
    if protective:
        return table
    reason = unreadable or ("holds no boot record" if mbr is None else "does not protect the GPT")
    note = Note("gpt.no-protective-mbr", "sector 0", f"sector 0 {reason}; most systems will not see this table")
    return replace(table, notes=(*table.notes, note))


def _refuse_damaged_gpt(volume: Volume, copies: list[tuple[int, tuple[GptCopy, GptCopy]]], protective: bool) -> None:
    signed = [(size, pair) for size, pair in copies if pair[0].signed or pair[1].signed]
    if not signed and not protective:
        return
    _, (primary, backup) = (signed or copies)[0]
    raise PartitionTableDamaged(
        f"{volume.name} has a GPT of which no copy is valid: primary, {primary.problem}; backup, {backup.problem}",
        hint="name the partition by its offset (DISK@OFFSET), or put the table back from an image: "
        "restore DISK IMAGE --repair-table",
    )
