"""The orphan file: magic numbers and checksums of its blocks, and that they are empty while nothing is mounted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding

from inpart_ext.bitmaps import read_blocks
from inpart_ext.check.report import error, for_inodes
from inpart_ext.features import Compat, RoCompat
from inpart_ext.mapping import map_inodes
from inpart_ext.sums import crc_rows

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

ORPHAN_MAGIC = 0x0B10CA04
_TAIL = 8
"""ob_magic and ob_checksum, at the end of each block."""
_WINDOW = 1 << 20


def check_orphans(filesystem: ExtFilesystem) -> Iterator[Finding]:
    """All blocks of the orphan file, which must have no holes."""
    superblock = filesystem.superblock
    number, size = superblock["s_orphan_file_inum"], superblock.block_size
    if not superblock.has(Compat.ORPHAN_FILE):
        return
    if not superblock.first_inode <= number <= superblock.inodes_count:
        yield error("orphan-file", "superblock", f"the orphan file is inode {number}, which cannot be")
        return
    inode, where = filesystem.inodes.one(number), f"inode {number}"
    pieces = map_inodes(filesystem.volume, inode).pieces
    if int(inode.size[0]) != int(pieces.length.sum()) * size:
        yield error("orphan-file", where, "the orphan file has holes or a wrong size")
    blocks = np.repeat(pieces.physical - np.cumsum(pieces.length) + pieces.length, pieces.length)
    blocks = blocks + np.arange(len(blocks))
    step = max(1, _WINDOW // size)
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step]
        rows = read_blocks(filesystem.volume, size, part)
        tails = np.ascontiguousarray(rows[:, -_TAIL:]).view("<u4")
        wrong = tails[:, 0] != ORPHAN_MAGIC
        if superblock.metadata_csum:
            keys = np.ascontiguousarray(part.astype("<u8")).view(np.uint8).reshape(-1, 8)
            wrong |= crc_rows(int(inode.csum_seeds[0]), np.hstack([keys, rows[:, :-_TAIL]])) != tails[:, 1]
        numbers = np.full(len(part), number)
        yield from for_inodes("orphan-file", numbers, wrong, "a block of the orphan file has a wrong checksum or none")
        if not superblock.has(RoCompat.ORPHAN_PRESENT):
            full = rows[:, :-_TAIL].any(axis=1) & ~wrong
            yield from for_inodes("orphan-file", numbers, full, "the orphan file is not empty and should be")
