"""Attribute lists against the attributes of the records that they name, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.errors import FilesystemDamaged
from inpart.volume import RunsVolume

from inpart_ntfs.arrays import unit_rows
from inpart_ntfs.attributes import attribute_title
from inpart_ntfs.check.report import Numbers, error
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType
from inpart_ntfs.hashing import Hashes, hash_units, mixed, unmatched
from inpart_ntfs.listing import ListEntry, parse_attribute_list
from inpart_ntfs.mft import Mft
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.runs import Problem, byte_runs
from inpart_ntfs.structs import MAX_ATTRIBUTE_LIST

if TYPE_CHECKING:
    from inpart_ntfs.check.census import Census


def _numbers() -> list[Numbers]:
    return [np.empty(0, dtype=np.int64)]


def _hashes() -> list[Hashes]:
    return [np.empty(0, dtype=np.uint64)]


@dataclass
class ListPass:
    """What attribute lists say and what is there: a hash for each attribute, and where it stands."""

    mft: Mft
    said: list[Hashes] = field(default_factory=_hashes)
    said_by: list[Numbers] = field(default_factory=_numbers)
    said_type: list[Numbers] = field(default_factory=_numbers)
    there: list[Hashes] = field(default_factory=_hashes)
    there_in: list[Numbers] = field(default_factory=_numbers)
    there_type: list[Numbers] = field(default_factory=_numbers)
    extensions: list[Numbers] = field(default_factory=lambda: [np.empty((0, 2), dtype=np.int64)])

    def take(self, table: AttributeTable) -> Iterator[Finding]:
        """Keep the attributes of files with several records, and what their lists say."""
        records = table.records
        lists = table.pick(table.type == AttributeType.ATTRIBUTE_LIST)
        extension = records.in_use & records.is_extension
        base = records.header["base_mft_record"].view(np.int64)
        self.extensions.append(np.stack([records.numbers[extension], base[extension]], axis=1))
        several = extension.copy()
        several[lists.row] = True
        self._keep(table.pick(several[table.row] & (table.type != AttributeType.ATTRIBUTE_LIST)))
        for index in range(len(lists)):
            yield from self._read(lists.pick(np.array([index])))

    def _keep(self, table: AttributeTable) -> None:
        records = table.records
        units = unit_rows(records.raw, table.row, table.offset + table.name_offset, table.name_length, "<u2")
        lowest = np.where(table.non_resident, table.lowest_vcn, 0)
        reference = records.numbers | records["sequence_number"] << 48
        self.there.append(
            mixed(table.owner, table.type, hash_units(units), lowest, reference[table.row], table.instance)
        )
        self.there_in.append(table.number)
        self.there_type.append(table.type)

    def _read(self, one: AttributeTable) -> Iterator[Finding]:
        """One attribute list."""
        number = int(one.number[0])
        try:
            entries = parse_attribute_list(number, self._value(one))
        except FilesystemDamaged as damage:
            yield error("attribute-list", f"record {number}, $ATTRIBUTE_LIST", damage.message)
            return
        if any(_disordered(first, second) for first, second in pairwise(entries)):
            yield error("attribute-list", f"record {number}, $ATTRIBUTE_LIST", "its entries are not in order")
        columns = np.array(
            [(entry.type, entry.lowest_vcn, entry.instance) for entry in entries], dtype=np.int64
        ).reshape(-1, 3)
        references = np.array([entry.reference for entry in entries], dtype=np.uint64)
        names = np.array([_hash_name(entry.name) for entry in entries], dtype=np.uint64)
        owner = np.full(len(entries), number, dtype=np.int64)
        self.said.append(mixed(owner, columns[:, 0], names, columns[:, 1], references, columns[:, 2]))
        self.said_by.append(owner)
        self.said_type.append(columns[:, 0])

    def _value(self, one: AttributeTable) -> bytes:
        """Raises FilesystemDamaged."""
        number = int(one.number[0])
        if not one.non_resident[0]:
            start = int(one.place[0] + one.value_offset[0])
            return one.data[start : start + int(one.value_length[0])].tobytes()
        decoded = one.decode(self.mft.boot.clusters)
        if decoded.problems[0] != Problem.NONE:
            raise FilesystemDamaged(f"the attribute list of record {number} cannot be read")
        stream = RunsVolume(self.mft.volume, byte_runs(decoded.of(0), self.mft.boot.cluster_size))
        size = int(one.data_size[0])
        if not 0 <= size <= min(MAX_ATTRIBUTE_LIST, stream.size):
            raise FilesystemDamaged(f"the attribute list of record {number} has {size} bytes")
        return stream.read(0, size)

    def check(self, census: Census) -> Iterator[Finding]:
        """After pass 1: what is said and not there, what is there and not said, extension records without a base."""
        said, there = unmatched(np.concatenate(self.said), np.concatenate(self.there))
        yield from _report(np.concatenate(self.said_by)[said], np.concatenate(self.said_type)[said], _SAID)
        yield from _report(np.concatenate(self.there_in)[there], np.concatenate(self.there_type)[there], _THERE)
        pairs = np.concatenate(self.extensions)
        base = pairs[:, 1] & REFERENCE_MASK
        lost = ~census.is_file(np.ascontiguousarray(pairs[:, 1]).view(np.uint64))
        for number, wanted in zip(pairs[lost, 0][:ENOUGH].tolist(), base[lost].tolist(), strict=False):
            yield error("extension", f"record {number}", f"it belongs to record {wanted}, which is not in use for it")


_SAID = "the attribute list names an attribute, {}, that is not there"
_THERE = "{} stands in no attribute list"


def _report(numbers: Numbers, types: Numbers, message: str) -> Iterator[Finding]:
    for number, kind in zip(numbers[:ENOUGH].tolist(), types.tolist(), strict=False):
        yield error("attribute-list", f"record {number}", message.format(attribute_title(kind)))


def _disordered(first: ListEntry, second: ListEntry) -> bool:
    same = (first.type, first.name) == (second.type, second.name)
    return second.type < first.type or (same and second.lowest_vcn < first.lowest_vcn)


def _hash_name(name: str) -> np.uint64:
    units = np.frombuffer(name.encode("utf-16-le", "surrogatepass"), dtype="<u2").astype(np.int64)
    found: np.uint64 = hash_units(units[np.newaxis, :])[0]
    return found
