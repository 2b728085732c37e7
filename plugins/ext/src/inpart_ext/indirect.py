"""Direct, indirect, double and triple indirect blocks of many inodes at once, level by level."""

from __future__ import annotations

import numpy as np
from inpart.units import KIB
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.inodes import Inodes
from inpart_ext.nodes import Nodes, Pieces, Problem, few, no_nodes, no_pieces, unshared
from inpart_ext.structs import I_BLOCK_OFFSET, NDIR_BLOCKS
from inpart_ext.superblock import Superblock

WINDOW = 512 * KIB

Numbers = NDArray[np.int64]


def follow_indirect(
    volume: Volume, inodes: Inodes, owners: Numbers, roots: NDArray[np.uint8]
) -> tuple[Pieces, Nodes, list[Problem]]:
    """Pieces, tree blocks and problems of the inodes with indices ``owners``, whose i_block are ``roots``."""
    problems: list[Problem] = []
    superblock = inodes.superblock
    pointers = roots.view("<u4").reshape(-1, NDIR_BLOCKS + 3).astype(np.int64)
    base = inodes.places[owners] + I_BLOCK_OFFSET
    logical = np.zeros(len(owners), dtype=np.int64)
    found = [no_pieces(), _direct(superblock, owners, pointers[:, :NDIR_BLOCKS], logical, base, problems)]
    below = _upper(superblock, owners, pointers[:, NDIR_BLOCKS:], base + NDIR_BLOCKS * 4, problems)
    seen = [no_nodes(), below]
    step = max(1, WINDOW // superblock.block_size)
    while len(below):
        level, parts = unshared(below, problems), [no_nodes()]
        for start in range(0, len(level), step):
            nodes = level.pick(np.arange(start, min(start + step, len(level)), dtype=np.int64))
            rows = read_blocks(volume, superblock.block_size, nodes.block).view("<u4").astype(np.int64)
            last = nodes.height == 1
            ends, deep = nodes.pick(last), nodes.pick(~last)
            place = ends.block * superblock.block_size
            found.append(_direct(superblock, ends.owner, rows[last], ends.logical, place, problems))
            parts.append(_deeper(superblock, deep, rows[~last], problems))
        below = Nodes.joined(parts)
        seen.append(below)
    return Pieces.joined(found), Nodes.joined(seen), problems


def _direct(
    superblock: Superblock, owner: Numbers, rows: Numbers, logical: Numbers, base: Numbers, problems: list[Problem]
) -> Pieces:
    """Runs of neighbouring blocks in rows of pointers; a run never leaves its row."""
    row, column = _existing(superblock, owner, rows, problems)
    block = rows[row, column]
    position = row * rows.shape[1] + column
    follows = (np.diff(position, prepend=-2) == 1) & (np.diff(block, prepend=-2) == 1) & (column > 0)
    first = np.flatnonzero(~follows)
    length = np.diff(np.append(first, len(block)))
    at, slot = row[first], column[first]
    written = np.zeros(len(first), dtype=bool)
    return Pieces(owner[at], logical[at] + slot, block[first], length, written, base[at] + 4 * slot)


def _upper(superblock: Superblock, owner: Numbers, rows: Numbers, base: Numbers, problems: list[Problem]) -> Nodes:
    """The three indirect blocks that an inode itself refers to."""
    per_block = superblock.block_size // 4
    first = NDIR_BLOCKS + np.array([0, per_block, per_block + per_block**2], dtype=np.int64)
    row, column = _existing(superblock, owner, rows, problems)
    height = column.astype(np.int64) + 1
    return Nodes(owner[row], rows[row, column], first[column], height, base[row] + 4 * column)


def _deeper(superblock: Superblock, nodes: Nodes, rows: Numbers, problems: list[Problem]) -> Nodes:
    """The blocks that double and triple indirect blocks refer to."""
    per_block = superblock.block_size // 4
    row, column = _existing(superblock, nodes.owner, rows, problems)
    height = nodes.height[row] - 1
    logical = nodes.logical[row] + column * per_block**height
    place = nodes.block[row] * superblock.block_size + 4 * column
    return Nodes(nodes.owner[row], rows[row, column], logical, height, place)


def _existing(
    superblock: Superblock, owner: Numbers, rows: Numbers, problems: list[Problem]
) -> tuple[Numbers, Numbers]:
    """Row and column of the pointers whose blocks exist."""
    row, column = np.nonzero(rows)
    block = rows[row, column]
    good = (block > superblock.first_data_block) & (block < superblock.blocks_count)
    for index in few(~good):
        number = int(block[index])
        message = f"a block pointer leads to block {number}, which does not exist"
        problems.append(Problem(int(owner[row[index]]), "block-range", number, message))
    return row[good], column[good]
