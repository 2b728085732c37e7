"""Pass 1, extended attributes: lists inside inodes, and blocks with checksum and reference count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.check.report import error, for_inodes
from inpart_ext.inodes import Inodes
from inpart_ext.structs import EXTRA_OFFSET, XATTR_HEADER, XATTR_MAGIC, field_offset
from inpart_ext.sums import crc_rows
from inpart_ext.superblock import Superblock
from inpart_ext.xattr import AttributeDamage, block_attributes, inode_attributes

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

WINDOW = 1 << 20
_CSUM = field_offset(XATTR_HEADER, "h_checksum")


def check_attributes(filesystem: ExtFilesystem, inodes: Inodes) -> Iterator[Finding]:
    """Attributes inside inodes, and whether blocks of attributes exist."""
    superblock = filesystem.superblock
    block = inodes.file_acl
    exists = (block > superblock.first_data_block) & (block < superblock.blocks_count)
    message = "its block of attributes does not exist"
    yield from for_inodes("attribute-block", inodes.numbers, (block != 0) & ~exists, message)
    for index in np.flatnonzero(_has_attributes(inodes)).tolist():
        for entry in inode_attributes(inodes.raw[index].tobytes()):
            if isinstance(entry, AttributeDamage):
                yield error("attribute", f"inode {int(inodes.numbers[index])}", entry.message)


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


def check_attribute_blocks(filesystem: ExtFilesystem, users: NDArray[np.int64]) -> Iterator[Finding]:
    """Blocks of attributes; ``users`` has a block number for each inode that uses one."""
    superblock = filesystem.superblock
    blocks, counts = np.unique(users, return_counts=True)
    exists = (blocks > superblock.first_data_block) & (blocks < superblock.blocks_count)
    blocks, counts = blocks[exists], counts[exists]
    step = max(1, WINDOW // superblock.block_size)
    for start in range(0, len(blocks), step):
        window, expected = blocks[start : start + step], counts[start : start + step]
        rows = read_blocks(filesystem.volume, superblock.block_size, window)
        yield from _check_rows(superblock, window, rows, expected)


def _check_rows(
    superblock: Superblock, blocks: NDArray[np.int64], rows: NDArray[np.uint8], users: NDArray[np.int64]
) -> Iterator[Finding]:
    headers = np.ascontiguousarray(rows[:, : XATTR_HEADER.itemsize]).view(XATTR_HEADER).reshape(-1)
    good = (headers["h_magic"] == XATTR_MAGIC) & (headers["h_blocks"] == 1)
    if superblock.metadata_csum:
        cleared = rows.copy()
        cleared[:, _CSUM : _CSUM + 4] = 0
        keys = np.ascontiguousarray(blocks.astype("<u8")).view(np.uint8).reshape(-1, 8)
        sums = crc_rows(superblock.csum_seed, np.hstack([keys, cleared]))
    else:
        sums = headers["h_checksum"]
    for index, block in enumerate(blocks.tolist()):
        where = f"block {block}"
        if not good[index]:
            yield error("attribute-block", where, "a block of attributes has a damaged header")
            continue
        if sums[index] != headers["h_checksum"][index]:
            yield error("attribute-checksum", where, "a block of attributes has a wrong checksum")
        found, expected = int(headers["h_refcount"][index]), int(users[index])
        if found != expected:
            yield error("attribute-count", where, f"a block of attributes counts {found} users and has {expected}")
        for entry in block_attributes(rows[index].tobytes()):
            if isinstance(entry, AttributeDamage):
                yield error("attribute", where, entry.message)
