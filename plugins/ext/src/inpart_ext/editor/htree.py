"""The index of an htree directory: finding the leaf of a hash, entering a new leaf, checksums of its nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged, FilesystemUnsupported

from inpart_ext.structs import DX_COUNTLIMIT, DX_ENTRY, DX_NODE_ENTRIES, DX_ROOT_ENTRIES
from inpart_ext.sums import crc

_INFO = 24
_MAX_LEVELS = 3
_BLOCK_MASK = 0x0FFFFFFF
_HINT = "run e2fsck on it first"
_TAIL = 8


@dataclass
class Node:
    """A block of the index; ``at`` is where its entries start, ``position`` the entry that was followed."""

    logical: int
    data: bytearray
    at: int
    position: int = 0

    @property
    def limit(self) -> int:
        """How many entries there is room for."""
        return int(np.frombuffer(self.data, dtype=DX_COUNTLIMIT, count=1, offset=self.at)["limit"][0])

    @property
    def count(self) -> int:
        """How many entries there are, the first without a hash included."""
        return int(np.frombuffer(self.data, dtype=DX_COUNTLIMIT, count=1, offset=self.at)["count"][0])

    def check(self) -> Node:
        """Raise FilesystemDamaged if the counts cannot be."""
        size = DX_ENTRY.itemsize
        if not 0 < self.count <= self.limit or self.at + self.limit * size > len(self.data):
            raise FilesystemDamaged("the index of a directory is damaged", hint=_HINT)
        return self

    def follow(self, value: int) -> int:
        """The block of the file that has the names of a hash."""
        entries = np.frombuffer(self.data, dtype=DX_ENTRY, count=self.count, offset=self.at)
        self.position = int(np.searchsorted(entries["hash"][1:], value, side="right"))
        return int(entries["block"][self.position]) & _BLOCK_MASK

    def insert(self, value: int, logical: int) -> None:
        """Enter a new leaf behind the one that was followed."""
        if self.count == self.limit:
            raise FilesystemUnsupported(
                "the index of the root directory is full", hint="move some of its files into a subdirectory"
            )
        place = self.at + (self.position + 1) * DX_ENTRY.itemsize
        end = self.at + self.count * DX_ENTRY.itemsize
        entry = value.to_bytes(4, "little") + logical.to_bytes(4, "little")
        self.data[place : end + DX_ENTRY.itemsize] = entry + self.data[place:end]
        self.data[self.at + 2 : self.at + 4] = (self.count + 1).to_bytes(2, "little")

    def seal(self, seed: int) -> None:
        """Put the checksum right."""
        end, tail = self.at + self.count * DX_ENTRY.itemsize, self.at + self.limit * DX_ENTRY.itemsize
        value = crc(crc(seed, self.data[:end]), bytes(self.data[tail : tail + 4]) + bytes(4))
        self.data[tail + 4 : tail + _TAIL] = value.to_bytes(4, "little")


@dataclass(frozen=True)
class Root:
    """What the first block of the directory says of its index."""

    node: Node
    hash_version: int
    levels: int


def read_root(data: bytearray) -> Root:
    """Raises FilesystemDamaged."""
    levels, info_length = data[_INFO + 6], data[_INFO + 5]
    if levels > _MAX_LEVELS or info_length != _TAIL:
        raise FilesystemDamaged("the index of a directory is damaged", hint=_HINT)
    return Root(Node(0, data, DX_ROOT_ENTRIES).check(), data[_INFO + 4], levels)


def read_node(logical: int, data: bytearray) -> Node:
    """An interior node. Raises FilesystemDamaged."""
    return Node(logical, data, DX_NODE_ENTRIES).check()
