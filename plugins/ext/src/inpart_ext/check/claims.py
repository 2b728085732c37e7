"""Pass 1, second half: blocks that two inodes claim, or an inode and the metadata of groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ext.check.census import whole_clusters
from inpart_ext.check.report import error
from inpart_ext.features import Incompat, RoCompat
from inpart_ext.structs import BAD_INO
from inpart_ext.superblock import Superblock

if TYPE_CHECKING:
    from inpart_ext.check.census import Census
    from inpart_ext.filesystem import ExtFilesystem

METADATA = 0
"""Stands for the owner of bitmaps, tables and descriptors."""

Numbers = NDArray[np.int64]


def check_claims(filesystem: ExtFilesystem, census: Census) -> Iterator[Finding]:
    """Every block has at most one owner; blocks of attributes may be shared and say by how many."""
    yield from census.attributes.blocks(census.attribute_users)
    yield from census.attributes.values.counts()
    if filesystem.superblock.has(RoCompat.SHARED_BLOCKS):
        return
    rows = all_claims(filesystem, census)
    rows = rows[rows[:, 0] != BAD_INO]
    rows = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    reach = np.maximum.accumulate(rows[:, 2])
    again = np.flatnonzero(rows[1:, 1] < reach[:-1]) + 1
    for index in again[:ENOUGH].tolist():
        number, first = int(rows[index, 0]), int(rows[index, 1])
        other = _owner_before(rows, index)
        names = " and ".join(_named(owner) for owner in sorted({number, other}))
        yield error("block-twice", f"block {first}", f"it is claimed twice, by {names}")


def all_claims(filesystem: ExtFilesystem, census: Census) -> Numbers:
    """Rows of owner, first block and one past the last: metadata, inodes, blocks of attributes."""
    superblock = filesystem.superblock
    metadata = metadata_blocks(filesystem)
    attributes = np.unique(census.attribute_users.block)
    exists = (attributes > superblock.first_data_block) & (attributes < superblock.blocks_count)
    block = attributes[exists]
    shared = np.stack([np.full(len(block), -1), block, block + 1], axis=1)
    if superblock.cluster_ratio > 1:
        shared = whole_clusters(superblock, shared)
    system = np.column_stack([np.full(len(metadata), METADATA), metadata])
    return np.concatenate([system, *census.owned, shared])


def metadata_blocks(filesystem: ExtFilesystem) -> Numbers:
    """What belongs to no inode: rows of first block and one past the last, sorted, whole clusters."""
    superblock = filesystem.superblock
    size = superblock.cluster_size
    found = filesystem.groups.metadata() | Extents.span(0, superblock.data_start)
    if superblock.has(Incompat.MMP):
        start = superblock["s_mmp_block"] * superblock.block_size
        found |= Extents.span(start, start + superblock.block_size)
    if superblock.cluster_ratio > 1:
        found = found.align_out(size)
    return np.asarray(found.array // superblock.block_size)


def overlapping_metadata(filesystem: ExtFilesystem) -> Iterator[Finding]:
    """Bitmaps and inode tables of two groups in the same place."""
    groups = filesystem.groups
    rows = groups.own_blocks()
    order = np.argsort(rows[:, 0], kind="stable")
    again = np.flatnonzero(rows[order][1:, 0] < np.maximum.accumulate(rows[order][:, 1])[:-1]) + 1
    for index in order[again][:ENOUGH].tolist():
        group, block = index % len(groups), int(rows[index, 0])
        yield error("metadata-twice", f"group {group}", f"its metadata at block {block} are those of another group too")


def _owner_before(rows: Numbers, index: int) -> int:
    """Who claims the start of a row as well: the nearest row before it that reaches so far."""
    before = np.flatnonzero(rows[:index, 2] > rows[index, 1])
    return int(rows[before[-1], 0])


def _named(owner: int) -> str:
    if owner < 0:
        return "extended attributes"
    return f"inode {owner}" if owner else "the metadata of a group"


def claimed_blocks(superblock: Superblock, rows: Numbers) -> Extents:
    """All claims together, in bytes of the volume."""
    return Extents(np.clip(rows[:, 1:], 0, superblock.blocks_count) * superblock.block_size)
