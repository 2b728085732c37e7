"""Vacating: file by file out of a region, until it is empty or the transaction is full."""

from __future__ import annotations

import numpy as np
from inpart.contracts import Edits, Vacated
from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.units import format_size

from inpart_ntfs.editor.clusters import Room, in_clusters, rows_of
from inpart_ntfs.editor.ground import Ground
from inpart_ntfs.editor.mover import Mover
from inpart_ntfs.editor.ownership import Owners, check_complete, find_owners, fixed_clusters
from inpart_ntfs.editor.system import SYSTEM, SystemMover
from inpart_ntfs.structs import FIRST_USER, Number

_MAX_HOLES = 1 << 18
_SMALL = 8
_GROUP = 64


class Vacater:
    """One call of ``vacate``."""

    def __init__(self, tx: Edits, region: Extents, avoid: Extents) -> None:
        """``region`` and ``avoid`` are bytes. Raises NoSpace if what has to move has nowhere to go."""
        self.tx = tx
        self.ground = Ground(tx)
        size = self.size = self.ground.cluster_size
        self.region = in_clusters(region, size)
        used = in_clusters(self.ground.used, size) & self.region
        self.busy = used - in_clusters(fixed_clusters(self.ground.fs), size)
        holes = rows_of(self.ground.free() - self.region - in_clusters(avoid, size))
        holes = holes[np.argsort(-holes[:, 1], kind="stable")]
        room = int(holes[:, 1].sum())
        if self.busy.total > room:
            missing = format_size((self.busy.total - room) * size)
            raise NoSpace(
                f"{self.busy.total} clusters ({format_size(self.busy.total * size)}) have to move, "
                f"but only {room} ({format_size(room * size)}) are free elsewhere",
                hint=f"free {missing} on the file system",
            )
        self.room = self.ground.room = Room(holes[:_MAX_HOLES])

    def run(self) -> Vacated:
        """Move until nothing is left or the transaction is full."""
        if not self.busy:
            return Vacated(0, 0)
        owners = find_owners(self.ground.mft, self.busy)
        check_complete(owners, self.busy.total)
        mover = Mover(self.ground, self.busy, self.room)
        self._move(owners, mover)
        self.ground.ledger.settle()
        return Vacated(mover.given * self.size, (self.busy.total - mover.given) * self.size)

    def _move(self, owners: Owners, mover: Mover) -> None:
        """What all else is found by moves in a batch of its own, first of all. Raises NoSpace."""
        numbers = owners.numbers.tolist()
        system = SystemMover(self.ground, mover)
        if numbers[0] in SYSTEM or self._is_mirrored(numbers, system):
            system.move()
        if numbers[0] in SYSTEM:
            return
        if Number.BITMAP in numbers:
            mover.move(Number.BITMAP)
            return
        for done, number in enumerate(numbers):
            if self._full(done):
                return
            try:
                whole = mover.move(number)
            except NoSpace:
                if not done:
                    raise
                return
            if not whole:
                return

    def _is_mirrored(self, numbers: list[int], system: SystemMover) -> bool:
        """True if records change that $MFTMirr repeats, and there is room to let the boot sector switch them."""
        concerned = system.mirrored > FIRST_USER or numbers[0] < system.mirrored
        return concerned and self.room.left >= self.busy.total + system.needed

    def _full(self, done: int) -> bool:
        """True if the batch should end; what was taken is entered now and then, so that the transaction knows.

        Records that stood in for others for a while are free again in the next batch.
        """
        if (done < _GROUP and done & (done - 1) == 0) or done % _GROUP == 0:
            self.ground.ledger.settle_taken()
        ledger = self.ground.ledger
        if done == 0:
            return False
        used_up = bool(self.ground.desk.spent) and not ledger.has_free_record()
        return self.tx.full or used_up or ledger.pending > max(_SMALL, done)
