"""Where an image stream lies: segments, their clusters and the files that they are grouped into."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from inpart.extents import Extents, Runs
from numpy.typing import NDArray

from inpart_storage_contiguous.structs import (
    SEGMENT_HEADER,
)

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Placement:
    """Segments in stream order; all numbers in bytes, relative to the partition.

    ``runs`` has shape (m, 2), start and length of all clusters in path order; ``run_counts`` shape (n,), how many of
    them each segment has; ``payloads`` shape (n,), stream bytes per segment; ``file_counts`` shape (k,), segments per
    file.
    """

    runs: Ints
    run_counts: Ints
    payloads: Ints
    file_counts: Ints

    def __len__(self) -> int:
        return len(self.payloads)

    @cached_property
    def first_runs(self) -> Ints:
        """Index of the first run of each segment, and the number of runs at the end: shape (n + 1,)."""
        return _starts(self.run_counts)

    @cached_property
    def places(self) -> Ints:
        """Where each segment's header is, shape (n,)."""
        places: Ints = self.runs[self.first_runs[:-1], 0]
        return places

    @cached_property
    def allocated(self) -> Ints:
        """Bytes of clusters per segment, shape (n,)."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        totals: Ints = np.add.reduceat(self.runs[:, 1], self.first_runs[:-1])
        return totals

    @cached_property
    def extents(self) -> Extents:
        """All clusters of the image."""
        return Extents(np.stack([self.runs[:, 0], self.runs.sum(axis=1)], axis=1))

    def segment_runs(self, index: int) -> tuple[tuple[int, int], ...]:
        """The clusters of one segment."""
        part = self.runs[self.first_runs[index] : self.first_runs[index + 1]].tolist()
        return tuple((start, length) for start, length in part)

    def stream(self) -> Runs:
        """The path of the image stream: payloads without their headers."""
        begins = _starts(self.allocated)[:-1] + SEGMENT_HEADER
        return Runs(along(self.runs, np.stack([begins, begins + self.payloads], axis=1)))

    def files(self) -> list[Runs]:
        """The clusters of each file."""
        ends = self.first_runs[np.cumsum(self.file_counts)].tolist()
        return [Runs(self.runs[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def file_sizes(self) -> list[int]:
        """Length of each file in bytes."""
        return [file.total for file in self.files()]


def along(path: Ints, wanted: Ints) -> Ints:
    """The physical runs, (start, length), of the logical intervals ``wanted`` of a path of runs.

    ``path`` has shape (m, 2), start and length; ``wanted`` shape (n, 2), logical start and end, ascending, disjoint
    and inside the path.
    """
    begins = _starts(path[:, 1])
    points = np.unique(np.concatenate([begins, wanted.ravel()]))
    low, high = points[:-1], points[1:]
    owner = np.searchsorted(wanted[:, 0], low, side="right") - 1
    inside = (owner >= 0) & (low < wanted[np.maximum(owner, 0), 1])
    low, high = low[inside], high[inside]
    run = np.searchsorted(begins, low, side="right") - 1
    return np.stack([path[run, 0] + low - begins[run], high - low], axis=1)


def _starts(lengths: NDArray[Any]) -> Ints:
    """Running totals with a zero in front: shape (n + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
