"""On-disk structures of the null file system: a superblock and its copy, a byte per cluster, a flat file table.

Little-endian. Offsets and sizes are bytes of the partition::

    0                 superblock, one slot
    slot_size         seven slots left unused (reserved places)
    8 * slot_size     cluster map: one byte per cluster, 0 free, 1 used, 2 bad
    table_offset      ``slots`` records, one slot each; a record is a file or a directory, named by its whole path
    data_start        ``clusters`` clusters
    data_end          copy of the superblock, one slot

A slot is a sector of the medium, so that a record changes as a whole or not at all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

from inpart.checksums import crc32c
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.units import align_up, is_power_of_two

MAGIC = b"INPART-NULL-FS\r\n"
VERSION = 1
RESERVED_SLOTS = 7
MAX_CLUSTERS = 1 << 24
MAX_SLOTS = 1 << 12
MAX_CLUSTER_SIZE = 1 << 16
NAME_SIZE = 64

FREE, USED, BAD = 0, 1, 2

_SUPERBLOCK = struct.Struct("<16sIIIIQIB3x16s32sI")
_RECORD = struct.Struct("<BBHIQq64s")
_RUN = struct.Struct("<II")
_CRC = struct.Struct("<I")


class RecordType(IntEnum):
    """The first byte of a record."""

    EMPTY = 0
    FILE = 1
    DIR = 2


class Attribute(IntFlag):
    """Bits of a record. ``SWAP`` marks a file that no image needs."""

    HIDDEN = 1
    SYSTEM = 2
    READ_ONLY = 4
    SWAP = 8


PLAIN = Attribute(0)


@dataclass(frozen=True)
class Superblock:
    """The geometry of a null file system; everything else follows from it."""

    slot_size: int
    cluster_size: int
    clusters: int
    slots: int
    partition_start: int
    state: int
    uuid: bytes
    label: str

    @property
    def map_offset(self) -> int:
        """Where the cluster map starts."""
        return (1 + RESERVED_SLOTS) * self.slot_size

    @property
    def table_offset(self) -> int:
        """Where the file table starts."""
        return align_up(self.map_offset + self.clusters, self.slot_size)

    @property
    def data_start(self) -> int:
        """Where cluster 0 starts."""
        return align_up(self.table_offset + self.slots * self.slot_size, self.cluster_size)

    @property
    def data_end(self) -> int:
        """The end of the last cluster."""
        return self.data_start + self.clusters * self.cluster_size

    @property
    def size(self) -> int:
        """How much of the partition belongs to the file system, the copy of the superblock included."""
        return self.data_end + self.slot_size

    def pack(self) -> bytes:
        """One slot."""
        body = _SUPERBLOCK.pack(
            MAGIC,
            VERSION,
            self.slot_size,
            self.cluster_size,
            self.clusters,
            self.partition_start,
            self.slots,
            self.state,
            self.uuid,
            self.label.encode(),
            0,
        )[: -_CRC.size]
        return (body + _CRC.pack(crc32c(body))).ljust(self.slot_size, b"\0")

    @classmethod
    def unpack(cls, data: bytes) -> Superblock:
        """Raises FilesystemDamaged for anything that no superblock can hold, FilesystemUnsupported for new versions."""
        magic, version, slot, cluster, clusters, start, slots, state, uuid, label, crc = _SUPERBLOCK.unpack_from(data)
        if magic != MAGIC or crc != crc32c(data[: _SUPERBLOCK.size - _CRC.size]):
            raise FilesystemDamaged("the superblock has no valid magic number and checksum")
        if version != VERSION:
            raise FilesystemUnsupported(f"version {version} of the null file system is unknown")
        sane = (
            512 <= slot <= 4096
            and 512 <= cluster <= MAX_CLUSTER_SIZE
            and is_power_of_two(slot)
            and is_power_of_two(cluster)
        )
        if not sane or not 1 <= clusters <= MAX_CLUSTERS or not 1 <= slots <= MAX_SLOTS:
            raise FilesystemDamaged("the superblock holds an impossible geometry")
        return cls(slot, cluster, clusters, slots, start, state, uuid, label.rstrip(b"\0").decode(errors="replace"))


SUPERBLOCK_SIZE = _SUPERBLOCK.size


@dataclass(frozen=True)
class Record:
    """A file or directory. ``runs`` are (first cluster, count) in file order; ``mtime`` is in POSIX seconds."""

    slot: int
    type: RecordType
    path: str
    attributes: Attribute = PLAIN
    size: int = 0
    mtime: int = 0
    runs: tuple[tuple[int, int], ...] = ()

    def with_runs(self, runs: tuple[tuple[int, int], ...], size: int) -> Record:
        """The same file elsewhere."""
        return replace(self, runs=runs, size=size)

    def pack(self, slot_size: int) -> bytes:
        """One slot. Raises FilesystemUnsupported when path or runs do not fit."""
        name = self.path.encode()
        if len(name) > NAME_SIZE or len(self.runs) > max_runs(slot_size):
            raise FilesystemUnsupported(f"{self.path}: its path or its {len(self.runs)} runs do not fit into a record")
        attributes = int(self.attributes)
        head = _RECORD.pack(self.type, attributes, len(self.runs), 0, self.size, self.mtime, name)
        data = (head + b"".join(_RUN.pack(*run) for run in self.runs)).ljust(slot_size, b"\0")
        return data[:4] + _CRC.pack(crc32c(data)) + data[8:]

    @classmethod
    def unpack(cls, slot: int, data: bytes) -> Record:
        """Raises FilesystemDamaged if the checksum is wrong or a field impossible."""
        kind, attributes, count, crc, size, mtime, name = _RECORD.unpack_from(data)
        if crc != crc32c(data[:4] + bytes(4) + data[8:]) or kind not in set(RecordType) or count > max_runs(len(data)):
            raise FilesystemDamaged(f"record {slot} of the file table is damaged")
        runs = tuple(_RUN.iter_unpack(data[_RECORD.size : _RECORD.size + count * _RUN.size]))
        path = name.rstrip(b"\0").decode(errors="replace")
        return cls(slot, RecordType(kind), path, Attribute(attributes & 15), size, mtime, runs)


def max_runs(slot_size: int) -> int:
    """How many runs a record can hold."""
    return (slot_size - _RECORD.size) // _RUN.size
