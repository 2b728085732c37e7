"""Putting a partition's entry back into the table of its disk, from the copy that its image carries."""

from __future__ import annotations

from inpart.errors import NoImageFound, UsageError
from inpart.operations.images import OpenImage
from inpart.operations.session import Session
from inpart.partitions import Target, apply_repair, repair_entry


def repair_table_entry(session: Session, target: Target, image: OpenImage, *, dry_run: bool) -> str:
    """Show the entry, ask, and write it; returns what it says of itself.

    Raises NoImageFound if the image carries no table, UsageError if ``target`` is not the whole disk, and what
    ``repair_entry`` raises: nothing that exists is overlapped.
    """
    if target.entry is not None or target.start:
        raise UsageError(f"{target.address} is a partition", hint="--repair-table works on the whole disk")
    areas = image.reader.extra_areas
    if not areas:
        raise NoImageFound(
            f"image {image.reader.manifest.name!r} carries no partition table",
            hint="it was made from a volume without one; restore with --to instead",
        )
    start = image.found.store.base if image.found else image.reader.manifest.partition.disk_offset
    repair = repair_entry(target.volume, areas, start)
    description = "\n".join(repair.description)
    if not dry_run and repair.edits:
        session.ask(f"{description}\nWrite this entry to the partition table of {target.volume.name}?")
        apply_repair(target.volume, repair)
    return description
