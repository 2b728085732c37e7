"""Directory blocks to entries: all chains of records of many blocks at once, up to the first damage in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inpart_ext.structs import DIR_ENTRY

UNIT = 4
"""Records start and end at multiples of this."""
MIN_RECORD = 12
HEADER = DIR_ENTRY.itemsize
_LARGEST_BLOCK = 1 << 16

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Slots:
    """The records of some blocks, unused ones included: ``row`` of ``data`` and ``offset`` in it for each.

    ``broken_row`` and ``broken_offset`` say where chains of records cannot be followed.
    """

    data: NDArray[np.uint8]
    row: Numbers
    offset: Numbers
    rec_len: Numbers
    broken_row: Numbers
    broken_offset: Numbers

    def __len__(self) -> int:
        return len(self.row)

    @property
    def inode(self) -> Numbers:
        """The inode that each record names; 0 where it is unused."""
        words = self.data.view("<u4")
        return np.asarray(words[self.row, self.offset // UNIT], dtype=np.int64)

    @property
    def name_len(self) -> Numbers:
        """Bytes of each name."""
        return self.data[self.row, self.offset + 6].astype(np.int64)

    @property
    def file_type(self) -> Numbers:
        """file_type of each record."""
        return self.data[self.row, self.offset + 7].astype(np.int64)

    def names(self) -> list[bytes]:
        """The name of each record."""
        flat, width = self.data.tobytes(), self.data.shape[1]
        starts = (self.row * width + self.offset + HEADER).tolist()
        return [flat[start : start + length] for start, length in zip(starts, self.name_len.tolist(), strict=True)]

    def pick(self, chosen: NDArray[np.bool_]) -> Slots:
        """Those records only."""
        return Slots(
            self.data,
            self.row[chosen],
            self.offset[chosen],
            self.rec_len[chosen],
            self.broken_row,
            self.broken_offset,
        )


def parse_blocks(data: NDArray[np.uint8]) -> Slots:
    """The records of blocks, shape (n, block size), in order of block and place.

    The chains are followed by doubling: after k steps every record at a distance below 2^k has been reached.
    """
    count, size = data.shape
    units = size // UNIT
    record = _record_lengths(data, units)
    place = np.arange(units, dtype=np.int32)
    lengths = np.full((count, units), 0, dtype=np.int32)
    lengths[:, :-1] = data[:, 6::UNIT]
    good = (record >= MIN_RECORD) & (record % UNIT == 0) & (record >= HEADER + lengths)
    good &= place * UNIT + record <= size
    follow = np.full((count, units + 1), units, dtype=np.int32)
    follow[:, :units] = np.where(good, place + record // UNIT, units)
    reached = np.zeros((count, units + 1), dtype=bool)
    reached[:, 0] = True
    for _ in range((size // MIN_RECORD).bit_length()):
        row, column = np.nonzero(reached)
        reached[row, follow[row, column]] = True
        follow = np.take_along_axis(follow, follow, axis=1)
    row, column = np.nonzero(reached[:, :units])
    sound = good[row, column]
    offset = column.astype(np.int64) * UNIT
    lengths_found = record[row, column].astype(np.int64)
    return Slots(data, row[sound], offset[sound], lengths_found[sound], row[~sound], offset[~sound])


def _record_lengths(data: NDArray[np.uint8], units: int) -> NDArray[np.int32]:
    """rec_len as if a record started at each unit of each block; 0 for the last unit, where none fits."""
    record = np.zeros((len(data), units), dtype=np.int32)
    record[:, :-1] = np.ascontiguousarray(data).view("<u2")[:, 2::2]
    if data.shape[1] >= _LARGEST_BLOCK:
        whole = (record == 0) | (record == 0xFFFF)
        whole[:, -1] = False
        record = np.where(whole, _LARGEST_BLOCK, (record & 0xFFFC) | (record & 3) << 16)
    return record
