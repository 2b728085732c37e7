"""The named areas that describe an ext file system, from boot block to inode tables."""

from __future__ import annotations

import numpy as np
from inpart.contracts import SystemArea
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ext.desc_places import backup_desc_blocks, primary_desc_blocks
from inpart_ext.features import Incompat
from inpart_ext.groups import Groups
from inpart_ext.structs import SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE
from inpart_ext.superblock import Superblock

BOOT_BLOCK = 1024


def system_areas(superblock: Superblock, groups: Groups) -> tuple[SystemArea, ...]:
    """All areas but the journal, superblocks first; ``superblock-backup-N`` lies in group N."""
    size = superblock.block_size
    primary = Extents.span(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE)
    areas = [SystemArea("superblock", primary, anchor=True)]
    backups = superblock.super_groups()[1:]
    for group in backups:
        start = superblock.super_block(group) * size
        area = Extents.span(start, start + SUPERBLOCK_SIZE)
        areas.append(SystemArea(f"superblock-backup-{group}", area, anchor=True))
    areas.append(SystemArea("boot-block", Extents.span(0, BOOT_BLOCK)))
    table = _blocks(superblock, primary_desc_blocks(superblock))
    areas.append(SystemArea("group-descriptors", table))
    copies = Extents()
    if superblock.has(Incompat.META_BG):
        backups = backups or [min(1, superblock.group_count - 1)]
    for group in backups:
        copies |= _blocks(superblock, backup_desc_blocks(superblock, group))
    if copies - table:
        areas.append(SystemArea("group-descriptors-backup", copies - table))
    areas.append(SystemArea("block-bitmaps", _blocks(superblock, groups.block_bitmap)))
    areas.append(SystemArea("inode-bitmaps", _blocks(superblock, groups.inode_bitmap)))
    areas.append(SystemArea("inode-tables", _blocks(superblock, groups.inode_table, superblock.inode_table_blocks)))
    return tuple(areas)


def unused_places(superblock: Superblock) -> tuple[tuple[int, int], ...]:
    """(start, end) of what no structure of ext uses: the boot block, and block 0 behind the superblock."""
    behind = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE
    return (0, BOOT_BLOCK), (behind, max(behind, superblock.block_size))


def _blocks(superblock: Superblock, starts: NDArray[np.int64], count: int = 1) -> Extents:
    """Runs of ``count`` blocks, those that lie in the file system."""
    inside = starts[(starts >= 0) & (starts + count <= superblock.blocks_count)]
    return Extents.from_starts(inside * superblock.block_size, count * superblock.block_size)
