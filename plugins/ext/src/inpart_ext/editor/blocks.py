"""Small helpers for rows of block runs: first block and count, in the order of a file or of the disk."""

from __future__ import annotations

import numpy as np
from inpart.errors import NoSpace
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def single_rows(blocks: Numbers | list[int]) -> Numbers:
    """Single blocks as rows of first block and count."""
    numbers = np.array(blocks, dtype=np.int64)
    return np.stack([numbers, np.ones_like(numbers)], axis=1)


class Room:
    """Free blocks that are handed out in a given order: long runs from the front, single blocks from the back."""

    def __init__(self, rows: Numbers) -> None:
        """``rows`` are first block and count."""
        self._rows = rows
        self._low, self._high = 0, len(rows)
        self._taken_low = 0
        self._taken_high = 0
        self.left = int(rows[:, 1].sum())

    def take(self, count: int) -> Numbers:
        """Rows of ``count`` blocks from the front. Raises NoSpace."""
        self._require(count)
        found: list[tuple[int, int]] = []
        while count:
            start, length = self._rows[self._low].tolist()
            usable = length - self._taken_low - (self._taken_high if self._low == self._high - 1 else 0)
            part = min(count, usable)
            if part:
                found.append((start + self._taken_low, part))
            self._taken_low += part
            count -= part
            if part == usable:
                self._low, self._taken_low = self._low + 1, 0
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def take_one(self) -> int:
        """One block from the back. Raises NoSpace."""
        self._require(1)
        while True:
            start, length = self._rows[self._high - 1].tolist()
            usable = length - self._taken_high - (self._taken_low if self._low == self._high - 1 else 0)
            if usable:
                self._taken_high += 1
                return int(start + length - self._taken_high)
            self._high, self._taken_high = self._high - 1, 0

    def _require(self, count: int) -> None:
        if count > self.left:
            raise NoSpace(
                f"{count} blocks are needed for metadata or moved files, and {self.left} are free",
                hint="free some space on the file system",
            )
        self.left -= count
