"""Puts back one partition's entry, or the whole table, from the areas that were saved with an image."""

from __future__ import annotations

from collections.abc import Mapping

from inpart.errors import NoSpace, PartitionTableDamaged, PlaceTaken, UsageError
from inpart.partitions.edits import Draft, Repair, TableEdit, apply_repair, described
from inpart.partitions.model import PartitionEntry, PartitionTable, TableKind
from inpart.partitions.reader import read_table
from inpart.partitions.repair_gpt import put_gpt_entry, put_whole_gpt
from inpart.partitions.repair_mbr import put_mbr_entry, put_whole_mbr
from inpart.partitions.saved import saved_table
from inpart.partitions.unpartitioned import filesystem_at
from inpart.volume import Volume

__all__ = ["Repair", "TableEdit", "apply_repair", "repair_entry", "repair_table"]

Saved = Mapping[str, tuple[int, bytes]]


def repair_entry(volume: Volume, saved: Saved, start: int) -> Repair:
    """What to write so that the table of the disk ``volume`` names again the partition that began at byte ``start``.

    Everything else in the table stays; nothing is written. No edits: the table names it already. Raises PlaceTaken if
    another partition lies there now, NoSpace if the disk is too small, UsageError if the saved table does not know the
    partition, IntegrityError if what was saved is damaged.
    """
    table = saved_table(saved)
    entry = table.starting_at(start)
    if entry is None:
        raise UsageError(
            f"the saved partition table names no partition at {start}",
            hint=f"the partition was moved or copied here since: make it anew with fdisk, from byte {start} on, and "
            f"restore {volume.name}@{start}",
        )
    if entry.end > volume.size:
        raise NoSpace(f"partition {entry.describe()} ends at {entry.end}, {volume.name} at {volume.size}")
    draft = Draft(volume, table.sector_size)
    current, remarks = _current(volume, table)
    if current:
        _refuse_overlap(entry, table, current)
    put = put_gpt_entry if table.kind is TableKind.GPT else put_mbr_entry
    put(draft, table, entry, current)
    after = _result(draft, table)
    made = after.starting_at(start)
    if made is None or made.size != entry.size:
        raise PlaceTaken(f"partition {entry.describe()} cannot be put back into the table that is there now")
    _refuse_new_overlaps(current, after)
    named = {other.start for other in after.partitions}
    left = [other for other in table.partitions if other.start not in named]
    if current is None and left:
        remarks.append(f"! {len(left)} more partitions of the saved table are not put back")
    return described(draft, remarks, current, after, made)


def repair_table(volume: Volume, saved: Saved) -> Repair:
    """What to write to put back the whole saved table. Raises PlaceTaken if partitions are there that it lacks."""
    table = saved_table(saved)
    draft = Draft(volume, table.sector_size)
    current, remarks = _current(volume, table, same_kind=False)
    places = {(entry.start, entry.size) for entry in table.entries}
    lost = [entry for entry in current.partitions if (entry.start, entry.size) not in places] if current else []
    if lost:
        names = "; ".join(entry.describe() for entry in lost[:4])
        raise PlaceTaken(
            f"{volume.name} has partitions that the saved table lacks: {names}",
            hint="--repair-table puts back the one partition and leaves all others alone",
        )
    beyond = [entry for entry in table.partitions if entry.end > volume.size]
    if beyond:
        raise NoSpace(f"partition {beyond[0].describe()} ends at {beyond[0].end}, {volume.name} at {volume.size}")
    put = put_whole_gpt if table.kind is TableKind.GPT else put_whole_mbr
    put(draft, table)
    return described(draft, remarks, current, _result(draft, table), None)


def _current(
    volume: Volume, saved: PartitionTable, *, same_kind: bool = True
) -> tuple[PartitionTable | None, list[str]]:
    """The table that is there now, None if there is none to keep, and what to say of that."""
    if volume.sector_size > saved.sector_size:
        raise UsageError(
            f"the saved table counts in sectors of {saved.sector_size} bytes, {volume.name} in {volume.sector_size}",
            hint="make the partitions with a partitioning tool; restore --to then needs no saved table",
        )
    try:
        current = read_table(volume, sector_size=saved.sector_size)
    except PartitionTableDamaged as error:
        return None, [f"! {error.message}"]
    if current is None:
        kind = filesystem_at(volume, 0)
        said = f"! sector 0 belongs to a {kind} file system on the whole disk, which this destroys" if kind else ""
        return None, [said] if said else ["! there is no partition table now"]
    if current.kind is not saved.kind and same_kind:
        if current.partitions:
            raise PlaceTaken(
                f"{volume.name} has {len(current.partitions)} partitions in a table of another kind, "
                f"{current.kind.upper()} instead of {saved.kind.upper()}",
                hint="make the partition with a partitioning tool; restore --to then needs no saved table",
            )
        return None, [f"! the empty {current.kind.upper()} is replaced"]
    return current, []


def _refuse_overlap(entry: PartitionEntry, saved: PartitionTable, current: PartitionTable) -> None:
    """The partition itself, known by its start, and the extended one around a logical one are no obstacles."""
    for other in current.entries:
        if other.start == entry.start and not other.is_extended:
            continue
        around = other.is_extended and entry.ebr is not None
        if not around and other.start < entry.end and entry.start < other.end:
            raise _taken(entry, other)
    if len(saved.entries) > 0 and entry.start == 0:
        raise PlaceTaken(f"partition {entry.describe()} would cover the table itself")


def _refuse_new_overlaps(current: PartitionTable | None, after: PartitionTable) -> None:
    """No partition that was not there before may overlap one that is."""
    before = {(entry.start, entry.size) for entry in current.entries} if current else set()
    for made in after.entries:
        if (made.start, made.size) in before:
            continue
        for other in after.entries:
            apart = other.end <= made.start or made.end <= other.start
            inside = (other.is_extended and made.ebr is not None) or (made.is_extended and other.ebr is not None)
            if other is not made and not apart and not inside:
                raise _taken(made, other)


def _taken(entry: PartitionEntry, other: PartitionEntry) -> PlaceTaken:
    return PlaceTaken(
        f"partition {entry.describe()} would overlap {other.describe()}",
        hint=f"delete partition {other.number} first if it is not needed",
    )


def _result(draft: Draft, saved: PartitionTable) -> PartitionTable:
    after = read_table(draft.view, sector_size=saved.sector_size)
    if after is None:
        raise PlaceTaken("sector 0 would still not be a partition table")
    return after
