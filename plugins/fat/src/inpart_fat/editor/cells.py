"""Changing entries of the allocation table, in every copy that counts, and the counters of FSInfo."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
from inpart.contracts import Edits, Stage
from inpart.errors import NoSpace
from inpart.extents import Extents, Runs
from numpy.typing import NDArray

from inpart_fat.fsinfo import read_fsinfo
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry
from inpart_fat.structs import FSI_UNKNOWN, FSINFO, field_offset
from inpart_fat.table import AllocationTable, pack

_GAP = 512
"""Entries between two changed ones that are handed over with them rather than in an edit of their own."""
_SPAN = 1 << 18
_WINDOW = 1 << 20

Mask = NDArray[np.bool_]


class Changes:
    """What one transaction has done so far, whichever editors served it.

    ``stages`` has for each table entry the latest stage in which it was changed, plus one; ``freed`` is true for
    clusters that the transaction has freed and that may therefore not be filled in it; ``dropped`` are the places of
    directory slots that it has freed, which may not be used again in it.
    """

    def __init__(self, count: int) -> None:
        """``count`` is the number of table entries."""
        self.stages: NDArray[np.uint8] = np.zeros(count + 1, dtype=np.uint8)
        self.freed: Mask = np.zeros(count, dtype=bool)
        self.dropped: set[int] = set()


_CHANGES: WeakKeyDictionary[Edits, Changes] = WeakKeyDictionary()


class TableWriter:
    """Puts changes of ``table`` into a transaction and keeps ``table`` as the transaction's view shows it."""

    def __init__(self, table: AllocationTable, tx: Edits) -> None:
        self.table = table
        self.geometry = table.geometry
        self.tx = tx
        self.changes = _CHANGES.setdefault(tx, Changes(table.geometry.entry_count))

    def set(self, clusters: Clusters, values: Clusters | int, stage: Stage) -> None:
        """Change the entries of ``clusters``; one that was changed in a later stage is changed in that stage again."""
        if not len(clusters):
            return
        targets = np.broadcast_to(np.asarray(values, dtype=np.int64), clusters.shape)
        latest = self.changes.stages[clusters]
        if self.geometry.fat_bits == 12:
            latest = np.maximum(latest, self.changes.stages[clusters ^ 1])
        effective = np.maximum(latest, stage + 1)
        self.changes.stages[clusters] = effective
        for number in np.unique(effective).tolist():
            chosen = effective == number
            self.table.set(clusters[chosen], targets[chosen])
            self._emit(np.sort(clusters[chosen]), Stage(number - 1))

    def free(self, clusters: Clusters) -> None:
        """Mark ``clusters`` as free, last of all."""
        self.set(clusters, 0, Stage.RELEASE)
        self.changes.freed[clusters] = True

    def _emit(self, clusters: Clusters, stage: Stage) -> None:
        bits = self.geometry.fat_bits
        cuts = np.flatnonzero((np.diff(clusters) > _GAP) | (np.diff(clusters // _SPAN) > 0)) + 1
        firsts = clusters[np.concatenate([[0], cuts])] & ~1
        ends = clusters[np.concatenate([cuts - 1, [len(clusters) - 1]])] + 1
        for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
            data = pack(self.table.raw[first : min(end + (end & 1), self.geometry.entry_count)], bits)
            for start in self.geometry.written_fats:
                self.tx.edit(start + first * bits // 8, data, stage)

    def count(self, change: int) -> None:
        """Add ``change`` to the count of free clusters in FSInfo, if there is one and it is known."""
        record = read_fsinfo(self.tx.view, self.geometry)
        if record is None:
            return
        offset = self.geometry.fsinfo_offset
        self._put(offset, "FSI_Free_Count", int(record["FSI_Free_Count"]), change)
        hint = int(record["FSI_Nxt_Free"])
        if self.geometry.valid(hint) and self.table.next[hint]:
            free = self.table.free()
            start = hint if free[hint:].any() else 0
            self._put(offset, "FSI_Nxt_Free", hint, start + int(free[start:].argmax()) - hint if free.any() else 0)

    def _put(self, offset: int, field: str, value: int, change: int) -> None:
        if value != FSI_UNKNOWN and change:
            data = (value + change).to_bytes(4, "little")
            self.tx.edit(offset + field_offset(FSINFO, field), data, Stage.RELEASE)


def cluster_mask(geometry: Geometry, extents: Extents) -> Mask:
    """True for each table entry whose cluster has a byte in ``extents``."""
    mask = np.zeros(geometry.entry_count, dtype=bool)
    part = extents.clip(geometry.data_start, geometry.data_end).shift(-geometry.data_start)
    for start, end in part:
        low, high = start // geometry.cluster_size, -(-end // geometry.cluster_size)
        mask[low + FIRST_CLUSTER : high + FIRST_CLUSTER] = True
    return mask


def first_true(mask: Mask, count: int) -> Clusters:
    """Indices of the first ``count`` true elements."""
    found: list[Clusters] = []
    for low in range(0, len(mask), _WINDOW):
        found.append(np.flatnonzero(mask[low : low + _WINDOW]) + low)
        if sum(map(len, found)) >= count:
            break
    return np.concatenate(found)[:count]


def cluster_windows(geometry: Geometry, extents: Extents) -> Iterator[Clusters]:
    """The clusters of whole-cluster extents in arrays of bounded length."""
    pairs = extents.array
    runs, step = Runs(np.stack([pairs[:, 0], pairs[:, 1] - pairs[:, 0]], axis=1)), _WINDOW * geometry.cluster_size
    for at in range(0, runs.total, step):
        yield geometry.clusters_of(runs.slice(at, step))


def check_free(writer: TableWriter, extents: Extents) -> None:
    """Raise NoSpace if a cluster of whole-cluster extents is in use or bad."""
    for window in cluster_windows(writer.geometry, extents):
        used = window[writer.table.next[window] != 0]
        if len(used):
            offset = writer.geometry.offset(int(used[0]))
            raise NoSpace(
                f"cluster {used[0]} at byte {offset} is to be claimed, but it is in use",
                hint="the file system has changed meanwhile; repeat the command",
            )
