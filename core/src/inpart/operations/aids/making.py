"""A partition for an aid, made in the free space of the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inpart.checksums import all_zero
from inpart.contracts import PartitionAid, SearchMethod
from inpart.errors import PlaceTaken, UsageError
from inpart.operations.aids.homes import disk_path
from inpart.operations.aids.places import AidPlace
from inpart.operations.session import Session
from inpart.operations.stores import locate
from inpart.partitions import Repair, add_partition, apply_repair, open_target, reread_partitions
from inpart.units import format_size
from inpart.volume import Access, SliceVolume, Volume

_STEP = 1 << 20


def make_home(
    session: Session, address: str, places: Sequence[AidPlace], size: int, *, dry_run: bool
) -> tuple[str, ...]:
    """Add a partition of ``size`` bytes to the table of the disk of ``address``; the lines that describe the change.

    Nothing but the table is written. Raises UsageError if none of ``places`` needs one, NoSpace with the numbers,
    DeviceBusy if anything of the disk is in use.
    """
    aid = _aid_without_home(places)
    with open_target(address, whole_disk=True) as target:
        disk = str(disk_path(target))
    with open_target(disk, Access.READ if dry_run else Access.WRITE, whole_disk=True) as opened:
        repair = add_partition(opened.volume, size, aid.partition_types, "inpart recovery")
        lines = (*_remains(session, opened.volume, repair), *repair.description)
        if not dry_run:
            session.ask("\n".join((*lines, f"Write this to the partition table of {disk}?")))
            apply_repair(opened.volume, repair)
    if not dry_run:
        reread_partitions(Path(disk))
    return lines


def _aid_without_home(places: Sequence[AidPlace]) -> PartitionAid:
    for place in places:
        if isinstance(place.use.aid, PartitionAid) and not place.use.target:
            if place.home is None:
                return place.use.aid
            raise UsageError(f"there is a recovery partition already: {place.home}", hint="leave --create away")
    raise UsageError("none of these aids has a partition of its own", hint="such as `partition --create 4M`")


def _remains(session: Session, disk: Volume, repair: Repair) -> list[str]:
    """A line if the place is not blank. Raises PlaceTaken if images that the table lost lie there."""
    if repair.entry is None:
        return []
    place = SliceVolume(disk, repair.entry.start, repair.entry.size)
    if locate(session, place, (SearchMethod.PARTITION,)).found:
        raise PlaceTaken(
            f"parts of images lie from byte {repair.entry.start} on, in a partition that the table names no more",
            hint="`inpart locate --whole-disk` shows them; restore --repair-table puts their partition back",
        )
    data = place.data_extents().split(_STEP).tolist()
    if all(all_zero(place.read(start, end - start)) for start, end in data):
        return []
    return [f"! what is left of something else in these {format_size(place.size)} is lost"]
