"""Bitmaps of clusters and records: read in windows, turned into extents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.extents import Extents
from inpart.units import MIB
from inpart.volume import Volume
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Numbers = NDArray[np.int64]

WINDOW = 4 * MIB


def windows(stream: Volume, bits: int) -> Iterator[tuple[int, Bits]]:
    """The first ``bits`` bits of a bitmap: number of the first bit of each window, and its bytes, lowest bit first.

    What lies behind the last bit is cleared; where the stream is too short its bits are zero. Windows that are holes
    of the volume are left out.
    """
    size = -(-bits // 8)
    for start in range(0, size, WINDOW):
        data = np.zeros(min(WINDOW, size - start), dtype=np.uint8)
        there = min(len(data), max(0, stream.size - start))
        stream.readinto(start, data[:there].data)
        if start + len(data) == size and bits % 8:
            data[-1] &= (1 << bits % 8) - 1
        yield start * 8, data


def set_bits(stream: Volume, bits: int, unit: int = 1) -> Extents:
    """Runs of ones among the first ``bits`` bits, each bit standing for ``unit`` bytes."""
    found = [edges(data) + first for first, data in windows(stream, bits)]
    return Extents(np.concatenate(found) * unit) if found else Extents()


def edges(data: Bits) -> Numbers:
    """Where runs of ones start and end, shape (n, 2). Only words of 64 bits with an edge are looked at bit by bit."""
    padded = np.zeros(-(-len(data) // 8) * 8 + 8, dtype=np.uint8)
    padded[: len(data)] = data
    words = padded.view("<u8")
    before = np.empty_like(words)
    before[0] = 0
    np.right_shift(words[:-1], np.uint64(63), out=before[1:])
    before |= words << np.uint64(1)
    before ^= words
    changed = np.flatnonzero(before)
    bits = np.unpackbits(before[changed].view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    word, bit = np.nonzero(bits)
    return (changed[word].astype(np.int64) * 64 + bit).reshape(-1, 2)
