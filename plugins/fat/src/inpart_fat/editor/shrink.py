"""Letting a FAT file system end earlier, where only free clusters are given up."""

from __future__ import annotations

from inpart.contracts import Edits, Stage
from inpart.errors import NoSpace

from inpart_fat.editor.bootfields import set_boot_field
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.fsinfo import read_fsinfo
from inpart_fat.geometry import FAT12_LIMIT, FAT16_LIMIT, Geometry
from inpart_fat.structs import FSI_UNKNOWN, FSINFO, field_offset


def shrink(filesystem: FatFilesystem, size: int, tx: Edits) -> None:
    """Set the number of sectors so that the file system ends at byte ``size`` of the partition, or before.

    The allocation tables keep their length. Raises NoSpace if a used cluster lies behind, or if so few clusters
    remained that systems would take the file system for another kind of FAT.
    """
    geometry = filesystem.geometry
    clusters = (size - geometry.data_start) // geometry.cluster_size
    used = filesystem.usage.used.end
    if clusters < _least(geometry) or used > size:
        least = max(used, geometry.data_start + _least(geometry) * geometry.cluster_size)
        raise NoSpace(
            f"the {geometry.kind} file system of {geometry.size} bytes can shrink to {least} bytes, its new partition "
            f"has {size}",
            hint="make the partition at least that large",
        )
    small = "BPB_TotSec16" if filesystem.boot.sector["BPB_TotSec16"] else "BPB_TotSec32"
    set_boot_field(tx, geometry, small, size // geometry.sector_size)
    filesystem.refresh()
    _set_fsinfo(filesystem, tx)


def _least(geometry: Geometry) -> int:
    """The smallest number of clusters with which everybody still takes it for what it is."""
    bounds = [limit for limit in (FAT12_LIMIT, FAT16_LIMIT) if limit <= geometry.cluster_count]
    return max([1, *bounds]) if geometry.fat_bits != 12 else 1


def _set_fsinfo(filesystem: FatFilesystem, tx: Edits) -> None:
    geometry = filesystem.geometry
    if read_fsinfo(filesystem.volume, geometry) is None:
        return
    free = geometry.cluster_count - filesystem.usage.used_clusters
    for field, value in (("FSI_Free_Count", free), ("FSI_Nxt_Free", FSI_UNKNOWN)):
        tx.edit(geometry.fsinfo_offset + field_offset(FSINFO, field), value.to_bytes(4, "little"), Stage.FOLLOW)
