"""Inodes: where they lie, one or many at a time, their fields as arrays and their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.units import MIB
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.features import Incompat, RoCompat
from inpart_ext.groups import Groups
from inpart_ext.structs import EXTRA_OFFSET, HUGE_FILE_FL, INODE, S_IFDIR, S_IFMT, S_IFREG, field_offset
from inpart_ext.sums import crc_rows, little_endian_rows
from inpart_ext.superblock import Superblock

WINDOW = 4 * MIB

Numbers = NDArray[np.int64]

_CSUM_LO = field_offset(INODE, "i_checksum_lo")
_CSUM_HI = field_offset(INODE, "i_checksum_hi")


@dataclass
class Inodes:
    """Some inodes: ``numbers``, ``places`` (byte of the volume) and a row of ``raw`` each, shape (n, inode_size)."""

    superblock: Superblock
    numbers: Numbers
    places: Numbers
    raw: NDArray[np.uint8]
    fields: NDArray[np.void] = field(init=False)
    """The same as ``INODE``; fields that the inode size or i_extra_isize leave out are zero."""

    def __post_init__(self) -> None:
        full = np.zeros((len(self.raw), INODE.itemsize), dtype=np.uint8)
        used = min(self.raw.shape[1], INODE.itemsize)
        full[:, :used] = self.raw[:, :used]
        self.fields = full.view(INODE).reshape(-1)
        if used > EXTRA_OFFSET:
            extra = self.fields["i_extra_isize"].astype(np.int64)
            absent = np.arange(INODE.itemsize) >= EXTRA_OFFSET + np.maximum(extra, 2)[:, np.newaxis]
            full[absent] = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def pick(self, chosen: NDArray[np.bool_] | Numbers) -> Inodes:
        """Those inodes only."""
        return Inodes(self.superblock, self.numbers[chosen], self.places[chosen], self.raw[chosen])

    def __getitem__(self, name: str) -> Numbers:
        """A field of all inodes by the kernel's name."""
        return self.fields[name].astype(np.int64)

    def wide(self, low: str, high: str, bits: int) -> Numbers:
        """A number stored in two fields, the lower one of so many bits."""
        return self[low] | self[high] << bits

    @cached_property
    def format(self) -> Numbers:
        """The file type bits of i_mode."""
        return self["i_mode"] & S_IFMT

    @cached_property
    def flags(self) -> Numbers:
        """i_flags."""
        return self["i_flags"]

    @cached_property
    def links(self) -> Numbers:
        """i_links_count."""
        return self["i_links_count"]

    @cached_property
    def size(self) -> Numbers:
        """Bytes of content; the upper half counts for files, and with large_dir for directories."""
        high = self["i_size_high"]
        if self.superblock.has(Incompat.LARGE_DIR):
            counts = np.isin(self.format, [S_IFREG, S_IFDIR])
        else:
            counts = self.format == S_IFREG
        return self["i_size_lo"] | np.where(counts, high, 0) << 32

    @cached_property
    def blocks(self) -> Numbers:
        """i_blocks in units of 512 bytes."""
        if not self.superblock.has(RoCompat.HUGE_FILE):
            return self["i_blocks_lo"]
        count = self.wide("i_blocks_lo", "i_blocks_high", 32)
        whole = self.flags & HUGE_FILE_FL > 0
        return np.where(whole, count * (self.superblock.block_size // 512), count)

    @cached_property
    def file_acl(self) -> Numbers:
        """The block of extended attributes, 0 if there is none."""
        if not self.superblock.has(Incompat.BIT64):
            return self["i_file_acl_lo"]
        return self.wide("i_file_acl_lo", "i_file_acl_high", 32)

    @cached_property
    def mtime(self) -> Numbers:
        """i_mtime in seconds since 1970, with the two more bits that i_mtime_extra has."""
        base = self.fields["i_mtime"].astype(np.int32).astype(np.int64)
        return np.asarray(base + ((self["i_mtime_extra"] & 3) << 32), dtype=np.int64)

    @cached_property
    def mtime_nanoseconds(self) -> Numbers:
        """The nanoseconds of i_mtime."""
        return self["i_mtime_extra"] >> 2

    @cached_property
    def csum_seeds(self) -> NDArray[np.uint32]:
        """Where the checksums of what belongs to each inode start: directory blocks, extent blocks."""
        keys = np.hstack([little_endian_rows(self.numbers), little_endian_rows(self["i_generation"])])
        return crc_rows(self.superblock.csum_seed, keys)

    @property
    def has_checksum_hi(self) -> NDArray[np.bool_]:
        """Which inodes have room for the upper half of their checksum."""
        if self.raw.shape[1] <= EXTRA_OFFSET:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(self["i_extra_isize"] >= _CSUM_HI + 2 - EXTRA_OFFSET)

    @property
    def checksums(self) -> Numbers:
        """What i_checksum should be; for inodes without room for the upper half only the lower."""
        cleared = self.raw.copy()
        cleared[:, _CSUM_LO : _CSUM_LO + 2] = 0
        high = self.has_checksum_hi
        cleared[high, _CSUM_HI : _CSUM_HI + 2] = 0
        sums = crc_rows(self.csum_seeds, cleared).astype(np.int64)
        return np.where(high, sums, sums & 0xFFFF)

    @property
    def checksums_ok(self) -> NDArray[np.bool_]:
        """Which inodes have the right checksum; all of them without metadata_csum."""
        if not self.superblock.metadata_csum:
            return np.ones(len(self), dtype=bool)
        return np.asarray(self.checksums == self.wide("i_checksum_lo", "i_checksum_hi", 16))


class InodeTable:
    """Access to the inodes of a file system by number."""

    def __init__(self, volume: Volume, groups: Groups) -> None:
        """Nothing is read yet."""
        self.volume = volume
        self.groups = groups
        self.superblock = groups.superblock

    def offsets(self, numbers: Numbers) -> Numbers:
        """Byte of the volume at which each inode starts."""
        superblock = self.superblock
        group, index = np.divmod(numbers - 1, superblock.inodes_per_group)
        tables = self.groups.inode_table[group] * superblock.block_size
        return np.asarray(tables + index * superblock.inode_size, dtype=np.int64)

    def offset(self, number: int) -> int:
        """Byte of the volume at which an inode starts."""
        return int(self.offsets(np.array([number], dtype=np.int64))[0])

    def one(self, number: int) -> Inodes:
        """One inode. Raises FilesystemDamaged if there is no such number."""
        return self.read(np.array([number], dtype=np.int64))

    def read(self, numbers: Numbers) -> Inodes:
        """Inodes by number, in the given order, neighbours in one read. Raises FilesystemDamaged, VolumeError."""
        superblock = self.superblock
        wrong = (numbers < 1) | (numbers > superblock.inodes_count)
        if wrong.any():
            raise FilesystemDamaged(f"there is no inode {int(numbers[wrong][0])}")
        order = np.argsort(numbers, kind="stable")
        places, size = self.offsets(numbers[order]), superblock.inode_size
        inside = (places >= 0) & (places + size <= self.volume.size)
        if not inside.all():
            raise FilesystemDamaged(f"inode {int(numbers[order][~inside][0])} lies beyond the end of the volume")
        sorted_rows = np.zeros((len(numbers), size), dtype=np.uint8)
        starts = np.flatnonzero(np.diff(places, prepend=-1) != size)
        for first, last in pairwise([*starts.tolist(), len(places)]):
            self.volume.readinto(int(places[first]), sorted_rows[first:last].data.cast("B"))
        raw, unsorted = np.empty_like(sorted_rows), np.empty_like(places)
        raw[order], unsorted[order] = sorted_rows, places
        return Inodes(superblock, numbers, unsorted, raw)

    def windows(self) -> Iterator[Inodes]:
        """All inodes that may ever have been used, in order of number, about ``WINDOW`` bytes at a time.

        Tables that lie outside the file system are left out.
        """
        superblock = self.superblock
        counts = superblock.inodes_per_group - np.clip(self.groups.itable_unused, 0, superblock.inodes_per_group)
        first = self.groups.inode_table
        inside = (first > 0) & ((first + superblock.inode_table_blocks) * superblock.block_size <= self.volume.size)
        counts[~inside] = 0
        step = max(1, WINDOW // superblock.inode_size)
        batch: list[Numbers] = []
        room = step
        for group in np.flatnonzero(counts).tolist():
            start, left = group * superblock.inodes_per_group + 1, int(counts[group])
            while left:
                taken = min(left, room)
                batch.append(np.arange(start, start + taken, dtype=np.int64))
                start, left, room = start + taken, left - taken, room - taken
                if not room:
                    yield self.read(np.concatenate(batch))
                    batch, room = [], step
        if batch:
            yield self.read(np.concatenate(batch))
