"""What a partition table lacks, found from the copy that an image carries."""

from __future__ import annotations

from inpart.errors import NoImageFound, UsageError
from inpart.operations.images import OpenImage
from inpart.partitions import Repair, Target, repair_entry, repair_table


def plan_repair(target: Target, image: OpenImage, *, whole: bool) -> Repair:
    """What to write so that the table names the partition again, or with ``whole`` is all that was saved.

    Raises NoImageFound if the image carries no table, UsageError if ``target`` is not the whole disk, and what
    ``repair_entry`` and ``repair_table`` raise: nothing that exists is overlapped or left out.
    """
    if target.entry is not None or target.start:
        raise UsageError(f"{target.address} is a partition", hint="--repair-table works on the whole disk")
    areas = image.reader.extra_areas
    if not areas:
        raise NoImageFound(
            f"image {image.reader.manifest.name!r} carries no partition table",
            hint="it was made from a volume without one; restore with --to instead",
        )
    if whole:
        return repair_table(target.volume, areas)
    start = image.found.store.base if image.found else image.reader.manifest.partition.disk_offset
    return repair_entry(target.volume, areas, start)
