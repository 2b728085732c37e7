"""Moving what one file has in a region: any attribute in clusters, compressed and sparse ones too, and its list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import carry
from inpart.extents import Extents
from inpart.units import MIB
from numpy.typing import NDArray

from inpart_ntfs.editor.clusters import Room
from inpart_ntfs.editor.drafts import DraftAttribute, load
from inpart_ntfs.editor.relocation import COUNT, LCN, aligned, merged, parted, sources
from inpart_ntfs.editor.rewriting import store
from inpart_ntfs.runs import HOLE

if TYPE_CHECKING:
    from inpart_ntfs.editor.ground import Ground

Numbers = NDArray[np.int64]
Move = tuple[Numbers, Numbers]
"""Rows of vcn, lcn, count that leave, and those that they become."""

_STEP = 256 * MIB


class Mover:
    """Moves files out of a region, one at a time; ``given`` counts the clusters that have left it."""

    def __init__(self, ground: Ground, region: Extents, room: Room) -> None:
        """``region`` in clusters."""
        self.ground = ground
        self.region = region
        self.room = room
        self.given = 0
        self._rewritten = ground.tx.fresh.in_units(ground.cluster_size)

    def move(self, number: int) -> bool:
        """Move a file, or a part of it if it is large; True if nothing is left in the region.

        Raises NoSpace, FilesystemUnsupported; NoSpace for its content before anything has been changed.
        """
        draft = load(self.ground.mft, number)
        moves, left = [], max(1, _STEP // self.ground.cluster_size)
        for attribute in draft.attributes:
            if self.touches(attribute.runs) and left:
                moves.append(self.redirect(attribute, left))
                left -= int(moves[-1][0][:, COUNT].sum())
        relisted = draft.listing is not None and self.touches(draft.listing.rows)
        store(self.ground, draft, relisted=relisted)
        self.carry_out(moves)
        if relisted:
            self._count(draft.listing.rows[:, LCN:] if draft.listing else np.empty((0, 2), dtype=np.int64))
        return not any(self.touches(attribute.runs) for attribute in draft.attributes)

    def rewrite(self, rows: Numbers) -> None:
        """Write these clusters, rows of vcn, lcn, count, again instead of copying what was there before all edits."""
        self._rewritten |= Extents.from_rows(rows[:, LCN:])

    def touches(self, rows: Numbers) -> bool:
        """True if a run list has clusters in the region."""
        if not len(rows):
            return False
        stored = rows[rows[:, LCN] != HOLE]
        return bool(self.region.touches(stored[:, LCN], stored[:, COUNT]).any())

    def redirect(self, attribute: DraftAttribute, limit: int) -> Move:
        """Give an attribute other clusters for at most ``limit`` that lie in the region. Raises NoSpace."""
        stay, leave, _ = parted(attribute.runs, self.region, limit)
        arrived = aligned(leave, self.room.take(int(leave[:, COUNT].sum())))
        attribute.rows = merged(stay, arrived)
        return leave, arrived

    def carry_out(self, moves: list[Move]) -> None:
        """Copy the content, take the new clusters and give the old ones back."""
        for leave, arrived in moves:
            self.ground.ledger.take(arrived[:, LCN:])
            self._copy(leave, arrived)
            self.ground.ledger.give(leave[:, LCN:])
            self._count(leave[:, LCN:])

    def _count(self, rows: Numbers) -> None:
        moved = Extents.from_rows(rows)
        if moved:
            self.given += (moved & self.region.clip(moved.start, moved.end)).total

    def _copy(self, leave: Numbers, arrived: Numbers) -> None:
        """Copies take what was there before the transaction: what that has changed since is written again."""
        begin, size = sources(leave, arrived), self.ground.cluster_size
        changed = self._rewritten | self.ground.desk.edited().in_units(size)
        partly = changed.touches(begin, arrived[:, COUNT])
        for source, (_, target, count), cut in zip(begin.tolist(), arrived.tolist(), partly.tolist(), strict=True):
            every = Extents.span(source, source + count)
            anew = every & changed if cut else Extents()
            for part, again in ((every - anew, False), (anew, True)):
                for low, high in part:
                    at = target + low - source
                    carry(self.ground.tx, low * size, at * size, (high - low) * size, anew=again)
