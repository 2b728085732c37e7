"""What a partition table lacks, found from the copy that an image or a recovery aid carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from inpart.errors import IntegrityError, NoImageFound, UsageError
from inpart.operations.aids.uses import known_records
from inpart.operations.images import OpenImage
from inpart.operations.session import Session
from inpart.partitions import Repair, Target, repair_entry, repair_table, saved_table

_ON_DISK = "disk:"
Saved = Mapping[str, tuple[int, bytes]]


def plan_repair(session: Session, target: Target, image: OpenImage, *, whole: bool) -> Repair:
    """What to write so that the table names the partition again, or with ``whole`` is all that was saved.

    Raises NoImageFound if the image carries no table, UsageError if ``target`` is not the whole disk, and what
    ``repair_entry`` and ``repair_table`` raise: nothing that exists is overlapped or left out.
    """
    if target.entry is not None or target.start:
        raise UsageError(f"{target.address} is a partition", hint="--repair-table works on the whole disk")
    start = image.found.store.base if image.found else image.reader.manifest.partition.disk_offset
    areas = _saved(session, target, image, start)
    if not areas:
        raise NoImageFound(
            f"image {image.reader.manifest.name!r} carries no partition table",
            hint="it was made from a volume without one; restore with --to instead",
        )
    if whole and _names(areas, start):
        return _whole_repair(session, target, image, areas)
    return repair_entry(target.volume, areas, start)


def _whole_repair(session: Session, target: Target, image: OpenImage, areas: Saved) -> Repair:
    """The whole table of ``areas``; or, where an aid knows that table with more partitions in it, that of the aid."""
    best, known = areas, _places(areas)
    for later in _saved_in_aids(session, target, image):
        if _places(later) > _places(best):
            best = later
    repair = repair_table(target.volume, best)
    more = len(_places(best)) - len(known)
    said = (f"! {more} more partitions than the image knows come from a recovery aid",) if more else ()
    return replace(repair, description=(*said, *repair.description))


def _places(saved: Saved) -> set[tuple[int, int]]:
    """(start, size) of each partition; nothing if the saved table cannot be read."""
    try:
        return {(entry.start, entry.size) for entry in saved_table(saved).partitions}
    except IntegrityError:
        return set()


def _saved(session: Session, target: Target, image: OpenImage, start: int) -> Saved:
    """The table that came with the image; that of an aid if the partition was copied to this disk since."""
    saved = image.reader.extra_areas
    if _names(saved, start):
        return saved
    found = (areas for areas in _saved_in_aids(session, target, image) if _names(areas, start))
    return next(found, saved)


def _saved_in_aids(session: Session, target: Target, image: OpenImage) -> Iterator[Saved]:
    """The tables that recovery aids of the image's store have saved of this disk."""
    if image.found is None:
        return
    store = image.found.store
    for record in known_records(session, target.volume, target):
        if store.store_id.hex() in record.store_ids and record.partition_start == store.base:
            yield {
                name.removeprefix(_ON_DISK): area
                for name, area in record.system_areas.items()
                if name.startswith(_ON_DISK)
            }


def _names(saved: Saved, start: int) -> bool:
    """True if the saved table can be read and has a partition that begins at byte ``start``."""
    try:
        return bool(saved) and saved_table(saved).starting_at(start) is not None
    except IntegrityError:
        return False
