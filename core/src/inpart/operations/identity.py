"""Who is who: what a manifest and a table of contents say of partition, disk and image."""

from __future__ import annotations

from inpart.contracts import ImageSummary
from inpart.errors import VolumeError
from inpart.image import Manifest, PartitionIdentity
from inpart.operations.scope import Scope
from inpart.partitions import SavedAreas, Target, save_table

_INLINE = 4096


def partition_identity(target: Target) -> PartitionIdentity:
    """Where the partition lies on its disk, as far as that is known."""
    entry, table = target.entry, target.table
    return PartitionIdentity(
        disk_offset=target.start,
        size=target.volume.size,
        sector_size=target.volume.sector_size,
        number=entry.number if entry else 0,
        table=table.kind.value if table else "",
        type_code=entry.type if entry else "",
        disk_id=table.disk_id if table else "",
        partition_uuid=entry.partuuid if entry else "",
        disk_size=target.whole.size if table else 0,
    )


def saved_table_of(target: Target) -> SavedAreas:
    """A copy of the partition table to go with the image; nothing if there is none (S10, S164)."""
    if target.table is None:
        return {}
    try:
        return save_table(target.whole, target.table, target.entry)
    except VolumeError:
        return {}


def small_areas(scope: Scope, target: Target) -> SavedAreas:
    """Copies of those system areas that are small, by name; offsets of ``disk:`` ones are bytes of the disk."""
    areas: SavedAreas = {}
    for area in scope.system_areas:
        if len(area.extents) == 1 and area.extents.total <= _INLINE:
            areas[area.name] = (area.extents.start, scope.view.read(area.extents.start, area.extents.total))
    small = {f"disk:{name}": saved for name, saved in saved_table_of(target).items() if len(saved[1]) <= _INLINE}
    return areas | small


def summary_of(manifest: Manifest, digest: bytes, stream_size: int, system: SavedAreas) -> ImageSummary:
    """The entry of an image for a table of contents."""
    return ImageSummary(
        image_id=manifest.id_bytes,
        name=manifest.name,
        kind=manifest.kind,
        created=manifest.created,
        parent=manifest.parent_bytes,
        stream_size=stream_size,
        image_bytes=manifest.image_bytes,
        digest=digest,
        system=system,
    )
