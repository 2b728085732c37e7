"""Vacating: inode by inode out of a region, until it is empty or the transaction is full."""

from __future__ import annotations

import numpy as np
from inpart.contracts import Edits, Vacated, require_room
from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.units import MIB

from inpart_ext.editor.blocks import Room
from inpart_ext.editor.ground import Ground
from inpart_ext.editor.mover import Mover
from inpart_ext.editor.ownership import Owners, check_complete, find_owners, fixed_blocks
from inpart_ext.mapping import map_inodes

_STEP = 32 * MIB
_MAX_HOLES = 1 << 18
_SMALL = 8
_GROUP = 64
_TOGETHER = 512


class Vacater:
    """One call of ``vacate``."""

    def __init__(self, tx: Edits, region: Extents, avoid: Extents) -> None:
        """``region`` and ``avoid`` are bytes. Raises NoSpace if what has to move has nowhere to go."""
        self.tx = tx
        self.ground = Ground(tx)
        self.size = self.ground.block_size
        self.region = region.in_units(self.size)
        used = self.ground.used.in_units(self.size) & self.region
        fixed = fixed_blocks(self.ground.table, self.ground.groups).in_units(self.size)
        self.busy = used - fixed
        holes = (self.ground.free() - self.region - avoid.in_units(self.size)).rows
        holes = holes[np.argsort(-holes[:, 1], kind="stable")]
        require_room(self.busy.total, int(holes[:, 1].sum()), self.size, "blocks")
        self.room = Room(holes[:_MAX_HOLES])

    def run(self) -> Vacated:
        """Move until nothing is left or the transaction is full."""
        if not self.busy:
            return Vacated(0, 0)
        owners = find_owners(self.ground.table, self.busy)
        check_complete(owners, self.busy.total)
        mover = Mover(self.ground, self.busy, self.room)
        try:
            self._move(owners, mover)
        except NoSpace:
            if not mover.given:
                raise
        self.ground.settle()
        return Vacated(mover.given * self.size, (self.busy.total - mover.given) * self.size)

    def _move(self, owners: Owners, mover: Mover) -> None:
        """Raises NoSpace between two inodes."""
        pairs, done = owners.attributes, 0
        blocks, firsts = np.unique(pairs[:, 0], return_index=True)
        bounds = [*firsts.tolist(), len(pairs)]
        for index, block in enumerate(blocks.tolist()):
            if self._full(done):
                return
            mover.move_attributes(block, pairs[bounds[index] : bounds[index + 1], 1].tolist())
            done += 1
        for first in range(0, len(owners.inodes), _TOGETHER):
            inodes = self.ground.table.read(owners.inodes[first : first + _TOGETHER])
            mapping = map_inodes(self.tx.view, inodes).require_sound()
            for index in range(len(inodes)):
                inode, pieces, nodes = (
                    self.ground.pick(inodes, index),
                    mapping.pieces.of(index),
                    mapping.nodes.of(index),
                )
                while True:
                    if self._full(done):
                        return
                    done += 1
                    if mover.move(inode, pieces, nodes, max(1, _STEP // self.size)):
                        break
                    again = self.ground.mapping(inode)
                    pieces, nodes = again.pieces, again.nodes

    def _full(self, done: int) -> bool:
        """True if the batch should end; what was taken is entered now and then, so that the transaction knows."""
        if (done < _GROUP and done & (done - 1) == 0) or done % _GROUP == 0:
            self.ground.ledger.settle_taken()
        return done > 0 and (self.tx.full or self.ground.ledger.pending > max(_SMALL, done))
