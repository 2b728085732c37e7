"""Small helpers for rows of cluster runs: first cluster and count, in the order of a file or of the volume."""

from __future__ import annotations

import numpy as np
from inpart.errors import NoSpace
from inpart.extents import Extents, Runs
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

NO_ROWS: Numbers = np.empty((0, 2), dtype=np.int64)


def in_clusters(extents: Extents, cluster_size: int) -> Extents:
    """Extents in units of whole clusters, the smallest that cover the bytes."""
    return Extents(extents.align_out(cluster_size).array // cluster_size)


def largest_first(extents: Extents) -> Numbers:
    """Extents of cluster numbers as rows of first cluster and count, so that what is taken lies in few pieces."""
    rows = rows_of(extents)
    return rows[np.argsort(-rows[:, 1], kind="stable")]


def run_rows(runs: Runs, cluster_size: int) -> Numbers:
    """Rows of first cluster and count."""
    return runs.array // cluster_size


def rows_of(extents: Extents) -> Numbers:
    """Extents of cluster numbers as rows of first cluster and count."""
    pairs = extents.array
    return np.stack([pairs[:, 0], pairs[:, 1] - pairs[:, 0]], axis=1)


def extents_of(rows: Numbers) -> Extents:
    """Rows of first cluster and count as a set of cluster numbers."""
    return Extents(np.stack([rows[:, 0], rows[:, 0] + rows[:, 1]], axis=1))


def mapped(rows: Numbers, vcn: int = 0) -> Numbers:
    """Rows of first cluster and count as rows of vcn, lcn, count from ``vcn`` on."""
    start = np.cumsum(rows[:, 1]) - rows[:, 1] + vcn
    return np.stack([start, rows[:, 0], rows[:, 1]], axis=1)


class Room:
    """Free clusters that are handed out in a given order, the front of the first run first."""

    def __init__(self, *parts: Numbers) -> None:
        """``parts`` are rows of first cluster and count, which do not overlap."""
        self._rows = np.concatenate([NO_ROWS, *parts])
        self._at = self._used = 0
        self.left = int(self._rows[:, 1].sum())

    def take(self, count: int) -> Numbers:
        """Rows of ``count`` clusters. Raises NoSpace."""
        if count > self.left:
            raise NoSpace(
                f"{count} clusters are needed for metadata or moved files, and {self.left} are free",
                hint="free some space on the file system",
            )
        self.left -= count
        found: list[tuple[int, int]] = []
        while count:
            start, length = self._rows[self._at].tolist()
            part = min(count, length - self._used)
            if part:
                found.append((start + self._used, part))
            self._used += part
            count -= part
            if self._used == length:
                self._at, self._used = self._at + 1, 0
        return np.array(found, dtype=np.int64).reshape(-1, 2)
