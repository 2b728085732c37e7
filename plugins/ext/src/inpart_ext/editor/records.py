"""Inodes: where they lie, reading one, changing it with its checksum."""

from __future__ import annotations

import time
from dataclasses import dataclass

from inpart.errors import FilesystemDamaged

from inpart_ext.features import Incompat, RoCompat
from inpart_ext.inodes import InodeTable
from inpart_ext.structs import (
    EXTENTS_FL,
    EXTRA_OFFSET,
    GOOD_OLD_INODE_SIZE,
    HUGE_FILE_FL,
    I_BLOCK_OFFSET,
    IMMUTABLE_FL,
    INODE,
    S_IFDIR,
    S_IFMT,
    field_offset,
)
from inpart_ext.sums import crc
from inpart_ext.superblock import Superblock

I_BLOCK_SIZE = 60
_EXTRA_SIZE = 32
_CSUM_LO = field_offset(INODE, "i_checksum_lo")
_CSUM_HI = field_offset(INODE, "i_checksum_hi")


@dataclass
class Inode:
    """One inode with all its bytes; ``raw`` may be changed, ``sealed`` yields it with its checksum."""

    superblock: Superblock
    number: int
    offset: int
    raw: bytearray

    def __getitem__(self, name: str) -> int:
        at = field_offset(INODE, name)
        return int.from_bytes(self.raw[at : at + _width(name)], "little")

    def __setitem__(self, name: str, value: int) -> None:
        at = field_offset(INODE, name)
        self.raw[at : at + _width(name)] = value.to_bytes(_width(name), "little")

    @property
    def is_dir(self) -> bool:
        """True for a directory."""
        return self["i_mode"] & S_IFMT == S_IFDIR

    @property
    def size(self) -> int:
        """i_size of 64 bits."""
        return self["i_size_lo"] | self["i_size_high"] << 32

    @size.setter
    def size(self, value: int) -> None:
        self["i_size_lo"], self["i_size_high"] = value & 0xFFFFFFFF, value >> 32

    @property
    def has_extents(self) -> bool:
        """True if i_block holds an extent tree."""
        return bool(self["i_flags"] & EXTENTS_FL)

    @property
    def i_block(self) -> bytes:
        """The 60 bytes of i_block."""
        return bytes(self.raw[I_BLOCK_OFFSET : I_BLOCK_OFFSET + I_BLOCK_SIZE])

    @i_block.setter
    def i_block(self, value: bytes) -> None:
        self.raw[I_BLOCK_OFFSET : I_BLOCK_OFFSET + I_BLOCK_SIZE] = value

    @property
    def file_acl(self) -> int:
        """The block of extended attributes, 0 if there is none."""
        return self["i_file_acl_lo"] | self["i_file_acl_high"] << 32

    @file_acl.setter
    def file_acl(self, block: int) -> None:
        self["i_file_acl_lo"], self["i_file_acl_high"] = block & 0xFFFFFFFF, block >> 32

    def add_blocks(self, count: int) -> None:
        """Add so many blocks to i_blocks, which counts 512 bytes, or blocks in a huge file."""
        unit = 1 if self["i_flags"] & HUGE_FILE_FL else self.superblock.block_size // 512
        value = (self["i_blocks_lo"] | self["i_blocks_high"] << 32) + count * unit
        self["i_blocks_lo"], self["i_blocks_high"] = value & 0xFFFFFFFF, value >> 32

    @property
    def seed(self) -> int:
        """Where the checksums of everything that belongs to the inode start."""
        start = crc(self.superblock.csum_seed, self.number.to_bytes(4, "little"))
        return crc(start, self["i_generation"].to_bytes(4, "little"))

    def sealed(self) -> bytes:
        """The bytes with the right checksum."""
        if not self.superblock.metadata_csum:
            return bytes(self.raw)
        high = len(self.raw) > GOOD_OLD_INODE_SIZE and self["i_extra_isize"] >= _CSUM_HI + 2 - EXTRA_OFFSET
        self["i_checksum_lo"] = 0
        if high:
            self["i_checksum_hi"] = 0
        value = crc(self.seed, self.raw)
        self["i_checksum_lo"] = value & 0xFFFF
        if high:
            self["i_checksum_hi"] = value >> 16
        return bytes(self.raw)

    def copy(self) -> Inode:
        """A copy that can be changed by itself."""
        return Inode(self.superblock, self.number, self.offset, bytearray(self.raw))


def _width(name: str) -> int:
    fields = INODE.fields
    return int(fields[name][0].itemsize) if fields is not None else 0


def read_inode(table: InodeTable, number: int) -> Inode:
    """Raises FilesystemDamaged if there is none of that number or its checksum is wrong, VolumeError."""
    found = table.one(number)
    if not found.checksums_ok[0]:
        raise FilesystemDamaged(f"inode {number} does not have its checksum", hint="run e2fsck on it first")
    return Inode(table.superblock, number, table.offset(number), bytearray(found.raw[0].tobytes()))


def new_inode(table: InodeTable, number: int, mode: int) -> Inode:
    """A new immutable inode of root's, without blocks; nothing is written."""
    superblock = table.superblock
    inode = Inode(superblock, number, table.offset(number), bytearray(superblock.inode_size))
    inode["i_mode"] = mode
    inode["i_flags"] = IMMUTABLE_FL | (EXTENTS_FL if superblock.has(Incompat.EXTENTS) else 0)
    inode["i_links_count"] = 2 if inode.is_dir else 1
    now = time.time_ns()
    names = ["i_atime", "i_ctime", "i_mtime"]
    if len(inode.raw) > GOOD_OLD_INODE_SIZE:
        wanted = superblock["s_want_extra_isize"] if superblock.has(RoCompat.EXTRA_ISIZE) else _EXTRA_SIZE
        inode["i_extra_isize"] = min(max(wanted, _EXTRA_SIZE), len(inode.raw) - EXTRA_OFFSET) & ~3
        names.append("i_crtime")
        for name in names:
            inode[f"{name}_extra"] = now % 10**9 << 2 | (now // 10**9 + (1 << 31)) >> 32 & 3
    for name in names:
        inode[name] = now // 10**9 & 0xFFFFFFFF
    return inode
