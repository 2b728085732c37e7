"""The table of group descriptors as arrays, from the primary table or, where that is damaged, from backups."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from inpart.extents import Extents
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.desc_places import backup_desc_blocks, primary_desc_blocks, reserved_blocks
from inpart_ext.features import Incompat, RoCompat
from inpart_ext.structs import (
    BG_BLOCK_UNINIT,
    BG_INODE_UNINIT,
    GROUP_DESC,
    MIN_DESC_SIZE,
    field_offset,
)
from inpart_ext.sums import ALL_ONES, crc16_rows, crc_rows, little_endian_rows
from inpart_ext.superblock import Superblock

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_CSUM = field_offset(GROUP_DESC, "bg_checksum")


@dataclass
class Groups:
    """All group descriptors. Blocks are block numbers, one element of each array for one group.

    ``raw`` are the descriptors as they are on disk, shape (groups, desc_size); ``table`` the same as ``GROUP_DESC``.
    ``rescued`` marks groups whose descriptor comes from a backup: what changes in use is out of date in them.
    """

    superblock: Superblock
    raw: NDArray[np.uint8]
    rescued: Mask
    notes: tuple[str, ...] = ()
    table: NDArray[np.void] = field(init=False)

    def __post_init__(self) -> None:
        full = np.zeros((len(self.raw), GROUP_DESC.itemsize), dtype=np.uint8)
        used = min(self.raw.shape[1], GROUP_DESC.itemsize)
        if not self.superblock.has(Incompat.BIT64):
            used = MIN_DESC_SIZE
        full[:, :used] = self.raw[:, :used]
        self.table = full.view(GROUP_DESC).reshape(-1)

    def __len__(self) -> int:
        return len(self.table)

    def wide(self, name: str, bits: int = 32) -> Numbers:
        """A number that is stored as ``name_lo``, of so many bits, and ``name_hi``."""
        return self.table[f"{name}_lo"].astype(np.int64) | self.table[f"{name}_hi"].astype(np.int64) << bits

    @cached_property
    def block_bitmap(self) -> Numbers:
        """The block of the block bitmap."""
        return self.wide("bg_block_bitmap")

    @cached_property
    def inode_bitmap(self) -> Numbers:
        """The block of the inode bitmap."""
        return self.wide("bg_inode_bitmap")

    @cached_property
    def inode_table(self) -> Numbers:
        """The first block of the inode table."""
        return self.wide("bg_inode_table")

    @property
    def free_clusters(self) -> Numbers:
        """bg_free_blocks_count, which counts clusters with bigalloc."""
        return self.wide("bg_free_blocks_count", 16)

    @property
    def free_inodes(self) -> Numbers:
        """bg_free_inodes_count."""
        return self.wide("bg_free_inodes_count", 16)

    @property
    def used_dirs(self) -> Numbers:
        """bg_used_dirs_count."""
        return self.wide("bg_used_dirs_count", 16)

    @property
    def itable_unused(self) -> Numbers:
        """Inodes at the end of the table that were never used; zero where it is not kept or not to be trusted."""
        unused = np.where(self.inode_uninit, self.superblock.inodes_per_group, self.wide("bg_itable_unused", 16))
        return np.where(self.rescued | (not self.superblock.group_csum), 0, unused)

    @cached_property
    def block_uninit(self) -> Mask:
        """Groups whose block bitmap follows from their metadata and is not on disk."""
        return self._flag(BG_BLOCK_UNINIT)

    @cached_property
    def inode_uninit(self) -> Mask:
        """Groups whose inode table and bitmap were never used."""
        return self._flag(BG_INODE_UNINIT)

    def _flag(self, bit: int) -> Mask:
        return (self.table["bg_flags"] & bit > 0) & self.superblock.group_csum & ~self.rescued

    @cached_property
    def offsets(self) -> Numbers:
        """Byte of the volume at which each primary descriptor starts."""
        superblock, per_block = self.superblock, self.superblock.desc_per_block
        number = np.arange(len(self), dtype=np.int64)
        places = primary_desc_blocks(superblock)[number // per_block]
        return places * superblock.block_size + number % per_block * superblock.desc_size

    @property
    def checksums(self) -> NDArray[np.uint16]:
        """What bg_checksum of each group should be."""
        return descriptor_checksums(self.superblock, self.raw)

    def own_blocks(self) -> Numbers:
        """Bitmaps and inode tables of all groups as rows of first block and one past the last; hostile values too."""
        size = self.superblock.inode_table_blocks
        starts = np.concatenate([self.block_bitmap, self.inode_bitmap, self.inode_table])
        lengths = np.repeat(np.array([1, 1, size]), len(self))
        return np.stack([starts, starts + lengths], axis=1)

    def metadata(self) -> Extents:
        """Bytes of all superblocks, descriptors, reserved descriptor blocks, bitmaps and inode tables."""
        own = np.clip(self.own_blocks(), 0, self.superblock.blocks_count)
        return Extents(np.concatenate([own, reserved_blocks(self.superblock)]) * self.superblock.block_size)


def descriptor_checksums(superblock: Superblock, raw: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """bg_checksum of each of all descriptors of a file system, in group order; zeros where there are none."""
    numbers = little_endian_rows(np.arange(len(raw), dtype=np.int64))
    if superblock.metadata_csum:
        cleared = raw.copy()
        cleared[:, _CSUM : _CSUM + 2] = 0
        return (crc_rows(superblock.csum_seed, np.hstack([numbers, cleared])) & 0xFFFF).astype(np.uint16)
    if superblock.has(RoCompat.GDT_CSUM):
        uuid = np.broadcast_to(np.frombuffer(superblock.uuid_bytes, dtype=np.uint8), (len(raw), 16))
        tail = raw[:, MIN_DESC_SIZE:] if superblock.has(Incompat.BIT64) else raw[:, :0]
        return crc16_rows(ALL_ONES & 0xFFFF, np.hstack([uuid, numbers, raw[:, :_CSUM], tail]))
    return np.zeros(len(raw), dtype=np.uint16)


def read_groups(volume: Volume, superblock: Superblock) -> Groups:
    """The descriptors of all groups; each that is damaged is taken from the first backup where it is sound.

    Raises VolumeError. A descriptor that is nowhere sound stays as it is, and ``sound`` tells.
    """
    groups = Groups(superblock, _read_table(volume, superblock, primary_desc_blocks(superblock)), _none(superblock))
    broken = ~sound(groups)
    if not broken.any():
        return groups
    raw, rescued, sources = groups.raw.copy(), _none(superblock), []
    for group in superblock.super_groups()[1:]:
        backup = Groups(superblock, _read_table(volume, superblock, backup_desc_blocks(superblock, group)), rescued)
        usable = broken & ~rescued & sound(backup)
        if usable.any():
            raw[usable] = backup.raw[usable]
            rescued = rescued | usable
            sources.append(f"{int(usable.sum())} from the backup at block {superblock.super_block(group) + 1}")
        if not (broken & ~rescued).any():
            break
    lost = int((broken & ~rescued).sum())
    found = [*sources, *([f"{lost} are lost"] if lost else [])]
    note = f"{int(broken.sum())} of {len(groups)} group descriptors are damaged: {', '.join(found)}"
    return Groups(superblock, raw, rescued, (note,))


def sound(groups: Groups) -> Mask:
    """Which descriptors have the right checksum and name blocks that can be theirs."""
    superblock = groups.superblock
    size = superblock.inode_table_blocks
    good = np.ones(len(groups), dtype=bool)
    if superblock.group_csum:
        good &= groups.checksums == groups.table["bg_checksum"]
    first = superblock.first_data_block + np.arange(len(groups), dtype=np.int64) * superblock.blocks_per_group
    low, high = first, np.minimum(first + superblock.blocks_per_group, superblock.blocks_count)
    if superblock.has(Incompat.FLEX_BG):
        low, high = np.full_like(low, superblock.first_data_block), np.full_like(high, superblock.blocks_count)
    for start, length in ((groups.block_bitmap, 1), (groups.inode_bitmap, 1), (groups.inode_table, size)):
        good &= (start > 0) & (start >= low) & (start + length <= high)
    return good


def _none(superblock: Superblock) -> Mask:
    return np.zeros(superblock.group_count, dtype=bool)


def _read_table(volume: Volume, superblock: Superblock, blocks: Numbers) -> NDArray[np.uint8]:
    """Descriptors from the blocks that hold them; zeros where the volume has ended."""
    size, per_block, width = superblock.block_size, superblock.desc_per_block, superblock.desc_size
    data = np.zeros((len(blocks), size), dtype=np.uint8)
    present = int(np.searchsorted(blocks, volume.size // size))
    breaks = np.flatnonzero(np.diff(blocks[:present]) != 1) + 1
    edges = [0, *breaks.tolist(), present] if present else []
    for first, last in pairwise(edges):
        volume.readinto(int(blocks[first]) * size, data[first:last].data.cast("B"))
    used = data[:, : per_block * width].reshape(-1, width)
    return used[: superblock.group_count]
