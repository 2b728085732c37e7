"""Pass 1, sizes: i_size and i_blocks against the blocks that there are, and the blocks of the resize inode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.check.inodes import is_blank
from inpart_ext.check.report import error, for_inodes
from inpart_ext.features import Compat
from inpart_ext.inodes import Inodes
from inpart_ext.mapping import Mapping, largest_sizes
from inpart_ext.structs import BAD_INO, INLINE_DATA_FL, RESIZE_INO, S_IFDIR, S_IFLNK, S_IFREG, VERITY_FL
from inpart_ext.xattr import Attribute, block_attributes, inode_attributes

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

PAGE = 4096
SECTOR = 512

Numbers = NDArray[np.int64]


def check_sizes(filesystem: ExtFilesystem, mapping: Mapping) -> Iterator[Finding]:
    """i_size and i_blocks of a window of inodes, leaving out those whose trees are damaged anyway."""
    inodes = mapping.inodes
    healthy = np.ones(len(inodes), dtype=bool)
    healthy[[problem.owner for problem in mapping.problems]] = False
    healthy &= ~np.isin(inodes.numbers, [BAD_INO, RESIZE_INO]) & ~is_blank(inodes)
    yield from _check_size(mapping, healthy)
    yield from _check_blocks(filesystem, mapping, healthy)
    resize = np.flatnonzero(inodes.numbers == RESIZE_INO)
    if len(resize) and inodes.superblock.has(Compat.RESIZE_INODE):
        yield from _check_resize_inode(mapping, int(resize[0]))


def _check_size(mapping: Mapping, healthy: NDArray[np.bool_]) -> Iterator[Finding]:
    inodes, pieces = mapping.inodes, mapping.pieces
    size = inodes.superblock.block_size
    written = np.zeros(len(inodes), dtype=np.int64)
    ends = np.where(pieces.uninit, 0, pieces.logical + pieces.length)
    np.maximum.at(written, pieces.owner, ends)
    inline = inodes.flags & INLINE_DATA_FL > 0
    folder = healthy & (inodes.format == S_IFDIR) & ~inline
    wrong = folder & (inodes.size != written * size)
    yield from for_inodes("inode-size", inodes.numbers, wrong, "a directory is not as long as its blocks")
    held = np.zeros(len(inodes), dtype=np.int64)
    np.add.at(held, pieces.owner, pieces.length)
    yield from for_inodes("dir-hole", inodes.numbers, folder & (held != written), "a directory has a hole")
    yield from for_inodes("dir-hole", inodes.numbers, folder & (held == 0), "a directory has no block")
    plain = healthy & np.isin(inodes.format, [S_IFREG, S_IFLNK]) & ~inline & (inodes.flags & VERITY_FL == 0)
    endless = plain & (inodes.size > largest_sizes(inodes))
    yield from for_inodes("inode-size", inodes.numbers, endless, "it is larger than any file can be")
    last = written - 1
    per_page = max(1, PAGE // size)
    short = (last >= 0) & (inodes.size < last * size)
    in_page = ((last + 1) % per_page == 0) & (inodes.size >= last // per_page * per_page * size)
    yield from for_inodes("inode-size", inodes.numbers, plain & short & ~in_page, "it has blocks behind its end")


def _check_blocks(filesystem: ExtFilesystem, mapping: Mapping, healthy: NDArray[np.bool_]) -> Iterator[Finding]:
    inodes = mapping.inodes
    clusters = clusters_used(mapping) + (inodes.file_acl > 0)
    unit = inodes.superblock.cluster_size // SECTOR
    for index in np.flatnonzero(healthy & (inodes.blocks != clusters * unit)).tolist():
        expected = int(clusters[index]) + _attribute_clusters(filesystem, inodes.pick(np.array([index])))
        found = int(inodes.blocks[index])
        if found != expected * unit:
            where = f"inode {int(inodes.numbers[index])}"
            yield error("inode-blocks", where, f"it counts {found} sectors of blocks and has {expected * unit}")


def clusters_used(mapping: Mapping) -> Numbers:
    """How many allocation units each inode has, without its attributes."""
    pieces, nodes, count = mapping.pieces, mapping.nodes, len(mapping.inodes)
    ratio = mapping.inodes.superblock.cluster_ratio
    low, high = pieces.physical // ratio, -(-(pieces.physical + pieces.length) // ratio)
    used = high - low
    if ratio > 1 and len(used):
        order = np.lexsort((low, pieces.owner))
        owner = pieces.owner[order]
        shared = (owner[1:] == owner[:-1]) & (low[order][1:] == high[order][:-1] - 1)
        used[order[1:]] -= shared
    total = np.bincount(pieces.owner, weights=used, minlength=count)
    return np.asarray(total + np.bincount(nodes.owner, minlength=count), dtype=np.int64)


def _attribute_clusters(filesystem: ExtFilesystem, inode: Inodes) -> int:
    """Clusters of the inodes that hold large attribute values, which count as the inode's own."""
    superblock = inode.superblock
    found = list(inode_attributes(inode.raw[0].tobytes()))
    block = int(inode.file_acl[0])
    if superblock.first_data_block < block < superblock.blocks_count:
        size = superblock.block_size
        found += block_attributes(filesystem.volume.read(block * size, size))
    values = [entry.value_size for entry in found if isinstance(entry, Attribute) and entry.value_inum]
    return sum(-(-size // superblock.cluster_size) for size in values)


def _check_resize_inode(mapping: Mapping, index: int) -> Iterator[Finding]:
    """The resize inode holds the blocks reserved for descriptors: those of group 0 as tree blocks, copies as data.

    A copy lies a multiple of s_blocks_per_group behind its original, with bigalloc and blocks of 1 KiB too, where the
    copies of the superblock do not.
    """
    superblock = mapping.inodes.superblock
    nodes, pieces = mapping.nodes.of(index), mapping.pieces.of(index)
    groups = np.array(superblock.super_groups(), dtype=np.int64)
    first = superblock.super_block(0) + 1 + superblock.desc_blocks + np.arange(superblock["s_reserved_gdt_blocks"])
    places = (groups * superblock.blocks_per_group)[:, np.newaxis] + first
    primary = nodes.block[nodes.height == 1]
    data = np.repeat(pieces.physical - np.cumsum(pieces.length) + pieces.length, pieces.length)
    data = data + np.arange(len(data))
    same = np.array_equal(np.sort(primary), places[0]) if len(places) else False
    if not same or not np.array_equal(np.sort(data), np.sort(places[1:].ravel())):
        yield error("resize-inode", "inode 7", "it does not hold the blocks that are reserved for group descriptors")
