"""Index nodes: the entries of many INDX blocks or $INDEX_ROOT values at once, and their keys in sorting order."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.arrays import gather, unit_rows
from inpart_ntfs.codes import IndexFlag
from inpart_ntfs.fixups import apply_fixups
from inpart_ntfs.structs import (
    FILE_NAME,
    INDEX_BLOCK,
    INDEX_ENTRY,
    INDEX_HEADER,
    INDEX_ROOT,
    MAGIC_INDX,
    Struct,
    field_offset,
)

Numbers = NDArray[np.int64]
Rows = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_VCN: Struct = np.dtype([("vcn", "<i8")])
ROOT_HEADER = field_offset(INDEX_ROOT, "index")
BLOCK_HEADER = field_offset(INDEX_BLOCK, "index")
"""Where in an $INDEX_ROOT and in an INDX block the INDEX_HEADER stands."""
KEY = INDEX_ENTRY.itemsize
"""Where in an entry its key starts."""


class Fault(NamedTuple):
    """A node whose entries cannot all be read: which row, at which byte of it, and what is wrong there."""

    row: int
    offset: int
    message: str


@dataclass
class Entries:
    """Entries of nodes, in order of node and place: entry i stands in ``data[row[i]]`` at byte ``offset[i]``."""

    data: Rows
    row: Numbers
    offset: Numbers

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def fields(self) -> NDArray[np.void]:
        """The same as ``INDEX_ENTRY``."""
        return gather(self.data, self.row, self.offset, INDEX_ENTRY)

    def __getitem__(self, name: str) -> Numbers:
        """A field of all entries by its usual name."""
        return self.fields[name].astype(np.int64)

    def pick(self, chosen: Mask | Numbers) -> Entries:
        """Those entries only."""
        return Entries(self.data, self.row[chosen], self.offset[chosen])

    @cached_property
    def is_end(self) -> Mask:
        """Which entries are the last of their node; they have no key."""
        return np.asarray(self["flags"] & IndexFlag.END > 0)

    @cached_property
    def has_child(self) -> Mask:
        """Which entries have a node below them, whose keys come before theirs."""
        return np.asarray(self["flags"] & IndexFlag.NODE > 0)

    @cached_property
    def child(self) -> Numbers:
        """The VCN of the node below each entry, -1 where there is none."""
        found = np.full(len(self), -1, dtype=np.int64)
        chosen = self.has_child
        place = self.offset[chosen] + self["length"][chosen] - 8
        found[chosen] = gather(self.data, self.row[chosen], place, _VCN)["vcn"]
        return found

    @cached_property
    def names(self) -> NDArray[np.void]:
        """The keys as ``FILE_NAME``; meaningful only for entries of $I30 that are sound and not the last."""
        return gather(self.data, self.row, self.offset + KEY, FILE_NAME)

    @cached_property
    def name_units(self) -> Numbers:
        """A row of UTF-16 units for each name, -1 behind its end; with the same reservation."""
        start = self.offset + KEY + FILE_NAME.itemsize
        return unit_rows(self.data, self.row, start, self.names["file_name_length"].astype(np.int64), "<u2")

    @cached_property
    def is_name(self) -> Mask:
        """Which have a key that is a sound FILE_NAME."""
        length = self.names["file_name_length"].astype(np.int64)
        fits = FILE_NAME.itemsize + 2 * length <= self["key_length"]
        return np.asarray(~self.is_end & (length > 0) & fits)

    def key(self, index: int) -> bytes:
        """The key of one entry."""
        start = int(self.offset[index]) + KEY
        return self.data[self.row[index], start : start + int(self["key_length"][index])].tobytes()


@dataclass
class Parsed:
    """What ``parse`` found: the sound entries, ends included, and what is wrong."""

    entries: Entries
    faults: list[Fault] = field(default_factory=list)


def parse(data: Rows, rows: Numbers, start: Numbers, end: Numbers) -> Parsed:
    """The entries of nodes whose entries fill ``data[rows[i], start[i]:end[i]]``, up to and with the last of each node.

    ``end`` must lie inside the row. An entry that is too short, too long or not aligned ends its node with a fault.
    """
    faults: list[Fault] = []
    found, offsets = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    alive, at, limit = rows, start, end
    while len(alive):
        fits = at + KEY <= limit
        faults += _faults(alive[~fits], at[~fits], "the entries of a node end without a last one")
        alive, at, limit = alive[fits], at[fits], limit[fits]
        step = Entries(data, alive, at)
        sound = _sound(step, limit)
        faults += _faults(alive[~sound], at[~sound], "an index entry has an impossible length")
        found.append(alive[sound])
        offsets.append(at[sound])
        going = sound & ~step.is_end
        alive, at, limit = alive[going], (at + step["length"])[going], limit[going]
    row, offset = np.concatenate(found), np.concatenate(offsets)
    order = np.lexsort((offset, row))
    return Parsed(Entries(data, row[order], offset[order]), faults)


def _sound(entries: Entries, end: Numbers) -> Mask:
    """Which entries lie inside their node with all that they say they have."""
    length, key = entries["length"], entries["key_length"]
    needed = KEY + np.where(entries.is_end, 0, key) + np.where(entries.has_child, 8, 0)
    return np.asarray((length >= needed) & (length % 8 == 0) & (entries.offset + length <= end))


def _faults(rows: Numbers, offsets: Numbers, message: str) -> list[Fault]:
    return [Fault(row, at, message) for row, at in zip(rows.tolist(), offsets.tolist(), strict=True)]


def bounds(data: Rows, rows: Numbers, at: Numbers, room: Numbers) -> tuple[Numbers, Numbers, Mask]:
    """Where the entries of nodes start and end, and whether their INDEX_HEADER, at byte ``at``, is sound.

    A node with its header has ``room`` bytes.
    """
    header = gather(data, rows, at, INDEX_HEADER)
    first, length = header["entries_offset"].astype(np.int64), header["index_length"].astype(np.int64)
    allocated = header["allocated_size"].astype(np.int64)
    good = (first >= INDEX_HEADER.itemsize) & (first % 8 == 0) & (first + KEY <= length)
    good &= (length <= allocated) & (allocated <= room)
    return at + first, at + length, good


@dataclass
class Blocks:
    """INDX blocks, shape (n, block size), update sequences undone: whose is right, whose magic, whose header.

    ``start`` and ``end`` bound the entries of those in which all is right.
    """

    data: Rows
    whole: Mask
    magic: Mask
    header: Mask
    start: Numbers
    end: Numbers

    @property
    def sound(self) -> Mask:
        """Blocks whose entries can be read."""
        return self.whole & self.magic & self.header

    def parse(self) -> Parsed:
        """The entries of all sound blocks."""
        rows = np.flatnonzero(self.sound)
        return parse(self.data, rows, self.start[rows], self.end[rows])


def open_blocks(data: Rows) -> Blocks:
    """Undo the update sequences of blocks, in place, and look at their headers."""
    whole = apply_fixups(data)
    rows = np.arange(len(data), dtype=np.int64)
    at = np.full(len(data), BLOCK_HEADER, dtype=np.int64)
    magic = gather(data, rows, np.zeros_like(rows), INDEX_BLOCK)["magic"] == MAGIC_INDX
    start, end, good = bounds(data, rows, at, data.shape[1] - at)
    return Blocks(data, whole, np.asarray(magic), good, start, end)


def compare(left: Numbers, right: Numbers) -> Numbers:
    """Rows of units compared in lexicographic order: -1, 0 or 1 each; both have the same shape."""
    if not left.shape[1]:
        return np.zeros(len(left), dtype=np.int64)
    differs = left != right
    first = differs.argmax(axis=1)
    index = np.arange(len(left))
    return np.where(differs.any(axis=1), np.sign(left[index, first] - right[index, first]), 0)
