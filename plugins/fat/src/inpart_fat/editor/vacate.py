"""Vacating: which clusters of a region move next, what refers to each of them, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged, NoSpace
from inpart.extents import Extents
from inpart.units import SECTOR, format_size
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.editor.cells import cluster_mask, first_true
from inpart_fat.editor.room import Holes, chain_order, mask_runs, place
from inpart_fat.editor.tree import Tree, read_tree
from inpart_fat.geometry import FIRST_CLUSTER, Clusters
from inpart_fat.table import AllocationTable

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

BATCH = 1 << 17
"""Clusters that are planned together."""

_MAX_HOLES = 1 << 18
_WINDOW = 1 << 20
_HINT = "run fsck.fat on it first"


@dataclass(frozen=True)
class Batch:
    """Clusters to be moved, all arrays with one element for each of ``sources``, which ascend.

    ``order`` lists indices chain by chain, directories first. ``after`` is the table entry of each source;
    ``preceding`` the index of the cluster before it in its chain, or -1. Exactly one thing refers to a source: the
    table entry of cluster ``cells``, the directory entry at byte ``places``, or, where both are -1, the boot sector.
    """

    sources: Clusters
    targets: Clusters
    order: Numbers
    after: Clusters
    preceding: Numbers
    cells: Clusters
    places: Numbers
    index_of: NDArray[np.int32]
    tree: Tree


class Region:
    """What is still to be moved out of a region, and the clusters outside that may be filled."""

    def __init__(self, table: AllocationTable, region: Extents, avoid: Extents, freed: Mask) -> None:
        """``freed`` are clusters that must not be filled although they are free. Raises NoSpace."""
        inside = cluster_mask(table.geometry, region)
        self.cluster_size = table.geometry.cluster_size
        self.busy = table.used() & inside
        self.free = table.free() & ~inside & ~cluster_mask(table.geometry, avoid) & ~freed
        if table.geometry.fat_bits == 12:
            self._spare_shared_bytes(table)
        self.left = int(np.count_nonzero(self.busy))
        room = int(np.count_nonzero(self.free))
        if self.left > room:
            raise NoSpace(
                f"{self.left} clusters ({format_size(self.left * self.cluster_size)}) have to move, "
                f"but only {room} ({format_size(room * self.cluster_size)}) are free elsewhere",
                hint=f"free {format_size((self.left - room) * self.cluster_size)} on the file system",
            )

    def _spare_shared_bytes(self, table: AllocationTable) -> None:
        """Two entries of FAT12 share a byte, and one in 341 lies in two sectors; choose so that no cut can harm either.

        Where there is room, clusters are filled of which both are free, so that the byte does not hold an entry that
        changes in another stage. And what is led to by an entry in two sectors, which can be torn, moves with the
        cluster of that entry.
        """
        number = np.arange(len(self.free))
        following = np.where(table.next < len(number), table.next, 0)
        torn = table.used() & (number * 3 // 2 % SECTOR == SECTOR - 1)
        busy = self.busy.copy()
        while (more := torn & ~busy & busy[following]).any():
            busy |= more
        paired = self.free & self.free[np.minimum(number ^ 1, len(number) - 1)]
        if np.count_nonzero(paired) >= np.count_nonzero(busy):
            self.free = paired
        if np.count_nonzero(self.free) >= np.count_nonzero(busy):
            self.busy = busy

    def next_batch(self, volume: Volume, table: AllocationTable) -> Batch:
        """The next clusters to be moved. Raises FilesystemDamaged, VolumeError."""
        starts, lengths = mask_runs(self.free, 0)
        if len(starts) > _MAX_HOLES:
            largest = np.sort(np.argpartition(lengths, -_MAX_HOLES)[-_MAX_HOLES:])
            starts, lengths = starts[largest], lengths[largest]
        holes = Holes(starts, lengths)
        return plan_batch(volume, table, first_true(self.busy, min(BATCH, holes.free)), holes)

    def done(self, sources: Clusters, targets: Clusters) -> None:
        """Take note of clusters that have been moved."""
        self.busy[sources] = False
        self.free[targets] = False
        self.left -= len(sources)


def plan_batch(volume: Volume, table: AllocationTable, sources: Clusters, holes: Holes) -> Batch:
    """Find what refers to each of ``sources`` and choose its new place. Raises FilesystemDamaged, VolumeError."""
    index_of = np.full(table.geometry.entry_count, -1, dtype=np.int32)
    index_of[sources] = np.arange(len(sources))
    tree = read_tree(volume, table, index_of >= 0)
    after = table.next[sources].astype(np.int64)
    _check_links(table, sources, after)
    cells, places = _referrers(table, sources, index_of, tree)
    preceding = np.where(cells >= 0, index_of[cells], -1).astype(np.int64)
    order, lengths = chain_order(preceding)
    if len(order) < len(sources):
        raise FilesystemDamaged("a cluster chain runs in a loop", hint=_HINT)
    order, lengths = _directories_first(order, lengths, tree.in_directory[sources])
    targets = np.empty_like(sources)
    targets[order] = place(lengths, holes)
    return Batch(sources, targets, order, after, preceding, cells, places, index_of, tree)


def _check_links(table: AllocationTable, sources: Clusters, after: Clusters) -> None:
    geometry = table.geometry
    exists = (after >= FIRST_CLUSTER) & (after < geometry.entry_count)
    leads = table.next[np.where(exists, after, 0)]
    sound = (after > geometry.bad) | (exists & (leads != 0) & (leads != geometry.bad))
    if not sound.all():
        raise FilesystemDamaged(f"cluster {sources[~sound][0]} leads to one that holds no data", hint=_HINT)


def _referrers(
    table: AllocationTable, sources: Clusters, index_of: NDArray[np.int32], tree: Tree
) -> tuple[Clusters, Numbers]:
    """For each source the table entry, and the directory entry, that names it; -1 where there is none."""
    geometry = table.geometry
    cells, places = np.full(len(sources), -1, dtype=np.int64), np.full(len(sources), -1, dtype=np.int64)
    counts = np.zeros(len(sources), dtype=np.int64)
    for low in range(FIRST_CLUSTER, geometry.entry_count, _WINDOW):
        value = table.next[low : low + _WINDOW]
        holders = np.flatnonzero((value >= FIRST_CLUSTER) & (value < geometry.entry_count))
        named = index_of[value[holders]]
        holders, named = holders[named >= 0] + low, named[named >= 0]
        cells[named] = holders
        counts += np.bincount(named, minlength=len(sources))
    named = index_of[tree.heads]
    places[named] = tree.places
    counts += np.bincount(named, minlength=len(sources))
    if geometry.root_cluster and index_of[geometry.root_cluster] >= 0:
        counts[index_of[geometry.root_cluster]] += 1
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
