"""One FILE record with its attributes as objects."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_ntfs.codes import AttributeFlag, AttributeType, RecordFlag
from inpart_ntfs.runs import PROBLEMS, Problem, decode, decode_short
from inpart_ntfs.structs import (
    ATTR_RECORD,
    COMPRESSED_SIZE,
    HEADER_SIZE_OLD,
    MAGIC_FILE,
    NON_RESIDENT_SIZE,
    RESIDENT_SIZE,
)

Numbers = NDArray[np.int64]

HINT = "`inpart verify --level fs` shows all that is wrong; chkdsk repairs it"

_SHORT = 256
"""Bytes of a run list that is decoded alone."""
_HEADER = struct.Struct("<IHHQHHHHIIQHHI")
_ATTRIBUTE = struct.Struct("<IIBBHHH")
_RESIDENT = struct.Struct("<IHBx")
_NON_RESIDENT = struct.Struct("<qqHB5xqqq")


@dataclass(frozen=True)
class Attribute:
    """One attribute as it stands in a record; of a non-resident one perhaps only a piece, that from ``lowest_vcn`` on.

    ``record`` is the number of the record, ``offset`` the byte in it, ``raw`` the whole attribute. ``clusters`` is the
    size of the file system, which bounds the run list.
    """

    record: int
    offset: int
    raw: bytes
    clusters: int

    @cached_property
    def _fields(self) -> tuple[int, ...]:
        return _ATTRIBUTE.unpack_from(self.raw)

    @cached_property
    def _mapped(self) -> tuple[int, ...]:
        return _NON_RESIDENT.unpack_from(self.raw, ATTR_RECORD.itemsize)

    @property
    def type(self) -> int:
        """Its AttributeType."""
        return self._fields[0]

    @property
    def non_resident(self) -> bool:
        """True if its value lies in clusters."""
        return self._fields[2] != 0

    @cached_property
    def name(self) -> str:
        """Its name; empty for most."""
        start = self._fields[4]
        return self.raw[start : start + 2 * self._fields[3]].decode("utf-16-le", "surrogatepass")

    @property
    def flags(self) -> int:
        """AttributeFlag bits."""
        return self._fields[5]

    @property
    def instance(self) -> int:
        """Its number, unique in the record."""
        return self._fields[6]

    @cached_property
    def value(self) -> bytes:
        """The value of a resident attribute; empty for others."""
        if self.non_resident:
            return b""
        length, start, _ = _RESIDENT.unpack_from(self.raw, ATTR_RECORD.itemsize)
        return self.raw[start : start + length]

    @property
    def resident_flags(self) -> int:
        """1 if the value is indexed, as that of FILE_NAME."""
        return 0 if self.non_resident else int(_RESIDENT.unpack_from(self.raw, ATTR_RECORD.itemsize)[2])

    @property
    def lowest_vcn(self) -> int:
        """The first cluster that is mapped here; 0 for resident ones."""
        return self._mapped[0] if self.non_resident else 0

    @property
    def highest_vcn(self) -> int:
        """The last cluster that is mapped here; -1 if there is none."""
        return self._mapped[1] if self.non_resident else -1

    @property
    def mapping_pairs_offset(self) -> int:
        """Where the run list stands in ``raw``."""
        return self._mapped[2]

    @property
    def compression_unit(self) -> int:
        """Binary logarithm of the clusters of a compression unit; 0 if not compressed and not sparse."""
        return self._mapped[3] if self.non_resident else 0

    @property
    def allocated_size(self) -> int:
        """Bytes of the clusters up to the last, holes included; counts in the first piece only, as all sizes."""
        return self._mapped[4] if self.non_resident else len(self.value) + -len(self.value) % 8

    @property
    def data_size(self) -> int:
        """Bytes of the content."""
        return self._mapped[5] if self.non_resident else len(self.value)

    @property
    def initialized_size(self) -> int:
        """Bytes of the content that were ever written; behind them zeros are read."""
        return self._mapped[6] if self.non_resident else len(self.value)

    @property
    def compressed_size(self) -> int:
        """Bytes of clusters that are stored; equal to allocated_size where there is no such field."""
        if not self.has_compressed_size:
            return self.allocated_size
        return int.from_bytes(self.raw[NON_RESIDENT_SIZE:COMPRESSED_SIZE], "little", signed=True)

    @property
    def has_compressed_size(self) -> bool:
        """True for compressed and sparse attributes with that field."""
        special = self.flags & (AttributeFlag.SPARSE | AttributeFlag.COMPRESSION_MASK) != 0
        return self.non_resident and special and self.mapping_pairs_offset >= COMPRESSED_SIZE

    @cached_property
    def rows(self) -> Numbers:
        """vcn, lcn, count of its clusters, shape (k, 3). Raises FilesystemDamaged."""
        if not self.non_resident:
            return np.empty((0, 3), dtype=np.int64)
        pairs = self.raw[self.mapping_pairs_offset :]
        short = decode_short(pairs, self.lowest_vcn, self.clusters) if len(pairs) <= _SHORT else None
        if short is not None and self._ends(short):
            return short
        data = np.frombuffer(self.raw, dtype=np.uint8)
        one = [np.array([number], dtype=np.int64) for number in (self.mapping_pairs_offset, len(data), self.lowest_vcn)]
        found = decode(data, one[0], one[1], one[2], self.clusters)
        problem = Problem(int(found.problems[0]))
        rows = found.of(0)
        if problem is Problem.NONE and not self._ends(rows):
            problem = Problem.WRONG_LENGTH
        if problem is not Problem.NONE:
            raise FilesystemDamaged(f"record {self.record}: {self}: {PROBLEMS[problem]}", hint=HINT)
        return rows

    def _ends(self, rows: Numbers) -> bool:
        """True if a run list maps as much as the attribute claims."""
        mapped = int(rows[-1, 0] + rows[-1, 2]) if len(rows) else self.lowest_vcn
        return mapped == self.highest_vcn + 1

    def __str__(self) -> str:
        return attribute_title(self.type, self.name)


@dataclass(frozen=True)
class FileRecord:
    """A sound FILE record: ``raw`` as it is in memory, update sequence undone."""

    number: int
    raw: bytes
    attributes: tuple[Attribute, ...]

    @cached_property
    def _header(self) -> tuple[int, ...]:
        return _HEADER.unpack_from(self.raw)

    @property
    def sequence_number(self) -> int:
        """How often the record was used anew."""
        return self._header[4]

    @property
    def link_count(self) -> int:
        """Number of FILE_NAME attributes that count as hard links."""
        return self._header[5]

    @property
    def attrs_offset(self) -> int:
        """Byte at which the first attribute starts."""
        return self._header[6]

    @property
    def flags(self) -> int:
        """RecordFlag bits."""
        return self._header[7]

    @property
    def in_use(self) -> bool:
        """True unless it is free."""
        return bool(self.flags & RecordFlag.IN_USE)

    @property
    def is_directory(self) -> bool:
        """True if it has an index of file names."""
        return bool(self.flags & RecordFlag.IS_DIRECTORY)

    @property
    def bytes_in_use(self) -> int:
        """Up to the end of the end mark."""
        return self._header[8]

    @property
    def base_reference(self) -> int:
        """The file reference of the base record; 0 if this is one."""
        return self._header[10]

    @property
    def next_attr_instance(self) -> int:
        """The instance number of the next attribute."""
        return self._header[11]

    @property
    def reference(self) -> int:
        """The file reference that leads here."""
        return self.number | self.sequence_number << 48

    def find(self, kind: int, name: str = "") -> Attribute | None:
        """The first attribute of a type and name in this record."""
        return next((one for one in self.attributes if one.type == kind and one.name == name), None)


def parse_record(number: int, raw: bytes, clusters: int) -> FileRecord:
    """A record with its update sequence undone. Raises FilesystemDamaged."""
    header = _HEADER.unpack_from(raw)
    first, used = header[6], header[8]
    possible = first >= HEADER_SIZE_OLD and first % 8 == 0 and first + 8 <= used <= len(raw) and used % 8 == 0
    if header[0] != MAGIC_FILE or not possible:
        raise FilesystemDamaged(f"record {number} is damaged", hint=HINT)
    return FileRecord(number, raw, tuple(_attributes(number, raw, first, used, clusters)))


def _attributes(number: int, raw: bytes, offset: int, used: int, clusters: int) -> Iterator[Attribute]:
    """The attributes up to the end mark; each lies in the record with its name, value or run list."""
    while offset + 4 <= used:
        if int.from_bytes(raw[offset : offset + 4], "little") == AttributeType.END:
            return
        room = used - offset
        if room < RESIDENT_SIZE or not _fits(raw, offset, room):
            raise FilesystemDamaged(f"record {number}: the attribute at byte {offset} does not fit", hint=HINT)
        length = int.from_bytes(raw[offset + 4 : offset + 8], "little")
        yield Attribute(number, offset, raw[offset : offset + length], clusters)
        offset += length
    raise FilesystemDamaged(f"record {number}: its attributes have no end", hint=HINT)


def _fits(raw: bytes, offset: int, room: int) -> bool:
    kind, length, non_resident, name_length, name_offset = _ATTRIBUTE.unpack_from(raw, offset)[:5]
    if kind == 0 or not RESIDENT_SIZE <= length <= room or length % 8:
        return False
    if name_length and not ATTR_RECORD.itemsize <= name_offset <= length - 2 * name_length:
        return False
    at = offset + ATTR_RECORD.itemsize
    if non_resident:
        pairs = _NON_RESIDENT.unpack_from(raw, at)[2] if length >= NON_RESIDENT_SIZE else 0
        return bool(NON_RESIDENT_SIZE <= pairs < length)
    size, start, _ = _RESIDENT.unpack_from(raw, at)
    return bool(size == 0 or RESIDENT_SIZE <= start <= length - size)


def attribute_title(kind: int, name: str = "") -> str:
    """What an attribute is called in messages: ``$DATA``, ``$INDEX_ROOT:$I30``."""
    known = {int(one): one.name for one in AttributeType}
    title = f"${known[kind]}" if kind in known else f"attribute {kind:#x}"
    return f"{title}:{name}" if name else title
