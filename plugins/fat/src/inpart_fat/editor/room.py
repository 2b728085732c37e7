"""Where moved clusters go: holes of free clusters, filled low first, whole chains together where they fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart_fat.geometry import Clusters

Numbers = NDArray[np.int64]


class Holes:
    """Runs of free clusters from which pieces are taken; a tree of maxima finds the first that is long enough."""

    def __init__(self, starts: Numbers, lengths: Numbers) -> None:
        """``starts`` ascending cluster numbers, ``lengths`` in clusters."""
        self.free = int(lengths.sum())
        self._starts: list[int] = starts.tolist()
        self._leaves = 1 << max(0, len(starts) - 1).bit_length()
        padded = np.zeros(self._leaves, dtype=np.int64)
        padded[: len(lengths)] = lengths
        levels = [padded]
        while len(levels[-1]) > 1:
            levels.append(levels[-1].reshape(-1, 2).max(axis=1))
        self._tree: list[int] = [0] + np.concatenate(levels[::-1]).tolist()

    def take(self, count: int) -> list[tuple[int, int]]:
        """Runs (first cluster, clusters) of ``count`` clusters, at most ``free``, in the order to be filled.

        The first hole that holds all of what is left is used; if there is none, the largest one is used up.
        """
        pieces = []
        while count:
            length = min(count, self._tree[1])
            pieces.append((self._cut(length), length))
            count -= length
        return pieces

    def _cut(self, length: int) -> int:
        """The first clusters of the first hole of at least ``length``; returns where they start."""
        tree, node = self._tree, 1
        while node < self._leaves:
            node *= 2
            if tree[node] < length:
                node += 1
        hole = node - self._leaves
        start = self._starts[hole]
        self._starts[hole] = start + length
        self.free -= length
        tree[node] -= length
        while node > 1:
            node //= 2
            tree[node] = max(tree[2 * node], tree[2 * node + 1])
        return start


def consecutive(clusters: Clusters) -> tuple[Numbers, Numbers]:
    """Starts and lengths of the runs of clusters that follow each other in ``clusters``, which ascend."""
    opens = np.flatnonzero(np.diff(clusters, prepend=-1) != 1)
    return clusters[opens], np.diff(np.append(opens, len(clusters)))


def place(lengths: Numbers, holes: Holes) -> Clusters:
    """New clusters for chains of ``lengths`` clusters, one after the other in one array."""
    pieces: list[tuple[int, int]] = []
    for length in lengths.tolist():
        pieces += holes.take(length)
    runs = np.array(pieces, dtype=np.int64).reshape(-1, 2)
    ends = np.cumsum(runs[:, 1])
    nth = np.arange(int(runs[:, 1].sum())) - np.repeat(ends - runs[:, 1], runs[:, 1])
    return np.asarray(np.repeat(runs[:, 0], runs[:, 1]) + nth, dtype=np.int64)


def chain_order(preceding: Numbers) -> tuple[Numbers, Numbers]:
    """Order that puts the members of each chain together, and the length of each chain in that order.

    ``preceding[i]`` is the index before element i in its chain, or -1. Chains are ordered by their head. Elements of a
    ring, which has no head, are left out.
    """
    count = len(preceding)
    index = np.arange(count)
    opens = np.flatnonzero((preceding != index - 1) | (index == 0))
    sizes = np.diff(np.append(opens, count))
    run_of = np.repeat(np.arange(len(opens)), sizes)
    before = preceding[opens]
    ahead = np.where(before < 0, np.arange(len(opens)), run_of[before])
    distance = np.where(before < 0, 0, sizes[ahead])
    for _ in range(len(opens).bit_length()):
        distance = distance + distance[ahead]
        ahead = ahead[ahead]
    linked = np.flatnonzero(before[ahead] < 0)
    order = linked[np.lexsort((distance[linked], ahead[linked]))]
    lengths = np.bincount(ahead[linked], weights=sizes[linked], minlength=len(opens)).astype(np.int64)
    firsts, counts = opens[order], sizes[order]
    nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(firsts, counts) + nth, lengths[lengths > 0]
