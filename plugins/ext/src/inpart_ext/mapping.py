"""Where the content of inodes lies: the result of following extent trees and indirect blocks of many inodes at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents, Runs
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.extent_trees import follow_extents
from inpart_ext.indirect import follow_indirect
from inpart_ext.inodes import Inodes
from inpart_ext.nodes import Nodes, Pieces, Problem, no_nodes, no_pieces
from inpart_ext.structs import (
    BAD_INO,
    EXTENTS_FL,
    I_BLOCK_OFFSET,
    INLINE_DATA_FL,
    NDIR_BLOCKS,
    S_IFDIR,
    S_IFLNK,
    S_IFREG,
)

FAST_SYMLINK = 60
"""Targets of symbolic links below this many bytes stand in i_block."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Mapping:
    """Content and tree blocks of some inodes. ``owner`` in both parts is an index into ``inodes``, ascending."""

    inodes: Inodes
    pieces: Pieces
    nodes: Nodes
    problems: tuple[Problem, ...] = field(default=())

    def require_sound(self) -> Mapping:
        """Raise FilesystemDamaged with the first problem there is."""
        for problem in self.problems:
            raise FilesystemDamaged(
                f"inode {int(self.inodes.numbers[problem.owner])}: {problem.message}",
                hint="repair the file system with e2fsck; `inpart verify --level fs` shows all that is wrong",
            )
        return self

    def runs(self, index: int = 0) -> Runs:
        """Where the content of one inode lies, in file order, holes and what was never written as ``Runs.HOLE``.

        Ends with the last block that is written or that i_size reaches; with bigalloc at the end of its cluster.
        """
        superblock = self.inodes.superblock
        chosen = self.pieces.of(index)
        chosen = chosen.pick(~chosen.uninit)
        order = np.argsort(chosen.logical, kind="stable")
        logical, physical, length = chosen.logical[order], chosen.physical[order], chosen.length[order]
        ends = logical + length
        gaps = logical - np.append(0, ends)[:-1]
        rows = np.empty((2 * len(logical), 2), dtype=np.int64)
        rows[0::2, 0], rows[0::2, 1] = Runs.HOLE, np.maximum(gaps, 0)
        rows[1::2, 0], rows[1::2, 1] = physical * superblock.block_size, length
        rows[:, 1] *= superblock.block_size
        done = int(ends[-1]) * superblock.block_size if len(ends) else 0
        missing = -(-int(self.inodes.size[index]) // superblock.cluster_size) * superblock.cluster_size - done
        if missing > 0 and len(rows) and missing < superblock.cluster_size:
            rows[-1, 1] += missing
        elif missing > 0:
            rows = np.concatenate([rows, np.array([[Runs.HOLE, missing]], dtype=np.int64)])
        return Runs(rows)

    def touching(self, extents: Extents) -> set[int]:
        """Numbers of the inodes that own bytes in ``extents``."""
        size = self.inodes.superblock.block_size
        attributes = np.flatnonzero(self.inodes.file_acl)
        owner = np.concatenate([self.pieces.owner, self.nodes.owner, attributes])
        start = np.concatenate([self.pieces.physical, self.nodes.block, self.inodes.file_acl[attributes]]) * size
        length = np.concatenate([self.pieces.length, np.ones(len(owner) - len(self.pieces), dtype=np.int64)]) * size
        first = np.searchsorted(extents.array[:, 1], start, side="right")
        last = np.searchsorted(extents.array[:, 0], start + length, side="left")
        return set(self.inodes.numbers[owner[first < last]].tolist())

    def extents(self) -> Extents:
        """Bytes of the volume that the inodes own: content, tree blocks and blocks of extended attributes."""
        attributes = self.inodes.file_acl[self.inodes.file_acl > 0]
        blocks = np.concatenate([self.nodes.block, attributes])
        return self._clusters(blocks, np.ones(len(blocks), dtype=np.int64)) | self._clusters(
            self.pieces.physical, self.pieces.length
        )

    def content(self) -> Extents:
        """Bytes of the volume that hold what was written to the inodes, as whole clusters."""
        written = self.pieces.pick(~self.pieces.uninit)
        return self._clusters(written.physical, written.length)

    def _clusters(self, starts: Numbers, lengths: Numbers) -> Extents:
        """The clusters of runs of blocks."""
        superblock = self.inodes.superblock
        rows = np.clip(np.stack([starts, starts + lengths], axis=1), 0, superblock.blocks_count)
        owned = Extents(rows * superblock.block_size).shift(-superblock.data_start).align_out(superblock.cluster_size)
        return owned.shift(superblock.data_start)


def map_inodes(volume: Volume, inodes: Inodes) -> Mapping:
    """Follow the trees of inodes. What is damaged is left out and named in ``problems``. Raises VolumeError."""
    roots = np.ascontiguousarray(inodes.raw[:, I_BLOCK_OFFSET : I_BLOCK_OFFSET + 60])
    tree = has_blocks(inodes)
    by_extents = np.flatnonzero(tree & (inodes.flags & EXTENTS_FL > 0)).astype(np.int64)
    by_pointers = np.flatnonzero(tree & (inodes.flags & EXTENTS_FL == 0)).astype(np.int64)
    parts = [
        follow(volume, inodes, owners, roots[owners])
        for follow, owners in ((follow_extents, by_extents), (follow_indirect, by_pointers))
        if len(owners)
    ]
    if not parts:
        return Mapping(inodes, no_pieces(), no_nodes())
    pieces = Pieces.joined([part[0] for part in parts])
    nodes = Nodes.joined([part[1] for part in parts])
    problems: Iterable[Problem] = (problem for part in parts for problem in part[2])
    return Mapping(inodes, pieces, nodes, tuple(sorted(problems, key=lambda problem: problem.owner)))


def has_blocks(inodes: Inodes) -> NDArray[np.bool_]:
    """Which inodes have a tree of blocks in i_block: files, directories, long symbolic links, the bad blocks."""
    wanted = np.isin(inodes.format, [S_IFREG, S_IFDIR]) | (inodes.numbers == BAD_INO)
    fast = (inodes.size < FAST_SYMLINK) & (inodes.flags & EXTENTS_FL == 0)
    wanted |= (inodes.format == S_IFLNK) & ~fast
    return np.asarray(wanted & (inodes.flags & INLINE_DATA_FL == 0))


def largest_sizes(inodes: Inodes) -> Numbers:
    """How many bytes the tree of each inode can hold at most; i_size beyond that is damage."""
    size = inodes.superblock.block_size
    per_block = size // 4
    by_pointers = NDIR_BLOCKS + per_block + per_block**2 + per_block**3
    return np.where(inodes.flags & EXTENTS_FL > 0, 1 << 32, min(by_pointers, 1 << 32)) * size
