"""All cluster chains of a table at once, cut into stretches that lie together on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_fat.follow import Ending
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry

Windows = Callable[[], Iterator[tuple[int, NDArray[np.uint32]]]]
"""Called for each pass over the table: (number of the first entry, entries with or without reserved bits)."""


@dataclass(frozen=True)
class Reach:
    """What follows each stretch up to the end of its chain.

    ``clusters`` counts those from the stretch's first one on that hold data; ``finals`` is the last stretch of the
    chain, hollow if it leads to a free or bad cluster; both mean nothing for a loop. ``endings`` are ``Ending`` values.
    """

    clusters: NDArray[np.int64]
    finals: NDArray[np.int64]
    endings: NDArray[np.int64]


@dataclass(frozen=True)
class _Window:
    """Entries from ``first`` on; ``jumps`` are links elsewhere, ``stepped`` marks what the entry before leads to."""

    first: int
    entries: NDArray[np.uint32]
    jumps: NDArray[np.bool_]
    stepped: NDArray[np.bool_]


class Links:
    """The table as stretches: clusters that follow each other on the disk as they do in their chain.

    Work on chains is per stretch, that is per fragment of a file, and for all of them at once by pointer doubling;
    memory grows with the number of stretches, not of clusters. A stretch also starts wherever a link leads to that is
    no step to the next cluster, so that chains which merge share whole stretches. ``starts``, ``lasts`` and ``lengths``
    are in clusters; ``after`` is the index of the stretch that follows, or ``count + Ending``. A free or bad cluster
    that a chain leads to is a stretch of its own, which counts as no cluster.
    """

    def __init__(self, windows: Windows, geometry: Geometry, heads: NDArray[np.integer] | None = None) -> None:
        """``heads`` are existing clusters where a stretch has to start. The table is read twice."""
        self.geometry = geometry
        extra = [] if heads is None else [heads.astype(np.int64)]
        targets = np.unique(np.concatenate([*map(self._targets, self._entries(windows)), *extra]))
        starts, lasts, values = self._cut(windows, targets)
        self.starts: Clusters = starts
        self.lasts: Clusters = lasts
        self.count = len(starts)
        self.lengths: NDArray[np.int64] = lasts - starts + 1
        self.after = self._successors(values)

    def _entries(self, windows: Windows) -> Iterator[_Window]:
        carried = False
        for first, raw in windows():
            entries = raw & np.uint32(self.geometry.mask)
            if first == 0:
                entries[:FIRST_CLUSTER] = 0
            linked = (entries >= FIRST_CLUSTER) & (entries < self.geometry.entry_count)
            steps = linked & (entries == np.arange(first + 1, first + 1 + len(entries), dtype=np.int64))
            yield _Window(first, entries, linked & ~steps, np.append(carried, steps[:-1]))
            carried = bool(steps[-1])

    @staticmethod
    def _targets(window: _Window) -> Clusters:
        """The clusters that links lead to which are no steps to the next cluster."""
        return np.unique(window.entries[window.jumps]).astype(np.int64)

    def _cut(self, windows: Windows, targets: Clusters) -> tuple[Clusters, Clusters, NDArray[np.int64]]:
        """First and last cluster of each stretch, and the table entry of the last one."""
        starts, lasts, values = [], [], []
        open_value: int | None = None
        for window in self._entries(windows):
            first, entries = window.first, window.entries
            opens = ~window.stepped & (entries != 0)
            opens |= window.stepped & ((entries == 0) | (entries == self.geometry.bad))
            low, high = np.searchsorted(targets, [first, first + len(entries)])
            opens[targets[low:high] - first] = True
            goes_on = window.stepped & ~opens
            held = opens | goes_on
            if open_value is not None and not goes_on[0]:
                lasts.append(np.array([first - 1]))
                values.append(np.array([open_value]))
            ends = np.flatnonzero(held[:-1] & ~goes_on[1:])
            starts.append(first + np.flatnonzero(opens))
            lasts.append(first + ends)
            values.append(entries[ends].astype(np.int64))
            open_value = int(entries[-1]) if held[-1] else None
        if open_value is not None:
            lasts.append(np.array([self.geometry.entry_count - 1]))
            values.append(np.array([open_value]))
        return np.concatenate(starts), np.concatenate(lasts), np.concatenate(values)

    def _successors(self, value: NDArray[np.int64]) -> NDArray[np.int64]:
        after = np.full(self.count, self.count + Ending.OUT_OF_RANGE, dtype=np.int64)
        after[value == 0] = self.count + Ending.FREE
        after[value == self.geometry.bad] = self.count + Ending.BAD
        after[value > self.geometry.bad] = self.count + Ending.END
        inside = (value >= FIRST_CLUSTER) & (value < self.geometry.entry_count)
        after[inside] = np.searchsorted(self.starts, value[inside])
        return after

    def index(self, clusters: NDArray[np.integer]) -> NDArray[np.int64]:
        """The stretch of each of ``clusters``; -1 for clusters that are in none: free ones that nothing leads to."""
        if not self.count:
            return np.full(len(clusters), -1, dtype=np.int64)
        found = np.searchsorted(self.starts, clusters, side="right") - 1
        inside = (found >= 0) & (clusters <= self.lasts[np.maximum(found, 0)])
        return np.where(inside, found, -1)

    def extents(self, marked: NDArray[np.bool_]) -> Extents:
        """The bytes of the marked stretches, as a set."""
        chosen = marked & ~self.hollow
        starts = self.geometry.offsets(self.starts[chosen])
        return Extents(np.stack([starts, starts + self.lengths[chosen] * self.geometry.cluster_size], axis=1))

    @cached_property
    def hollow(self) -> NDArray[np.bool_]:
        """True for stretches that are one free or bad cluster, and so hold no data."""
        leads_nowhere = (self.after == self.count + Ending.FREE) | (self.after == self.count + Ending.BAD)
        return np.asarray(leads_nowhere)

    @cached_property
    def reach(self) -> Reach:
        """Length and ending of the chain from each stretch on."""
        own = np.arange(self.count)
        finals = np.where(self.after < self.count, self.after, own)
        clusters = np.where(self.hollow, 0, self.lengths)
        beyond = np.where(finals == own, 0, clusters[finals])
        for _ in range(self.count.bit_length()):
            beyond, finals = beyond + beyond[finals], finals[finals]
        ends = self.after[finals] - self.count
        return Reach(clusters + beyond, finals, np.where(ends >= 0, ends, Ending.LOOP))

    def downstream(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The marked stretches and all that follow them."""
        seen, jump = self._doubling(marked)
        for _ in range(self.count.bit_length()):
            seen[jump[seen]] = True
            jump = jump[jump]
        return seen[: self.count]

    def upstream(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The marked stretches and all whose chain leads to one of them."""
        seen, jump = self._doubling(marked)
        for _ in range(self.count.bit_length()):
            seen |= seen[jump]
            jump = jump[jump]
        return seen[: self.count]

    def _doubling(self, marked: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        seen = np.zeros(self.count + len(Ending), dtype=bool)
        seen[: self.count] = marked
        jump = np.arange(len(seen))
        jump[: self.count] = self.after
        return seen, jump
