"""Attribute lists: which record of a file holds which piece of which attribute."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from inpart.errors import FilesystemDamaged

from inpart_ntfs.attributes import HINT
from inpart_ntfs.codes import REFERENCE_MASK
from inpart_ntfs.structs import ATTR_LIST_ENTRY

_LIST_ENTRY = struct.Struct("<IHBBqQH")


@dataclass(frozen=True)
class ListEntry:
    """An entry of an attribute list: where a piece of an attribute stands."""

    type: int
    name: str
    lowest_vcn: int
    reference: int
    instance: int

    @property
    def record(self) -> int:
        """Number of the record that the piece stands in."""
        return self.reference & REFERENCE_MASK


def parse_attribute_list(number: int, value: bytes) -> tuple[ListEntry, ...]:
    """The entries of the attribute list of file ``number``. Raises FilesystemDamaged."""
    entries, offset = [], 0
    while offset + ATTR_LIST_ENTRY.itemsize <= len(value):
        kind, length, name_length, name_offset, lowest, reference, instance = _LIST_ENTRY.unpack_from(value, offset)
        end = name_offset + 2 * name_length if name_length else ATTR_LIST_ENTRY.itemsize
        if length < ATTR_LIST_ENTRY.itemsize or length % 8 or end > length or offset + length > len(value):
            raise FilesystemDamaged(f"record {number}: its attribute list is damaged at byte {offset}", hint=HINT)
        start = offset + name_offset
        name = value[start : start + 2 * name_length].decode("utf-16-le", "surrogatepass")
        entries.append(ListEntry(kind, name, lowest, reference, instance))
        offset += length
    if offset != len(value):
        raise FilesystemDamaged(f"record {number}: its attribute list ends inside an entry", hint=HINT)
    return tuple(entries)
