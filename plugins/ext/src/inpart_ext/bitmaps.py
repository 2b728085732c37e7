"""Block and inode bitmaps: read in windows, computed where they are not initialised, turned into extents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from inpart.extents import Extents, bit_edges
from inpart.units import MIB
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.desc_places import base_blocks
from inpart_ext.groups import Groups
from inpart_ext.sums import crc_rows

WINDOW = 4 * MIB

Numbers = NDArray[np.int64]
Bits = NDArray[np.uint8]


def read_blocks(volume: Volume, block_size: int, blocks: Numbers) -> Bits:
    """Blocks by number, shape (n, block_size), neighbours in one read; zeros for what is not on the volume."""
    data = np.zeros((len(blocks), block_size), dtype=np.uint8)
    inside = (blocks >= 0) & (blocks < volume.size // block_size)
    starts = np.flatnonzero(np.diff(np.where(inside, blocks, -2), prepend=-9) != 1)
    for first, last in pairwise([*starts.tolist(), len(blocks)]):
        if inside[first]:
            volume.readinto(int(blocks[first]) * block_size, data[first:last].data.cast("B"))
    return data


class Bitmaps:
    """The bitmaps of all groups. Bit i of a block bitmap is the i-th cluster of the group, lowest bit first."""

    def __init__(self, volume: Volume, groups: Groups) -> None:
        """Nothing is read yet."""
        self.volume = volume
        self.groups = groups
        self.superblock = groups.superblock

    def block_rows(self, numbers: Numbers) -> Bits:
        """The block bitmaps of groups as they are on disk, computed where uninitialised; shape (n, block_size)."""
        return self._rows(numbers, self.groups.block_bitmap, self.groups.block_uninit)

    def inode_rows(self, numbers: Numbers) -> Bits:
        """The inode bitmaps of groups, all zero where uninitialised; shape (n, block_size)."""
        return self._rows(numbers, self.groups.inode_bitmap, self.groups.inode_uninit)

    def _rows(self, numbers: Numbers, places: Numbers, uninit: NDArray[np.bool_]) -> Bits:
        return read_blocks(self.volume, self.superblock.block_size, np.where(uninit[numbers], -1, places[numbers]))

    def windows(self, chosen: NDArray[np.bool_]) -> Iterator[Numbers]:
        """Group numbers where ``chosen``, in batches whose bitmaps fit into ``WINDOW``."""
        numbers = np.flatnonzero(chosen).astype(np.int64)
        step = max(1, WINDOW // self.superblock.block_size)
        for start in range(0, len(numbers), step):
            yield numbers[start : start + step]

    def used(self) -> Extents:
        """Bytes of all blocks in use, those before the first group and metadata of uninitialised groups included."""
        superblock, groups = self.superblock, self.groups
        parts = [np.array([[0, superblock.first_data_block]], dtype=np.int64)]
        for numbers in self.windows(~groups.block_uninit):
            parts.append(self._runs(numbers, self.block_rows(numbers)))
        computed = np.flatnonzero(groups.block_uninit | groups.rescued).astype(np.int64)
        parts.append(self.computed(computed))
        blocks = np.clip(np.concatenate(parts), 0, superblock.blocks_count)
        return Extents(blocks * superblock.block_size)

    def computed(self, numbers: Numbers) -> Numbers:
        """What e2fsprogs takes for used in uninitialised groups: rows of first block and one past the last."""
        groups, size = self.groups, self.superblock.inode_table_blocks
        starts = np.concatenate(
            [groups.block_bitmap[numbers], groups.inode_bitmap[numbers], groups.inode_table[numbers]]
        )
        lengths = np.repeat(np.array([1, 1, size], dtype=np.int64), len(numbers))
        own = np.stack([starts, starts + lengths], axis=1)
        return self.whole_clusters(np.concatenate([base_blocks(self.superblock, numbers), own]))

    def whole_clusters(self, rows: Numbers) -> Numbers:
        """Rows of blocks widened to the clusters that they touch."""
        ratio, base = self.superblock.cluster_ratio, self.superblock.first_data_block
        low = (rows[:, 0] - base) // ratio * ratio + base
        high = -((base - rows[:, 1]) // ratio) * ratio + base
        return np.stack([low, high], axis=1)

    def _runs(self, numbers: Numbers, rows: Bits) -> Numbers:
        """Used blocks of groups as rows of first block and one past the last, in order."""
        superblock = self.superblock
        edges, per_row = bit_edges(rows[:, : superblock.clusters_per_group // 8])
        row, bit = np.divmod(edges, per_row)
        first = superblock.first_data_block + numbers[row] * superblock.blocks_per_group
        return np.asarray(first + bit * superblock.cluster_ratio, dtype=np.int64).reshape(-1, 2)

    def block_checksums(self, rows: Bits) -> NDArray[np.uint32]:
        """What the checksums of these block bitmaps should be, 32 bits each."""
        return crc_rows(self.superblock.csum_seed, rows[:, : self.superblock.clusters_per_group // 8])

    def inode_checksums(self, rows: Bits) -> NDArray[np.uint32]:
        """What the checksums of these inode bitmaps should be, 32 bits each."""
        return crc_rows(self.superblock.csum_seed, rows[:, : self.superblock.inodes_per_group // 8])
