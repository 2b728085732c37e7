"""A number for each cluster, in memory only where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inpart_fat.geometry import Clusters
from inpart_fat.table import by_block

_BLOCK = 1 << 16


class Marks:
    """Numbers from 0 to 255, one for each cluster: 0 where none was put. Clusters are given as arrays."""

    def __init__(self) -> None:
        self._blocks: dict[int, NDArray[np.uint8]] = {}

    def of(self, clusters: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The number of each of ``clusters``."""
        found = np.zeros(len(clusters), dtype=np.uint8)
        for block, index in by_block(clusters, _BLOCK):
            if block in self._blocks:
                found[index] = self._blocks[block][clusters[index] - block * _BLOCK]
        return found

    def put(self, clusters: NDArray[np.integer], values: NDArray[np.integer] | NDArray[np.bool_] | int) -> None:
        """Give each of ``clusters`` its number, or all of them the same."""
        every = np.broadcast_to(np.asarray(values, dtype=np.uint8), clusters.shape)
        for block, index in by_block(clusters, _BLOCK):
            numbers = self._blocks.get(block, _uniform(0))
            if not numbers.flags.writeable:
                numbers = numbers.copy()
            numbers[clusters[index] - block * _BLOCK] = every[index]
            self._blocks[block] = _uniform(int(numbers[0])) if (numbers == numbers[0]).all() else numbers

    def marked(self) -> Iterator[Clusters]:
        """The clusters whose number is not 0, ascending, in arrays of bounded length."""
        for block in sorted(self._blocks):
            yield np.flatnonzero(self._blocks[block]) + block * _BLOCK

    def first(self, count: int) -> Clusters:
        """The lowest ``count`` of them, or all."""
        found, left = [np.empty(0, dtype=np.int64)], count
        for clusters in self.marked():
            found.append(clusters[:left])
            left -= len(found[-1])
            if not left:
                break
        return np.concatenate(found)


def _uniform(number: int) -> NDArray[np.uint8]:
    """A block with the same number for all its clusters, read-only; it takes one byte."""
    return np.broadcast_to(np.uint8(number), _BLOCK)
