"""Pass 5: bitmaps against what is in use, their checksums and padding, and all counters."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ext.check.claims import all_claims, claimed_blocks, overlapping_metadata
from inpart_ext.check.report import error
from inpart_ext.features import Incompat
from inpart_ext.structs import S_IFDIR

if TYPE_CHECKING:
    from inpart_ext.check.census import Census
    from inpart_ext.filesystem import ExtFilesystem

Numbers = NDArray[np.int64]


def check_bitmaps(filesystem: ExtFilesystem, census: Census) -> Iterator[Finding]:
    """Both kinds of bitmaps and the counters of groups and superblock."""
    yield from overlapping_metadata(filesystem)
    yield from _check_block_use(filesystem, census)
    yield from _check_block_rows(filesystem)
    marked = yield from _check_inode_bitmaps(filesystem, census)
    yield from _check_counts(filesystem, census, marked)


def _check_block_use(filesystem: ExtFilesystem, census: Census) -> Iterator[Finding]:
    superblock = filesystem.superblock
    claimed = claimed_blocks(superblock, all_claims(filesystem, census))
    unmarked, unclaimed = claimed - filesystem.used, filesystem.used - claimed
    for found, what in ((unmarked, "in use and marked as free"), (unclaimed, "marked as used and belong to nothing")):
        if found:
            count, first = found.total // superblock.block_size, found.start // superblock.block_size
            yield error("block-bitmap", f"block {first}", f"{count} blocks are {what}, this one first")


def _check_block_rows(filesystem: ExtFilesystem) -> Iterator[Finding]:
    bitmaps, groups, superblock = filesystem.bitmaps, filesystem.groups, filesystem.superblock
    stored = groups.wide("bg_block_bitmap_csum", 16)
    whole = superblock.clusters_per_group
    for numbers in bitmaps.windows(~groups.block_uninit & ~groups.rescued):
        rows = bitmaps.block_rows(numbers)
        if superblock.metadata_csum:
            wrong = numbers[_cut(filesystem, bitmaps.block_checksums(rows)) != stored[numbers]]
            yield from _for_groups("bitmap-checksum", wrong, "its block bitmap has a wrong checksum")
        clusters = -(-(superblock.blocks_count - superblock.first_data_block) // superblock.cluster_ratio)
        bits = np.minimum(clusters - numbers * whole, whole)
        wrong = numbers[_unpadded(rows, bits)]
        yield from _for_groups("bitmap-padding", wrong, "the end of its block bitmap is not filled with ones")


def _check_inode_bitmaps(filesystem: ExtFilesystem, census: Census) -> Generator[Finding, None, Numbers]:
    """Inode bitmaps against the inodes in use; returns how many inodes each group has marked."""
    bitmaps, groups, superblock = filesystem.bitmaps, filesystem.groups, filesystem.superblock
    stored, per_group = groups.wide("bg_inode_bitmap_csum", 16), superblock.inodes_per_group
    reserved = np.arange(1, superblock.first_inode, dtype=np.int64)
    expected = np.unique(np.concatenate([census.number, reserved, *census.lost]))
    marked = np.zeros(len(groups), dtype=np.int64)
    unmarked: list[Numbers] = [expected[groups.inode_uninit[(expected - 1) // per_group]]]
    unused: list[Numbers] = []
    for numbers in bitmaps.windows(~groups.inode_uninit):
        rows = bitmaps.inode_rows(numbers)
        if superblock.metadata_csum:
            known = numbers[~groups.rescued[numbers]]
            wrong = (_cut(filesystem, bitmaps.inode_checksums(rows)) != stored[numbers]) & np.isin(numbers, known)
            yield from _for_groups("bitmap-checksum", numbers[wrong], "its inode bitmap has a wrong checksum")
        wrong = _unpadded(rows, np.full(len(numbers), per_group))
        yield from _for_groups("bitmap-padding", numbers[wrong], "the end of its inode bitmap is not filled with ones")
        row, bit = np.nonzero(np.unpackbits(rows[:, : per_group // 8], axis=1, bitorder="little"))
        found = numbers[row] * per_group + bit + 1
        marked[numbers] = np.bincount(row, minlength=len(numbers))
        first, last = np.searchsorted(expected, [numbers[0] * per_group + 1, (numbers[-1] + 1) * per_group + 1])
        here = expected[first:last]
        here = here[~groups.inode_uninit[(here - 1) // per_group]]
        unmarked.append(np.setdiff1d(here, found, assume_unique=True))
        unused.append(np.setdiff1d(found, here, assume_unique=True))
    for parts, what in ((unmarked, "in use and marked as free"), (unused, "marked as used and are free")):
        numbers = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        if len(numbers):
            where = f"inode {int(numbers[0])}"
            yield error("inode-bitmap", where, f"{len(numbers)} inodes are {what}, this one first")
    return marked


def _check_counts(filesystem: ExtFilesystem, census: Census, marked: Numbers) -> Iterator[Finding]:
    superblock, groups = filesystem.superblock, filesystem.groups
    clusters = free_clusters(filesystem)
    free_inodes = superblock.inodes_per_group - marked
    folders = census.number[census.format == S_IFDIR]
    dirs = np.bincount((folders - 1) // superblock.inodes_per_group, minlength=len(groups))
    for name, stored, found in (
        ("free blocks", groups.free_clusters, clusters),
        ("free inodes", groups.free_inodes, free_inodes),
        ("directories", groups.used_dirs, dirs),
    ):
        for group in np.flatnonzero((stored != found) & ~groups.rescued)[:ENOUGH].tolist():
            message = f"it counts {int(stored[group])} {name} and has {int(found[group])}"
            yield error("group-count", f"group {group}", message)


def free_clusters(filesystem: ExtFilesystem) -> Numbers:
    """Free allocation units of each group as the bitmaps have it.

    The counts in the superblock are not judged: kernel and e2fsck put them right from those of the groups.
    """
    superblock = filesystem.superblock
    end = superblock.data_start + -(-(superblock.size - superblock.data_start) // superblock.cluster_size) * (
        superblock.cluster_size
    )
    free = filesystem.used.complement(superblock.data_start, superblock.size)
    free = free.shift(-superblock.data_start).align_out(superblock.cluster_size)
    edges = np.arange(len(filesystem.groups) + 1, dtype=np.int64) * superblock.blocks_per_group * superblock.block_size
    before = _bytes_before(free, np.minimum(edges, end - superblock.data_start))
    return np.asarray(np.diff(before) // superblock.cluster_size)


def _bytes_before(extents: Extents, places: Numbers) -> Numbers:
    """How many bytes of the set lie before each of ``places``, which are sorted."""
    runs = extents.array
    sums = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0])])
    index = np.searchsorted(runs[:, 0], places, side="left")
    beyond = np.concatenate([[0], runs[:, 1]])[index] - places
    return np.asarray(sums[index] - np.maximum(beyond, 0))


def _cut(filesystem: ExtFilesystem, sums: NDArray[np.uint32]) -> Numbers:
    """A checksum as far as a descriptor has room for it."""
    wide = filesystem.superblock.has(Incompat.BIT64)
    return sums.astype(np.int64) & (0xFFFFFFFF if wide else 0xFFFF)


def _unpadded(rows: NDArray[np.uint8], bits: Numbers) -> NDArray[np.bool_]:
    """Which rows do not have ones in all places from ``bits`` of each on."""
    size = rows.shape[1]
    first = np.minimum(-(-bits // 8), size)
    tail = np.arange(size) >= first[:, np.newaxis]
    wrong = (tail & (rows != 0xFF)).any(axis=1)
    rest = bits % 8
    part = rows[np.arange(len(rows)), np.minimum(bits // 8, size - 1)]
    needed = np.where(rest > 0, 0xFF << rest & 0xFF, 0).astype(np.uint8)
    return np.asarray(wrong | (part & needed != needed))


def _for_groups(code: str, numbers: Numbers, message: str) -> Iterator[Finding]:
    for group in numbers[:ENOUGH].tolist():
        yield error(code, f"group {group}", message)
