"""The null file system, editing: frees, moves and claims clusters through a transaction, in soft-update order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inpart.contracts import Claim, Edits, FilesystemEditor, Place, Stage, Vacated
from inpart.errors import FilesystemUnsupported, NoSpace
from inpart.extents import Extents, Runs
from inpart.testing.null.filesystem import NullTree
from inpart.testing.null.structs import BAD, FREE, USED, Attribute, Record, RecordType, max_runs
from inpart.units import format_size
from inpart.volume import Volume

DIRECTORY = "/.inpart"
_PROTECTED = Attribute.HIDDEN | Attribute.SYSTEM | Attribute.READ_ONLY

ClusterRuns = tuple[tuple[int, int], ...]


class NullFilesystem(NullTree, FilesystemEditor):
    """Level 3. Serves one transaction: what it has freed is not used again."""

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemDamaged, FilesystemUnsupported."""
        super().__init__(volume)
        self._freed = Extents()

    def free(self) -> Extents:
        return self._where(FREE) - self._freed

    def immovable(self) -> Extents:
        return self._where(BAD)

    def vacate(self, region: Extents, tx: Edits, *, avoid: Extents) -> Vacated:
        region, avoid = self._whole(region), self._whole(avoid)
        moved = 0
        for record in self.records():
            occupied = self.bytes_of(record).extents() & region
            if not occupied:
                continue
            if tx.full:
                break
            moved += self._move(record, region, avoid, tx)
        return Vacated(moved, (self._where(USED) & region).total)

    def _move(self, record: Record, region: Extents, avoid: Extents, tx: Edits) -> int:
        """Move those runs of one file that reach into ``region``; returns the bytes that were moved."""
        leaving = [run for run in record.runs if self._bytes(run).extents() & region]
        need = sum(count for _, count in leaving)
        there = self._take(need, self.free() - region - avoid, record.path)
        spare, path = list(there), []
        for run in record.runs:
            path += _cut(spare, run[1]) if run in leaving else [run]
        new = tuple(Runs(path))
        if len(new) > max_runs(self.superblock.slot_size):
            raise FilesystemUnsupported(f"{record.path} would have {len(new)} runs; a record holds fewer")
        self._mark(there, USED, tx, Stage.ALLOCATE)
        for source, target, length in _paired(leaving, there):
            tx.copy(self._offset(source), self._offset(target), length * self.superblock.cluster_size)
        self._put(record.with_runs(new, record.size), tx, Stage.SWITCH)
        self._mark(tuple(leaving), FREE, tx, Stage.RELEASE)
        return need * self.superblock.cluster_size

    def claim(self, claims: Sequence[Claim], tx: Edits, *, directory: Runs) -> None:
        """A directory needs no clusters here, so ``directory`` is not used."""
        old = {record.path: record for record in self.records() if record.path.startswith(DIRECTORY + "/")}
        new = {f"{DIRECTORY}/{claim.name}": self._cluster_runs(claim) for claim in claims}
        owned = self._clusters(run for record in old.values() for run in record.runs)
        wanted = self._clusters(run for runs in new.values() for run in runs)
        if np.any(wanted > 1) or np.any((wanted > 0) & (self.map() != FREE) & (owned == 0)):
            raise NoSpace("clusters that are to be claimed belong to another file, or are claimed twice")
        self._mark(_runs_of((wanted > 0) & (owned == 0)), USED, tx, Stage.ALLOCATE)
        self._make_directory(tx)
        changes = [
            (old.get(path) or Record(-1, RecordType.FILE, path, _PROTECTED)).with_runs(runs, claim.size)
            for (path, runs), claim in zip(new.items(), claims, strict=True)
        ]
        for record in self._losing(changes, old, wanted):
            self._put(record, tx, Stage.SWITCH)
        for record in changes:
            self._put(self._placed(record), tx, Stage.FOLLOW)
        kept = wanted + self._clusters(run for path, record in old.items() if path not in new for run in record.runs)
        self._mark(_runs_of((owned > 0) & (kept == 0)), FREE, tx, Stage.RELEASE)

    def _losing(self, changes: list[Record], old: dict[str, Record], wanted: NDArray[np.int64]) -> Iterator[Record]:
        """The old files without the clusters that pass to another file, so that none is ever owned twice."""
        future = {record.path: self._clusters(record.runs) for record in changes}
        for path, record in old.items():
            passing = (wanted > 0) & (future.get(path, np.zeros_like(wanted)) == 0)
            mine = self._clusters(record.runs)
            if np.any((mine > 0) & passing):
                runs = _runs_of((mine > 0) & ~passing)
                yield record.with_runs(runs, min(record.size, self._total(runs)))

    def release(self, names: Sequence[str], tx: Edits) -> None:
        going = {f"{DIRECTORY}/{name}" for name in names}
        staying = [record for record in self.records() if record.path.startswith(DIRECTORY + "/")]
        for record in [record for record in staying if record.path in going]:
            staying.remove(record)
            self._put(replace(record, type=RecordType.EMPTY, path="", runs=(), size=0), tx, Stage.SWITCH)
            self._mark(record.runs, FREE, tx, Stage.RELEASE)
        for record in self.records():
            if record.path == DIRECTORY and not staying:
                self._put(replace(record, type=RecordType.EMPTY, path=""), tx, Stage.FOLLOW)

    def claims(self) -> tuple[Claim, ...]:
        return tuple(
            Claim(record.path.removeprefix(DIRECTORY + "/"), self.bytes_of(record), record.size)
            for record in self.records()
            if record.path.startswith(DIRECTORY + "/")
        )

    def adapt(self, place: Place, tx: Edits) -> None:
        if self.superblock.size > place.size:
            raise NoSpace(f"the file system has {self.superblock.size} bytes; its new place has {place.size}")
        self.superblock = replace(self.superblock, partition_start=place.start)
        for offset in (self.superblock.data_end, 0):
            tx.edit(offset, self.superblock.pack(), Stage.SWITCH if offset == 0 else Stage.ALLOCATE)

    def _make_directory(self, tx: Edits) -> None:
        if all(record.path != DIRECTORY for record in self.records()):
            self._put(self._placed(Record(-1, RecordType.DIR, DIRECTORY, _PROTECTED)), tx, Stage.LINK)

    def _placed(self, record: Record) -> Record:
        """The record in a slot. Raises NoSpace when the table is full."""
        if record.slot >= 0:
            return record
        for slot in range(self.superblock.slots):
            if self.record(slot).type == RecordType.EMPTY:
                return replace(record, slot=slot)
        raise NoSpace(f"all {self.superblock.slots} records of the file table are used")

    def _put(self, record: Record, tx: Edits, stage: Stage) -> None:
        size = self.superblock.slot_size
        tx.edit(self.superblock.table_offset + record.slot * size, record.pack(size), stage)

    def _mark(self, runs: ClusterRuns, value: int, tx: Edits, stage: Stage) -> None:
        for first, count in runs:
            tx.edit(self.superblock.map_offset + first, bytes((value,)) * count, stage)
            if value == FREE:
                self._freed |= self._bytes((first, count)).extents()

    def _whole(self, extents: Extents) -> Extents:
        """All clusters that have bytes in ``extents``."""
        start, size = self.superblock.data_start, self.superblock.cluster_size
        return Extents.from_mask(extents.to_mask(size, self.superblock.clusters, start), size, start)

    def _take(self, need: int, places: Extents, path: str) -> ClusterRuns:
        """``need`` free clusters from the front of ``places``. Raises NoSpace."""
        size = self.superblock.cluster_size
        if places.total < need * size:
            numbers = f"{format_size(need * size)} are needed and {format_size(places.total)} are free"
            raise NoSpace(f"{path} cannot be moved out of the way: {numbers}")
        start = self.superblock.data_start
        spare = [((low - start) // size, (high - low) // size) for low, high in places]
        return tuple(_cut(spare, need))

    def _cluster_runs(self, claim: Claim) -> ClusterRuns:
        """Raises FilesystemUnsupported for runs that are not whole clusters of this file system."""
        start, size = self.superblock.data_start, self.superblock.cluster_size
        inside = Extents.span(start, self.superblock.data_end).covers(claim.runs.extents())
        if claim.size > claim.runs.total:
            raise FilesystemUnsupported(f"{claim.name} is to be longer than its clusters")
        if not inside or any((first - start) % size or length % size for first, length in claim.runs):
            raise FilesystemUnsupported(f"{claim.name} is to lie in something else than whole clusters")
        return tuple(((first - start) // size, length // size) for first, length in claim.runs)

    def _clusters(self, runs: Iterator[tuple[int, int]] | ClusterRuns) -> NDArray[np.int64]:
        """How often each cluster occurs in ``runs``."""
        counts = np.zeros(self.superblock.clusters, dtype=np.int64)
        for first, count in runs:
            counts[first : first + count] += 1
        return counts

    def _bytes(self, run: tuple[int, int]) -> Runs:
        return Runs([(self._offset(run[0]), run[1] * self.superblock.cluster_size)])

    def _offset(self, cluster: int) -> int:
        return self.superblock.data_start + cluster * self.superblock.cluster_size

    def _total(self, runs: ClusterRuns) -> int:
        return sum(count for _, count in runs) * self.superblock.cluster_size


def _runs_of(mask: NDArray[np.bool_]) -> ClusterRuns:
    return tuple((start, end - start) for start, end in Extents.from_mask(mask, 1))


def _cut(spare: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Take ``count`` clusters from the front of ``spare``, which must have them."""
    taken = []
    while count:
        first, length = spare.pop(0)
        part = min(length, count)
        taken.append((first, part))
        count -= part
        if part < length:
            spare.insert(0, (first + part, length - part))
    return taken


def _paired(sources: Sequence[tuple[int, int]], targets: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(source, target, clusters) for copying along two paths of equal length."""
    spare = list(targets)
    for first, count in sources:
        for target, part in _cut(spare, count):
            yield first, target, part
            first += part  # noqa: PLW2901
