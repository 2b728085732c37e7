"""Moving a planned batch: data, chains, the references to them, and the old clusters, group by group."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from inpart.contracts import Edits, Stage, carry
from inpart.extents import Extents
from inpart.units import MIB
from numpy.typing import NDArray

from inpart_fat.editor.bootfields import set_boot_field
from inpart_fat.editor.cells import TableWriter
from inpart_fat.editor.vacate import Batch
from inpart_fat.geometry import Clusters
from inpart_fat.structs import DIR, SLOT

Numbers = NDArray[np.int64]

_GROUP_BYTES = 32 * MIB
_GROUP_PIECES = 256
_FIRST = 8
_FIRST_CLUSTERS = 512
_PAGE = 4096


class Mover:
    """Puts one batch into a transaction."""

    def __init__(self, batch: Batch, writer: TableWriter, rewritten: Extents) -> None:
        """``rewritten`` is what the transaction has filled already; it is written anew rather than copied."""
        self.batch = batch
        self.writer = writer
        self.geometry = writer.geometry
        self.tx: Edits = writer.tx
        self._group = max(1, _GROUP_BYTES // self.geometry.cluster_size)
        self._moved = np.zeros(len(batch.sources), dtype=bool)
        self._by_content = batch.from_directory | self.geometry.touched(rewritten, batch.sources)
        self._children()

    def _children(self) -> None:
        """Find the ``..`` entries that follow a moved directory, ordered by the rank of that directory in the batch."""
        batch, tree = self.batch, self.batch.tree
        rank = np.empty(len(batch.order), dtype=np.int64)
        rank[batch.order] = np.arange(len(batch.order))
        above = tree.firsts[np.maximum(tree.parents, 0)]
        index = np.where((tree.parents >= 0) & (tree.dotdots == above), batch.index(above), -1)
        chosen = np.flatnonzero(index >= 0)
        chosen = chosen[np.argsort(rank[index[chosen]], kind="stable")]
        self._child_parent = index[chosen]
        self._child_rank = rank[self._child_parent]
        self._child_place = self.geometry.offsets(tree.firsts[chosen]) + SLOT
        self._is_first = np.zeros(len(batch.sources), dtype=bool)
        named = batch.index(tree.firsts[1:])
        self._is_first[named[named >= 0]] = True

    def move(self) -> Numbers:
        """Move groups until all is done or the transaction is full; returns the indices of what was moved.

        Each group is at most as large as all before it, so that a journal that is not half full has room for it. Old
        clusters are freed last: on FAT12 two entries share a byte, and what it holds of an earlier stage comes first.
        """
        count = len(self.batch.order)
        bounds = self._pieces(0, count)
        high, pieces = 0, 0
        while high < count and not (high and self.tx.full):
            low = high
            most = int(bounds[min(pieces + min(max(pieces, _FIRST), _GROUP_PIECES), len(bounds) - 1)])
            high = min(most, low + min(max(low, _FIRST_CLUSTERS), self._group))
            pieces = int(np.searchsorted(bounds, high, side="right")) - 1
            self._move_group(low, high)
        moved = self.batch.order[:high]
        self.writer.free(self.batch.sources[moved])
        return moved

    def _move_group(self, low: int, high: int) -> None:
        index = self.batch.order[low:high]
        self._moved[index] = True
        self._move_data(low, high)
        self._link(index)
        self._refer(index)
        self._dots(low, high)

    def _pieces(self, low: int, high: int) -> Numbers:
        """Bounds of the pieces of ``order[low:high]`` that stay together."""
        batch, index = self.batch, self.batch.order[low:high]
        together = (np.diff(batch.sources[index]) == 1) & (np.diff(batch.targets[index]) == 1)
        together &= np.diff(self._by_content[index].astype(np.int8)) == 0
        return np.concatenate([[low], np.flatnonzero(~together) + 1 + low, [high]])

    def _move_data(self, low: int, high: int) -> None:
        batch, geometry = self.batch, self.geometry
        bounds = self._pieces(low, high)
        firsts = batch.order[bounds[:-1]]
        sizes = np.diff(bounds) * geometry.cluster_size
        sources, targets = geometry.offsets(batch.sources[firsts]), geometry.offsets(batch.targets[firsts])
        by_content = self._by_content[firsts]
        rows = zip(sources.tolist(), targets.tolist(), sizes.tolist(), by_content.tolist(), strict=True)
        for source, target, size, written in rows:
            carry(self.tx, source, target, size, anew=written)

    def _link(self, index: Numbers) -> None:
        """Chain the new clusters, and let those that moved in earlier groups lead to them."""
        batch = self.batch
        following = batch.after[index].copy()
        successor = batch.index(following)
        ready = (successor >= 0) & self._moved[successor]
        following[ready] = batch.targets[successor[ready]]
        self.writer.set(batch.targets[index], following, Stage.ALLOCATE)
        before = batch.preceding[index]
        earlier = before >= 0
        self.writer.set(batch.targets[before[earlier]], batch.targets[index[earlier]], Stage.ALLOCATE)

    def _refer(self, index: Numbers) -> None:
        """Switch the references from outside the batch to the new clusters."""
        batch = self.batch
        by_cell = index[(batch.cells[index] >= 0) & (batch.preceding[index] < 0)]
        self.writer.set(batch.cells[by_cell], batch.targets[by_cell], Stage.SWITCH)
        by_entry = index[batch.places[index] >= 0]
        self._patch(batch.places[by_entry], batch.targets[by_entry], Stage.SWITCH)
        for root in index[(batch.cells[index] < 0) & (batch.places[index] < 0)].tolist():
            set_boot_field(self.tx, self.geometry, "BPB_RootClus", int(batch.targets[root]))

    def _dots(self, low: int, high: int) -> None:
        batch, index = self.batch, self.batch.order[low:high]
        firsts = index[self._is_first[index]]
        self._patch(self.geometry.offsets(batch.sources[firsts]), batch.targets[firsts], Stage.FOLLOW)
        part = slice(*np.searchsorted(self._child_rank, [low, high]).tolist())
        self._patch(self._child_place[part], batch.targets[self._child_parent[part]], Stage.FOLLOW)

    def _patch(self, places: Numbers, heads: Clusters, stage: Stage) -> None:
        """Set the first cluster of the directory entries at ``places``, which may have been moved already."""
        places = self._moved_to(places)
        order = np.argsort(places)
        places, heads = places[order], heads[order]
        bounds = [*np.flatnonzero(np.diff(places // _PAGE, prepend=-1)).tolist(), len(places)]
        for first, end in pairwise(bounds):
            low = int(places[first])
            data = bytearray(self.tx.view.read(low, int(places[end - 1]) + SLOT - low))
            slots = np.frombuffer(data, dtype=DIR)
            chosen = (places[first:end] - low) // SLOT
            slots["DIR_FstClusLO"][chosen] = heads[first:end] & 0xFFFF
            if self.geometry.fat32:
                slots["DIR_FstClusHI"][chosen] = heads[first:end] >> 16
            self.tx.edit(low, data, stage)

    def _moved_to(self, places: Numbers) -> Numbers:
        """Where the bytes at ``places`` are now."""
        cluster = (places - self.geometry.data_start) // self.geometry.cluster_size + 2
        index = self.batch.index(cluster)
        gone = (places >= self.geometry.data_start) & (index >= 0) & self._moved[index]
        distance = (self.batch.targets[index] - cluster) * self.geometry.cluster_size
        return np.where(gone, places + distance, places)
