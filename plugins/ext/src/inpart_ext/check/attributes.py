"""Pass 1, extended attributes: lists inside inodes, and blocks with checksum and reference count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.check.attribute_lists import judge_list
from inpart_ext.check.ea_inodes import ValueInodes
from inpart_ext.check.report import error, for_inodes
from inpart_ext.features import Compat, Incompat
from inpart_ext.inodes import Inodes
from inpart_ext.structs import EXTRA_OFFSET, OS_HURD, XATTR_HEADER, XATTR_MAGIC, field_offset
from inpart_ext.sums import crc_rows
from inpart_ext.superblock import Superblock
from inpart_ext.xattr import Attribute, AttributeDamage, block_attributes, inode_attributes

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

WINDOW = 1 << 20
_CSUM = field_offset(XATTR_HEADER, "h_checksum")
_KEPT = 1 << 12


@dataclass(frozen=True)
class Users:
    """Inodes that use a block of attributes, one element each; ``unseen`` are those that e2fsck does not look at."""

    number: NDArray[np.int64]
    block: NDArray[np.int64]
    unseen: NDArray[np.bool_]


class AttributeCheck:
    """Judges the attributes of all inodes; ``values`` collects the inodes that hold values of their own."""

    def __init__(self, filesystem: ExtFilesystem) -> None:
        self.volume = filesystem.volume
        self.superblock = filesystem.superblock
        self.values = ValueInodes(filesystem)
        self._sound: set[bytes] = set()

    def inodes(self, inodes: Inodes) -> Iterator[Finding]:
        """Attributes inside inodes, and whether blocks of attributes exist."""
        superblock = self.superblock
        exists = self._blocks_exist(inodes) & superblock.has(Compat.EXT_ATTR)
        message = "its block of attributes does not exist"
        yield from for_inodes("attribute-block", inodes.numbers, (inodes.file_acl != 0) & ~exists, message)
        if not superblock.has(Incompat.BIT64) and superblock["s_creator_os"] != OS_HURD:
            high = inodes["i_file_acl_high"] > 0
            yield from for_inodes("attribute-block", inodes.numbers, high, "its block of attributes has a high part")
        for index in np.flatnonzero(_has_attributes(inodes)).tolist():
            yield from self._inside(inodes, index)

    def _inside(self, inodes: Inodes, index: int) -> Iterator[Finding]:
        """The list in one inode; one that is known to be sound, as many have the same, is not judged again."""
        start = EXTRA_OFFSET + int(inodes["i_extra_isize"][index])
        listed = inodes.raw[index, start:].tobytes()
        if listed in self._sound:
            return
        number = int(inodes.numbers[index])
        raw = inodes.raw[index].tobytes()
        entries = list(inode_attributes(raw))
        problem = judge_list(raw, start, entries, in_inode=True)
        if problem:
            yield error("attribute", f"inode {number}", problem)
        large = [entry for entry in entries if isinstance(entry, Attribute) and entry.value_inum]
        for entry in large:
            yield from self.values.judge(entry, f"inode {number}", number)
        if not problem and not large and len(self._sound) < _KEPT:
            self._sound.add(listed)

    def value_inodes(self, inodes: Inodes) -> NDArray[np.int64]:
        """How many inodes with values each inode refers to, those in its block of attributes included."""
        counts = np.zeros(len(inodes), dtype=np.int64)
        if not self.superblock.has(Incompat.EA_INODE):
            return counts
        size = self.superblock.block_size
        for index in np.flatnonzero(_has_attributes(inodes)).tolist():
            counts[index] += _large(inode_attributes(inodes.raw[index].tobytes()))
        for index in np.flatnonzero(self._blocks_exist(inodes)).tolist():
            counts[index] += _large(block_attributes(self.volume.read(int(inodes.file_acl[index]) * size, size)))
        return counts

    def _blocks_exist(self, inodes: Inodes) -> NDArray[np.bool_]:
        block = inodes.file_acl
        return np.asarray((block > self.superblock.first_data_block) & (block < self.superblock.blocks_count))

    def blocks(self, users: Users) -> Iterator[Finding]:
        """Blocks of attributes."""
        superblock = self.superblock
        blocks, first, most = np.unique(users.block, return_index=True, return_counts=True)
        fewest = most - np.bincount(np.searchsorted(blocks, users.block[users.unseen]), minlength=len(blocks))
        exists = (blocks > superblock.first_data_block) & (blocks < superblock.blocks_count)
        known = np.stack([blocks, users.number[first], most, fewest], axis=1)[exists]
        step = max(1, WINDOW // superblock.block_size)
        for start in range(0, len(known), step):
            yield from self._blocks(*known[start : start + step].T)

    def _blocks(
        self, blocks: NDArray[np.int64], first: NDArray[np.int64], most: NDArray[np.int64], fewest: NDArray[np.int64]
    ) -> Iterator[Finding]:
        """Some blocks, with the first inode that uses each, and how many do at most and at least."""
        rows = read_blocks(self.volume, self.superblock.block_size, blocks)
        headers = np.ascontiguousarray(rows[:, : XATTR_HEADER.itemsize]).view(XATTR_HEADER).reshape(-1)
        good = (headers["h_magic"] == XATTR_MAGIC) & (headers["h_blocks"] == 1)
        sums = block_checksums(self.superblock, blocks, rows)
        for index, block in enumerate(blocks.tolist()):
            where = f"block {block}"
            if not good[index]:
                yield error("attribute-block", where, "a block of attributes has a damaged header")
                continue
            if self.superblock.metadata_csum and sums[index] != headers["h_checksum"][index]:
                yield error("attribute-checksum", where, "a block of attributes has a wrong checksum")
            found, expected = int(headers["h_refcount"][index]), int(most[index])
            if found not in {expected, int(fewest[index])}:
                yield error("attribute-count", where, f"a block of attributes counts {found} users and has {expected}")
            raw = rows[index].tobytes()
            entries = list(block_attributes(raw))
            problem = judge_list(raw, 0, entries, in_inode=False)
            if problem:
                yield error("attribute", where, problem)
            for entry in entries:
                if isinstance(entry, Attribute) and entry.value_inum:
                    yield from self.values.judge(entry, where, int(first[index]))


def block_checksums(superblock: Superblock, blocks: NDArray[np.int64], rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """What h_checksum of blocks of attributes should be."""
    cleared = rows.copy()
    cleared[:, _CSUM : _CSUM + 4] = 0
    keys = np.ascontiguousarray(blocks.astype("<u8")).view(np.uint8).reshape(-1, 8)
    return crc_rows(superblock.csum_seed, np.hstack([keys, cleared]))


def _large(entries: Iterator[Attribute | AttributeDamage]) -> int:
    return sum(1 for entry in entries if isinstance(entry, Attribute) and entry.value_inum)


def _has_attributes(inodes: Inodes) -> NDArray[np.bool_]:
    """Which inodes have a list of attributes behind their extra fields."""
    count, size = inodes.raw.shape
    start = EXTRA_OFFSET + inodes["i_extra_isize"]
    fits = (start + 8 <= size) & (start % 4 == 0)
    if size <= EXTRA_OFFSET:
        return np.zeros(count, dtype=bool)
    words = np.ascontiguousarray(inodes.raw).view("<u4")
    place = np.where(fits, start // 4, 0)
    return np.asarray(fits & (words[np.arange(count), place] == XATTR_MAGIC))
