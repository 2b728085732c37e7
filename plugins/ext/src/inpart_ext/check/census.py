"""Pass 1: every inode in use is read and judged, and what later passes need of it is kept as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.check.attributes import AttributeCheck, Users
from inpart_ext.check.encryption import Policies
from inpart_ext.check.inodes import check_inodes, check_unused, is_blank
from inpart_ext.check.report import error
from inpart_ext.check.sizes import check_sizes
from inpart_ext.features import RoCompat
from inpart_ext.inodes import Inodes
from inpart_ext.mapping import Mapping, map_inodes
from inpart_ext.nodes import Pieces, no_pieces
from inpart_ext.structs import BAD_INO, I_BLOCK_OFFSET, INLINE_DATA_FL, NDIR_BLOCKS, RESIZE_INO, S_IFDIR, S_IFLNK
from inpart_ext.superblock import Superblock
from inpart_ext.usage import Tally

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

Numbers = NDArray[np.int64]


def _numbers() -> list[Numbers]:
    return [np.empty(0, dtype=np.int64)]


@dataclass
class Census:
    """What pass 1 found: the inodes in use and the blocks that they own.

    ``number``, ``format``, ``links`` and ``flags`` belong together. ``owned`` are rows of owner, first block and one
    past the last; ``attribute_users`` who uses which block of attributes. ``directories`` are the pieces of all
    directories, with inode numbers as owners.
    ``lost`` are the inodes that stand in bad blocks, nothing is known of them.
    """

    filesystem: ExtFilesystem
    numbers: list[Numbers] = field(default_factory=_numbers)
    formats: list[Numbers] = field(default_factory=_numbers)
    link_counts: list[Numbers] = field(default_factory=_numbers)
    flag_words: list[Numbers] = field(default_factory=_numbers)
    owned: list[Numbers] = field(default_factory=lambda: [np.empty((0, 3), dtype=np.int64)])
    users: list[Numbers] = field(default_factory=lambda: [np.empty((0, 3), dtype=np.int64)])
    lost: list[Numbers] = field(default_factory=_numbers)
    directories: list[Pieces] = field(default_factory=lambda: [no_pieces()])
    inline_directories: list[int] = field(default_factory=list)
    folder_numbers: list[Numbers] = field(default_factory=_numbers)
    folder_seeds: list[NDArray[np.uint32]] = field(default_factory=lambda: [np.empty(0, dtype=np.uint32)])

    def __post_init__(self) -> None:
        self.superblock = self.filesystem.superblock
        self.attributes = AttributeCheck(self.filesystem)
        self.policies = Policies(self.filesystem)
        self.tally = Tally(self.superblock)

    @cached_property
    def number(self) -> Numbers:
        """Numbers of the inodes in use, ascending."""
        return np.concatenate(self.numbers)

    @cached_property
    def format(self) -> Numbers:
        """The file type bits of each."""
        return np.concatenate(self.formats)

    @cached_property
    def links(self) -> Numbers:
        """i_links_count of each."""
        return np.concatenate(self.link_counts)

    @cached_property
    def flags(self) -> Numbers:
        """i_flags of each."""
        return np.concatenate(self.flag_words)

    @property
    def attribute_users(self) -> Users:
        """Who uses blocks of attributes."""
        number, block, unseen = np.concatenate(self.users).T
        return Users(number, block, unseen > 0)

    def index(self, numbers: Numbers) -> Numbers:
        """Where in the arrays inodes stand; -1 for those that are not in use."""
        place = np.searchsorted(self.number, numbers)
        place[place == len(self.number)] = 0
        found = self.number[place] == numbers if len(self.number) else np.zeros(len(numbers), dtype=bool)
        return np.where(found, place, -1)

    def seeds(self, folders: Numbers) -> NDArray[np.uint32]:
        """Where the checksums of the blocks of these directories start."""
        place = np.searchsorted(np.concatenate(self.folder_numbers), folders)
        return np.concatenate(self.folder_seeds)[place]

    def add(self, mapping: Mapping) -> None:
        """Keep what a window of inodes has."""
        inodes = mapping.inodes
        self.numbers.append(inodes.numbers)
        self.formats.append(inodes.format)
        self.link_counts.append(inodes.links)
        self.flag_words.append(inodes.flags)
        self.owned.append(_owned(mapping))
        unseen = (inodes.format == S_IFLNK) & (inodes.flags & INLINE_DATA_FL > 0)
        rows = np.stack([inodes.numbers, inodes.file_acl, unseen.astype(np.int64)], axis=1)
        self.users.append(rows[(inodes.file_acl > 0) & ~is_blank(inodes)])
        is_dir = (inodes.format == S_IFDIR) & (inodes.flags & INLINE_DATA_FL == 0)
        chosen = mapping.pieces.pick(is_dir[mapping.pieces.owner])
        self.directories.append(
            Pieces(
                inodes.numbers[chosen.owner],
                chosen.logical,
                chosen.physical,
                chosen.length,
                chosen.uninit,
                chosen.entry,
            )
        )
        folders = inodes.pick(is_dir)
        self.folder_numbers.append(folders.numbers)
        self.folder_seeds.append(folders.csum_seeds)
        inline = (inodes.format == S_IFDIR) & (inodes.flags & INLINE_DATA_FL > 0)
        self.inline_directories += inodes.numbers[inline].tolist()


def take_census(filesystem: ExtFilesystem, census: Census) -> Iterator[Finding]:
    """Fill ``census`` and yield what is wrong with inodes."""
    bad = _bad_blocks(filesystem)
    for window in filesystem.inodes.windows():
        lost = np.isin(window.places // census.superblock.block_size, bad) & (window.numbers != BAD_INO)
        census.lost.append(window.numbers[lost])
        yield from _take_window(filesystem, census, window.pick(~lost) if lost.any() else window)


def _take_window(filesystem: ExtFilesystem, census: Census, window: Inodes) -> Iterator[Finding]:
    used = in_use(window)
    deleted = ~used & (window["i_mode"] > 0) & (window["i_dtime"] == 0) & (window.numbers > BAD_INO)
    for number in window.numbers[deleted & (window.links == 0)].tolist():
        yield error("deleted-inode", f"inode {number}", "it is deleted and has no time of deletion")
    yield from check_unused(window, used)
    if not used.any():
        return
    inodes = window.pick(used)
    mapping = map_inodes(filesystem.volume, inodes)
    yield from check_inodes(filesystem, inodes)
    for problem in mapping.problems:
        yield error(problem.code, f"inode {int(inodes.numbers[problem.owner])}", problem.message)
    yield from check_sizes(filesystem, mapping)
    yield from census.attributes.inodes(inodes.pick(~is_blank(inodes)))
    yield from census.policies.inodes(inodes)
    if census.superblock.has(RoCompat.QUOTA):
        census.tally.add(inodes, census.attributes.value_inodes(inodes))
    census.add(mapping)


def in_use(window: Inodes) -> NDArray[np.bool_]:
    """Inodes with links, and the list of bad blocks, which has none."""
    trees = window.raw[:, I_BLOCK_OFFSET : I_BLOCK_OFFSET + 4 * (NDIR_BLOCKS + 3)]
    listed = (window.numbers == BAD_INO) & ((window.blocks > 0) | trees.any(axis=1))
    return np.asarray((window.links > 0) | listed)


def _bad_blocks(filesystem: ExtFilesystem) -> Numbers:
    """The blocks that are listed as bad, those that the list itself is made of left out."""
    pieces = map_inodes(filesystem.volume, filesystem.inodes.one(BAD_INO)).pieces
    count = np.arange(int(pieces.length.sum())) - np.repeat(np.cumsum(pieces.length) - pieces.length, pieces.length)
    return np.asarray(np.repeat(pieces.physical, pieces.length) + count, dtype=np.int64)


def _owned(mapping: Mapping) -> Numbers:
    """Rows of inode number, first block, one past the last; of the resize inode only what is not reserved anyway."""
    inodes, pieces, nodes = mapping.inodes, mapping.pieces, mapping.nodes
    superblock = inodes.superblock
    number = inodes.numbers[np.concatenate([pieces.owner, nodes.owner])]
    start = np.concatenate([pieces.physical, nodes.block])
    end = start + np.concatenate([pieces.length, np.ones(len(nodes), dtype=np.int64)])
    height = np.concatenate([np.zeros(len(pieces), dtype=np.int64), nodes.height])
    keep = (number != RESIZE_INO) | (height > 1)
    rows = np.stack([number, start, end], axis=1)[keep]
    return whole_clusters(superblock, rows) if superblock.cluster_ratio > 1 else rows


def whole_clusters(superblock: Superblock, rows: Numbers) -> Numbers:
    """Rows widened to clusters; a cluster of which an inode uses several parts is counted once."""
    ratio = superblock.cluster_ratio
    low = rows[:, 1] // ratio * ratio
    high = -(-rows[:, 2] // ratio) * ratio
    order = np.lexsort((low, rows[:, 0]))
    number, low, high = rows[order, 0], low[order], high[order]
    same = np.zeros(len(rows), dtype=bool)
    same[1:] = (number[1:] == number[:-1]) & (low[1:] == high[:-1] - ratio)
    low = np.where(same, low + ratio, low)
    return np.stack([number, low, high], axis=1)[low < high]
