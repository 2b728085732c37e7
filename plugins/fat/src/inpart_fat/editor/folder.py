"""Changing one directory: entries put in, replaced and taken out slot by slot, and more clusters for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import numpy as np
from inpart.contracts import Stage
from inpart.errors import NoSpace
from inpart.units import SECTOR
from numpy.typing import NDArray

from inpart_fat.directory import DirEntry, Slots
from inpart_fat.editor.cells import TableWriter
from inpart_fat.editor.names import long_slots, short_name, short_slot, with_fields
from inpart_fat.geometry import Clusters
from inpart_fat.reader import DirectoryReader
from inpart_fat.structs import DELETED_MARK, END_MARK, MAX_DIRECTORY, SLOT

Numbers = NDArray[np.int64]

PER_SECTOR = SECTOR // SLOT
"""Slots that reach the disk together on every medium."""

_DELETED = bytes([DELETED_MARK])


class FolderWriter:
    """The directory at ``cluster`` (0 is the root directory), with every change put into a transaction.

    New entries appear in stage ``reveal``; what nobody can see until then is written in stage ``prepare``.
    """

    def __init__(
        self,
        reader: DirectoryReader,
        writer: TableWriter,
        cluster: int,
        prepare: Stage = Stage.LINK,
        reveal: Stage = Stage.SWITCH,
    ) -> None:
        self.writer = writer
        self.geometry = reader.geometry
        self.fixed = cluster == 0 and self.geometry.root_bytes > 0
        self.clusters = np.empty(0, dtype=np.int64) if self.fixed else reader.clusters(cluster)
        self.data = bytearray(reader.slots(cluster).data)
        self.prepare = prepare
        self.reveal = reveal

    @property
    def slots(self) -> Slots:
        """The content as it is now."""
        return Slots(self.data, fat32=self.geometry.fat32)

    def place(self, slot: int) -> int:
        """Where on the volume a slot lies."""
        at = slot * SLOT
        if self.fixed:
            return self.geometry.root_start + at
        size = self.geometry.cluster_size
        return self.geometry.offset(int(self.clusters[at // size])) + at % size

    def put(self, slot: int, content: bytes, stage: Stage) -> None:
        """Change whole slots from ``slot`` on, or the first bytes of one."""
        self.data[slot * SLOT : slot * SLOT + len(content)] = content
        for at in range(0, len(content), SLOT):
            self.writer.tx.edit(self.place(slot + at // SLOT), content[at : at + SLOT], stage)

    def update(self, entry: DirEntry, fields: Mapping[str, int], cluster: int, stage: Stage) -> None:
        """Change fields of an entry's short slot, and its first cluster."""
        slot = bytes(self.data[entry.slot * SLOT : (entry.slot + 1) * SLOT])
        self.put(entry.slot, with_fields(slot, fields, cluster, fat32=self.geometry.fat32), stage)

    def remove(self, entry: DirEntry, stage: Stage) -> None:
        """Take an entry out: its short slot in ``stage``, what is left of its long name at the same time or later."""
        for slot in range(entry.slot, entry.first_slot - 1, -1):
            self.writer.changes.dropped.add(self.place(slot))
            together = slot // PER_SECTOR == entry.slot // PER_SECTOR
            self.put(slot, _DELETED, stage if together else max(stage, Stage.FOLLOW))

    def insert(
        self, name: str, attributes: int, cluster: int, size: int, when: datetime, more: Callable[[int], Clusters]
    ) -> None:
        """Add an entry; ``more(count)`` gives free clusters if the directory has to grow. Raises NoSpace."""
        slots = self.slots
        taken = {bytes(short) for short in slots.dirs["DIR_Name"][slots.short].reshape(-1, 11)}
        short = short_name(name, taken)
        content = long_slots(name, short) + short_slot(short, attributes, cluster, size, when)
        count = len(content) // SLOT
        room = self._room(slots, count)
        if room is None:
            self.grow(more(-(-count * SLOT // self.geometry.cluster_size)) if not self.fixed else None)
            room = self._room(self.slots, count)
        if room is None:
            raise NoSpace(f"a directory has no {count} slots in a row left", hint="remove files from it")
        self._fill(self.slots.end, room, content)

    def grow(self, clusters: Clusters | None) -> None:
        """Append ``clusters``, cleared. Raises NoSpace for the fixed root directory, and at the limit of 2 MiB."""
        if clusters is None:
            slots = self.slots
            free = slots.count - int(np.count_nonzero(slots.live))
            raise NoSpace(
                f"the root directory has room for {slots.count} entries and {free} left, not enough of them in a row",
                hint="move some files from the root directory into a subdirectory",
            )
        size = self.geometry.cluster_size
        if len(self.data) + len(clusters) * size > MAX_DIRECTORY:
            raise NoSpace(f"a directory cannot be larger than {MAX_DIRECTORY} bytes", hint="remove files from it")
        link_chain(self.writer, clusters)
        for start, length in self.geometry.runs(clusters):
            self.writer.tx.write(start, bytes(length))
        self.writer.set(self.clusters[-1:], int(clusters[0]), self.reveal)
        self.clusters = np.concatenate([self.clusters, clusters])
        self.data = self.data + bytes(len(clusters) * size)

    def _fill(self, end: int, room: int, content: bytes) -> None:
        """Put ``content`` at slot ``room``; slots between the end mark and it are marked as deleted."""
        after = room + len(content) // SLOT
        limit = len(self.data) // SLOT
        shown = end if room >= end else after - 1
        if end < after < limit and self.data[after * SLOT] != END_MARK:
            self.put(after, bytes(1), self.prepare)
        pieces = [(slot, _DELETED) for slot in range(end, room)]
        pieces += [(room + at // SLOT, content[at : at + SLOT]) for at in range(0, len(content), SLOT)]
        for slot, piece in pieces:
            together = slot // PER_SECTOR == shown // PER_SECTOR
            self.put(slot, piece, self.reveal if together else self.prepare)

    def _room(self, slots: Slots, count: int) -> int | None:
        """First of ``count`` slots in a row: inside one sector, else all behind the end mark or all before it."""
        usable = np.ones(slots.count, dtype=bool)
        usable[: slots.end] = ~slots.live & ~self._used_up(slots)
        sums = np.concatenate([[0], np.cumsum(usable)])
        firsts = np.flatnonzero(sums[count:] - sums[:-count] == count)
        if not len(firsts):
            return None
        together = firsts[firsts // PER_SECTOR == (firsts + count - 1) // PER_SECTOR]
        behind = firsts[firsts >= slots.end]
        before = firsts[firsts + count <= slots.end]
        for choice in (together, behind, before):
            if len(choice):
                return int(choice[0])
        return None

    def _used_up(self, slots: Slots) -> NDArray[np.bool_]:
        marks = np.zeros(slots.end, dtype=bool)
        if self.writer.changes.dropped:
            marks[:] = [self.place(slot) in self.writer.changes.dropped for slot in range(slots.end)]
        return marks


def link_chain(writer: TableWriter, clusters: Clusters) -> None:
    """Make free ``clusters`` one chain in their order."""
    following = np.append(clusters[1:], writer.geometry.end_of_chain)
    writer.set(clusters, following, Stage.ALLOCATE)
