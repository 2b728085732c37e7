"""The null file system, reading: recognises it, trusts the copy of the superblock, lists and checks its files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inpart.contracts import (
    Entry,
    EntryType,
    FilesystemInfo,
    FilesystemTree,
    Finding,
    Severity,
    State,
    SystemArea,
)
from inpart.errors import FilesystemDamaged, UsageError
from inpart.extents import Extents, Runs
from inpart.testing.null.structs import (
    BAD,
    FREE,
    MAGIC,
    MAX_CLUSTER_SIZE,
    SUPERBLOCK_SIZE,
    USED,
    Attribute,
    Record,
    RecordType,
    Superblock,
)
from inpart.volume import RunsVolume, Volume

KIND = "null"
_PIECE = 1 << 20
_TAIL = 2 * MAX_CLUSTER_SIZE
_LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp())


def find_superblock(volume: Volume) -> tuple[Superblock, str]:
    """The superblock and which copy it is, ``""`` for the first one. Raises FilesystemDamaged when both are gone."""
    tail = max(0, volume.size - _TAIL)
    copy = tail + volume.read(tail, volume.size - tail).rfind(MAGIC)
    problem = FilesystemDamaged("there is no superblock of the null file system")
    for offset, name in ((0, ""), (copy, "copy behind the last cluster")):
        if not 0 <= offset <= volume.size - SUPERBLOCK_SIZE:
            continue
        data = volume.read(offset, SUPERBLOCK_SIZE)
        if not data.startswith(MAGIC):
            continue
        try:
            found = Superblock.unpack(data)
        except FilesystemDamaged as error:
            problem = error
            continue
        if found.size <= volume.size and offset in {0, found.data_end}:
            return found, name
        problem = FilesystemDamaged(f"the superblock speaks of {found.size} bytes; the volume has {volume.size}")
    raise problem


def has_magic(volume: Volume) -> bool:
    """True if a superblock of this kind has been at the start of the volume."""
    return volume.size >= len(MAGIC) and volume.read(0, len(MAGIC)) == MAGIC


class NullTree(FilesystemTree):
    """Levels 1 and 2."""

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemDamaged, FilesystemUnsupported."""
        self.volume = volume
        self.superblock, self.trusted = find_superblock(volume)

    @property
    def info(self) -> FilesystemInfo:  # type: ignore[override]
        """Geometry, use and state as they are now."""
        block, used = self.superblock, int(np.count_nonzero(self.map() == USED))
        free = int(np.count_nonzero(self.map() == FREE))
        return FilesystemInfo(
            kind=KIND,
            label=block.label,
            uuid=block.uuid.hex(),
            cluster_size=block.cluster_size,
            size=block.size,
            data_start=block.data_start,
            data_end=block.data_end,
            used_bytes=used * block.cluster_size,
            free_bytes=free * block.cluster_size,
            state=State.DIRTY if block.state else State.CLEAN,
            notes=(f"the superblock is damaged; the {self.trusted} is used",) if self.trusted else (),
        )

    def map(self) -> NDArray[np.uint8]:
        """The cluster map, one element per cluster."""
        return np.frombuffer(self.volume.read(self.superblock.map_offset, self.superblock.clusters), dtype=np.uint8)

    def records(self) -> list[Record]:
        """The records in use, in slot order. Raises FilesystemDamaged."""
        return [record for record in map(self.record, range(self.superblock.slots)) if record.type != RecordType.EMPTY]

    def record(self, slot: int) -> Record:
        """One record. Raises FilesystemDamaged."""
        size = self.superblock.slot_size
        record = Record.unpack(slot, self.volume.read(self.superblock.table_offset + slot * size, size))
        if any(first + count > self.superblock.clusters for first, count in record.runs):
            raise FilesystemDamaged(f"record {slot}, {record.path}, points beyond the last cluster")
        return record

    def bytes_of(self, record: Record) -> Runs:
        """The clusters of a record as byte runs."""
        start, size = self.superblock.data_start, self.superblock.cluster_size
        return Runs((start + first * size, count * size) for first, count in record.runs)

    def allocated(self) -> Extents:
        return self._where(USED) | Extents([(0, self.superblock.data_start), (self.superblock.data_end, self._end)])

    def system_areas(self) -> tuple[SystemArea, ...]:
        block = self.superblock
        return (
            SystemArea("superblock", Extents.span(0, block.slot_size), anchor=True),
            SystemArea("superblock-copy", Extents.span(block.data_end, self._end), anchor=True),
            SystemArea("cluster-map", Extents.span(block.map_offset, block.table_offset)),
            SystemArea("file-table", Extents.span(block.table_offset, block.data_start)),
        )

    def reserved_places(self) -> Extents:
        return Extents.span(self.superblock.slot_size, self.superblock.map_offset)

    def check(self) -> Iterator[Finding]:
        if self.trusted:
            yield Finding(Severity.ERROR, "null.superblock", "superblock", "damaged; its copy is used")
        elif self.volume.read(self.superblock.data_end, self.superblock.slot_size) != self.superblock.pack():
            yield Finding(Severity.ERROR, "null.superblock-copy", "superblock-copy", "differs from the superblock")
        owners = np.zeros(self.superblock.clusters, dtype=np.int64)
        for slot in range(self.superblock.slots):
            try:
                record = self.record(slot)
            except FilesystemDamaged as error:
                yield Finding(Severity.ERROR, "null.record", f"record {slot}", str(error))
                continue
            for first, count in record.runs:
                owners[first : first + count] += 1
            if record.size > self.bytes_of(record).total:
                yield Finding(Severity.ERROR, "null.size", record.path, "is longer than its clusters")
        yield from self._check_map(owners)

    def walk(self, path: str = "/") -> Iterator[Entry]:
        top = self._find(path)
        for record in sorted(self.records(), key=lambda record: record.path.split("/")):
            if top is None or record.path.startswith(top.path + "/"):
                yield _entry(record)

    def list(self, path: str = "/") -> Iterator[Entry]:
        top = self._find(path)
        if top is not None and top.type == RecordType.FILE:
            yield _entry(top)
            return
        depth = 1 if top is None else top.path.count("/") + 1
        yield from (entry for entry in self.walk(path) if entry.path.count("/") == depth)

    def stat(self, path: str) -> Entry:
        found = self._find(path)
        return Entry("/", EntryType.DIR, 0, None, -1) if found is None else _entry(found)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        record = self._find(path)
        if record is None or record.type == RecordType.DIR:
            raise UsageError(f"{path} is a directory")
        content = RunsVolume(self.volume, self.bytes_of(record), size=record.size, name=path)
        end = content.size if length is None else min(offset + length, content.size)
        for start in range(offset, end, _PIECE):
            yield content.read(start, min(_PIECE, end - start))

    def runs(self, path: str) -> Runs:
        record = self._find(path)
        return Runs() if record is None else self.bytes_of(record)

    def dispensable(self) -> Extents:
        return self._united(self.bytes_of(record) for record in self.records() if record.attributes & Attribute.SWAP)

    def slack(self) -> Extents:
        return self._united(self._tail(record) for record in self.records())

    def _tail(self, record: Record) -> Runs:
        runs, slot = self.bytes_of(record), self.superblock.slot_size
        used = -(-record.size // slot) * slot
        return runs.slice(used, max(0, runs.total - used))

    def _check_map(self, owners: NDArray[np.int64]) -> Iterator[Finding]:
        clusters = self.map()
        for code, wrong, message in (
            ("null.shared", owners > 1, "belong to several files"),
            ("null.lost", (owners == 0) & (clusters == USED), "are marked used and belong to no file"),
            ("null.unmarked", (owners > 0) & (clusters != USED), "belong to a file and are not marked used"),
            ("null.map", clusters > BAD, "have an impossible value in the cluster map"),
        ):
            for number in np.flatnonzero(wrong)[:100].tolist():
                yield Finding(Severity.ERROR, code, f"cluster {number}", f"clusters {message}")

    @cached_property
    def _end(self) -> int:
        return self.superblock.size

    def _where(self, value: int) -> Extents:
        return Extents.from_mask(self.map() == value, self.superblock.cluster_size, self.superblock.data_start)

    @staticmethod
    def _united(all_runs: Iterator[Runs]) -> Extents:
        return Extents(pair for runs in all_runs for pair in runs.extents())

    def _find(self, path: str) -> Record | None:
        """The record at ``path``; None stands for the root, which has no record. Raises UsageError."""
        if path == "/":
            return None
        for record in self.records():
            if record.path == path.rstrip("/"):
                return record
        raise UsageError(f"there is no {path}")


def _entry(record: Record) -> Entry:
    attributes = tuple(str(flag.name).lower().replace("_", "-") for flag in Attribute if record.attributes & flag)
    kind = EntryType.DIR if record.type == RecordType.DIR else EntryType.FILE
    mtime = datetime.fromtimestamp(min(record.mtime, _LAST_SECOND), UTC)
    return Entry(record.path, kind, record.size, mtime, record.slot, attributes)
