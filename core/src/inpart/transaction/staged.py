"""The transaction: changes of a partition that are read through before they are written, and then written safely."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inpart.contracts import Stage
from inpart.errors import InpartError, VolumeError
from inpart.extents import Extents, Runs
from inpart.transaction.area import PAYLOAD
from inpart.transaction.copies import Copies
from inpart.transaction.journal import check_idle, prepare_journal, retire, write_journal
from inpart.transaction.pages import Octets
from inpart.transaction.patch import Mask, Patch
from inpart.transaction.payload import build_payload, contents
from inpart.units import MIB, align_down, align_up
from inpart.volume import Buffer, ReadOnlyVolume, Volume

Progress = Callable[[int], None]

_RECORD_BYTES = 20
"""Payload bytes of a sector besides its content, at most."""


class TransactionMisuse(InpartError):
    """Changes were handed to a transaction in an order that it cannot bring to the disk safely: a bug in an editor."""


class Transaction:
    """Changes of ``volume``, a partition, as ``inpart.contracts.Edits`` describes them.

    ``full`` is reached with ``memory`` bytes of changes held, with ``copy_limit`` bytes to be copied, or when a journal
    area of ``journal_capacity`` bytes is half used; all are in bytes, None stands for no limit. One that is not
    ``lasting`` is never committed.
    """

    def __init__(
        self,
        volume: Volume,
        *,
        memory: int = 64 * MIB,
        journal_capacity: int | None = None,
        copy_limit: int | None = 256 * MIB,
        lasting: bool = True,
    ) -> None:
        self.volume = volume
        self.lasting = lasting
        self._sector = volume.sector_size
        self._memory = memory
        self._journal_capacity = journal_capacity
        self._copy_limit = copy_limit
        self._copies = Copies()
        self._data = Patch(self._sector)
        self._stages = {stage: Patch(self._sector) for stage in Stage}
        self._changed: Extents | None = None
        self._committed = False

    @property
    def view(self) -> Volume:
        """The volume as it will be; reads of untouched places cost what they cost on the volume itself."""
        return _View(self)

    @property
    def copies(self) -> NDArray[np.int64]:
        """Columns source, target, length in bytes, ordered by target; shape (n, 3)."""
        return self._copies.array()

    @property
    def fresh(self) -> Extents:
        """The sectors that ``copy`` and ``write`` fill."""
        return (self._copies.targets() | self._data.extents(self._sector)).align_out(self._sector)

    @property
    def full(self) -> bool:
        """True when no more files should be added to this batch."""
        if self._copy_limit is not None and self._copies.total >= self._copy_limit:
            return True
        held = self._copies.memory + self._data.memory + sum(patch.memory for patch in self._stages.values())
        if held >= self._memory:
            return True
        if self._journal_capacity is None:
            return False
        sectors = sum(patch.sectors for patch in self._stages.values())
        return 2 * sectors * (self._sector + _RECORD_BYTES) >= self._journal_capacity - PAYLOAD

    def changed(self) -> Extents:
        """The sectors that differ, or may differ, between the volume and the view."""
        if self._changed is None:
            self._changed = self.fresh | self.edited()
        return self._changed

    def edited(self) -> Extents:
        """The sectors that are edited in place."""
        found = Extents()
        for patch in self._stages.values():
            found |= patch.extents(self._sector)
        return found

    def copy(self, source: int, target: int, length: int) -> None:
        """Raises OutOfBounds, and TransactionMisuse if the target is not free of earlier changes."""
        self._check(source, length)
        self._check(target, length)
        if length == 0:
            return
        low, high = self._whole(target, length)
        taken = self._edits_touch(low, high) or self._data.touches(low, high)
        if taken or next(self._copies.touching(low, high), None) is not None:
            raise TransactionMisuse(f"{length} bytes are to be copied to {target}, which this change already uses")
        self._changed = None
        self._copies.add(source, target, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Raises OutOfBounds, and TransactionMisuse where metadata is edited in place."""
        self._check(offset, len(data))
        if self._edits_touch(*self._whole(offset, len(data))):
            raise TransactionMisuse(f"{len(data)} new bytes are to go to {offset}, where metadata is edited in place")
        self._changed = None
        self._data.put(offset, np.frombuffer(data, dtype=np.uint8))

    def edit(self, offset: int, data: Buffer, stage: Stage) -> None:
        """Change the bytes that differ from the view; so whole sectors may be handed in for a change of one byte.

        Raises OutOfBounds, and TransactionMisuse if a byte was changed before in a later stage.
        """
        self._check(offset, len(data))
        new = np.frombuffer(data, dtype=np.uint8)
        changed: Mask = new != np.frombuffer(self.view.read(offset, len(data)), dtype=np.uint8)
        if not changed.any():
            return
        fresh = self._fresh_mask(offset, len(data))
        later = np.zeros(len(data), dtype=np.bool_)
        for other, patch in self._stages.items():
            if other > stage:
                patch.mark(offset, later)
        clash = np.flatnonzero(later & changed & ~fresh)
        if len(clash):
            raise TransactionMisuse(f"byte {offset + int(clash[0])} is edited in stage {stage.name} after a later one")
        self._changed = None
        self._data.put(offset, new, changed & fresh)
        self._stages[stage].put(offset, new, changed & ~fresh)

    def set_bits(self, offset: int, bits: Buffer, stage: Stage) -> None:
        """Set bits from ``stage`` on, also in bytes of which later stages change other bits. Raises OutOfBounds."""
        self._check(offset, len(bits))
        view = np.frombuffer(self.view.read(offset, len(bits)), dtype=np.uint8)
        new = np.frombuffer(bits, dtype=np.uint8) & ~view
        fresh = self._fresh_mask(offset, len(bits))
        self._changed = None
        self._data.put(offset, view | new, (new > 0) & fresh)
        below = np.frombuffer(bytearray(self.volume.read(offset, len(bits))), dtype=np.uint8)
        for other, patch in self._stages.items():
            known = np.zeros(len(bits), dtype=np.bool_)
            patch.mark(offset, known)
            patch.overlay(offset, below)
            if other >= stage:
                patch.put(offset, below | new, (new > 0) & ~fresh & (known | (other == stage)))

    def commit(self, journal: Runs | None, *, progress: Progress | None = None) -> None:
        """Bring all changes to the volume so that a cut at any time leaves them undone, to be finished, or done.

        ``journal`` is an area that the file system owns or that is claimed in this very commit; with None only the
        order of the stages protects the file system. ``progress(bytes)`` counts up to ``work``. Raises NoSpace,
        UnfinishedJournal, TransactionMisuse before anything is written; VolumeError.
        """
        report = progress or _nothing
        edits = {stage: patch for stage, patch in self._stages.items() if patch}
        self._check_commit(journal)
        payload = build_payload(self.volume, edits) if journal is not None and edits else None
        header = prepare_journal(self.volume, journal, payload) if journal is not None and payload is not None else None
        self._committed = True
        self._write_data(report)
        written = None
        if header is not None and payload is not None:
            written = write_journal(self.volume, header, payload)
        for patch in edits.values():
            self._write_stage(patch, report)
        if written is not None:
            retire(self.volume, written)

    @property
    def work(self) -> int:
        """Bytes that a commit writes, the journal not counted."""
        edits = sum(patch.sectors for patch in self._stages.values()) * self._sector
        return self._copies.total + self._data.extents().total + edits

    def _check_commit(self, journal: Runs | None) -> None:
        if self._committed or not self.lasting:
            raise TransactionMisuse("a change is committed once, and only if it is meant to last")
        if not self.volume.writable:
            raise VolumeError(f"{self.volume.name} is not open for writing")
        if self._copies.sources() & self.fresh:
            raise TransactionMisuse("what is to be copied is overwritten in the same change")
        if journal is None:
            return
        check_idle(self.volume, journal)
        if journal.extents() & (self.changed() | self._copies.sources()):
            raise TransactionMisuse("the journal would lie on what the change reads or writes")

    def _write_data(self, report: Progress) -> None:
        if len(self._copies):
            self._copies.run(self.volume, report)
        for low, content in contents(None, self._data.extents(), [self._data]):
            self.volume.write(low, content)
            report(len(content))
        if len(self._copies) or self._data:
            self.volume.flush()

    def _write_stage(self, patch: Patch, report: Progress) -> None:
        for low, content in contents(self.volume, patch.extents(self._sector), [patch]):
            self.volume.write(low, content)
            report(len(content))
        self.volume.flush()

    def _check(self, offset: int, length: int) -> None:
        if self._committed:
            raise TransactionMisuse("this change has been committed already")
        self.volume.check_bounds(offset, length)

    def _whole(self, offset: int, length: int) -> tuple[int, int]:
        return align_down(offset, self._sector), align_up(offset + length, self._sector)

    def _edits_touch(self, low: int, high: int) -> bool:
        return any(patch.touches(low, high) for patch in self._stages.values())

    def _fresh_mask(self, offset: int, length: int) -> Mask:
        """For each byte of a range whether it lies in a sector that this transaction fills."""
        low, high = self._whole(offset, length)
        mask = np.zeros(high - low, dtype=np.bool_)
        for _, target, count in self._copies.touching(low, high):
            mask[target - low : target - low + count] = True
        self._data.mark(low, mask)
        whole = np.repeat(mask.reshape(-1, self._sector).any(axis=1), self._sector)
        return whole[offset - low : offset - low + length]

    def _read_through(self, offset: int, view: memoryview) -> None:
        self._copies.readinto(self.volume, offset, view)
        octets: Octets = np.frombuffer(view, dtype=np.uint8)
        self._data.overlay(offset, octets)
        for patch in self._stages.values():
            patch.overlay(offset, octets)


class _View(ReadOnlyVolume):
    """A transaction's result as a volume."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        base = transaction.volume
        self.size, self.name, self.sector_size = base.size, base.name, base.sector_size

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self._transaction._read_through(offset, memoryview(buffer))

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = self.size if end is None else end
        held = self._transaction.volume.data_extents(start, stop)
        return held | self._transaction.changed().clip(start, stop)

    def forget(self) -> None:
        self._transaction.volume.forget()


def _nothing(_: int) -> None:
    pass
