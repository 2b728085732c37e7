"""FILE records, a window of them at once, and the attributes in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.codes import REFERENCE_MASK, AttributeFlag, AttributeType, RecordFlag
from inpart_ntfs.runs import Decoded, decode
from inpart_ntfs.structs import (
    ATTR_RECORD,
    COMPRESSED_SIZE,
    FILE_RECORD,
    HEADER_SIZE_OLD,
    MAGIC_FILE,
    NON_RESIDENT_SIZE,
    RESIDENT_SIZE,
)

Numbers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SMALLEST_ATTRIBUTE = RESIDENT_SIZE


@dataclass
class Records:
    """Some FILE records: ``numbers`` and a row of ``raw`` each, shape (n, record size), update sequences undone.

    ``whole`` says whose update sequence was right.
    """

    numbers: Numbers
    raw: Bytes
    whole: Mask

    def __len__(self) -> int:
        return len(self.numbers)

    def pick(self, chosen: Mask | Numbers) -> Records:
        """Those records only."""
        return Records(self.numbers[chosen], self.raw[chosen], self.whole[chosen])

    @cached_property
    def header(self) -> NDArray[np.void]:
        """FILE_RECORD of each."""
        return np.ascontiguousarray(self.raw[:, : FILE_RECORD.itemsize]).view(FILE_RECORD).reshape(-1)

    def __getitem__(self, name: str) -> Numbers:
        """A field of all headers by its usual name."""
        return self.header[name].astype(np.int64)

    @cached_property
    def sound(self) -> Mask:
        """Which are FILE records with a right update sequence and a possible header."""
        size = self.raw.shape[1]
        first, used = self["attrs_offset"], self["bytes_in_use"]
        header = (first >= HEADER_SIZE_OLD) & (first % 8 == 0) & (first + 8 <= used) & (used <= size)
        return np.asarray(self.whole & (self.header["magic"] == MAGIC_FILE) & header & (used % 8 == 0))

    @cached_property
    def in_use(self) -> Mask:
        """Which are sound and in use."""
        return np.asarray(self.sound & (self["flags"] & RecordFlag.IN_USE > 0))

    @property
    def base(self) -> Numbers:
        """Number of the base record of each extension record, 0 for base records."""
        return np.asarray((self.header["base_mft_record"] & np.uint64(REFERENCE_MASK)).astype(np.int64))

    @property
    def is_extension(self) -> Mask:
        """Which belong to another record."""
        return np.asarray(self.header["base_mft_record"] != 0)

    def attributes(self) -> AttributeTable:
        """All attributes of those records that are in use."""
        return find_attributes(self)


@dataclass(frozen=True)
class AttributeTable:
    """Attributes of some records, in order of record and place. ``row`` is an index into ``records``.

    ``offset`` is the byte of the record at which each starts, ``place`` the same in the bytes of all records.
    ``broken``, one for each record, tells whose attributes stop before their end mark.
    """

    records: Records
    row: Numbers
    offset: Numbers
    broken: Mask

    def __len__(self) -> int:
        return len(self.row)

    def pick(self, chosen: Mask | Numbers) -> AttributeTable:
        """Those attributes only."""
        return AttributeTable(self.records, self.row[chosen], self.offset[chosen], self.broken)

    @cached_property
    def data(self) -> Bytes:
        """The bytes of all records in one row."""
        return self.records.raw.reshape(-1)

    @cached_property
    def place(self) -> Numbers:
        """Byte of ``data`` at which each starts."""
        size: int = self.records.raw.shape[1]
        return self.row * size + self.offset

    @cached_property
    def number(self) -> Numbers:
        """The record that each stands in."""
        return self.records.numbers[self.row]

    @cached_property
    def owner(self) -> Numbers:
        """The base record of the file that each belongs to."""
        base = self.records.base[self.row]
        return np.where(self.records.is_extension[self.row], base, self.number)

    def word(self, offset: int, kind: str) -> Numbers:
        """The number of type ``kind`` (``<u4``) at an aligned ``offset`` of each; beyond the record 0 is read."""
        size = np.dtype(kind).itemsize
        index = (self.place + offset) // size
        values = self.data.view(kind)
        found: Numbers = values[np.minimum(index, len(values) - 1)].astype(np.int64)
        return found

    @cached_property
    def type(self) -> Numbers:
        """The type of each."""
        return self.word(0, "<u4")

    @cached_property
    def length(self) -> Numbers:
        """Bytes of each."""
        return self.word(4, "<u4")

    @cached_property
    def non_resident(self) -> Mask:
        """Which are not resident."""
        return np.asarray(self.word(8, "u1") > 0)

    @cached_property
    def name_length(self) -> Numbers:
        """Characters of the name of each."""
        return self.word(9, "u1")

    @cached_property
    def name_offset(self) -> Numbers:
        """Where the name of each stands."""
        return self.word(10, "<u2")

    @cached_property
    def flags(self) -> Numbers:
        """Flags of each."""
        return self.word(12, "<u2")

    @cached_property
    def instance(self) -> Numbers:
        """The instance number of each."""
        return self.word(14, "<u2")

    @cached_property
    def value_length(self) -> Numbers:
        """Bytes of the value; only for resident ones."""
        return self.word(16, "<u4")

    @cached_property
    def value_offset(self) -> Numbers:
        """Where the value stands; only for resident ones."""
        return self.word(20, "<u2")

    @cached_property
    def lowest_vcn(self) -> Numbers:
        """The first cluster that is mapped here; only for non-resident ones, as all that follow."""
        return self.word(16, "<i8")

    @cached_property
    def highest_vcn(self) -> Numbers:
        """The last cluster that is mapped here."""
        return self.word(24, "<i8")

    @cached_property
    def mapping_pairs_offset(self) -> Numbers:
        """Where the run list stands."""
        return self.word(32, "<u2")

    @cached_property
    def allocated_size(self) -> Numbers:
        """Bytes of the clusters up to the last, holes included; only where lowest_vcn is 0, as all that follow."""
        return self.word(40, "<i8")

    @cached_property
    def data_size(self) -> Numbers:
        """Bytes of the content."""
        return self.word(48, "<i8")

    @cached_property
    def initialized_size(self) -> Numbers:
        """Bytes of the content that were ever written; behind them zeros are read."""
        return self.word(56, "<i8")

    @cached_property
    def compressed_size(self) -> Numbers:
        """Bytes of clusters that are stored; equal to allocated_size where the attribute has no such field."""
        return np.where(self.has_compressed_size, self.word(64, "<i8"), self.allocated_size)

    @cached_property
    def has_compressed_size(self) -> Mask:
        """Which are compressed or sparse, and so have compressed_size."""
        special = self.flags & (AttributeFlag.SPARSE | AttributeFlag.COMPRESSION_MASK) > 0
        return np.asarray(self.non_resident & special & (self.mapping_pairs_offset >= COMPRESSED_SIZE))

    def names_of(self) -> list[str]:
        """The name of each; empty for most."""
        names = [""] * len(self)
        for index in np.flatnonzero(self.name_length).tolist():
            start = int(self.place[index] + self.name_offset[index])
            raw = self.data[start : start + 2 * int(self.name_length[index])].tobytes()
            names[index] = raw.decode("utf-16-le", "surrogatepass")
        return names

    def decode(self, clusters: int) -> Decoded:
        """The run lists; ``owner`` in its rows is an index into this table. Resident ones have none."""
        chosen = np.flatnonzero(self.non_resident)
        table = self.pick(chosen)
        start = table.place + table.mapping_pairs_offset
        found = decode(self.data, start, table.place + table.length, table.lowest_vcn, clusters)
        problems = np.zeros(len(self), dtype=np.uint8)
        problems[chosen] = found.problems
        rows = found.rows.copy()
        rows[:, 0] = chosen[rows[:, 0]]
        return Decoded(rows, problems)


def find_attributes(records: Records) -> AttributeTable:
    """Follow the attributes of all records in use, one of each record at a time."""
    table = AttributeTable(records, *_none(), broken=np.zeros(len(records), dtype=bool))
    row = np.flatnonzero(records.in_use).astype(np.int64)
    used, at = records["bytes_in_use"], records["attrs_offset"][row]
    rows, offsets = [], []
    while len(row):
        here = AttributeTable(records, row, at, table.broken)
        ends = here.type == AttributeType.END
        fits = _fits(here, used[row] - at)
        table.broken[row[~ends & ~fits]] = True
        good = ~ends & fits
        rows.append(row[good])
        offsets.append(at[good])
        row, at = row[good], at[good] + here.length[good]
        room = at + 4 <= used[row]
        table.broken[row[~room]] = True
        row, at = row[room], at[room]
    if not rows:
        return table
    joined, places = np.concatenate(rows), np.concatenate(offsets)
    order = np.lexsort((places, joined))
    return AttributeTable(records, joined[order], places[order], table.broken)


def _fits(table: AttributeTable, room: Numbers) -> Mask:
    """Which attributes lie in their record with their name, value or run list; ``room`` is what is left of it."""
    length, resident = table.length, ~table.non_resident
    sane = (length >= SMALLEST_ATTRIBUTE) & (length % 8 == 0) & (length <= room) & (table.type > 0)
    names = table.name_offset + 2 * table.name_length
    sane &= (table.name_length == 0) | ((table.name_offset >= ATTR_RECORD.itemsize) & (names <= length))
    value = (table.value_offset >= SMALLEST_ATTRIBUTE) & (table.value_offset + table.value_length <= length)
    value |= table.value_length == 0
    pairs = (table.mapping_pairs_offset >= NON_RESIDENT_SIZE) & (table.mapping_pairs_offset < length)
    return np.asarray(sane & np.where(resident, value, pairs))


def _none() -> tuple[Numbers, Numbers]:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
