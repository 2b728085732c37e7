"""The allocation table: packing of entries, and reading it in windows or as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.follow import follow
from inpart_fat.geometry import Clusters, Geometry

Entries = NDArray[np.uint32]

WINDOW = 1 << 20
"""Entries that are read at once: 4 MiB of FAT32."""

BLOCK = 1 << 14
MAX_BLOCKS = 128
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


class AllocationTable:
    """The active copy of the table, read where it is needed; a bounded number of blocks is kept.

    Whoever changes entries on the volume, or in the transaction whose view it is, says so with ``forget``.
    """

    def __init__(self, volume: Volume, geometry: Geometry) -> None:
        self.volume = volume
        self.geometry = geometry
        self._blocks: dict[int, Entries] = {}

    def raw(self, first: int, count: int) -> Entries:
        """A copy of entries as stored: those of FAT32 with their four reserved bits. Raises VolumeError."""
        blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
        joined = np.concatenate([self._block(number) for number in blocks])
        return joined[first - blocks[0] * BLOCK :][:count]

    def fetch(self, first: int, count: int) -> Entries:
        """Entries without the reserved bits of FAT32. Raises VolumeError."""
        return self.raw(first, count) & np.uint32(self.geometry.mask)

    def at(self, clusters: NDArray[np.integer]) -> Entries:
        """The entry of each of ``clusters``, which exist, without reserved bits. Raises VolumeError."""
        found = np.empty(len(clusters), dtype=np.uint32)
        for number, index in by_block(clusters, BLOCK):
            found[index] = self._block(number)[clusters[index] - number * BLOCK]
        return found & np.uint32(self.geometry.mask)

    def windows(self) -> Iterator[tuple[int, Entries]]:
        """(number of the first entry, entries without reserved bits) in windows over the whole table."""
        for first, raw in read_windows(self.volume, self.geometry):
            yield first, raw & np.uint32(self.geometry.mask)

    def chain(self, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
        """See ``follow``."""
        return follow(self.fetch, self.geometry, start, limit=limit, strict=strict)

    def forget(self, first: int, end: int) -> None:
        """Read the entries ``[first, end)`` anew when they are asked for again."""
        for number in range(first // BLOCK, (end - 1) // BLOCK + 1):
            self._blocks.pop(number, None)

    def _block(self, number: int) -> Entries:
        if number not in self._blocks:
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.pop(next(iter(self._blocks)))
            first = number * BLOCK
            count = min(BLOCK, self.geometry.entry_count - first)
            self._blocks[number] = _read(self.volume, self.geometry, self.geometry.active_fat, first, count)
        return self._blocks[number]


def by_block(clusters: NDArray[np.integer], size: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(block, indices of those of ``clusters`` that lie in it) for blocks of ``size`` entries, ascending."""
    blocks = clusters // size
    order = np.argsort(blocks, kind="stable")
    bounds = np.flatnonzero(np.diff(blocks[order], prepend=-1, append=-1))
    for low, high in pairwise(bounds.tolist()):
        yield int(blocks[order[low]]), order[low:high]
