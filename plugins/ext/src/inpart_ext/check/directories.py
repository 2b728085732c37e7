"""Pass 2: all blocks of all directories, a window at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.check.dirblocks import check_checksums
from inpart_ext.check.encryption import NONE, SHORTEST_NAME
from inpart_ext.check.htree import check_indexes
from inpart_ext.check.names import Names
from inpart_ext.check.report import error
from inpart_ext.entries import Slots, parse_blocks
from inpart_ext.features import Incompat
from inpart_ext.nodes import Pieces
from inpart_ext.structs import CASEFOLD_FL, ENCRYPT_FL, ROOT_INO, S_IFDIR, S_IFLNK, S_IFREG

if TYPE_CHECKING:
    from inpart_ext.check.census import Census
    from inpart_ext.filesystem import ExtFilesystem

WINDOW = 1 << 20
_TYPES = np.array([0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0])
"""file_type of a directory entry by the upper four bits of i_mode."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class DirBlocks:
    """Blocks of directories, in order of directory and place in it."""

    folder: Numbers
    logical: Numbers
    block: Numbers

    def __len__(self) -> int:
        return len(self.folder)

    def pick(self, chosen: NDArray[np.bool_] | slice) -> DirBlocks:
        """Those blocks only."""
        return DirBlocks(self.folder[chosen], self.logical[chosen], self.block[chosen])


def directory_blocks(pieces: Pieces) -> DirBlocks:
    """Each block of the pieces by itself."""
    inside = np.arange(int(pieces.length.sum())) - np.repeat(np.cumsum(pieces.length) - pieces.length, pieces.length)
    folder, logical, block = (
        np.repeat(column, pieces.length) for column in (pieces.owner, pieces.logical, pieces.physical)
    )
    return DirBlocks(folder, logical + inside, block + inside)


