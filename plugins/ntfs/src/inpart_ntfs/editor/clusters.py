"""Small helpers for rows of cluster runs: first cluster and count, in the order of a file or of the volume."""

from __future__ import annotations

import numpy as np
from inpart.errors import NoSpace
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

NO_ROWS: Numbers = np.empty((0, 2), dtype=np.int64)


def mapped(rows: Numbers, vcn: int = 0) -> Numbers:
    """Rows of first cluster and count as rows of vcn, lcn, count from ``vcn`` on."""
    start = np.cumsum(rows[:, 1]) - rows[:, 1] + vcn
    return np.stack([start, rows[:, 0], rows[:, 1]], axis=1)


class Room:
    """Free clusters, handed out in a given order: in one piece from the first run that has room, else in several."""

    def __init__(self, *parts: Numbers) -> None:
        """``parts`` are rows of first cluster and count, which do not overlap."""
        every = (NO_ROWS, *parts)
        self._starts, self._lengths = (np.concatenate([rows[:, column] for rows in every]) for column in (0, 1))
        self._first = 0
        self.left = int(self._lengths.sum())

    @property
    def longest(self) -> int:
        """Clusters that can be had in one piece."""
        return int(self._lengths.max(initial=0))

    def take(self, count: int) -> Numbers:
        """Rows of ``count`` clusters. Raises NoSpace."""
        if count > self.left:
            raise NoSpace(
                f"{count} clusters are needed for metadata or moved files, and {self.left} are free",
                hint="free some space on the file system",
            )
        if not count:
            return NO_ROWS
        self.left -= count
        if self._lengths[self._first] >= count:
            return np.array([self._cut(self._first, count)], dtype=np.int64)
        fits = np.flatnonzero(self._lengths[self._first :] >= count)
        if len(fits):
            return np.array([self._cut(self._first + int(fits[0]), count)], dtype=np.int64)
        found: list[tuple[int, int]] = []
        while count:
            found.append(self._cut(self._first, min(count, int(self._lengths[self._first]))))
            count -= found[-1][1]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _cut(self, index: int, count: int) -> tuple[int, int]:
        """The front of a run."""
        start = int(self._starts[index])
        self._starts[index] += count
        self._lengths[index] -= count
        while self._first < len(self._lengths) and not self._lengths[self._first]:
            self._first += 1
        return start, count
