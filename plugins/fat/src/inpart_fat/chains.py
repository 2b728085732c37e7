"""All cluster chains of a table at once, cut into stretches that lie together on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry


class Ending(IntEnum):
    """How a chain ends."""

    END = 0
    FREE = 1
    BAD = 2
    OUT_OF_RANGE = 3
    LOOP = 4


_WHAT = {
    Ending.FREE: "leads to a free cluster",
    Ending.BAD: "leads to a bad cluster",
    Ending.OUT_OF_RANGE: "leads to a cluster that does not exist",
    Ending.LOOP: "runs in a loop",
}


_HINT = "see what `inpart verify --level fs` finds, and let fsck.fat repair it"


@dataclass(frozen=True)
class Reach:
    """What follows each stretch up to the end of its chain.

    ``clusters`` counts those from the stretch's first one on that hold data; ``finals`` is the last stretch of the
    chain, hollow if it leads to a free or bad cluster; both mean nothing for a loop. ``endings`` are ``Ending`` values.
    """

    clusters: NDArray[np.int64]
    finals: NDArray[np.int64]
    endings: NDArray[np.int64]


class Links:
    """The table as stretches: clusters that follow each other on the disk as they do in their chain.

    Work on chains is per stretch, that is per fragment of a file, and for all of them at once by pointer doubling. A
    stretch also starts wherever a link leads to that is no step to the next cluster, so that chains which merge share
    whole stretches. ``starts`` and ``lengths`` are in clusters; ``after`` is the index of the stretch that follows, or
    ``count + Ending``. A free or bad cluster that a chain leads to is a stretch of its own, which counts as no cluster.
    """

    def __init__(
        self, entries: NDArray[np.uint32], geometry: Geometry, heads: NDArray[np.integer] | None = None
    ) -> None:
        """``entries`` without reserved bits. ``heads`` are existing clusters where a stretch has to start."""
        self.entries = entries
        self.geometry = geometry
        limit = geometry.entry_count
        linked = (entries >= FIRST_CLUSTER) & (entries < limit)
        linked[:FIRST_CLUSTER] = False
        stepped = np.zeros(limit, dtype=bool)
        stepped[1:] = linked[:-1] & (entries[:-1] == np.arange(1, limit, dtype=np.uint32))
        linked[:-1] &= ~stepped[1:]
        opens = ~stepped & (entries != 0)
        opens[:FIRST_CLUSTER] = False
        opens[entries[linked]] = True
        opens[stepped & ((entries == geometry.bad) | (entries == 0))] = True
        if heads is not None:
            opens[heads] = True
        goes_on = stepped & ~opens
        self.starts: Clusters = np.flatnonzero(opens)
        self.count = len(self.starts)
        held = opens | goes_on
        held[:-1] &= ~goes_on[1:]
        self.lasts: Clusters = np.flatnonzero(held)
        self.lengths: NDArray[np.int64] = self.lasts - self.starts + 1
        self.after = self._successors()

    def _successors(self) -> NDArray[np.int64]:
        value = self.entries[self.lasts].astype(np.int64)
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

    def follow(self, start: int, limit: int | None = None, *, strict: bool = True) -> Clusters:
        """Cluster numbers from ``start`` on, at most ``limit``; none if ``start`` is 0.

        Raises FilesystemDamaged if the chain is damaged before ``limit`` is reached; with ``strict`` off, what comes
        before the damage is returned.
        """
        pieces: list[Clusters] = []
        left = self.geometry.entry_count if limit is None else limit
        stretch, seen = self._entry(start), set[int]()
        while left > 0 and stretch < self.count:
            if stretch in seen:
                stretch = self.count + Ending.LOOP
                break
            seen.add(stretch)
            if not self.hollow[stretch]:
                first = int(self.starts[stretch]) if pieces else start
                piece = np.arange(first, min(int(self.lasts[stretch]) + 1, first + left), dtype=np.int64)
                pieces.append(piece)
                left -= len(piece)
            stretch = int(self.after[stretch])
        ending = stretch - self.count
        if strict and left > 0 and ending != Ending.END:
            raise FilesystemDamaged(f"the cluster chain from {start} on {_WHAT[Ending(ending)]}", hint=_HINT)
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)

    def _entry(self, start: int) -> int:
        """The stretch where a chain starts, or ``count + Ending``."""
        if start == 0:
            return self.count + Ending.END
        if not self.geometry.valid(start):
            return self.count + Ending.OUT_OF_RANGE
        stretch = int(self.index(np.array([start]))[0])
        return stretch if stretch >= 0 else self.count + Ending.FREE
