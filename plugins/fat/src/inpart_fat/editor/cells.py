"""Changing entries of the allocation table, in every copy that counts, and the counters of FSInfo."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise
from weakref import WeakKeyDictionary

import numpy as np
from inpart.contracts import Edits, Stage, in_use
from inpart.extents import Extents, Runs

from inpart_fat.editor.marks import Marks
from inpart_fat.fsinfo import read_fsinfo
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry
from inpart_fat.structs import FSI_UNKNOWN, FSINFO, field_offset
from inpart_fat.table import WINDOW, AllocationTable, Entries, pack

_GAP = 512
"""Entries between two changed ones that are handed over with them rather than in an edit of their own."""
_SPAN = 1 << 17


class Changes:
    """What one transaction has done so far, whichever editors served it.

    ``stages`` has for each table entry the latest stage in which it was changed, plus one; ``freed`` marks clusters
    that the transaction has freed and that may therefore not be filled in it; ``dropped`` are the places of directory
    slots that it has freed, which may not be used again in it.
    """

    def __init__(self) -> None:
        self.stages = Marks()
        self.freed = Marks()
        self.dropped: set[int] = set()


_CHANGES: WeakKeyDictionary[Edits, Changes] = WeakKeyDictionary()


class TableWriter:
    """Puts changes of ``table``, which reads the transaction's view, into that transaction."""

    def __init__(self, table: AllocationTable, tx: Edits) -> None:
        self.table = table
        self.geometry = table.geometry
        self.tx = tx
        self.changes = _CHANGES.setdefault(tx, Changes())
        self._more_free = 0

    def set(self, clusters: Clusters, values: Clusters | int, stage: Stage) -> None:
        """Change the entries of ``clusters``; one that was changed in a later stage is changed in that stage again."""
        if not len(clusters):
            return
        targets = np.broadcast_to(np.asarray(values, dtype=np.int64), clusters.shape)
        latest = self.changes.stages.of(clusters)
        if self.geometry.fat_bits == 12:
            latest = np.maximum(latest, self.changes.stages.of(clusters ^ 1))
        effective = np.maximum(latest, stage + 1)
        self.changes.stages.put(clusters, effective)
        for number in np.unique(effective).tolist():
            chosen = np.flatnonzero(effective == number)
            order = chosen[np.argsort(clusters[chosen])]
            self._emit(clusters[order], targets[order], Stage(number - 1))

    def free(self, clusters: Clusters) -> None:
        """Mark ``clusters`` as free, last of all."""
        self.set(clusters, 0, Stage.RELEASE)
        self.changes.freed.put(clusters, 1)

    def _emit(self, clusters: Clusters, values: Clusters, stage: Stage) -> None:
        """Edit the entries of ``clusters``, which ascend, in every copy that counts."""
        bits, table = self.geometry.fat_bits, self.table
        cuts = np.flatnonzero((np.diff(clusters) > _GAP) | (np.diff(clusters // _SPAN) > 0)) + 1
        for low, high in pairwise([0, *cuts.tolist(), len(clusters)]):
            first, last = int(clusters[low]) & ~1, int(clusters[high - 1])
            end = min(last + 1 + (last + 1 & 1), self.geometry.entry_count)
            entries, index = table.raw(first, end - first), clusters[low:high] - first
            entries[index] = self._changed(entries[index], values[low:high])
            data = pack(entries, bits)
            for start in self.geometry.written_fats:
                self.tx.edit(start + first * bits // 8, data, stage)
            table.forget(first, end)

    def _changed(self, old: Entries, values: Clusters) -> Entries:
        """``values`` as entries that keep the reserved bits of the ``old`` ones; what becomes free is counted."""
        mask = np.uint32(self.geometry.mask)
        new = values.astype(np.uint32) & mask
        self._more_free += int(np.count_nonzero(old & mask)) - int(np.count_nonzero(new))
        return old & ~mask | new

    def count(self) -> None:
        """Bring FSInfo up to date with what became free since the last time, if its counts are known."""
        change, self._more_free = self._more_free, 0
        record = read_fsinfo(self.tx.view, self.geometry)
        if record is None:
            return
        offset = self.geometry.fsinfo_offset
        self._put(offset, "FSI_Free_Count", int(record["FSI_Free_Count"]), change)
        hint = int(record["FSI_Nxt_Free"])
        if self.geometry.valid(hint) and self.table.fetch(hint, 1)[0]:
            windows = chain(self.free_windows(hint), self.free_windows())
            following = next((int(free[0]) for free in windows if len(free)), hint)
            self._put(offset, "FSI_Nxt_Free", hint, following - hint)

    def free_windows(self, first: int = FIRST_CLUSTER, *, backward: bool = False) -> Iterator[Clusters]:
        """The free clusters from ``first`` on, in ascending arrays; ``backward`` the last array first."""
        starts = range(first, self.geometry.entry_count, WINDOW)
        for low in reversed(starts) if backward else starts:
            entries = self.table.fetch(low, min(WINDOW, self.geometry.entry_count - low))
            yield np.flatnonzero(entries == 0) + low

    def _put(self, offset: int, field: str, value: int, change: int) -> None:
        if value != FSI_UNKNOWN and change:
            data = (value + change).to_bytes(4, "little")
            self.tx.edit(offset + field_offset(FSINFO, field), data, Stage.RELEASE)


def cluster_windows(geometry: Geometry, extents: Extents) -> Iterator[Clusters]:
    """The clusters of whole-cluster extents in arrays of bounded length."""
    pairs = extents.array
    runs, step = Runs(np.stack([pairs[:, 0], pairs[:, 1] - pairs[:, 0]], axis=1)), _SPAN * geometry.cluster_size
    for at in range(0, runs.total, step):
        yield geometry.clusters_of(runs.slice(at, step))


def check_free(writer: TableWriter, extents: Extents) -> None:
    """Raise NoSpace if a cluster of whole-cluster extents is in use or bad."""
    for window in cluster_windows(writer.geometry, extents):
        used = window[writer.table.at(window) != 0]
        if len(used):
            offset = writer.geometry.offset(int(used[0]))
            raise in_use(f"cluster {used[0]} at byte {offset}")
