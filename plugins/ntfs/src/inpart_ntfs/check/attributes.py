"""Pass 1, attribute by attribute: types, their order, where they may stand, and what their values must have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.contracts import Finding

from inpart_ntfs.arrays import gather
from inpart_ntfs.check.report import for_attributes, for_records
from inpart_ntfs.codes import AttributeFlag, AttributeType, Namespace
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.structs import FILE_NAME, Struct

_TYPES = tuple(int(kind) for kind in AttributeType if kind is not AttributeType.END)
_RESIDENT = (
    AttributeType.STANDARD_INFORMATION,
    AttributeType.FILE_NAME,
    AttributeType.OBJECT_ID,
    AttributeType.VOLUME_NAME,
    AttributeType.VOLUME_INFORMATION,
    AttributeType.INDEX_ROOT,
    AttributeType.EA_INFORMATION,
)
_FLAGS = int(AttributeFlag.COMPRESSED | AttributeFlag.ENCRYPTED | AttributeFlag.SPARSE)
_INDEXED = 0x01
"""The flag of a resident attribute whose value stands in an index, too."""
SECURITY_DESCRIPTOR: Struct = np.dtype(
    [
        ("revision", "u1"),
        ("alignment", "u1"),
        ("control", "<u2"),
        ("owner", "<u4"),
        ("group", "<u4"),
        ("sacl", "<u4"),
        ("dacl", "<u4"),
    ]
)
"""20 bytes; the offsets of its parts count from its first byte, 0 where there is none."""
_SELF_RELATIVE = 0x8000
_OLD_INFORMATION = 48
_NEW_INFORMATION = 72


def check_attributes(table: AttributeTable) -> Iterator[Finding]:
    """What can be said of attributes without their clusters."""
    known = np.isin(table.type, _TYPES)
    yield from for_attributes("attribute-type", table, ~known, "its type is unknown")
    strange = table.flags & ~_FLAGS > 0
    yield from for_attributes("attribute-flags", table, strange, "it has unknown flags")
    again = np.zeros(len(table), dtype=bool)
    again[1:] = (table.row[1:] == table.row[:-1]) & (table.type[1:] < table.type[:-1])
    yield from for_attributes("attribute-order", table, again, "it stands behind one of a higher type")
    yield from for_attributes("attribute-instance", table, _doubles(table), "its number is used twice in the record")
    outside = np.isin(table.type, _RESIDENT) & table.non_resident
    yield from for_attributes("attribute-resident", table, outside, "it must be resident and is not")
    inside = (table.type == AttributeType.INDEX_ALLOCATION) & ~table.non_resident
    yield from for_attributes("attribute-resident", table, inside, "it is resident and must not be")
    yield from _check_information(table)
    yield from _check_names(table)
    yield from _check_descriptors(table)


def _doubles(table: AttributeTable) -> np.ndarray:
    """Attributes whose instance number another one in the same record has had."""
    key = table.row << 16 | table.instance
    order = np.argsort(key, kind="stable")
    again = np.zeros(len(table), dtype=bool)
    again[order[1:]] = key[order[1:]] == key[order[:-1]]
    return again


def _check_information(table: AttributeTable) -> Iterator[Finding]:
    """Every base record has one STANDARD_INFORMATION of a possible size."""
    chosen = table.pick(table.type == AttributeType.STANDARD_INFORMATION)
    size = chosen.value_length
    wrong = ~chosen.non_resident & (size != _OLD_INFORMATION) & (size < _NEW_INFORMATION)
    yield from for_attributes("standard-information", chosen, wrong, "it has an impossible size")
    records = table.records
    without = records.in_use & ~records.is_extension & ~table.broken
    without[chosen.row] = False
    yield from for_records("standard-information", records.numbers, without, "it has no $STANDARD_INFORMATION")


def _check_names(table: AttributeTable) -> Iterator[Finding]:
    chosen = table.pick((table.type == AttributeType.FILE_NAME) & ~table.non_resident)
    header = gather(table.records.raw, chosen.row, chosen.offset + chosen.value_offset, FILE_NAME)
    length = header["file_name_length"].astype(np.int64)
    short = (length == 0) | (chosen.value_length < FILE_NAME.itemsize + 2 * length)
    yield from for_attributes("file-name", chosen, short, "it is too short for its name")
    apart = chosen.word(22, "u1") & _INDEXED == 0
    yield from for_attributes("file-name", chosen, apart, "it is not marked as part of an index")
    strange = header["file_name_type"] > Namespace.WIN32_AND_DOS
    yield from for_attributes("file-name", chosen, strange, "its namespace is unknown")


def _check_descriptors(table: AttributeTable) -> Iterator[Finding]:
    """Security descriptors that files have of their own, as before NTFS 3.0."""
    chosen = table.pick((table.type == AttributeType.SECURITY_DESCRIPTOR) & ~table.non_resident)
    start, size = chosen.offset + chosen.value_offset, chosen.value_length
    header = gather(table.records.raw, chosen.row, start, SECURITY_DESCRIPTOR)
    wrong = (size < SECURITY_DESCRIPTOR.itemsize) | (header["revision"] != 1)
    wrong |= header["control"] & _SELF_RELATIVE == 0
    for part in ("owner", "group", "sacl", "dacl"):
        wrong |= header[part] >= size
    yield from for_attributes("security-descriptor", chosen, wrong, "it is no security descriptor")
