"""Taking clusters from the end of a region downward: container ends, segments, contiguous blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.units import align_up, format_size

from inpart_storage_contiguous.placement import Placement
from inpart_storage_contiguous.structs import (
    MAX_SEGMENT_RUNS,
    SEGMENT_HEADER,
)

Path = list[tuple[int, int]]
"""(start, length) in ascending order."""


def usable_clusters(space: Extents, data_start: int, cluster_size: int) -> Extents:
    """The whole clusters of ``space``, leaving out runs that are too short for a segment header."""
    whole = space.shift(-data_start).align_in(cluster_size).shift(data_start).array
    return Extents(whole[whole[:, 1] - whole[:, 0] >= SEGMENT_HEADER])


def take_top(space: Extents, size: int) -> Extents:
    """The highest ``size`` bytes of ``space``, or all of it."""
    array = space.array
    above = np.cumsum((array[:, 1] - array[:, 0])[::-1])[::-1]
    cut = int(np.searchsorted(-above, -size, side="right")) - 1
    if cut < 0:
        return space
    part = array[cut:].copy()
    part[0, 0] += int(above[cut]) - size
    return Extents(part)


def highest_block(space: Extents, size: int) -> int | None:
    """Start of the highest contiguous block of ``size`` bytes in ``space``; None if there is none."""
    fitting = np.flatnonzero(space.array[:, 1] - space.array[:, 0] >= size)
    return int(space.array[fitting[-1], 1]) - size if len(fitting) else None


def need_block(space: Extents, size: int, what: str) -> int:
    """``highest_block``, or NoSpace saying ``what`` has no place."""
    place = highest_block(space, size)
    if place is None:
        raise NoSpace(f"no {format_size(size)} of consecutive clusters are left for {what}")
    return place


class Descent:
    """Hands out clusters of a space from its end downward."""

    def __init__(self, space: Extents) -> None:
        self._rest: Path = [(start, end - start) for start, end in space]

    def take(self, size: int) -> Path:
        """The highest clusters left, at most ``size`` bytes in at most as many runs as a segment header holds.

        The lowest run has room for a segment header. Empty when nothing is left.
        """
        taken: Path = []
        while self._rest and size > 0 and len(taken) < MAX_SEGMENT_RUNS:
            start, length = self._rest.pop()
            part = min(length, size)
            if part < min(length, SEGMENT_HEADER):
                self._rest.append((start, length))
                break
            if part < length:
                self._rest.append((start, length - part))
            taken.append((start + length - part, part))
            size -= part
        return taken[::-1]

    def left(self) -> Extents:
        """What has not been handed out."""
        return Extents([(start, start + length) for start, length in self._rest])


def simulate(space: Extents, segment_size: int) -> Placement:
    """The segments of a stream that fills all of ``space``, as one file."""
    descent, runs, counts, payloads = Descent(space), [], [], []
    while path := descent.take(segment_size):
        runs += path
        counts.append(len(path))
        payloads.append(sum(length for _, length in path) - SEGMENT_HEADER)
    numbers = np.array(runs, dtype=np.int64).reshape(-1, 2)
    files = np.array([len(counts)] if counts else [], dtype=np.int64)
    return Placement(numbers, np.array(counts, dtype=np.int64), np.array(payloads, dtype=np.int64), files)


@dataclass(frozen=True)
class SpaceNeed:
    """How much space a stream takes in segments of a size; ``runs`` is how many separate runs the space has."""

    segment_size: int
    cluster_size: int
    runs: int

    def space(self, stream: int) -> int:
        """Bytes of clusters that surely hold a stream of so many bytes."""
        segments = -(-stream // (self.segment_size - SEGMENT_HEADER)) + self._extra
        return align_up(stream + segments * SEGMENT_HEADER, self.cluster_size)

    def stream(self, space: int) -> int:
        """A stream size that surely fits into ``space`` bytes of clusters; negative if none does."""
        segments = -(-space // self.segment_size) + self._extra
        return space - segments * SEGMENT_HEADER

    @property
    def _extra(self) -> int:
        """Segments that are shorter because they cross many holes."""
        return 1 + self.runs // (MAX_SEGMENT_RUNS - 1)
