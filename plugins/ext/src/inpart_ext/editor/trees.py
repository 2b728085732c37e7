"""Writing the map of a file: an extent tree, or indirect blocks, with metadata blocks of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from inpart.errors import FilesystemUnsupported
from numpy.typing import NDArray

from inpart_ext.editor.records import I_BLOCK_SIZE, Inode
from inpart_ext.structs import EXTENT, EXTENT_HEADER, EXTENT_IDX, EXTENT_INIT_MAX_LEN, EXTENT_MAGIC, NDIR_BLOCKS
from inpart_ext.sums import crc

Numbers = NDArray[np.int64]
Take = Callable[[], int]

LOGICAL, PHYSICAL, COUNT, UNWRITTEN = range(4)
"""Columns of a map: first block of the file, first block of the disk, number of blocks, 1 if never written."""

_IN_INODE = 4
_SLOT = 12
_TAIL = 4
_LEVELS = 3


@dataclass(frozen=True)
class Tree:
    """What leads to the content: 60 bytes for the inode and blocks of metadata by number."""

    i_block: bytes
    blocks: dict[int, bytes] = field(default_factory=dict)


def merged(rows: Numbers) -> Numbers:
    """A map in file order with runs joined that follow each other in the file and on the disk."""
    rows = rows[np.argsort(rows[:, LOGICAL], kind="stable")]
    if len(rows) < 2:
        return rows
    before, after = rows[:-1], rows[1:]
    joins = before[:, LOGICAL] + before[:, COUNT] == after[:, LOGICAL]
    joins &= before[:, PHYSICAL] + before[:, COUNT] == after[:, PHYSICAL]
    joins &= before[:, UNWRITTEN] == after[:, UNWRITTEN]
    starts = np.flatnonzero(np.concatenate([[True], ~joins]))
    result = rows[starts].copy()
    result[:, COUNT] = np.add.reduceat(rows[:, COUNT], starts)
    return result


def map_of(rows: Numbers) -> Numbers:
    """The map of a file without holes whose content lies in ``rows`` of first block and count."""
    logical = np.cumsum(rows[:, 1]) - rows[:, 1]
    return np.stack([logical, rows[:, 0], rows[:, 1], np.zeros_like(logical)], axis=1)


def build(inode: Inode, rows: Numbers, take: Take) -> Tree:
    """The tree of an inode for a map; ``take`` yields the blocks for metadata, NoSpace if there are none."""
    if inode.has_extents:
        return _extents(inode, merged(rows), take)
    return _indirect(inode, rows, take)


def _extents(inode: Inode, rows: Numbers, take: Take) -> Tree:
    rows = _split(rows)
    entries = np.zeros(len(rows), dtype=EXTENT)
    entries["ee_block"] = rows[:, LOGICAL]
    entries["ee_len"] = rows[:, COUNT] + rows[:, UNWRITTEN] * EXTENT_INIT_MAX_LEN
    entries["ee_start_hi"] = rows[:, PHYSICAL] >> 32
    entries["ee_start_lo"] = rows[:, PHYSICAL] & 0xFFFFFFFF
    blocks: dict[int, bytes] = {}
    size, depth = inode.superblock.block_size, 0
    most = (size - _SLOT) // _SLOT
    level = entries
    while len(level) > _IN_INODE:
        above = []
        for first in range(0, len(level), most):
            part, block = level[first : first + most], take()
            node = (_header(len(part), most, depth) + part.tobytes()).ljust(_SLOT + most * _SLOT, b"\0")
            blocks[block] = (node + _tail(inode, node)).ljust(size, b"\0")
            key = int(part["ee_block" if depth == 0 else "ei_block"][0])
            above.append((key, block & 0xFFFFFFFF, block >> 32, 0))
        level, depth = np.array(above, dtype=EXTENT_IDX), depth + 1
    return Tree((_header(len(level), _IN_INODE, depth) + level.tobytes()).ljust(I_BLOCK_SIZE, b"\0"), blocks)


def _tail(inode: Inode, node: bytes) -> bytes:
    return crc(inode.seed, node).to_bytes(_TAIL, "little") if inode.superblock.metadata_csum else b""


def _header(entries: int, most: int, depth: int) -> bytes:
    return np.array([(EXTENT_MAGIC, entries, most, depth, 0)], dtype=EXTENT_HEADER).tobytes()


def _split(rows: Numbers) -> Numbers:
    """Runs cut to what one extent can hold: 32768 blocks, one less if they were never written."""
    limit = EXTENT_INIT_MAX_LEN - rows[:, UNWRITTEN]
    pieces = -(-rows[:, COUNT] // limit)
    owner = np.repeat(np.arange(len(rows)), pieces)
    skip = (np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) * limit[owner]
    cut = rows[owner].copy()
    cut[:, LOGICAL] += skip
    cut[:, PHYSICAL] += skip
    cut[:, COUNT] = np.minimum(rows[owner, COUNT] - skip, limit[owner])
    return cut


def _indirect(inode: Inode, rows: Numbers, take: Take) -> Tree:
    total = int((rows[:, LOGICAL] + rows[:, COUNT]).max()) if len(rows) else 0
    if len(rows) and int((rows[:, PHYSICAL] + rows[:, COUNT]).max()) > 1 << 32:
        raise FilesystemUnsupported("indirect blocks cannot name blocks behind the first 4 Gi of them")
    numbers = np.zeros(total, dtype="<u4")
    for logical, physical, count, _ in rows.tolist():
        numbers[logical : logical + count] = np.arange(physical, physical + count)
    per_block = inode.superblock.block_size // 4
    heads = np.zeros(NDIR_BLOCKS + _LEVELS, dtype="<u4")
    heads[: min(total, NDIR_BLOCKS)] = numbers[:NDIR_BLOCKS]
    blocks: dict[int, bytes] = {}
    start = NDIR_BLOCKS
    for level in range(_LEVELS):
        reach = per_block ** (level + 1)
        heads[NDIR_BLOCKS + level] = _branch(numbers[start : start + reach], level, per_block, take, blocks)
        start += reach
    if start < total:
        raise FilesystemUnsupported(f"a file of {total} blocks is too large for indirect blocks")
    return Tree(heads.tobytes(), blocks)


def _branch(numbers: NDArray[np.uint32], level: int, per_block: int, take: Take, blocks: dict[int, bytes]) -> int:
    """The block that leads to ``numbers`` over ``level`` more levels; 0 if there are none."""
    if not numbers.any():
        return 0
    own = take()
    if level:
        step = per_block**level
        parts = range(0, len(numbers), step)
        below = [_branch(numbers[first : first + step], level - 1, per_block, take, blocks) for first in parts]
        numbers = np.array(below, dtype="<u4")
    blocks[own] = numbers.astype("<u4").tobytes().ljust(per_block * 4, b"\0")
    return own
