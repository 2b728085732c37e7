"""User data that a transaction copies into free clusters: remembered as ranges, read through, carried out at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from inpart.extents import Extents
from inpart.units import MIB
from inpart.volume import Volume

_BUFFER = 16 * MIB
_ROW_MEMORY = 200


class Copies:
    """Disjoint target ranges, sorted, each with the source that its bytes come from. All numbers are bytes."""

    def __init__(self) -> None:
        self._targets: list[int] = []
        self._rows: list[tuple[int, int]] = []
        self.total = 0

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def memory(self) -> int:
        """Bytes that the list occupies in memory."""
        return len(self._targets) * _ROW_MEMORY

    def array(self) -> NDArray[np.int64]:
        """Columns source, target, length, ordered by target; shape (n, 3)."""
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, 2)
        return np.stack([rows[:, 0], np.array(self._targets, dtype=np.int64), rows[:, 1]], axis=1)

    def sources(self) -> Extents:
        """The bytes that are read."""
        rows = self.array()
        return Extents.from_starts(rows[:, 0], rows[:, 2])

    def targets(self) -> Extents:
        """The bytes that are filled."""
        rows = self.array()
        return Extents.from_rows(rows[:, 1:])

    def add(self, source: int, target: int, length: int) -> None:
        """Remember a copy, joined to its neighbours where it goes on from them. No two targets may overlap."""
        self.total += length
        index = bisect_left(self._targets, target)
        if index < len(self._targets) and self._targets[index] == target + length:
            after_source, after_length = self._rows[index]
            if after_source == source + length:
                length += after_length
                del self._targets[index], self._rows[index]
        if index:
            before_source, before_length = self._rows[index - 1]
            joins = self._targets[index - 1] + before_length == target and before_source + before_length == source
            if joins:
                self._rows[index - 1] = (before_source, before_length + length)
                return
        self._targets.insert(index, target)
        self._rows.insert(index, (source, length))

    def touching(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The parts of the copies whose target lies in ``[start, end)``: source, target, length."""
        index = max(bisect_right(self._targets, start) - 1, 0)
        while index < len(self._targets) and self._targets[index] < end:
            target, (source, length) = self._targets[index], self._rows[index]
            low, high = max(start, target), min(end, target + length)
            if low < high:
                yield source + low - target, low, high - low
            index += 1

    def readinto(self, base: Volume, offset: int, view: memoryview) -> None:
        """Read ``base`` as if the copies had been made."""
        at, end = offset, offset + len(view)
        for source, target, length in self.touching(offset, end):
            if at < target:
                base.readinto(at, view[at - offset : target - offset])
            at = target + length
            base.readinto(source, view[target - offset : at - offset])
        if at < end or not len(view):
            base.readinto(at, view[at - offset :])

    def run(self, volume: Volume, progress: Callable[[int], None]) -> None:
        """Make the copies on ``volume``: read in the order of the sources, written in the order of the targets."""
        rows = _split(self.array(), _BUFFER)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        buffer = memoryview(bytearray(min(_BUFFER, self.total)))
        first = 0
        while first < len(rows):
            ends = np.cumsum(rows[first : first + _BUFFER // 512, 2])
            count = max(1, int(np.searchsorted(ends, len(buffer), side="right")))
            batch = rows[first : first + count]
            places = ends[:count] - batch[:, 2]
            for source, at, length in _joined(batch[:, 0], places, batch[:, 2]):
                volume.readinto(source, buffer[at : at + length])
            order = np.argsort(batch[:, 1], kind="stable")
            for target, at, length in _joined(batch[order, 1], places[order], batch[order, 2]):
                volume.write(target, buffer[at : at + length])
            progress(int(ends[count - 1]))
            first += count


def _split(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Rows of source, target, length, none longer than ``limit``."""
    pieces = -(-rows[:, 2] // limit)
    owner = np.repeat(np.arange(len(rows)), pieces)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    skip = nth * limit
    length = np.minimum(rows[owner, 2] - skip, limit)
    return np.stack([rows[owner, 0] + skip, rows[owner, 1] + skip, length], axis=1)


def _joined(
    places: NDArray[np.int64], at: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Iterator[tuple[int, int, int]]:
    """(place, at, length) with neighbours joined that follow each other on the volume and in the buffer."""
    follows = (places[1:] == places[:-1] + lengths[:-1]) & (at[1:] == at[:-1] + lengths[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~follows]))
    sums = np.add.reduceat(lengths, starts)
    yield from zip(places[starts].tolist(), at[starts].tolist(), sums.tolist(), strict=True)
