"""Where superblocks and group descriptors lie, copies and reserved blocks included: facts of the superblock alone.

Source of facts: lib/ext2fs of e2fsprogs (``ext2fs_super_and_bgd_loc2``, ``ext2fs_descriptor_block_loc2``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart_ext.features import Incompat
from inpart_ext.superblock import Superblock

Numbers = NDArray[np.int64]


def primary_desc_blocks(superblock: Superblock) -> Numbers:
    """The blocks of the primary descriptor table, in order."""
    number = np.arange(superblock.desc_blocks, dtype=np.int64)
    places = superblock.super_block(0) + 1 + number
    if superblock.has(Incompat.META_BG):
        meta = number >= superblock["s_first_meta_bg"]
        groups = number[meta] * superblock.desc_per_block
        places[meta] = _behind_super(superblock, groups)
    return places


def backup_desc_blocks(superblock: Superblock, group: int) -> Numbers:
    """The blocks of the copy of the table that goes with the backup superblock of ``group``.

    With meta_bg each block has its copies in the second and last group of its meta group; the first of them is given.
    """
    number = np.arange(superblock.desc_blocks, dtype=np.int64)
    places = superblock.super_block(group) + 1 + number
    if superblock.has(Incompat.META_BG):
        meta = number >= superblock["s_first_meta_bg"]
        groups = np.minimum(number[meta] * superblock.desc_per_block + 1, superblock.group_count - 1)
        places[meta] = _behind_super(superblock, groups)
    return places


def _behind_super(superblock: Superblock, groups: Numbers) -> Numbers:
    """The first block of each group that is not a superblock."""
    first = superblock.first_data_block + groups * superblock.blocks_per_group
    if first.size and first[0] == 0 and superblock.block_size == 1024:
        first[0] = 1
    return np.asarray(first + superblock.has_super(groups), dtype=np.int64)


def reserved_blocks(superblock: Superblock) -> Numbers:
    """What ``base_blocks`` gives for all groups."""
    return base_blocks(superblock, np.arange(superblock.group_count, dtype=np.int64))


def base_blocks(superblock: Superblock, groups: Numbers) -> Numbers:
    """Superblock, descriptors and reserved blocks of ``groups``: rows of first block and one past the last.

    Block 0 is in it where the superblock of group 0 lies in block 1 of group 0 (bigalloc with blocks of 1 KiB).
    """
    first = superblock.first_data_block + groups * superblock.blocks_per_group
    with_super = superblock.has_super(groups)
    starts = first[with_super]
    ends = starts + 1
    extra = np.empty((0, 2), dtype=np.int64)
    if superblock.has(Incompat.META_BG):
        old = groups[with_super] // superblock.desc_per_block < superblock["s_first_meta_bg"]
        ends = ends + np.where(old, superblock["s_first_meta_bg"], 0)
        extra = _meta_rows(superblock, groups, first, with_super)
    else:
        ends = ends + superblock.desc_blocks + superblock["s_reserved_gdt_blocks"]
    if len(starts) and starts[0] == 0 and superblock.block_size == 1024:
        ends[0] += 1
    rows = np.concatenate([np.stack([starts, ends], axis=1), extra])
    return np.asarray(np.minimum(rows, superblock.blocks_count), dtype=np.int64)


def _meta_rows(superblock: Superblock, groups: Numbers, first: Numbers, with_super: NDArray[np.bool_]) -> Numbers:
    """The one descriptor block in the first, second and last group of each meta group."""
    size = superblock.desc_per_block
    chosen = (groups // size >= superblock["s_first_meta_bg"]) & np.isin(groups % size, [0, 1, size - 1])
    start = first[chosen] + with_super[chosen]
    if len(start) and first[0] == 0 and chosen[0] and superblock.block_size == 1024:
        start[0] += 1
    return np.stack([start, start + 1], axis=1)