def check_directories(filesystem: ExtFilesystem, census: Census) -> Generator[Finding, None, Names]:
    """Records, names and targets of all entries, checksums, indexes; returns the names."""
    check = _EntryCheck(filesystem, census)
    blocks = directory_blocks(Pieces.joined(census.directories))
    size = filesystem.superblock.block_size
    step = max(1, WINDOW // size)
    for start in range(0, len(blocks), step):
        window = blocks.pick(slice(start, start + step))
        rows = read_blocks(filesystem.volume, size, window.block)
        yield from check_checksums(census, window.folder, window.logical, window.block, rows)
        yield from check.window(window, parse_blocks(rows))
    for number in census.inline_directories:
        yield from check.inline(number)
    yield from check_indexes(filesystem, census, blocks)
    return check.names


class _EntryCheck:
    """Judges entries and collects their names; directories must come one after the other."""

    def __init__(self, filesystem: ExtFilesystem, census: Census) -> None:
        self.filesystem = filesystem
        self.census = census
        self.names = Names()
        self._folder = 0
        self._seen: set[bytes] = set()

    def window(self, blocks: DirBlocks, slots: Slots) -> Iterator[Finding]:
        """Some blocks of directories that are not inline."""
        for row, offset in zip(slots.broken_row[:ENOUGH], slots.broken_offset[:ENOUGH], strict=True):
            where = f"inode {int(blocks.folder[row])}, block {int(blocks.block[row])}"
            yield error("dir-record", where, f"the record at byte {int(offset)} has an impossible length")
        first = np.flatnonzero((slots.offset == 0) & (blocks.logical[slots.row] == 0))
        second = first + 1
        follows = second < len(slots)
        follows[follows] = slots.row[second[follows]] == slots.row[first[follows]]
        role = np.zeros(len(slots), dtype=np.int64)
        role[first], role[second[follows]] = 1, 2
        yield from self._check_dots(blocks, slots, role)
        used = (slots.inode > 0) & (role == 0)
        plain = slots.pick(used)
        yield from self._check_entries(blocks.folder[plain.row], plain)

    def inline(self, number: int) -> Iterator[Finding]:
        """A directory that stands in its inode."""
        inode = self.filesystem.inodes.one(number)
        here = np.array([number], dtype=np.int64)
        self.names.dots.append(here)
        self.names.parent_holders.append(here)
        self.names.parents.append(np.array([self.filesystem.reader.inline_parent(inode)], dtype=np.int64))
        for slots, _ in self.filesystem.reader.slots(inode):
            for offset in slots.broken_offset[:1].tolist():
                yield error("dir-record", f"inode {number}", f"the inline record {offset} has an impossible length")
            plain = slots.pick(slots.inode > 0)
            yield from self._check_entries(np.full(len(plain), number, dtype=np.int64), plain)

    def _check_dots(self, blocks: DirBlocks, slots: Slots, role: Numbers) -> Iterator[Finding]:
        inode, folder = slots.inode, blocks.folder[slots.row]
        one, two = _dots(slots)
        right = (role == 1) & one & (inode == folder)
        parent = (role == 2) & two & (inode > 0)
        for role_number, good, code, name in ((1, right, "dot", "."), (2, parent, "dotdot", "..")):
            lost = np.setdiff1d(blocks.folder[blocks.logical == 0], folder[good])
            for number in lost[:ENOUGH].tolist():
                yield error(code, f"inode {number}", f"entry {role_number} of the directory is not a sound {name}")
        self.names.dots.append(inode[right])
        self.names.parent_holders.append(folder[parent])
        self.names.parents.append(inode[parent])

    def _check_entries(self, folder: Numbers, slots: Slots) -> Iterator[Finding]:
        """All but ``.`` and ``..`` where they belong; all slots are in use."""
        census, superblock = self.census, self.filesystem.superblock
        target, names, kind = slots.inode, slots.names(), slots.file_type
        place = census.index(target)
        reserved = (target != ROOT_INO) & (target < superblock.first_inode)
        no_inode = reserved | (target > superblock.inodes_count)
        one, two = _dots(slots)
        folder_flags = census.flags[census.index(folder)]
        encrypted = folder_flags & ENCRYPT_FL > 0
        forbidden = np.array([b"/" in name or b"\0" in name for name in names], dtype=bool) & ~encrypted
        folds = (folder_flags & CASEFOLD_FL > 0) & ~encrypted
        if folds.any():
            forbidden |= folds & np.array([not _is_utf8(name) for name in names], dtype=bool)
        policy, own = census.policies.of(folder), census.policies.of(target)
        needy = (place >= 0) & np.isin(census.format[np.maximum(place, 0)], [S_IFREG, S_IFDIR, S_IFLNK])
        plain = (policy != NONE) & (own == NONE) & needy
        expected = np.where(place >= 0, _TYPES[census.format[np.maximum(place, 0)] >> 12], 0)
        if not superblock.has(Incompat.FILETYPE):
            expected = np.zeros(len(slots), dtype=np.int64)
        for wrong, code, message in (
            (no_inode, "entry-inode", "the entry names an inode that it must not"),
            ((place < 0) & ~no_inode, "entry-unused", "the entry names an inode that is not in use"),
            (one | two, "entry-name", "the entry is named like the directory itself or its parent"),
            (slots.name_len == 0, "entry-name", "the entry has no name"),
            (forbidden, "entry-name", "the name has forbidden characters"),
            (target == ROOT_INO, "entry-inode", "the entry names the root directory"),
            ((place >= 0) & (kind != expected) & (kind > 0), "entry-type", "the entry has the wrong file type"),
            ((policy != NONE) & (slots.name_len < SHORTEST_NAME), "entry-name", "an encrypted name is too short"),
            (plain, "encryption", "what lies in an encrypted directory is not encrypted"),
            ((policy != NONE) & (own != NONE) & (own != policy), "encryption", "it is encrypted in another way"),
            (self._doubles(folder, names), "entry-double", "the name is there twice"),
        ):
            for index in np.flatnonzero(wrong)[:ENOUGH].tolist():
                name = names[index].decode("utf-8", "backslashreplace")
                yield error(code, f"inode {int(folder[index])}, entry {name!r}", message)
        sound = place >= 0
        self.names.folders.append(folder[sound])
        self.names.targets.append(target[sound])

    def _doubles(self, folder: Numbers, names: list[bytes]) -> NDArray[np.bool_]:
        """Which names the same directory has had before."""
        double = np.zeros(len(names), dtype=bool)
        starts = np.flatnonzero(np.diff(folder, prepend=-1)).tolist()
        for first, last in pairwise([*starts, len(names)]):
            if int(folder[first]) != self._folder:
                self._folder, self._seen = int(folder[first]), set()
            part = names[first:last]
            fresh = set(part)
            if len(fresh) < len(part) or not fresh.isdisjoint(self._seen):
                for index in range(first, last):
                    double[index] = names[index] in self._seen
                    self._seen.add(names[index])
            self._seen |= fresh
        return double


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _dots(slots: Slots) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which names are ``.`` and which are ``..``."""
    width = slots.data.shape[1]
    first = slots.data[slots.row, np.minimum(slots.offset + 8, width - 1)] == ord(".")
    second = slots.data[slots.row, np.minimum(slots.offset + 9, width - 1)] == ord(".")
    return first & (slots.name_len == 1), first & second & (slots.name_len == 2)
