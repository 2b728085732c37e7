"""The allocation table: packing of entries, and reading it in windows or as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.chains import Links
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry

Entries = NDArray[np.uint32]

WINDOW = 1 << 20
"""Entries that are read at once: 4 MiB of FAT32."""


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
    start = geometry.fat_starts[geometry.active_fat if copy is None else copy]
    for first in range(0, geometry.entry_count, WINDOW):
        count = min(WINDOW, geometry.entry_count - first)
        offset = start + first * geometry.fat_bits // 8
        yield first, unpack(volume.read(offset, packed_size(count, geometry.fat_bits)), geometry.fat_bits, count)


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
        for name in ("next", "links"):
            self.__dict__.pop(name, None)

    @cached_property
    def next(self) -> Entries:
        """Entries without the reserved bits of FAT32; read only."""
        reserved = self.geometry.fat32 and int(self.raw.max()) > self.geometry.mask
        values = self.raw & np.uint32(self.geometry.mask) if reserved else self.raw.view()
        values.setflags(write=False)
        return values

    @cached_property
    def links(self) -> Links:
        """The chains of the table, computed once."""
        return Links(self.next, self.geometry)

    def links_with(self, heads: NDArray[np.integer]) -> Links:
        """The chains with a stretch that starts at each of ``heads``, existing clusters, used or not."""
        return Links(self.next, self.geometry, heads)

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

    def chain(self, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
        """Cluster numbers of the chain from ``start`` on, at most ``limit``; none if ``start`` is 0.

        Bounded on any table. Raises FilesystemDamaged if the chain loops or leads to a free, bad or missing cluster;
        with ``strict`` off, what comes before that is returned.
        """
        return self.links.follow(start, limit, strict=strict)
