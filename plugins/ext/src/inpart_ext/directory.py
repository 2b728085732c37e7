"""Directories: the blocks or inline data that hold them, and their entries with the places where they stand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.units import MIB
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.entries import Slots, parse_blocks
from inpart_ext.inodes import Inodes, InodeTable
from inpart_ext.mapping import map_inodes
from inpart_ext.nodes import Pieces
from inpart_ext.structs import I_BLOCK_OFFSET, INLINE_DATA_FL, S_IFDIR
from inpart_ext.xattr import inline_place

WINDOW = MIB
INLINE_START = 4
"""An inline directory starts with the number of its parent; ``.`` and ``..`` are not stored."""
_KEPT = 8

_T = TypeVar("_T")
Numbers = NDArray[np.int64]


class DirEntry(NamedTuple):
    """One entry; ``place`` is the byte of the volume at which it stands, ``rec_len`` how far it reaches."""

    inode: int
    name: bytes
    file_type: int
    place: int
    rec_len: int


class Status(NamedTuple):
    """What resolving a path needs to know of an inode."""

    is_dir: bool
    flags: int


class DirectoryReader:
    """Gives the entries of directories by inode number; keeps the last few directories."""

    def __init__(self, volume: Volume, table: InodeTable) -> None:
        """Nothing is read yet."""
        self.volume = volume
        self.table = table
        self.superblock = table.superblock
        self._kept: OrderedDict[int, dict[bytes, DirEntry]] = OrderedDict()
        self._statuses: OrderedDict[int, Status] = OrderedDict()

    def entries(self, number: int) -> dict[bytes, DirEntry]:
        """The used entries of a directory by name, without ``.`` and ``..``; the first one counts.

        Raises FilesystemDamaged if the inode is no directory. Blocks are read as far as they can be.
        """
        if number not in self._kept:
            found: dict[bytes, DirEntry] = {}
            for entry in self.read(self.table.one(number)):
                if entry.name not in {b".", b".."}:
                    found.setdefault(entry.name, entry)
            _keep(self._kept, number, found)
        return self._kept[number]

    def status(self, number: int) -> Status:
        """Type and flags of an inode. Raises FilesystemDamaged."""
        if number not in self._statuses:
            inode = self.table.one(number)
            _keep(self._statuses, number, Status(int(inode.format[0]) == S_IFDIR, int(inode.flags[0])))
        return self._statuses[number]

    def read(self, inode: Inodes) -> Iterator[DirEntry]:
        """The used entries of one directory as they stand, ``.`` and ``..`` included. Raises FilesystemDamaged."""
        for slots, places in self.slots(inode):
            used = slots.pick((slots.inode > 0) & (slots.name_len > 0))
            place = places[used.row] + used.offset
            columns = (used.inode, used.file_type, place, used.rec_len)
            numbers = zip(*(column.tolist() for column in columns), strict=True)
            for name, (target, kind, at, length) in zip(used.names(), numbers, strict=True):
                yield DirEntry(target, name, kind, at, length)

    def slots(self, inode: Inodes) -> Iterator[tuple[Slots, Numbers]]:
        """All records of one directory, window by window, each with the byte of the volume at which its blocks start.

        Raises FilesystemDamaged if the inode is no directory.
        """
        if int(inode.format[0]) != S_IFDIR:
            raise FilesystemDamaged(f"inode {int(inode.numbers[0])} is not a directory")
        if int(inode.flags[0]) & INLINE_DATA_FL:
            yield from self._inline(inode)
            return
        size = self.superblock.block_size
        blocks = block_numbers(map_inodes(self.volume, inode).pieces)
        step = max(1, WINDOW // size)
        for start in range(0, len(blocks), step):
            window = blocks[start : start + step]
            yield parse_blocks(read_blocks(self.volume, size, window)), window * size

    def _inline(self, inode: Inodes) -> Iterator[tuple[Slots, Numbers]]:
        raw, base = inode.raw[0].tobytes(), int(inode.places[0])
        rest, length = inline_place(raw)
        first = I_BLOCK_OFFSET + INLINE_START
        for start, end in ((first, I_BLOCK_OFFSET + 60), (rest, rest + length // 4 * 4)):
            if end - start >= 12:
                data = np.frombuffer(raw[start:end], dtype=np.uint8).reshape(1, -1)
                yield parse_blocks(data), np.array([base + start], dtype=np.int64)

    def inline_parent(self, inode: Inodes) -> int:
        """The parent of an inline directory."""
        raw = inode.raw[0, I_BLOCK_OFFSET : I_BLOCK_OFFSET + INLINE_START].tobytes()
        return int.from_bytes(raw, "little")


def block_numbers(pieces: Pieces) -> Numbers:
    """Every block of the pieces, one by one."""
    first = np.repeat(pieces.physical - np.cumsum(pieces.length) + pieces.length, pieces.length)
    return np.asarray(first + np.arange(len(first)), dtype=np.int64)


def _keep(kept: OrderedDict[int, _T], number: int, value: _T) -> None:
    """Add to what is kept and drop the oldest."""
    kept[number] = value
    if len(kept) > _KEPT:
        kept.popitem(last=False)
