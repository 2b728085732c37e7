"""Bitmaps of clusters and records: read in windows, turned into extents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.errors import FilesystemUnsupported
from inpart.extents import Extents, bit_edges
from inpart.units import KIB, MIB
from inpart.volume import Volume
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Numbers = NDArray[np.int64]

WINDOW = 4 * MIB
_STEP = 64 * KIB
"""Bytes of a bitmap that are looked at bit by bit together."""
MAX_RUNS = 1 << 21
"""More runs of used clusters than that would not fit into the memory that an operation may take."""


def windows(stream: Volume, bits: int) -> Iterator[tuple[int, Bits]]:
    """The first ``bits`` bits of a bitmap: number of the first bit of each window, and its bytes, lowest bit first.

    What lies behind the last bit is cleared; where the stream is too short its bits are zero.
    """
    size = -(-bits // 8)
    for start in range(0, size, WINDOW):
        data = np.zeros(min(WINDOW, size - start), dtype=np.uint8)
        there = min(len(data), max(0, stream.size - start))
        if there:
            stream.readinto(start, data[:there].data)
        if start + len(data) == size and bits % 8:
            data[-1] &= (1 << bits % 8) - 1
        yield start * 8, data


def set_bits(stream: Volume, bits: int, unit: int = 1) -> Extents:
    """Runs of ones among the first ``bits`` bits, each standing for ``unit`` bytes. Raises FilesystemUnsupported."""
    found, count = [np.empty((0, 2), dtype=np.int64)], 0
    for first, data in windows(stream, bits):
        parts = [edges(data[at : at + _STEP]) + first + 8 * at for at in range(0, len(data), _STEP)]
        found += [part for part in parts if len(part)]
        count += sum(map(len, parts))
        if count > MAX_RUNS:
            raise FilesystemUnsupported(
                f"{stream.name}: what is used lies in more than {MAX_RUNS} pieces",
                hint="defragment it; `create --all-sectors` copies the partition without looking at them",
            )
    rows = np.concatenate(found)
    rows *= unit
    return Extents(rows)


def edges(data: Bits) -> Numbers:
    """Where runs of ones start and end, shape (n, 2)."""
    return bit_edges(data[np.newaxis])[0].reshape(-1, 2)
