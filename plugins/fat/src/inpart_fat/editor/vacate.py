"""Vacating: which clusters of a region move next, what refers to each of them, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.contracts import require_room
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from inpart.units import SECTOR
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.editor.marks import Marks
from inpart_fat.editor.room import Holes, chain_order, consecutive, place
from inpart_fat.editor.tree import Tree, read_tree
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry
from inpart_fat.table import AllocationTable, Entries

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

BATCH = 1 << 17
"""Clusters that are planned together."""

_MAX_HOLES = 1 << 18
_HINT = "run fsck.fat on it first"


@dataclass(frozen=True)
class Batch:
    """Clusters to be moved, all arrays with one element for each of ``sources``, which ascend.

    ``order`` lists indices chain by chain, directories first. ``after`` is the table entry of each source;
    ``preceding`` the index of the cluster before it in its chain, or -1. Exactly one thing refers to a source: the
    table entry of cluster ``cells``, the directory entry at byte ``places``, or, where both are -1, the boot sector.
    ``from_directory`` is true for clusters of directories.
    """

    sources: Clusters
    targets: Clusters
    order: Numbers
    after: Clusters
    preceding: Numbers
    cells: Clusters
    places: Numbers
    from_directory: Mask
    tree: Tree

    def index(self, clusters: NDArray[np.integer]) -> Numbers:
        """The index of each of ``clusters`` among the sources, or -1."""
        return index_in(self.sources, clusters)


def index_in(sources: Clusters, clusters: NDArray[np.integer]) -> Numbers:
    """The index of each of ``clusters`` in ``sources``, which ascend and are not empty, or -1."""
    found = np.minimum(np.searchsorted(sources, clusters), len(sources) - 1)
    return np.where(sources[found] == clusters, found, -1)


class Region:
    """What is still to be moved out of a region, and the clusters outside that may be filled."""

    def __init__(self, table: AllocationTable, region: Extents, avoid: Extents, freed: Marks) -> None:
        """``freed`` are clusters that must not be filled although they are free. Raises NoSpace."""
        self.cluster_size = table.geometry.cluster_size
        self.busy, self.free = Marks(), Marks()
        for first, entries in table.windows():
            self._sort(table.geometry, first, entries, (region, avoid))
        for clusters in freed.marked():
            self.free.put(clusters, 0)
        if table.geometry.fat_bits == 12:
            self._spare_shared_bytes(table)
        self.left = sum(map(len, self.busy.marked()))
        require_room(self.left, sum(map(len, self.free.marked())), self.cluster_size)

    def _sort(self, geometry: Geometry, first: int, entries: Entries, places: tuple[Extents, Extents]) -> None:
        """Mark what of a window of the table has to move, and what can be filled."""
        region, avoid = places
        entries[: max(0, FIRST_CLUSTER - first)] = geometry.bad
        clusters = np.arange(first, first + len(entries))
        inside = geometry.touched(region, clusters)
        free = (entries == 0) & ~inside & ~geometry.touched(avoid, clusters)
        self.free.put(clusters[free], 1)
        self.busy.put(clusters[inside & (entries != 0) & (entries != geometry.bad)], 1)

    def _spare_shared_bytes(self, table: AllocationTable) -> None:
        """Two entries of FAT12 share a byte, and one in 341 lies in two sectors; choose so that no cut can harm either.

        Where there is room, clusters are filled of which both are free, so that the byte does not hold an entry that
        changes in another stage. And what is led to by an entry in two sectors, which can be torn, moves with the
        cluster of that entry.
        """
        number = np.arange(table.geometry.entry_count)
        entries = table.fetch(0, len(number))
        entries[:FIRST_CLUSTER] = table.geometry.bad
        following = np.where(entries < len(number), entries, 0)
        used = (entries != 0) & (entries != table.geometry.bad)
        torn = used & (number * 3 // 2 % SECTOR == SECTOR - 1)
        free, busy = self.free.of(number) != 0, self.busy.of(number) != 0
        while (more := torn & ~busy & busy[following]).any():
            busy |= more
        paired = free & free[np.minimum(number ^ 1, len(number) - 1)]
        if np.count_nonzero(paired) >= np.count_nonzero(busy):
            self.free.put(number, paired)
            free = paired
        if np.count_nonzero(free) >= np.count_nonzero(busy):
            self.busy.put(number, busy)

    def next_batch(self, volume: Volume, table: AllocationTable) -> Batch:
        """The next clusters to be moved. Raises FilesystemDamaged, VolumeError."""
        holes = Holes(*self._holes())
        return plan_batch(volume, table, self.busy.first(min(BATCH, holes.free)), holes)

    def _holes(self) -> tuple[Numbers, Numbers]:
        """Starts and lengths of runs of clusters that can be filled; where there are very many, the longest."""
        starts, lengths = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        for clusters in self.free.marked():
            more = consecutive(clusters)
            if len(starts) and len(more[0]) and starts[-1] + lengths[-1] == more[0][0]:
                lengths[-1] += more[1][0]
                more = more[0][1:], more[1][1:]
            starts, lengths = np.concatenate([starts, more[0]]), np.concatenate([lengths, more[1]])
            if len(starts) > _MAX_HOLES:
                largest = np.sort(np.argpartition(lengths, -_MAX_HOLES)[-_MAX_HOLES:])
                starts, lengths = starts[largest], lengths[largest]
        return starts, lengths

    def done(self, sources: Clusters, targets: Clusters) -> None:
        """Take note of clusters that have been moved."""
        self.busy.put(sources, 0)
        self.free.put(targets, 0)
        self.left -= len(sources)


def plan_batch(volume: Volume, table: AllocationTable, sources: Clusters, holes: Holes) -> Batch:
    """Find what refers to each of ``sources`` and choose its new place. Raises FilesystemDamaged, VolumeError."""
    wanted = Marks()
    wanted.put(sources, 1)
    tree, in_directory = read_tree(volume, table, wanted)
    from_directory = in_directory.of(sources) != 0
    after = table.at(sources).astype(np.int64)
    _check_links(table, sources, after)
    cells, places = _referrers(table, sources, tree)
    preceding = np.where(cells >= 0, index_in(sources, cells), -1)
    order, lengths = chain_order(preceding)
    if len(order) < len(sources):
        raise FilesystemDamaged("a cluster chain runs in a loop", hint=_HINT)
    order, lengths = _directories_first(order, lengths, from_directory)
    targets = np.empty_like(sources)
    targets[order] = place(lengths, holes)
    return Batch(sources, targets, order, after, preceding, cells, places, from_directory, tree)


def _check_links(table: AllocationTable, sources: Clusters, after: Clusters) -> None:
    geometry = table.geometry
    exists = (after >= FIRST_CLUSTER) & (after < geometry.entry_count)
    leads = table.at(np.where(exists, after, 0))
    sound = (after > geometry.bad) | (exists & (leads != 0) & (leads != geometry.bad))
    if not sound.all():
        raise FilesystemDamaged(f"cluster {sources[~sound][0]} leads to one that holds no data", hint=_HINT)


def _referrers(table: AllocationTable, sources: Clusters, tree: Tree) -> tuple[Clusters, Numbers]:
    """For each source the table entry, and the directory entry, that names it; -1 where there is none."""
    geometry = table.geometry
    cells, places = np.full(len(sources), -1, dtype=np.int64), np.full(len(sources), -1, dtype=np.int64)
    counts = np.zeros(len(sources), dtype=np.int64)
    for first, entries in table.windows():
        entries[: max(0, FIRST_CLUSTER - first)] = 0
        near = np.flatnonzero((entries >= sources[0]) & (entries <= sources[-1]))
        named = index_in(sources, entries[near])
        cells[named[named >= 0]] = near[named >= 0] + first
        counts += np.bincount(named[named >= 0], minlength=len(sources))
    named = index_in(sources, tree.heads)
    places[named] = tree.places
    counts += np.bincount(named, minlength=len(sources))
    counts[sources == geometry.root_cluster] += 1
    wrong = np.flatnonzero(counts != 1)
    if len(wrong):
        what = "belongs to no file" if counts[wrong[0]] == 0 else f"is part of {counts[wrong[0]]} files"
        raise FilesystemDamaged(f"cluster {sources[wrong[0]]} {what}", hint=_HINT)
    return cells, places


def _directories_first(order: Numbers, lengths: Numbers, in_directory: Mask) -> tuple[Numbers, Numbers]:
    """Chains of directories before those of files, otherwise as they were."""
    opens = np.cumsum(lengths) - lengths
    ranks = np.argsort(~in_directory[order[opens]], kind="stable")
    moved, opens = lengths[ranks], opens[ranks]
    nth = np.arange(len(order)) - np.repeat(np.cumsum(moved) - moved, moved)
    return order[np.repeat(opens, moved) + nth], moved
