"""Extent trees of many inodes at once, level by level, with every rule that a sound tree keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.units import MIB
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.inodes import Inodes
from inpart_ext.nodes import Nodes, Pieces, Problem, few, no_nodes, no_pieces, unshared
from inpart_ext.structs import (
    EXTENT,
    EXTENT_HEADER,
    EXTENT_IDX,
    EXTENT_INIT_MAX_LEN,
    EXTENT_MAGIC,
    I_BLOCK_OFFSET,
    MAX_EXTENT_DEPTH,
)
from inpart_ext.sums import crc_rows

WINDOW = MIB
ENTRY = 12

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.uint8]


@dataclass(frozen=True)
class _Level:
    """Nodes of one level as bytes: ``depth`` as it must be (-1: any), ``base`` the byte of the volume of each."""

    owner: Numbers
    block: Numbers
    logical: Numbers
    depth: Numbers
    base: Numbers
    rows: Rows


def follow_extents(volume: Volume, inodes: Inodes, owners: Numbers, roots: Rows) -> tuple[Pieces, Nodes, list[Problem]]:
    """Pieces, tree blocks and problems of the inodes with indices ``owners``, whose i_block are ``roots``."""
    problems: list[Problem] = []
    none = np.zeros(len(owners), dtype=np.int64)
    base = inodes.places[owners] + I_BLOCK_OFFSET
    pieces, below = _read_level(inodes, _Level(owners, none, none, none - 1, base, roots), problems)
    found, seen = [no_pieces(), pieces], [no_nodes(), below]
    step = max(1, WINDOW // inodes.superblock.block_size)
    while len(below):
        level, parts = unshared(below, problems), [no_nodes()]
        for start in range(0, len(level), step):
            nodes = level.pick(np.arange(start, min(start + step, len(level)), dtype=np.int64))
            rows = read_blocks(volume, inodes.superblock.block_size, nodes.block)
            base = nodes.block * inodes.superblock.block_size
            window = _Level(nodes.owner, nodes.block, nodes.logical, nodes.height, base, rows)
            pieces, deeper = _read_level(inodes, window, problems)
            found.append(pieces)
            parts.append(deeper)
        below = Nodes.joined(parts)
        seen.append(below)
    whole = Pieces.joined(found)
    _find_overlaps(whole, problems)
    return whole, Nodes.joined(seen), problems


def _read_level(inodes: Inodes, level: _Level, problems: list[Problem]) -> tuple[Pieces, Nodes]:
    """The extents and the child nodes of all sound nodes of a level."""
    capacity = (level.rows.shape[1] - ENTRY) // ENTRY
    headers = np.ascontiguousarray(level.rows[:, :ENTRY]).view(EXTENT_HEADER).reshape(-1)
    depth = headers["eh_depth"].astype(np.int64)
    good = (headers["eh_magic"] == EXTENT_MAGIC) & (headers["eh_entries"] <= headers["eh_max"])
    good &= (headers["eh_max"] <= capacity) & (depth <= MAX_EXTENT_DEPTH)
    good &= (depth == level.depth) | (level.depth < 0)
    _report(problems, level, ~good, "extent-header", "has a damaged extent header")
    _report(problems, level, good & ~_checksums_ok(inodes, level, headers), "extent-checksum", "has a wrong checksum")
    used = np.arange(capacity) < np.where(good, headers["eh_entries"], 0)[:, np.newaxis]
    entries = np.ascontiguousarray(level.rows[:, ENTRY : ENTRY * (capacity + 1)]).reshape(-1, capacity, ENTRY)
    row, column = np.nonzero(used)
    starts = np.ascontiguousarray(entries[row, column]).view("<u4").reshape(-1, 3)[:, 0].astype(np.int64)
    wrong = (column == 0) & (starts != level.logical[row]) & (level.depth[row] >= 0)
    off = np.zeros(len(level.owner), dtype=bool)
    off[row[wrong]] = True
    _report(problems, level, off, "extent-index-start", "does not start where its index entry says")
    place = level.base[row] + ENTRY * (column + 1)
    leaf = depth[row] == 0
    flat = np.ascontiguousarray(entries[row, column])
    pieces = _leaves(inodes, level.owner[row[leaf]], flat[leaf], place[leaf], problems)
    nodes = _children(inodes, level.owner[row[~leaf]], flat[~leaf], depth[row[~leaf]] - 1, place[~leaf], problems)
    return pieces, nodes


def _leaves(inodes: Inodes, owner: Numbers, flat: Rows, place: Numbers, problems: list[Problem]) -> Pieces:
    entries = flat.view(EXTENT).reshape(-1)
    length = entries["ee_len"].astype(np.int64)
    uninit = length > EXTENT_INIT_MAX_LEN
    length = np.where(uninit, length - EXTENT_INIT_MAX_LEN, length)
    physical = entries["ee_start_lo"].astype(np.int64) | entries["ee_start_hi"].astype(np.int64) << 32
    logical = entries["ee_block"].astype(np.int64)
    superblock = inodes.superblock
    good = (length > 0) & (physical > superblock.first_data_block) & (physical + length <= superblock.blocks_count)
    good &= logical + length <= 1 << 32
    for index in few(~good):
        span = f"{int(length[index])} blocks at block {int(physical[index])}"
        message = f"an extent has {span}, which is not possible"
        problems.append(Problem(int(owner[index]), "extent-range", int(physical[index]), message))
    return Pieces(owner, logical, physical, length, uninit, place).pick(good)


def _children(
    inodes: Inodes, owner: Numbers, flat: Rows, depth: Numbers, place: Numbers, problems: list[Problem]
) -> Nodes:
    entries = flat.view(EXTENT_IDX).reshape(-1)
    block = entries["ei_leaf_lo"].astype(np.int64) | entries["ei_leaf_hi"].astype(np.int64) << 32
    good = (block > inodes.superblock.first_data_block) & (block < inodes.superblock.blocks_count)
    for index in few(~good):
        message = f"its extent tree leads to block {int(block[index])}, which does not exist"
        problems.append(Problem(int(owner[index]), "extent-range", int(block[index]), message))
    return Nodes(owner, block, entries["ei_block"].astype(np.int64), depth, place).pick(good)


def _checksums_ok(inodes: Inodes, level: _Level, headers: NDArray[np.void]) -> Mask:
    """Which nodes have the right checksum behind their last possible entry; roots are covered by their inode's."""
    good = np.ones(len(level.owner), dtype=bool)
    if not inodes.superblock.metadata_csum or not len(good) or level.depth[0] < 0:
        return good
    ends = ENTRY * (headers["eh_max"].astype(np.int64) + 1)
    for end in np.unique(ends[ends + 4 <= level.rows.shape[1]]).tolist():
        same = np.flatnonzero(ends == end)
        stored = np.ascontiguousarray(level.rows[same, end : end + 4]).view("<u4").reshape(-1)
        good[same] = crc_rows(inodes.csum_seeds[level.owner[same]], level.rows[same, :end]) == stored
    return good


def _report(problems: list[Problem], level: _Level, wrong: Mask, code: str, what: str) -> None:
    for index in few(wrong):
        block = int(level.block[index])
        name = f"block {block} of its extent tree" if block else "its extent tree"
        problems.append(Problem(int(level.owner[index]), code, block, f"{name} {what}"))


def _find_overlaps(pieces: Pieces, problems: list[Problem]) -> None:
    """Extents that are out of order or overlap in the file."""
    same = pieces.owner[1:] == pieces.owner[:-1]
    wrong = same & (pieces.logical[1:] < pieces.logical[:-1] + pieces.length[:-1])
    for index in few(wrong):
        owner, logical = int(pieces.owner[index + 1]), int(pieces.logical[index + 1])
        problems.append(
            Problem(owner, "extent-order", 0, f"extents are out of order or overlap at file block {logical}")
        )
