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

    The chains of all blocks are followed at the same time, one record of each in a step.
    """
    size = data.shape[1]
    flat = np.ascontiguousarray(data).reshape(-1)
    row = np.arange(len(data), dtype=np.int64)
    offset = np.zeros(len(data), dtype=np.int64)
    sound, broken = [_none(3)], [_none(2)]
    while len(row):
        record, good = _records(flat, size, row, offset)
        broken.append(np.stack([row[~good], offset[~good]]))
        row, offset, record = row[good], offset[good], record[good]
        sound.append(np.stack([row, offset, record]))
        offset = offset + record
        row, offset = row[offset < size], offset[offset < size]
    return Slots(data, *_in_order(sound), *_in_order(broken))


def _records(flat: NDArray[np.uint8], size: int, row: Numbers, offset: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """rec_len of the records at these places, and which of them can be."""
    fits = offset <= size - MIN_RECORD
    start = (row * size + offset) * fits
    record = flat.view("<u2")[start // 2 + 2].astype(np.int64)
    if size >= _LARGEST_BLOCK:
        record = np.where((record == 0) | (record == 0xFFFF), _LARGEST_BLOCK, (record & 0xFFFC) | (record & 3) << 16)
    good = fits & (record % UNIT == 0) & (record >= np.maximum(MIN_RECORD, HEADER + flat[start + 6].astype(np.int64)))
    return record, good & (offset + record <= size)


def _in_order(parts: list[Numbers]) -> Numbers:
    """Columns of row, offset and more, ordered by row and offset."""
    whole = np.concatenate(parts, axis=1)
    return whole[:, np.lexsort((whole[1], whole[0]))]


def _none(columns: int) -> Numbers:
    return np.empty((columns, 0), dtype=np.int64)
