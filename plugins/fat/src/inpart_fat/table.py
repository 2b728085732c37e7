"""The allocation table: packing of entries, and reading it in windows or as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.follow import follow
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry

Entries = NDArray[np.uint32]

WINDOW = 1 << 20
"""Entries that are read at once: 4 MiB of FAT32."""

BLOCK = 1 << 14
MAX_BLOCKS = 64
"""Entries in a block of a table that is read where needed, and how many blocks are kept."""


def unpack(data: bytes | bytearray, bits: int, count: int) -> Entries:
    """``count`` entries of ``bits`` each from the start of ``data``; FAT32 entries keep their four high bits."""
    if bits == 32:
        return np.frombuffer(data, dtype="<u4", count=count).astype(np.uint32)
    if bits == 16:
        return np.frombuffer(data, dtype="<u2", count=count).astype(np.uint32)
    padded = np.zeros(-(-count // 2) * 3, dtype=np.uint32)
    used = np.frombuffer(data, dtype=np.uint8)[: len(padded)]
    padded[: len(used)] = used
    triples = padded.reshape(-1, 3)
    pairs = np.empty((len(triples), 2), dtype=np.uint32)
    pairs[:, 0] = triples[:, 0] | (triples[:, 1] & 0x0F) << 8
    pairs[:, 1] = triples[:, 1] >> 4 | triples[:, 2] << 4
    return pairs.ravel()[:count]


def pack(entries: Entries, bits: int) -> bytes:
    """The inverse of ``unpack``; an odd number of 12 bit entries ends in a half byte of zeros."""
    if bits == 32:
        return entries.astype("<u4").tobytes()
    if bits == 16:
        return entries.astype("<u2").tobytes()
    padded = np.zeros(-(-len(entries) // 2) * 2, dtype=np.uint32)
    padded[: len(entries)] = entries
    pairs = padded.reshape(-1, 2)
    triples = np.empty((len(pairs), 3), dtype=np.uint8)
    triples[:, 0] = pairs[:, 0] & 0xFF
    triples[:, 1] = pairs[:, 0] >> 8 | (pairs[:, 1] & 0x0F) << 4
    triples[:, 2] = pairs[:, 1] >> 4
    return triples.tobytes()[: packed_size(len(entries), bits)]


def packed_size(count: int, bits: int) -> int:
    """Bytes that ``count`` entries take up."""
    return -(-count * bits // 8)


def read_windows(volume: Volume, geometry: Geometry, copy: int | None = None) -> Iterator[tuple[int, Entries]]:
    """(number of the first entry, raw entries) in windows over one copy, the active one by default."""
    number = geometry.active_fat if copy is None else copy
    for first in range(0, geometry.entry_count, WINDOW):
        yield first, _read(volume, geometry, number, first, min(WINDOW, geometry.entry_count - first))


def _read(volume: Volume, geometry: Geometry, copy: int, first: int, count: int) -> Entries:
    """``count`` raw entries from an even one on."""
    bits = geometry.fat_bits
    return unpack(volume.read(geometry.fat_starts[copy] + first * bits // 8, packed_size(count, bits)), bits, count)


class LazyTable:
    """The active copy of the table, read where it is needed; for following single chains without holding it all."""

    def __init__(self, volume: Volume, geometry: Geometry) -> None:
        self.volume = volume
        self.geometry = geometry
        self._blocks: dict[int, Entries] = {}

    def fetch(self, first: int, count: int) -> Entries:
        """Entries without the reserved bits of FAT32. Raises VolumeError."""
        blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
        joined = np.concatenate([self._block(number) for number in blocks])
        return joined[first - blocks[0] * BLOCK :][:count]

    def chain(self, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
        """See ``follow``."""
        return follow(self.fetch, self.geometry, start, limit=limit, strict=strict)

    def _block(self, number: int) -> Entries:
        if number not in self._blocks:
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.pop(next(iter(self._blocks)))
            first = number * BLOCK
            count = min(BLOCK, self.geometry.entry_count - first)
            raw = _read(self.volume, self.geometry, self.geometry.active_fat, first, count)
            self._blocks[number] = raw & np.uint32(self.geometry.mask)
        return self._blocks[number]


class AllocationTable:
    """One copy of the table in memory, 4 bytes for each entry, and what follows from it.

    ``raw`` holds the entries as stored (FAT32 with the four reserved bits), ``next`` without those bits; both are
    indexed by cluster number. Entries are changed by ``set`` only.
    """

    def __init__(self, geometry: Geometry, raw: Entries) -> None:
        """``raw`` has ``geometry.entry_count`` elements."""
        self.geometry = geometry
        self.raw = raw

    @classmethod
    def read(cls, volume: Volume, geometry: Geometry, copy: int | None = None) -> AllocationTable:
        """One copy, the active one by default. Raises VolumeError."""
        raw = np.empty(geometry.entry_count, dtype=np.uint32)
        for first, entries in read_windows(volume, geometry, copy):
            raw[first : first + len(entries)] = entries
        return cls(geometry, raw)

    def set(self, clusters: NDArray[np.integer], values: NDArray[np.integer] | int) -> None:
        """Change entries; the four high bits of FAT32 entries stay as they are."""
        keep = np.uint32(~self.geometry.mask & 0xFFFFFFFF)
        new = np.asarray(values).astype(np.uint32) & np.uint32(self.geometry.mask)
        self.raw[clusters] = self.raw[clusters] & keep | new
        if self.geometry.fat32 and "_next" in self.__dict__:
            self._next[clusters] = new

    @cached_property
    def _next(self) -> Entries:
        return self.raw & np.uint32(self.geometry.mask) if self.geometry.fat32 else self.raw

    @property
    def next(self) -> Entries:
        """Entries without the reserved bits of FAT32; read only, and up to date after ``set``."""
        values = self._next.view()
        values.setflags(write=False)
        return values

    def free(self) -> NDArray[np.bool_]:
        """True for each free cluster; entries 0 and 1 are false."""
        mask = self.next == 0
        mask[:FIRST_CLUSTER] = False
        return np.asarray(mask)

    def bad(self) -> NDArray[np.bool_]:
        """True for each bad cluster; entries 0 and 1 are false."""
        mask = self.next == self.geometry.bad
        mask[:FIRST_CLUSTER] = False
        return np.asarray(mask)

    def used(self) -> NDArray[np.bool_]:
        """True for each cluster that holds data: neither free nor bad; entries 0 and 1 are false."""
        mask = (self.next != 0) & (self.next != self.geometry.bad)
        mask[:FIRST_CLUSTER] = False
        return np.asarray(mask)

    def fetch(self, first: int, count: int) -> Entries:
        """Entries without the reserved bits of FAT32."""
        return self.raw[first : first + count] & np.uint32(self.geometry.mask)

    def chain(self, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
        """See ``follow``."""
        return follow(self.fetch, self.geometry, start, limit=limit, strict=strict)
