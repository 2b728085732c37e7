"""Vacating: file by file out of a region, until it is empty or the transaction is full."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from inpart.contracts import Edits, Stage, Vacated, require_room
from inpart.errors import NoSpace
from inpart.extents import Extents

from inpart_ntfs.codes import FIRST_USER, Number
from inpart_ntfs.editor.clusters import Room
from inpart_ntfs.editor.drafts import load
from inpart_ntfs.editor.ground import Ground
from inpart_ntfs.editor.mover import Mover
from inpart_ntfs.editor.ownership import Memory, Owners, find_owners, fixed_clusters
from inpart_ntfs.editor.system import SYSTEM, SystemMover
from inpart_ntfs.mft import KEPT_EQUAL

_MAX_HOLES = 1 << 18
_SMALL = 8
_GROUP = 64
_RECORDS = 16
"""So many records are enough for the next file."""


class Vacater:
    """One call of ``vacate``."""

    def __init__(self, tx: Edits, region: Extents, avoid: Extents, memory: Memory | None = None) -> None:
        """``region`` and ``avoid`` are bytes. Raises NoSpace if what has to move has nowhere to go."""
        self.tx = tx
        self.memory = memory or Memory()
        self.ground = Ground(tx)
        size = self.size = self.ground.cluster_size
        self.region = region.in_units(size)
        used = self.ground.used.in_units(size) & self.region
        self.busy = used - fixed_clusters(self.ground.fs).in_units(size)
        holes = (self.ground.free() - self.region - avoid.in_units(size)).rows
        holes = holes[np.argsort(-holes[:, 1], kind="stable")]
        require_room(self.busy.total, int(holes[:, 1].sum()), size)
        self.room = self.ground.room = Room(holes[:_MAX_HOLES])

    def run(self) -> Vacated:
        """Move until nothing is left or the transaction is full."""
        if not self.busy:
            return Vacated(0, 0)
        volume = self.ground.boot.volume_serial_number
        owners = self.memory.recall(volume, self.region, self.busy.total) or find_owners(self.ground.mft, self.busy)
        mover = Mover(self.ground, self.busy, self.room)
        self._clean(owners)
        moved = dict(self._move(owners.numbers.tolist(), mover)) if len(owners.numbers) else {}
        self.ground.ledger.settle()
        self.memory.keep(volume, self.region, owners.without(moved))
        given = mover.given + owners.lost.total
        return Vacated(given * self.size, (self.busy.total - given) * self.size)

    def _clean(self, owners: Owners) -> None:
        """Give back what an interrupted change has left."""
        self.ground.ledger.give(owners.lost.rows)
        for number, marked in zip(owners.leftovers[:_GROUP].tolist(), owners.marked.tolist(), strict=False):
            self.ground.drop_record(number, Stage.FOLLOW, free=Stage.RELEASE if marked else None)

    def _move(self, numbers: list[int], mover: Mover) -> Iterator[tuple[int, int]]:
        """What all else is found by, and what $MFTMirr repeats, moves in batches of its own. Raises NoSpace.

        Yields what has moved: the number of a record, and how many clusters.
        """
        equal = min(self.ground.mirrored, KEPT_EQUAL)
        if numbers[0] in SYSTEM or (numbers[0] < equal and self.tx.lasting):
            SystemMover(self.ground, mover).move()
            numbers = [number for number in numbers if number < equal]
        elif self._front_holds_files and not self.ground.ledger.has_free_records(_RECORDS):
            numbers = self._grown(numbers)
        if numbers[0] in SYSTEM:
            yield from ((number, mover.given) for number in SYSTEM)
            return
        if Number.BITMAP in numbers:
            mover.move(Number.BITMAP)
            yield Number.BITMAP, mover.given
            return
        for done, number in enumerate(numbers):
            if self._full(done):
                return
            before = mover.given
            try:
                whole = mover.move(number)
            except NoSpace:
                if not done:
                    raise
                return
            yield number, mover.given - before
            if not whole:
                return

    @property
    def _front_holds_files(self) -> bool:
        """True if records of files come to another place together with those of $MFT and its mirror."""
        return self.tx.lasting and self.ground.mirrored > FIRST_USER

    def _grown(self, numbers: list[int]) -> list[int]:
        """Make $MFT longer before all else; one file that can move after that, as its records are elsewhere."""
        self.ground.ledger.add_records()
        mirrored, mft = self.ground.mirrored, self.ground.mft
        elsewhere = (number for number in numbers if min(load(mft, number).records) >= mirrored)
        return list(islice(elsewhere, 1)) or numbers[:1]

    def _full(self, done: int) -> bool:
        """True if the batch should end; what was taken is entered now and then, so that the transaction knows.

        Records that stood in for others for a while are free again in the next batch.
        """
        if (done < _GROUP and done & (done - 1) == 0) or done % _GROUP == 0:
            self.ground.ledger.settle_taken()
        ledger = self.ground.ledger
        if done == 0:
            return False
        scarce = not ledger.has_free_records(_RECORDS if self._front_holds_files else 1)
        used_up = scarce and (bool(self.ground.desk.spent) or self._front_holds_files)
        return self.tx.full or used_up or ledger.pending > max(_SMALL, done)
